//! What ccc remembers about the working trees of agents.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use super::error::WorktreeError;
use crate::files::{WORKTREE_RECORD, make_private_dir, open_private, read_private, replace_json};
use crate::journal::{FileLock, Holder, LockError, sha256_hex};
use crate::json::from_json;

/// The directory of the working trees in the state directory.
pub const DIR: &str = "worktrees";
/// How long the lock of a repository is waited for. 24 agents that start at once need seconds.
const REPOSITORY_WAIT: Duration = Duration::from_secs(5 * 60);
/// How long the lock of one working tree is waited for.
const TREE_WAIT: Duration = Duration::from_secs(60);
/// The version that this ccc writes. A newer major is not read.
const VERSION: Version = Version { major: 1, minor: 0 };
/// The longest name of a repository's directory, without the hash.
const NAME_CHARS: usize = 40;
/// The longest id.
const ID_CHARS: usize = 100;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Version {
    major: u64,
    minor: u64,
}

/// How far a working tree is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It is being made; if nobody holds its lock, it is taken back.
    Adding,
    /// An agent may work in it.
    Ready,
    /// It is being removed: what was to be kept is kept.
    Removing,
}

/// A working tree of an agent: `<state>/worktrees/<repository>/<id>.json`, format 1.0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Worktree {
    version: Version,
    /// The agent's id.
    pub id: String,
    /// How far it is.
    pub stage: Stage,
    /// The git directory that all working trees of the repository share.
    pub common: PathBuf,
    /// The working tree that the user was in; `None` for a bare repository.
    pub source: Option<PathBuf>,
    /// The top of the working tree.
    pub path: PathBuf,
    /// The agent's branch, without `refs/heads/`.
    pub branch: String,
    /// Whether ccc has made the branch.
    pub branch_made: bool,
    /// The commit that the branch started from.
    pub base: String,
    /// The branch that the base was named by, as `refs/heads/main`.
    pub base_branch: Option<String>,
    /// Git's own directory of the working tree, once git knows it.
    pub admin: Option<PathBuf>,
}

impl Worktree {
    /// The agent's branch with `refs/heads/`.
    #[must_use]
    pub fn branch_reference(&self) -> String {
        format!("refs/heads/{}", self.branch)
    }
}

/// The working trees of this state directory.
#[derive(Debug, Clone)]
pub struct Worktrees {
    dir: PathBuf,
}

/// What is known about a working tree that is to be made.
pub(super) struct NewWorktree<'a> {
    pub(super) id: &'a str,
    pub(super) common: PathBuf,
    pub(super) source: Option<PathBuf>,
    pub(super) branch: String,
    pub(super) base: String,
    pub(super) base_branch: Option<String>,
}

impl Worktrees {
    /// Those of this state directory, which is created if it does not exist.
    ///
    /// # Errors
    /// When the directory cannot be created, or others can write to it.
    pub fn new(state_dir: &Path) -> Result<Self, WorktreeError> {
        let dir = state_dir.join(DIR);
        make_private_dir(&dir).map_err(WorktreeError::io(&dir))?;
        // Git names working trees by their real paths.
        let dir = dir.canonicalize().map_err(WorktreeError::io(&dir))?;
        Ok(Self { dir })
    }

    /// The directory of a repository's working trees, by the real path of its shared git directory.
    #[must_use]
    pub fn dir_of(&self, common: &Path) -> PathBuf {
        let is_dot_git = common.file_name().is_some_and(|name| name == ".git");
        let named = if is_dot_git { common.parent().unwrap_or(common) } else { common };
        let name = named.file_stem().filter(|_| !is_dot_git).or(named.file_name()).unwrap_or_default();
        let plain = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
        let name: String = name.to_string_lossy().chars().take(NAME_CHARS).map(plain).collect();
        let hash = sha256_hex(common.as_os_str().as_encoded_bytes());
        self.dir.join(format!("{}-{}", name.trim_start_matches('.'), hash.get(..8).unwrap_or(&hash)))
    }

    /// All records, also of trees that are being made or removed. A record that cannot be read is left out.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<Worktree>, WorktreeError> {
        let mut found = Vec::new();
        for repository in entries(&self.dir)? {
            found.extend(self.list_in(&repository)?);
        }
        Ok(found)
    }

    /// All records of one repository's directory.
    pub(super) fn list_in(&self, dir: &Path) -> Result<Vec<Worktree>, WorktreeError> {
        let files = entries(dir)?.into_iter().filter(|path| path.extension().is_some_and(|end| end == "json"));
        Ok(files.filter_map(|path| read(&path)).collect())
    }

    /// The directories of all repositories.
    pub(super) fn repositories(&self) -> Result<Vec<PathBuf>, WorktreeError> {
        entries(&self.dir)
    }

    /// The working tree of this agent.
    ///
    /// # Errors
    /// [`WorktreeError::Unknown`] when there is none, and when the directory cannot be read.
    pub fn find(&self, id: &str) -> Result<Worktree, WorktreeError> {
        let unknown = || WorktreeError::Unknown { id: id.to_owned() };
        check_id(id).map_err(|_| unknown())?;
        let records = entries(&self.dir)?.into_iter().map(|dir| dir.join(format!("{id}.json")));
        records.filter_map(|path| read(&path)).find(|record| record.id == id).ok_or_else(unknown)
    }

    /// A record of a tree that is to be made.
    pub(super) fn planned(&self, new: NewWorktree<'_>) -> Worktree {
        let path = self.dir_of(&new.common).join(new.id);
        Worktree {
            version: VERSION,
            id: new.id.to_owned(),
            stage: Stage::Adding,
            common: new.common,
            source: new.source,
            path,
            branch: new.branch,
            branch_made: false,
            base: new.base,
            base_branch: new.base_branch,
            admin: None,
        }
    }

    pub(super) fn write(&self, record: &Worktree) -> Result<(), WorktreeError> {
        let path = self.record_path(record);
        replace_json(&path, record, true).map_err(WorktreeError::io(path))
    }

    pub(super) fn forget(&self, record: &Worktree) -> Result<(), WorktreeError> {
        let path = self.record_path(record);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WorktreeError::io(path)(error)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn record_path(&self, record: &Worktree) -> PathBuf {
        self.dir_of(&record.common).join(format!("{}.json", record.id))
    }

    /// The record of this id in this repository.
    pub(super) fn read(&self, common: &Path, id: &str) -> Option<Worktree> {
        read(&self.dir_of(common).join(format!("{id}.json")))
    }

    /// Locks what git's working trees share, while one is registered or forgotten. Parallel ones would fail.
    pub(super) fn lock_repository(&self, common: &Path, holder: &Holder) -> Result<FileLock, LockError> {
        let what = format!("the list of worktrees of {}", common.display());
        FileLock::wait(&self.dir_of(common).join(".lock"), &what, holder, REPOSITORY_WAIT)
    }

    /// Locks one working tree while it is made or removed; without `wait`, only if nobody holds it.
    pub(super) fn lock_tree(
        &self,
        common: &Path,
        id: &str,
        holder: &Holder,
        wait: bool,
    ) -> Result<FileLock, LockError> {
        let what = format!("the worktree of {id}");
        let limit = if wait { TREE_WAIT } else { Duration::ZERO };
        FileLock::wait(&self.dir_of(common).join(format!("{id}.lock")), &what, holder, limit)
    }
}

/// Whether the id can name the directory of a working tree, and its files.
pub(super) fn check_id(id: &str) -> Result<(), WorktreeError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let taken = [".json", ".lock"].iter().any(|end| id.ends_with(end));
    if id.is_empty() || id.len() > ID_CHARS || id.starts_with(['.', '-']) || taken || !id.chars().all(plain) {
        return Err(WorktreeError::WrongId { id: id.to_owned() });
    }
    Ok(())
}

fn read(path: &Path) -> Option<Worktree> {
    let found: Worktree = from_json(&read_private(path, WORKTREE_RECORD).ok()??).ok()?;
    let is_its_own = path.file_stem().is_some_and(|stem| stem == found.id.as_str());
    (found.version.major == VERSION.major && is_its_own && check_id(&found.id).is_ok()).then_some(found)
}

/// The entries of a directory, sorted; none if it does not exist.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, WorktreeError> {
    let found = match fs::read_dir(dir) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(WorktreeError::io(dir)(error)),
    };
    let mut paths: Vec<PathBuf> = found.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    Ok(paths)
}

/// Whether somebody holds the lock file.
pub(super) fn is_held(path: &Path) -> bool {
    // A lock that cannot be asked for counts as held: then nothing is done.
    open_private(path, OFlags::RDONLY).is_ok() && !matches!(FileLock::holder(path), Ok(None))
}
