//! `kept-down.json` in a run's directory: the agent must not be started by the keeper.
//!
//! What ends an agent on purpose writes it first, so that no keeper revives the agent or takes it up: the user's `stop`, `kill`
//! and `nuke`, and the keeper itself when it ends an agent for good. `ccc resume` removes it.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{AGENT_RECORD, read_private, replace_json};
use crate::journal::RunDir;
use crate::json::from_json;

/// The file's name.
pub const KEPT_DOWN_FILE: &str = "kept-down.json";
/// The version of the file. The file counts whatever its content is.
const VERSION: u32 = 1;

/// Why an agent is kept down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptDown {
    version: u32,
    /// Why, for the user.
    pub why: String,
    /// Since when.
    pub since_unix_ms: i64,
}

impl KeptDown {
    /// Keeps the agent of this run down from now on.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(run: &RunDir, why: &str, since_unix_ms: i64) -> io::Result<()> {
        replace_json(&file_of(run.path()), &KeptDown { version: VERSION, why: why.to_owned(), since_unix_ms }, true)
    }

    /// Why the agent of this run is kept down, if it is. A file that cannot be read keeps it down, too.
    #[must_use]
    pub fn read(run: &RunDir) -> Option<KeptDown> {
        let unreadable = |why: String| KeptDown { version: VERSION, why, since_unix_ms: 0 };
        match read_private(&file_of(run.path()), AGENT_RECORD) {
            Ok(None) => None,
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Ok(Some(bytes)) => Some(from_json(&bytes).unwrap_or_else(|error| unreadable(error.to_string()))),
            Err(error) => Some(unreadable(error.to_string())),
        }
    }

    /// The agent of this run may be started again.
    ///
    /// # Errors
    /// When the file cannot be removed.
    pub fn clear(run: &RunDir) -> io::Result<()> {
        match std::fs::remove_file(file_of(run.path())) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn file_of(run: &Path) -> PathBuf {
    run.join(KEPT_DOWN_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_kept_down_until_somebody_continues_it() {
        let state = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(state.path(), "20261128-100000-aaaa").expect("a run");
        assert_eq!(KeptDown::read(&run), None);
        KeptDown::write(&run, "ccc kill", 7).expect("written");
        assert_eq!(KeptDown::read(&run).map(|down| (down.why, down.since_unix_ms)), Some(("ccc kill".to_owned(), 7)));
        std::fs::write(file_of(run.path()), "{").expect("written");
        assert!(KeptDown::read(&run).is_some(), "damaged");
        KeptDown::clear(&run).expect("removed");
        KeptDown::clear(&run).expect("there is nothing to remove");
        assert_eq!(KeptDown::read(&run), None);
    }
}
