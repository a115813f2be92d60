//! The thread that waits for `fsync`, which can take seconds on a busy disk, so that the loop does not wait.
//!
//! At most one request is queued, and it covers everything written before the thread takes it. References are synced after what
//! they refer to: payloads, the directory of the payloads, the journal's lines that name them, at the beginning the parent
//! directories, and finally the summary.

use std::io;
use std::io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{Disk, DiskFile, SystemDisk, replace};

/// The longest time that a turn waits for its record to reach the disk. A disk that hangs must not block the run.
pub const SYNC_WAIT_MS: u64 = 2_000;

/// The state that the loop and the thread share.
#[derive(Debug, Default)]
struct State {
    /// Payloads that were written but not synced.
    blobs: Vec<PathBuf>,
    /// Directories not synced since the journal began.
    dirs: Vec<PathBuf>,
    /// The number of requested syncs, and the last entry that the newest request covers at least.
    asked: u64,
    asked_up_to: u64,
    /// The number of the last request that is done, and its last entry.
    done: u64,
    synced_up_to: u64,
    /// The next content of a file beside the journal; a newer one replaces it.
    replacement: Option<(PathBuf, Vec<u8>)>,
    error: Option<String>,
    /// A sync has failed. Data that was not on the disk at that time may never get there, even if later syncs succeed.
    failed: bool,
    closing: bool,
    ended: bool,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `until` holds; false on timeout.
    fn wait(&self, wait: Duration, until: impl Fn(&State) -> bool) -> bool {
        let waited = self.changed.wait_timeout_while(self.state(), wait, |state| !until(state));
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// A requested sync, which any thread can wait for.
#[derive(Debug, Clone)]
pub struct Durable {
    shared: Arc<Shared>,
    request: u64,
}

impl Durable {
    /// Waits until the sync is done or has failed, at most [`SYNC_WAIT_MS`]. A timeout is reported like any other error of the
    /// disk.
    pub fn wait(&self) {
        if !self.shared.wait(Duration::from_millis(SYNC_WAIT_MS), |state| state.done >= self.request || state.ended) {
            let slow = || format!("the disk took more than {}s", SYNC_WAIT_MS / 1_000);
            self.shared.state().error.get_or_insert_with(slow);
        }
    }
}

/// The loop's handle of the thread.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
}

impl Syncer {
    pub(super) fn start(
        disk: Arc<dyn Disk>,
        journal: Arc<dyn DiskFile>,
        blobs: PathBuf,
        dirs: Vec<PathBuf>,
    ) -> io::Result<Syncer> {
        let shared = Arc::new(Shared::default());
        shared.state().dirs = dirs;
        let thread = Thread { disk, journal, blobs, shared: Arc::clone(&shared) };
        std::thread::Builder::new().name("journal-sync".to_owned()).spawn(move || thread.run())?;
        Ok(Syncer { shared })
    }

    /// Notes a payload that the next request must sync.
    pub(super) fn owes(&self, blob: PathBuf) {
        self.shared.state().blobs.push(blob);
    }

    pub(super) fn ask(&self, up_to: u64) -> Durable {
        let mut state = self.shared.state();
        state.asked += 1;
        state.asked_up_to = up_to;
        self.shared.changed.notify_all();
        Durable { shared: Arc::clone(&self.shared), request: state.asked }
    }

    pub(super) fn synced(&self) -> u64 {
        self.shared.state().synced_up_to
    }

    /// False when the thread has ended.
    pub(super) fn replace(&self, path: &Path, bytes: &[u8]) -> bool {
        let mut state = self.shared.state();
        if state.ended {
            return false;
        }
        state.replacement = Some((path.to_owned(), bytes.to_owned()));
        state.asked += 1;
        self.shared.changed.notify_all();
        true
    }

    pub(super) fn take_error(&self) -> Option<String> {
        self.shared.state().error.take()
    }

    /// Ends the thread after its remaining work. A disk that hangs must not block ccc, so after `wait` the thread is abandoned,
    /// and the last summary is written without it.
    pub(super) fn finish(self, wait: Duration) {
        self.close();
        if !self.shared.wait(wait, |state| state.ended)
            && let Some((path, bytes)) = self.shared.state().replacement.take()
        {
            let next = path.with_extension("json.last");
            // Do not use the thread's disk, which may hang, and do not sync.
            if SystemDisk.write(&next, &bytes).and_then(|()| SystemDisk.rename(&next, &path)).is_err() {
                tracing::warn!("the run's summary could not be written");
            }
        }
    }

    fn close(&self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.close();
    }
}

struct Thread {
    disk: Arc<dyn Disk>,
    journal: Arc<dyn DiskFile>,
    blobs: PathBuf,
    shared: Arc<Shared>,
}

/// The work of one round.
struct Work {
    blobs: Vec<PathBuf>,
    dirs: Vec<PathBuf>,
    request: u64,
    up_to: u64,
    last: bool,
}

impl Thread {
    fn run(self) {
        loop {
            let work = self.next();
            let synced = self.sync(&work);
            let mut state = self.shared.state();
            state.done = work.request;
            match synced {
                Ok(()) if state.failed => {}
                Ok(()) => state.synced_up_to = state.synced_up_to.max(work.up_to),
                Err(error) => {
                    state.failed = true;
                    state.error.get_or_insert_with(|| error.to_string());
                    // They must be synced again.
                    state.blobs.extend(work.blobs);
                    state.dirs.extend(work.dirs);
                }
            }
            self.shared.changed.notify_all();
            // It stays in the state until it is done, so that the end of the run still has it if the disk hangs here.
            let replacement = state.replacement.clone();
            drop(state);
            if let Some((path, bytes)) = &replacement {
                if let Err(error) = replace(self.disk.as_ref(), path, bytes) {
                    tracing::warn!(%error, path = %path.display(), "cannot be replaced");
                }
                let mut state = self.shared.state();
                if state.replacement == replacement {
                    state.replacement = None;
                }
            }
            if work.last {
                self.shared.state().ended = true;
                self.shared.changed.notify_all();
                return;
            }
        }
    }

    fn next(&self) -> Work {
        let mut state = self.shared.state();
        while state.asked <= state.done && !state.closing {
            state = self.shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        Work {
            blobs: std::mem::take(&mut state.blobs),
            dirs: std::mem::take(&mut state.dirs),
            request: state.asked,
            up_to: state.asked_up_to,
            last: state.closing,
        }
    }

    fn sync(&self, work: &Work) -> io::Result<()> {
        for blob in &work.blobs {
            self.disk.sync(blob)?;
        }
        if !work.blobs.is_empty() {
            self.disk.sync(&self.blobs)?;
        }
        self.journal.sync()?;
        for dir in &work.dirs {
            match self.disk.sync(dir) {
                // A directory that ccc may not open was not created with the run. Some file systems cannot sync directories.
                Err(error) if matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput) => {}
                synced => synced?,
            }
        }
        Ok(())
    }
}
