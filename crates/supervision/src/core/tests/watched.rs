//! The watch and the restart policy in the machine: what follows silence, a request and an end, and how waits for the wall
//! clock end.

use super::*;
use crate::agent::Role;

const QUESTION: &str = r#"{"type":"control_request","request_id":"r-1","request":{"subtype":"can_use_tool","tool_name":"Bash","tool_use_id":"t-1","input":{"command":"touch x"}}}"#;
const FORM: &str = r#"{"type":"control_request","request_id":"r-2","request":{"subtype":"elicitation","mcp_server_name":"forms","message":"Your name?","mode":"form","requested_schema":{"type":"object"}}}"#;
const NEWS: &str = r#"{"type":"control_request","request_id":"r-3","request":{"subtype":"news"}}"#;
const NEEDS_ACTION: &str = r#"{"type":"system","subtype":"session_state_changed","state":"requires_action"}"#;
const HOUR_MS: u64 = 3_600_000;

fn ended_in(actions: &[Action]) -> bool {
    actions.iter().any(|action| matches!(action, Action::Interrupt { .. } | Action::CloseStdin { .. }))
}

#[test]
fn a_permission_is_denied_at_once_counted_and_no_stall() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(1, NEEDS_ACTION);
    let actions = run.line(1, QUESTION);
    let answer = actions.iter().find_map(|action| {
        if let Action::DenyTool { proc, request_id, denial } = action {
            Some((*proc, request_id.as_str(), denial.as_str()))
        } else {
            None
        }
    });
    let (proc, request_id, denial) = answer.expect("an answer");
    assert_eq!((proc, request_id), (ProcId(1), "r-1"));
    assert!(denial.contains("unattended"), "{denial}");
    assert!(run.core.tally.missing_permissions().is_some_and(|missing| missing.contains("Bash touch x (1x)")));
    // The result repeats the denial, which counts once.
    let mut lines = answered(&turn, "I could not.");
    lines[0] = lines[0].replace(
        r#""permission_denials":[]"#,
        r#""permission_denials":[{"tool_name":"Bash","tool_use_id":"t-1","tool_input":{"command":"touch x"}}]"#,
    );
    run.lines(1, &lines);
    assert!(run.core.tally.missing_permissions().is_some_and(|missing| missing.contains("(1x)")));
}

#[test]
fn a_permission_that_somebody_else_gives_is_waited_for_through_the_night() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(1, NEEDS_ACTION);
    run.now = run.now.plus_ms(12 * HOUR_MS);
    let actions = run.feed(Input::Elapsed { unix_ms: 0 });
    assert!(!ended_in(&actions), "{actions:?}");
    let actions = run.lines(1, &answered(&turn, "Done."));
    assert!(spawn(&actions).is_some(), "the critic is asked");
}

#[test]
fn a_form_is_cancelled_at_once_and_shown_and_an_unknown_question_is_refused() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(1, NEEDS_ACTION);
    let actions = run.line(1, FORM);
    let cancelled = Action::CancelForm { proc: ProcId(1), request_id: "r-2".to_owned() };
    assert!(actions.contains(&cancelled), "{actions:?}");
    let told =
        |show: &Show| matches!(show, Show::Notice { text } if text.contains("`forms`") && text.contains("Your name?"));
    assert!(run.shown.iter().any(told), "{:?}", run.shown);
    let actions = run.line(1, NEWS);
    let refused = actions.iter().find_map(|action| {
        if let Action::Refuse { request_id, why, .. } = action { Some((request_id.as_str(), why)) } else { None }
    });
    let (request_id, why) = refused.expect("an answer");
    assert_eq!(request_id, "r-3");
    assert!(why.contains("unattended") && why.contains("`news`"), "{why}");
    // Neither extends the timeout of the model.
    let asked = run.now;
    while !ended_in(&run.wait()) {}
    assert_eq!(run.now.ms_since(asked) / 1_000, 180);
}

/// A minute of signs of life, one a second, of every kind.
fn chatter(run: &mut Run) {
    const HEARTBEAT: &str = r#"{"type":"tool_progress","tool_use_id":"t-1-heartbeat-0","tool_name":"Bash","parent_tool_use_id":"t-1","elapsed_time_seconds":30,"heartbeat":true}"#;
    const KEEP_ALIVE: &str = r#"{"type":"keep_alive"}"#;
    const RUNNING: &str = r#"{"type":"system","subtype":"session_state_changed","state":"running"}"#;
    for second in 0..60 {
        run.now = run.now.plus_ms(1_000);
        match second % 6 {
            0 => drop(run.line(1, HEARTBEAT)),
            1 => drop(run.line(1, KEEP_ALIVE)),
            2 => drop(run.feed(Input::Line { proc: ProcId(1), line: LineFact::Noise("x".to_owned()) })),
            3 => drop(run.line(1, RUNNING)),
            4 => drop(run.line(1, r#"{"type":"news"}"#)),
            _ => drop(run.feed(Input::Line { proc: ProcId(1), line: LineFact::TooLong(99_000_000) })),
        }
    }
}

#[test]
fn signs_of_life_alone_do_not_save_a_hung_tool_and_the_reason_says_so() {
    let limits = Timeouts { tool_ms: 90_000, tool_given: true, ..plan().timeouts };
    let (mut run, turn) = working(Plan { timeouts: limits, ..plan() });
    run.lines(1, &accepted(&turn));
    run.line(1, r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t-1","name":"Bash","input":{"command":"make","timeout":600000}}]},"parent_tool_use_id":null}"#);
    let started = run.now;
    chatter(&mut run);
    let mut actions = Vec::new();
    while !ended_in(&actions) {
        actions = run.wait();
    }
    assert_eq!(run.now.ms_since(started) / 1_000, 90);
    assert_eq!(decisions(&actions), ["end the agent's process"]);
    let why = actions
        .iter()
        .find_map(|action| if let Action::Decide(decision) = action { Some(&decision.why) } else { None });
    assert!(why.is_some_and(|why| why.contains("only signs of life") && why.contains("Bash")), "{why:?}");
}

#[test]
fn what_is_waited_for_is_shown_and_told_to_the_heart() {
    let (mut run, turn) = working(plan());
    assert!(run.core.awaited().is_some_and(|awaited| awaited.what.contains("SessionStart hook")), "of a start");
    run.lines(1, &accepted(&turn));
    assert_eq!(run.core.awaited().map(|awaited| awaited.what), Some("the model".to_owned()));
    let asked = run.now;
    assert_eq!(run.wait_once(), []);
    assert_eq!(run.now.ms_since(asked) / 1_000, 60, "a minute later the user hears of it");
    let shown = run.awaited();
    let [Show::Awaited { what, for_ms, left_ms, then, .. }] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!(
        (what.as_str(), for_ms / 1_000, left_ms.div_ceil(1_000), *then),
        ("the model", 60, 120, AfterWait::Hung)
    );
}

#[test]
fn background_work_is_announced_with_its_name_and_its_limit() {
    let limits = Timeouts { background_ms: Some(600_000), ..plan().timeouts };
    let (mut run, turn) = working(Plan { timeouts: limits, ..plan() });
    run.lines(1, &accepted(&turn));
    run.line(1, r#"{"type":"assistant","message":{"content":[{"type":"tool_use","id":"t-1","name":"Bash","input":{"command":"npm run dev","run_in_background":true}}]},"parent_tool_use_id":null}"#);
    run.line(1, r#"{"type":"system","subtype":"task_started","task_id":"b1","tool_use_id":"t-1","description":"Serve","task_type":"local_bash","is_backgrounded":true}"#);
    run.line(1, r#"{"type":"user","message":{"role":"user","content":[{"type":"tool_result","tool_use_id":"t-1","content":"started"}]},"parent_tool_use_id":null}"#);
    run.lines(1, &answered(&turn, "It runs."));
    let shown = run.awaited();
    let [Show::Awaited { what, left_ms, then, .. }] = shown.as_slice() else { panic!("{shown:?}") };
    assert_eq!((what.as_str(), *left_ms, *then), ("background work (npm run dev)", 600_000, AfterWait::Judged));
    let awaited = run.core.awaited().expect("it is waited for");
    assert_eq!((awaited.what.as_str(), awaited.until), ("background work (npm run dev)", run.now.plus_ms(600_000)));
    let mut actions = Vec::new();
    while spawn(&actions).is_none() {
        actions = run.wait();
    }
    assert_eq!(spawn(&actions).map(|spawn| spawn.role), Some(Role::Critic), "then the stop is judged");
}

#[test]
fn a_stall_is_decided_at_its_deadline_and_not_before() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let deadline = run.core.processes.agent().and_then(|agent| agent.deadline()).expect("a deadline");
    assert_eq!(deadline, run.now.plus_ms(180_000));
    run.core.handle(Tick(deadline.0 - 1), Input::Elapsed { unix_ms: 0 });
    let before: Vec<Action> = std::iter::from_fn(|| run.core.poll_action()).collect();
    assert!(matches!(before.as_slice(), [Action::Show(Show::Awaited { .. })]), "it is only told: {before:?}");
    run.core.handle(deadline, Input::Elapsed { unix_ms: 0 });
    let actions: Vec<Action> = std::iter::from_fn(|| run.core.poll_action()).collect();
    assert!(ended_in(&actions), "{actions:?}");
}

#[test]
fn a_start_without_a_word_is_ended_and_tried_again() {
    let (mut run, _) = working(plan());
    let asked = run.now;
    let actions = run.wait();
    assert_eq!(run.now.ms_since(asked) / 1_000, 60);
    assert_eq!(decisions(&actions), ["end the agent's process"]);
    let reset = LineFact::Noise("\u{1b}[?25h".to_owned());
    run.feed(Input::Line { proc: ProcId(1), line: reset });
    let actions = run.crashed(1);
    assert!(spawn(&actions).is_some(), "a CLI that hangs at its start may do better the next time");
}

#[test]
fn stalls_count_as_restarts_and_the_end_names_count_window_and_cause() {
    let one = Budgets { max_restarts: 1, ..plan().budgets };
    let (mut run, turn) = working(Plan { budgets: one, ..plan() });
    run.lines(1, &accepted(&turn));
    run.wait();
    let actions = run.crashed(1);
    assert_eq!(spawn(&actions).map(|spawn| spawn.proc), Some(ProcId(2)));
    run.spawned(2);
    run.wait();
    let actions = run.crashed(2);
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.restarts), (Outcome::Failed, 1));
    for part in ["2 times in a row", "within 60 min", "--max-restarts is 1", "hung: it has not said one line"] {
        assert!(end.reason.contains(part), "{part}: {}", end.reason);
    }
}

#[test]
fn ends_an_hour_apart_never_add_up() {
    let (mut run, _) = working(plan());
    for proc in 1..30 {
        let actions = run.crashed(proc);
        assert_eq!(finish(&actions), None, "end {proc}");
        let actions = if spawn(&actions).is_some() { actions } else { run.wait() };
        assert_eq!(spawn(&actions).map(|spawn| spawn.proc), Some(ProcId(proc + 1)));
        let actions = run.spawned(proc + 1);
        // The process works for an hour with output.
        if let Some(turn) = sent(&actions).map(|send| send.turn.clone()) {
            run.lines(proc + 1, &accepted(&turn));
        }
        let says = format!(
            r#"{{"type":"assistant","message":{{"id":"m","role":"assistant","model":"m-1","content":[{{"type":"text","text":"I am at it."}}]}},"parent_tool_use_id":null,"session_id":"{SESSION}"}}"#
        );
        run.line(proc + 1, &says);
        run.now = run.now.plus_ms(HOUR_MS);
    }
}

#[test]
fn a_program_that_is_no_agent_is_given_up_at_its_first_start() {
    let other = Plan { agent_program: "/bin/ls".to_owned(), ..plan() };
    for (code, stderr) in
        [(0, ""), (2, "ls: unrecognized option '--input-format'\n"), (1, "cat: invalid option -- 'p'\n")]
    {
        let (mut run, _) = working(other.clone());
        let actions = run.exited(1, code, stderr);
        let end = finish(&actions).expect("the end");
        assert_eq!((end.outcome, end.restarts), (Outcome::Failed, 0));
        assert!(end.reason.contains("`/bin/ls` is no agent"), "{}", end.reason);
        assert!(end.reason.contains(stderr.trim()), "{}", end.reason);
    }
    let (mut run, _) = working(other);
    run.feed(Input::Line { proc: ProcId(1), line: LineFact::Noise("y".to_owned()) });
    run.wait();
    let end = finish(&run.crashed(1)).cloned().expect("the end");
    assert!(end.reason.contains("`/bin/ls` is no agent"), "{}", end.reason);
}

#[test]
fn an_agent_that_dies_at_its_start_is_restarted() {
    // By a signal, or by a signal in the exit code of a wrapper.
    let (mut run, _) = working(plan());
    assert!(spawn(&run.crashed(1)).is_some());
    let (mut run, _) = working(plan());
    assert!(spawn(&run.exited(1, 143, "")).is_some());
    // A program that has written a line of the protocol stays an agent.
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn)[..1]);
    assert!(spawn(&run.exited(1, 1, "")).is_some());
    run.spawned(2);
    run.exited(2, 1, "no space left on device\n");
    assert!(spawn(&run.wait()).is_some());
}

/// A run that waits for a reset an hour after tick zero, which is 1000 s of unix time.
fn limited(resets_at_unix_s: i64) -> Run {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(
        1,
        &format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{resets_at_unix_s},"rateLimitType":"five_hour"}},"session_id":"{SESSION}"}}"#
        ),
    );
    let mut lines = failed(&turn, 429, "rate_limit");
    lines[1] = lines[1].replace("\"num_turns\"", "\"api_error\":\"usage_limit_reached\",\"num_turns\"");
    run.lines(1, &lines);
    assert_eq!(run.core.phase(), "waiting");
    run
}

#[test]
fn the_wall_time_of_a_reset_is_told_and_waking_there_ends_the_wait() {
    let mut run = limited(4_600);
    let wall = run.core.poll_wall_timeout().expect("a wall time");
    assert!((4_600_000..4_606_000).contains(&wall), "{wall}");
    // The machine slept: a second has passed in ticks, an hour on the wall clock.
    run.now = run.now.plus_ms(1_000);
    assert!(sent(&run.feed(Input::Elapsed { unix_ms: wall - 1 })).is_none());
    assert_eq!(kinds(&run.feed(Input::Elapsed { unix_ms: wall })), [TurnKind::Continue]);
    assert_eq!(run.core.poll_wall_timeout(), None);
}

#[test]
fn a_clock_that_is_set_back_makes_no_wait_longer_or_shorter() {
    for set_back_ms in [60_000, 6 * 3_600_000, 50 * 365 * 24 * 3_600_000] {
        let mut run = limited(4_600);
        run.now = run.now.plus_ms(60_000);
        let wrong = 1_000_000 - set_back_ms;
        assert!(sent(&run.feed(Input::Elapsed { unix_ms: wrong })).is_none(), "not early");
        let mut looks = 0;
        let mut actions = Vec::new();
        while sent(&actions).is_none() {
            run.now = run.core.poll_timeout().expect("a deadline");
            let unix_ms = wrong + i64::try_from(run.now.as_ms()).expect("a time");
            actions = run.feed(Input::Elapsed { unix_ms });
            looks += 1;
            assert!(looks < 20, "it goes on alone");
        }
        assert!((HOUR_MS..HOUR_MS + 10_000).contains(&run.now.as_ms()), "{set_back_ms}: {} ms", run.now.as_ms());
    }
}
