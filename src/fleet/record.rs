//! `agent.json`: what makes a run an agent of the fleet.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::{AGENT_RECORD, PathError, VersionedError, read_versioned, replace_json};
use crate::journal::{RunDir, Word};

/// The file in a run's directory.
pub const AGENT_FILE: &str = "agent.json";
/// The version of `agent.json`. A reader refuses a higher one. A field added without raising it needs a default.
pub const AGENT_VERSION: u32 = 1;

/// What an agent may do in the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It may start agents, and is told when they end.
    Manager,
    /// It may start none.
    Worker,
}

/// The working tree of an agent: a git worktree of its own, with a branch of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentTree {
    /// The worktree's directory.
    pub path: PathBuf,
    /// Its branch, without `refs/heads/`.
    pub branch: String,
    /// The commit at which the branch began.
    pub base: String,
    /// The branch that `base` was taken from, if it was one: the work is merged into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
    /// The repository: the directory in which `ccc new` was typed belongs to this working tree.
    pub repository: PathBuf,
    /// The git directory that all worktrees of the repository share.
    pub common_dir: PathBuf,
}

/// An agent of the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentRecord {
    /// [`AGENT_VERSION`] of the writer.
    pub version: u32,
    /// The id of its run.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What it may do.
    pub role: Word<Role>,
    /// The run of its manager, which is told of its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// How many managers are above it.
    #[serde(default)]
    pub depth: u32,
    /// When it was made.
    pub created_unix_ms: i64,
    /// The project: the working tree in which `ccc new` was typed.
    pub project: PathBuf,
    /// The directory in which `ccc new` was typed. Records of earlier versions lack it; see [`AgentRecord::configured_in`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<PathBuf>,
    /// Where programs were looked for then (`PATH`), if it is UTF-8: the keeper, which may have another one, starts and revives the
    /// agent with it. Other variables may be secret, and are not written to a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Its own working tree; `None` if it works in the project's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<AgentTree>,
    /// The ports that are reserved for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<u16>,
    /// When the user removed it (`ccc kill`): it works no more, and nothing revives it. Its run is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed_unix_ms: Option<i64>,
    /// It was started although the usage was critical.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_usage: bool,
}

impl AgentRecord {
    /// A new agent, without a manager and without a working tree and ports of its own.
    #[must_use]
    pub fn new(id: &str, name: &str, role: Role, created_unix_ms: i64, project: &Path) -> AgentRecord {
        AgentRecord {
            version: AGENT_VERSION,
            id: id.to_owned(),
            name: name.to_owned(),
            role: role.into(),
            manager: None,
            depth: 0,
            created_unix_ms,
            project: project.to_owned(),
            cwd: None,
            path: None,
            tree: None,
            ports: Vec::new(),
            removed_unix_ms: None,
            ignore_usage: false,
        }
    }

    /// Where the project's configuration and the critic's prompt are looked for, for an agent that works in this directory: where
    /// `ccc new` was typed. Its worktree lacks what is not committed.
    #[must_use]
    pub fn configured_in(&self, works_in: &Path) -> PathBuf {
        let Some(tree) = &self.tree else { return works_in.to_owned() };
        let below = || {
            works_in
                .strip_prefix(&tree.path)
                .map_or_else(|_| self.project.clone(), |below| self.project.join(below).components().collect())
        };
        self.cwd.clone().unwrap_or_else(below)
    }

    /// The record of a run; `None` for a run that is not an agent of the fleet.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or too new.
    pub fn read(run: &RunDir) -> Result<Option<AgentRecord>, VersionedError> {
        Self::read_in(run.path())
    }

    /// The record of the run that is kept in this directory.
    ///
    /// # Errors
    /// As [`AgentRecord::read`].
    pub fn read_in(dir: &Path) -> Result<Option<AgentRecord>, VersionedError> {
        read_versioned(&file_of(dir), AGENT_RECORD, AGENT_VERSION)
    }

    /// Replaces the record of its run as a whole.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, run: &RunDir) -> Result<(), VersionedError> {
        let path = file_of(run.path());
        replace_json(&path, self, true).map_err(|source| VersionedError::Io(PathError { path, source }))
    }
}

fn file_of(run: &Path) -> PathBuf {
    run.join(AGENT_FILE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_agent_is_configured_where_it_was_asked_for() {
        let project = Path::new("/home/me/shop");
        let mut record = AgentRecord::new("20261128-100000-aaaa", "fox", Role::Worker, 1, project);
        // In the project's tree it works where it was asked for.
        assert_eq!(record.configured_in(Path::new("/home/me/shop/src")), Path::new("/home/me/shop/src"));
        record.tree = Some(AgentTree {
            path: PathBuf::from("/state/worktrees/shop/fox"),
            branch: "agent/fox".to_owned(),
            base: String::new(),
            onto: None,
            repository: project.to_owned(),
            common_dir: project.join(".git"),
        });
        // A record of an earlier version.
        for (works_in, expected) in [
            ("/state/worktrees/shop/fox", "/home/me/shop"),
            ("/state/worktrees/shop/fox/src", "/home/me/shop/src"),
            ("/elsewhere", "/home/me/shop"),
        ] {
            let found = record.configured_in(Path::new(works_in));
            assert_eq!(found.as_os_str(), expected, "{works_in}");
        }
        // A directory that is not committed is not in the worktree.
        record.cwd = Some(project.join("new"));
        assert_eq!(record.configured_in(Path::new("/state/worktrees/shop/fox")), project.join("new"));
    }
}
