//! The setup of the working tree, before the first process of the agent.

use super::*;

fn with_setup(commands: &[&str]) -> Plan {
    let setup = commands.iter().map(|command| SetupPlan { command: (*command).to_owned(), timeout_ms: 1_000 });
    Plan { setup: setup.collect(), ..plan() }
}

fn ended(run: &mut Run, check: u32, end: CheckEnd, tail: &str) -> Vec<Action> {
    let result =
        CheckResult { end, duration_ms: 5, tail: tail.to_owned(), omitted_bytes: 0, missing: None, protected: None };
    run.feed(Input::CheckFinished { check: CheckId(check), result })
}

fn passes(run: &mut Run, check: u32) -> Vec<Action> {
    ended(run, check, CheckEnd::Exited(0), "ok")
}

/// The commands that these actions run, each with its number.
fn runs(actions: &[Action]) -> Vec<(u32, &str)> {
    let mut runs = Vec::new();
    for action in actions {
        if let Action::RunCheck { check, command, .. } = action {
            runs.push((check.0, command.as_str()));
        }
    }
    runs
}

fn resumed(run: &mut Run, given: Vec<OperatorInput>) -> Vec<Action> {
    for input in given {
        let actions = run.feed(Input::Operator(input));
        assert!(runs(&actions).is_empty() && spawn(&actions).is_none(), "before the life begins: {actions:?}");
    }
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() })
}

#[test]
fn the_commands_run_in_order_and_the_agent_starts_after_the_last() {
    let (mut run, actions) = Run::begin(with_setup(&["npm ci", "make deps"]));
    assert_eq!((runs(&actions), spawn(&actions)), (vec![(1, "npm ci")], None));
    assert_eq!(run.core.phase(), "setting up");
    let actions = passes(&mut run, 1);
    assert_eq!((runs(&actions), spawn(&actions)), (vec![(2, "make deps")], None));
    assert!(passes(&mut run, 1).iter().all(|action| matches!(action, Action::Note(_))), "said again it is stale");
    let actions = passes(&mut run, 2);
    assert!(spawn(&actions).is_some() && runs(&actions).is_empty(), "{actions:?}");
    assert_eq!(sent(&run.spawned(1)).map(|send| send.kind), Some(TurnKind::Task));
    let shown = |command: &str| {
        let is = |show: &&Show| matches!(show, Show::Check { command: named, passed: true, setup: true, .. } if named == command);
        run.shown.iter().filter(is).count()
    };
    assert_eq!((shown("npm ci"), shown("make deps")), (1, 1));
}

#[test]
fn a_setup_that_fails_ends_the_run_and_a_resumed_one_goes_on_with_the_failed_command() {
    for (end, said) in [
        (CheckEnd::Exited(2), "exit code 2"),
        (CheckEnd::Signalled(9), "signal 9"),
        (CheckEnd::TimedOut, "time"),
        (CheckEnd::NotStarted("no shell".to_owned()), "no shell"),
    ] {
        let (mut run, _) = Run::begin(with_setup(&["npm ci", "make deps"]));
        passes(&mut run, 1);
        let actions = ended(&mut run, 2, end, "one\n\ntwo\nthree\nfour\n---\n");
        let finish = finish(&actions).expect("the end").clone();
        assert_eq!((finish.outcome, finish.needs), (Outcome::Failed, Some(Needs::Setup)));
        assert!(
            finish.reason.starts_with("the setup command `make deps` ") && finish.reason.contains(said),
            "{}",
            finish.reason
        );
        assert!(finish.reason.ends_with("; it says: two / three / four"), "{}", finish.reason);
        assert!(
            !actions.iter().any(|action| matches!(action, Action::CancelCheck { .. })),
            "it has ended: {actions:?}"
        );
        assert_eq!((finish.iterations, spawn(&actions)), (0, None));

        let actions = resumed(&mut run, Vec::new());
        assert_eq!((runs(&actions), spawn(&actions)), (vec![(3, "make deps")], None));
        assert!(spawn(&passes(&mut run, 3)).is_some());
        assert_eq!(sent(&run.spawned(1)).map(|send| send.text.as_str()), Some("write a parser"));
    }
}

#[test]
fn a_corrected_command_runs_and_those_that_passed_before_it_do_not_again() {
    let (mut run, _) = Run::begin(with_setup(&["npm ci", "make dep"]));
    passes(&mut run, 1);
    ended(&mut run, 2, CheckEnd::Exited(2), "");
    let corrected = OperatorInput::Plan(Box::new(with_setup(&["npm ci", "make deps"])));
    assert_eq!(runs(&resumed(&mut run.clone(), vec![corrected])), [(3, "make deps")]);
    let other = OperatorInput::Plan(Box::new(with_setup(&["npm install", "make deps"])));
    assert_eq!(runs(&resumed(&mut run.clone(), vec![other])), [(3, "npm install")]);
    let none = OperatorInput::Plan(Box::new(with_setup(&[])));
    assert!(spawn(&resumed(&mut run, vec![none])).is_some(), "nothing is left to set up");
}

#[test]
fn a_tree_that_is_set_up_is_not_set_up_again() {
    let (mut run, _) = Run::begin(with_setup(&["npm ci"]));
    passes(&mut run, 1);
    run.spawned(1);
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "enough".to_owned() }));
    run.crashed(1);
    let other = OperatorInput::Plan(Box::new(with_setup(&["npm ci", "make deps"])));
    let actions = resumed(&mut run, vec![other]);
    assert!(runs(&actions).is_empty() && spawn(&actions).is_some(), "{actions:?}");
}

#[test]
fn the_end_of_ccc_an_interrupt_a_pause_and_a_deadline_stop_the_setup() {
    let (run, _) = Run::begin(with_setup(&["npm ci", "make deps"]));

    let mut dies = run.clone();
    passes(&mut dies, 1);
    assert_eq!(runs(&resumed(&mut dies, Vec::new())), [(3, "make deps")], "what was not finished runs again");
    assert!(passes(&mut dies, 2).iter().all(|action| matches!(action, Action::Note(_))));

    let mut ends = run.clone();
    let actions = ends.feed(Input::Operator(OperatorInput::Interrupt { reason: "enough".to_owned() }));
    assert!(actions.contains(&Action::CancelCheck { check: CheckId(1) }), "{actions:?}");
    assert_eq!(finish(&actions).map(|finish| finish.outcome), Some(Outcome::Interrupted));
    assert_eq!(runs(&resumed(&mut ends, Vec::new())), [(2, "npm ci")]);

    let mut pauses = run.clone();
    pauses.feed(Input::Operator(OperatorInput::Pause));
    let actions = passes(&mut pauses, 1);
    assert_eq!((runs(&actions), pauses.core.phase()), (vec![], "paused"));
    assert_eq!(runs(&pauses.feed(Input::Operator(OperatorInput::Continue))), [(2, "make deps")]);

    let mut stops = run.clone();
    let actions = stops.feed(Input::Operator(OperatorInput::StopTurn));
    assert!(actions.contains(&Action::CancelCheck { check: CheckId(1) }) && finish(&actions).is_none(), "{actions:?}");
    assert_eq!(stops.core.phase(), "waiting");
    ended(&mut stops, 1, CheckEnd::Cancelled, "");
    let say = OperatorInput::Say { key: None, text: "Use tabs.".to_owned(), images: Vec::new() };
    assert_eq!(runs(&stops.feed(Input::Operator(say))), [(2, "npm ci")]);

    let budgets = Budgets { max_duration_ms: Some(60_000), ..Budgets::DEFAULT };
    let (mut late, _) = Run::begin(Plan { budgets, ..with_setup(&["npm ci"]) });
    let actions = late.wait();
    let end = finish(&actions).expect("the end");
    assert_eq!(end.outcome, Outcome::Budget);
    assert!(end.reason.contains("while the setup command `npm ci` was running"), "{}", end.reason);
    assert!(actions.contains(&Action::CancelCheck { check: CheckId(1) }));
}

#[test]
fn a_conversation_is_set_up_before_its_agent_starts_and_words_wait_for_it() {
    let plan = Plan { conversation: true, task: String::new(), ..with_setup(&["npm ci"]) };
    let (run, actions) = Run::begin(plan);
    assert_eq!((runs(&actions), spawn(&actions)), (vec![(1, "npm ci")], None));
    let mut silent = run.clone();
    assert!(spawn(&passes(&mut silent, 1)).is_some(), "the agent starts before anything is said");
    assert_eq!(silent.core.phase(), "waiting");

    let mut paused = run.clone();
    paused.feed(Input::Operator(OperatorInput::Pause));
    assert_eq!((spawn(&passes(&mut paused, 1)), paused.core.phase()), (None, "paused"), "nothing begins in a pause");

    let mut spoken = run;
    let say = OperatorInput::Say { key: None, text: "Write a parser.".to_owned(), images: Vec::new() };
    spoken.feed(Input::Operator(say));
    assert_eq!(spoken.core.phase(), "setting up");
    assert!(spawn(&passes(&mut spoken, 1)).is_some());
    assert_eq!(sent(&spoken.spawned(1)).map(|send| send.text.as_str()), Some("Write a parser."));
}
