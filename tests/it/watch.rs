//! The dashboard of the fleet on a terminal, and the status line: the built program, with scripted agents in runs of their own.

#![cfg(test)]

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ccc::fleet::KEPT_DOWN_FILE;
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::control::waits_for_go;
use crate::conversation::tmux::Tmux;
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ground, look_until, send};

/// Starts a run in the background in a directory of its own and makes it an agent; returns its directory.
fn agent(world: &World, name: &str, manager: Option<&str>) -> PathBuf {
    let known = world.ground.runs();
    let project = world.ground.home().join(name);
    fs::create_dir_all(&project).unwrap();
    let program = world.agent.display().to_string();
    let task = format!("Do the {name} thing.");
    let mut start = world.ccc(&["--supervisor", "--detach", "-p", &task, "--agent", &program]);
    let started = start.current_dir(&project).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    let run = world.ground.runs().into_iter().find(|run| !known.contains(run)).expect("a new run");
    let record = json!({
        "version": 1, "id": id_of(&run), "name": name, "role": "manager", "manager": manager,
        "created_unix_ms": jiff::Timestamp::now().as_millisecond(), "project": project,
    });
    // As ccc writes it: the file is there as a whole.
    let (new, file) = (run.join("agent.new"), run.join("agent.json"));
    fs::write(&new, record.to_string()).unwrap();
    fs::rename(new, file).unwrap();
    run
}

fn id_of(run: &std::path::Path) -> String {
    run.file_name().unwrap().to_str().unwrap().to_owned()
}

fn pid_of(run: &std::path::Path) -> u32 {
    let holder: Value = serde_json::from_str(&fs::read_to_string(run.join("lock")).unwrap()).unwrap();
    u32::try_from(holder["pid"].as_u64().unwrap()).unwrap()
}

/// An answer counts only when its request has been visible for a while.
fn lets_a_moment_pass() {
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let _ = silent.recv_timeout(Duration::from_millis(600));
}

/// The line for prompts, once it is this.
fn until_status(world: &World, line: &str) {
    look_until(line, || {
        let told = world.run(&["status-line"]);
        told.assert_code(0);
        (told.stdout == line).then_some(())
    });
}

#[test]
fn agents_are_seen_and_steered_on_one_screen_which_is_left_as_it_was() {
    let ground = Ground::without_git().env("CCC_APPROVALS_UNATTENDED", "wait 10m");
    let world = World::on(ground, &Value::Null);
    until_status(&world, "");
    let approves = json!([[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]);
    world.play(&json!({"agent": [[{"say": "I lead."}, waits_for_go(&world), {"say": "Done."}]], "critic": approves}));
    let lead = agent(&world, "lead", None);
    world.until_file("begun");
    let ask = json!({"ask": {"tool": {"name": "Bash", "input": {"command": "touch built"}, "result": "made"}}});
    world.play(&json!({"agent": [[ask, {"say": "Built."}]], "critic": approves}));
    let tmux = Tmux::shell(80, 24, &world.ccc(&[]));
    tmux.until("$");
    let pid_file = world.ground.home().join("watch.pid");
    let command =
        format!("sh -c 'echo $$ > {}; exec {} watch'; echo code $?", pid_file.display(), crate::program::ccc());
    tmux.type_in(&command);
    tmux.press(&["Enter"]);
    tmux.until_screen("▸ lead");
    tmux.until_screen("I lead.");

    // An agent that is started later comes by itself, below its manager, and asks.
    let login = agent(&world, "login", Some(&id_of(&lead)));
    tmux.until_screen("  └ login");
    tmux.until_screen("? login");
    until_status(&world, "ccc 1 working 1 asks\n");
    tmux.press(&["a"]);
    tmux.until_screen("request 1: the agent wants to use Bash");
    tmux.type_in("allow");
    tmux.until_screen("answer: allow");
    lets_a_moment_pass();
    tmux.press(&["Enter"]);
    tmux.until_screen("completed");
    tmux.until_screen("✓ request 1 allowed");
    // The event comes before the file.
    look_until("the outcome", || {
        let summary: Value = serde_json::from_str(&fs::read_to_string(login.join("run.json")).ok()?).ok()?;
        (summary["outcome"] == "completed").then_some(())
    });

    // Small, and large again.
    tmux.resize(40, 10);
    tmux.until_screen("▸ └ login");
    look_until("a narrow screen", || {
        let screen = tmux.screen();
        let rows: Vec<&str> = screen.lines().collect();
        (rows.len() == 10 && rows.iter().all(|row| row.chars().count() <= 40)).then_some(())
    });
    tmux.resize(100, 30);
    tmux.until_screen("LAST ACTION");

    // Attached, and back.
    tmux.press(&["g", "Enter"]);
    tmux.until_screen("Ctrl-D detaches");
    tmux.press(&["C-d"]);
    tmux.until_screen("▸ lead");

    // The run's ccc is killed while it is selected.
    // The keeper is kept from reviving it.
    fs::write(lead.join(KEPT_DOWN_FILE), "{}").unwrap();
    send(pid_of(&lead), Signal::KILL);
    tmux.until_screen("died");
    tmux.until_screen("ccc resume lead");
    until_status(&world, "ccc 1 died\n");

    // Ended from outside, the terminal is the shell's again.
    send(fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap(), Signal::TERM);
    tmux.until_screen("code 130");
    tmux.type_in("echo 'typed' again");
    tmux.until_screen("echo 'typed' again");
    assert!(!tmux.screen().contains("LAST ACTION"), "{}", tmux.screen());
}

#[test]
fn agents_that_change_the_same_file_are_named_while_they_run() {
    let world = World::on(Ground::new(), &Value::Null);
    let write = json!({"tool": {"name": "Bash", "input": {"command": "echo mine > same.txt"}, "real": true}});
    let approves = json!([[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]);
    world.play(&json!({"agent": [[write, waits_for_go(&world), {"say": "Done."}]], "critic": approves}));
    let program = world.agent.display().to_string();
    for name in ["one", "two"] {
        world.run(&["new", "Do it.", "--agent", &program, "--name", name]).assert_code(0);
    }
    let tmux = Tmux::shell(80, 24, &world.ccc(&[]));
    tmux.until("$");
    tmux.type_in(&format!("{} watch", crate::program::ccc()));
    tmux.press(&["Enter"]);
    tmux.until_screen("2 change the same files");
    tmux.until_screen("▸!one");
    tmux.until_screen(" !two");
    tmux.until_screen("! changes the same files as two: same.txt");
    // One of them ends.
    world.run(&["stop", "two"]).assert_code(0);
    look_until("one that is alone", || (!tmux.screen().contains("the same files")).then_some(()));
    fs::write(world.ground.home().join("go"), "").unwrap();
    world.run(&["wait", "one"]).assert_code(0);
}

#[test]
fn without_a_terminal_the_dashboard_says_what_to_use_instead() {
    let world = World::new(&Value::Null);
    let ended = world.run(&["watch"]);
    ended.assert_code(2);
    assert!(ended.stderr.contains("ccc status-line"), "{}", ended.stderr);
    let ended = world.run(&["status-line", "--json"]);
    ended.assert_code(0);
    let told: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&told["version"], &told["working"], &told["usage"]["five_hour"]), (&json!(1), &json!(0), &Value::Null));
}
