//! The real world: actions start processes, and facts come from them.
//!
//! One thread runs the loop; readers, writers, checks and measurements have threads of their own and post to the
//! [`Inbox`]. For each fact the order is: journal it, let the core handle it, journal the actions, hand both to the
//! system in one write, then perform the actions. So what was done is always written down before (write-ahead), and
//! a run whose ccc dies between two of these steps can be gone on with.
//! Who sends what on Ctrl-C: the terminal signals ccc only, for every child has a session of its own. The first time
//! the run is ended in good order, the second time all is killed, the third time ccc leaves without looking back.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::alarm::Alarm;
use super::answers::Answers;
use super::clock::Clock;
use super::credentials::{Credentials, FetchedFor};
use super::heartbeat::{Heart, INTERVAL as BEAT_INTERVAL, Pulse};
use super::inbox::{Event, Events, Inbox};
use super::signals::{Heard, Signals};
use super::tree::{Ours, Snapshot};
use crate::core::{
    Action, CheckId, Core, Finish, Input, MeasureId, OperatorInput, Plan, ProcId, Show, Spawn, Tick, TokenId,
};
use crate::guard::SettingsOfAgent;
use crate::journal::{
    Holder, JournalNews, JournalWriter, Redactor, RunDir, SessionLock, SharedRedactor, action_kind, input_kind,
};
use crate::process::{
    Cancel, Child, LeftRunning, Transport, TypedEcho, observe_run, reap_orphans, stop_children,
    stop_own_job,
};
use crate::ui::{Printer, Screen, ScreenOutput, Standing};

/// How long ccc, having finished, waits for checks that it has told to end: their grace, and the kill after it.
const CHECK_PATIENCE: Duration = Duration::from_secs(4);
/// How long ccc, leaving, waits for the end of what it has killed.
const KILL_PATIENCE: Duration = Duration::from_millis(500);
/// When the loop wakes so much later than it wanted to, it was not the others who stood still but ccc (Ctrl-Z, a
/// machine without memory). That time does not count; the regular beat is what shows how long it was.
const LATE: Duration = Duration::from_millis(250);
/// How often the status line is drawn where somebody may watch it.
const SECOND: Duration = Duration::from_secs(1);
/// How long, after that, timeouts wait for the facts that have piled up.
const CATCH_UP: Duration = Duration::from_millis(500);
/// How many waiting events are taken before signals and deadlines are looked at again.
const AT_ONCE: usize = 64;

/// The agent's program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Arguments before the adapter's; used to run the scripted agent out of our own binary.
    pub first_args: Vec<OsString>,
}

/// The environment that all children start from: ours, without any credential. It is the checks' as it is; agent and
/// critic get the token in use besides. Its values are never shown.
#[derive(Clone)]
pub struct ChildEnv(pub Vec<(OsString, OsString)>);

impl fmt::Debug for ChildEnv {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildEnv").field("variables", &self.0.len()).finish()
    }
}

/// What a run in the real world needs.
#[derive(Debug)]
pub struct Setup {
    /// A fresh core, or one rebuilt from the journal.
    pub core: Core,
    /// Where the run's time goes on.
    pub from: Tick,
    /// Whether the run goes on after ccc had ended.
    pub resumed: bool,
    /// What the user says at the start of a resumed run.
    pub first_inputs: Vec<OperatorInput>,
    /// The run's directory.
    pub run_dir: RunDir,
    /// The state directory, for session locks.
    pub state_dir: PathBuf,
    /// The agent's own directory, which holds the records of its sessions.
    pub claude_dir: PathBuf,
    /// The journal.
    pub journal: JournalWriter,
    /// For the summary.
    pub redactor: Redactor,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// The agent's program.
    pub program: Program,
    /// The children's environment.
    pub env: ChildEnv,
    /// The same without any credential, also of other providers: for checks and for ccc's own helpers.
    pub bare_env: ChildEnv,
    /// The tokens that agent and critic may get.
    pub credentials: Credentials,
    /// The project's settings of the agent, as far as the user has agreed to them.
    pub settings: SettingsOfAgent,
    /// How the agent's stdout reaches us.
    pub transport: Transport,
    /// The session's lock, when the session is known.
    pub session_lock: Option<SessionLock>,
    /// What renders.
    pub printer: Printer,
    /// What writes.
    pub screen: Screen,
}

/// How it ended.
#[derive(Debug)]
pub struct End {
    /// The outcome; `None` when the user left without waiting for one.
    pub finish: Option<Finish>,
    /// The plan the run went by at last.
    pub plan: Plan,
    /// The run's time at its end.
    pub tick: Tick,
    /// The environment of an agent with the token in use at last.
    pub env: ChildEnv,
    /// The printer and the screen, for the last words.
    pub printer: Printer,
    /// See `printer`.
    pub screen: Screen,
    /// What the user should hear of the journal at last.
    pub journal_news: Option<JournalNews>,
}

/// Runs until the core has finished.
///
/// # Errors
/// When the system gives no event loop or no signal handlers.
pub fn run(setup: Setup) -> std::io::Result<End> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let (inbox, events) = Inbox::new();
        let give_up_measuring = Cancel::new()?;
        let ours =
            Ours::of_process(&setup.state_dir, &setup.bare_env, &setup.core.plan().run_id, give_up_measuring.clone());
        let typing = if setup.printer.is_live() { TypedEcho::find() } else { TypedEcho::none() };
        typing.quiet();
        let world = World {
            clock: Clock::starting_at(setup.from),
            core: setup.core,
            journal: setup.journal,
            heart: Heart::new(setup.run_dir.id(), setup.run_dir.path()),
            run_dir: setup.run_dir,
            ours: Arc::new(ours),
            state_dir: setup.state_dir,
            claude_dir: setup.claude_dir,
            redactor: SharedRedactor::new(setup.redactor),
            started_unix_ms: setup.started_unix_ms,
            program: setup.program,
            env: setup.env,
            bare_env: setup.bare_env,
            credentials: setup.credentials,
            settings: setup.settings,
            transport: setup.transport,
            session_lock: setup.session_lock,
            printer: setup.printer,
            screen: setup.screen,
            inbox,
            children: HashMap::new(),
            to_start: HashMap::new(),
            fetching: HashMap::new(),
            give_up_fetching: Cancel::new()?,
            checks: HashMap::new(),
            snapshots: BTreeMap::new(),
            measuring: 0,
            give_up_measuring,
            finish: None,
            alarm: Alarm::new(),
            phase_written: String::new(),
            gathering: false,
            answers: None,
            typing,
        };
        Ok(world.run(events, signals, setup.resumed, setup.first_inputs).await)
    })
}

pub(super) struct World {
    pub(super) clock: Clock,
    pub(super) core: Core,
    pub(super) journal: JournalWriter,
    pub(super) run_dir: RunDir,
    pub(super) state_dir: PathBuf,
    pub(super) claude_dir: PathBuf,
    /// What is not to be taken for a change of the tree.
    pub(super) ours: Arc<Ours>,
    pub(super) redactor: SharedRedactor,
    pub(super) started_unix_ms: i64,
    pub(super) program: Program,
    pub(super) env: ChildEnv,
    pub(super) bare_env: ChildEnv,
    pub(super) credentials: Credentials,
    /// Looked at before each start.
    pub(super) settings: SettingsOfAgent,
    pub(super) transport: Transport,
    pub(super) session_lock: Option<SessionLock>,
    pub(super) printer: Printer,
    pub(super) screen: Screen,
    pub(super) inbox: Inbox,
    pub(super) children: HashMap<ProcId, Child>,
    /// Processes that are started when the value of their token has been fetched.
    pub(super) to_start: HashMap<ProcId, Spawn>,
    /// Which tokens' commands run, and who waits for their values; and what ends them when the run is over.
    pub(super) fetching: HashMap<TokenId, Vec<FetchedFor>>,
    pub(super) give_up_fetching: Cancel,
    pub(super) checks: HashMap<CheckId, Cancel>,
    /// Measurements that a later one may be compared with; the two latest are enough.
    pub(super) snapshots: BTreeMap<MeasureId, Measured>,
    /// Measurements that are under way, and what ends their git when the run is over.
    pub(super) measuring: u32,
    give_up_measuring: Cancel,
    pub(super) finish: Option<Finish>,
    pub(super) phase_written: String,
    /// More events wait: what is recorded and shown is written with theirs.
    gathering: bool,
    /// The open question, when there is one.
    pub(super) answers: Option<Answers>,
    /// Whether the terminal shows what is typed.
    pub(super) typing: TypedEcho,
    pub(super) heart: Heart,
    alarm: Alarm,
}

/// A measurement of the tree, and what the agent had left running when it began.
#[derive(Debug, Clone)]
pub(super) struct Measured {
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) left: LeftRunning,
}

/// What the loop woke for.
enum Woken {
    Signal(Heard),
    /// A deadline of the core, or the alarm.
    Due {
        deadline: bool,
    },
    Beat,
    /// `None` when nobody can post any more.
    Event(Option<Event>),
}

impl World {
    async fn run(
        mut self,
        mut events: Events,
        mut signals: Signals,
        resumed: bool,
        first_inputs: Vec<OperatorInput>,
    ) -> End {
        let unix_ms = self.clock.unix_ms();
        // What the user says comes first, so that a resumed run sees it before it decides how to go on.
        for operator in first_inputs {
            self.feed(Input::Operator(operator));
        }
        let turn_recorded = if resumed { self.turn_recorded() } else { None };
        let tokens = self.credentials.read();
        self.feed(Input::Began { unix_ms, resumed, turn_recorded, tokens });
        let mut interrupts = 0u32;
        // One timer for the heartbeat, the status line's clock and the noticing of stops: an idle run stays well below one
        // wake-up a second.
        let mut pulse = Pulse::new(&self.clock);
        // Somebody who watches sees the seconds go by.
        let beat_interval = if self.printer.is_live() { SECOND } else { BEAT_INTERVAL };
        let mut beaten = self.clock.instant_now();
        let mut not_before: Option<Instant> = None;
        while self.finish.is_none() {
            let deadline = self.core.poll_timeout().map(|tick| self.clock.instant(tick));
            let deadline = deadline.map(|deadline| not_before.map_or(deadline, |instant| deadline.max(instant)));
            self.alarm.set(self.core.poll_wall_timeout(), &self.clock);
            let slept = self.clock.instant_now();
            let woken = tokio::select! {
                biased;
                heard = signals.next() => Woken::Signal(heard),
                () = sleep_until(deadline) => Woken::Due { deadline: true },
                () = self.alarm.rang() => Woken::Due { deadline: false },
                () = pulse.beat() => Woken::Beat,
                event = events.recv() => Woken::Event(event),
            };
            let paused = pulse.late(&self.clock).min(self.clock.late(slept));
            if paused > LATE {
                tracing::debug!(ms = paused.as_millis(), "ccc stood still");
                self.clock.paused(paused);
                pulse.next_in(Duration::ZERO, &self.clock);
                not_before = Some(self.clock.after(CATCH_UP));
            }
            match woken {
                Woken::Signal(Heard::Stop(reason)) => {
                    interrupts += 1;
                    if interrupts >= 3 {
                        break;
                    }
                    self.feed(Input::Operator(OperatorInput::Interrupt { reason: reason.to_owned() }));
                }
                Woken::Signal(Heard::ChildEnded) => {
                    reap_orphans();
                }
                Woken::Signal(Heard::Suspend) => {
                    let paused = self.suspend(&mut signals).await;
                    self.clock.paused(paused);
                    beaten += paused;
                    pulse.next_in(Duration::ZERO, &self.clock);
                    not_before = Some(self.clock.after(CATCH_UP));
                }
                Woken::Signal(Heard::Continued) => self.typing.quiet(),
                Woken::Signal(Heard::Resized) => {
                    if let Some(columns) = super::terminal_columns() {
                        self.printer.resize(columns);
                    }
                }
                Woken::Due { deadline: true } if paused > LATE => {}
                Woken::Due { deadline: by_tick } => {
                    let late = by_tick && deadline.is_some_and(|deadline| self.clock.late(deadline) > LATE);
                    // Once only: a loop that is always late has timeouts all the same.
                    if late && not_before.is_none() {
                        not_before = Some(self.clock.after(CATCH_UP));
                        continue;
                    }
                    not_before = None;
                    let unix_ms = self.clock.unix_ms();
                    self.feed(Input::Elapsed { unix_ms });
                }
                Woken::Beat => {
                    not_before = not_before.filter(|instant| self.clock.late(*instant).is_zero());
                    pulse.next_in(beat_interval, &self.clock);
                    if self.clock.late(beaten) + LATE >= BEAT_INTERVAL {
                        beaten = self.clock.instant_now();
                        observe_run(self.run_dir.id());
                        self.beat();
                    }
                    let now = self.moment();
                    if let Some(output) = self.printer.status(now) {
                        self.put(output);
                    }
                }
                Woken::Event(Some(event)) => self.events(event, &mut events),
                Woken::Event(None) => break,
            }
        }
        self.leave(events, signals).await
    }

    /// Ctrl-Z: ccc and all that runs below it stand still until the shell lets them go on, and so does the run's time. How
    /// long that was.
    async fn suspend(&mut self, signals: &mut Signals) -> Duration {
        let since = self.clock.instant_now();
        // The shell's prompt is to stand on a line of its own.
        self.put(ScreenOutput::talk(self.printer.erased()));
        self.typing.restore();
        let mut stopped = stop_children();
        if stop_own_job() {
            // The stop may come a moment after it was asked for; what lets ccc go on is a signal in any case.
            while !matches!(signals.next().await, Heard::Continued | Heard::Stop(_)) {}
        }
        stopped.let_go();
        self.typing.quiet();
        self.clock.late(since)
    }

    /// Ends what still runs, and only then lets go. A check that was told to end may take its grace for it, unless the
    /// user has no patience any more.
    async fn leave(mut self, mut events: Events, mut signals: Signals) -> End {
        let tick = self.clock.now();
        self.write_summary("finished");
        self.give_up_fetching.cancel();
        self.inbox.close();
        self.give_up_measuring.cancel();
        for cancel in self.checks.values() {
            cancel.cancel();
        }
        let mut kill = self.finish.is_none();
        let mut deadline = self.clock.after(CHECK_PATIENCE);
        if kill || self.checks.is_empty() {
            self.kill();
            (kill, deadline) = (true, self.clock.after(KILL_PATIENCE));
        }
        while !(self.checks.is_empty() && self.children.is_empty() && self.fetching.is_empty() && self.measuring == 0) {
            let enough = tokio::select! {
                biased;
                heard = signals.next() => match heard {
                    Heard::Stop(_) => true,
                    Heard::ChildEnded => {
                        reap_orphans();
                        false
                    }
                    Heard::Resized | Heard::Suspend | Heard::Continued => false,
                },
                () = tokio::time::sleep_until(deadline) => true,
                event = events.recv() => {
                    match event {
                        Some(Event::CheckFinished { check, .. }) => drop(self.checks.remove(&check)),
                        Some(Event::Exited { proc, .. }) => drop(self.children.remove(&proc)),
                        Some(Event::Fetched { token, .. }) => drop(self.fetching.remove(&token)),
                        Some(Event::TreeMeasured { .. }) => self.measuring = self.measuring.saturating_sub(1),
                        Some(
                            Event::Line { .. }
                            | Event::Noise { .. }
                            | Event::Progress { .. }
                            | Event::Saying { .. }
                            | Event::WriteFailed { .. }
                            | Event::Answered { .. }
                            | Event::Probed { .. }
                            | Event::NotUnderstood { .. },
                        )
                        | None => {}
                    }
                    false
                }
            };
            if enough && kill {
                break;
            }
            if enough || (!kill && self.checks.is_empty()) {
                self.kill();
                (kill, deadline) = (true, self.clock.after(KILL_PATIENCE));
            }
        }
        let journal_news = self.journal.close();
        let env = ChildEnv(self.credentials.child_env(&self.env.0, self.core.token()));
        let plan = self.core.plan().clone();
        End { finish: self.finish, plan, env, tick, printer: self.printer, screen: self.screen, journal_news }
    }

    /// Kills all that this run has started and that still runs. What another run of this process has started is its own.
    fn kill(&self) {
        for child in self.children.values() {
            child.kill_tree();
        }
        let helpers = [&self.give_up_fetching, &self.give_up_measuring];
        for commands in self.checks.values().chain(helpers) {
            commands.kill();
        }
    }

    /// Takes an event and those that wait behind it already, [`AT_ONCE`] at the most. Their entries go to the journal, and
    /// their lines to the screen, in one write each: two system calls for each line would be most of what a line costs.
    fn events(&mut self, first: Event, events: &mut Events) {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(event) = next {
            taken += 1;
            self.gathering = taken < AT_ONCE && !events.is_empty();
            self.event(event);
            let more = self.gathering && self.finish.is_none();
            next = if more { events.try_recv() } else { None };
        }
        self.gathering = false;
        self.record();
        self.screen.wake();
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Line { proc, line, weight_bytes } => {
                if self.inbox.took(proc, weight_bytes) {
                    self.feed(Input::Line { proc, line });
                }
            }
            Event::Noise { proc, lines, bytes, sample } => self.feed(Input::Noise { proc, lines, bytes, sample }),
            Event::Progress { proc } => self.feed(Input::Progress { proc }),
            Event::Saying { proc, text } => {
                // Not journalled: it decides nothing, and the whole text follows.
                if let Some(role) = self.core.role(proc) {
                    let now = self.moment();
                    let output = self.printer.partial(now, role, &text);
                    self.put(output);
                }
            }
            Event::WriteFailed { proc, message } => self.feed(Input::WriteFailed { proc, message }),
            Event::Exited { proc, mut exit } => {
                self.children.remove(&proc);
                exit.turn_recorded = self.turn_recorded();
                self.feed(Input::Exited { proc, exit });
            }
            Event::CheckFinished { check, result } => {
                self.checks.remove(&check);
                self.feed(Input::CheckFinished { check, result });
            }
            Event::TreeMeasured { measure, measured, fact: tree } => {
                self.measuring = self.measuring.saturating_sub(1);
                while self.snapshots.len() > 1 {
                    self.snapshots.pop_first();
                }
                self.snapshots.extend(measured.map(|measured| (measure, measured)));
                self.feed(Input::TreeMeasured { measure, tree });
            }
            Event::Answered { number, choice } => {
                self.feed(Input::Operator(OperatorInput::Answer { number, choice }));
            }
            Event::Probed { token, reports } => {
                let unix_ms = self.clock.unix_ms();
                let tokens = self.credentials.report(&token, &reports, unix_ms);
                self.feed(Input::Tokens { request: None, tokens, unix_ms: Some(unix_ms) });
            }
            Event::Fetched { token, value } => self.fetched(token, value),
            Event::NotUnderstood { typed } => {
                let text = format!("{typed:?} is none of the choices; type the number of one and Enter");
                let now = self.clock.now();
                self.show(now, &Show::Notice { text });
            }
        }
    }

    /// Whether the turn that a process was given and has not answered stands in the session's own record. Looked up only
    /// when such a process is gone, so it costs nothing on the way.
    fn turn_recorded(&self) -> Option<bool> {
        let (session_id, turn) = self.core.unanswered_turn()?;
        let record = super::session_record(&self.claude_dir, session_id)?;
        Some(self.core.plan().agent.has_turn(&record, turn))
    }

    /// One step: journal, handle, journal, commit, perform. Facts that performing brings at once follow in turn.
    pub(super) fn feed(&mut self, input: Input) {
        let mut next = Some(input);
        let mut at_once: VecDeque<Input> = VecDeque::new();
        while let Some(input) = next {
            let now = self.clock.now();
            let n = self.journal.input(now, &input);
            tracing::debug!(n, t_us = now.0, input = input_kind(&input));
            self.core.handle(now, input);
            while let Some((proc, bytes)) = self.core.poll_send() {
                self.write(proc, bytes, &mut at_once);
            }
            let mut actions = Vec::new();
            while let Some(action) = self.core.poll_action() {
                self.journal.action(now, &action);
                actions.push(action);
            }
            // What is only shown may be recorded a moment later; an act may not.
            if !self.gathering || !actions.iter().all(|action| matches!(action, Action::Show(_))) {
                self.record();
            }
            for action in actions {
                tracing::debug!(action = action_kind(&action));
                self.perform(now, action, &mut at_once);
            }
            self.hold_session_lock(&mut at_once);
            next = at_once.pop_front();
        }
        if !self.core.is_asking() && self.answers.take().is_some() {
            self.typing.quiet();
        }
        let phase = self.core.phase();
        if phase != self.phase_written {
            // The summary speaks of what is recorded.
            self.record();
            self.write_summary(phase);
        }
    }

    /// Hands the journal's entries to the system.
    fn record(&mut self) {
        if let Some(news) = self.journal.commit() {
            self.tell_journal_news(&news);
        }
    }

    /// A session whose id the agent chose (`--continue`) is locked as soon as it is known.
    fn hold_session_lock(&mut self, at_once: &mut VecDeque<Input>) {
        if self.session_lock.is_some() {
            return;
        }
        let Some(session_id) = self.core.session_id() else { return };
        let holder = Holder {
            pid: std::process::id(),
            run_id: self.core.plan().run_id.clone(),
            since_unix_ms: self.clock.unix_ms(),
            tree: None,
        };
        match SessionLock::take(&self.state_dir, session_id, &holder) {
            Ok(lock) => self.session_lock = Some(lock),
            Err(error) => {
                let reason = format!("the session cannot be taken: {error}");
                at_once.push_back(Input::Operator(OperatorInput::Interrupt { reason }));
            }
        }
    }

    /// What processes say comes without secrets ([`OutputReader`]); what the user said may hold one, and is for the agent only.
    pub(super) fn show(&mut self, now: Tick, show: &Show) {
        self.moment();
        let output = if let Show::Turn { kind, text } = show {
            self.printer.render(now, &Show::Turn { kind: *kind, text: self.redactor.now().text(text).to_string() })
        } else if let Show::Check { command, passed, summary, duration_ms, tail } = show {
            let (passed, duration_ms) = (*passed, *duration_ms);
            let (command, summary) = (self.redactor.now().text(command).to_string(), summary.clone());
            self.printer.render(now, &Show::Check { command, passed, summary, duration_ms, tail: tail.clone() })
        } else {
            self.printer.render(now, show)
        };
        self.put(output);
    }

    /// Now, which the printer is told with the time of day and what is waited for.
    fn moment(&mut self) -> Tick {
        let now = self.clock.now();
        self.printer.clock(now, self.clock.unix_ms());
        let standing = self.core.awaited().map(|awaited| Standing {
            since: awaited.since,
            until: Some(awaited.until),
            then: awaited.then,
        });
        self.printer.standing(standing);
        now
    }

    fn put(&mut self, output: ScreenOutput) {
        // A dead stdout is told at the end; the run itself goes on.
        let _ = if self.gathering { self.screen.gather(output) } else { self.screen.put(output) };
    }

    fn tell_journal_news(&mut self, news: &JournalNews) {
        let now = self.clock.now();
        self.show(now, &Show::Notice { text: journal_news(news) });
    }
}

/// What the user hears about the journal.
#[must_use]
pub fn journal_news(news: &JournalNews) -> String {
    match news {
        JournalNews::Behind { error } => {
            format!("the journal cannot be written ({error}); the run goes on, entries are kept in memory")
        }
        JournalNews::Losing { since_n, error } => format!(
            "the journal loses entries from number {since_n} on ({error}); the run goes on, but cannot be resumed or replayed past them"
        ),
        JournalNews::Recovered { lost_entries: 0 } => "the journal is written again, nothing was lost".to_owned(),
        JournalNews::Recovered { lost_entries } => {
            format!("the journal is written again; {lost_entries} entries are lost")
        }
        JournalNews::NotSynced { error } => format!("the journal may not survive a power cut ({error})"),
    }
}

pub(super) async fn sleep_until(deadline: Option<tokio::time::Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
