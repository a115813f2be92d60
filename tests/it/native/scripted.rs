//! Whole runs with an interface of the tests' own on a terminal, and scripted critics.

use rustix::process::Signal;

use super::{APPROVAL, NativeProject};
use crate::whole_runs::harness::{action, input, look_until, send, text};

/// The pid of the interface that was started last.
fn interface_pid(project: &NativeProject) -> u32 {
    look_until("the interface", || {
        let journal = project.journal();
        let spawned = journal.iter().rev().find_map(|entry| input(entry, "spawned"))?;
        let is_interface = spawned["transport"] == "terminal";
        is_interface.then(|| spawned["pid"].as_u64().map(|pid| pid as u32))?
    })
}

#[test]
fn the_critics_feedback_goes_back_through_the_held_stop_until_it_agrees() {
    let project = NativeProject::new(
        &["say 'First half done.'", "tool 'echo more > half'; say 'Both halves done.'"],
        &["The second half is missing.", APPROVAL],
    );
    let mut tty = project.start(&["-p", "Do both halves."]);
    tty.until("the interface begins (startup)");
    tty.until("you: Do both halves.");
    tty.until("First half done.");
    tty.until("told: ");
    tty.until("The second half is missing.");
    tty.until("Both halves done.");
    // The screen is the interface's own again.
    tty.until("> ");
    tty.type_in(b"/exit\r");
    tty.until("bye");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    assert_eq!(project.finish().0, "completed");
    assert_eq!(project.ground.read("half"), "more\n");
    project.ground.assert_sound();
}

#[test]
fn after_a_verdict_the_users_next_words_go_on_in_the_same_run() {
    let project = NativeProject::new(&["say 'One.'", "say 'Two.'"], &[APPROVAL, APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    tty.until("> ");
    tty.type_in(b"Now do two.\r");
    tty.until("you: Now do two.");
    tty.until("Two.");
    tty.until("> ");
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    assert_eq!(project.ground.runs().len(), 1);
    let briefs: Vec<String> = project
        .journal()
        .iter()
        .filter_map(|entry| action(entry, "send"))
        .filter(|send| send["kind"] == "brief")
        .map(|send| text(&send["text"]))
        .collect();
    assert_eq!(briefs.len(), 2);
    assert!(briefs[1].contains("Do one.") && briefs[1].contains("Now do two."), "{}", briefs[1]);
    project.ground.assert_sound();
}

#[test]
fn an_interface_that_is_left_before_any_stop_ends_the_run_as_interrupted() {
    let project = NativeProject::new(&[], &[]);
    let mut tty = project.start(&[]);
    tty.until("> ");
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert!(tty.text().contains("the user left the agent's interface"), "{}", tty.text());
    assert!(!tty.is_raw(), "the terminal is given back");
    project.ground.assert_sound();
}

#[test]
fn an_interface_that_dies_comes_back_with_its_session_and_goes_on() {
    let project = NativeProject::new(&["printf '\\033[?1049h\\033[?25l'; kill -9 $$", "say 'All done.'"], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do it."]);
    tty.until("you: Do it.");
    // What it left switched on is switched off before the next one begins.
    tty.until("\x1b[?25h");
    tty.until("the interface begins (resume)");
    tty.until("you: Your process ended before you had finished");
    tty.until("All done.");
    project.leave(&mut tty);
}

#[test]
fn words_from_elsewhere_are_said_at_the_next_stop() {
    let project = NativeProject::new(&["say 'One.'; until [ -e go ]; do sleep 0.05; done", "say 'Two.'"], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    let (code, said) = project.ccc(&["send", "last", "Do two, too."]);
    assert_eq!(code, 0, "{said}");
    project.ground.write("go", "");
    tty.until("told: ");
    tty.until("Do two, too.");
    tty.until("Two.");
    project.leave(&mut tty);
}

#[test]
fn a_terminal_that_goes_away_ends_the_run_and_the_interface() {
    let project = NativeProject::new(&["say 'One.'; sleep 600"], &[]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    let pid = interface_pid(&project);
    send(tty.pid(), Signal::HUP);
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert_eq!(project.finish().0, "interrupted");
    look_until("the interface's end", || (!crate::whole_runs::harness::is_alive(pid)).then_some(()));
    assert!(project.ground.alive(tty.pid()).is_empty());
    project.ground.assert_sound();
}
