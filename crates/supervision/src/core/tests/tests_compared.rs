//! The tests that an agent has changed: compared at each stop, named to the critic and in the outcome.

use super::*;

fn compared() -> Plan {
    Plan { checkpoints: true, tests_compared: true, ..plan() }
}

/// A checkpoint was taken.
fn kept(run: &mut Run, number: u32) -> Vec<Action> {
    let fact = CheckpointFact { number: Some(number.into()), is_new: true, ..CheckpointFact::default() };
    run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(number), fact })
}

/// The numbers of the checkpoints whose tests are to be compared.
fn compares(actions: &[Action]) -> Vec<(u32, u64, u64)> {
    let of = |action: &Action| {
        if let Action::CompareTests { checkpoint, from, to } = action { Some((checkpoint.0, *from, *to)) } else { None }
    };
    actions.iter().filter_map(of).collect()
}

fn weakened() -> TouchedTests {
    let touches = vec![TestTouch::FewerAssertions, TestTouch::Changed];
    TouchedTests { files: vec![TouchedTest { path: "tests/sum.rs".to_owned(), touches }], more: 0 }
}

fn answer(run: &mut Run, checkpoint: u32, tests: TouchedTests) -> Vec<Action> {
    run.feed(Input::TestsCompared { checkpoint: CheckpointId(checkpoint), tests, trouble: None })
}

/// A run whose agent has stopped and whose stop is kept; gives what followed.
fn stopped(plan: Plan) -> (Run, Vec<Action>) {
    let (mut run, _) = Run::begin(plan);
    run.spawned(1);
    let turn = sent(&kept(&mut run, 1)).expect("the task").turn.clone();
    run.work(1, &turn, "Done.");
    let actions = kept(&mut run, 2);
    (run, actions)
}

/// The critic is ready and the tree is measured; gives what followed.
fn critic_is_ready(run: &mut Run) -> Vec<Action> {
    let mut actions = run.spawned(2);
    actions.extend(run.measured(1, "t", &[]));
    actions
}

/// The critic approves what this brief asks.
fn approves(run: &mut Run, brief: &TurnId) -> Vec<Action> {
    let mut lines = accepted(brief);
    lines.extend(answered(brief, "[TASK_COMPLETED]"));
    let mut actions = run.lines(2, &lines);
    actions.extend(run.measured(2, "t", &[]));
    for proc in [1, 2] {
        actions.extend(run.exited(proc, 0, ""));
    }
    actions
}

#[test]
fn a_changed_test_is_named_to_the_critic_and_in_the_outcome() {
    let (mut run, actions) = stopped(compared());
    assert_eq!(compares(&actions), [(2, 1, 2)]);
    assert_eq!(compares(&kept(&mut run, 2)), [], "once");
    assert_eq!(sent(&critic_is_ready(&mut run)), None, "the brief waits for the comparison");
    let actions = answer(&mut run, 2, weakened());
    let brief = sent(&actions).expect("the brief").clone();
    assert!(brief.text.contains("- tests/sum.rs: fewer assertions, changed\n"), "{}", brief.text);
    assert!(brief.text.contains("`git diff refs/ccc/run/1`"), "{}", brief.text);
    let actions = approves(&mut run, &brief.turn);
    let finish = finish(&actions).expect("the end");
    assert_eq!((finish.outcome, &*finish.tests), (Outcome::Completed, &weakened()));
}

#[test]
fn a_comparison_that_takes_long_or_fails_delays_no_review_for_more_than_two_seconds() {
    let (mut run, _) = stopped(compared());
    assert_eq!(sent(&critic_is_ready(&mut run)), None);
    let began = run.now;
    let brief = sent(&run.wait_once()).expect("the brief").clone();
    assert!(run.now.ms_since(began) <= 2_001, "{began:?} to {:?}", run.now);
    assert!(!brief.text.contains("sum.rs"), "{}", brief.text);
    assert!(run.core.poll_timeout() > Some(run.now), "nothing is overdue any more");
    // What comes late is still told in the outcome, once.
    answer(&mut run, 2, weakened());
    answer(&mut run, 2, TouchedTests::default());
    let actions = approves(&mut run, &brief.turn);
    assert_eq!(*finish(&actions).expect("the end").tests, weakened());

    let (mut run, _) = stopped(compared());
    critic_is_ready(&mut run);
    let trouble = Some("git failed".to_owned());
    let tests = TouchedTests::default();
    let actions = run.feed(Input::TestsCompared { checkpoint: CheckpointId(2), tests, trouble });
    assert!(sent(&actions).is_some(), "the review goes on: {actions:?}");
    assert!(actions.iter().any(|action| matches!(action, Action::Note(note) if note.text == "git failed")));
}

#[test]
fn without_a_first_checkpoint_or_a_difference_nothing_is_compared_and_nothing_waits() {
    let (mut run, _) = Run::begin(compared());
    run.spawned(1);
    let none = CheckpointFact { trouble: Some("no space".to_owned()), ..CheckpointFact::default() };
    let actions = run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(1), fact: none });
    let turn = sent(&actions).expect("the task").turn.clone();
    run.work(1, &turn, "Done.");
    assert_eq!(compares(&kept(&mut run, 2)), [], "what was there at a stop is not what was there at the beginning");
    assert!(sent(&critic_is_ready(&mut run)).is_some());

    let (mut run, _) = Run::begin(compared());
    run.spawned(1);
    let turn = sent(&kept(&mut run, 1)).expect("the task").turn.clone();
    run.work(1, &turn, "Done.");
    let same = CheckpointFact { number: Some(1), ..CheckpointFact::default() };
    let actions = run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(2), fact: same });
    assert_eq!(compares(&actions), []);
    assert!(sent(&critic_is_ready(&mut run)).is_some());
}

#[test]
fn a_run_of_an_earlier_version_compares_nothing() {
    let (mut run, actions) = stopped(Plan { tests_compared: false, ..compared() });
    assert_eq!(compares(&actions), []);
    assert!(sent(&critic_is_ready(&mut run)).is_some());
}

#[test]
fn the_end_without_a_critic_waits_as_long_too() {
    let end = |compare: bool| {
        let (mut run, _) = stopped(Plan { without_critic: true, ..compared() });
        let actions = run.exited(1, 0, "");
        assert!(finish(&actions).is_none(), "{actions:?}");
        let began = run.now;
        let actions = if compare { answer(&mut run, 2, weakened()) } else { run.wait_once() };
        assert!(run.now.ms_since(began) <= 2_001);
        TouchedTests::clone(&finish(&actions).expect("the end").tests)
    };
    assert_eq!((end(true), end(false)), (weakened(), TouchedTests::default()));
}

#[test]
fn what_a_ccc_that_has_died_did_not_learn_is_asked_for_again() {
    let resume = |run: &mut Run| {
        run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() })
    };
    let (mut run, _) = stopped(compared());
    assert_eq!(compares(&resume(&mut run)), [(2, 1, 2)]);
    answer(&mut run, 2, weakened());
    assert_eq!(run.core.touched_tests(), &weakened());
    assert_eq!(compares(&resume(&mut run)), [], "it is known");
    assert_eq!(run.core.touched_tests(), &weakened(), "and stays so for a stop that is judged again");

    let (mut run, _) = Run::begin(compared());
    run.spawned(1);
    let turn = sent(&kept(&mut run, 1)).expect("the task").turn.clone();
    run.work(1, &turn, "Done.");
    assert_eq!(compares(&resume(&mut run)), [], "the checkpoint was not taken");
    assert_eq!(compares(&kept(&mut run, 2)), [], "and its answer is no more waited for");
}
