//! A temporary index, so that the user's stays as it is.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use crate::files;
use crate::files::PathError;
use crate::git::{Call, Git, Place};

/// An index file in a directory of its own, which is removed with this value.
#[derive(Debug)]
pub(super) struct TemporaryIndex {
    dir: tempfile::TempDir,
    path: PathBuf,
}

impl TemporaryIndex {
    /// A copy of `original`, or the files of `head` without one, or empty.
    pub(super) fn new(
        git: &Git,
        place: &Place,
        original: Option<&Path>,
        head: Option<&str>,
    ) -> Result<Self, CheckpointError> {
        let dir = tempfile::Builder::new().prefix("ccc-index-").tempdir();
        let dir = dir.map_err(PathError::of(std::env::temp_dir()))?;
        let index = Self { path: dir.path().join("index"), dir };
        let copied = original.map(|original| copy(original, &index.path)).transpose();
        let copied = copied.map_err(PathError::of(index.path.clone()))?;
        if let (None | Some(false), Some(head)) = (copied, head) {
            git.run(place, &Call::new(["read-tree", head]).index(&index.path))?;
        }
        Ok(index)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Has git compare the content of each file the next time, instead of its time and size: it does so for files that are not older
    /// than the index.
    pub(super) fn distrust_times(&self) -> Result<(), CheckpointError> {
        let long_ago = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1));
        let set = fs::OpenOptions::new().append(true).open(&self.path).and_then(|index| index.set_times(long_ago));
        set.map_err(|source| CheckpointError::Io(PathError { path: self.path.clone(), source }))
    }

    /// Writes a file beside the index, for git to read.
    pub(super) fn file(&self, name: &str, content: &[u8]) -> Result<PathBuf, CheckpointError> {
        let path = self.dir.path().join(name);
        fs::write(&path, content).map_err(PathError::of(path.clone()))?;
        Ok(path)
    }
}

/// Copies the index; `false` when there is none. Git takes a file whose time is not before the index's as possibly changed,
/// so the copy keeps the time of the original.
fn copy(original: &Path, to: &Path) -> io::Result<bool> {
    let mut from = match files::open_no_link(original) {
        Ok(from) => from,
        Err(files::ReadFault::Missing) => return Ok(false),
        Err(fault) => return Err(fault.into()),
    };
    let mut copy = fs::OpenOptions::new().write(true).create_new(true).open(to)?;
    io::copy(&mut from, &mut copy)?;
    let meta = from.metadata()?;
    copy.set_times(fs::FileTimes::new().set_modified(meta.modified()?))?;
    Ok(true)
}
