//! Locks of a run, of a session and of a named resource; the system releases them when their holder dies.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use serde::{Deserialize, Serialize};

use crate::files::{LOCK, make_private_dir, open_private};

/// How long taking a lock is retried while other processes only query it. A query holds the lock for microseconds, but on a
/// busy machine the querying process may be preempted meanwhile for any time.
const LOOK_OUTWAITED_MS: u64 = 10_000;
/// The pause between two tries.
const ASK_AGAIN_MS: u64 = 1;
/// How long the lock of a process that is gone is waited for. A child that it had just forked has the lock, too, until it executes its
/// program: for some milliseconds, and longer on a busy machine.
const GONE_OUTWAITED: Duration = Duration::from_secs(2);
/// The pause between two tries of [`FileLock::wait`]. What is waited for takes many times as long.
const TRY_AGAIN_MS: u64 = 10;

/// The holder of a lock, as written in the lock's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The ccc process.
    pub pid: u32,
    /// Its run.
    pub run_id: String,
    /// The start of the lock, unix milliseconds.
    pub since_unix_ms: i64,
    /// For the lock of a working tree: its real path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tree: Option<PathBuf>,
}

impl Holder {
    /// This process, for this run, from now on.
    #[must_use]
    pub fn of_process(run_id: &str, now_unix_ms: i64) -> Holder {
        Holder { pid: std::process::id(), run_id: run_id.to_owned(), since_unix_ms: now_unix_ms, tree: None }
    }
}

/// Why a lock was not taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another ccc holds it.
    #[error("{what} is in use by another ccc ({})", describe(.holder.as_ref()))]
    Held {
        /// What is locked, for example `session 3f2…`.
        what: String,
        /// The holder; `None` when the file does not name it (yet).
        holder: Option<Holder>,
    },
    /// The lock's file cannot be used.
    #[error("{}: cannot be locked: {source}", path.display())]
    Io {
        /// The lock's file.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
}

impl LockError {
    /// The error as text. `time` formats the start of the lock in the user's time zone.
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
        None => "which one is unknown".to_owned(),
        Some(holder) => format!("pid {}, run {}", holder.pid, holder.run_id),
    }
}

/// A lock on a file that one ccc at a time holds, until this value is dropped. The system releases it however the process dies.
#[derive(Debug)]
pub struct FileLock(File);

impl FileLock {
    /// Takes the lock on the file `path`; `what` names the locked resource in errors. If its holder is gone, it is waited for a moment.
    ///
    /// # Errors
    /// When another ccc holds it, or the file cannot be used.
    pub fn take(path: &Path, what: &str, holder: &Holder) -> Result<FileLock, LockError> {
        match FileLock::try_once(path, what, holder) {
            Err(LockError::Held { holder: Some(by), .. }) if is_gone(&by) => {
                FileLock::wait(path, what, holder, GONE_OUTWAITED)
            }
            taken_or_not => taken_or_not,
        }
    }

    fn try_once(path: &Path, what: &str, holder: &Holder) -> Result<FileLock, LockError> {
        let io = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = open_private(path, OFlags::RDWR | OFlags::CREATE).map_err(io)?;
        if !lock_exclusive(&file).map_err(io)? {
            return Err(LockError::Held { what: what.to_owned(), holder: read_holder(&mut file) });
        }
        // Only the lock itself counts. The holder in the file is information for others, and a full disk may prevent it.
        let _ = write_holder(&mut file, holder);
        Ok(FileLock(file))
    }

    /// As [`FileLock::take`], but waits up to `limit` while another ccc holds it.
    ///
    /// # Errors
    /// When another ccc holds it for that long, or the file cannot be used.
    pub fn wait(path: &Path, what: &str, holder: &Holder, limit: Duration) -> Result<FileLock, LockError> {
        let mut left = limit;
        let pause = Duration::from_millis(TRY_AGAIN_MS);
        loop {
            match FileLock::try_once(path, what, holder) {
                Err(LockError::Held { .. }) if left >= pause => {
                    // The system has no lock with a timeout.
                    std::thread::park_timeout(pause);
                    left -= pause;
                }
                taken_or_not => return taken_or_not,
            }
        }
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

    /// Locks a session of the agent, under `<state>/sessions/`: two ccc processes on one session would both answer its stops.
    ///
    /// # Errors
    /// When another ccc holds it, or the file cannot be used.
    pub fn of_session(state_dir: &Path, session_id: &str, holder: &Holder) -> Result<FileLock, LockError> {
        let name = format!("{}.lock", file_name(session_id));
        FileLock::take_in(state_dir, "sessions", &name, &format!("session {session_id}"), holder)
    }

    /// The present holder of the lock, if any. Does not take the lock.
    ///
    /// # Errors
    /// When the file exists but cannot be used.
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
        // The file stays: if it were removed, two processes could lock two files of the same name. Its content is removed, so
        // that it names no former holder.
        let _ = self.0.set_len(0);
        // Unlock explicitly: a forked child may briefly hold a copy of this descriptor.
        let _ = self.0.unlock();
    }
}

/// Takes the lock; `false` when another process holds it exclusively. [`FileLock::holder`] shares the lock for a moment, which
/// must not count as holding it: while the lock can be shared, no process owns it.
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
        // Limit by time, not by tries: a thousand tries can pass before a preempted process runs again.
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

/// Whether there is no such process any more.
fn is_gone(holder: &Holder) -> bool {
    let pid = i32::try_from(holder.pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.take(LOCK.limit_bytes).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

/// A session id as a file name. Special characters become `_XX`, so that different ids have different names. A long id is cut
/// and extended by its hash.
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
    use std::process::{Command, Stdio};

    use super::{File, FileLock, Holder, LockError, file_name, write_holder};

    #[test]
    fn the_lock_that_a_child_of_a_killed_holder_has_for_a_moment_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let take = || FileLock::take(&path, "it", &Holder::of_process("run", 1));
        let mut ended = Command::new("true").spawn().expect("a process");
        let pid_of_nobody = ended.id();
        ended.wait().expect("a child");
        for (holder, is_waited_for) in [(pid_of_nobody, true), (std::process::id(), false)] {
            // Dropped in order, it would be unlocked.
            let mut file =
                File::options().read(true).write(true).create(true).truncate(false).open(&path).expect("a file");
            file.lock().expect("the lock");
            write_holder(&mut file, &Holder { pid: holder, ..Holder::of_process("run", 1) }).expect("written");
            let mut child = Command::new("sleep").arg("0.3").stdin(Stdio::from(file)).spawn().expect("a process");
            let taken = take();
            assert_eq!(taken.is_ok(), is_waited_for, "{taken:?}");
            assert!(is_waited_for || matches!(taken, Err(LockError::Held { .. })));
            child.wait().expect("a child");
        }
    }

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
