use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use crate::files::open_private;

/// Stack of the thread that waits for a lock.
const STACK_BYTES: usize = 128 * 1024;

/// A lock that all processes of the user respect, held for as long as this lives. The system lets go of it when the
/// process dies.
#[derive(Debug)]
pub(super) struct FileLock(File);

impl FileLock {
    /// Takes the lock of this file, whose directory is there; `None` when others held it for longer than `wait`.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub(super) fn take(path: &Path, wait: Duration) -> io::Result<Option<Self>> {
        let file = open_private(path, OFlags::WRONLY | OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) if wait.is_zero() => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // The system wakes the thread when the lock is free. One that comes too late lets go of it at once, since nobody
        // takes its answer.
        let (sender, receiver) = mpsc::sync_channel(1);
        let waiting = move || {
            let _ = sender.send(lock_blocking(&file).map(|()| Self(file)));
        };
        thread::Builder::new().name("file lock".to_owned()).stack_size(STACK_BYTES).spawn(waiting)?;
        match receiver.recv_timeout(wait) {
            Ok(locked) => locked.map(Some),
            Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => Ok(None),
        }
    }
}

impl Drop for FileLock {
    fn drop(&mut self) {
        // Said aloud, since a child that is being started may have a copy of the descriptor for a moment.
        let _ = self.0.unlock();
    }
}

fn lock_blocking(file: &File) -> io::Result<()> {
    loop {
        match file.lock() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
