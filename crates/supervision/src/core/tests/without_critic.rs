//! Work that no critic judges: it is done when the agent stops and the checks pass.

use super::*;

#[test]
fn without_a_critic_the_agents_stop_is_the_end() {
    let (mut run, turn) = working(Plan { without_critic: true, ..plan() });
    let actions = run.work(1, &turn, "Done.");
    assert!(spawn(&actions).is_none() && actions.contains(&Action::CloseStdin { proc: ProcId(1) }), "{actions:?}");
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.result.as_str()), (Outcome::Completed, "Done."));
    assert_eq!(end.reason, "the agent has stopped, and no critic was to judge the work");
}

#[test]
fn without_a_critic_the_checks_decide() {
    let checks = vec![CheckPlan { command: "make".to_owned(), timeout_ms: 1_000 }];
    let (mut run, turn) = working(Plan { checks, without_critic: true, ..plan() });
    run.work(1, &turn, "Done.");
    let result = |code| CheckResult {
        end: CheckEnd::Exited(code),
        duration_ms: 1,
        tail: "no\n".to_owned(),
        omitted_bytes: 0,
        missing: None,
        protected: None,
    };
    run.feed(Input::CheckFinished { check: CheckId(1), result: result(1) });
    let actions = run.measured(1, "t", &[]);
    assert_eq!(kinds(&actions), [TurnKind::CheckFailure]);
    let turn = sent(&actions).expect("a turn").turn.clone();
    run.work(1, &turn, "Now.");
    let actions = run.feed(Input::CheckFinished { check: CheckId(2), result: result(0) });
    assert!(spawn(&actions).is_none(), "{actions:?}");
    let actions = run.exited(1, 0, "");
    assert_eq!(
        finish(&actions).map(|end| end.reason.as_str()),
        Some("all checks passed, and no critic was to judge the work")
    );
}

#[test]
fn without_a_critic_a_message_of_the_user_comes_before_the_end() {
    let (mut run, turn) = working(Plan { without_critic: true, ..plan() });
    run.feed(Input::Operator(OperatorInput::Say { key: None, text: "And this.".to_owned(), images: Vec::new() }));
    let actions = run.work(1, &turn, "Done.");
    assert!(sent(&actions).is_some_and(|send| send.text == "And this."), "{actions:?}");
}
