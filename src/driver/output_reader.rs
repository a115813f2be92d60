//! Cuts the output of one process into lines, on the thread that reads it.
//!
//! Partial output is dropped here: the loop is told once a second that deltas come (design §9), and is not woken more often. Lines that say nothing ([`Adapter::says_nothing`](crate::agent::Adapter::says_nothing)), or the same again
//! and again, are handed on while they are few; of many, one fact a second tells how many there were ([`NoiseRun`]).
//!
//! Secrets are replaced here, both the credential in use and what looks like one, before the core, the journal or the screen sees
//! the line. So no text carries a secret further, and a replay decides on the same words as the run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::inbox::{Event, Inbox};
use super::noise::{Hearing, NOISE_INTERVAL, NoiseRun, Repetitions, Run};
use super::saying::Saying;
use crate::agent::AgentKind;
use crate::core::{ExitFact, LineFact, ProcId};
use crate::process::{ChildSink, Exit, StdinError};
use crate::stream::{Envelope, Frame, FrameDecoder, LineLimit};
use redaction::SharedRedactor;

/// How much of a process's stderr is kept, from its end, in bytes.
const STDERR_TAIL_BYTES: usize = 4 * 1024;
/// How often the loop hears of partial output.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// From so much of stderr within [`NOISE_INTERVAL`] on, the core hears of it, in bytes.
const STDERR_FLOOD_BYTES: u64 = 1024 * 1024;
/// How much of a line that stands for many is kept, in bytes.
const SAMPLE_BYTES: usize = 256;

/// The reader of one process's output.
#[derive(Clone)]
pub(super) struct OutputReader {
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
    /// Since when, and how much came since.
    since: Option<Instant>,
    came: u64,
}

struct Heard {
    frames: FrameDecoder,
    lines: Lines,
}

/// What is remembered from one line to the next.
#[derive(Default)]
struct Lines {
    progress_at: Option<Instant>,
    /// What is being said, where somebody watches.
    saying: Option<Saying>,
    /// Lines that are not JSON.
    text: NoiseRun,
    /// JSON that says nothing.
    json: NoiseRun,
    /// JSON that says the same again.
    repeated: Repetitions,
    /// A line over the limit that goes on: when that was told, and how much of it.
    endless: Option<(Instant, u64)>,
}

impl OutputReader {
    pub(super) fn new(
        proc: ProcId,
        kind: AgentKind,
        inbox: Inbox,
        redactor: SharedRedactor,
        limit: LineLimit,
    ) -> OutputReader {
        OutputReader {
            proc,
            kind,
            inbox,
            redactor,
            shared: Arc::new(Mutex::new(Heard { frames: FrameDecoder::new(limit), lines: Lines::default() })),
            stderr: Arc::default(),
        }
    }

    /// The same, and the loop hears the words of a text while it is said.
    pub(super) fn word_by_word(self) -> OutputReader {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).lines.saying = Some(Saying::default());
        self
    }

    fn say(&self, now: Instant, partial: &Envelope<'_>, saying: Option<&mut Saying>) {
        if let Some(saying) = saying
            && let Some(part) = self.kind.partial_text(partial)
            && let Some(words) = saying.add(&part, now)
        {
            let text = self.redactor.now().text(&words).into_owned();
            self.inbox.post(Event::Saying { proc: self.proc, text });
        }
    }

    fn frame(&self, now: Instant, frame: Frame<'_>, lines: &mut Lines) {
        match frame {
            Frame::Json(envelope) => {
                if self.kind.is_partial(&envelope) {
                    self.say(now, &envelope, lines.saying.as_mut());
                    self.progress(now, &envelope, &mut lines.progress_at);
                    return;
                }
                if let Some(saying) = &mut lines.saying {
                    // The whole of what was being said comes, or something else does.
                    saying.forget();
                }
                let raw = envelope.raw();
                let line = || self.json_line(raw.json());
                let hearing = if self.kind.says_nothing(&envelope) {
                    self.hear(now, &mut lines.json, raw.json().len(), line)
                } else {
                    lines.repeated.hear(now, raw.json(), line, |run| self.tell(run))
                };
                if hearing == Hearing::Whole {
                    self.inbox.post_line(self.proc, line());
                }
            }
            Frame::Noise(bytes) => {
                let sample = || LineFact::Noise(beginning(self.text(bytes)));
                if self.hear(now, &mut lines.text, bytes.len(), sample) == Hearing::Whole {
                    self.inbox.post_line(self.proc, LineFact::Noise(self.text(bytes)));
                }
            }
            Frame::TooLong { bytes } => self.inbox.post_line(self.proc, LineFact::TooLong(bytes)),
        }
    }

    fn json_line(&self, json: &str) -> LineFact {
        match RawValue::from_string(self.redactor.now().json_str(json).into_owned()) {
            Ok(raw) => LineFact::Json(raw),
            Err(error) => LineFact::Noise(error.to_string()),
        }
    }

    fn text(&self, bytes: &[u8]) -> String {
        self.redactor.now().text(&String::from_utf8_lossy(bytes)).into_owned()
    }

    fn hear(&self, now: Instant, run: &mut NoiseRun, bytes: usize, sample: impl FnOnce() -> LineFact) -> Hearing {
        run.hear(now, bytes, sample, |run| self.tell(run))
    }

    fn tell(&self, Run { lines, bytes, sample }: Run) {
        self.inbox.post(Event::Noise { proc: self.proc, lines, bytes, sample });
    }

    /// A line over the limit has not ended: told once a second, since such a line may never end.
    fn endless(&self, now: Instant, dropped: u64, told: &mut Option<(Instant, u64)>) {
        let before = match told {
            Some((at, _)) if now.duration_since(*at) < NOISE_INTERVAL => return,
            Some((_, before)) => *before,
            None => 0,
        };
        *told = Some((now, dropped));
        self.tell(Run { lines: 0, bytes: dropped.saturating_sub(before), sample: LineFact::TooLong(dropped) });
    }

    fn progress(&self, now: Instant, partial: &Envelope<'_>, progress_at: &mut Option<Instant>) {
        if progress_at.is_none_or(|at| now.duration_since(at) >= PROGRESS_INTERVAL)
            && self.kind.partial_is_progress(partial)
        {
            *progress_at = Some(now);
            self.inbox.post(Event::Progress { proc: self.proc });
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "driver/ is an edge: what says little is thinned out by real time")]
fn now() -> Instant {
    Instant::now()
}

fn beginning(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(SAMPLE_BYTES));
    text.shrink_to_fit();
    text
}

impl ChildSink for OutputReader {
    fn stdout(&self, chunk: &[u8]) {
        let now = now();
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { frames, lines } = &mut *heard;
        frames.push(chunk, |frame| self.frame(now, frame, lines));
        match frames.dropped_bytes() {
            Some(dropped) => self.endless(now, dropped, &mut lines.endless),
            None => lines.endless = None,
        }
    }

    fn stdout_closed(&self) {
        let now = now();
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let Heard { frames, lines } = &mut *heard;
        frames.finish(|frame| self.frame(now, frame, lines));
        let left = [lines.text.finish(), lines.json.finish(), lines.repeated.finish()];
        left.into_iter().flatten().for_each(|run| self.tell(run));
    }

    fn stderr(&self, chunk: &[u8]) {
        let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        tail.bytes.extend(chunk);
        let excess = tail.bytes.len().saturating_sub(STDERR_TAIL_BYTES);
        tail.bytes.drain(..excess);
        tail.is_cut |= excess > 0;
        tail.came = tail.came.saturating_add(chunk.len() as u64);
        let now = now();
        let since = *tail.since.get_or_insert(now);
        if now.duration_since(since) >= NOISE_INTERVAL {
            let came = std::mem::take(&mut tail.came);
            tail.since = Some(now);
            drop(tail);
            if came >= STDERR_FLOOD_BYTES {
                self.tell(Run { lines: 0, bytes: came, sample: LineFact::Noise(String::new()) });
            }
        }
    }

    fn stdin_error(&self, error: StdinError) {
        self.inbox.post(Event::WriteFailed { proc: self.proc, message: error.to_string() });
    }

    fn exited(&self, exit: Exit) {
        let mut tail = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        let is_cut = tail.is_cut;
        let stderr_tail = self.redactor.now().tail(tail.bytes.make_contiguous(), is_cut);
        let exit = ExitFact {
            code: exit.code,
            signal: exit.signal,
            stderr_tail,
            swept: exit.swept,
            turn_recorded: None,
            dropped_lines: self.inbox.gone(self.proc),
        };
        self.inbox.post(Event::Exited { proc: self.proc, exit });
    }
}
