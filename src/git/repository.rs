//! A repository as a directory leads to it.

use std::fs;
use std::path::{Path, PathBuf};

use super::call::{Call, Place};
use super::error::GitError;
use super::program::Git;
use super::programs::ContentSettings;
use crate::config::GitDirs;

/// A repository, and the working tree through which it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// The top of the working tree; `None` when the directory is git's own.
    pub top: Option<PathBuf>,
    /// Git's directories; the shared one is a real path.
    pub dirs: GitDirs,
}

impl Repository {
    /// Searches from `dir` upwards. Only files are read: git is not run.
    #[must_use]
    pub fn find(dir: &Path) -> Option<Self> {
        let dir = dir.canonicalize().ok()?;
        dir.ancestors().find_map(|dir| {
            if fs::symlink_metadata(dir.join(".git")).is_ok() {
                return Self::with(Some(dir.to_owned()), GitDirs::of(dir));
            }
            is_git_dir(dir).then(|| Self::with(None, GitDirs { own: dir.to_owned(), common: dir.to_owned() }))?
        })
    }

    fn with(top: Option<PathBuf>, dirs: GitDirs) -> Option<Self> {
        let GitDirs { own, common } = dirs;
        Some(Self { top, dirs: GitDirs { own: own.canonicalize().ok()?, common: common.canonicalize().ok()? } })
    }

    /// Where git works on the repository, with the working tree if there is one.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { git_dir: self.dirs.own.clone(), work_tree: self.top.clone() }
    }

    /// Where git works on what all working trees share.
    #[must_use]
    pub fn shared(&self) -> Place {
        Place::repository(&self.dirs.common)
    }

    /// Whether this is a bare repository: it has no working tree of its own. Its linked working trees are not bare. `settings` are
    /// those of this repository.
    #[must_use]
    pub fn is_bare(&self, settings: &ContentSettings) -> bool {
        self.dirs.own == self.dirs.common && (self.top.is_none() || settings.says_bare())
    }

    /// The commit that this name stands for here; `None` when there is none.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn commit(&self, git: &Git, name: &str) -> Result<Option<String>, GitError> {
        object(git, &self.place(), &format!("{name}^{{commit}}"))
    }

    /// The tree of this commit; `None` when there is none.
    ///
    /// # Errors
    /// When git cannot be asked.
    pub fn tree_of(&self, git: &Git, commit: &str) -> Result<Option<String>, GitError> {
        object(git, &self.place(), &format!("{commit}^{{tree}}"))
    }
}

/// Whether all of `commit` is in `other`.
///
/// # Errors
/// When git cannot be asked, or one of them is missing.
pub fn contains(git: &Git, place: &Place, other: &str, commit: &str) -> Result<bool, GitError> {
    let answer = git.ask(place, &Call::new(["merge-base", "--is-ancestor", commit, other]))?;
    match answer.code {
        0 => Ok(true),
        1 => Ok(false),
        _ => Err(GitError::failed(format!("`git merge-base` failed: {}", answer.why()))),
    }
}

fn object(git: &Git, place: &Place, name: &str) -> Result<Option<String>, GitError> {
    let answer = git.ask(place, &Call::new(["rev-parse", "-q", "--verify", "--end-of-options", name]))?;
    Ok((answer.code == 0).then(|| answer.text()).filter(|text| !text.is_empty()))
}

/// Whether the directory itself is a repository.
fn is_git_dir(dir: &Path) -> bool {
    let is_dir = |name: &str| fs::metadata(dir.join(name)).is_ok_and(|meta| meta.is_dir());
    fs::symlink_metadata(dir.join("HEAD")).is_ok() && is_dir("objects") && is_dir("refs")
}

/// The entries of an output that ends each of them with a zero byte.
pub fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|record| !record.is_empty())
}
