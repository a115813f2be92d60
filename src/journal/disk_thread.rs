//! The thread that writes the journal, so that a disk that hangs blocks this thread and not the loop.
//!
//! The caller waits for the result, because an action must come after its entry (write-ahead), but at most
//! [`HAND_OVER_WAIT_MS`], and not at all while an earlier write is in progress. In that case the journal is behind, as on a
//! full disk.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::disk::{Disk, DiskFile};

/// The longest time that the loop waits for the disk. A healthy disk takes microseconds, but on a busy machine the thread may
/// have to wait for a CPU, and even then an action must not come before its entry. It is shorter than the permitted delay of a
/// heartbeat.
const HAND_OVER_WAIT_MS: u64 = 400;
/// Stack of the thread.
const STACK_BYTES: usize = 256 * 1024;

/// A piece of work for the thread.
#[derive(Debug)]
pub(super) enum Piece {
    /// Bytes for the end of the journal.
    Lines(Vec<u8>),
    /// The journal's new length.
    Length(u64),
    /// A payload: written under the first name, then renamed to the second.
    Payload { next: PathBuf, path: PathBuf, bytes: Vec<u8> },
}

#[derive(Debug, Default)]
struct State {
    piece: Option<Piece>,
    /// A piece was queued and has no result yet.
    is_busy: bool,
    /// The loop no longer waits for the result.
    is_given_up: bool,
    answer: Option<io::Result<usize>>,
    closing: bool,
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
}

/// The loop's handle of the thread.
#[derive(Debug)]
pub(super) struct DiskThread {
    shared: Arc<Shared>,
}

impl DiskThread {
    pub(super) fn start(disk: Arc<dyn Disk>, journal: Arc<dyn DiskFile>) -> io::Result<DiskThread> {
        let shared = Arc::new(Shared::default());
        let theirs = Arc::clone(&shared);
        let body = move || serve(&theirs, disk.as_ref(), journal.as_ref());
        std::thread::Builder::new().name("journal".to_owned()).stack_size(STACK_BYTES).spawn(body)?;
        Ok(DiskThread { shared })
    }

    /// Queues a piece and waits for its result. The error `TimedOut` means that there is no result yet, so it is unknown whether
    /// the piece will be written.
    pub(super) fn hand_over(&self, piece: Piece) -> io::Result<usize> {
        let silent = || io::Error::new(io::ErrorKind::TimedOut, "the disk does not answer");
        let mut state = self.shared.state();
        if state.is_busy {
            return Err(silent());
        }
        state.is_busy = true;
        state.piece = Some(piece);
        // Notify after unlocking, here and below, because the other side locks at once.
        drop(state);
        self.shared.changed.notify_all();
        let state = self.shared.state();
        let wait = Duration::from_millis(HAND_OVER_WAIT_MS);
        let waited = self.shared.changed.wait_timeout_while(state, wait, |state| state.answer.is_none());
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        if let Some(answer) = state.answer.take() {
            state.is_busy = false;
            return answer;
        }
        state.is_given_up = true;
        Err(silent())
    }
}

impl DiskThread {
    /// Waits at most `wait` until an earlier piece is done.
    pub(super) fn wait(&self, wait: Duration) {
        drop(self.shared.changed.wait_timeout_while(self.shared.state(), wait, |state| state.is_busy));
    }
}

impl Drop for DiskThread {
    fn drop(&mut self) {
        self.shared.state().closing = true;
        self.shared.changed.notify_all();
    }
}

fn serve(shared: &Shared, disk: &dyn Disk, journal: &dyn DiskFile) {
    loop {
        let mut state = shared.state();
        let piece = loop {
            match state.piece.take() {
                Some(piece) => break piece,
                None if state.closing => return,
                None => state = shared.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(state);
        let answer = write(piece, disk, journal);
        let mut state = shared.state();
        if std::mem::take(&mut state.is_given_up) {
            state.is_busy = false;
        } else {
            state.answer = Some(answer);
        }
        drop(state);
        shared.changed.notify_all();
    }
}

/// Writes a piece on the calling thread.
pub(super) fn write(piece: Piece, disk: &dyn Disk, journal: &dyn DiskFile) -> io::Result<usize> {
    match piece {
        Piece::Lines(bytes) => journal.write(&bytes),
        Piece::Length(len_bytes) => journal.set_len(len_bytes).map(|()| 0),
        Piece::Payload { next, path, bytes } => {
            disk.write(&next, &bytes)?;
            disk.rename(&next, &path).map(|()| 0)
        }
    }
}
