//! A task from stdin that several processes must read.

use std::io::Write as _;

use tempfile::NamedTempFile;

use super::task::{self, TaskSource};
use super::{CliError, Context};
use crate::files::make_private_dir;

/// `ccc new` with a task.
pub(super) const EXAMPLE: &str = "ccc new \"TASK\"";

/// Reads the task from stdin into a private file, which is removed with the returned value.
///
/// # Errors
/// When there is no valid task on stdin, or the file cannot be written.
pub(super) fn task(context: &Context) -> Result<NamedTempFile, CliError> {
    let text = task::read(&TaskSource { prompt: None, file: None, example: EXAMPLE }, context.cwd()?, &context.stdin)?;
    let state = &context.dirs()?.state;
    let made = make_private_dir(state).and_then(|()| {
        let mut file = tempfile::Builder::new().prefix(".task-").tempfile_in(state)?;
        file.write_all(text.as_bytes())?;
        Ok(file)
    });
    made.map_err(|error| {
        CliError::io(format!("the task cannot be kept in {}: {error}", state.display()))
            .hint("free some disk space, or set CCC_STATE_DIR to another directory")
    })
}
