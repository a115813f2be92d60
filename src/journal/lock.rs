//! Locks of a run, of a session and of a named thing; the system releases them when their holder dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};

use crate::files::{LOCK, make_private_dir, open_private};

/// How long a lock that is only looked at is asked for again, and how often. The one who looks holds it for microseconds,
/// but may lose the processor just then, for as long as a busy machine likes.
const LOOK_OUTWAITED_MS: u64 = 10_000;
/// See [`LOOK_OUTWAITED_MS`].
const ASK_AGAIN_MS: u64 = 1;

/// Who holds a lock; it stands in the lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The ccc process.
    pub pid: u32,
    /// Its run.
    pub run_id: String,
    /// Since when, unix milliseconds.
    pub since_unix_ms: i64,
    /// Of the lock of a working tree: its real path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<PathBuf>,
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another ccc holds it.
    #[error("{what} is in use by another ccc ({}); stop it first, or wait for its end", describe(.holder.as_ref()))]
    Held {
        /// What is locked, for example `session 3f2…`.
        what: String,
        /// By whom; `None` when its file does not say (yet).
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("{}: cannot be locked: {source}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl LockError {
    /// The same with the time since when, as this tells it: in the user's zone, which is read at the edge.
    #[must_use]
    pub fn told(&self, time: impl Fn(i64) -> String) -> String {
        let text = self.to_string();
        match self {
            LockError::Held { holder: Some(holder), .. } => {
                let who = describe(Some(holder));
                text.replacen(&who, &format!("{who}, since {}", time(holder.since_unix_ms)), 1)
            }
            LockError::Held { holder: None, .. } | LockError::Io { .. } => text,
        }
    }
}

fn describe(holder: Option<&Holder>) -> String {
    match holder {
        None => "it does not say which".to_owned(),
        Some(holder) => format!("pid {}, run {}", holder.pid, holder.run_id),
    }
}

/// A file that one ccc at a time holds, for as long as this lives. The system lets go of it when the process dies, however it
/// dies.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock whose file is `path`; `what` says in an error what is locked.
    ///
    /// # Errors
    /// When another ccc holds it, or the file cannot be used.
    pub fn take(path: &Path, what: &str, holder: &Holder) -> Result<FileLock, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = open_private(path, OFlags::RDWR | OFlags::CREATE).map_err(io)?;
        if !lock_exclusive(&file).map_err(io)? {
            return Err(LockError::Held { what: what.to_owned(), holder: read_holder(&mut file) });
        }
        // The lock is what counts. That its file names us is a courtesy which a full disk may refuse.
        let _ = write_holder(&mut file, holder);
        Ok(FileLock(file))
    }

    /// Takes the lock `<state>/<dir>/<name>`, as [`FileLock::take`] does.
    ///
    /// # Errors
    /// When another ccc holds it, or the file cannot be used.
    pub fn take_in(
        state_dir: &Path,
        dir: &str,
        name: &str,
        what: &str,
        holder: &Holder,
    ) -> Result<FileLock, LockError> {
        let dir = state_dir.join(dir);
        make_private_dir(&dir).map_err(|source| LockError::Io { path: dir.clone(), source })?;
        FileLock::take(&dir.join(name), what, holder)
    }

    /// Locks a session of the agent, under `<state>/sessions/`: two ccc on one session would both answer its stops.
    ///
    /// # Errors
    /// When another ccc holds it, or the file cannot be used.
    pub fn of_session(state_dir: &Path, session_id: &str, holder: &Holder) -> Result<FileLock, LockError> {
        let name = format!("{}.lock", file_name(session_id));
        FileLock::take_in(state_dir, "sessions", &name, &format!("session {session_id}"), holder)
    }

    /// Who holds the lock now; `None` when nobody does. Does not keep it.
    ///
    /// # Errors
    /// When the file is there but cannot be used.
    pub fn holder(path: &Path) -> Result<Option<Holder>, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = match open_private(path, OFlags::RDONLY) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
        };
        match file.try_lock_shared() {
            Ok(()) => Ok(None),
            Err(TryLockError::WouldBlock) => Ok(read_holder(&mut file)),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // The file stays: to remove it would let two processes lock two files of one name. Its content goes, so that
        // nobody is told of a holder that has left.
        let _ = self.0.set_len(0);
    }
}

/// Takes the lock; `false` when another process holds it for itself. [`RunLock::holder`] shares it for a moment, which
/// must not look like a holder: as long as it can be shared, nobody owns it.
fn lock_exclusive(file: &File) -> io::Result<bool> {
    for _ in 0..LOOK_OUTWAITED_MS / ASK_AGAIN_MS {
        match file.try_lock() {
            Ok(()) => return Ok(true),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        match file.try_lock_shared() {
            Ok(()) => file.unlock()?,
            Err(TryLockError::WouldBlock) => return Ok(false),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // By time and not by number of tries: a thousand tries are over before a looker has its processor back.
        std::thread::park_timeout(Duration::from_millis(ASK_AGAIN_MS));
    }
    Ok(false)
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut line = serde_json::to_vec(holder)?;
    line.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&line)
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(LOCK.limit_bytes).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A session id as a file name: what is not plain becomes `_XX`, so that different ids never meet. Ids are short;
/// a long one is cut and told apart by its hash.
fn file_name(session_id: &str) -> String {
    let mut name = String::with_capacity(session_id.len());
    for byte in session_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' => name.push(char::from(byte)),
            other => name.push_str(&format!("_{other:02x}")),
        }
    }
    if name.is_empty() {
        name.push('_');
    }
    if name.len() > 128 {
        name.truncate(64);
        name.push_str("_h");
        name.push_str(&super::record::sha256_hex(session_id.as_bytes()));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::file_name;

    #[test]
    fn session_ids_become_plain_and_distinct_file_names() {
        let uuid = "3f2b8c1e-0000-4000-8000-000000000001";
        assert_eq!(file_name(uuid), uuid);
        assert_eq!(file_name("../../etc/x"), "_2e_2e_2f_2e_2e_2fetc_2fx");
        assert_eq!(file_name(""), "_");
        let long = "a".repeat(500);
        assert!(file_name(&long).len() < 200);
        assert_ne!(file_name(&long), file_name(&"a".repeat(501)));
        assert_ne!(file_name("a/b"), file_name("a_2fb"));
    }
}
