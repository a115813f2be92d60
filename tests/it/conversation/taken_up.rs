//! A conversation that was left is taken up as one; and a conversation in lines, without cursor movement.

use serde_json::{Value, json};

use super::tmux::Tmux;
use super::whole::{ccc, go, replays, shell, type_line, world};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::look_until;

/// Starts a conversation in the world's shell.
fn converse(world: &World, tmux: &Tmux, more: &str) {
    type_line(tmux, &ccc(&format!("--supervisor --agent {} {more}", world.agent.display())));
}

fn summary(world: &World) -> Option<Value> {
    let text = std::fs::read_to_string(world.run_dir().join("run.json")).ok()?;
    serde_json::from_str(&text).ok()
}

/// Waits until the critic agrees.
fn until_judged(world: &World) {
    look_until("a verdict", || (summary(world)?["phase"] == "completed").then_some(()));
}

/// Waits until the run has ended.
fn until_ended(world: &World) {
    look_until("the end of the run", || summary(world)?["outcome"].as_str().map(|_| ()));
}

#[test]
fn a_conversation_that_has_ended_is_taken_up_with_its_history_and_the_next_message() {
    let world = world();
    go(&world);
    let tmux = shell(&world);
    converse(&world, &tmux, "");
    tmux.until("/help");
    type_line(&tmux, "Fix the parser.");
    tmux.until("Second done.");
    until_judged(&world);
    // A bound that is set in the conversation stays when it is taken up.
    type_line(&tmux, "/budget iterations 7");
    tmux.until("/7");
    // After a verdict Ctrl-D tells the truth.
    tmux.press(&["C-d"]);
    tmux.until("the run ends in a minute");
    tmux.until("ccc resume");
    // The command that it shows works within that minute, too.
    type_line(&tmux, &format!("clear; {}", ccc(&format!("resume {}", world.run_id()))));
    tmux.until("is still active");
    tmux.until("/help");
    tmux.press(&["C-d"]);
    tmux.until("the run ends in a minute");
    world.run(&["stop", "last", "--wait"]).assert_code(0);
    until_ended(&world);
    let id = world.run_id();
    // What has ended shows its history, and says how it goes on.
    type_line(&tmux, &format!("clear; {}", ccc(&format!("attach {id} --plain"))));
    tmux.until(&format!("to continue it: ccc resume {id}"));
    type_line(&tmux, &format!("clear; {}", ccc(&format!("resume {id}"))));
    // Keys that are typed before the conversation has the terminal are the shell's.
    let screen = tmux.until("taken up");
    assert!(screen.rfind("First done.") > screen.rfind("ccc resume"), "{screen}");
    type_line(&tmux, "And the docs.");
    tmux.until("Third done.");
    tmux.until("1/7");
    replays(&world);
    type_line(&tmux, "/quit");
    until_ended(&world);
}

#[test]
fn without_a_terminal_or_with_words_a_run_is_resumed_as_ever() {
    let world = world();
    go(&world);
    let tmux = shell(&world);
    converse(&world, &tmux, "");
    tmux.until("/help");
    type_line(&tmux, "Fix the parser.");
    until_judged(&world);
    // As in the agent's own interface.
    type_line(&tmux, "/exit");
    until_ended(&world);
    // The summary is written before the lock is released.
    let refused = look_until("the end of its ccc", || {
        Some(world.run(&["resume", "last"])).filter(|refused| !refused.stderr.contains("is in use"))
    });
    refused.assert_code(2);
    assert!(refused.stderr.contains("there is nothing to continue"), "{}", refused.stderr);
}

#[test]
fn a_conversation_is_held_in_lines_where_no_cursor_may_move() {
    let world = World::new(&Value::Null);
    let ask =
        |command: &str| json!({"ask": {"tool": {"name": "Bash", "input": {"command": command}, "result": "made"}}});
    let options =
        json!([{"label": "SQLite", "description": "one file"}, {"label": "Postgres", "description": "a server"}]);
    let question = |text: &str| json!({"question": text, "header": "H", "options": options, "multiSelect": false});
    world.play(&json!({
        "agent": [
            [
                {"say": "I **begin**."}, ask("touch a"), ask("rm -rf b"),
                {"questions": [question("Which database?"), question("Which copy?")]},
                {"say": "All decided."},
            ],
            [{"say": "Nothing more."}],
        ],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    let tmux = shell(&world);
    converse(&world, &tmux, "--plain");
    tmux.until("type the task and Enter");
    type_line(&tmux, "Go.");
    // A line counts when what is asked has stood for a moment.
    let answer = |shown: &str, line: &str, then: &str| {
        tmux.until(shown);
        let (_never, silent) = std::sync::mpsc::channel::<()>();
        let _ = silent.recv_timeout(std::time::Duration::from_millis(600));
        type_line(&tmux, line);
        tmux.until(then);
    };
    answer("type a number and Enter", "7", "is not one of the choices");
    let screen = tmux.screen();
    for part in ["I **begin**.", "request 1: the agent wants to use Bash", "  touch a", "1: yes, this once", "3: no"] {
        assert!(screen.contains(part), "{part}:\n{screen}");
    }
    answer("is not one of the choices", "1", "request 1: allowed");
    answer("request 2: the agent wants to use Bash", "4", "why not?");
    type_line(&tmux, "it is needed");
    tmux.until("request 2: denied");
    answer("question 1 of 2: Which database?", "2", "question 2 of 2: Which copy?");
    answer("question 2 of 2", "9", "number from 1 to 2");
    answer("number from 1 to 2", "1", "request 3: answered");
    tmux.until("All decided.");
    world.until_entry("an end", |entry| entry.to_string().contains("TASK_COMPLETED"));
    type_line(&tmux, "/quit");
    until_ended(&world);
    assert_eq!(world.turns().iter().filter(|(_, text)| ["1", "2", "4", "7", "9"].contains(&text.as_str())).count(), 0);
    replays(&world);
}
