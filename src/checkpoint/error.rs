//! Why there is no checkpoint.

use std::path::PathBuf;

use crate::files::PathError;
use crate::git::GitError;

/// Why there is no checkpoint.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The directory is in no repository.
    #[error("{} is in no git repository, so its files cannot be kept as a commit; type `git init` there to have one", dir.display())]
    NoRepository {
        /// The directory.
        dir: PathBuf,
    },
    /// The repository has no working tree.
    #[error("{} is a bare git repository: it has no files to keep", dir.display())]
    Bare {
        /// The repository.
        dir: PathBuf,
    },
    /// The reference is not one of ccc's.
    #[error("{reference} is not below refs/ccc/, where ccc keeps its commits")]
    WrongReference {
        /// The reference.
        reference: String,
    },
    /// Another process has changed the reference meanwhile.
    #[error("the reference {reference} was changed meanwhile; try again")]
    ReferenceMoved {
        /// The reference.
        reference: String,
    },
    /// Untracked files have too many bytes in all.
    #[error(
        "{files} untracked files in {} have {} MiB, which is too much to keep; name what is no work in .gitignore",
        top.display(),
        bytes / (1024 * 1024)
    )]
    TooMuchUntracked {
        /// The working tree.
        top: PathBuf,
        /// How many there are.
        files: u64,
        /// What they have.
        bytes: u64,
    },
    /// A file that no checkpoint has stands where a file would be written.
    #[error("{} is in the way: no checkpoint has it, so it is not overwritten; move it away and try again", path.display())]
    InTheWay {
        /// The file, relative to the top of the working tree.
        path: PathBuf,
    },
    /// The temporary index cannot be written.
    #[error(transparent)]
    Io(#[from] PathError),
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}
