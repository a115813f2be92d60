//! What became of a task's run, by the files of the run.

use std::path::Path;

use crate::agenda::{Agenda, Found, Stage};
use crate::core::Outcome;
use crate::fleet::State;
use crate::journal::{FileLock, RunDir, RunSummary, Word};

/// What the run is; `None` if there is none.
pub(super) fn look(state: &Path, run: &str) -> Option<Found> {
    let dir = RunDir::at(state, run).ok().filter(|dir| dir.path().is_dir())?;
    let summary = RunSummary::read(&dir.summary()).ok();
    let cost_usd = summary.as_ref().and_then(|summary| summary.cost_usd);
    let reason = summary.as_ref().and_then(|summary| summary.reason.clone());
    let is_held = || matches!(FileLock::holder(&dir.lock()), Ok(Some(_)));
    Some(match State::of(&dir, summary.as_ref()) {
        State::Active(_) | State::Ready => Found::AtWork,
        // It is still writing its report.
        State::Ended(_) if is_held() => Found::AtWork,
        State::Ended(Word::Known(outcome)) => Found::Ended { outcome, reason, cost_usd },
        State::Ended(Word::Other(_)) => Found::Ended { outcome: Outcome::Failed, reason, cost_usd },
        State::Died if dir.journal().is_file() => Found::Died { cost_usd },
        State::Died | State::Queued => not_begun("its run did not begin"),
    })
}

/// Takes what the runs of the tasks have come to since that was written down: the user may have continued them.
pub(super) fn look_again(agenda: &mut Agenda, state: &Path) {
    for at in 0..agenda.tasks.len() {
        let run = agenda.tasks.get(at).and_then(|task| task.run.clone());
        if let Some(found) = run.and_then(|run| look(state, &run)) {
            agenda.found(at, &found);
        }
    }
}

/// The same for showing, where no next start takes what has become of a run that was at work.
pub(super) fn as_it_stands(agenda: &mut Agenda, state: &Path, now_unix_ms: i64) {
    look_again(agenda, state);
    for at in 0..agenda.tasks.len() {
        let task = agenda.tasks.get(at).filter(|task| task.stage == Stage::Running);
        let found = task.and_then(|task| look(state, task.run.as_deref()?));
        if let Some(found @ Found::Ended { .. }) = found {
            agenda.ended(at, &found, now_unix_ms);
        }
    }
}

/// A run that did not begin, for this reason.
pub(super) fn not_begun(why: &str) -> Found {
    Found::NotBegun { exists: false, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agenda::{ListBounds, Listed, TaskKey};

    fn ended(state: &Path, run: &str, outcome: Outcome) {
        let dir = RunDir::create(state, run).expect("a run");
        std::fs::write(dir.journal(), "").expect("written");
        let summary = serde_json::json!({
            "version": 1, "id": run, "task": "", "cwd": "/", "pid": 1, "started_unix_ms": 1, "updated_unix_ms": 2,
            "ended_unix_ms": 2, "phase": "finished", "iteration": 1, "restarts": 0, "rotations": 0, "waited_ms": 0,
            "outcome": outcome.as_str(), "cost_usd": 0.5,
        });
        std::fs::write(dir.summary(), summary.to_string()).expect("written");
    }

    #[test]
    fn a_run_that_the_user_has_continued_to_its_end_is_seen_whether_its_ccc_wrote_the_list_last_or_was_killed() {
        let state = tempfile::tempdir().expect("a directory");
        let keys = TaskKey::of_all(["failed", "killed", "stuck", "next"]);
        let listed = |key| Listed { key, title: String::new(), max_cost_usd: None, done: false };
        let mut agenda = Agenda::default();
        agenda.listed(&keys.into_iter().map(listed).collect::<Vec<_>>());
        agenda.begin(ListBounds::default(), 1);
        let runs = ["20261128-100000-aaaa", "20261128-100000-bbbb", "20261128-100000-cccc"];
        for (at, run) in runs.into_iter().enumerate() {
            agenda.starts(at, run);
        }
        let budget = Found::Ended { outcome: Outcome::Budget, reason: None, cost_usd: None };
        agenda.ended(0, &budget, 2);
        ended(state.path(), runs[0], Outcome::Completed);
        ended(state.path(), runs[1], Outcome::Completed);
        ended(state.path(), runs[2], Outcome::Stuck);
        as_it_stands(&mut agenda, state.path(), 3);
        let stages: Vec<Stage> = agenda.tasks.iter().map(|task| task.stage).collect();
        assert_eq!(stages, [Stage::Completed, Stage::Completed, Stage::Failed, Stage::Queued]);
        assert_eq!(agenda.tasks[2].outcome, Some(Outcome::Stuck));
    }
}
