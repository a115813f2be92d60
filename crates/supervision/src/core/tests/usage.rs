//! The token usage of the run, and the bound on it.

use super::*;
use crate::agent::TokenCount;

fn bounded(tokens: u64) -> Plan {
    Plan { budgets: Budgets { max_tokens: Some(tokens), ..plan().budgets }, ..plan() }
}

/// A message of the model that calls a tool and reports the usage of its request.
fn call(id: &str, tokens: u64) -> String {
    format!(
        r#"{{"type":"assistant","message":{{"id":"{id}","model":"m-1","content":[{{"type":"tool_use","id":"call-{id}","name":"Read","input":{{}}}}],"usage":{{"input_tokens":{tokens},"output_tokens":0}}}},"session_id":"{SESSION}"}}"#
    )
}

#[test]
fn the_tokens_of_agent_and_critics_add_up() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.line(1, &call("m1", 70));
    run.line(1, &call("m1", 70));
    run.lines(1, &answered(&turn, "Done."));
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    run.line(2, &call("m2", 30));
    assert_eq!(run.core.tokens_used(), TokenCount { input: 100, cached: 0, output: 0 });
}

#[test]
fn a_turn_that_passes_the_bound_on_tokens_is_ended_in_its_middle() {
    let (mut run, turn) = working(bounded(100));
    run.lines(1, &accepted(&turn));
    assert_eq!(decisions(&run.line(1, &call("m1", 99))), Vec::<&str>::new());
    let actions = run.line(1, &call("m2", 1));
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.tokens_used), (Outcome::Budget, Some(100)));
    assert_eq!(end.reason, "100 of 100 tokens are spent; the turn was ended in its middle");
    let hundred = Amount::Count(100);
    assert_eq!(end.spent, Some(SpentBound { bound: Bound::Tokens, used: hundred, limit: hundred }));
}

#[test]
fn an_answer_that_passes_the_bound_on_tokens_is_judged_and_then_feedback_ends_the_run() {
    for (verdict, outcome) in [("Seen.\n\n[TASK_COMPLETED]", Outcome::Completed), ("Add a test.", Outcome::Budget)] {
        let (mut run, turn) = working(bounded(100));
        run.lines(1, &accepted(&turn));
        run.line(1, &call("m1", 60));
        let mut last = answered(&turn, "Done.");
        last[0] = last[0].replace(
            r#""num_turns":1"#,
            r#""num_turns":1,"model_usage_since_last_result":{"m-1":{"inputTokens":60,"outputTokens":50}}"#,
        );
        run.lines(1, &last);
        run.judge(2, 1, "t", verdict);
        run.exited(2, 0, "");
        let actions = run.exited(1, 0, "");
        let end = finish(&actions).expect("the end");
        assert_eq!((end.outcome, end.tokens_used), (outcome, Some(110)), "{}", end.reason);
        let spent = end.spent.map(|spent| (spent.bound, spent.used));
        assert_eq!(spent, (outcome == Outcome::Budget).then_some((Bound::Tokens, Amount::Count(110))));
    }
}

#[test]
fn a_critic_that_uses_as_much_as_the_bound_is_ended_and_its_stop_is_not_counted() {
    let mut run = reviewing(bounded(100));
    run.spawned(2);
    let brief = sent(&run.measured(1, "t", &[])).expect("a brief").turn.clone();
    run.lines(2, &accepted(&brief));
    run.line(2, &call("m1", 100));
    run.exited(2, 0, "");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.iterations), (Outcome::Budget, 0));
    assert_eq!(end.reason, "100 of 100 tokens are spent, before the stop was judged");
}
