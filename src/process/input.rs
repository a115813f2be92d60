//! Writes to a child's stdin; the caller never waits.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::PollFlags;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::io::Errno;

use super::error::StdinError;
use super::wake::{Wake, poll};

/// How many bytes may be queued for a child that does not read its stdin. One message with several images fits.
pub const STDIN_QUEUE_LIMIT_BYTES: usize = 32 * 1024 * 1024;

/// What the writer thread calls before it writes a chunk.
type Before = Box<dyn FnOnce() + Send>;

struct Chunk {
    bytes: Vec<u8>,
    before: Option<Before>,
}

impl fmt::Debug for Chunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chunk").field("bytes", &self.bytes.len()).field("waits", &self.before.is_some()).finish()
    }
}

/// The queue between the caller and the writer thread.
#[derive(Debug)]
pub(super) struct Input {
    state: Mutex<State>,
    wake: Wake,
}

#[derive(Debug, Default)]
struct State {
    chunks: VecDeque<Chunk>,
    /// Bytes of `chunks` and of the chunk being written.
    queued_bytes: usize,
    /// Close once `chunks` is empty.
    closing: bool,
    /// The pipe is closed, or must be closed at once.
    closed: bool,
}

enum Next {
    Write(Chunk),
    Wait,
    Close,
}

impl Input {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { state: Mutex::default(), wake: Wake::new()? })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `bytes`, all or nothing; the writer thread calls `before` first.
    pub(super) fn push(&self, bytes: Vec<u8>, before: Option<Before>) -> Result<(), StdinError> {
        let mut state = self.state();
        if state.closing || state.closed {
            return Err(StdinError::Closed);
        }
        if state.queued_bytes.saturating_add(bytes.len()) > STDIN_QUEUE_LIMIT_BYTES {
            return Err(StdinError::QueueFull {
                queued_bytes: state.queued_bytes,
                refused_bytes: bytes.len(),
                limit_bytes: STDIN_QUEUE_LIMIT_BYTES,
            });
        }
        state.queued_bytes += bytes.len();
        state.chunks.push_back(Chunk { bytes, before });
        drop(state);
        self.wake.wake();
        Ok(())
    }

    /// Closes the pipe after the queued bytes.
    pub(super) fn close(&self) {
        self.state().closing = true;
        self.wake.wake();
    }

    /// Closes the pipe at once: the child has ended.
    pub(super) fn abandon(&self) {
        self.state().closed = true;
        self.wake.wake();
    }

    fn next(&self) -> Next {
        let mut state = self.state();
        if state.closed {
            return Next::Close;
        }
        match state.chunks.pop_front() {
            Some(chunk) => Next::Write(chunk),
            None if state.closing => Next::Close,
            None => Next::Wait,
        }
    }

    /// The body of the writer thread. The error holds how many bytes the child did not read.
    pub(super) fn write_all(&self, stdin: &OwnedFd) -> Result<(), StdinError> {
        // Without NONBLOCK this thread could block forever on a pipe that the child does not read while a descendant holds it
        // open.
        if fcntl_setfl(stdin, OFlags::NONBLOCK).is_ok() {
            while self.step(stdin) {}
        }
        let mut state = self.state();
        state.closed = true;
        state.chunks = VecDeque::new();
        match std::mem::take(&mut state.queued_bytes) {
            0 => Ok(()),
            unwritten_bytes => Err(StdinError::Broken { unwritten_bytes }),
        }
    }

    /// Writes one chunk, or waits for one. False when nothing more can or must be written.
    fn step(&self, stdin: &OwnedFd) -> bool {
        match self.next() {
            Next::Write(Chunk { bytes, before }) => {
                if let Some(before) = before {
                    before();
                }
                self.write_chunk(stdin, &bytes)
            }
            Next::Wait => {
                let woken = poll([Some((self.wake.fd(), PollFlags::IN))], None).is_ok();
                self.wake.drain();
                woken
            }
            Next::Close => false,
        }
    }

    fn write_chunk(&self, stdin: &OwnedFd, chunk: &[u8]) -> bool {
        let mut rest = chunk;
        while !rest.is_empty() {
            match rustix::io::write(stdin, rest) {
                Ok(count) => {
                    self.state().queued_bytes -= count;
                    rest = rest.get(count..).unwrap_or_default();
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let fds = [Some((stdin.as_fd(), PollFlags::OUT)), Some((self.wake.fd(), PollFlags::IN))];
                    if poll(fds, None).is_err() {
                        return false;
                    }
                    self.wake.drain();
                    if self.state().closed {
                        return false;
                    }
                }
                // EPIPE: the child has closed its stdin. It does not end ccc, which ignores SIGPIPE.
                Err(_) => return false,
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::{Arc, mpsc};

    use super::*;

    #[test]
    fn a_chunk_waits_in_the_writer_and_not_in_the_caller() {
        let input = Arc::new(Input::new().expect("an input"));
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (go, may_go) = mpsc::channel::<()>();
        let (told, reached) = mpsc::channel::<()>();
        input.push(b"first ".to_vec(), None).expect("queued");
        let before = move || {
            told.send(()).expect("somebody listens");
            may_go.recv().expect("a word");
        };
        input.push(b"second ".to_vec(), Some(Box::new(before))).expect("queued");
        input.push(b"third".to_vec(), None).expect("queued");
        input.close();
        let writing = std::thread::spawn({
            let input = Arc::clone(&input);
            move || input.write_all(&writer.into())
        });
        let mut reader = reader;
        let mut seen = [0; 6];
        reader.read_exact(&mut seen).expect("the first chunk");
        reached.recv().expect("the writer waits");
        assert_eq!(input.state().queued_bytes, b"second third".len(), "nothing after it is written either");
        go.send(()).expect("the writer listens");
        let mut rest = String::new();
        reader.read_to_string(&mut rest).expect("the rest");
        assert_eq!((&seen[..], rest.as_str()), (&b"first "[..], "second third"));
        writing.join().expect("joined").expect("all written");
    }
}
