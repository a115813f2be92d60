//! However an attached terminal comes to its end, it is left as it was before, and the run goes on.

use std::collections::BTreeMap;
use std::process::Command;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::tmux::Tmux;
use super::whole::{ccc, type_line};
use crate::control::waits_for_go;
use crate::ownfaults::world::{FEEDBACK, World, forever};
use crate::scripted_api::{Message, Reply, ScriptedApi};
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::{Ground, approval, cli, is_alive, look_until, script, send};

/// Says that the client's exit code is that of one who was ended, and the terminal is as it was before.
#[track_caller]
fn assert_sane(tty: &mut Tty) {
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert!(!tty.is_raw() && tty.echoes(), "keys are the user's again");
    let mut terminal = vt100::Parser::new(24, 80, 1_000);
    terminal.process(&tty.seen);
    let screen = terminal.screen();
    assert!(!screen.bracketed_paste() && !screen.hide_cursor() && !screen.alternate_screen(), "{}", tty.text());
    let text = tty.text();
    assert!(text.rfind("\x1b[<u") > text.rfind("\x1b[>1u"), "the keyboard's mode is taken back: {text:?}");
    let contents = screen.contents();
    assert!(contents.contains("the run continues"), "{contents}");
    for view in ["Ctrl-D detaches", "chooses", "Esc interrupts"] {
        assert!(!contents.contains(view), "the view is taken away:\n{contents}");
    }
}

/// Ends clients in every way while they show this.
fn ends_in_every_way(ground: &Ground, attach: &dyn Fn() -> Command, shown: &str) {
    for signal in [Signal::TERM, Signal::HUP, Signal::QUIT] {
        let mut tty = Tty::start(&attach());
        tty.until(shown);
        assert!(tty.is_raw());
        send(tty.pid(), signal);
        assert_sane(&mut tty);
    }
    // Its terminal goes away.
    let tmux = Tmux::shell(80, 24, &attach());
    tmux.until("$");
    let code = ground.home().join("code");
    type_line(&tmux, &format!("sh -c \"trap '' HUP; {}; echo \\$? > {}\"", ccc("attach"), code.display()));
    tmux.until_screen(shown);
    drop(tmux);
    let code =
        look_until("the client's end", || std::fs::read_to_string(&code).ok().filter(|text| text.ends_with('\n')));
    assert_eq!(code.trim(), "130");
}

/// The run goes on until this happens, and is replayed alike.
fn goes_on(ground: &Ground) {
    let outcome = look_until("an outcome", || {
        let summary = std::fs::read_to_string(ground.runs().pop()?.join("run.json")).ok()?;
        serde_json::from_str::<Value>(&summary).ok()?["outcome"].as_str().map(str::to_owned)
    });
    assert_eq!(outcome, "completed");
    look_until("the end of its processes", || ground.alive(0).is_empty().then_some(()));
    ground.assert_sound();
}

fn detached(world: &World) {
    let agent = world.agent.display().to_string();
    world.run(&["--supervisor", "--detach", "-p", "Fix the parser.", "--agent", &agent]).assert_code(0);
}

#[test]
fn a_client_that_is_ended_in_a_conversation_or_a_dialog_leaves_the_terminal_as_it_was() {
    let world = World::on(Ground::without_git().env("CCC_APPROVALS_UNATTENDED", "wait 10m"), &Value::Null);
    let ask = json!({"ask": {"tool": {"name": "Bash", "input": {"command": "touch a"}, "result": "made"}}});
    world.play(&json!({
        "agent": [[{"say": "I begin."}, waits_for_go(&world), ask, {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    detached(&world);
    world.until_file("begun");
    ends_in_every_way(&world.ground, &|| world.ccc(&["attach"]), "Esc interrupts");
    std::fs::write(world.ground.home().join("go"), "").unwrap();
    ends_in_every_way(&world.ground, &|| world.ccc(&["attach"]), "chooses");
    world.run(&["answer", "last", "1", "allow"]).assert_code(0);
    goes_on(&world.ground);
}

#[test]
fn a_client_that_is_ended_while_the_agent_speaks_leaves_the_terminal_as_it_was() {
    let Some(cli) = cli("current") else { return };
    let ground = Ground::new();
    let words: String = (1..=100).map(|n| format!("word{n} and more of it\n")).collect();
    let api = ScriptedApi::start(script(
        vec![Reply::Message(Message::paced(&words, 200, 60)), Reply::text("Done.")],
        vec![approval()],
    ));
    let api = api.unwrap();
    let agent = cli.path.display().to_string();
    let args = ["--supervisor", "--detach", "-p", "Speak.", "--agent", &agent];
    let started = ground.command(&api.base_url(), args).output().unwrap();
    assert!(started.status.success(), "{}", String::from_utf8_lossy(&started.stderr));
    ends_in_every_way(&ground, &|| ground.command(&api.base_url(), ["attach"]), "word");
    goes_on(&ground);
}

/// Waits until the client is blocked for good in writing to its terminal.
#[track_caller]
fn until_blocked(pid: u32) {
    let write = if cfg!(target_arch = "x86_64") { "1 " } else { "64 " };
    let waits = || {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).ok()?;
        let read = |task: &std::path::Path, name: &str| std::fs::read_to_string(task.join(name)).unwrap_or_default();
        let mut tasks = tasks.flatten().map(|task| task.path());
        tasks.find(|task| read(task, "comm").trim() == "screen" && read(task, "syscall").starts_with(write))
    };
    let looks = std::cell::Cell::new(0);
    look_until("a client that waits for its terminal for good", || {
        looks.set(if waits().is_some() { looks.get() + 1 } else { 0 });
        (looks.get() >= 30).then_some(())
    });
}

/// The rows of the terminal and of its history, without indentation and marks. The bytes hold more: a part of a text that is
/// still arriving is drawn again when it is printed.
fn printed_rows(bytes: &[u8]) -> Vec<String> {
    let mut terminal = vt100::Parser::new(24, 80, 4 * PIECES);
    terminal.process(bytes);
    terminal.screen_mut().set_scrollback(usize::MAX);
    let mut back = terminal.screen().scrollback();
    let mut rows = Vec::new();
    loop {
        terminal.screen_mut().set_scrollback(back);
        let shown: Vec<String> = terminal.screen().rows(0, 80).collect();
        rows.extend(shown.into_iter().take(if back == 0 { 24 } else { back.min(24) }));
        if back == 0 {
            return rows
                .iter()
                .map(|row| row.trim_start_matches(|c: char| !c.is_alphanumeric()).trim_end().to_owned())
                .collect();
        }
        back = back.saturating_sub(24);
    }
}

/// More events than the run keeps for a client.
const PIECES: usize = 6_000;

#[test]
fn a_client_that_is_left_behind_again_while_it_catches_up_shows_all_that_it_has_missed() {
    let world = World::new(&Value::Null);
    let pieces = |from: usize| (from..from + PIECES).map(|piece| json!({"say": format!("piece {piece}.")}));
    let mut turn = vec![json!({"say": "I begin."}), waits_for_go(&world)];
    turn.extend(pieces(0));
    let waits = format!("while [ ! -e {}/go-on ]; do sleep 0.02; done", world.ground.home().display());
    let second = json!({"tool": {"name": "Bash", "input": {"command": waits}, "real": true}});
    turn.extend([json!({"say": "Half of it."}), second]);
    turn.extend(pieces(PIECES));
    turn.extend([json!({"say": "The last of it."}), forever()]);
    world.play(&json!({"agent": [turn], "critic": []}));
    detached(&world);
    let mut tty = Tty::start(&world.ccc(&["attach"]));
    let run = world.ground.runs().pop().expect("a run");
    let journal = || std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    let goes_on_without_it = |pid: u32, file: &str, told: &str| {
        send(pid, Signal::STOP);
        std::fs::write(world.ground.home().join(file), "").unwrap();
        look_until(told, || journal().contains(told).then_some(()));
        send(pid, Signal::CONT);
    };
    tty.until("I begin.");
    let reading = tty.reading();
    let unread = reading.lock().unwrap();
    goes_on_without_it(tty.pid(), "go", "Half of it.");
    // It cannot print what it has missed, so it is still reading it when it is left behind again.
    until_blocked(tty.pid());
    goes_on_without_it(tty.pid(), "go-on", "The last of it.");
    drop(unread);
    let last = format!("piece {}.", 2 * PIECES - 1);
    tty.until(&last);
    tty.until("The last of it.");
    send(tty.pid(), Signal::TERM);
    assert_sane(&mut tty);
    let mut printed = BTreeMap::<String, usize>::new();
    for row in printed_rows(&tty.seen) {
        *printed.entry(row).or_default() += 1;
    }
    let count = |piece: usize| printed.get(&format!("piece {piece}.")).copied().unwrap_or(0);
    let wrong: Vec<_> = (0..2 * PIECES).map(|piece| (piece, count(piece))).filter(|(_, count)| *count != 1).collect();
    assert!(wrong.is_empty(), "(piece, how often): {wrong:?}");
    world.run(&["stop", "last", "--now"]).assert_code(0);
    look_until("the end of its processes", || world.ground.alive(0).is_empty().then_some(()));
}

#[test]
fn a_client_that_was_left_behind_when_the_run_ended_shows_the_rest_and_leaves() {
    let world = World::new(&Value::Null);
    let mut turn = vec![json!({"say": "I begin."}), waits_for_go(&world)];
    turn.extend((0..PIECES).map(|piece| json!({"say": format!("piece {piece}.")})));
    turn.extend([json!({"say": "The last of it."}), forever()]);
    world.play(&json!({"agent": [turn], "critic": []}));
    detached(&world);
    let mut tty = Tty::start(&world.ccc(&["attach"]));
    tty.until("I begin.");
    let run = world.ground.runs().pop().expect("a run");
    let journal = || std::fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    send(tty.pid(), Signal::STOP);
    std::fs::write(world.ground.home().join("go"), "").unwrap();
    look_until("the last piece", || journal().contains("The last of it.").then_some(()));
    world.run(&["stop", "last", "--now"]).assert_code(0);
    look_until("the end of its processes", || world.ground.alive(0).len().le(&1).then_some(()));
    look_until("the end of the run", || run.join("run.json").exists().then_some(()));
    send(tty.pid(), Signal::CONT);
    // The exit code of an interrupted run.
    assert_eq!(tty.end(), 130, "{}", tty.text());
    let rows = printed_rows(&tty.seen);
    for piece in (0..PIECES).map(|piece| format!("piece {piece}.")).chain(["The last of it.".to_owned()]) {
        assert_eq!(rows.iter().filter(|row| **row == piece).count(), 1, "{piece}");
    }
    let last = rows.iter().rposition(|row| row == "The last of it.").expect("it is shown");
    let after = rows.get(last..).unwrap_or_default().join("\n");
    assert!(after.contains("interrupted") && after.contains("to continue the run: ccc resume"), "{after}");
    assert!(!tty.is_raw() && tty.echoes());
}

#[test]
fn a_client_names_all_that_a_run_needs_which_has_ended_before_its_eyes() {
    let world = World::new(&Value::Null);
    let mut turns = vec![json!([waits_for_go(&world), {"say": "Done."}])];
    turns.extend((0..5).map(|_| json!([{"say": "Done."}])));
    world.play(&json!({"agent": turns, "critic": vec![json!([{"say": FEEDBACK}]); 6]}));
    detached(&world);
    let mut tty = Tty::start(&world.ccc(&["attach"]));
    world.until_file("begun");
    tty.until("Ctrl-D detaches");
    std::fs::write(world.ground.home().join("go"), "").unwrap();
    assert_eq!(tty.end(), 5, "{}", tty.text());
    let id = world.run_id();
    let rows = printed_rows(&tty.seen).join(" ");
    assert!(rows.contains(&format!("to continue the run: ccc resume {id} -p \"TEXT\"")), "{rows}");
}

#[test]
fn a_client_whose_terminal_takes_nothing_ends_when_it_is_told_to() {
    let world = World::new(&Value::Null);
    let much = format!("{}\n", "a line of the history that a terminal does not take\n".repeat(2_000));
    world.play(&json!({
        "agent": [[{"say": much}, waits_for_go(&world), {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    detached(&world);
    world.until_file("begun");
    // Nobody reads what it writes.
    let pair = native_pty_system().openpty(PtySize { rows: 24, cols: 80, ..PtySize::default() }).unwrap();
    let command = world.ccc(&["attach"]);
    let mut builder = CommandBuilder::new(command.get_program());
    builder.args(command.get_args());
    builder.env_clear();
    for (name, value) in command.get_envs() {
        builder.env(name, value.unwrap_or_default());
    }
    builder.env("TERM", "xterm-256color");
    builder.cwd(world.ground.project());
    let mut client = pair.slave.spawn_command(builder).unwrap();
    let pid = client.process_id().unwrap();
    until_blocked(pid);
    send(pid, Signal::TERM);
    look_until("its end", || (!is_alive(pid)).then_some(()));
    assert_eq!(client.wait().unwrap().exit_code(), 130);
    std::fs::write(world.ground.home().join("go"), "").unwrap();
    goes_on(&world.ground);
}
