//! What the system reports of a watched directory.

use std::ffi::OsString;

/// An entry that was made, moved or removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangedEntry {
    /// In the directory with this number.
    In {
        /// The number that [`super::DirWatch::add`] gave.
        dir: i32,
        /// The entry's name.
        name: OsString,
    },
    /// Changes were lost, or a directory is gone: anything may have changed.
    Unknown,
}
