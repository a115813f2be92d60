//! What a new working tree starts from.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::WorktreeError;
use crate::git::{Call, Git, GitError, Repository, records, settings_without_programs};

/// The commit that a working tree starts from.
pub(super) struct Base {
    pub(super) commit: String,
    /// The branch that it was named by, as `refs/heads/main`.
    pub(super) branch: Option<String>,
}

/// Checks that a working tree can start from the named base, or from what is checked out in the repository of this directory.
///
/// # Errors
/// When there is no repository, or no such commit.
pub fn check_base(git: &Git, dir: &Path, named: Option<&str>) -> Result<(), WorktreeError> {
    let Some(repository) = Repository::find(dir) else {
        return Err(WorktreeError::NoRepository { dir: dir.to_owned() });
    };
    resolve(git, &repository, named).map(drop)
}

/// The named base, or what is checked out.
pub(super) fn resolve(git: &Git, repository: &Repository, named: Option<&str>) -> Result<Base, WorktreeError> {
    let dir = || repository.top.clone().unwrap_or_else(|| repository.dirs.own.clone());
    let place = repository.place();
    match named {
        None => {
            let Some(commit) = repository.commit(git, "HEAD")? else {
                return Err(WorktreeError::NoCommits { dir: dir() });
            };
            let branch = git.ask(&place, &Call::new(["symbolic-ref", "-q", "HEAD"]))?;
            Ok(Base { commit, branch: (branch.code == 0).then(|| branch.text()) })
        }
        Some(named) => {
            let Some(commit) = repository.commit(git, named)? else {
                return Err(WorktreeError::NoSuchBase { base: named.to_owned(), dir: dir() });
            };
            let call = Call::new(["rev-parse", "-q", "--verify", "--symbolic-full-name", "--end-of-options", named]);
            let full = git.ask(&place, &call)?.text();
            Ok(Base { commit, branch: Some(full).filter(|full| full.starts_with("refs/heads/")) })
        }
    }
}

/// The files of the user's tree that differ from what is checked out.
pub(super) fn uncommitted(git: &Git, repository: &Repository) -> Result<Vec<PathBuf>, GitError> {
    let place = repository.place();
    let settings = settings_without_programs(git, &place)?;
    let call = Call::new(["status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames"]);
    let output = git.run(&place, &call.arg("--ignore-submodules=dirty").settings(&settings))?;
    Ok(records(&output).filter_map(|entry| Some(PathBuf::from(OsStr::from_bytes(entry.get(3..)?)))).collect())
}

/// Whether the base is what the user's tree has checked out.
pub(super) fn is_checked_out(git: &Git, repository: &Repository, base: &Base) -> Result<bool, GitError> {
    Ok(repository.top.is_some() && repository.commit(git, "HEAD")?.as_deref() == Some(base.commit.as_str()))
}
