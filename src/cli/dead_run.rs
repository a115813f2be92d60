//! Runs whose ccc was killed: the processes that they left, and their end where nothing is to continue them,
//! and the files that a check of theirs had exchanged.

use std::path::Path;

use redaction::Redactor;

use super::{CliError, Context, protected_files, survivors, telling};
use crate::core::Outcome;
use crate::driver;
use crate::git::Repository;
use crate::journal::{FileLock, LockError, RunDir, RunSummary};
use crate::process;
use crate::protect;
use crate::ui::format::count;

/// Ends the processes that a dead run left, and says so. The caller holds the run's lock.
pub(super) fn end_left(run: &RunDir, context: &Context) {
    let swept = process::sweep_run(run.id());
    if swept.killed > 0 {
        context.printer.talk(format_args!(
            "ended {} that the run had left when its ccc process died",
            count(swept.killed as usize, "process")
        ));
    }
    // A daemon that has replaced its environment carries no mark, so it is found by the record.
    survivors::end_of_dead_run(run, context);
}

/// Locks the run; `None` when another ccc holds it.
///
/// # Errors
/// When the lock's file cannot be used.
pub(super) fn lock_unless_held(run: &RunDir) -> Result<Option<FileLock>, CliError> {
    match run.take_lock(std::process::id(), driver::unix_ms()) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::Held { .. }) => Ok(None),
        Err(error @ LockError::Io { .. }) => {
            Err(CliError::io(error).hint("make the state directory writable, or set CCC_STATE_DIR to another one"))
        }
    }
}

/// Ends a run whose ccc has died as one that was interrupted for this reason; `ccc resume` continues it. False if it has not died.
///
/// # Errors
/// When its run cannot be locked, or the end cannot be written.
pub(super) fn stop(run: &RunDir, reason: &str, context: &Context) -> Result<bool, CliError> {
    // Somebody continues it.
    let Some(_lock) = lock_unless_held(run)? else { return Ok(false) };
    // Without a summary it has not begun; with an outcome it has ended in good order.
    let Ok(mut summary) = RunSummary::read(&run.summary()) else { return Ok(false) };
    if summary.outcome.is_some() {
        return Ok(false);
    }
    end_left(run, context);
    protected_files::put_back(run, context)?;
    summary.outcome = Some(Outcome::Interrupted.into());
    summary.reason = Some(format!("{reason}, after its ccc had died"));
    // The last sign of life. A manager that was told of the death knows this end by its time.
    summary.ended_unix_ms = Some(summary.updated_unix_ms);
    summary.write(&run.summary(), &Redactor::default()).map_err(|error| {
        CliError::io(format!("{}: {error}", run.summary().display()))
            .hint("free some disk space, or set CCC_STATE_DIR to another directory")
    })?;
    telling::tell_manager(run, Outcome::Interrupted, summary.reason.as_deref().unwrap_or(reason), context);
    Ok(true)
}

/// Puts the agent's versions of protected files back that a dead ccc has exchanged for a check.
///
/// # Errors
/// When a file cannot be put back, or the run cannot be locked.
pub(super) fn put_files_back(run: &RunDir, context: &Context) -> Result<(), CliError> {
    if !protect::is_pending(run.path()) {
        return Ok(());
    }
    match run.take_lock(std::process::id(), driver::unix_ms()) {
        Ok(_lock) => {
            end_left(run, context);
            protected_files::put_back(run, context)
        }
        // It does so itself when its check ends.
        Err(LockError::Held { .. }) => Ok(()),
        Err(error @ LockError::Io { .. }) => {
            Err(CliError::io(error).hint("make the state directory writable, or set CCC_STATE_DIR to another one"))
        }
    }
}

/// The same for all runs in the working tree of this directory, for what begins to work there.
///
/// # Errors
/// As [`put_files_back`], and while a check of a run that is at work there sees protected files.
pub(super) fn put_files_back_in(cwd: &Path, context: &Context) -> Result<(), CliError> {
    let top_of = |dir: &Path| Repository::find(dir).and_then(|repository| repository.top);
    let pending = RunDir::all(&context.dirs()?.state).unwrap_or_default().into_iter();
    let pending: Vec<RunDir> = pending.filter(|run| protect::is_pending(run.path())).collect();
    if pending.is_empty() {
        return Ok(());
    }
    let Some(top) = top_of(cwd) else { return Ok(()) };
    for run in pending {
        if protect::pending_in(run.path()).is_some_and(|there| there == top) {
            put_files_back(&run, context)?;
            if protect::is_pending(run.path()) {
                let message = format!(
                    "a check of run {} is at work in {}, with protected files as they were when that run began",
                    run.id(),
                    top.display()
                );
                return Err(CliError::usage(message).hint("type the same command again when the check has ended"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::fleet::State;
    use crate::journal::Word;

    #[test]
    fn a_dead_run_that_is_stopped_has_the_outcome_of_a_stop_and_a_living_or_an_ended_one_is_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let seen = Captured::default();
        let context = seen.context(dir.path(), None);
        let run = RunDir::create(&context.dirs().expect("directories").state, "20261128-100000-aaaa").expect("a run");
        let is_stopped = || stop(&run, "ccc stop", &context).expect("no fault");
        assert!(!is_stopped(), "it has not begun");
        let summary = serde_json::json!({
            "version": 1, "id": run.id(), "task": "", "cwd": "/", "pid": 1, "started_unix_ms": 1, "updated_unix_ms": 7,
            "phase": "working", "iteration": 0, "restarts": 0, "rotations": 0, "waited_ms": 0,
        });
        std::fs::write(run.summary(), summary.to_string()).expect("written");
        let held = run.take_lock(std::process::id(), 1).expect("a lock");
        assert!(!is_stopped(), "its ccc lives");
        drop(held);
        assert!(is_stopped());
        let summary = RunSummary::read(&run.summary()).expect("a summary");
        assert_eq!(State::of(&run, Some(&summary)), State::Ended(Word::Known(Outcome::Interrupted)));
        assert_eq!(summary.reason.as_deref(), Some("ccc stop, after its ccc had died"));
        assert_eq!(summary.ended_unix_ms, Some(7), "its last sign of life");
        assert!(!is_stopped(), "it has ended");
    }
}
