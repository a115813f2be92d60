//! The queue from the world's threads to the run. It has two lanes.
//!
//! *Data* is the output of a process, followed by its exit. It is queued in order, up to [`MAX_WAITING_BYTES`]; beyond that the
//! pipe of the process that writes stays full. *Control* is everything else (checks, measurements, answers, credentials): rare,
//! unbounded, and taken first. Signals and timers do not pass through here; the loop checks them before it takes anything.
//!
//! Of a process that was ended by a signal at most [`LAST_LINES`] more lines are kept. The rest is only counted, so that its
//! exit does not wait behind its output.
//! wait behind its output.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use secrecy::SecretString;
use tokio::sync::mpsc;

use crate::control::protocol::WordsOf;
use crate::core::{
    Answer, CheckId, CheckResult, CheckpointFact, CheckpointId, ExitFact, LineFact, MeasureId, ProcId, TokenFact,
    TokenId, TokenReport, TouchedTests, TreeFact,
};

use super::engine::Source;
use super::measured::Measured;
use crate::journal::{FileLock, LockError};

/// How much output may be queued, in bytes of memory, over all processes; in addition one line of each process, which may be
/// longer.
const MAX_WAITING_BYTES: usize = 8 * 1024 * 1024;
/// Memory of a queued line besides its event and its text: the allocator's overhead.
const ALLOCATION_BYTES: usize = 32;
/// How many lines of a process are still read after a signal told it to end.
const LAST_LINES: u32 = 1_000;

/// What a session record says.
#[derive(Debug, Default)]
pub(super) struct InRecord {
    /// Whether it has the unanswered turn.
    pub(super) turn_recorded: Option<bool>,
    /// If a resume of the session would lose turns: whether it has lost some already.
    pub(super) branch_lost: Option<bool>,
}

/// What a thread reports to the run.
#[derive(Debug)]
pub(super) enum Event {
    Line {
        proc: ProcId,
        line: LineFact,
        weight_bytes: usize,
    },
    Noise {
        proc: ProcId,
        lines: u64,
        bytes: u64,
        sample: LineFact,
    },
    Progress {
        proc: ProcId,
    },
    /// A part of a text in progress; only shown, because the whole text follows as a line.
    StreamedText {
        proc: ProcId,
        kind: WordsOf,
        /// Its number in its text; see [`crate::ui::parts`].
        part: u64,
        text: String,
    },
    WriteFailed {
        proc: ProcId,
        message: String,
    },
    Exited {
        proc: ProcId,
        exit: ExitFact,
    },
    /// The agent's interface has stopped itself.
    Stopped {
        proc: ProcId,
    },
    /// Ctrl-C was typed while no interface reads the keys.
    CtrlC,
    /// The same of Ctrl-Z.
    CtrlZ,
    /// The interface writes, although the terminal belonged to another job at the last check.
    TerminalIsOurs,
    /// What the session record says of a process that has exited.
    TurnLookedUp {
        proc: ProcId,
        record: InRecord,
    },
    /// Why the project's settings of the agent forbid the start of a process, if they do.
    SettingsRead {
        proc: ProcId,
        objection: Option<String>,
    },
    /// The lock of a session whose id the agent chose, or why it is not available.
    SessionLocked {
        session_id: String,
        lock: Result<FileLock, LockError>,
    },
    /// The state of the tokens: the answer to a request of the core, or news.
    Tokens {
        request: Option<u32>,
        tokens: Vec<TokenFact>,
    },
    CheckFinished {
        check: CheckId,
        result: CheckResult,
    },
    TreeMeasured {
        measure: MeasureId,
        measured: Option<Measured>,
        fact: TreeFact,
    },
    CheckpointTaken {
        checkpoint: CheckpointId,
        fact: CheckpointFact,
    },
    TestsCompared {
        checkpoint: CheckpointId,
        tests: TouchedTests,
        trouble: Option<String>,
    },
    Answered {
        number: u32,
        choice: Answer,
    },
    NotUnderstood {
        typed: String,
    },
    Probed {
        token: TokenId,
        reports: Vec<TokenReport>,
    },
    Fetched {
        token: TokenId,
        value: Result<Option<SecretString>, String>,
    },
}

impl Event {
    /// Whether it must stay behind the earlier output of its process.
    fn is_data(&self) -> bool {
        match self {
            Event::Line { .. }
            | Event::Noise { .. }
            | Event::Progress { .. }
            | Event::StreamedText { .. }
            | Event::Exited { .. } => true,
            Event::WriteFailed { .. }
            | Event::Stopped { .. }
            | Event::CtrlC
            | Event::CtrlZ
            | Event::TerminalIsOurs
            | Event::TurnLookedUp { .. }
            | Event::SettingsRead { .. }
            | Event::SessionLocked { .. }
            | Event::Tokens { .. }
            | Event::CheckFinished { .. }
            | Event::TreeMeasured { .. }
            | Event::CheckpointTaken { .. }
            | Event::TestsCompared { .. }
            | Event::Answered { .. }
            | Event::NotUnderstood { .. }
            | Event::Probed { .. }
            | Event::Fetched { .. } => false,
        }
    }
}

/// The sending side; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Inbox {
    control: mpsc::UnboundedSender<Event>,
    data: mpsc::UnboundedSender<Event>,
    waiting: Arc<Waiting>,
}

/// The receiving side.
#[derive(Debug)]
pub(super) struct Events {
    control: mpsc::UnboundedReceiver<Event>,
    data: mpsc::UnboundedReceiver<Event>,
}

impl Source for Events {
    type Event = Event;
    /// The next event, control before data; `None` when there is no sender left.
    async fn recv(&mut self) -> Option<Event> {
        tokio::select! {
            biased;
            Some(event) = self.control.recv() => Some(event),
            Some(event) = self.data.recv() => Some(event),
            else => None,
        }
    }

    /// The next event, if one is queued.
    fn try_recv(&mut self) -> Option<Event> {
        self.control.try_recv().or_else(|_| self.data.try_recv()).ok()
    }
}

/// Output that is queued for the loop.
#[derive(Debug, Default)]
struct Waiting {
    state: Mutex<State>,
    less: Condvar,
}

#[derive(Debug, Default)]
struct State {
    bytes: usize,
    /// Threads that wait for room. Without any the condvar is not notified, because that costs a system call per line.
    held_up: usize,
    /// Processes that a signal has told to end.
    ending: HashMap<ProcId, Ending>,
    /// The run is over: only exits are still reported.
    over: bool,
}

#[derive(Debug)]
struct Ending {
    lines_left: u32,
    dropped_lines: u64,
}

impl Inbox {
    pub(super) fn new() -> (Inbox, Events) {
        let (control, control_events) = mpsc::unbounded_channel();
        let (data, data_events) = mpsc::unbounded_channel();
        let inbox = Inbox { control, data, waiting: Arc::default() };
        (inbox, Events { control: control_events, data: data_events })
    }

    /// Posts an event. It is dropped once the run is over and nobody receives it.
    pub(super) fn post(&self, event: Event) {
        let lane = if event.is_data() { &self.data } else { &self.control };
        let _ = lane.send(event);
    }

    /// Posts a line once there is room for it. While the queue is full, lines of an ending process are dropped.
    pub(super) fn post_line(&self, proc: ProcId, line: LineFact) {
        let weight_bytes = weight(&line);
        let mut state = self.state();
        while state.bytes >= MAX_WAITING_BYTES {
            if state.over {
                return;
            }
            if let Some(ending) = state.ending.get_mut(&proc) {
                ending.dropped_lines += 1;
                return;
            }
            state.held_up += 1;
            state = self.waiting.less.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.held_up -= 1;
        }
        state.bytes += weight_bytes;
        drop(state);
        self.post(Event::Line { proc, line, weight_bytes });
    }

    /// The loop took a line; returns whether to report it.
    pub(super) fn took(&self, proc: ProcId, weight_bytes: usize) -> bool {
        let mut state = self.state();
        state.bytes = state.bytes.saturating_sub(weight_bytes);
        if state.held_up > 0 {
            self.waiting.less.notify_all();
        }
        let Some(ending) = state.ending.get_mut(&proc) else { return true };
        match ending.lines_left.checked_sub(1) {
            Some(left) => {
                ending.lines_left = left;
                true
            }
            None => {
                ending.dropped_lines += 1;
                false
            }
        }
    }

    /// A signal told the process to end: unblocks its reader thread, and limits its further lines.
    pub(super) fn ends(&self, proc: ProcId) {
        self.state().ending.entry(proc).or_insert(Ending { lines_left: LAST_LINES, dropped_lines: 0 });
        self.waiting.less.notify_all();
    }

    /// The process is gone; returns how many of its lines were dropped.
    pub(super) fn gone(&self, proc: ProcId) -> u64 {
        self.state().ending.remove(&proc).map_or(0, |ending| ending.dropped_lines)
    }

    /// The run is over: unblocks every reader thread.
    pub(super) fn close(&self) {
        self.state().over = true;
        self.waiting.less.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.waiting.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How much memory a queued line takes.
fn weight(line: &LineFact) -> usize {
    let text_bytes = match line {
        LineFact::Json(json) => json.get().len(),
        LineFact::Noise(text) => text.capacity(),
        LineFact::TooLong(_) => 0,
    };
    size_of::<Event>() + ALLOCATION_BYTES + text_bytes
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::Source as _;
    use super::{ALLOCATION_BYTES, Event, Events, Inbox, LAST_LINES, MAX_WAITING_BYTES};
    use crate::core::{ExitFact, LineFact, ProcId};

    /// Longer than a thread takes to block; an unblocked thread has posted before that.
    const SOON: Duration = Duration::from_millis(200);

    fn short() -> LineFact {
        LineFact::Noise("yy".to_owned())
    }

    fn next(events: &mut Events) -> Event {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(events.recv()).expect("an event")
    }

    /// The number of two-byte lines that fit.
    fn fitting() -> usize {
        MAX_WAITING_BYTES.div_ceil(size_of::<Event>() + ALLOCATION_BYTES + 2)
    }

    #[test]
    fn a_line_weighs_what_its_entry_takes_and_a_process_that_writes_more_waits() {
        let (inbox, mut events) = Inbox::new();
        let (posted, seen) = channel();
        let theirs = inbox.clone();
        let writer = std::thread::spawn(move || {
            for number in 0..=fitting() {
                theirs.post_line(ProcId(1), short());
                posted.send(number).expect("the test listens");
            }
        });
        for number in 0..fitting() {
            assert_eq!(seen.recv().expect("it fits"), number);
        }
        assert!(fitting() < 100_000, "an entry is not counted with what it takes");
        assert!(seen.recv_timeout(SOON).is_err(), "nothing holds the writer up");
        let Event::Line { proc, weight_bytes, .. } = next(&mut events) else { panic!("no line") };
        assert!(inbox.took(proc, weight_bytes));
        seen.recv().expect("there is room again");
        writer.join().expect("it ends");
    }

    #[test]
    fn control_comes_before_data_and_an_end_behind_its_lines() {
        let (inbox, mut events) = Inbox::new();
        inbox.post_line(ProcId(1), short());
        inbox.post(Event::Exited { proc: ProcId(1), exit: ExitFact::default() });
        inbox.post(Event::NotUnderstood { typed: "9".to_owned() });
        assert!(matches!(next(&mut events), Event::NotUnderstood { .. }));
        assert!(matches!(next(&mut events), Event::Line { .. }));
        assert!(matches!(next(&mut events), Event::Exited { .. }));
    }

    #[test]
    fn of_an_ending_process_little_more_is_heard_and_its_thread_is_let_go() {
        let (inbox, mut events) = Inbox::new();
        let theirs = inbox.clone();
        let many = fitting() + 500;
        let writer = std::thread::spawn(move || {
            for _ in 0..many {
                theirs.post_line(ProcId(1), short());
            }
            theirs.post(Event::Exited { proc: ProcId(1), exit: ExitFact::default() });
        });
        inbox.ends(ProcId(1));
        writer.join().expect("it is not held up");
        let mut heard = 0;
        while let Event::Line { proc, weight_bytes, .. } = next(&mut events) {
            heard += u32::from(inbox.took(proc, weight_bytes));
        }
        assert_eq!(heard, LAST_LINES);
        assert_eq!(inbox.gone(ProcId(1)), many as u64 - u64::from(LAST_LINES));
        assert_eq!(inbox.gone(ProcId(1)), 0, "told once");
        assert_eq!(inbox.state().bytes, 0);
    }

    #[test]
    fn when_the_run_is_over_nobody_waits_for_the_loop() {
        let (inbox, _events) = Inbox::new();
        inbox.close();
        for _ in 0..fitting() + 500 {
            inbox.post_line(ProcId(1), short());
        }
    }
}
