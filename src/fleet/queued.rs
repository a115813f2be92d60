//! `queued.json` in a run's directory: the agent waits for room on the machine, and everything that its start needs.
//!
//! Until its run has a journal, nothing of the agent was started: no process, no working tree, no port. Whoever starts it holds the
//! run's lock, and removes the file once the journal is there; so it starts once, whenever the starter dies.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::core::Plan;
use crate::files::{PathError, QUEUED_AGENT, VersionedError, read_versioned, replace_json};
use crate::journal::RunDir;

/// The file's name.
pub const QUEUED_FILE: &str = "queued.json";
/// The version of the file. A reader refuses a higher one. A field added without raising it needs a default.
const VERSION: u32 = 1;

/// An agent that waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queued {
    version: u32,
    /// Since when.
    pub since_unix_ms: i64,
    /// What it waited for when it was made, for the user.
    pub why: String,
    /// The directory in which `ccc new` was typed.
    pub cwd: PathBuf,
    /// Whether it gets a working tree of its own.
    pub own_tree: bool,
    /// Where its branch begins, if that was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// Whether others may work in the same tree.
    #[serde(default)]
    pub share_tree: bool,
    /// Where the critic's prompt comes from.
    #[serde(default)]
    pub prompt_origin: String,
    /// The plan of its run.
    pub plan: Plan,
}

impl Queued {
    /// An agent that waits from now on for this reason.
    #[must_use]
    pub fn new(plan: Plan, cwd: &Path, why: String, since_unix_ms: i64) -> Queued {
        Queued {
            version: VERSION,
            since_unix_ms,
            why,
            cwd: cwd.to_owned(),
            own_tree: true,
            base: None,
            share_tree: false,
            prompt_origin: String::new(),
            plan,
        }
    }

    /// Whether the agent of this run has not been started yet, by its files: the lock says whether it is being started.
    #[must_use]
    pub fn is_there(run: &RunDir) -> bool {
        std::fs::symlink_metadata(file_of(run.path())).is_ok() && std::fs::symlink_metadata(run.journal()).is_err()
    }

    /// The agent of this run, if it waits or is just being started.
    ///
    /// # Errors
    /// When the file cannot be read, is damaged or too new.
    pub fn read(run: &RunDir) -> Result<Option<Queued>, VersionedError> {
        read_versioned(&file_of(run.path()), QUEUED_AGENT, VERSION)
    }

    /// Writes the file.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, run: &RunDir) -> Result<(), VersionedError> {
        let path = file_of(run.path());
        replace_json(&path, self, true).map_err(|source| VersionedError::Io(PathError { path, source }))
    }

    /// Removes the file: the run has begun.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn clear(run: &RunDir) -> Result<(), VersionedError> {
        let path = file_of(run.path());
        match std::fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(VersionedError::Io(PathError { path, source }))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

fn file_of(run: &Path) -> PathBuf {
    run.join(QUEUED_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::SessionStart;

    #[test]
    fn an_agent_waits_until_its_run_has_a_journal() {
        let state = tempfile::tempdir().expect("a directory");
        let run = RunDir::create(state.path(), "20261128-100000-aaaa").expect("a run");
        assert!(!Queued::is_there(&run) && Queued::read(&run).expect("read").is_none());
        let plan = Plan::new("Do it.", "/project", SessionStart::New("s".to_owned()));
        let queued = Queued::new(plan, Path::new("/project"), "2 agents run".to_owned(), 7);
        queued.write(&run).expect("written");
        assert!(Queued::is_there(&run));
        assert_eq!(Queued::read(&run).expect("read"), Some(queued));
        std::fs::write(run.journal(), "").expect("written");
        assert!(!Queued::is_there(&run), "its start has begun");
        Queued::clear(&run).expect("removed");
        Queued::clear(&run).expect("there is nothing to remove");
        for (text, said) in [("{", "damaged"), (r#"{"version":2}"#, "use a newer ccc")] {
            std::fs::write(file_of(run.path()), text).expect("written");
            assert!(Queued::read(&run).expect_err(said).to_string().contains(said));
        }
    }
}
