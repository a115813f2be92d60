//! Why a child could not be started or written to.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why nothing was started. The variant decides about a restart, because only the cause of [`SpawnError::Other`] may go away
/// without a change.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SpawnError {
    /// There is no such program, neither at the path nor in the `PATH` of the child's environment (or the script's interpreter
    /// is missing).
    #[error("there is no program `{}`", program.display())]
    NotFound {
        /// The program as it was given.
        program: PathBuf,
    },
    /// The program exists but may not be executed.
    #[error("`{}` may not be executed", program.display())]
    PermissionDenied {
        /// The program as it was given.
        program: PathBuf,
    },
    /// The working directory does not exist, is not a directory, or may not be entered.
    #[error("the working directory `{}` does not exist any more, or cannot be entered", path.display())]
    BadCwd {
        /// The directory as it was given.
        path: PathBuf,
    },
    /// The system has no PTY left; the caller may use [`super::Transport::Pipe`].
    #[error("no PTY can be had: {reason}")]
    NoPty {
        /// The error of the system.
        reason: String,
    },
    /// The walls around it could not be raised, so nothing was executed.
    #[error("`{}` was not started: the walls around it could not be raised", program.display())]
    NoWalls {
        /// The program as it was given.
        program: PathBuf,
    },
    /// Any other error number: no memory, too many processes, too long an argument list.
    #[error("`{}` could not be started: {}", program.display(), io::Error::from_raw_os_error(*errno))]
    Other {
        /// The program as it was given.
        program: PathBuf,
        /// The system's error number.
        errno: i32,
    },
}

impl SpawnError {
    /// The system provided no descriptors or threads for this program.
    pub(super) fn of(program: &Path, error: &io::Error) -> SpawnError {
        SpawnError::Other { program: program.to_owned(), errno: error.raw_os_error().unwrap_or_default() }
    }
}

/// Why bytes did not reach the child's stdin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StdinError {
    /// The child does not read and the queue is full; nothing of this write was accepted.
    #[error(
        "the child does not read its stdin: {queued_bytes} bytes wait, {refused_bytes} more exceed STDIN_QUEUE_LIMIT_BYTES ({limit_bytes})"
    )]
    QueueFull {
        /// Bytes in the queue.
        queued_bytes: usize,
        /// Bytes of the write that was refused.
        refused_bytes: usize,
        /// [`super::STDIN_QUEUE_LIMIT_BYTES`].
        limit_bytes: usize,
    },
    /// The child closed its stdin, or ended, before it had read everything.
    #[error("the child closed its stdin with {unwritten_bytes} bytes unread")]
    Broken {
        /// Bytes that were queued but not written to the child's pipe. Bytes inside the pipe are not counted.
        unwritten_bytes: usize,
    },
    /// stdin was closed before this write: by ccc, by the child, or by the child's end.
    #[error("the child's stdin is closed")]
    Closed,
}
