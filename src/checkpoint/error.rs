//! Why there is no checkpoint.

use std::io;
use std::path::PathBuf;

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
    /// The temporary index cannot be written.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        #[source]
        source: io::Error,
    },
    /// Git failed.
    #[error(transparent)]
    Git(#[from] GitError),
}
