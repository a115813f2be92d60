//! Which recording the user means.

use std::path::{Path, PathBuf};

use super::{CliError, Context, ErrorKind};
use crate::journal::RunDir;

/// The journal of a run's id, the beginning of an id, a run's directory or a journal file; of the newest run without.
///
/// # Errors
/// When there is none.
pub(super) fn journal_of(wanted: Option<&str>, context: &Context) -> Result<PathBuf, CliError> {
    if let Some(text) = wanted {
        let path = context.cwd()?.join(Path::new(text));
        if path.is_file() {
            return Ok(path);
        }
        let inside = path.join("journal.jsonl");
        if inside.is_file() {
            return Ok(inside);
        }
        if path.is_dir() || text.contains('/') {
            return Err(CliError::new(ErrorKind::Usage, format!("{} holds no recorded run", path.display()))
                .hint("name a directory with a journal.jsonl, or a run of `ccc runs`"));
        }
    }
    let dir = RunDir::resolve(&context.dirs()?.state, wanted)
        .map_err(|error| CliError::new(ErrorKind::Usage, error.to_string()).hint("`ccc runs` lists the runs"))?;
    Ok(dir.journal())
}
