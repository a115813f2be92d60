//! ccc as a job of a shell at a terminal: Ctrl-Z, `fg`, and what is typed.

use std::fs;
use std::time::{Duration, Instant};

use serde_json::json;

use super::world::{World, forever, two_turns};
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::look_until;

/// A shell with job control on a terminal, in the project.
fn shell(world: &World) -> Tty {
    let mut shell = world.ground.typed("http://127.0.0.1:9", "exec bash --norc --noprofile -i");
    shell.env("PS1", "ready> ").env("CCC_GRACE", "500ms").env("HISTFILE", "/dev/null");
    let mut tty = Tty::start(&shell);
    tty.until("ready> ");
    tty
}

/// The line that starts a supervised run at a shell's prompt.
fn line(world: &World, more: &str) -> String {
    format!("ccc --supervisor -p 'Build it.' --agent {} {more}\r", world.agent.display())
}

/// The states of the live processes of this ground, without the shell itself.
fn states(world: &World, shell: u32) -> Vec<(u32, char)> {
    world
        .ground
        .alive(shell)
        .into_iter()
        .filter_map(|(pid, _)| {
            let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            stat.rsplit_once(") ")?.1.chars().next().map(|state| (pid, state))
        })
        .collect()
}

#[test]
fn ctrl_z_stops_the_agent_and_its_tools_in_sessions_of_their_own_and_fg_lets_them_go_on() {
    let ground = World::new(&two_turns());
    let home = ground.ground.home().display().to_string();
    let mut script = two_turns();
    // A tool that counts in a session of its own.
    let tool = format!(
        "echo begun > {home}/begun; setsid sh -c 'while [ ! -e {home}/go ]; do echo x >> {home}/beats; sleep 0.05; done' & wait"
    );
    script["agent"][0] = json!([{"say": "I begin."}, {"tool": {"name": "Bash", "input": {"command": tool}, "real": true}}, {"say": "First half done."}]);
    ground.play(&script);
    let mut tty = shell(&ground);
    // The bound on silence is far below the stop: if its clock went on, the agent would be taken for hung.
    tty.type_in(line(&ground, "--stall-timeout 4s --tool-timeout 4s").as_bytes());
    tty.until("I begin.");
    ground.until_file("begun");
    let beats = || fs::metadata(format!("{home}/beats")).map_or(0, |file| file.len());
    look_until("the tool", || (beats() > 4).then_some(()));
    assert!(!tty.echoes(), "nothing that is typed is shown");

    tty.type_in(b"\x1a");
    tty.until("Stopped");
    tty.until("ready> ");
    let shell_pid = tty.pid();
    look_until("all of them standing still", || {
        let states = states(&ground, shell_pid);
        (states.len() >= 3 && states.iter().all(|(_, state)| *state == 'T')).then_some(())
    });
    let (then, at) = (Instant::now(), beats());
    look_until("longer than the bound", || (then.elapsed() > Duration::from_secs(6)).then_some(()));
    assert_eq!(beats(), at, "the tool stands still, too");

    tty.type_in(b"fg\r");
    look_until("the tool going on", || (beats() > at).then_some(()));
    look_until("the quiet terminal", || (!tty.echoes()).then_some(()));
    fs::write(format!("{home}/go"), "").expect("write");
    tty.until("Completed");
    tty.until("ready> ");
    tty.type_in(b"exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    let summary = fs::read_to_string(ground.run_dir().join("run.json")).expect("a summary");
    assert!(summary.contains("\"restarts\": 0") || summary.contains("\"restarts\":0"), "{summary}");
    assert!(!tty.text().contains("hangs"), "{}", tty.text());
    ground.ground.assert_sound();
}

#[test]
fn what_is_typed_is_not_shown_and_the_terminal_is_given_back() {
    let mut script = two_turns();
    script["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let world = World::new(&script);
    let mut tty = shell(&world);
    tty.type_in(line(&world, "").as_bytes());
    tty.until("I begin.");
    look_until("the quiet terminal", || (!tty.echoes()).then_some(()));
    tty.type_in(b"echo typed-unseen\r");
    tty.type_in(b"\x03");
    tty.until("Interrupted");
    tty.until("ready> ");
    assert!(!tty.text().contains("typed-unseen"), "neither shown nor run afterwards: {}", tty.text());

    // By a signal that nobody can catch in time, the shell gives the terminal back; by one that ends ccc, ccc does.
    tty.type_in(line(&world, "").as_bytes());
    tty.until("I begin.");
    look_until("the quiet terminal", || (!tty.echoes()).then_some(()));
    tty.type_in(b"\x1c");
    tty.until("Interrupted");
    tty.until("ready> ");
    tty.type_in(b"stty -a | tr ';' '\\n' | grep -ow -e '-echo' -e 'echo'\r");
    tty.until("echo\r\n");
    tty.type_in(b"exit\r");
    tty.end();
}
