use std::fs::{File, TryLockError};
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use super::open_private;

/// The retry interval while others hold the lock. It is held for a few milliseconds.
const ASK_AGAIN: Duration = Duration::from_millis(5);

/// A lock between all processes of the user that is waited for with a limit, held while this value lives. The system releases it when the process
/// dies.
#[derive(Debug)]
pub struct TimedLock(File);

impl TimedLock {
    /// Takes the lock of this file, whose directory must exist; `None` when others held it for longer than `wait`.
    ///
    /// # Errors
    /// When the file cannot be used.
    pub fn take(path: &Path, wait: Duration) -> io::Result<Option<Self>> {
        let file = open_private(path, OFlags::WRONLY | OFlags::CREATE)?;
        match file.try_lock() {
            Ok(()) => return Ok(Some(Self(file))),
            Err(TryLockError::WouldBlock) if wait.is_zero() => return Ok(None),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => return Err(error),
        }
        // Polled, because a thread that blocked in the kernel would wait for as long as the holder is stopped.
        let deadline = now() + wait;
        loop {
            thread::park_timeout(ASK_AGAIN.min(deadline.saturating_duration_since(now())));
            match file.try_lock() {
                Ok(()) => return Ok(Some(Self(file))),
                Err(TryLockError::WouldBlock) if now() >= deadline => return Ok(None),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "files/ waits here for other processes, with a deadline")]
fn now() -> Instant {
    Instant::now()
}

impl Drop for TimedLock {
    fn drop(&mut self) {
        // Unlock explicitly: a forked child may briefly hold a copy of this descriptor.
        let _ = self.0.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{TimedLock, now};

    #[test]
    fn a_lock_that_is_never_let_go_costs_no_thread_and_no_more_than_the_wait() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("lock");
        let held = TimedLock::take(&path, Duration::ZERO).expect("the file").expect("it is free");
        let threads = || std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
        let before = threads();
        for _ in 0..20 {
            assert!(TimedLock::take(&path, Duration::from_millis(10)).expect("the file").is_none());
        }
        assert_eq!(threads(), before);
        let waiting = std::thread::spawn({
            let path = path.clone();
            move || TimedLock::take(&path, Duration::from_secs(60)).expect("the file").is_some()
        });
        let began = now();
        drop(held);
        assert!(waiting.join().expect("it ends"), "it can be taken again");
        assert!(now().duration_since(began) < Duration::from_secs(50), "nobody asked again");
    }
}
