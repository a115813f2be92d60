//! Outcomes and bounds.

use super::*;
use crate::agent::Role;
use crate::core::machine::Stage;

/// Ends both processes and gives the finish.
fn ended(run: &mut Run, critic: u32) -> Finish {
    run.exited(critic, 0, "");
    let actions = run.exited(1, 0, "");
    finish(&actions).expect("the end").clone()
}

#[test]
fn the_last_iteration_may_still_complete_and_feedback_at_it_ends_as_budget() {
    let one = Budgets { max_iterations: 1, ..plan().budgets };
    let mut approves = reviewing(Plan { budgets: one, ..plan() });
    let mut rejects = approves.clone();
    approves.judge(2, 1, "t", "[TASK_COMPLETED]");
    assert_eq!(ended(&mut approves, 2).outcome, Outcome::Completed);
    rejects.judge(2, 1, "t", "Add a test.");
    let end = ended(&mut rejects, 2);
    assert_eq!((end.outcome, end.iterations), (Outcome::Budget, 1));
    assert!(end.reason.contains("the only iteration is spent"), "{}", end.reason);
}

#[test]
fn an_end_tells_which_bound_is_spent_and_how_much_of_it_is_used_by_then() {
    let of = |bound: Bound, budgets: Budgets| {
        let mut run = reviewing(Plan { budgets, ..plan() });
        let agreed = of_outcome(&mut run.clone(), "[TASK_COMPLETED]");
        assert_eq!((agreed.outcome, agreed.spent), (Outcome::Completed, None), "{bound:?}");
        run.now = run.now.plus_ms(100_000);
        let end = of_outcome(&mut run, "Add a test.");
        let spent = end.spent.expect("a bound");
        assert!(spent.used >= spent.limit && !spent.in_words().is_empty(), "{spent:?}");
        assert_eq!((end.outcome, spent.bound), (Outcome::Budget, bound), "{}", end.reason);
        assert!(end.reason.starts_with(&spent.in_words()), "{}", end.reason);
        spent.limit
    };
    let base = Budgets::DEFAULT;
    let one = of(Bound::Iterations, Budgets { max_iterations: 1, ..base.clone() });
    assert_eq!(one, Amount::Count(1));
    let time = of(Bound::Duration, Budgets { max_duration_ms: Some(90_000), ..base.clone() });
    assert_eq!(time, Amount::Ms(90_000));
    of(Bound::Until, Budgets { until_unix_ms: Some(1_060_000), ..base.clone() });
    let both = Budgets { until_unix_ms: Some(1_060_000), max_duration_ms: Some(90_000), ..base.clone() };
    assert_eq!(of(Bound::Until, both), Amount::UnixMs(1_060_000), "of the two on time the moment is named");
    let both = Budgets { until_unix_ms: Some(1_060_000), max_iterations: 1, ..base };
    assert_eq!(of(Bound::Iterations, both), Amount::Count(1), "the moment is named where nothing else is spent");
}

/// How a run ends after this answer of the critic.
fn of_outcome(run: &mut Run, words: &str) -> Finish {
    run.judge(2, 1, "t", words);
    ended(run, 2)
}

#[test]
fn a_question_for_the_user_ends_as_needs_user_with_the_question_as_result() {
    let mut run = reviewing(plan());
    run.judge(2, 1, "t", "Which database?\n[NEEDS_USER]");
    let end = ended(&mut run, 2);
    assert_eq!((end.outcome, end.result.as_str()), (Outcome::NeedsUser, "Which database?"));
    assert!(end.reason.contains("Which database?"));
}

#[test]
fn the_same_feedback_on_a_still_tree_is_told_and_ends_as_stuck() {
    let mut run = reviewing(plan());
    let (mut critic, mut measure) = (2, 1);
    for round in 1..=4 {
        let actions = run.judge(critic, measure, "t", "Add the missing test for empty input.");
        run.exited(critic, 0, "");
        if round == 4 {
            break;
        }
        let mut sends =
            actions.iter().filter_map(|action| if let Action::Send(send) = action { Some(send) } else { None });
        let feedback = sends.rfind(|send| send.kind == TurnKind::Feedback).expect("feedback").clone();
        assert_eq!(
            feedback.text.contains("Nothing in the working tree has changed"),
            round > 1,
            "round {round}: {}",
            feedback.text
        );
        let actions = run.work(1, &feedback.turn, "Done.");
        critic = spawn(&actions).expect("a critic").proc.0;
        measure += 2;
    }
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Stuck);
    assert!(end.reason.contains("4 times while nothing changed"), "{}", end.reason);
}

#[test]
fn the_time_bound_ends_a_turn_and_a_verdict_that_is_there_counts_first() {
    let hour = Budgets { max_duration_ms: Some(100_000), ..plan().budgets };
    let (mut run, turn) = working(Plan { budgets: hour.clone(), ..plan() });
    run.lines(1, &accepted(&turn));
    let actions = run.wait();
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }), "{actions:?}");
    assert_eq!(finish(&run.exited(1, 0, "")).map(|end| end.outcome), Some(Outcome::Budget));

    let mut late = reviewing(Plan { budgets: hour, ..plan() });
    late.now = late.now.plus_ms(200_000);
    late.judge(2, 1, "t", "[TASK_COMPLETED]");
    assert_eq!(ended(&mut late, 2).outcome, Outcome::Completed, "completion is looked at before any bound");
}

#[test]
fn a_spent_time_bound_says_how_long_it_was_and_which_check_was_running() {
    let checked = Plan {
        checks: vec![CheckPlan { command: "sh test.sh".to_owned(), timeout_ms: 900_000 }],
        budgets: Budgets { max_duration_ms: Some(90_000), ..plan().budgets },
        ..plan()
    };
    let mut run = reviewing(checked);
    run.now = run.now.max(Tick::ZERO.plus_ms(90_000));
    let unix_ms = 1_000_000 + 90_000;
    run.feed(Input::Elapsed { unix_ms });
    assert_eq!(run.core.phase(), "ending");
    let mut actions = run.exited(1, 0, "");
    actions.extend(run.measured(1, "t", &[]));
    let check = CheckId(1);
    let result = CheckResult {
        end: CheckEnd::Cancelled,
        duration_ms: 1,
        tail: String::new(),
        omitted_bytes: 0,
        missing: None,
        protected: None,
    };
    actions.extend(run.feed(Input::CheckFinished { check, result }));
    let end = finish(&actions).unwrap_or_else(|| panic!("no end: {actions:?}"));
    assert_eq!(end.outcome, Outcome::Budget);
    assert!(end.reason.contains("the 90s of --max-duration have passed"), "{}", end.reason);
    assert!(end.reason.contains("while the check `sh test.sh` was running"), "{}", end.reason);
}

#[test]
fn a_run_that_ends_says_nothing_about_its_session_any_more() {
    let (mut run, turn) = working(plan());
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    run.lines(1, &accepted(&turn));
    assert!(!run.shown.iter().any(|show| matches!(show, Show::Session { .. })), "{:?}", run.shown);
}

#[test]
fn an_interruption_ends_in_good_order_and_a_second_one_kills() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    let interrupt = || Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() });
    let actions = run.feed(interrupt());
    assert!(actions.contains(&Action::Interrupt { proc: ProcId(1) }));
    assert!(run.feed(interrupt()).contains(&Action::KillTree { proc: ProcId(1) }));
    let actions = run.crashed(1);
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.reason.as_str()), (Outcome::Interrupted, "Ctrl-C"));
    assert_eq!(spawn(&actions), None, "no restart after a request to stop");
}

#[test]
fn an_interruption_during_a_check_cancels_it() {
    let checks = vec![CheckPlan { command: "make test".to_owned(), timeout_ms: 1_000 }];
    let (mut run, turn) = working(Plan { checks, ..plan() });
    run.work(1, &turn, "Done.");
    let actions = run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    assert!(actions.contains(&Action::CancelCheck { check: CheckId(1) }));
}

#[test]
fn a_process_that_survives_a_kill_does_not_hold_the_end_up() {
    let (mut run, turn) = working(plan());
    run.lines(1, &accepted(&turn));
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
    let mut actions = Vec::new();
    for _ in 0..6 {
        if finish(&actions).is_none() {
            actions = run.wait();
        }
    }
    assert_eq!(finish(&actions).map(|end| end.outcome), Some(Outcome::Interrupted), "{actions:?}");
}

#[test]
fn an_agent_that_cannot_be_started_is_a_clear_failure() {
    let (mut run, _) = Run::begin(plan());
    let actions = run.feed(Input::SpawnFailed {
        proc: ProcId(1),
        fault: SpawnFault::NotFound,
        message: "/bin/claude: no such program".to_owned(),
    });
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Failed);
    assert!(end.reason.contains("/bin/claude: no such program"));
}

#[test]
fn a_flooding_agent_is_ended_by_a_signal() {
    let sample = || LineFact::Noise("y".to_owned());
    let flood = |lines| Input::Noise { proc: ProcId(1), lines, bytes: 2 * lines, sample: sample() };
    let interrupt = || Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() });
    let term = Action::Signal { proc: ProcId(1), signal: Signal::Term };
    let ask = Action::Interrupt { proc: ProcId(1) };
    let (run, _) = working(plan());

    let mut floods = run.clone();
    floods.feed(flood(1_000_000));
    floods.feed(flood(1_000_000));
    let told = floods.notices().into_iter().filter(|text| text.contains("floods its output")).count();
    assert_eq!(told, 1);
    let actions = floods.feed(interrupt());
    assert!(actions.contains(&term) && !actions.contains(&ask), "{actions:?}");
    let asked_at = floods.now;
    let actions = floods.wait();
    assert!(actions.contains(&Action::KillTree { proc: ProcId(1) }), "{actions:?}");
    assert!(floods.now.ms_since(asked_at) < 600, "it was waited for");

    let mut begins_then = run.clone();
    begins_then.feed(flood(10));
    assert!(begins_then.feed(interrupt()).contains(&ask), "some noise is no flood");
    assert!(begins_then.feed(flood(1_000_000)).contains(&term), "it will not hear what it was asked");
    assert!(!begins_then.feed(flood(1_000_000)).contains(&term), "once");

    let mut long = run;
    let dropped = |bytes| Input::Noise { proc: ProcId(1), lines: 0, bytes, sample: LineFact::TooLong(bytes) };
    long.feed(dropped(1 << 30));
    assert!(long.feed(interrupt()).contains(&term), "one line without an end");
}

#[test]
fn what_is_not_agreed_to_any_more_ends_the_run_for_the_user_and_a_resumed_one_judges_the_same_stop() {
    let refused = |proc| Input::SpawnFailed {
        proc: ProcId(proc),
        fault: SpawnFault::NotAgreed,
        message: "you have not agreed to env.X of .claude/settings.json".to_owned(),
    };
    let (mut run, _) = Run::begin(plan());
    let actions = run.feed(refused(1));
    let end = finish(&actions).expect("the end");
    assert_eq!((end.outcome, end.needs.clone(), end.iterations), (Outcome::NeedsUser, Some(Needs::Agreement), 0));
    assert!(end.reason.contains("env.X of .claude/settings.json"), "{}", end.reason);
    let actions = run.feed(Input::Began { unix_ms: 2, resumed: true, turn_recorded: None, tokens: Vec::new() });
    assert!(
        spawn(&actions).is_some_and(|spawn| spawn.role == Role::Agent),
        "the task is still to be said: {actions:?}"
    );

    let mut run = reviewing(plan());
    run.feed(refused(2));
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(
        (end.outcome, end.needs.clone(), end.iterations),
        (Outcome::NeedsUser, Some(Needs::Agreement), 0),
        "{}",
        end.reason
    );
    let actions = run.feed(Input::Began { unix_ms: 2, resumed: true, turn_recorded: None, tokens: Vec::new() });
    assert!(spawn(&actions).is_some_and(|spawn| spawn.role == Role::Critic), "the stop is judged: {actions:?}");
}

#[test]
fn a_verdict_counts_for_nothing_when_the_settings_were_written_meanwhile() {
    for after in [false, true] {
        let mut run = reviewing(plan());
        let not_agreed = Some("you have not agreed to env.X of .claude/settings.json".to_owned());
        let tree = TreeFact { fingerprint: Some("t".to_owned()), not_agreed, ..TreeFact::default() };
        let still = TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() };
        let mut actions = run.spawned(2);
        let before = if after { still } else { tree.clone() };
        actions.extend(run.feed(Input::TreeMeasured { measure: MeasureId(1), tree: before }));
        if after {
            let brief = sent(&actions).expect("a brief").turn.clone();
            let mut lines = accepted(&brief);
            lines.extend(answered(&brief, "[TASK_COMPLETED]"));
            run.lines(2, &lines);
            run.feed(Input::TreeMeasured { measure: MeasureId(2), tree });
        }
        let end = ended(&mut run, 2);
        assert_eq!(
            (end.outcome, end.needs.clone(), end.iterations),
            (Outcome::NeedsUser, Some(Needs::Agreement), 0),
            "{}",
            end.reason
        );
    }
}

/// The guard in [`Core::enter`].
#[test]
fn once_the_outcome_is_known_nothing_else_is_entered() {
    let mut core = Core::new(plan());
    core.enter(Stage::Working);
    assert!(matches!(core.stage(), Stage::Working), "before that anything is");
    core.close(Outcome::Failed, "so");
    core.enter(Stage::Working);
    assert!(core.is_closing() && !core.is_finished());
    core.handle(Tick::ZERO, Input::Elapsed { unix_ms: 0 });
    assert!(core.is_finished(), "nothing runs that would have to end");
    core.enter(Stage::Working);
    assert!(core.is_finished());
}

#[test]
fn descendants_that_could_not_be_ended_are_told() {
    let mut run = reviewing(plan());
    let exit = ExitFact { code: Some(0), leaked: 2, ..ExitFact::default() };
    let actions = run.feed(Input::Exited { proc: ProcId(2), exit });
    let told = "2 descendants of process 2 could not be ended";
    let noted = |action: &Action| matches!(action, Action::Note(note) if note.about == "leaked" && note.text == told);
    assert!(actions.iter().any(noted), "{actions:?}");
    assert!(run.notices().iter().any(|notice| notice.starts_with(told)), "{:?}", run.notices());
}

#[test]
fn an_agent_whose_memory_was_used_up_is_started_again_for_that_reason() {
    let (mut run, _) = working(plan());
    let exit = ExitFact { signal: Some(9), out_of_memory: true, ..ExitFact::default() };
    let actions = format!("{:?}", run.feed(Input::Exited { proc: ProcId(1), exit }));
    let how = "its process was killed by the system: its memory (agent.memory_max) was used up";
    assert!(actions.contains("restart the agent") && actions.contains(how), "{actions}");
}

#[test]
fn an_agent_or_a_critic_without_the_sandbox_that_was_asked_for_ends_the_run_for_the_user() {
    let guarded = |guard| {
        let mut plan = plan();
        plan.walls.guard = guard;
        let settings = SandboxSettings { agent: "/run/agent.json".to_owned(), critic: "/run/critic.json".to_owned() };
        plan.walls.sandbox = (guard == Guard::AgentSandbox).then_some(settings);
        plan
    };
    let init = |enabled: &str| {
        format!(
            r#"{{"type":"system","subtype":"init","cwd":"/project","session_id":"{SESSION}","model":"m-1","permissionMode":"default","claude_code_version":"2.1.332"{enabled}}}"#
        )
    };
    let without = init(r#","sandbox_enabled":false"#);
    let (mut run, actions) = Run::begin(guarded(Guard::AgentSandbox));
    assert!(spawn(&actions).is_some_and(|spawn| spawn.launch.args.contains(&"/run/agent.json".to_owned())));
    run.spawned(1);
    run.line(1, &without);
    let actions = run.exited(1, 0, "");
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::NeedsUser);
    assert!(end.reason.contains("the agent's CLI runs without its own sandbox"), "{}", end.reason);
    assert!(end.reason.contains("ccc doctor"), "{}", end.reason);

    let mut run = reviewing(guarded(Guard::AgentSandbox));
    run.spawned(2);
    run.line(2, &without);
    let end = ended(&mut run, 2);
    assert_eq!(end.outcome, Outcome::NeedsUser, "nothing was judged");
    assert!(end.reason.contains("the critic's CLI runs without its own sandbox"), "{}", end.reason);

    // Version 2.1.197 does not say it, and a run that has not asked for it may be without.
    for (guard, said) in [
        (Guard::AgentSandbox, init("")),
        (Guard::AgentSandbox, init(r#","sandbox_enabled":true"#)),
        (Guard::AgentSandbox, init(r#","sandbox_enabled":"unknown""#)),
        (Guard::Auto, without.clone()),
        (Guard::Off, without.clone()),
    ] {
        let (mut run, turn) = working(guarded(guard));
        run.line(1, &said);
        let actions = run.work(1, &turn, "Done.");
        assert!(spawn(&actions).is_some_and(|spawn| spawn.role == Role::Critic), "{guard:?} {said}: {actions:?}");
    }
}
