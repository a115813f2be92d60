//! What the system says about a file or directory.

use std::io;
use std::path::PathBuf;

/// The system refuses a file or directory.
#[derive(Debug, thiserror::Error)]
#[error("{}: {source}", path.display())]
pub struct PathError {
    /// The path.
    pub path: PathBuf,
    /// The system's error.
    pub source: io::Error,
}

impl PathError {
    /// Names the path of an error, for `map_err`.
    pub fn of(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self { path, source }
    }
}
