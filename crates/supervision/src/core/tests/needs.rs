//! What an ended run needs to continue, and which counts a change of its settings resets.

use super::*;

const WRITE: &str = r#"{"file_path":"/project/a.txt","content":"a"}"#;

/// A denied call of the agent, and its answer.
fn denied(turn: &TurnId, call: &str, tool: &str, input: &str) -> Vec<String> {
    let mut lines = answered(turn, "I could not.");
    let list =
        format!(r#""permission_denials":[{{"tool_name":"{tool}","tool_use_id":"{call}","tool_input":{input}}}]"#);
    lines[0] = lines[0].replace(r#""permission_denials":[]"#, &list);
    accepted(turn).into_iter().chain(lines).collect()
}

/// The same for a writing call, in a process with the permission to edit.
fn denied_in_spite(turn: &TurnId, call: &str) -> Vec<String> {
    let lines = denied(turn, call, "Write", WRITE);
    let given = |line: &String| line.replace(r#""permissionMode":"default""#, r#""permissionMode":"acceptEdits""#);
    lines.iter().map(given).collect()
}

fn last_sent(actions: &[Action]) -> (TurnId, String) {
    let sent = |action: &Action| if let Action::Send(send) = action { Some(send.clone()) } else { None };
    let send = actions.iter().rev().find_map(sent).expect("a turn");
    (send.turn, send.text)
}

/// A run that is stuck because writing was denied before two stops.
fn stuck() -> (Run, Finish) {
    let (mut run, turn) = working(plan());
    run.lines(1, &denied(&turn, "t1", "Write", WRITE));
    let (turn, _) = last_sent(&run.judge(2, 1, "t", "Write a.txt."));
    run.exited(2, 0, "");
    run.lines(1, &denied(&turn, "t2", "Write", WRITE));
    run.judge(3, 3, "t", "Write a.txt.");
    run.exited(3, 0, "");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end").clone();
    (run, end)
}

fn resumed(run: &mut Run, plan: Plan) -> Vec<Action> {
    run.feed(Input::Operator(OperatorInput::Plan(Box::new(plan))));
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() })
}

fn allowing() -> Plan {
    Plan { agent_args: vec!["--permission-mode".to_owned(), "acceptEdits".to_owned()], ..plan() }
}

#[test]
fn a_run_that_is_stuck_for_a_permission_needs_that_permission() {
    let (_, end) = stuck();
    assert_eq!(end.outcome, Outcome::Stuck);
    let arguments = vec!["--permission-mode".to_owned(), "acceptEdits".to_owned()];
    assert_eq!(end.needs, Some(Needs::Permission { arguments }));
    assert!(end.reason.ends_with("allow it: ccc resume run -- --permission-mode acceptEdits"), "{}", end.reason);
}

#[test]
fn what_was_denied_under_other_arguments_is_not_held_against_the_present_ones() {
    let (mut run, _) = stuck();
    let proc = spawn(&resumed(&mut run, allowing())).expect("an agent").proc.0;
    let (turn, text) = last_sent(&run.spawned(proc));
    assert!(text.starts_with("Write a.txt.") && text.contains("may be allowed now"), "{text}");
    let lines: Vec<String> = accepted(&turn)
        .iter()
        .map(|line| line.replace(r#""permissionMode":"default""#, r#""permissionMode":"acceptEdits""#))
        .chain(answered(&turn, "Done."))
        .collect();
    let actions = run.lines(proc, &lines);
    let critic = spawn(&actions).expect("a critic").proc.0;
    let mut asks = run.clone();
    asks.judge(critic, 5, "u", "Which name?\n[NEEDS_USER]");
    asks.exited(critic, 0, "");
    let end = finish(&asks.exited(proc, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.needs), (Outcome::NeedsUser, None));
    assert_eq!(end.reason, "the critic asks: Which name?");

    // A call that is denied despite the given permission is reported as such.
    let (turn, _) = last_sent(&run.judge(critic, 5, "u", "Write b.txt."));
    run.exited(critic, 0, "");
    let next = spawn(&run.lines(proc, &denied_in_spite(&turn, "t3"))).expect("a critic").proc.0;
    let (turn, _) = last_sent(&run.judge(next, 7, "u", "Write b.txt."));
    run.exited(next, 0, "");
    let next = spawn(&run.lines(proc, &denied_in_spite(&turn, "t4"))).expect("a critic").proc.0;
    run.judge(next, 9, "u", "Write b.txt.");
    run.exited(next, 0, "");
    let end = finish(&run.exited(proc, 0, "")).expect("the end").clone();
    assert!(end.reason.contains("(2x); it is denied although acceptEdits is given"), "{}", end.reason);
    assert_eq!(end.needs, None);
}

fn checked(commands: &[&str]) -> (Run, TurnId) {
    let check = |command: &&str| CheckPlan { command: (*command).to_owned(), timeout_ms: 1_000 };
    working(Plan { checks: commands.iter().map(check).collect(), ..plan() })
}

fn check_ended(code: i32, tail: &str, missing: Option<&str>) -> CheckResult {
    CheckResult {
        end: CheckEnd::Exited(code),
        duration_ms: 5,
        tail: tail.to_owned(),
        omitted_bytes: 0,
        missing: missing.map(str::to_owned),
        protected: None,
    }
}

#[test]
fn a_run_that_is_stuck_on_a_check_names_it_and_what_it_says() {
    let (mut run, mut turn) = checked(&["sh test.sh"]);
    let mut actions = Vec::new();
    for round in 1..=4 {
        run.work(1, &turn, "Done.");
        run.measured(round, "t", &[]);
        let result = check_ended(1, "one\nexpected 3, got 2\n\n---\n", None);
        actions = run.feed(Input::CheckFinished { check: CheckId(round), result });
        if round < 4 {
            turn = last_sent(&actions).0;
        }
    }
    let why = "`sh test.sh` failed with exit code 1, 4 times while nothing changed; it says: expected 3, got 2";
    let decided =
        |action: &Action| matches!(action, Action::Decide(told) if told.what == "end as stuck" && told.why == why);
    assert!(actions.iter().any(decided), "{actions:?}");
    assert_eq!(finish(&run.exited(1, 0, "")).map(|end| end.reason.as_str()), Some(why));
}

#[test]
fn a_check_whose_program_was_never_there_is_the_users_to_correct() {
    let (mut run, turn) = checked(&["sh test.sh", "carg test"]);
    run.work(1, &turn, "Done.");
    run.feed(Input::CheckFinished { check: CheckId(1), result: check_ended(1, "no", None) });
    let missing = || check_ended(127, "sh: carg: not found", Some("carg"));
    run.feed(Input::CheckFinished { check: CheckId(2), result: missing() });
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.iterations), (Outcome::NeedsUser, 0), "the stop was not judged");
    assert!(end.reason.contains("`carg test` (there is no program carg)"), "{}", end.reason);
    assert_eq!(end.needs, Some(Needs::Checks { commands: vec!["carg test".to_owned()] }));

    // With another command the stop is judged again, and no turn is lost.
    let check = CheckPlan { command: "true".to_owned(), timeout_ms: 1_000 };
    let actions = resumed(&mut run, Plan { checks: vec![check], ..plan() });
    assert!(actions.iter().any(|action| matches!(action, Action::RunCheck { command, .. } if command == "true")));
    assert_eq!((spawn(&actions), run.core.iteration()), (None, 1));
}

#[test]
fn a_check_that_the_agent_can_make_runnable_and_one_that_ran_before_are_feedback() {
    let (mut run, turn) = checked(&["./run-tests.sh"]);
    run.work(1, &turn, "Done.");
    run.measured(1, "t", &[]);
    let result = check_ended(127, "sh: ./run-tests.sh: not found", None);
    let actions = run.feed(Input::CheckFinished { check: CheckId(1), result });
    let (turn, text) = last_sent(&actions);
    assert!(text.contains("./run-tests.sh: not found"), "{text}");
    run.work(1, &turn, "Done.");
    run.measured(2, "u", &[]);
    let result = check_ended(127, "gone", Some("tool"));
    let actions = run.feed(Input::CheckFinished { check: CheckId(2), result });
    assert!(last_sent(&actions).1.contains("gone"), "it was there once: {actions:?}");
}

#[test]
fn at_a_limit_the_run_knows_when_it_is_over() {
    const NOW: i64 = 1_000_000;
    let resets = NOW / 1_000 + 7_200;
    let limited = |turn: &TurnId| {
        let mut lines = accepted(turn);
        lines.push(format!(
            r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{resets},"rateLimitType":"five_hour"}},"session_id":"{SESSION}"}}"#
        ));
        lines.extend(failed(turn, 429, "rate_limit"));
        lines
    };
    let short = Budgets { max_wait_ms: Some(600_000), ..plan().budgets };
    for plan in [Plan { no_wait: true, ..plan() }, Plan { budgets: short, ..plan() }] {
        let (mut run, turn) = working(plan);
        run.lines(1, &limited(&turn));
        let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
        assert_eq!(end.outcome, Outcome::Limits);
        let Some(Needs::Reset { at_unix_ms, announced: true, now_unix_ms }) = end.needs else {
            panic!("{:?}", end.needs);
        };
        assert_eq!(at_unix_ms, resets * 1_000);
        assert!((NOW..NOW + 1_000).contains(&now_unix_ms), "{now_unix_ms}");
    }
}

#[test]
fn a_wait_of_the_critic_that_passes_a_bound_takes_back_one_iteration_only() {
    let short = Budgets { max_wait_ms: Some(600_000), ..plan().budgets };
    let mut run = reviewing(Plan { budgets: short, ..plan() });
    run.judge(2, 1, "t", "Add a test.");
    run.exited(2, 0, "");
    let (turn, _) = {
        let iteration = run.core.iteration();
        assert_eq!(iteration, 1);
        let current = run.core.turns.current().expect("the feedback").clone();
        (current.id, current.text)
    };
    let actions = run.work(1, &turn, "Done.");
    let critic = spawn(&actions).expect("a critic").proc.0;
    let brief = {
        let mut actions = run.spawned(critic);
        actions.extend(run.measured(3, "u", &[]));
        sent(&actions).expect("a brief").turn.clone()
    };
    let resets = 1_000 + 7_200;
    let mut lines = accepted(&brief);
    lines.push(format!(
        r#"{{"type":"rate_limit_event","rate_limit_info":{{"status":"rejected","resetsAt":{resets},"rateLimitType":"five_hour"}},"session_id":"{SESSION}"}}"#
    ));
    lines.extend(failed(&brief, 429, "rate_limit"));
    run.lines(critic, &lines);
    run.exited(critic, 0, "");
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.iterations), (Outcome::Limits, 1));
}
