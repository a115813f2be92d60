//! Why a working tree was not made or removed.

use std::io;
use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::files::PathError;
use crate::files::trash::TrashError;
use crate::git::GitError;
use crate::journal::LockError;

/// Why a working tree was not made or removed.
#[derive(Debug, thiserror::Error)]
pub enum WorktreeError {
    /// The directory is in no repository.
    #[error("{} is in no git repository, so an agent cannot have a worktree of its own there; type `git init` there, or use --no-worktree", dir.display())]
    NoRepository {
        /// The directory.
        dir: PathBuf,
    },
    /// What git knows of the working tree was removed from the repository.
    #[error("git does not know the worktree {} any more; its files are still there, and its commits are on its branch", dir.display())]
    Forgotten {
        /// The working tree.
        dir: PathBuf,
    },
    /// A file that git keeps about the working tree was removed, overwritten or replaced, mostly by the agent.
    #[error("{} was removed or overwritten, so git cannot read the worktree {}", file.display(), dir.display())]
    Damaged {
        /// The working tree.
        dir: PathBuf,
        /// The first such file.
        file: PathBuf,
        /// The command that mends all of them.
        command: String,
    },
    /// There is no commit to start from.
    #[error("the repository {} has no commit yet, so there is nothing to start from; type `git -C {} commit --allow-empty -m first`", dir.display(), dir.display())]
    NoCommits {
        /// The repository.
        dir: PathBuf,
    },
    /// The named base is no commit.
    #[error("{base:?} names no commit in {}; `git branch -a` lists the branches", dir.display())]
    NoSuchBase {
        /// The name.
        base: String,
        /// The repository.
        dir: PathBuf,
    },
    /// The named branch exists.
    #[error("the branch {branch} exists already; name another one")]
    BranchExists {
        /// The branch.
        branch: String,
    },
    /// Git does not accept the name.
    #[error("{branch:?} cannot be the name of a branch")]
    WrongBranch {
        /// The name.
        branch: String,
    },
    /// The id cannot be the name of a directory.
    #[error("{id:?} cannot be the name of an agent: use letters, digits, `-`, `_` and `.`")]
    WrongId {
        /// The id.
        id: String,
    },
    /// There is such a working tree already, or another ccc is making it.
    #[error("there is a worktree of this name already: {}; use another name", path.display())]
    Taken {
        /// The working tree.
        path: PathBuf,
    },
    /// No working tree has this id.
    #[error("no worktree belongs to {id}")]
    Unknown {
        /// The id.
        id: String,
    },
    /// Something else stands where the working tree was.
    #[error("{} is not a directory any more; nothing is removed", path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The repository is gone, so nothing can be kept in it.
    #[error("the repository {} is gone, so the files of {} cannot be kept; move them away if you need them", common.display(), path.display())]
    RepositoryGone {
        /// The repository.
        common: PathBuf,
        /// The working tree.
        path: PathBuf,
    },
    /// A commit cannot hold all that is in the tree.
    #[error("{} holds what a commit cannot keep: {}; move it away, or say that it may go", path.display(), what.join(", "))]
    NotSaved {
        /// The working tree.
        path: PathBuf,
        /// The files, each with the reason.
        what: Vec<String>,
    },
    /// Files of the base were never fetched, and git of ours uses no network.
    #[error("{} is a partial clone without all files of {base}; type `git -C {} archive {base} >/dev/null` to fetch them", dir.display(), dir.display())]
    PartialClone {
        /// The repository.
        dir: PathBuf,
        /// The commit.
        base: String,
    },
    /// Another ccc works on it.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The system refuses a file or directory.
    #[error(transparent)]
    Io(#[from] PathError),
    /// No checkpoint was taken.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}

impl From<TrashError> for WorktreeError {
    fn from(error: TrashError) -> Self {
        match error {
            TrashError::Replaced { path } => Self::Replaced { path },
            TrashError::Io(error) => Self::Io(error),
        }
    }
}

impl WorktreeError {
    /// An error of the system for this path.
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io(PathError { path, source })
    }
}
