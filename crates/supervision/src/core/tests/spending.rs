//! The cost of a run during its turns.

use super::*;

fn bounded(usd: f64) -> Plan {
    Plan { budgets: Budgets { max_cost_usd: Some(usd), ..plan().budgets }, ..plan() }
}

/// The process's answer to the question of this number (2.1.332).
fn session_costs(number: u32, usd: f64) -> String {
    let text = format!("Estimated cost:        ${usd:.2}\\nTotal duration (API):  0s");
    format!(
        r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"cost-{number}","response":{{"text":"{text}"}}}}}}"#
    )
}

fn call(id: &str) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"content":[{{"type":"tool_use","id":"{id}","name":"Bash","input":{{"command":"ls"}}}}]}},"session_id":"{SESSION}"}}"#
    )
}

fn returned(id: &str) -> String {
    format!(
        r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","tool_use_id":"{id}","content":"x"}}]}},"session_id":"{SESSION}"}}"#
    )
}

fn asked(actions: &[Action]) -> Vec<(u32, u32)> {
    let of =
        |action: &Action| if let Action::AskCost { proc, number } = action { Some((proc.0, *number)) } else { None };
    actions.iter().filter_map(of).collect()
}

/// A working agent with this bound; the session had no earlier cost.
fn at_work(usd: f64) -> (Run, TurnId) {
    let (mut run, turn) = working(bounded(usd));
    run.lines(1, &accepted(&turn));
    run.line(1, &session_costs(1, 0.0));
    run.now = run.now.plus_ms(10_000);
    (run, turn)
}

#[test]
fn a_process_is_asked_before_its_first_turn_and_after_what_costs_and_no_more_often_than_twice_a_second() {
    let (mut run, _) = Run::begin(bounded(2.0));
    let actions = run.spawned(1);
    let first = actions.iter().position(|action| matches!(action, Action::AskCost { number: 1, .. }));
    let task = actions.iter().position(|action| matches!(action, Action::Send(_)));
    assert!(first.is_some() && first < task, "{actions:?}");
    let turn = sent(&actions).expect("the task").turn.clone();
    assert_eq!(asked(&run.lines(1, &accepted(&turn))), []);
    run.line(1, &session_costs(1, 0.0));
    assert_eq!(asked(&run.line(1, &call("a"))), [], "it was asked a moment ago");
    assert_eq!(run.core.poll_timeout().map(Tick::as_ms), Some(502), "that is made up for");
    assert_eq!(asked(&run.wait_once()), [(1, 2)]);
    run.now = run.now.plus_ms(5_000);
    assert_eq!(asked(&run.line(1, &returned("a"))), [], "the last question has no answer yet");
    run.line(1, &session_costs(2, 0.5));
    assert_eq!(asked(&run.wait_once()), [(1, 3)], "what happened meanwhile is asked about");
    assert_eq!(run.core.cost_usd(), Some(0.5));

    let (mut unbounded, turn) = working(plan());
    unbounded.lines(1, &accepted(&turn));
    unbounded.now = unbounded.now.plus_ms(10_000);
    assert_eq!(asked(&unbounded.line(1, &call("a"))), [], "without a bound nobody is asked");
}

#[test]
fn the_turn_that_passes_the_bound_is_ended_in_its_middle_and_the_end_tells_the_sum() {
    let (mut run, turn) = at_work(2.0);
    assert_eq!(asked(&run.line(1, &call("a"))), [(1, 2)]);
    assert!(decisions(&run.line(1, &session_costs(2, 1.99))).is_empty(), "there is a cent left");
    run.now = run.now.plus_ms(10_000);
    assert_eq!(asked(&run.line(1, &returned("a"))), [(1, 3)]);
    let actions = run.line(1, &session_costs(3, 2.4));
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    let mut lines = answered(&turn, "");
    lines[0] = lines[0]
        .replace(r#""subtype":"success","is_error":false"#, r#""subtype":"error_during_execution","is_error":true"#)
        .replace(r#""completed""#, r#""aborted_tools","total_cost_usd":2.437"#);
    run.lines(1, &lines);
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.cost_usd, end.iterations), (Outcome::Budget, Some(2.437), 0));
    assert!(end.reason.starts_with("$2.40 of $2.00 are spent; the turn was ended"), "{}", end.reason);
    assert_eq!(end.spent, Some(SpentBound { bound: Bound::Cost, used: Amount::Usd(2.437), limit: Amount::Usd(2.0) }));
}

#[test]
fn what_dead_processes_have_cost_counts_and_ends_the_run_in_the_turn_of_the_next_one() {
    let (mut run, turn) = at_work(2.0);
    run.line(1, &call("a"));
    run.line(1, &session_costs(2, 1.2));
    let mut actions = run.crashed(1);
    while spawn(&actions).is_none() {
        actions = run.wait_once();
    }
    let actions = run.spawned(2);
    assert_eq!(asked(&actions), [(2, 1)]);
    let again = sent(&actions).map_or(turn, |send| send.turn.clone());
    run.lines(2, &accepted(&again));
    // The resumed session reports its saved cost, which is not the new process's.
    run.line(2, &session_costs(1, 0.7));
    run.now = run.now.plus_ms(10_000);
    run.line(2, &call("b"));
    assert!(decisions(&run.line(2, &session_costs(2, 1.2))).is_empty(), "1.20 and 0.50");
    run.now = run.now.plus_ms(10_000);
    run.line(2, &returned("b"));
    let actions = run.line(2, &session_costs(3, 1.6));
    assert_eq!(decisions(&actions), ["end as budget"], "1.20 and 0.90");
    assert_eq!(finish(&run.exited(2, 0, "")).map(|end| end.cost_usd), Some(Some(2.1)));
}

#[test]
fn a_turn_that_was_broken_off_past_the_bound_is_not_gone_on_with() {
    let (mut run, turn) = at_work(2.0);
    let mut lines = failed(&turn, 500, "server_error");
    lines[1] = lines[1].replace(r#""num_turns":1"#, r#""num_turns":1,"total_cost_usd":2.5"#);
    run.lines(1, &lines);
    let mut actions = run.wait();
    while finish(&actions).is_none() {
        assert!(sent(&actions).is_none() && spawn(&actions).is_none(), "{actions:?}");
        actions = if run.core.agent_proc().is_some() { run.exited(1, 0, "") } else { run.wait() };
    }
    assert_eq!(finish(&actions).map(|end| end.outcome), Some(Outcome::Budget));
}

#[test]
fn a_critic_that_passes_the_bound_is_ended_and_its_stop_is_judged_later() {
    let mut run = reviewing(bounded(2.0));
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    run.line(2, &session_costs(1, 0.5));
    run.now = run.now.plus_ms(10_000);
    assert_eq!(asked(&run.line(2, &call("a"))), [(2, 2)]);
    let actions = run.line(2, &session_costs(2, 2.6));
    assert_eq!(decisions(&actions), ["end as budget"]);
    run.exited(2, 0, "");
    let end = finish(&run.exited(1, 0, "")).expect("the end").clone();
    assert_eq!((end.outcome, end.iterations), (Outcome::Budget, 0));
    assert!(end.reason.contains("before the stop was judged"), "{}", end.reason);
}

#[test]
fn a_result_past_the_bound_is_judged_first_and_the_critic_may_cost_as_much_as_the_bound() {
    let (mut run, turn) = at_work(2.0);
    let mut lines = answered(&turn, "Done.");
    lines[0] = lines[0].replace(r#""num_turns":1"#, r#""num_turns":1,"total_cost_usd":2.5"#);
    assert!(spawn(&run.lines(1, &lines)).is_some(), "a completion comes before a bound");
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    run.line(2, &session_costs(1, 2.5));
    run.now = run.now.plus_ms(10_000);
    run.line(2, &call("a"));
    let mut approves = run.clone();
    assert!(decisions(&approves.line(2, &session_costs(2, 4.4))).is_empty(), "it may say its verdict");
    approves.lines(2, &answered(&brief, "[TASK_COMPLETED]"));
    approves.measured(2, "t", &[]);
    approves.exited(2, 0, "");
    assert_eq!(finish(&approves.exited(1, 0, "")).map(|end| end.outcome), Some(Outcome::Completed));
    assert_eq!(decisions(&run.line(2, &session_costs(2, 4.5))), ["end as budget"], "and not work for ever");
}

#[test]
fn an_answer_about_the_cost_is_no_progress() {
    let (mut run, _) = at_work(50.0);
    run.line(1, &call("a"));
    run.line(1, &returned("a"));
    let deadline = |run: &Run| run.core.processes.agent().and_then(|agent| agent.deadline());
    let before = deadline(&run);
    run.now = run.now.plus_ms(60_000);
    run.line(1, &session_costs(2, 0.2));
    assert_eq!(deadline(&run), before);
}
