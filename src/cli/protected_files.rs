//! Protected files that a dead ccc has left as a check was to see them: the agent's versions are put back before anything else is
//! done with the tree.

use std::path::Path;

use super::{CliError, Context, ErrorKind};
use crate::driver::{self, written_in_words};
use crate::git::Repository;
use crate::journal::{LockError, RunDir};
use crate::protect;
use crate::ui::format::count;

/// Puts the agent's versions back, and says so. The caller holds the run's lock.
///
/// # Errors
/// When a file cannot be put back.
pub(super) fn put_back(run: &RunDir, context: &Context) -> Result<(), CliError> {
    let done = protect::put_back(run.path()).map_err(|error| {
        let message = format!(
            "a check of run {} was broken off, and the agent's versions of protected files cannot be put back: {error}",
            run.id()
        );
        CliError::new(ErrorKind::Io, message).hint("remove what is in the way, and type the same command again")
    })?;
    let Some(done) = done else { return Ok(()) };
    context.printer.talk(format_args!(
        "a check of run {} was broken off: put back the agent's versions of {}",
        run.id(),
        count(done.files, "protected file")
    ));
    for (path, kept) in &done.written {
        let written = written_in_words(path, kept.as_deref());
        context.printer.warn(format_args!("written since the check began, and left as it is: {written}"));
    }
    Ok(())
}

/// The same, if no ccc works on the run.
///
/// # Errors
/// As [`put_back`].
pub(super) fn put_back_of_dead(run: &RunDir, context: &Context) -> Result<(), CliError> {
    if !protect::is_pending(run.path()) {
        return Ok(());
    }
    match run.take_lock(std::process::id(), driver::unix_ms()) {
        Ok(_lock) => {
            super::dead_run::end_left(run, context);
            put_back(run, context)
        }
        // It does so itself when its check ends.
        Err(LockError::Held { .. }) => Ok(()),
        Err(error @ LockError::Io { .. }) => Err(CliError::new(ErrorKind::Io, error.to_string())
            .hint("make the state directory writable, or set CCC_STATE_DIR to another one")),
    }
}

/// The same for all runs in the working tree of this directory, for a new run there.
///
/// # Errors
/// As [`put_back`].
pub(super) fn put_back_in_tree(cwd: &Path, context: &Context) -> Result<(), CliError> {
    let top_of = |dir: &Path| Repository::find(dir).and_then(|repository| repository.top);
    let pending = RunDir::all(&context.dirs()?.state).unwrap_or_default().into_iter();
    let pending: Vec<RunDir> = pending.filter(|run| protect::is_pending(run.path())).collect();
    if pending.is_empty() {
        return Ok(());
    }
    let Some(top) = top_of(cwd) else { return Ok(()) };
    for run in pending {
        if protect::pending_in(run.path()).is_some_and(|there| there == top) {
            put_back_of_dead(&run, context)?;
        }
    }
    Ok(())
}
