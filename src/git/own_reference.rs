//! Changes of references that nobody but ccc writes.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use super::call::{Call, Place};
use super::error::GitError;
use super::program::{Answer, Git};

/// The lock of a reference: its file, inode and time.
#[derive(Debug, PartialEq, Eq)]
struct Lock {
    path: PathBuf,
    stamp: (u64, i64, i64),
}

impl Git {
    /// Runs this `update-ref` of a reference that only ccc writes. A git that was killed while it changed the reference, or a power
    /// cut, leaves a lock that git never removes. It is removed if it was the same one in two tries, each of which has waited for it
    /// for a second: a git that lives has it for milliseconds.
    ///
    /// # Errors
    /// As [`Git::ask`].
    pub fn change_own_reference(&self, place: &Place, reference: &str, call: &Call) -> Result<Answer, GitError> {
        let first = self.ask(place, call)?;
        if first.code == 0 {
            return Ok(first);
        }
        let Some(lock) = self.lock_of(place, reference)? else { return Ok(first) };
        let second = self.ask(place, call)?;
        if second.code == 0 || self.lock_of(place, reference)?.as_ref() != Some(&lock) {
            return Ok(second);
        }
        tracing::debug!(path = %lock.path.display(), "a lock that a killed git has left is removed");
        if fs::remove_file(&lock.path).is_err() {
            return Ok(second);
        }
        self.ask(place, call)
    }

    /// The lock that a reference has now.
    fn lock_of(&self, place: &Place, reference: &str) -> Result<Option<Lock>, GitError> {
        let path = self.text(place, &Call::new(["rev-parse", "--git-path", &format!("{reference}.lock")]))?;
        let path = place.cwd().join(path);
        let meta = fs::symlink_metadata(&path).ok().filter(fs::Metadata::is_file);
        Ok(meta.map(|meta| Lock { path, stamp: (meta.ino(), meta.mtime(), meta.mtime_nsec()) }))
    }
}
