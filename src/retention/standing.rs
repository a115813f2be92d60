//! Which runs are finished.

use std::collections::BTreeSet;
use std::path::Path;

use crate::core::Outcome;
use crate::fleet::{AgentRecord, Queued};
use crate::journal::{FileLock, RunDir, RunDirError, RunSummary, Word};
use crate::order::sort_by_key;
use crate::protect;
use crate::worktree::{WorktreeError, Worktrees};

/// For this long a run that ended with work left counts as unfinished: it can be continued. Claude Code keeps the session, without
/// which nothing is continued, for 30 days (`cleanupPeriodDays`).
const CAN_GO_ON_MS: i64 = 30 * 86_400_000;

/// Why a run is not finished, and so stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stays {
    /// A ccc works on it, or it waits in the queue.
    AtWork,
    /// It has no outcome: its ccc has died.
    NotEnded,
    /// It ended less than 30 days ago with work left.
    CanGoOn,
    /// Its worktree stands.
    Worktree,
    /// It is the manager of an agent that is not finished.
    Manages,
    /// A check of it was broken off, and the agent's versions of protected files are not in the tree again.
    NotPutBack,
    /// Its records cannot be read, or a newer ccc wrote them.
    Unknown,
}

impl Stays {
    /// Why, in words that follow the number of runs.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Stays::AtWork => "at work or queued",
            Stays::NotEnded => "without an end, because their ccc died",
            Stays::CanGoOn => "that can be continued and ended less than 30 days ago",
            Stays::Worktree => "whose worktree stands",
            Stays::Manages => "that manage an unfinished agent",
            Stays::NotPutBack => "that still have an agent's versions of protected files",
            Stays::Unknown => "whose records this ccc cannot read",
        }
    }
}

/// A run with what decides whether it goes.
#[derive(Debug)]
pub struct RunAge {
    /// Its directory.
    pub dir: RunDir,
    /// When it was last at work; the end of time if its summary cannot be read.
    pub last_unix_ms: i64,
    /// The summary of a run that may go, or why it stays.
    pub finished: Result<RunSummary, Stays>,
}

/// All runs of a state directory, those that were at work last first.
///
/// # Errors
/// When the directory of runs exists but cannot be read.
pub fn ages(state_dir: &Path, now_unix_ms: i64) -> Result<Vec<RunAge>, RunDirError> {
    let mut runs = Vec::new();
    let mut managers = BTreeSet::new();
    for dir in RunDir::all(state_dir)? {
        if dir.has_not_begun() && !Queued::is_there(&dir) {
            continue;
        }
        let summary = RunSummary::read(&dir.summary()).ok();
        let last_unix_ms = summary.as_ref().map_or(i64::MAX, last_unix_ms);
        // A run that has ended is held until its report is written.
        let is_held = matches!(FileLock::holder(&dir.lock()), Ok(Some(_)));
        let finished = if is_held { Err(Stays::AtWork) } else { self::finished(&dir, state_dir, now_unix_ms) };
        if finished.is_err()
            && let Ok(Some(AgentRecord { manager: Some(manager), .. })) = AgentRecord::read(&dir)
        {
            managers.insert(manager);
        }
        runs.push(RunAge { dir, last_unix_ms, finished });
    }
    for run in &mut runs {
        if run.finished.is_ok() && managers.contains(run.dir.id()) {
            run.finished = Err(Stays::Manages);
        }
    }
    sort_by_key(&mut runs, |run| std::cmp::Reverse(run.last_unix_ms));
    Ok(runs)
}

fn last_unix_ms(summary: &RunSummary) -> i64 {
    summary.ended_unix_ms.unwrap_or(summary.updated_unix_ms)
}

/// Whether a run that no ccc holds is finished, by its records and its worktree.
pub(super) fn finished(dir: &RunDir, state_dir: &Path, now_unix_ms: i64) -> Result<RunSummary, Stays> {
    if Queued::is_there(dir) {
        return Err(Stays::AtWork);
    }
    if protect::is_pending(dir.path()) {
        return Err(Stays::NotPutBack);
    }
    let summary = RunSummary::read(&dir.summary()).map_err(|_| Stays::Unknown)?;
    let record = AgentRecord::read(dir).map_err(|_| Stays::Unknown)?;
    let was_removed = record.as_ref().is_some_and(|record| record.removed_unix_ms.is_some());
    match &summary.outcome {
        Some(Word::Other(_)) => return Err(Stays::Unknown),
        Some(Word::Known(Outcome::Completed | Outcome::Failed)) => {}
        Some(Word::Known(
            Outcome::NeedsUser | Outcome::Budget | Outcome::Stuck | Outcome::Limits | Outcome::Interrupted,
        )) => {
            let is_recent = now_unix_ms.saturating_sub(last_unix_ms(&summary)) < CAN_GO_ON_MS;
            if is_recent && !was_removed {
                return Err(Stays::CanGoOn);
            }
        }
        // The user has removed the agent, so nobody continues it.
        None if was_removed => {}
        None => return Err(Stays::NotEnded),
    }
    if record.is_some() {
        match Worktrees::new(state_dir).and_then(|trees| trees.find(dir.id())) {
            Err(WorktreeError::Unknown { .. }) => {}
            Ok(_) => return Err(Stays::Worktree),
            Err(_) => return Err(Stays::Unknown),
        }
    }
    Ok(summary)
}
