//! Writes to stdout and stderr in a thread of its own, so that a slow terminal never delays the loop.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::fstat;

use super::{ERASE, OutputKind, ScreenOutput, Stream};

/// How much may be queued for writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// With more queued bytes than this, progress is dropped and counted.
    pub talk_bytes: usize,
    /// With more queued bytes than this, data is refused too, with [`ScreenError::Backlog`].
    pub data_bytes: usize,
}

impl Default for Limits {
    /// 1 MiB of progress: some ten thousand lines, which fit into the memory that ccc allows itself. 16 MiB with data,
    /// because a result is smaller than the longest line that an agent may write.
    fn default() -> Limits {
        Limits { talk_bytes: 1024 * 1024, data_bytes: 16 * 1024 * 1024 }
    }
}

/// Outputs for the same stream are joined into chunks of about this size, one `write(2)` each, because many small
/// outputs would need far more memory than their bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// The stack of the writer's thread. It can be small, because the calls are not deep.
const STACK_BYTES: usize = 128 * 1024;

/// Why data cannot reach stdout.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScreenError {
    /// The reader of stdout has gone away.
    #[error("the reader of stdout has closed it (broken pipe)")]
    OutClosed,
    /// Writing to stdout failed otherwise.
    #[error("cannot write to stdout: {0}")]
    OutFailed(io::ErrorKind),
    /// The reader of stdout is alive but reads nothing.
    #[error(
        "the reader of the output does not read: {waiting_bytes} bytes are waiting, and the limit is {limit_bytes}"
    )]
    Backlog {
        /// Queued bytes, including the refused ones.
        waiting_bytes: usize,
        /// The limit.
        limit_bytes: usize,
    },
}

/// The result of [`Screen::finish`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flushed {
    /// Whether everything accepted has been written, or its stream is dead.
    pub complete: bool,
    /// Lines of progress that were never shown.
    pub lines_not_shown: usize,
    /// Bytes still queued when the deadline passed.
    pub bytes_left: usize,
    /// Why data did not reach stdout, if it did not. Only now is the result of the last write known.
    pub out_fault: Option<ScreenError>,
}

/// Owns stdout and stderr and writes to them from a thread of its own.
///
/// [`Screen::put`] never waits for a terminal or a pipe. The thread sleeps until there is something to write, and then
/// writes everything queued for a stream at once. A dead stderr only makes the run silent; [`Screen::out_fault`]
/// reports a dead stdout. If the screen is dropped without [`Screen::finish`], the thread writes what it can while the
/// process lives.
#[derive(Debug)]
pub struct Screen {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Signalled when there is something to write, when it is time to end, and when the writer has ended.
    changed: Condvar,
    limits: Limits,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<(Stream, String)>,
    /// Queued bytes, including those being written.
    waiting_bytes: usize,
    lines_dropped: usize,
    lines_dropped_in_all: usize,
    err_dead: bool,
    out_fault: Option<ScreenError>,
    /// Whether the writer sleeps. It is woken only then, because waking costs a system call.
    sleeping: bool,
    ending: bool,
    ended: bool,
}

/// Whether stdout and stderr lead to one place: a terminal, or a file or pipe that a shell has made both (`2>&1`).
#[must_use]
pub fn stdio_is_one_place() -> bool {
    match (fstat(io::stdout()), fstat(io::stderr())) {
        (Ok(out), Ok(err)) => (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

impl Screen {
    /// A screen on this process's stdout and stderr.
    ///
    /// # Errors
    /// When a descriptor cannot be duplicated (one of them is closed) or no thread can be started.
    pub fn on_stdio(limits: Limits) -> io::Result<Screen> {
        let out = io::stdout().as_fd().try_clone_to_owned()?;
        let err = io::stderr().as_fd().try_clone_to_owned()?;
        Screen::new(out, err, limits)
    }

    /// A screen on these two descriptors.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn new(out: OwnedFd, err: OwnedFd, limits: Limits) -> io::Result<Screen> {
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new(), limits });
        let writer = Writer { shared: Arc::clone(&shared), out: File::from(out), err: File::from(err) };
        thread::Builder::new().name("screen".to_owned()).stack_size(STACK_BYTES).spawn(move || writer.run())?;
        Ok(Screen { shared })
    }

    /// Queues an output; never waits.
    ///
    /// # Errors
    /// For data only: stdout is dead, or too much is queued. Progress is dropped and counted instead.
    pub fn put(&self, output: ScreenOutput) -> Result<(), ScreenError> {
        self.gather(output)?;
        self.wake();
        Ok(())
    }

    /// As [`Screen::put`], but the output may stay unwritten until [`Screen::wake`], because more outputs follow at
    /// once.
    ///
    /// # Errors
    /// As [`Screen::put`].
    pub fn gather(&self, output: ScreenOutput) -> Result<(), ScreenError> {
        if output.is_empty() {
            return Ok(());
        }
        let limits = self.shared.limits;
        let mut state = self.shared.lock();
        match output.stream {
            Stream::Err if state.err_dead => return Ok(()),
            Stream::Out if state.out_fault.is_some() => {
                return state.out_fault.clone().map_or(Ok(()), Err);
            }
            Stream::Err | Stream::Out => {}
        }
        let with_it = state.waiting_bytes.saturating_add(output.text.len());
        match output.kind {
            OutputKind::Status if state.waiting_bytes > 0 => return Ok(()),
            OutputKind::Status => {}
            OutputKind::Talk if with_it > limits.talk_bytes => {
                let lines = output.text.matches('\n').count();
                state.lines_dropped += lines;
                state.lines_dropped_in_all += lines;
                return Ok(());
            }
            OutputKind::Data if with_it > limits.data_bytes => {
                return Err(ScreenError::Backlog { waiting_bytes: with_it, limit_bytes: limits.data_bytes });
            }
            OutputKind::Talk | OutputKind::Data => {}
        }
        if output.stream == Stream::Err {
            state.tell_of_a_gap(&output);
        }
        state.push(output.stream, output.text);
        Ok(())
    }

    /// Wakes the writer, so that it writes what was gathered.
    pub fn wake(&self) {
        let mut state = self.shared.lock();
        if state.sleeping && !state.waiting.is_empty() {
            state.sleeping = false;
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// Why data no longer reaches stdout, if so. Check it after each [`Screen::put`] of data; at the end [`Flushed`]
    /// has it.
    #[must_use]
    pub fn out_fault(&self) -> Option<ScreenError> {
        self.shared.lock().out_fault.clone()
    }

    /// Waits until everything is written, at most `deadline`. After that the writer runs until the process ends.
    #[must_use]
    pub fn finish(self, deadline: Duration) -> Flushed {
        let mut state = self.shared.lock();
        if state.lines_dropped > 0 && !state.err_dead {
            let gap = gap(std::mem::take(&mut state.lines_dropped), "");
            state.push(Stream::Err, gap);
        }
        state.ending = true;
        self.shared.changed.notify_all();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, deadline, |state| !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        Flushed {
            complete: state.ended,
            lines_not_shown: state.lines_dropped_in_all,
            bytes_left: state.waiting_bytes,
            out_fault: state.out_fault.clone(),
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.lock().ending = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    /// Ignores poisoning, because the state is plain counters and text, which no panic leaves half-changed.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn push(&mut self, stream: Stream, text: String) {
        self.waiting_bytes += text.len();
        match self.waiting.back_mut() {
            Some((last, chunk)) if *last == stream && chunk.len() + text.len() <= CHUNK_BYTES => {
                chunk.push_str(&text);
            }
            Some(_) | None => self.waiting.push_back((stream, text)),
        }
    }

    /// Writes how many lines are missing, before the first output that is accepted again.
    fn tell_of_a_gap(&mut self, next: &ScreenOutput) {
        if self.lines_dropped == 0 {
            return;
        }
        let lines = std::mem::take(&mut self.lines_dropped);
        let erase = if next.text.starts_with(ERASE) { ERASE } else { "" };
        self.push(Stream::Err, gap(lines, erase));
    }

    /// Drops what is queued for a dead stream.
    fn forget(&mut self, dead: Stream) {
        self.waiting.retain(|(stream, _)| *stream != dead);
        self.waiting_bytes = self.waiting.iter().map(|(_, text)| text.len()).sum();
    }
}

fn gap(lines: usize, erase: &str) -> String {
    let s = if lines == 1 { "" } else { "s" };
    format!("{erase}… {lines} line{s} not shown\n")
}

struct Writer {
    shared: Arc<Shared>,
    out: File,
    err: File,
}

impl Writer {
    fn run(mut self) {
        while let Some((stream, text)) = self.wait() {
            let file = match stream {
                Stream::Out => &mut self.out,
                Stream::Err => &mut self.err,
            };
            let written = write_all(file, text.as_bytes());
            let mut state = self.shared.lock();
            state.waiting_bytes = state.waiting_bytes.saturating_sub(text.len());
            if let Err(error) = written {
                match stream {
                    Stream::Err => state.err_dead = true,
                    Stream::Out if error.kind() == io::ErrorKind::BrokenPipe => {
                        state.out_fault = Some(ScreenError::OutClosed);
                    }
                    Stream::Out => state.out_fault = Some(ScreenError::OutFailed(error.kind())),
                }
                state.forget(stream);
            }
        }
        self.shared.lock().ended = true;
        self.shared.changed.notify_all();
    }

    /// Waits for something to write; `None` at the end.
    fn wait(&self) -> Option<(Stream, String)> {
        let state = self.shared.lock();
        let nothing = |state: &mut State| {
            state.sleeping = state.waiting.is_empty() && !state.ending;
            state.sleeping
        };
        let mut state = self.shared.changed.wait_while(state, nothing).unwrap_or_else(PoisonError::into_inner);
        state.waiting.pop_front()
    }
}

/// Writes all bytes. If another program has made the shared terminal non-blocking, a full terminal returns an error,
/// and this waits until there is room.
fn write_all(file: &mut File, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => wait_for_room(file)?,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait_for_room(file: &File) -> io::Result<()> {
    let mut fds = [PollFd::new(file, PollFlags::OUT)];
    match poll(&mut fds, None) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
