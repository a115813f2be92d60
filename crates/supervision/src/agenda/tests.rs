use super::*;
use crate::upkeep::Full;

const NOW: i64 = 1_800_000_000_000;
const HOUR_MS: i64 = 3_600_000;

fn list(texts: &[&str]) -> Vec<Listed> {
    let (texts, ticks): (Vec<&str>, Vec<bool>) =
        texts.iter().map(|text| text.strip_prefix("x ").map_or((*text, false), |text| (text, true))).unzip();
    let keys = TaskKey::of_all(texts.iter().copied());
    let item =
        |((key, text), done): ((TaskKey, &str), bool)| Listed { key, title: text.to_owned(), max_cost_usd: None, done };
    keys.into_iter().zip(texts).zip(ticks).map(item).collect()
}

fn begun(texts: &[&str], bounds: ListBounds) -> Agenda {
    let mut agenda = Agenda::default();
    agenda.listed(&list(texts));
    agenda.begin(bounds, NOW);
    agenda
}

fn ended(outcome: Outcome, cost_usd: f64) -> Found {
    Found::Ended { outcome, reason: Some(format!("because it is {}", outcome.as_str())), cost_usd: Some(cost_usd) }
}

fn at(agenda: &Agenda, now_unix_ms: i64, headroom: &Headroom) -> Step {
    agenda.decide(&Facts { now_unix_ms, headroom, interrupted: false })
}

fn next(agenda: &Agenda) -> Step {
    at(agenda, NOW, &Headroom::Free)
}

/// Starts what is decided, and lets its run end so. Returns which task it was.
#[track_caller]
fn play(agenda: &mut Agenda, found: &Found) -> usize {
    match next(agenda) {
        Step::Start { task, .. } => {
            agenda.starts(task, &format!("run-{task}"));
            agenda.ended(task, found, NOW);
            task
        }
        Step::Resume { task, run, .. } => {
            agenda.starts(task, &run);
            agenda.ended(task, found, NOW);
            task
        }
        other @ (Step::Await { .. } | Step::Wait { .. } | Step::End(_)) => panic!("{other:?}"),
    }
}

fn stages(agenda: &Agenda) -> Vec<Stage> {
    agenda.tasks.iter().map(|task| task.stage).collect()
}

/// What the next process reads from the disk.
fn stored(agenda: &Agenda) -> Agenda {
    serde_json::from_str(&serde_json::to_string(agenda).expect("JSON")).expect("the same")
}

const COMPLETED: Outcome = Outcome::Completed;

#[test]
fn tasks_are_worked_in_their_order_and_a_failure_stops_nothing_by_default() {
    let mut agenda = begun(&["a", "b", "c"], ListBounds::default());
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 0);
    assert_eq!(play(&mut agenda, &ended(Outcome::Stuck, 1.0)), 1);
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 2);
    assert_eq!(next(&agenda), Step::End(EndWhy::Done));
    assert_eq!(agenda.outcome(&EndWhy::Done), Outcome::Stuck, "the first that is not completed");
    assert_eq!(agenda.tasks[1].why.as_deref(), Some("because it is stuck"));
    assert!((agenda.spent_usd() - 3.0).abs() < 1e-9);
}

#[test]
fn the_first_failure_ends_the_list_where_that_is_wanted_and_the_next_start_goes_on_behind_it() {
    let bounds = ListBounds { stops_at_failure: true, ..ListBounds::default() };
    for outcome in [Outcome::Failed, Outcome::NeedsUser, Outcome::Stuck, Outcome::Budget] {
        let mut agenda = begun(&["a", "b", "c"], bounds);
        play(&mut agenda, &ended(COMPLETED, 1.0));
        play(&mut agenda, &ended(outcome, 1.0));
        assert_eq!(next(&agenda), Step::End(EndWhy::Failure));
        assert_eq!(agenda.outcome(&EndWhy::Failure), outcome);
        agenda.ends(EndWhy::Failure, NOW);
        agenda.begin(bounds, NOW + 1);
        assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 2);
    }
}

#[test]
fn after_a_kill_the_run_at_work_is_looked_at_first_and_continued_and_finished_ones_are_not_run_again() {
    let mut agenda = begun(&["a", "b", "c"], ListBounds::default());
    play(&mut agenda, &ended(COMPLETED, 1.0));
    agenda.starts(1, "run-1");
    // Killed here.
    let mut agenda = stored(&agenda);
    agenda.listed(&list(&["a", "new", "b", "c"]));
    agenda.begin(ListBounds::default(), NOW + 5);
    assert_eq!(agenda.began_unix_ms, NOW, "the same night");
    assert_eq!(next(&agenda), Step::Await { task: 2, run: "run-1".to_owned() });
    agenda.ended(2, &Found::Died { cost_usd: Some(0.5) }, NOW);
    assert_eq!(next(&agenda), Step::Resume { task: 2, run: "run-1".to_owned(), max_cost_usd: None });
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 2.0)), 2, "what was begun comes first");
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 1);
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 3);
    assert_eq!(next(&agenda), Step::End(EndWhy::Done));
    assert_eq!(agenda.outcome(&EndWhy::Done), COMPLETED);
    agenda.ends(EndWhy::Done, NOW);
    agenda.begin(ListBounds::default(), NOW + HOUR_MS);
    assert_eq!(next(&agenda), Step::End(EndWhy::Done), "nothing is run twice");
}

#[test]
fn a_run_whose_ccc_dies_again_and_again_is_given_up_and_the_list_goes_on() {
    let mut agenda = begun(&["a", "b"], ListBounds::default());
    for _ in 0..MOST_TRIES {
        assert_eq!(play(&mut agenda, &Found::Died { cost_usd: None }), 0);
    }
    assert_eq!(agenda.tasks[0].stage, Stage::Interrupted);
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 1);
    agenda.ends(EndWhy::Done, NOW);
    agenda.begin(ListBounds::default(), NOW + 1);
    assert!(matches!(next(&agenda), Step::Resume { task: 0, .. }), "the next start tries it again");
}

#[test]
fn a_run_that_does_not_begin_is_tried_again_later_and_two_such_tasks_end_the_list() {
    let not_begun = Found::NotBegun { exists: false, why: "exit code 2".to_owned() };
    let mut agenda = begun(&["a", "b", "c"], ListBounds::default());
    let mut now = NOW;
    for task in 0..2 {
        for again in 1..=MOST_TRIES {
            let Step::Start { task: at, .. } = at(&agenda, now, &Headroom::Free) else { panic!("{agenda:?}") };
            assert_eq!(at, task);
            agenda.starts(at, "r");
            agenda.ended(at, &not_begun, now);
            if again < MOST_TRIES {
                let wait = self::at(&agenda, now, &Headroom::Free);
                assert_eq!(wait, Step::Wait { until_unix_ms: now + TRY_AGAIN_MS, why: WaitWhy::TryAgain });
                now += TRY_AGAIN_MS;
            }
        }
    }
    assert_eq!(stages(&agenda), [Stage::NotStarted, Stage::NotStarted, Stage::Queued]);
    assert_eq!(at(&agenda, now, &Headroom::Free), Step::End(EndWhy::NothingBegins));
    assert_eq!(agenda.outcome(&EndWhy::NothingBegins), Outcome::Failed);
    agenda.ends(EndWhy::NothingBegins, now);
    agenda.begin(ListBounds::default(), now);
    assert!(matches!(next(&agenda), Step::Start { task: 0, .. }));
}

#[test]
fn a_run_gets_what_is_left_of_the_money_and_a_run_that_is_cut_by_it_is_continued_the_next_night() {
    let bounds = ListBounds { max_cost_usd: Some(3.0), ..ListBounds::default() };
    let mut agenda = begun(&["a", "b", "c"], bounds);
    agenda.tasks[0].max_cost_usd = Some(2.5);
    assert_eq!(next(&agenda), Step::Start { task: 0, max_cost_usd: Some(2.5) });
    play(&mut agenda, &ended(COMPLETED, 2.0));
    assert_eq!(next(&agenda), Step::Start { task: 1, max_cost_usd: Some(1.0) });
    play(&mut agenda, &ended(Outcome::Budget, 1.005));
    assert_eq!(agenda.tasks[1].stage, Stage::Interrupted, "it was cut");
    assert_eq!(next(&agenda), Step::End(EndWhy::Money));
    assert_eq!(agenda.outcome(&EndWhy::Money), Outcome::Budget);
    agenda.ends(EndWhy::Money, NOW);
    let mut agenda = stored(&agenda);
    agenda.begin(bounds, NOW + HOUR_MS);
    assert!(agenda.spent_usd() < LEAST_USD, "a new night has its own money");
    let Step::Resume { task: 1, run: _, max_cost_usd: Some(most) } = next(&agenda) else { panic!("{agenda:?}") };
    assert!((most - 4.005).abs() < 1e-9, "the bound is on all that the run has cost: {most}");
}

#[test]
fn a_bound_below_the_least_amount_is_not_spent_before_anything_is() {
    let bounds = ListBounds { max_cost_usd: Some(LEAST_USD / 2.0), ..ListBounds::default() };
    let mut agenda = begun(&["a", "b"], bounds);
    assert_eq!(next(&agenda), Step::Start { task: 0, max_cost_usd: Some(LEAST_USD / 2.0) });
    play(&mut agenda, &ended(COMPLETED, LEAST_USD / 4.0));
    assert_eq!(next(&agenda), Step::End(EndWhy::Money));
}

#[test]
fn the_money_of_a_night_that_was_killed_stays_spent() {
    let bounds = ListBounds { max_cost_usd: Some(3.0), ..ListBounds::default() };
    let mut agenda = begun(&["a", "b"], bounds);
    play(&mut agenda, &ended(COMPLETED, 2.0));
    let mut agenda = stored(&agenda);
    agenda.begin(bounds, NOW + 1);
    assert_eq!(next(&agenda), Step::Start { task: 1, max_cost_usd: Some(1.0) });
    agenda.ends(EndWhy::Interrupted, NOW + 2);
    agenda.begin(bounds, NOW + 3);
    assert_eq!(next(&agenda), Step::Start { task: 1, max_cost_usd: Some(1.0) }, "nor when it was interrupted");
}

#[test]
fn a_runs_own_bound_is_a_failure_and_no_end_of_the_night() {
    let mut agenda = begun(&["a", "b"], ListBounds { max_cost_usd: Some(9.0), ..ListBounds::default() });
    play(&mut agenda, &ended(Outcome::Budget, 1.0));
    assert_eq!(agenda.tasks[0].stage, Stage::Failed);
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 1);
}

#[test]
fn no_task_starts_after_the_time_and_the_one_that_was_ended_by_it_is_continued_the_next_night() {
    let bounds = ListBounds { until_unix_ms: Some(NOW + HOUR_MS), ..ListBounds::default() };
    let mut agenda = begun(&["a", "b"], bounds);
    assert!(matches!(at(&agenda, NOW + HOUR_MS - 1, &Headroom::Free), Step::Start { task: 0, .. }));
    agenda.starts(0, "r");
    agenda.ended(0, &ended(Outcome::Budget, 1.0), NOW + HOUR_MS);
    assert_eq!(at(&agenda, NOW + HOUR_MS, &Headroom::Free), Step::End(EndWhy::Time));
    agenda.ends(EndWhy::Time, NOW + HOUR_MS);
    agenda.begin(ListBounds { until_unix_ms: Some(NOW + 9 * HOUR_MS), ..bounds }, NOW + 2 * HOUR_MS);
    assert!(matches!(at(&agenda, NOW + 2 * HOUR_MS, &Headroom::Free), Step::Resume { task: 0, .. }));
}

#[test]
fn a_reserve_is_waited_for_until_its_reset_if_that_comes_in_time() {
    let full = Full { token: "a".to_owned(), window: "five_hour".to_owned(), percent: 85.0, resets_unix_ms: None };
    let reserved = |again_unix_ms| Headroom::Reserved { full: full.clone(), again_unix_ms };
    let agenda = begun(&["a"], ListBounds { until_unix_ms: Some(NOW + HOUR_MS), ..ListBounds::default() });
    let wait = |until_unix_ms| Step::Wait { until_unix_ms, why: WaitWhy::Reset(full.clone()) };
    let ends = Step::End(EndWhy::Reserve { full: full.clone() });
    assert_eq!(at(&agenda, NOW, &reserved(Some(NOW + 60_000))), wait(NOW + 60_000));
    assert_eq!(
        at(&agenda, NOW, &reserved(Some(NOW + HOUR_MS - 1))),
        wait(NOW + 10 * 60_000),
        "it is asked again meanwhile"
    );
    assert_eq!(at(&agenda, NOW, &reserved(Some(NOW + HOUR_MS))), ends);
    assert_eq!(at(&agenda, NOW, &reserved(None)), ends);
    assert_eq!(agenda.outcome(&EndWhy::Reserve { full: full.clone() }), Outcome::Limits);
    let without_end = begun(&["a"], ListBounds::default());
    assert_eq!(at(&without_end, NOW, &reserved(Some(NOW + 99 * HOUR_MS))), wait(NOW + 10 * 60_000));
    let empty = begun(&[], ListBounds::default());
    assert_eq!(at(&empty, NOW, &reserved(None)), Step::End(EndWhy::Done), "nothing is waited for without a task");
}

#[test]
fn a_run_that_ends_at_its_limit_ends_the_list_and_is_continued_by_the_next_start() {
    let mut agenda = begun(&["a", "b"], ListBounds::default());
    play(&mut agenda, &ended(Outcome::Limits, 1.0));
    assert_eq!(next(&agenda), Step::End(EndWhy::Limited), "the next one would be limited, too");
    agenda.ends(EndWhy::Limited, NOW);
    agenda.begin(ListBounds::default(), NOW);
    assert!(matches!(next(&agenda), Step::Resume { task: 0, .. }));
}

#[test]
fn an_interrupt_ends_the_list_and_a_run_that_was_stopped_elsewhere_does_not() {
    let mut agenda = begun(&["a", "b"], ListBounds::default());
    play(&mut agenda, &ended(Outcome::Interrupted, 1.0));
    assert!(matches!(next(&agenda), Step::Start { task: 1, .. }), "`ccc stop` is for one run");
    let facts = Facts { now_unix_ms: NOW, headroom: &Headroom::Free, interrupted: true };
    assert_eq!(agenda.decide(&facts), Step::End(EndWhy::Interrupted));
    agenda.ends(EndWhy::Interrupted, NOW);
    agenda.begin(ListBounds::default(), NOW);
    assert!(matches!(next(&agenda), Step::Resume { task: 0, .. }));
}

#[test]
fn tasks_that_are_added_edited_ticked_or_removed_while_it_works() {
    let mut agenda = begun(&["a", "b", "c", "d"], ListBounds::default());
    play(&mut agenda, &ended(COMPLETED, 1.0));
    agenda.starts(1, "run-1");
    // `b` is edited while it is at work, `c` is ticked, `d` is removed, `new` is added before all.
    agenda.listed(&list(&["new", "a", "b, but other", "x c"]));
    let shown: Vec<(&str, bool, Stage)> =
        agenda.tasks.iter().map(|task| (task.title.as_str(), task.listed, task.stage)).collect();
    assert_eq!(
        shown,
        [
            ("new", true, Stage::Queued),
            ("a", true, Stage::Completed),
            ("b, but other", true, Stage::Queued),
            ("b", false, Stage::Running),
        ]
    );
    assert_eq!(next(&agenda), Step::Await { task: 3, run: "run-1".to_owned() }, "what is at work works on");
    agenda.ended(3, &Found::Died { cost_usd: None }, NOW);
    assert!(matches!(next(&agenda), Step::Start { task: 0, .. }), "what was taken out is not continued");
}

#[test]
fn equal_tasks_are_told_apart_by_their_place_among_equals() {
    let mut agenda = begun(&["test it", "a", "test it"], ListBounds::default());
    assert_eq!(play(&mut agenda, &ended(COMPLETED, 1.0)), 0);
    // The user ticks the first one.
    agenda.listed(&list(&["x test it", "a", "test it"]));
    assert_eq!(
        agenda.tasks.iter().filter(|task| task.listed).map(|task| task.stage).collect::<Vec<_>>(),
        [Stage::Queued; 2]
    );
}

#[test]
fn what_the_user_has_continued_meanwhile_counts() {
    let mut agenda = begun(&["a", "b", "c", "d"], ListBounds::default());
    play(&mut agenda, &ended(Outcome::NeedsUser, 1.0));
    play(&mut agenda, &ended(Outcome::Failed, 1.0));
    play(&mut agenda, &ended(Outcome::Interrupted, 1.0));
    play(&mut agenda, &ended(Outcome::Interrupted, 1.0));
    agenda.ends(EndWhy::Done, NOW);
    agenda.found(0, &ended(COMPLETED, 2.0));
    agenda.found(1, &Found::AtWork);
    agenda.found(2, &ended(Outcome::NeedsUser, 2.0));
    agenda.found(3, &ended(Outcome::Interrupted, 1.0));
    agenda.begin(ListBounds::default(), NOW);
    assert_eq!(stages(&agenda), [Stage::Completed, Stage::Running, Stage::Failed, Stage::Broken]);
    assert!(matches!(next(&agenda), Step::Await { task: 1, .. }));
}

#[test]
fn a_state_of_a_newer_version_of_the_same_format_is_read() {
    let text = r#"{"tasks":[{"key":"k-1","stage":"queued","listed":true,"new":1}],"began_unix_ms":5,"newer":{}}"#;
    let agenda: Agenda = serde_json::from_str(text).expect("read");
    assert_eq!((agenda.tasks.len(), agenda.began_unix_ms), (1, 5));
}

#[test]
fn a_run_that_gives_way_to_the_user_is_continued_and_nothing_has_failed() {
    let mut agenda = begun(&["one", "two"], ListBounds { stops_at_failure: true, ..ListBounds::default() });
    for _ in 0..4 {
        let (Step::Start { task, .. } | Step::Resume { task, .. }) = next(&agenda) else {
            panic!("{:?}", next(&agenda))
        };
        assert_eq!(task, 0);
        agenda.starts(task, "run-0");
        assert_eq!(agenda.tasks[0].gave_way, None);
        agenda.gives_way(task, Some(NOW + HOUR_MS));
        agenda.ended(task, &ended(Outcome::Interrupted, 0.5), NOW);
    }
    // However often its run is looked at.
    agenda.found(0, &ended(Outcome::Interrupted, 0.75));
    assert_eq!(stages(&agenda), [Stage::Broken, Stage::Queued]);
    let task = &stored(&agenda).tasks[0];
    assert_eq!(task.gave_way, Some(GaveWay { again_unix_ms: Some(NOW + HOUR_MS) }));
    assert_eq!(
        (task.why.as_deref(), task.cost_usd),
        (Some("it gave way, because the rest of the usage is kept for you"), Some(0.75))
    );
    let full =
        Full { token: "t".into(), window: "five_hour".into(), percent: 85.0, resets_unix_ms: Some(NOW + HOUR_MS) };
    let headroom = Headroom::Reserved { full, again_unix_ms: Some(NOW + HOUR_MS) };
    assert!(matches!(at(&agenda, NOW, &headroom), Step::Wait { why: WaitWhy::Reset(_), .. }));
    assert!(matches!(next(&stored(&agenda)), Step::Resume { task: 0, ref run, .. } if run == "run-0"));
}

#[test]
fn a_run_that_ends_by_itself_while_it_is_asked_to_give_way_counts_as_it_ended() {
    let mut agenda = begun(&["one", "two"], ListBounds::default());
    for (task, (found, stage)) in
        [(ended(Outcome::Completed, 0.5), Stage::Completed), (ended(Outcome::Stuck, 0.5), Stage::Failed)]
            .into_iter()
            .enumerate()
    {
        agenda.starts(task, "run");
        agenda.gives_way(task, None);
        agenda.ended(task, &found, NOW);
        assert_eq!((agenda.tasks[task].stage, agenda.tasks[task].gave_way), (stage, None));
    }
}
