//! The agent's own interface: the turns of ccc and of the user in it, and its end.

use super::*;
use crate::agent::Role;
use serde_json::json;

fn native() -> Plan {
    Plan { agent: AgentKind::CLAUDE_NATIVE, conversation: true, ..plan() }
}

/// A hook of the interface reports this event.
fn hook(run: &mut Run, proc: u32, event: &str, fields: serde_json::Value) -> Vec<Action> {
    let mut hook =
        json!({"hook_event_name": event, "session_id": SESSION, "cwd": "/project", "permission_mode": "default"});
    let all = hook.as_object_mut().expect("an object");
    all.extend(fields.as_object().expect("an object").clone());
    run.line(proc, &hook.to_string())
}

fn prompt(run: &mut Run, proc: u32, text: &str) -> Vec<Action> {
    hook(run, proc, "UserPromptSubmit", json!({"prompt": text}))
}

fn stop(run: &mut Run, proc: u32, text: &str) -> Vec<Action> {
    hook(run, proc, "Stop", json!({"last_assistant_message": text, "background_tasks": [], "session_crons": []}))
}

fn attended(run: &mut Run) {
    run.feed(Input::Operator(OperatorInput::Attended { clients: 1, why: None }));
}

fn release_stop(proc: u32) -> Action {
    Action::ReleaseStop { proc: ProcId(proc) }
}

/// The interface was started with the task.
fn with_task() -> Run {
    let (mut run, actions) = Run::begin(native());
    let args = spawn(&actions).expect("a start").launch.args.clone();
    assert_eq!(args.last().map(String::as_str), Some("write a parser"), "{args:?}");
    attended(&mut run);
    assert_eq!(sent(&run.spawned(1)), None, "the task is said already");
    hook(&mut run, 1, "SessionStart", json!({"source": "startup", "model": "m-1"}));
    prompt(&mut run, 1, "write a parser");
    run
}

/// The interface has stopped; the critic is process 2.
fn reviewed() -> Run {
    let mut run = with_task();
    let actions = stop(&mut run, 1, "Done.");
    assert_eq!(spawn(&actions).map(|spawn| spawn.role), Some(Role::Critic), "{actions:?}");
    assert!(!actions.contains(&release_stop(1)), "the stop is held while it is judged");
    run
}

#[test]
fn feedback_answers_the_held_stop_and_approval_lets_it_go() {
    let mut run = reviewed();
    let actions = run.judge(2, 1, "t1", "The tests are missing.");
    assert_eq!(sent(&actions).map(|send| send.kind), Some(TurnKind::Brief));
    let feedback =
        actions.iter().rev().find_map(|action| if let Action::Send(send) = action { Some(send) } else { None });
    let feedback = feedback.expect("feedback");
    assert_eq!((feedback.proc, feedback.kind), (ProcId(1), TurnKind::Feedback));
    let said = crate::agent::Say::Turn { turn: &feedback.turn, kind: feedback.kind, text: &feedback.text, images: &[] };
    let reply = run.core.encode(ProcId(1), &said).expect("an answer to the hook");
    assert!(String::from_utf8_lossy(&reply).starts_with(r#"{"decision":"block","reason":"#));
    hook(&mut run, 1, "PreToolUse", json!({"tool_name": "Bash", "tool_use_id": "t1", "tool_input": {"command": "ls"}}));
    stop(&mut run, 1, "Now they are there.");
    let actions = run.judge(3, 3, "t2", "Good.\n\n[TASK_COMPLETED]");
    assert_eq!(actions.last(), Some(&release_stop(1)), "{actions:?}");
    assert_eq!(run.core.phase(), "completed");
    assert_eq!(finish(&actions), None, "the screen belongs to the user");
}

#[test]
fn what_the_user_says_there_is_a_turn_of_the_users_and_is_judged_with_the_task() {
    let mut run = reviewed();
    run.judge(2, 1, "t1", "Good.\n\n[TASK_COMPLETED]");
    let actions = prompt(&mut run, 1, "And a printer.");
    assert_eq!(decisions(&actions), ["go on with what the user said"]);
    assert_eq!((run.core.phase(), run.core.iteration()), ("working", 0), "each message has all iterations");
    let actions = stop(&mut run, 1, "Printed.");
    assert!(spawn(&actions).is_some(), "{actions:?}");
    let actions = run.judge(3, 3, "t2", "Good.\n\n[TASK_COMPLETED]");
    let brief = &sent(&actions).expect("a brief").text;
    assert!(brief.contains("write a parser") && brief.contains("And a printer."), "{brief}");
}

#[test]
fn without_a_task_the_first_words_there_are_the_task() {
    let (mut run, actions) = Run::begin(Plan { task: String::new(), ..native() });
    let args = &spawn(&actions).expect("the interface starts at once").launch.args;
    assert!(!args.contains(&"--".to_owned()), "{args:?}");
    attended(&mut run);
    run.spawned(1);
    hook(&mut run, 1, "SessionStart", json!({"source": "startup", "model": "m-1"}));
    prompt(&mut run, 1, "write a lexer");
    assert_eq!(run.core.plan().task, "write a lexer");
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn words_from_elsewhere_wait_for_the_next_stop_also_while_the_run_rests() {
    let mut run = reviewed();
    run.judge(2, 1, "t1", "Good.\n\n[TASK_COMPLETED]");
    let say = OperatorInput::Say { key: None, text: "And a printer.".to_owned(), images: Vec::new() };
    let actions = run.feed(Input::Operator(say));
    assert_eq!(run.core.taken(), &Taken::Queued { ahead: 0 });
    assert_eq!(actions, [], "the user has the interface");
    prompt(&mut run, 1, "And a scanner.");
    let actions = stop(&mut run, 1, "Scanned.");
    assert_eq!(sent(&actions).map(|send| send.text.as_str()), Some("And a printer."));
}

#[test]
fn a_user_who_does_not_wait_for_the_verdict_is_served_first() {
    let mut run = reviewed();
    let actions = run.line(1, crate::agent::HOOK_GONE);
    assert_eq!(decisions(&actions)[0], "give up the judging of this stop");
    assert!(!actions.contains(&release_stop(1)), "nothing waits: {actions:?}");
    assert_eq!(run.core.phase(), "waiting");
    prompt(&mut run, 1, "Take tabs.");
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn words_in_the_middle_of_a_review_give_it_up_and_let_the_stop_go() {
    let mut run = reviewed();
    let actions = prompt(&mut run, 1, "Take tabs.");
    assert_eq!(decisions(&actions)[0], "answer the user first");
    let bytes: Vec<(ProcId, Vec<u8>)> = std::iter::from_fn(|| run.core.poll_send()).collect();
    assert_eq!(bytes, [(ProcId(1), b"{}".to_vec())], "the protocol itself lets the stop go");
}

#[test]
fn the_end_of_the_interface_ends_the_run_with_its_last_verdict() {
    let mut run = reviewed();
    run.judge(2, 1, "t1", "Good.\n\n[TASK_COMPLETED]");
    run.exited(2, 0, "");
    hook(&mut run, 1, "SessionEnd", json!({"reason": "prompt_input_exit"}));
    let actions = run.exited(1, 0, "");
    assert_eq!(finish(&actions).map(|finish| finish.outcome), Some(Outcome::Completed));

    let mut run = with_task();
    let actions = run.exited(1, 0, "");
    let finish = finish(&actions).expect("an end");
    let reason = "the user left the agent's interface before the work was judged";
    assert_eq!((finish.outcome, finish.reason.as_str()), (Outcome::Interrupted, reason));

    let mut run = reviewed();
    hook(&mut run, 1, "SessionEnd", json!({"reason": "logout"}));
    run.exited(1, 1, "");
    run.spawned(2);
    let actions = run.exited(2, 0, "");
    assert_eq!(super::finish(&actions).map(|finish| finish.outcome), Some(Outcome::Interrupted));
}

/// The interface is killed; gives the actions that follow, at once or after a pause.
fn again(run: &mut Run) -> Vec<Action> {
    let actions = run.crashed(1);
    if spawn(&actions).is_some() { actions } else { run.wait() }
}

#[test]
fn an_interface_that_dies_is_started_again_with_words_in_a_turn_and_without_at_rest() {
    let mut run = with_task();
    let actions = again(&mut run);
    let args = &spawn(&actions).expect("a start").launch.args;
    assert!(args.contains(&"--resume".to_owned()), "{args:?}");
    assert!(args.last().is_some_and(|words| words.starts_with("Your process ended")), "{args:?}");

    let mut run = reviewed();
    run.judge(2, 1, "t1", "Good.\n\n[TASK_COMPLETED]");
    let actions = again(&mut run);
    let args = &spawn(&actions).expect("a start").launch.args;
    assert!(args.contains(&"--resume".to_owned()) && !args.contains(&"--".to_owned()), "{args:?}");
    assert_eq!(run.core.phase(), "completed");
}

#[test]
fn a_failed_turn_is_continued_by_a_start_with_words() {
    let mut run = with_task();
    hook(&mut run, 1, "StopFailure", json!({"error": "server_error", "last_assistant_message": "API Error: 500"}));
    let actions = run.wait();
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(sent(&actions), None, "no stop is held that it could answer");
    let actions = run.exited(1, 143, "");
    let args = &spawn(&actions).expect("a start").launch.args;
    assert!(args.last().is_some_and(|words| words.starts_with("Your last turn was cut off")), "{args:?}");
}

#[test]
fn an_interruption_from_elsewhere_is_a_key_and_the_run_rests() {
    let mut run = with_task();
    let actions = run.feed(Input::Operator(OperatorInput::StopTurn));
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(run.core.taken(), &Taken::Done);
    assert_eq!(run.core.phase(), "waiting");
    prompt(&mut run, 1, "Take tabs.");
    assert_eq!(run.core.phase(), "working");
}

#[test]
fn an_interruption_at_rest_says_what_waits_by_a_new_start() {
    let mut run = reviewed();
    run.judge(2, 1, "t1", "Good.\n\n[TASK_COMPLETED]");
    run.exited(2, 0, "");
    run.feed(Input::Operator(OperatorInput::StopTurn));
    assert_eq!(run.core.taken(), &Taken::Refused(Refused::Nothing), "nothing waits");
    let key = Some("k".to_owned());
    let say = || OperatorInput::Say { key: key.clone(), text: "And a printer.".to_owned(), images: Vec::new() };
    run.feed(Input::Operator(say()));
    let actions = run.feed(Input::Operator(OperatorInput::StopTurn));
    assert_eq!(run.core.taken(), &Taken::Done);
    assert!(actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    let actions = run.exited(1, 143, "");
    let args = &spawn(&actions).expect("a start").launch.args;
    assert!(args.ends_with(&["--".to_owned(), "And a printer.".to_owned()]), "{args:?}");
}

#[test]
fn a_paused_interface_comes_back_without_words() {
    let mut run = with_task();
    run.feed(Input::Operator(OperatorInput::Pause));
    let actions = again(&mut run);
    let start = spawn(&actions).expect("a start");
    let (proc, args) = (start.proc, start.launch.args.clone());
    assert!(!args.contains(&"--".to_owned()), "{args:?}");
    assert_eq!(run.core.phase(), "paused");
    run.spawned(proc.0);
    hook(&mut run, proc.0, "SessionStart", json!({"source": "resume", "model": "m-1"}));
    let actions = run.feed(Input::Operator(OperatorInput::Continue));
    assert!(actions.contains(&Action::CloseStdin { proc }), "it takes words only at its start: {actions:?}");
    let actions = run.exited(proc.0, 143, "");
    let args = &spawn(&actions).expect("a start").launch.args;
    assert!(args.last().is_some_and(|words| words.starts_with("Your process ended")), "{args:?}");
}

#[test]
fn silence_of_an_interface_is_nobodys_hang() {
    let run = with_task();
    let deadline = run.core.poll_timeout();
    assert!(deadline.is_none_or(|deadline| deadline.ms_since(run.now) > 3_600_000), "{deadline:?}");
}

#[test]
fn what_belongs_to_the_interface_is_refused_from_elsewhere_with_words() {
    let mut run = with_task();
    for (operator, part) in [
        (
            OperatorInput::Rule { ask: AskId(1), key: None, ruling: Ruling::Deny { reason: String::new() } },
            "answer there",
        ),
        (OperatorInput::Set(Change::Model("opus".to_owned())), "/model there"),
    ] {
        run.feed(Input::Operator(operator));
        let Taken::Refused(why) = run.core.taken() else { panic!("{:?}", run.core.taken()) };
        assert!(why.in_words().contains(part), "{}", why.in_words());
    }
}
