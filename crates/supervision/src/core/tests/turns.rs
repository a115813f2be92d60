//! The delivery of turns: exactly once, whatever happens to the process.

use super::*;
use crate::agent::Say;

#[test]
fn the_task_is_sent_once_when_the_agent_runs_and_not_before() {
    let (mut run, actions) = Run::begin(plan());
    assert_eq!(spawn(&actions).map(|spawn| spawn.proc), Some(ProcId(1)));
    assert_eq!(sent(&actions), None);
    let actions = run.spawned(1);
    let send = sent(&actions).expect("the task");
    assert_eq!((send.proc, send.kind, send.text.as_str()), (ProcId(1), TurnKind::Task, "write a parser"));
    let turn = send.turn.clone();
    assert_eq!(sent(&run.lines(1, &accepted(&turn))), None);
}

#[test]
fn a_crash_before_the_acknowledgement_sends_the_same_turn_again_to_the_same_session() {
    let (mut run, turn) = working(plan());
    let actions = run.crashed(1);
    let again = spawn(&actions).expect("a restart without a pause");
    assert!(again.launch.args.windows(2).any(|pair| pair == ["--session-id", SESSION]), "{:?}", again.launch.args);
    let actions = run.spawned(2);
    let send = sent(&actions).expect("the task again");
    assert_eq!((&send.turn, send.kind), (&turn, TurnKind::Task));
}

#[test]
fn a_crash_after_the_acknowledgement_resumes_and_says_continue() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let actions = run.crashed(1);
    let again = spawn(&actions).expect("a restart");
    assert!(again.launch.args.windows(2).any(|pair| pair == ["--resume", SESSION]), "{:?}", again.launch.args);
    assert!(again.launch.args.windows(2).any(|pair| pair == ["--model", "m-1"]), "the model of the last init is kept");
    let actions = run.spawned(2);
    let send = sent(&actions).expect("a turn");
    assert_eq!(send.kind, TurnKind::Continue);
    assert_ne!(send.turn, turn);
}

#[test]
fn a_duplicate_acknowledgement_leads_to_continue() {
    let (mut run, turn) = working(plan());
    run.crashed(1);
    run.spawned(2);
    // The session has the turn after all: replayed without a timestamp, then idle, and no result (facts 2.1.329, D).
    let lines = [
        format!(
            r#"{{"type":"user","message":{{"role":"user","content":"x"}},"uuid":"{turn}","isReplay":true,"session_id":"{SESSION}"}}"#
        ),
        format!(
            r#"{{"type":"command_lifecycle","command_uuid":"{turn}","state":"completed","session_id":"{SESSION}"}}"#
        ),
        format!(r#"{{"type":"system","subtype":"session_state_changed","state":"idle","session_id":"{SESSION}"}}"#),
    ];
    assert_eq!(kinds(&run.lines(2, &lines)), [TurnKind::Continue]);
}

#[test]
fn a_session_that_exists_is_resumed_and_one_that_does_not_is_begun() {
    let (mut run, _) = working(plan());
    let actions = run.exited(1, 1, &format!("Error: Session ID {SESSION} is already in use.\n"));
    let resumed = spawn(&actions).expect("a restart");
    assert!(resumed.launch.args.contains(&"--resume".to_owned()));
    run.spawned(2);
    let actions = run.exited(2, 1, &format!("No conversation found with session ID: {SESSION}\n"));
    let begun = spawn(&actions).expect("a restart");
    assert!(begun.launch.args.contains(&"--session-id".to_owned()));
}

#[test]
fn a_session_that_can_be_neither_resumed_nor_begun_is_replaced_by_a_new_one() {
    let (mut run, _) = working(plan());
    // Up to two pauses may precede the restart.
    let started = |actions: Vec<Action>, run: &mut Run| {
        let paused = (0..2).fold(actions, |last, _| if spawn(&last).is_some() { last } else { run.wait() });
        let process = spawn(&paused).unwrap_or_else(|| panic!("no restart in {paused:?}"));
        let (proc, args) = (process.proc.0, process.launch.args.clone());
        run.spawned(proc);
        (proc, args)
    };
    let killed = run.crashed(1);
    let (resumed, _) = started(killed, &mut run);
    let unknown = run.exited(resumed, 1, &format!("No conversation found with session ID: {SESSION}\n"));
    let (begun, args) = started(unknown, &mut run);
    assert!(args.windows(2).any(|pair| pair == ["--session-id", SESSION]), "{args:?}");
    let in_use = run.exited(begun, 1, &format!("Error: Session ID {SESSION} is already in use.\n"));
    assert!(decisions(&in_use).contains(&"begin a new session"), "{in_use:?}");
    let (_, args) = started(in_use, &mut run);
    assert!(args.contains(&"--session-id".to_owned()) && !args.contains(&SESSION.to_owned()), "{args:?}");
}

#[test]
fn a_session_that_the_user_named_is_never_invented() {
    let resume = Plan { session: SessionStart::Resume(SESSION.to_owned()), ..plan() };
    let (mut run, _) = working(resume);
    let mut actions = run.exited(1, 1, &format!("No conversation found with session ID: {SESSION}\n"));
    assert_eq!(spawn(&actions), None);
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("does not exist"), "{}", end.reason);
    actions.clear();
}

#[test]
fn an_unknown_option_is_never_restarted_and_says_so() {
    let (mut run, _) = working(plan());
    let actions = run.exited(1, 1, "error: unknown option '--replay-user-messages'\n");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("unknown option '--replay-user-messages'"), "{}", end.reason);
}

#[test]
fn restarts_in_a_row_are_bounded_and_a_finished_turn_starts_the_count_anew() {
    let two = Budgets { max_restarts: 2, ..plan().budgets };
    let (mut run, _) = working(Plan { budgets: two, ..plan() });
    let mut proc = 1;
    let mut ends = 0;
    let end = loop {
        let mut actions = run.crashed(proc);
        ends += 1;
        if finish(&actions).is_none() && spawn(&actions).is_none() {
            actions = run.wait();
        }
        if let Some(finish) = finish(&actions) {
            break finish.clone();
        }
        proc = spawn(&actions).expect("a restart").proc.0;
        run.spawned(proc);
    };
    assert_eq!((ends, end.restarts, end.outcome), (3, 2, Outcome::Failed));
    assert!(end.reason.contains("3 times in a row"), "{}", end.reason);
}

#[test]
fn what_the_user_says_during_a_turn_is_said_at_its_end_before_any_review() {
    let (mut run, turn) = working(plan());
    let actions = run.feed(Input::Operator(OperatorInput::Turn { text: "keep it short".to_owned() }));
    assert_eq!(sent(&actions), None);
    let actions = run.work(1, &turn, "Done.");
    let send = sent(&actions).expect("the user's words");
    assert_eq!((send.kind, send.text.as_str()), (TurnKind::Operator, "keep it short"));
    assert_eq!(spawn(&actions), None, "no critic yet");
}

#[test]
fn what_the_user_says_during_a_review_waits_for_the_verdict_and_goes_before_the_feedback() {
    for verdict in ["Add a test.", "All there.\n\n[TASK_COMPLETED]", "Which one?\n[NEEDS_USER]"] {
        let mut run = reviewing(plan());
        let actions = run.feed(Input::Operator(OperatorInput::Turn { text: "keep it short".to_owned() }));
        assert_eq!(actions, [], "the review goes on");
        let actions = run.judge(2, 1, "t", verdict);
        let said: Vec<_> = actions.iter().filter_map(|action| action.says()).collect();
        let operators = said.iter().filter(
            |(_, say)| matches!(say, Say::Turn { kind: TurnKind::Operator, text, .. } if *text == "keep it short"),
        );
        assert_eq!(operators.count(), 1, "{verdict}: {actions:?}");
        assert!(!kinds(&actions).contains(&TurnKind::Feedback), "{verdict}: {actions:?}");
        assert_eq!(finish(&actions), None, "{verdict}");
    }
}

#[test]
fn what_the_user_says_during_a_wait_is_said_after_what_the_wait_cut_off() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.lines(1, &failed(&turn, 529, "overloaded"));
    assert_eq!(run.core.phase(), "waiting");
    let actions = run.feed(Input::Operator(OperatorInput::Turn { text: "keep it short".to_owned() }));
    assert_eq!((actions, run.core.phase()), (vec![], "waiting"));
    let actions = run.wait();
    let goes_on = sent(&actions).expect("the wait is over").clone();
    assert_eq!(goes_on.kind, TurnKind::Continue);
    let actions = run.work(1, &goes_on.turn, "Done.");
    let send = sent(&actions).expect("the user's words");
    assert_eq!((send.kind, send.text.as_str()), (TurnKind::Operator, "keep it short"));
    assert_eq!(spawn(&actions), None, "no critic yet");
}

#[test]
fn a_stalled_agent_is_ended_rung_by_rung_and_the_turn_is_continued() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let mut steps = Vec::new();
    for _ in 0..5 {
        steps.extend(run.wait().into_iter().filter(|action| !matches!(action, Action::Decide(_) | Action::Note(_))));
    }
    let proc = ProcId(1);
    assert_eq!(
        steps,
        vec![
            Action::Interrupt { proc },
            Action::CloseStdin { proc },
            Action::Signal { proc, signal: Signal::Int },
            Action::Signal { proc, signal: Signal::Term },
            Action::KillTree { proc },
        ]
    );
    let actions = run.crashed(1);
    assert!(spawn(&actions).is_some());
    assert_eq!(kinds(&run.spawned(2)), [TurnKind::Continue]);
}

#[test]
fn a_failing_provider_is_waited_for_and_the_turn_is_continued_on_the_same_process() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let actions = run.lines(1, &failed(&turn, 529, "overloaded"));
    assert_eq!((sent(&actions), spawn(&actions), finish(&actions)), (None, None, None));
    assert_eq!(run.core.phase(), "waiting");
    let actions = run.wait();
    assert_eq!(kinds(&actions), [TurnKind::Continue]);
    assert_eq!(sent(&actions).map(|send| send.proc), Some(ProcId(1)), "no restart for a passing failure");
}

#[test]
fn a_refused_credential_ends_the_run_and_says_what_to_do() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.lines(1, &failed(&turn, 401, "authentication_failed"));
    let turn = sent(&run.wait()).expect("it is tried once more").turn.clone();
    run.lines(1, &accepted(&turn));
    run.lines(1, &failed(&turn, 401, "authentication_failed"));
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Failed);
    // No token is known to ccc: the agent may have sent none.
    assert!(end.reason.contains("has found no credential") && end.reason.contains("log in"), "{}", end.reason);
    assert!(!end.reason.contains("was refused"), "{}", end.reason);
}

#[test]
fn a_spent_limit_is_waited_for_and_is_no_iteration() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    // Wall time at tick zero is 1000 s; the reset is an hour later.
    let rejected = format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":4600,"rateLimitType":"five_hour"}},"session_id":"{SESSION}"}}"#
    );
    run.line(1, &rejected);
    let mut lines = failed(&turn, 429, "rate_limit");
    lines[1] = lines[1].replace("\"num_turns\"", "\"api_error\":\"usage_limit_reached\",\"num_turns\"");
    run.lines(1, &lines);
    assert_eq!((run.core.phase(), run.core.iteration()), ("waiting", 0));
    let mut actions = Vec::new();
    let mut looks = 0;
    while sent(&actions).is_none() {
        actions = run.wait();
        looks += 1;
        assert!(looks < 70, "it goes on alone");
    }
    assert!(run.now.as_ms() >= 3_600_000, "not before the reset: {} ms", run.now.as_ms());
    assert!(run.now.as_ms() < 3_600_000 + 10_000, "soon after it: {} ms", run.now.as_ms());
    assert_eq!(kinds(&actions), [TurnKind::Continue]);
}

#[test]
fn without_waiting_a_spent_limit_ends_as_limits() {
    let (mut run, turn) = working(Plan { no_wait: true, ..plan() });
    run.lines(1, &accepted(&turn));
    let mut lines = failed(&turn, 429, "rate_limit");
    lines[1] = lines[1].replace("\"num_turns\"", "\"api_error\":\"usage_limit_reached\",\"num_turns\"");
    run.lines(1, &lines);
    let actions = run.exited(1, 1, "");
    assert_eq!(finish(&actions).map(|end| end.outcome), Some(Outcome::Limits));
}

/// Found by the fuzz target `core`: the run made no progress, and its deadline stayed due forever.
#[test]
fn an_agent_that_survives_its_kill_is_given_up_and_another_is_started() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let mut actions = Vec::new();
    // The agent hangs, and no step of the shutdown ends it.
    while spawn(&actions).is_none() {
        actions = run.wait();
        assert!(run.now < Tick::ZERO.plus_ms(600_000), "nothing is done about it");
    }
    assert_eq!(run.core.poll_timeout(), None, "nobody is asked for anything before it runs");
    let actions = run.spawned(2);
    assert_eq!(kinds(&actions), [TurnKind::Continue]);
    assert!(run.core.poll_timeout().is_some_and(|due| due > run.now));
    let late = run.crashed(1);
    assert!(spawn(&late).is_none() && sent(&late).is_none(), "its late end changes nothing: {late:?}");
}

/// Found by the fuzz target `core`: the deadline of the wait stayed due, so the driver would have looped forever.
#[test]
fn an_agent_that_runs_again_when_its_wait_is_over_has_as_long_as_a_model() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(1, r#"{"type":"system","subtype":"task_started","task_id":"b","is_backgrounded":true}"#);
    run.lines(1, &answered(&turn, "Started."));
    run.line(1, r#"{"type":"system","subtype":"session_state_changed","state":"running"}"#);
    run.wait();
    let settled = run.now;
    assert!(run.core.poll_timeout().is_some_and(|due| due > settled), "no deadline stays due");
    assert_eq!(decisions(&run.wait()), ["end the agent's process"]);
    assert_eq!(run.now.ms_since(settled) / 1_000, plan().timeouts.stall_ms / 1_000);
}
