//! Protected files that a dead ccc has left as a check was to see them: the agent's versions are put back before anything else is
//! done with the tree.

use super::{CliError, Context};
use crate::driver::written_in_words;
use crate::journal::RunDir;
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
        CliError::io(message).hint("remove what is in the way, and type the same command again")
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
