//! A native run that is steered from another terminal.

use std::process::Command;

use serde_json::{Value, json};

use super::{APPROVAL, NativeProject};
use crate::whole_runs::harness::{action, input, is_alive, look_until, text};

/// A turn that says something and then waits for the file `go`.
const WAITS: &str = "say 'One.'; until [ -e go ]; do sleep 0.05; done";
/// A turn that Esc interrupts; no hook tells of that.
const INTERRUPTIBLE: &str = "say 'One.'; until_esc";

/// The agent or the critic was started so often.
fn starts(project: &NativeProject, role: &str) -> usize {
    let journal = project.journal();
    journal.iter().filter_map(|entry| action(entry, "spawn")).filter(|spawn| spawn["role"] == role).count()
}

/// How often the run began to rest for such a reason.
fn rests(project: &NativeProject, why: &str) -> usize {
    let journal = project.journal();
    let decided = journal.iter().filter_map(|entry| action(entry, "decide"));
    decided.filter(|decide| decide["what"] == "rest" && text(&decide["why"]).starts_with(why)).count()
}

/// Waits until it has begun to rest for such a reason; so many times.
#[track_caller]
pub(super) fn until_rest(project: &NativeProject, why: &str, count: usize) {
    look_until(why, || (rests(project, why) >= count).then_some(()));
}

/// Waits until the critic works.
#[track_caller]
fn until_reviewed(project: &NativeProject) {
    look_until("the critic", || (starts(project, "critic") >= 1).then_some(()));
}

fn interface_pid(project: &NativeProject) -> u32 {
    let journal = project.journal();
    let spawned = journal.iter().rev().filter_map(|entry| input(entry, "spawned"));
    let mut spawned = spawned.filter(|spawned| spawned["transport"] == "terminal");
    spawned.next().and_then(|spawned| spawned["pid"].as_u64()).expect("an interface") as u32
}

#[track_caller]
fn done(project: &NativeProject, args: &[&str]) -> String {
    let (code, said) = project.ccc(args);
    assert_eq!(code, 0, "{args:?}: {said}");
    said
}

#[track_caller]
fn refused(project: &NativeProject, args: &[&str]) -> String {
    let (code, said) = project.ccc(args);
    assert_ne!(code, 0, "{args:?}: {said}");
    // Broken into lines.
    said.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A critic that agrees as soon as there is the file `judge`.
fn judge() -> Value {
    let waits = json!({"command": "until [ -e judge ]; do sleep 0.05; done"});
    json!([{"tool": {"name": "Bash", "input": waits, "real": true}}, {"say": APPROVAL}])
}

#[test]
fn a_paused_run_judges_nothing_holds_nothing_back_and_judges_after_the_pause() {
    let project = NativeProject::new(&[WAITS, "say 'Two.'"], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    done(&project, &["pause", "last"]);
    project.ground.write("go", "");
    tty.until("> ");
    until_rest(&project, "paused", 1);
    tty.type_in(b"Do two.\r");
    tty.until("Two.");
    tty.until("> ");
    until_rest(&project, "paused", 2);
    assert_eq!(starts(&project, "critic"), 0, "nothing is judged");
    done(&project, &["continue", "last"]);
    until_rest(&project, "judged", 1);
    assert_eq!((starts(&project, "critic"), starts(&project, "agent")), (1, 1));
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    project.ground.assert_sound();
}

#[test]
fn feedback_after_a_pause_is_said_by_a_new_start() {
    let project = NativeProject::new(&[WAITS, "say 'Two.'"], &["The second is missing.", APPROVAL]);
    let mut tty = project.start(&["-p", "Do both."]);
    tty.until("One.");
    done(&project, &["pause", "last"]);
    project.ground.write("go", "");
    tty.until("> ");
    until_rest(&project, "paused", 1);
    done(&project, &["continue", "last"]);
    tty.until("the interface begins (resume)");
    tty.until("The second is missing.");
    tty.until("Two.");
    project.leave(&mut tty);
}

#[test]
fn stop_ends_the_interface_and_gives_the_terminal_back() {
    for (turn, now, outcome, code) in [
        // At work, in a way that needs to be killed, and after a verdict.
        (WAITS, false, "interrupted", 130),
        ("trap '' TERM HUP INT; say 'One.'; while :; do sleep 1; done", true, "interrupted", 130),
        ("say 'One.'", false, "completed", 0),
    ] {
        let project = NativeProject::new(&[turn], &[APPROVAL]);
        let mut tty = project.start(&["-p", "Do one."]);
        tty.until("One.");
        if outcome == "completed" {
            tty.until("> ");
            until_rest(&project, "judged", 1);
        }
        let pid = interface_pid(&project);
        let args: &[&str] = if now { &["stop", "last", "--now", "--wait"] } else { &["stop", "last", "--wait"] };
        done(&project, args);
        assert_eq!(tty.end(), code, "{}", tty.text());
        assert_eq!(project.finish().0, outcome);
        assert!(!tty.is_raw() && tty.echoes(), "the terminal is given back");
        look_until("the interface's end", || (!is_alive(pid)).then_some(()));
        project.ground.assert_sound();
    }
}

#[test]
fn stop_while_the_work_is_judged_ends_the_critic_and_the_held_interface() {
    let project = NativeProject::with_critics(&["say 'One.'"], &[json!([{"sleep_ms": 600_000}])]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    until_reviewed(&project);
    done(&project, &["stop", "last", "--wait"]);
    assert_eq!(tty.end(), 130, "{}", tty.text());
    assert_eq!(project.finish().0, "interrupted");
    assert!(project.ground.alive(tty.pid()).is_empty());
    project.ground.assert_sound();
}

#[test]
fn interrupt_types_esc_and_the_run_waits_for_the_user() {
    let project = NativeProject::new(&[INTERRUPTIBLE, "say 'Two.'"], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    tty.until("Esc interrupts.");
    done(&project, &["interrupt", "last"]);
    tty.until("Interrupted.");
    tty.until("> ");
    until_rest(&project, "interrupted", 1);
    assert!(refused(&project, &["interrupt", "last"]).contains("there is nothing to be done"));
    assert_eq!(starts(&project, "critic"), 0, "an interrupted turn is not judged");
    tty.type_in(b"Do two.\r");
    tty.until("Two.");
    project.leave(&mut tty);
}

#[test]
fn interrupt_while_the_work_is_judged_gives_the_judging_up() {
    let project = NativeProject::with_critics(&["say 'One.'", "say 'Two.'"], &[judge(), judge()]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    until_reviewed(&project);
    done(&project, &["interrupt", "last"]);
    tty.until("> ");
    project.ground.write("judge", "");
    tty.type_in(b"Do two.\r");
    tty.until("Two.");
    project.leave(&mut tty);
}

#[test]
fn words_from_elsewhere_while_the_work_is_judged_are_said_at_the_held_stop() {
    let project = NativeProject::with_critics(&["say 'One.'", "say 'Two.'"], &[judge(), judge()]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    until_reviewed(&project);
    let said = done(&project, &["send", "last", "Do two, too."]);
    assert_eq!(said, "queued: the agent gets it as its next turn\n");
    project.ground.write("judge", "");
    tty.until("told: ");
    tty.until("Do two, too.");
    tty.until("Two.");
    tty.until("> ");
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    assert_eq!(starts(&project, "agent"), 1);
    project.ground.assert_sound();
}

#[test]
fn words_from_elsewhere_at_rest_wait_or_are_said_by_a_new_start_when_the_sender_does_not_wait() {
    let project = NativeProject::new(&["say 'One.'", "say 'Two.'", "say 'Three.'"], &[APPROVAL, APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    tty.until("> ");
    until_rest(&project, "judged", 1);
    let said = done(&project, &["send", "last", "Do two."]);
    let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(said.contains("the agent hears this at its next stop; to say it now"), "{said}");
    assert!(said.contains("ccc interrupt "), "{said}");
    done(&project, &["interrupt", "last"]);
    tty.until("the interface begins (resume)");
    tty.until("you: Do two.");
    tty.until("Two.");
    tty.until("> ");
    until_rest(&project, "judged", 2);
    done(&project, &["pause", "last"]);
    let said = done(&project, &["send", "last", "Do three."]);
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    assert!(said.contains("hears this at its next stop") || said.contains("paused"), "{said}");
    project.ground.assert_sound();
}

#[test]
fn answers_are_given_in_the_interface_and_answer_says_so() {
    let project = NativeProject::new(&[WAITS], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    let said = refused(&project, &["answer", "last", "1", "allow"]);
    assert!(said.contains("in its terminal") && said.contains("ccc interrupt "), "{said}");
    project.ground.write("go", "");
    tty.until("> ");
    tty.type_in(b"/exit\r");
    tty.end();
    project.ground.assert_sound();
}

#[test]
fn follow_and_a_terminal_that_only_reads_see_the_run_to_its_end() {
    let project = NativeProject::new(&[WAITS, "say 'Two.'"], &["The second is missing.", APPROVAL]);
    let mut tty = project.start(&["-p", "Do both."]);
    tty.until("One.");
    let watch = |args: &[&str]| {
        let mut command = project.ground.command(super::NOWHERE, args);
        command.env("NO_COLOR", "1");
        command
    };
    let follow = spawn(&mut watch(&["follow", "last", "--since", "0"]));
    let reads = spawn(&mut watch(&["attach", "last", "--read-only", "--plain"]));
    project.ground.write("go", "");
    tty.until("Two.");
    tty.until("> ");
    until_rest(&project, "judged", 1);
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    for watcher in [follow, reads] {
        let output = watcher.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{said}");
        for part in ["Do both.", "The second is missing.", "Two."] {
            assert!(said.contains(part), "no {part:?} in\n{said}");
        }
    }
    project.ground.assert_sound();
}

fn spawn(command: &mut Command) -> std::process::Child {
    use std::process::Stdio;
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ccc starts")
}

#[test]
fn an_attached_terminal_says_what_it_is_and_what_is_typed_there_is_said_at_the_next_stop() {
    let project = NativeProject::new(&[WAITS, "say 'Two.'"], &[APPROVAL]);
    let mut tty = project.start(&["-p", "Do one."]);
    tty.until("One.");
    let mut attached = crate::supervise::tty::Tty::start(&project.ground.command(super::NOWHERE, ["attach", "last"]));
    attached.until("its own interface on another terminal");
    attached.until("Do one.");
    attached.until("working");
    look_until("the raw terminal", || attached.is_raw().then_some(()));
    attached.type_in(b"Do two, too.");
    attached.until("Do two, too.");
    attached.type_in(b"\r");
    look_until("the message", || {
        let journal = project.journal();
        let said = |entry: &Value| input(entry, "operator").is_some_and(|operator| operator.get("say").is_some());
        journal.iter().any(said).then_some(())
    });
    project.ground.write("go", "");
    tty.until("told: ");
    tty.until("Two.");
    tty.until("> ");
    attached.until("Two.");
    until_rest(&project, "judged", 1);
    attached.type_in(b"\x04");
    attached.until("the run continues");
    assert_eq!(attached.end(), 0, "{}", attached.text());
    tty.type_in(b"/exit\r");
    assert_eq!(tty.end(), 0, "{}", tty.text());
    project.ground.assert_sound();
}
