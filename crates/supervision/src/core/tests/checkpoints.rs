//! The checkpoints of the working tree.

use super::*;

fn kept() -> Plan {
    Plan { checkpoints: true, ..plan() }
}

/// When these actions take checkpoints.
fn taken(actions: &[Action]) -> Vec<CheckpointAt> {
    let at = |action: &Action| if let Action::TakeCheckpoint { at, .. } = action { Some(*at) } else { None };
    actions.iter().filter_map(at).collect()
}

/// A checkpoint was taken.
fn done(run: &mut Run, number: u32) -> Vec<Action> {
    let fact = CheckpointFact { number: Some(number.into()), is_new: true, ..CheckpointFact::default() };
    run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(number), fact })
}

/// The place of the first action that is one.
fn place(actions: &[Action], is: impl Fn(&Action) -> bool) -> Option<usize> {
    actions.iter().position(is)
}

#[test]
fn the_tree_is_kept_before_each_process_of_the_agent_and_at_each_stop() {
    let (mut run, actions) = Run::begin(kept());
    assert_eq!(taken(&actions), [CheckpointAt::Start]);
    let checkpoint = place(&actions, |action| matches!(action, Action::TakeCheckpoint { .. }));
    assert!(checkpoint < place(&actions, |action| matches!(action, Action::Spawn(_))), "{actions:?}");
    assert_eq!(sent(&run.spawned(1)), None, "the agent would write into the tree that is being kept");
    let actions = done(&mut run, 1);
    let turn = sent(&actions).expect("the task").turn.clone();
    let mut actions = run.work(1, &turn, "Done.");
    actions.retain(|action| !matches!(action, Action::Note(_)));
    assert_eq!(taken(&actions), [CheckpointAt::Stop], "and the critic starts without one: {actions:?}");
    assert!(spawn(&actions).is_some(), "nothing waits for the checkpoint");

    let (mut run, _) = Run::begin(kept());
    run.spawned(1);
    let turn = sent(&done(&mut run, 1)).expect("the task").turn.clone();
    run.lines(1, &accepted(&turn));
    let actions = run.crashed(1);
    assert_eq!((taken(&actions), spawn(&actions).is_some()), (vec![CheckpointAt::Restart], true));
}

#[test]
fn a_checkpoint_that_takes_too_long_holds_no_turn_up_for_long() {
    let (mut run, _) = Run::begin(kept());
    run.spawned(1);
    let turn = sent(&run.wait()).expect("the task").turn.clone();
    assert!(run.now < Tick::ZERO.plus_ms(11_000), "{:?}", run.now);
    let actions = run.work(1, &turn, "Done.");
    assert!(taken(&actions).is_empty(), "a git that hangs is not asked again: {actions:?}");
    assert_eq!(sent(&done(&mut run, 1)), None, "once");
}

#[test]
fn the_setup_is_preceded_by_a_checkpoint_too() {
    let setup = vec![SetupPlan { command: "npm ci".to_owned(), timeout_ms: 1_000 }];
    let (_, actions) = Run::begin(Plan { setup, ..kept() });
    assert_eq!((taken(&actions), spawn(&actions)), (vec![CheckpointAt::Start], None));
    let runs = place(&actions, |action| matches!(action, Action::RunCheck { .. }));
    assert!(place(&actions, |action| matches!(action, Action::TakeCheckpoint { .. })) < runs, "{actions:?}");
}

#[test]
fn a_run_that_keeps_none_takes_none() {
    let (mut run, turn) = working(plan());
    assert!(taken(&run.work(1, &turn, "Done.")).is_empty());
}

#[test]
fn a_tree_that_cannot_be_kept_is_told_once_and_one_without_git_never() {
    let (mut run, _) = Run::begin(kept());
    run.spawned(1);
    let mut told = |number, fact| {
        run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(number), fact });
        run.notices().len()
    };
    assert_eq!(told(1, CheckpointFact { none: true, ..CheckpointFact::default() }), 0);
    let full = CheckpointFact { trouble: Some("no space left".to_owned()), ..CheckpointFact::default() };
    assert_eq!(told(2, full.clone()), 1);
    assert_eq!(told(3, full), 1);
    assert!(run.notices()[0].contains("no space left"), "{:?}", run.notices());
}

#[test]
fn a_repository_that_is_gone_after_a_checkpoint_is_told_once() {
    let (mut run, _) = Run::begin(kept());
    run.spawned(1);
    done(&mut run, 1);
    let gone = CheckpointFact { none: true, ..CheckpointFact::default() };
    for number in 2..4 {
        run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(number), fact: gone.clone() });
    }
    let notices = run.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(
        notices[0].contains("no checkpoint is taken any more") && notices[0].contains("checkpoint is 1"),
        "{notices:?}"
    );
}
