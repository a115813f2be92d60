//! What the world tells the run, from many threads into one queue.
//!
//! The thread that reads an agent's output frames it here and drops partial output on the spot: of deltas the loop
//! hears once a second that they flow (design §9), and is not woken for more. It never waits for the core, the disk or
//! the screen; only an agent that writes faster than all of them by the named limit is held up, by its own pipe.
//!
//! Secrets end here: what looks like a credential, or is the one in use, is replaced before the core, the journal or the
//! screen can see it. So no text can carry one further, and a replay decides on the very words the run did.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

use crate::agent::AgentKind;
use crate::core::{CheckId, CheckResult, ExitFact, LimitChoice, LineFact, MeasureId, ProcId, TokenId, TokenReport};
use crate::journal::SharedRedactor;
use crate::process::{ChildSink, Exit, StdinError};
use crate::stream::{Envelope, Frame, FrameDecoder, LineLimit};

use super::tree::Snapshot;

/// How much output may wait for the loop, in bytes, over all processes.
const MAX_WAITING_BYTES: usize = 256 * 1024 * 1024;
/// How much of a process's stderr is kept, from its end, in bytes.
const STDERR_TAIL_BYTES: usize = 4 * 1024;
/// How often the loop hears of partial output.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);

/// Something happened.
#[derive(Debug)]
pub(super) enum Event {
    Line { proc: ProcId, line: LineFact, weight_bytes: usize },
    Progress { proc: ProcId },
    WriteFailed { proc: ProcId, message: String },
    Exited { proc: ProcId, exit: ExitFact },
    CheckFinished { check: CheckId, result: CheckResult },
    TreeTaken { measure: MeasureId, snapshot: Snapshot },
    TreeCompared { measure: MeasureId, fact: crate::core::TreeFact },
    Answered { number: u32, choice: LimitChoice },
    NotUnderstood { typed: String },
    Probed { token: TokenId, reports: Vec<TokenReport> },
    Fetched { token: TokenId, value: Result<Option<SecretString>, String> },
}

/// The sending side; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    events: mpsc::UnboundedSender<Event>,
    waiting: Arc<Waiting>,
}

/// Bytes of output that wait for the loop.
#[derive(Debug, Default)]
struct Waiting {
    bytes: Mutex<usize>,
    fewer: Condvar,
}

impl Inbox {
    pub(super) fn new() -> (Inbox, mpsc::UnboundedReceiver<Event>) {
        let (events, receiver) = mpsc::unbounded_channel();
        (Inbox { events, waiting: Arc::default() }, receiver)
    }

    /// Posts an event. Nobody listens any more once the run is over; then it is dropped.
    pub(super) fn post(&self, event: Event) {
        let _ = self.events.send(event);
    }

    /// The loop took a line.
    pub(super) fn took(&self, weight_bytes: usize) {
        let mut bytes = self.waiting.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        *bytes = bytes.saturating_sub(weight_bytes);
        self.waiting.fewer.notify_all();
    }

    fn post_line(&self, proc: ProcId, line: LineFact, weight_bytes: usize) {
        let mut bytes = self.waiting.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        while *bytes > MAX_WAITING_BYTES {
            bytes = self.waiting.fewer.wait(bytes).unwrap_or_else(PoisonError::into_inner);
        }
        *bytes += weight_bytes;
        drop(bytes);
        self.post(Event::Line { proc, line, weight_bytes });
    }
}

/// The ears for one process.
#[derive(Clone)]
pub(super) struct Ears {
    proc: ProcId,
    kind: AgentKind,
    inbox: Inbox,
    redactor: SharedRedactor,
    shared: Arc<Mutex<Heard>>,
    stderr: Arc<Mutex<StderrTail>>,
}

/// The end of what a child wrote to stderr.
#[derive(Default)]
struct StderrTail {
    bytes: VecDeque<u8>,
    is_cut: bool,
}

struct Heard {
    frames: FrameDecoder,
    progress_at: Option<Instant>,
}

impl Ears {
    pub(super) fn new(proc: ProcId, kind: AgentKind, inbox: Inbox, redactor: SharedRedactor, limit: LineLimit) -> Ears {
        Ears {
            proc,
            kind,
            inbox,
            redactor,
            shared: Arc::new(Mutex::new(Heard { frames: FrameDecoder::new(limit), progress_at: None })),
            stderr: Arc::default(),
        }
    }

    fn frame(&self, frame: Frame<'_>, progress_at: &mut Option<Instant>) {
        match frame {
            Frame::Json(envelope) => {
                if self.kind.is_partial(&envelope) {
                    self.progress(&envelope, progress_at);
                    return;
                }
                let json = self.redactor.now().json_str(envelope.raw().json()).into_owned();
                let weight_bytes = json.len();
                let line = match RawValue::from_string(json) {
                    Ok(raw) => LineFact::Json(raw),
                    Err(error) => LineFact::Noise(error.to_string()),
                };
                self.inbox.post_line(self.proc, line, weight_bytes);
            }
            Frame::Noise(bytes) => {
                let text = String::from_utf8_lossy(bytes);
                let text = self.redactor.now().text(&text).into_owned();
                self.inbox.post_line(self.proc, LineFact::Noise(text), bytes.len());
            }
            Frame::TooLong { bytes } => self.inbox.post_line(self.proc, LineFact::TooLong(bytes), 0),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "driver/ is an edge: partial output is thinned out by real time")]
    fn progress(&self, partial: &Envelope<'_>, progress_at: &mut Option<Instant>) {
        let now = Instant::now();
        if progress_at.is_none_or(|at| now.duration_since(at) >= PROGRESS_INTERVAL)
            && self.kind.partial_is_progress(partial)
        {
            *progress_at = Some(now);
            self.inbox.post(Event::Progress { proc: self.proc });
        }
    }
}

impl ChildSink for Ears {
    fn stdout(&self, chunk: &[u8]) {
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { frames, progress_at } = &mut *heard;
        frames.push(chunk, |frame| self.frame(frame, progress_at));
    }

    fn stdout_closed(&self) {
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { frames, progress_at } = &mut *heard;
        frames.finish(|frame| self.frame(frame, progress_at));
    }

    fn stderr(&self, chunk: &[u8]) {
        let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        tail.bytes.extend(chunk);
        let excess = tail.bytes.len().saturating_sub(STDERR_TAIL_BYTES);
        tail.bytes.drain(..excess);
        tail.is_cut |= excess > 0;
    }

    fn stdin_error(&self, error: StdinError) {
        self.inbox.post(Event::WriteFailed { proc: self.proc, message: error.to_string() });
    }

    fn exited(&self, exit: Exit) {
        let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cut = tail.is_cut;
        let stderr_tail = self.redactor.now().tail(tail.bytes.make_contiguous(), is_cut);
        let exit =
            ExitFact { code: exit.code, signal: exit.signal, stderr_tail, swept: exit.swept, turn_recorded: None };
        self.inbox.post(Event::Exited { proc: self.proc, exit });
    }
}
