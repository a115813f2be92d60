//! The workers of an agent that is their manager.

use super::*;

fn started(run: &mut Run, id: &str) -> Taken {
    run.feed(Input::Operator(OperatorInput::WorkerStarted {
        id: id.to_owned(),
        name: format!("name-{id}"),
        again: false,
    }));
    run.core.taken().clone()
}

fn told(id: &str) -> String {
    format!("Your worker name-{id} has ended: completed.")
}

fn has_ended_at(id: &str, at_unix_ms: Option<i64>) -> Input {
    let (name, text) = (format!("name-{id}"), told(id));
    Input::Operator(OperatorInput::WorkerEnded { id: id.to_owned(), name, text, at_unix_ms })
}

fn has_ended(id: &str) -> Input {
    has_ended_at(id, Some(1_000))
}

fn ended(run: &mut Run, id: &str) -> Taken {
    let actions = run.feed(has_ended(id));
    assert!(actions.iter().all(|action| matches!(action, Action::Note(_))), "it may reach a dead run: {actions:?}");
    run.core.taken().clone()
}

/// The turns that these actions send to the agent.
fn said(actions: &[Action]) -> Vec<(TurnKind, String)> {
    let mut said = Vec::new();
    for action in actions {
        if let Action::Send(send) = action {
            said.push((send.kind, send.text.clone()));
        }
    }
    said
}

fn about(id: &str) -> (TurnKind, String) {
    (TurnKind::Worker, told(id))
}

fn turn(actions: &[Action]) -> TurnId {
    sent(actions).expect("a turn").turn.clone()
}

fn resumed(run: &mut Run) -> Vec<Action> {
    run.feed(Input::Began { unix_ms: 2_000_000, resumed: true, turn_recorded: None, tokens: Vec::new() })
}

/// A run that rests for these workers.
fn waiting(plan: Plan, ids: &[&str]) -> Run {
    let (mut run, turn) = working(plan);
    for id in ids {
        assert_eq!(started(&mut run, id), Taken::Done);
    }
    let actions = run.work(1, &turn, "They work.");
    assert!(spawn(&actions).is_none(), "no critic while workers run: {actions:?}");
    run
}

fn detail(run: &Run) -> String {
    let detail = |show: &Show| if let Show::Phase { detail, .. } = show { Some(detail.clone()) } else { None };
    run.shown.iter().rev().find_map(detail).unwrap_or_default()
}

#[test]
fn a_stop_with_running_workers_waits_for_them_and_each_end_is_told_once() {
    let mut run = waiting(plan(), &["a", "b"]);
    assert_eq!((run.core.phase(), detail(&run).as_str(), run.core.iteration()), ("waiting", "for 2 workers", 0));
    assert_eq!(ended(&mut run, "a"), Taken::Done);
    let actions = run.wait();
    assert_eq!(said(&actions), [about("a")]);
    assert_eq!(ended(&mut run, "a"), Taken::Already);
    let actions = run.work(1, &turn(&actions), "One is done.");
    assert!(spawn(&actions).is_none() && said(&actions).is_empty());
    assert_eq!(detail(&run), "for 1 worker");
    ended(&mut run, "b");
    let actions = run.wait();
    assert_eq!(said(&actions), [about("b")]);
    let actions = run.work(1, &turn(&actions), "All is done.");
    assert!(spawn(&actions).is_some(), "now the stop is judged: {actions:?}");
    assert_eq!(run.core.iteration(), 1);
}

#[test]
fn ends_that_come_during_a_turn_are_told_in_their_order_after_it() {
    let (mut run, first) = working(plan());
    for id in ["a", "b", "c"] {
        started(&mut run, id);
    }
    run.lines(1, &accepted(&first));
    ended(&mut run, "b");
    ended(&mut run, "a");
    let mut actions = run.lines(1, &answered(&first, "They work."));
    for id in ["b", "a"] {
        assert_eq!(said(&actions), [about(id)]);
        actions = run.work(1, &turn(&actions), "Seen.");
    }
    assert!(said(&actions).is_empty() && spawn(&actions).is_none());
    assert_eq!(detail(&run), "for 1 worker");
}

#[test]
fn a_word_of_the_user_wakes_the_run_and_it_waits_again_after_it() {
    let mut run = waiting(plan(), &["a"]);
    let say = OperatorInput::Say { key: Some("k".to_owned()), text: "How far?".to_owned(), images: Vec::new() };
    let actions = run.feed(Input::Operator(say));
    assert_eq!(said(&actions), [(TurnKind::Operator, "How far?".to_owned())]);
    let actions = run.work(1, &turn(&actions), "Half.");
    assert!(spawn(&actions).is_none());
    assert_eq!((run.core.phase(), detail(&run).as_str()), ("waiting", "for 1 worker"));
    assert_eq!(run.feed(Input::Operator(OperatorInput::Judge)).len(), 0, "it is judged after the workers");
    ended(&mut run, "a");
    assert_eq!(said(&run.wait()), [about("a")]);
}

#[test]
fn workers_that_are_started_during_a_review_put_it_off() {
    let mut run = reviewing(plan());
    run.spawned(2);
    assert_eq!((started(&mut run, "a"), run.core.iteration()), (Taken::Done, 1));
    assert_eq!(started(&mut run, "a"), Taken::Already);
    let actions = run.wait();
    assert!(decisions(&actions).contains(&"judge the stop after the workers"), "{actions:?}");
    assert_eq!((run.core.phase(), run.core.iteration()), ("waiting", 0));
}

#[test]
fn after_the_death_of_ccc_no_end_is_told_twice_and_none_is_lost() {
    let mut run = waiting(plan(), &["a", "b", "c"]);
    // The end of `a` is in the journal, and ccc dies before it says it. It is reported again, with that of `b`.
    ended(&mut run, "a");
    assert_eq!(ended(&mut run, "a"), Taken::Already);
    assert_eq!(ended(&mut run, "b"), Taken::Done);
    assert_eq!(started(&mut run, "c"), Taken::Already);
    let actions = resumed(&mut run);
    assert!(spawn(&actions).is_some(), "{actions:?}");
    let mut actions = run.spawned(2);
    for id in ["a", "b"] {
        assert_eq!(said(&actions), [about(id)]);
        actions = run.work(2, &turn(&actions), "Seen.");
    }
    assert!(spawn(&actions).is_none());
    assert_eq!(detail(&run), "for 1 worker");
}

#[test]
fn an_end_that_comes_while_the_run_ends_is_told_when_it_is_resumed() {
    let mut run = waiting(plan(), &["a"]);
    run.feed(Input::Operator(OperatorInput::Interrupt { reason: "enough".to_owned() }));
    assert_eq!(ended(&mut run, "a"), Taken::Done);
    run.exited(1, 0, "");
    resumed(&mut run);
    assert_eq!(said(&run.spawned(2)), [about("a")]);
}

#[test]
fn the_wait_is_bounded_by_the_time_of_the_run_and_lost_workers_are_named() {
    let budgets = Budgets { max_duration_ms: Some(3_600_000), ..Budgets::DEFAULT };
    let mut run = waiting(Plan { budgets, ..plan() }, &["a"]);
    let mut actions = run.wait();
    assert!(decisions(&actions).contains(&"end as budget"), "{actions:?}");
    actions.extend(run.exited(1, 0, ""));
    assert_eq!(finish(&actions).map(|finish| finish.outcome), Some(Outcome::Budget));
    ended(&mut run, "a");
    let actions = resumed(&mut run);
    let finish = finish(&actions).expect("no more time is there for it").clone();
    assert_eq!(finish.outcome, Outcome::Budget);

    let budgets = Budgets { max_duration_ms: None, ..Budgets::DEFAULT };
    let mut run = waiting(Plan { budgets, ..plan() }, &["a", "b"]);
    let since = run.now;
    let actions = run.wait();
    assert!(run.now.ms_since(since) >= 24 * 3_600_000);
    let (kind, text) = said(&actions).pop().expect("a turn");
    assert!(kind == TurnKind::Worker && text.contains("name-a, name-b") && text.contains("ccc list"), "{text}");
    let actions = run.work(1, &turn(&actions), "I go on without them.");
    assert!(spawn(&actions).is_some(), "it is judged");
    assert_eq!(ended(&mut run, "a"), Taken::Done, "the end is told all the same");
    assert_eq!(ended(&mut run, "a"), Taken::Already);
}

#[test]
fn what_is_too_much_or_says_nothing_is_refused() {
    let (mut run, _) = working(plan());
    let start =
        |id: &str, name: &str| OperatorInput::WorkerStarted { id: id.to_owned(), name: name.to_owned(), again: false };
    let end = |text: &str| OperatorInput::WorkerEnded {
        id: "a".to_owned(),
        name: "n".to_owned(),
        text: text.to_owned(),
        at_unix_ms: None,
    };
    for (input, refused) in [
        (start("", "n"), Refused::TooMuch),
        (start("a", &"n".repeat(300)), Refused::TooMuch),
        (end(" "), Refused::Nothing),
        (end(&"x".repeat(70_000)), Refused::TooMuch),
    ] {
        run.feed(Input::Operator(input));
        assert_eq!(*run.core.taken(), Taken::Refused(refused));
    }
    assert_eq!(run.core.workers_running(), 0);
}

#[test]
fn a_worker_that_is_continued_is_waited_for_again_and_its_second_end_is_told_once() {
    let mut run = waiting(plan(), &["a"]);
    ended(&mut run, "a");
    let actions = run.wait();
    assert_eq!(said(&actions), [about("a")]);
    assert_eq!(started(&mut run, "a"), Taken::Already, "a late report of its first start");
    let again = |id: &str| {
        let (id, name) = (id.to_owned(), format!("name-{id}"));
        Input::Operator(OperatorInput::WorkerStarted { id, name, again: true })
    };
    run.feed(again("a"));
    assert_eq!(*run.core.taken(), Taken::Done);
    run.feed(again("a"));
    assert_eq!(*run.core.taken(), Taken::Already);
    let actions = run.work(1, &turn(&actions), "I wait for what it does now.");
    assert!(spawn(&actions).is_none());
    assert_eq!(detail(&run), "for 1 worker");
    run.feed(has_ended_at("a", Some(2_000)));
    assert_eq!(*run.core.taken(), Taken::Done);
    assert!(run.core.is_told_of_end("a", Some(2_000)) && !run.core.is_told_of_end("a", Some(1_000)));
    let actions = run.wait();
    assert_eq!(said(&actions), [about("a")]);
    // Nobody has said that it works again: its third end is another one all the same.
    for (at, taken) in [
        (Some(2_000), Taken::Already),
        (Some(3_000), Taken::Done),
        (Some(3_000), Taken::Already),
        (None, Taken::Already),
    ] {
        run.feed(has_ended_at("a", at));
        assert_eq!(*run.core.taken(), taken, "{at:?}");
    }
    let actions = run.work(1, &turn(&actions), "Seen.");
    assert_eq!(said(&actions), [about("a")]);
    let actions = run.work(1, &turn(&actions), "All is done.");
    assert!(spawn(&actions).is_some(), "{actions:?}");
}
