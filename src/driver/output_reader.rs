//! Splits the output of one process into lines, on the thread that reads it.
//!
//! Partial output is dropped here: the loop is told once a second that deltas arrive (design §9), and is not woken more often.
//! Lines without information ([`Adapter::says_nothing`](crate::agent::Adapter::says_nothing)) and repeated lines are passed on
//! while they are few; beyond that one fact per second holds their count ([`NoiseRun`]).
//!
//! Secrets are replaced here, both the credential in use and what looks like one, before the core, the journal or the screen
//! gets the line. So no later text holds a secret, and a replay decides on the same text as the run.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::value::RawValue;

use super::inbox::{Event, Inbox};
use super::noise::{Hearing, NOISE_INTERVAL, NoiseRun, Repetitions, Run};
use super::saying::StreamedText;
use crate::agent::AgentKind;
use crate::control::Hub;
use crate::control::protocol::WordsOf;
use crate::core::{ExitFact, LineFact, ProcId};
use crate::process::{ChildSink, Exit, StdinError};
use crate::stream::{Envelope, Frame, FrameDecoder, LineLimit};
use redaction::SharedRedactor;

/// How much of a process's stderr is kept, from its end, in bytes.
const STDERR_TAIL_BYTES: usize = 4 * 1024;
/// How often the loop is told of partial output.
const PROGRESS_INTERVAL: Duration = Duration::from_secs(1);
/// How many bytes of stderr within [`NOISE_INTERVAL`] are reported to the core as a flood.
const STDERR_FLOOD_BYTES: u64 = 1024 * 1024;
/// How much of the sample of counted lines is kept, in bytes.
const SAMPLE_BYTES: usize = 256;

/// The reader of one process's output.
#[derive(Clone)]
pub(super) struct OutputReader {
    proc: ProcId,
    kind: AgentKind,
    inbox: Inbox,
    redactor: SharedRedactor,
    /// The run's own terminal is live.
    watched: bool,
    /// The clients that may want a text while it is generated.
    hub: Option<Hub>,
    /// At the limit of its memory the process is not killed: its allocations fail.
    fails_allocations: bool,
    shared: Arc<Mutex<StdoutState>>,
    stderr: Arc<Mutex<StderrTail>>,
}

/// The end of a child's stderr.
#[derive(Default)]
struct StderrTail {
    bytes: VecDeque<u8>,
    is_cut: bool,
    /// Start of the current interval, and the bytes that came in it.
    since: Option<Instant>,
    came: u64,
}

struct StdoutState {
    frames: FrameDecoder,
    lines: Lines,
}

/// State that is kept between lines.
#[derive(Default)]
struct Lines {
    progress_at: Option<Instant>,
    /// The text and the thought in progress, for viewers.
    saying: StreamedText,
    thinking: StreamedText,
    /// Lines that are not JSON.
    text: NoiseRun,
    /// JSON without information.
    json: NoiseRun,
    /// Repeated JSON.
    repeated: Repetitions,
    /// An unfinished line over the limit: when it was last reported, and its size at that time.
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
            watched: false,
            hub: None,
            fails_allocations: false,
            shared: Arc::new(Mutex::new(StdoutState { frames: FrameDecoder::new(limit), lines: Lines::default() })),
            stderr: Arc::default(),
        }
    }

    /// Also reports a text in progress to the loop, word by word.
    pub(super) fn word_by_word(self) -> OutputReader {
        OutputReader { watched: true, ..self }
    }

    /// At the limit of its memory the process is not killed, so that only its own words tell why it ended.
    pub(super) fn with_failing_allocations(self) -> OutputReader {
        OutputReader { fails_allocations: true, ..self }
    }

    /// The same while a client of this hub wants it.
    pub(super) fn heard_by(self, hub: Hub) -> OutputReader {
        OutputReader { hub: Some(hub), ..self }
    }

    fn say(&self, now: Instant, partial: &Envelope<'_>, lines: &mut Lines) {
        let wanted = self.hub.as_ref().is_some_and(Hub::wants_words);
        if !self.watched && !wanted {
            // A client that comes in the middle is told that text is missing.
            lines.saying.skip();
            lines.thinking.skip();
            return;
        }
        if self.kind.begins_text(partial) {
            lines.saying.begin();
            lines.thinking.begin();
            return;
        }
        let said = self.kind.partial_text(partial).map(|part| (WordsOf::Text, part));
        // The run's own terminal shows a thought only when it is complete.
        let thought = || self.kind.partial_thought(partial).map(|part| (WordsOf::Thinking, part));
        let Some((kind, part)) = said.or_else(|| if wanted { thought() } else { None }) else { return };
        let (saying, other) = match kind {
            WordsOf::Text => (&mut lines.saying, &mut lines.thinking),
            WordsOf::Thinking => (&mut lines.thinking, &mut lines.saying),
        };
        other.forget();
        if let Some((part, words)) = saying.add(&part, now) {
            let text = self.redactor.now().text(&words).into_owned();
            self.inbox.post(Event::StreamedText { proc: self.proc, kind, part, text });
        }
    }

    fn frame(&self, now: Instant, frame: Frame<'_>, lines: &mut Lines) {
        match frame {
            Frame::Json(envelope) => {
                if self.kind.is_partial(&envelope) {
                    self.say(now, &envelope, lines);
                    self.progress(now, &envelope, &mut lines.progress_at);
                    return;
                }
                // This is the complete text, or something else: discard the parts.
                lines.saying.forget();
                lines.thinking.forget();
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

    /// A line over the limit has not ended. It is reported once a second, because it may never end.
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
        let StdoutState { frames, lines } = &mut *heard;
        frames.push(chunk, |frame| self.frame(now, frame, lines));
        match frames.dropped_bytes() {
            Some(dropped) => self.endless(now, dropped, &mut lines.endless),
            None => lines.endless = None,
        }
    }

    fn stdout_closed(&self) {
        let now = now();
        let mut heard = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let StdoutState { frames, lines } = &mut *heard;
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
        let mut exit = ExitFact {
            code: exit.code,
            signal: exit.signal,
            stderr_tail,
            swept: exit.swept,
            turn_recorded: None,
            dropped_lines: self.inbox.gone(self.proc),
            leaked: exit.leaked,
            out_of_memory: exit.out_of_memory,
        };
        exit.out_of_memory |= self.fails_allocations && self.kind.lacked_memory(&exit);
        self.inbox.post(Event::Exited { proc: self.proc, exit });
    }
}
