//! The working trees that have a branch checked out, and bringing one along when the branch moves.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::GitDirs;
use crate::git::{Call, Git, GitError, GitFault, Place, records, settings_without_programs};

/// The files in a tree's git directory that say what is going on there.
const OPERATIONS: [(&str, &str); 6] = [
    ("MERGE_HEAD", "merge"),
    ("rebase-merge", "rebase"),
    ("rebase-apply", "rebase"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("sequencer", "cherry-pick"),
];

/// Why a tree cannot be brought along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Occupied {
    /// It has uncommitted changes.
    Changed,
    /// An operation is not finished.
    Unfinished(&'static str),
}

/// The tops of the trees that have this branch checked out.
pub(super) fn of_branch(git: &Git, common: &Path, branch: &str) -> Result<Vec<PathBuf>, GitError> {
    let output = git.run(&Place::repository(common), &Call::new(["worktree", "list", "--porcelain", "-z"]))?;
    let mut found = Vec::new();
    let mut top = PathBuf::new();
    for line in records(&output) {
        if let Some(path) = line.strip_prefix(b"worktree ") {
            top = PathBuf::from(OsStr::from_bytes(path));
        } else if line.strip_prefix(b"branch ").is_some_and(|name| name == branch.as_bytes()) {
            found.push(top.clone());
        }
    }
    Ok(found)
}

/// Why this tree cannot be brought along; `None` when it can.
pub(super) fn occupied(git: &Git, top: &Path) -> Result<Option<Occupied>, GitError> {
    let own = GitDirs::of(top).own;
    let what = OPERATIONS.iter().find(|(file, _)| fs::symlink_metadata(own.join(file)).is_ok());
    if let Some((_, what)) = what {
        return Ok(Some(Occupied::Unfinished(what)));
    }
    Ok((!is_clean(git, top)?).then_some(Occupied::Changed))
}

/// Whether no tracked file has uncommitted changes.
pub(super) fn is_clean(git: &Git, top: &Path) -> Result<bool, GitError> {
    let place = Place::tree(top);
    let settings = settings_without_programs(git, &place)?;
    let call = Call::new(["status", "--porcelain=v1", "-z", "--untracked-files=no", "--ignore-submodules=dirty"]);
    Ok(git.run(&place, &call.settings(&settings))?.is_empty())
}

/// Whether the index of the tree is that of this commit.
pub(super) fn index_is(git: &Git, top: &Path, commit: &str) -> Result<bool, GitError> {
    let place = Place::tree(top);
    let settings = settings_without_programs(git, &place)?;
    let call = Call::new(["diff-index", "--cached", "--quiet", commit, "--"]).settings(&settings);
    let answer = git.ask(&place, &call)?;
    match answer.code {
        0 => Ok(true),
        1 => Ok(false),
        _ => Err(GitError::failed(format!("`git diff-index` failed: {}", answer.why()))),
    }
}

/// Whether a file lies in the tree that `to` has and `from` has not: a change that was begun has written it, before the index.
pub(super) fn has_any_that_is_new(git: &Git, top: &Path, from: &str, to: &str) -> Result<bool, GitError> {
    let call = Call::new(["diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A", from, to]);
    let added = git.run(&Place::tree(top), &call)?;
    Ok(records(&added).any(|path| fs::symlink_metadata(top.join(OsStr::from_bytes(path))).is_ok()))
}

/// The lock of the tree's index, which a git that was killed leaves.
pub(super) fn left_lock(top: &Path) -> Option<PathBuf> {
    let lock = GitDirs::of(top).own.join("index.lock");
    fs::symlink_metadata(&lock).is_ok().then_some(lock)
}

/// Gives the tree of ccc's own the files of this commit. `git reset --hard` would lock the references of the whole repository, and
/// killed in between it would leave that lock.
pub(super) fn overwrite(
    git: &Git,
    place: &Place,
    commit: &str,
    settings: &[(OsString, OsString)],
) -> Result<(), GitError> {
    let call = Call::new(["read-tree", "--reset", "-u", "--no-recurse-submodules", commit]).settings(settings);
    git.run(place, &call).map(drop)
}

/// Brings the files of the tree from one commit to another. If a file is in the way, nothing changes, and git's words are
/// returned.
pub(super) fn write(git: &Git, top: &Path, from: &str, to: &str) -> Result<Result<(), String>, GitError> {
    let place = Place::tree(top);
    let settings = settings_without_programs(git, &place)?;
    // Whether a file has changed is known from its data in the index, which may be old.
    let refresh = Call::new(["update-index", "-q", "--refresh"]).settings(&settings);
    git.ask(&place, &refresh)?;
    let call = Call::new(["read-tree", "-m", "-u", "--no-recurse-submodules", from, to]).settings(&settings);
    let answer = git.ask(&place, &call)?;
    if answer.code == 0 {
        return Ok(Ok(()));
    }
    if answer.errors.contains("index.lock") {
        return Err(GitError { fault: GitFault::Failed, text: format!("`git read-tree` failed: {}", answer.why()) });
    }
    Ok(Err(answer.why()))
}
