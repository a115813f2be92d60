//! Whole conversations: the built program on a terminal, with the scripted agent.

use serde_json::{Value, json};

use super::tmux::Tmux;
use crate::control::waits_for_go;
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ended, look_until};

/// A world whose agent answers, waits in a tool until a file is there, edits, and is sent feedback once.
pub(super) fn world() -> World {
    let world = World::new(&Value::Null);
    let further = |text: &str| json!([{"say": text}]);
    let first = json!([
        {"think": "I look at the parser first."},
        {"say": "I look at **the parser**.\n\n- one\n- two\n"},
        waits_for_go(&world),
        {"say": "First done."},
    ]);
    world.play(&json!({
        "agent": [first, further("Second done."), further("Third done."), further("Fourth done.")],
        "critic": [
            [{"say": "The test is missing.\n\nAdd it."}],
            [{"say": "All is there.\n\n[TASK_COMPLETED]"}],
            [{"say": "All is there.\n\n[TASK_COMPLETED]"}],
        ],
    }));
    world
}

pub(super) fn go(world: &World) {
    std::fs::write(world.ground.home().join("go"), "").unwrap();
}

/// A shell at a terminal in that world.
pub(super) fn shell(world: &World) -> Tmux {
    let tmux = Tmux::shell(90, 30, &world.ccc(&[]));
    tmux.until("$");
    tmux
}

pub(super) fn type_line(tmux: &Tmux, line: &str) {
    tmux.type_in(line);
    tmux.press(&["Enter"]);
}

pub(super) fn ccc(rest: &str) -> String {
    format!("{} {rest}", crate::program::ccc())
}

/// Ends the run, and waits for the shell.
pub(super) fn quit(tmux: &Tmux) {
    type_line(tmux, "/quit");
    look_until("the shell's prompt", || tmux.screen().trim_end().ends_with('$').then_some(()));
}

/// Decides by these keys what is shown and asked: a key counts when the dialog has stood for a while.
#[track_caller]
pub(super) fn choose(tmux: &Tmux, shown: &str, keys: &[&str], settled: &str) {
    tmux.until(shown);
    tmux.until_screen("a number or Enter chooses");
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let _ = silent.recv_timeout(std::time::Duration::from_millis(600));
    tmux.press(keys);
    tmux.until(settled);
}

/// Starts a run in the background.
fn detached(world: &World) -> Ended<'_> {
    let agent = world.agent.display().to_string();
    let ended = world.run(&["--supervisor", "--detach", "-p", "Fix the parser.", "--agent", &agent]);
    ended.assert_code(0);
    ended
}

/// The run is decided alike when it is fed its own journal.
pub(super) fn replays(world: &World) {
    world.run(&["replay", "--check", "last"]).assert_code(0);
}

#[test]
fn a_run_is_attached_spoken_to_detached_from_and_attached_again() {
    let world = world();
    detached(&world);
    let tmux = shell(&world);
    type_line(&tmux, &ccc("attach"));
    let screen = tmux.until("● Bash");
    for part in ["❯ Fix the parser.", "∴ I look at the parser first.", "I look at the parser.", "• two"] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    tmux.type_in("use tabs");
    tmux.until("❯ use tabs");
    tmux.press(&["Enter"]);
    tmux.until("queued: use tabs");
    tmux.press(&["Up"]);
    tmux.until("❯ use tabs");
    tmux.type_in(" please");
    tmux.press(&["Enter"]);
    tmux.until("queued: use tabs please");
    tmux.press(&["C-d"]);
    tmux.until("the run continues; to attach again: ccc attach");
    type_line(&tmux, "stty -a | grep -c -w icanon; clear");
    type_line(&tmux, &ccc("attach"));
    tmux.until("queued: use tabs please");
    go(&world);
    let screen = tmux.until("reviewed: the critic agrees");
    for part in ["First done.", "❯ use tabs please", "the critic: The test is missing."] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    assert_eq!(screen.matches("First done.").count(), 1, "{screen}");
    replays(&world);
}

#[test]
fn control_z_stops_the_client_and_the_run_goes_on() {
    let world = world();
    detached(&world);
    let tmux = shell(&world);
    type_line(&tmux, &ccc("attach"));
    tmux.until("● Bash");
    tmux.press(&["C-z"]);
    tmux.until("Stopped");
    type_line(&tmux, "echo in the sh\\ell");
    tmux.until("in the shell");
    go(&world);
    look_until("the end of the run", || world.run_dir().join("run.json").exists().then_some(()));
    type_line(&tmux, "fg");
    tmux.until("reviewed: the critic agrees");
}

#[test]
fn a_conversation_begins_with_its_first_message_and_stays_after_the_verdict() {
    let world = world();
    go(&world);
    let tmux = shell(&world);
    type_line(&tmux, &ccc(&format!("--supervisor --agent {}", world.agent.display())));
    tmux.until("Ctrl-D detaches");
    type_line(&tmux, "Fix the parser.");
    let screen = tmux.until("reviewed: the critic agrees");
    assert!(screen.contains("the critic: The test is missing."), "{screen}");
    tmux.until("ready");
    type_line(&tmux, "And the docs.");
    tmux.until("❯ And the docs.");
    tmux.until("Third done.");
    quit(&tmux);
    replays(&world);
}

#[test]
fn a_conversation_in_which_nothing_was_said_leaves_nothing() {
    let world = world();
    let tmux = shell(&world);
    type_line(&tmux, &ccc(&format!("--supervisor --agent {}", world.agent.display())));
    tmux.until("Ctrl-D detaches");
    quit(&tmux);
    assert!(!tmux.everything().contains("ccc resume"), "{}", tmux.everything());
    look_until("nothing", || world.ground.runs().is_empty().then_some(()));
    assert_eq!(world.run(&["runs", "--json"]).stdout.trim(), "[]");
}

#[test]
fn after_the_verdict_quit_goes_on_in_the_agents_own_interface_where_that_is_wanted() {
    let world = world();
    go(&world);
    let body = format!(
        "[ \"$1\" = --resume ] || exec '{}' \"$@\"\n\
         echo \"interface of $2, mark=$CCC_RUN_ID, $(stty -a | grep -o -w icanon)\"; read line; echo \"it got $line\"",
        world.agent.display()
    );
    let front = world.ground.script("front", &body);
    let tmux = shell(&world);
    type_line(&tmux, &ccc(&format!("--supervisor --hand-over --agent {}", front.display())));
    tmux.until("Ctrl-D detaches");
    type_line(&tmux, "Fix the parser.");
    tmux.until("reviewed: the critic agrees");
    tmux.until("ready");
    type_line(&tmux, "/quit");
    tmux.until("the session continues in the interface of claude");
    // In the user's own environment, and on a terminal as it was.
    let screen = tmux.until(", mark=, icanon");
    let session = screen.split("interface of ").last().and_then(|rest| rest.split(',').next()).unwrap_or_default();
    assert!(world.ground.home().join("scripted").join(format!("{session}.jsonl")).exists(), "{screen}");
    type_line(&tmux, "hello");
    tmux.until("it got hello");
    type_line(&tmux, "echo code=$?");
    tmux.until("code=0");
    replays(&world);
}

#[test]
fn permissions_questions_and_plans_are_decided_at_the_terminal() {
    let world = World::new(&Value::Null);
    let ask =
        |command: &str| json!({"ask": {"tool": {"name": "Bash", "input": {"command": command}, "result": "made"}}});
    let options =
        json!([{"label": "SQLite", "description": "one file"}, {"label": "Postgres", "description": "a server"}]);
    world.play(&json!({
        "agent": [
            [
                {"say": "I begin."}, ask("touch a"), ask("rm -rf b"),
                {"questions": [{"question": "Which database?", "header": "DB", "options": options, "multiSelect": false}]},
                {"plan": "# The plan\n\n1. read\n2. write"},
                {"say": "All decided."},
            ],
            [{"say": "Nothing more."}],
        ],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    let tmux = shell(&world);
    type_line(&tmux, &ccc(&format!("--supervisor --agent {}", world.agent.display())));
    tmux.until("Ctrl-D detaches");
    type_line(&tmux, "Go.");
    choose(&tmux, "touch a", &["1"], "request 1 allowed");
    tmux.until("rm -rf b");
    choose(&tmux, "no, because", &["Down", "Down", "Enter"], "Enter sends it");
    type_line(&tmux, "it is needed");
    tmux.until("request 2 denied");
    choose(&tmux, "Which database?", &["2"], "request 3 answered");
    choose(&tmux, "2. write", &["Enter"], "request 4 allowed");
    tmux.until("All decided.");
    tmux.until("reviewed: the critic agrees");
    quit(&tmux);
    replays(&world);
}

#[test]
fn two_clients_see_the_same_and_the_first_decision_counts() {
    let world = World::new(&Value::Null);
    let ask = json!({"ask": {"tool": {"name": "Bash", "input": {"command": "touch a"}, "result": "made"}}});
    world.play(&json!({
        "agent": [[{"say": "I begin."}, ask, {"say": "Decided."}], [{"say": "Nothing more."}]],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    let first = shell(&world);
    type_line(&first, &ccc(&format!("--supervisor --agent {}", world.agent.display())));
    first.until("Ctrl-D detaches");
    type_line(&first, "Go.");
    first.until("yes, this once");
    let second = shell(&world);
    type_line(&second, &ccc("attach"));
    second.until("yes, this once");
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let _ = silent.recv_timeout(std::time::Duration::from_millis(600));
    second.press(&["1"]);
    for tmux in [&first, &second] {
        tmux.until("request 1 allowed");
        tmux.until("Decided.");
        assert!(!tmux.screen().contains("yes, this once"), "{}", tmux.screen());
    }
}

#[test]
fn edits_denials_retries_and_permission_modes_are_shown_at_the_terminal() {
    let world = World::new(&Value::Null);
    let edit = json!({
        "name": "Edit", "result": "done", "input": {"file_path": "a.rs", "old_string": "b", "new_string": "B"},
        "patch": [{"oldStart": 41, "oldLines": 2, "newStart": 41, "newLines": 2, "lines": [" a", "-b", "+B"]}],
    });
    world.play(&json!({
        "agent": [
            [{"say": "I begin."}, {"tool": edit}, {"deny": {"name": "Bash", "input": {"command": "rm b"}}}, waits_for_go(&world),
             {"retry": {"attempts": 1, "status": 529, "delay_ms": 5_000}}, {"say": "Done."}],
            [{"say": "Nothing more."}],
        ],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    let tmux = shell(&world);
    type_line(&tmux, &ccc(&format!("--supervisor --agent {}", world.agent.display())));
    tmux.until("Ctrl-D detaches");
    type_line(&tmux, "Go.");
    let screen = tmux.until("● Bash");
    assert!(screen.contains("\n  41  a\n  42 -b\n  42 +B\n"), "{screen}");
    assert_eq!(screen.matches("rm b").count(), 1, "{screen}");
    tmux.press(&["BTab"]);
    tmux.until_screen(" · mode acceptEdits");
    tmux.press(&["BTab"]);
    tmux.until_screen(" · mode plan");
    tmux.press(&["BTab"]);
    look_until("the usual mode", || (!tmux.screen().contains(" · mode ")).then_some(()));
    go(&world);
    tmux.until_screen(" · retry 1/");
    tmux.until("reviewed: the critic agrees");
    assert!(!tmux.screen().contains(" · retry "), "{}", tmux.screen());
    quit(&tmux);
    replays(&world);
}
