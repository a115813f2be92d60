//! Protected files: when a check may have them, what waits until the agent's versions are back, and what is said of them.

use super::*;

fn protected() -> Plan {
    let check = |command: &str| CheckPlan { command: command.to_owned(), timeout_ms: 1_000 };
    Plan {
        checkpoints: true,
        checks: vec![check("make test"), check("make lint")],
        protect: vec!["tests/**".to_owned()],
        ..plan()
    }
}

fn fact(number: u32) -> CheckpointFact {
    let commit = Some(format!("c{number}"));
    CheckpointFact { number: Some(number.into()), commit, is_new: true, ..CheckpointFact::default() }
}

fn kept(run: &mut Run, number: u32) -> Vec<Action> {
    run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(number), fact: fact(number) })
}

/// The checks that are run, each with the checkpoint of its files.
fn runs(actions: &[Action]) -> Vec<(u32, Option<u64>)> {
    let of = |action: &Action| {
        if let Action::RunCheck { check, base, .. } = action { Some((check.0, *base)) } else { None }
    };
    actions.iter().filter_map(of).collect()
}

fn ended(run: &mut Run, check: u32, end: CheckEnd, protected: Option<ProtectedFiles>) -> Vec<Action> {
    let result = CheckResult {
        end,
        duration_ms: 1,
        tail: "output".to_owned(),
        omitted_bytes: 0,
        missing: None,
        protected: protected.map(Box::new),
    };
    run.feed(Input::CheckFinished { check: CheckId(check), result })
}

fn bent() -> ProtectedFiles {
    ProtectedFiles { restored: vec!["tests/t.sh".to_owned()], ..ProtectedFiles::default() }
}

/// A run whose agent has just stopped; gives what followed.
fn stopped(plan: Plan) -> (Run, Vec<Action>) {
    let (mut run, _) = Run::begin(plan);
    run.spawned(1);
    let turn = sent(&kept(&mut run, 1)).expect("the task").turn.clone();
    let actions = run.work(1, &turn, "Done.");
    (run, actions)
}

/// A run whose first check has begun.
fn checking(plan: Plan) -> Run {
    let (mut run, _) = stopped(plan);
    kept(&mut run, 2);
    assert_eq!(runs(&run.measured(1, "t", &[])), [(1, Some(1))]);
    run
}

#[test]
fn the_first_check_waits_until_the_agents_versions_are_kept_and_measured() {
    for kept_first in [true, false] {
        let (mut run, actions) = stopped(protected());
        assert_eq!(runs(&actions), []);
        let (before, after) = if kept_first {
            (kept(&mut run, 2), run.measured(1, "t", &[]))
        } else {
            (run.measured(1, "t", &[]), kept(&mut run, 2))
        };
        assert_eq!((runs(&before), runs(&after)), (vec![], vec![(1, Some(1))]));
        assert_eq!(runs(&ended(&mut run, 1, CheckEnd::Exited(0), Some(bent()))), [(2, Some(1))]);
    }
    let mut free = stopped(Plan { protect: Vec::new(), ..protected() });
    assert_eq!(runs(&free.1), [(1, None)], "without protection nothing waits");
    assert_eq!(runs(&ended(&mut free.0, 1, CheckEnd::Exited(0), None)), [(2, None)]);
}

#[test]
fn a_checkpoint_that_hangs_holds_a_check_up_for_a_minute() {
    let (mut run, _) = stopped(protected());
    let stopped_at = run.now;
    run.measured(1, "t", &[]);
    let mut actions = Vec::new();
    while runs(&actions).is_empty() {
        actions = run.wait_once();
    }
    assert_eq!(runs(&actions), [(1, Some(1))]);
    let waited = run.now.as_ms() - stopped_at.as_ms();
    assert!((59_000..61_000).contains(&waited), "{waited}");
}

#[test]
fn a_check_that_waits_does_not_begin_in_a_paused_run() {
    let (mut run, _) = stopped(protected());
    run.feed(Input::Operator(OperatorInput::Pause));
    let mut actions = kept(&mut run, 2);
    actions.extend(run.measured(1, "t", &[]));
    assert_eq!(runs(&actions), []);
    assert_eq!(run.core.phase(), "paused");
}

#[test]
fn the_setup_is_run_with_the_files_as_they_are() {
    let setup = vec![SetupPlan { command: "npm ci".to_owned(), timeout_ms: 1_000 }];
    let (_, actions) = Run::begin(Plan { setup, ..protected() });
    assert_eq!(runs(&actions), [(1, None)]);
}

#[test]
fn critic_agent_and_outcome_learn_which_files_were_restored() {
    let mut run = checking(protected());
    ended(&mut run, 1, CheckEnd::Exited(0), Some(bent()));
    ended(&mut run, 2, CheckEnd::Exited(0), Some(bent()));
    let mut actions = run.spawned(2);
    actions.extend(run.measured(2, "t", &[]));
    let brief = sent(&actions).expect("a brief").clone();
    assert!(
        brief.text.contains("## Protected files\n\nThe checks ran with these files as they were when the run began"),
        "{}",
        brief.text
    );
    assert!(brief.text.contains("\n\n- tests/t.sh\n"), "{}", brief.text);
    let mut lines = accepted(&brief.turn);
    lines.extend(answered(&brief.turn, "[TASK_COMPLETED]"));
    run.lines(2, &lines);
    let mut actions = run.measured(3, "t", &[]);
    for proc in [1, 2] {
        actions.extend(run.exited(proc, 0, ""));
    }
    assert_eq!(finish(&actions).expect("the end").protected.as_deref(), Some(&bent()));

    let mut run = checking(protected());
    ended(&mut run, 1, CheckEnd::Exited(1), Some(bent()));
    let actions = ended(&mut run, 2, CheckEnd::Exited(0), Some(bent()));
    let said = &sent(&actions).expect("feedback").text;
    assert!(said.contains("your changes to them do not count: tests/t.sh\n"), "{said}");
    let shown = run.shown.iter().any(|show| matches!(show, Show::Check { summary, .. } if summary == "exit code 1; it ran with these as they were when the run began: tests/t.sh"));
    assert!(shown, "{:?}", run.shown);
}

#[test]
fn a_check_with_untouched_files_is_said_to_have_had_them() {
    let mut run = checking(protected());
    ended(&mut run, 1, CheckEnd::Exited(0), Some(ProtectedFiles::default()));
    ended(&mut run, 2, CheckEnd::Exited(0), Some(ProtectedFiles::default()));
    let mut actions = run.spawned(2);
    actions.extend(run.measured(2, "t", &[]));
    let text = &sent(&actions).expect("a brief").text;
    assert!(text.contains("the agent has not changed them"), "{text}");
}

#[test]
fn the_agent_gets_no_turn_until_its_versions_are_back() {
    let mut run = checking(protected());
    let says = |run: &mut Run| {
        let said = OperatorInput::Say { key: Some("a".to_owned()), text: "Use tabs.".to_owned(), images: Vec::new() };
        let mut actions = run.feed(Input::Operator(said));
        // What was said is taken up with the next fact.
        let unix_ms = 1_000_000 + i64::try_from(run.now.as_ms()).expect("a time");
        actions.extend(run.feed(Input::Elapsed { unix_ms }));
        actions
    };
    let actions = says(&mut run);
    assert!(actions.contains(&Action::CancelCheck { check: CheckId(1) }), "{actions:?}");
    assert_eq!(sent(&actions), None, "files of the run's beginning may be in the tree");
    let actions = ended(&mut run, 1, CheckEnd::Cancelled, Some(bent()));
    assert_eq!(kinds(&actions), [TurnKind::Operator]);

    // Without protection nothing waits.
    let (mut run, _) = stopped(Plan { protect: Vec::new(), ..protected() });
    kept(&mut run, 2);
    let actions = says(&mut run);
    assert_eq!(kinds(&actions), [TurnKind::Operator]);
}

#[test]
fn a_run_whose_check_does_not_give_the_files_back_ends() {
    let mut run = checking(protected());
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "the user".to_owned() }));
    let interrupted_at = run.now;
    let mut actions = Vec::new();
    while !run.core.is_finished() {
        actions = run.wait_once();
        let gone: Vec<Action> = run.exited(1, 0, "");
        actions.extend(gone);
    }
    let end = finish(&actions).expect("the end");
    assert!(run.now.as_ms() - interrupted_at.as_ms() <= 61_000, "{:?}", run.now);
    assert_eq!(end.outcome, Outcome::Interrupted, "the outcome was known before");
}

#[test]
fn an_ending_run_waits_for_the_agents_versions() {
    let mut run = checking(protected());
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "the user".to_owned() }));
    assert_eq!(finish(&run.exited(1, 0, "")), None, "its check still has other files in the tree");
    let actions = ended(&mut run, 1, CheckEnd::Cancelled, Some(bent()));
    assert_eq!(finish(&actions).map(|end| end.outcome), Some(Outcome::Interrupted));
}

#[test]
fn files_that_cannot_be_put_back_end_the_run_and_name_the_command() {
    let mut run = checking(protected());
    let not_put_back = Some("tests/t.sh: no space left".to_owned());
    ended(&mut run, 1, CheckEnd::Exited(0), Some(ProtectedFiles { not_put_back, ..bent() }));
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(
        end.reason.contains("tests/t.sh: no space left") && end.reason.ends_with("ccc resume run"),
        "{}",
        end.reason
    );
}

#[test]
fn files_that_the_agent_cannot_bring_back_end_the_run_for_the_user() {
    let mut run = checking(protected());
    let not_exchanged = Some("no space left".to_owned());
    let files = ProtectedFiles { not_exchanged, ..ProtectedFiles::default() };
    ended(&mut run, 1, CheckEnd::NotStarted("no space left".to_owned()), Some(files));
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::NeedsUser);
    assert!(end.reason.contains("no space left") && end.reason.ends_with("ccc resume run"), "{}", end.reason);
}

#[test]
fn a_protection_without_effect_is_told_at_the_start_and_at_the_end() {
    let none = CheckpointFact { none: true, ..CheckpointFact::default() };
    let fault = CheckpointFact { trouble: Some("no space".to_owned()), ..CheckpointFact::default() };
    let off = Plan { checkpoints: false, ..protected() };
    for (plan, fact, why) in [
        (protected(), Some(none), "in no git repository"),
        (protected(), Some(fault), "no checkpoint of the files"),
        (off, None, "`checkpoints` is off"),
    ] {
        let (mut run, _) = Run::begin(plan);
        let mut actions = run.spawned(1);
        if let Some(fact) = fact {
            actions = run.feed(Input::CheckpointTaken { checkpoint: CheckpointId(1), fact });
        }
        let told: Vec<&str> =
            run.notices().into_iter().filter(|text| text.contains("`protect` has no effect")).collect();
        assert!(told.len() == 1 && told[0].contains(why), "{told:?}");
        let turn = sent(&actions).expect("the task").turn.clone();
        assert_eq!(runs(&run.work(1, &turn, "Done.")), [(1, None)], "it waits for nothing");
        run.feed(Input::Operator(OperatorInput::Interrupt { reason: "the user".to_owned() }));
        ended(&mut run, 1, CheckEnd::Cancelled, None);
        let actions = run.exited(1, 0, "");
        let said = finish(&actions).expect("the end").protected.clone().expect("it is said");
        assert!(said.no_effect.as_ref().is_some_and(|said| said.contains(why)), "{said:?}");
    }
    // Without a check there is nothing to protect files from.
    let (run, _) = Run::begin(Plan { checks: Vec::new(), checkpoints: false, ..protected() });
    assert_eq!(run.notices(), Vec::<&str>::new());
}

#[test]
fn a_pattern_that_names_nothing_is_told_once_and_a_file_that_was_written_each_time() {
    let mut run = checking(protected());
    let files = ProtectedFiles {
        unmatched: vec!["test/**".to_owned()],
        written_meanwhile: vec!["tests/t.sh".to_owned()],
        ..ProtectedFiles::default()
    };
    ended(&mut run, 1, CheckEnd::Exited(0), Some(files.clone()));
    ended(&mut run, 2, CheckEnd::Exited(1), Some(files));
    let told = |what: &str| run.notices().iter().filter(|text| text.contains(what)).count();
    assert_eq!(
        (told("names no file that was there when the run began: test/**"), told("stays as it is: tests/t.sh")),
        (1, 2)
    );
}

#[test]
fn a_resumed_run_keeps_the_files_of_its_beginning() {
    let mut run = checking(protected());
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: Some(true), tokens: Vec::new() });
    assert_eq!(run.core.protected().map(|protected| protected.base), Some("c1"));
    assert!(run.core.poll_timeout().is_none_or(|due| due > run.now), "it does not wait for the dead one's check");
}
