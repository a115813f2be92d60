//! Why protected files were not exchanged.

use std::io;
use std::path::PathBuf;

use crate::checkpoint::CheckpointError;
use crate::files::{PathError, VersionedError};
use crate::git::{GitError, GitFault};

/// Why protected files were not exchanged, or not put back.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// The directory is in no repository any more.
    #[error("{} is in no git repository any more", dir.display())]
    NoRepository {
        /// The directory.
        dir: PathBuf,
    },
    /// The checkpoint of the run's beginning is gone.
    #[error(
        "the checkpoint of the run's beginning ({base}) is not in the repository any more; something has removed it"
    )]
    NoBase {
        /// Its commit.
        base: String,
    },
    /// Something is in the place of a file.
    #[error("in the place of the protected file {} is {found}; make it a file again", path.display())]
    InTheWay {
        /// The file, relative to the top of the working tree.
        path: PathBuf,
        /// What is there, with its article.
        found: &'static str,
    },
    /// There is more than is exchanged for a check.
    #[error("{files} protected files with {} MiB differ, which is more than can be exchanged for a check", bytes / (1024 * 1024))]
    TooMuch {
        /// How many differ.
        files: usize,
        /// The bytes that they have.
        bytes: u64,
    },
    /// A file is being written by something that the agent left running.
    #[error("the protected file {} is being written all the time", path.display())]
    Changing {
        /// The file.
        path: PathBuf,
    },
    /// A protected file cannot be read or written.
    #[error("the protected file {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// A file of the run's directory.
    #[error(transparent)]
    Io(#[from] PathError),
    /// The record of the exchange.
    #[error(transparent)]
    Record(#[from] VersionedError),
    /// The files were exchanged and could not be put back, for the second reason; the first one had ended the exchange.
    #[error("{put_back}, after: {exchange}")]
    NotPutBack {
        /// Why the exchange ended.
        exchange: Box<ProtectError>,
        /// Why it was not undone.
        put_back: Box<ProtectError>,
    },
    /// Git, or its temporary index.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
}

impl From<GitError> for ProtectError {
    fn from(error: GitError) -> Self {
        Self::Checkpoint(error.into())
    }
}

impl ProtectError {
    /// Whether files of the commit may be left in the tree.
    #[must_use]
    pub fn leaves_files(&self) -> bool {
        matches!(self, Self::NotPutBack { .. })
    }

    /// Whether the agent can mend it, because it concerns the files themselves.
    #[must_use]
    pub fn is_the_agents(&self) -> bool {
        matches!(self, Self::InTheWay { .. } | Self::TooMuch { .. } | Self::Changing { .. } | Self::File { .. })
    }

    /// Whether the user or the run gave git up.
    #[must_use]
    pub fn is_given_up(&self) -> bool {
        matches!(self, Self::Checkpoint(CheckpointError::Git(error)) if error.fault == GitFault::GivenUp)
    }
}
