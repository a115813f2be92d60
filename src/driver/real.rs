//! The real world: actions start processes, and facts come from them.
//!
//! The loop is in [`engine`](super::engine); readers, writers, checks and measurements have threads of their own and post to the
//! [`Inbox`].
//! On Ctrl-C the terminal signals ccc only, because every child has its own session. The first Ctrl-C ends the run in good order,
//! the second kills everything, and at the third ccc exits at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::answers::Answers;
use super::child_env::ChildEnv;
use super::clock::Clock;
use super::control::{Control, Controller, Controls};
use super::credentials::{Credentials, FetchedFor, Ledger};
use super::engine::{self, Source as _, Steps, Then, drive, feed, write_summary};
use super::host::in_foreground;
use super::inbox::{Event, Events, Inbox};
use super::measured::Measured;
use super::tree::Ours;
use super::worker::Worker;
use crate::core::{
    Action, CheckId, Core, ExitFact, Finish, Input, MeasureId, OperatorInput, Plan, ProcId, Show, Spawn, Tick,
    TokenFact, TokenId,
};
use crate::guard::SettingsOfAgent;
use crate::journal::{FileLock, Holder, JournalNews, JournalWriter, RunDir, RunSummary};
use crate::process::{Cancel, Child, Transport, TypedEcho};
use crate::ui::{Printer, Screen, ScreenOutput, Standing};
use redaction::{Redactor, SharedRedactor};

/// How long ccc, having finished, waits for checks that it has told to end: their grace, and the kill after it.
const CHECK_PATIENCE: Duration = Duration::from_secs(4);
/// How long ccc, leaving, waits for the end of what it has killed.
const KILL_PATIENCE: Duration = Duration::from_millis(500);
/// How long an end is not told because the session's record is being read.
const RECORD_PATIENCE: Duration = Duration::from_secs(10);
/// How long the answer about tokens may take before what was known last is the answer.
const TOKENS_PATIENCE: Duration = Duration::from_secs(5);

/// The agent's program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Arguments before the adapter's; used to run the scripted agent out of our own binary.
    pub first_args: Vec<OsString>,
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
    pub agent_dir: PathBuf,
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
    pub session_lock: Option<FileLock>,
    /// What renders.
    pub printer: Printer,
    /// What writes.
    pub screen: Screen,
    /// The terminal whose echo is switched off while the run goes on.
    pub typing: TypedEcho,
    /// Where an answer to a question is read from.
    pub keyboard: Option<File>,
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

/// Hosts the run in the foreground until the core has finished. `sources` gets the controller, for what else is to control the
/// run besides the signals of the process.
///
/// # Errors
/// When the system gives no event loop or no signal handlers.
pub fn run(setup: Setup, sources: impl FnOnce(&Controller)) -> io::Result<End> {
    in_foreground(|controller, controls| {
        sources(controller);
        Ok(Run::new(setup)?.drive(controls))
    })
}

/// A run that waits for a host.
#[derive(Debug)]
pub struct Run {
    setup: Setup,
    give_up: [Cancel; 2],
}

/// What the loop does not wait for, each kind in an order of its own: one that hangs keeps no other.
#[derive(Debug)]
pub(super) struct Workers {
    /// Signals to processes: they look through `/proc`.
    pub(super) processes: Worker,
    /// What all ccc processes of the user know about tokens.
    pub(super) tokens: Worker,
    /// Records of sessions.
    pub(super) records: Worker,
}

impl Run {
    /// Prepares it; nothing is started.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new(setup: Setup) -> io::Result<Run> {
        Ok(Run { setup, give_up: [Cancel::new()?, Cancel::new()?] })
    }

    /// Runs until the core has finished. Needs a runtime with timers and descriptors. It starts, kills and waits for its own
    /// processes only; what concerns the process that it lives in, its host does.
    pub async fn drive(self, mut controls: Controls) -> End {
        let Run { setup, give_up: [give_up_fetching, give_up_measuring] } = self;
        let (inbox, mut events) = Inbox::new();
        let ours =
            Ours::of_process(&setup.state_dir, &setup.bare_env, &setup.core.plan().run_id, give_up_measuring.clone());
        setup.typing.quiet();
        let clock = Clock::starting_at(setup.from, controls.wall_clock());
        let mut world = World {
            run: Steps::new(setup.core, clock, setup.journal, setup.run_dir, setup.started_unix_ms),
            ours: Arc::new(ours),
            state_dir: setup.state_dir,
            agent_dir: setup.agent_dir,
            redactor: SharedRedactor::new(setup.redactor),
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
            give_up_fetching,
            checks: HashMap::new(),
            snapshots: BTreeMap::new(),
            measuring: 0,
            give_up_measuring,
            answers: None,
            typing: setup.typing,
            keyboard: setup.keyboard,
            interrupts: 0,
            workers: Workers {
                processes: Worker::new("processes"),
                tokens: Worker::new("tokens"),
                records: Worker::new("records"),
            },
            exits: HashMap::new(),
            asked: BTreeMap::new(),
            tokens_known_last: Vec::new(),
        };
        world.begin(setup.resumed, setup.first_inputs);
        drive(&mut world, &mut events, &mut controls).await;
        world.leave(events, controls).await
    }
}

pub(super) struct World {
    pub(super) run: Steps<Core>,
    pub(super) state_dir: PathBuf,
    pub(super) agent_dir: PathBuf,
    /// What is not to be taken for a change of the tree.
    pub(super) ours: Arc<Ours>,
    pub(super) redactor: SharedRedactor,
    pub(super) program: Program,
    pub(super) env: ChildEnv,
    pub(super) bare_env: ChildEnv,
    pub(super) credentials: Credentials,
    /// Looked at before each start.
    pub(super) settings: SettingsOfAgent,
    pub(super) transport: Transport,
    pub(super) session_lock: Option<FileLock>,
    pub(super) printer: Printer,
    pub(super) screen: Screen,
    pub(super) inbox: Inbox,
    pub(super) children: HashMap<ProcId, Arc<Child>>,
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
    /// The open question, when there is one.
    pub(super) answers: Option<Answers>,
    /// Whether the terminal shows what is typed.
    pub(super) typing: TypedEcho,
    /// Where an answer to a question is read from.
    pub(super) keyboard: Option<File>,
    /// How often the user, or the system, has wanted the end.
    interrupts: u32,
    pub(super) workers: Workers,
    /// Ends that wait for what the session's record says, and since when.
    exits: HashMap<ProcId, (ExitFact, Instant)>,
    /// Requests for what is known about tokens, and since when they wait.
    asked: BTreeMap<u32, Instant>,
    tokens_known_last: Vec<TokenFact>,
}

impl World {
    /// Tells the core that the run begins, or goes on.
    fn begin(&mut self, resumed: bool, first_inputs: Vec<OperatorInput>) {
        let unix_ms = self.run.clock.unix_ms();
        // What the user says comes first, so that a resumed run sees it before it decides how to go on.
        for operator in first_inputs {
            feed(self, Input::Operator(operator));
        }
        let turn_recorded = if resumed { self.turn_recorded() } else { None };
        let tokens = self.credentials.read();
        self.tokens_known_last.clone_from(&tokens);
        feed(self, Input::Began { unix_ms, resumed, turn_recorded, tokens });
    }

    /// Ends what still runs, and only then lets go. A check that was told to end may take its grace for it, unless the
    /// user has no patience any more.
    async fn leave(mut self, mut events: Events, mut controls: Controls) -> End {
        let tick = self.run.clock.now();
        write_summary(&mut self, "finished");
        self.give_up_fetching.cancel();
        self.inbox.close();
        self.give_up_measuring.cancel();
        for cancel in self.checks.values() {
            cancel.cancel();
        }
        let mut kill = self.run.finish.is_none();
        let mut deadline = self.run.clock.after(CHECK_PATIENCE);
        if kill || self.checks.is_empty() {
            self.kill();
            (kill, deadline) = (true, self.run.clock.after(KILL_PATIENCE));
        }
        while !(self.checks.is_empty() && self.children.is_empty() && self.fetching.is_empty() && self.measuring == 0) {
            let enough = tokio::select! {
                biased;
                control = controls.next() => match control {
                    Control::Interrupt | Control::End(_) => true,
                    Control::Resized(_) | Control::Suspend | Control::Continued | Control::Operator(_) => false,
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
                            | Event::Tokens { .. }
                            | Event::TurnLookedUp { .. }
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
                (kill, deadline) = (true, self.run.clock.after(KILL_PATIENCE));
            }
        }
        if !self.children.is_empty() {
            self.workers.processes.finish(KILL_PATIENCE);
        }
        let env = ChildEnv(self.credentials.child_env(&self.env.0, self.run.core.token()));
        let (core, finish, journal_news) = self.run.close();
        let plan = core.plan().clone();
        End { finish, plan, env, tick, printer: self.printer, screen: self.screen, journal_news }
    }

    /// Kills all that this run has started and that still runs. What another run of this process has started is its own.
    fn kill(&self) {
        for child in self.children.values() {
            let child = Arc::clone(child);
            self.workers.processes.give(move || child.kill_tree());
        }
        let helpers = [&self.give_up_fetching, &self.give_up_measuring];
        for commands in self.checks.values().chain(helpers) {
            commands.kill();
        }
    }

    /// Whether the turn that a process was given and has not answered stands in the session's own record.
    fn turn_recorded(&self) -> Option<bool> {
        self.turn_in_record().and_then(|look_up| look_up())
    }

    /// How that is looked up: the record may be large, and on a disk that hangs. Only wanted when such a process is gone, so it
    /// costs nothing on the way.
    fn turn_in_record(&self) -> Option<impl FnOnce() -> Option<bool> + Send + 'static> {
        let (session_id, turn) = self.run.core.unanswered_turn()?;
        let (session_id, turn) = (session_id.to_owned(), turn.clone());
        let (agent_dir, agent) = (self.agent_dir.clone(), self.run.core.plan().agent);
        Some(move || Some(agent.has_turn(&super::session_record(agent, &agent_dir, &session_id)?, &turn)))
    }

    /// Tells the core of an end, once it is known what the session's record says.
    fn look_up_turn(&mut self, proc: ProcId, exit: ExitFact) {
        let Some(look_up) = self.turn_in_record() else {
            feed(self, Input::Exited { proc, exit });
            return;
        };
        self.exits.insert(proc, (exit, self.run.clock.instant_now()));
        let inbox = self.inbox.clone();
        self.workers.records.give(move || inbox.post(Event::TurnLookedUp { proc, turn_recorded: look_up() }));
    }

    /// The same; a record that could not be read in time has said nothing.
    fn turn_looked_up(&mut self, proc: ProcId, turn_recorded: Option<bool>) {
        if let Some((exit, _)) = self.exits.remove(&proc) {
            feed(self, Input::Exited { proc, exit: ExitFact { turn_recorded, ..exit } });
        }
    }

    /// Does this with what all ccc processes of the user know about tokens. What is known then comes as an event.
    pub(super) fn ask_tokens(
        &mut self,
        request: Option<u32>,
        ask: impl FnOnce(&mut Ledger) -> Vec<TokenFact> + Send + 'static,
    ) {
        if let Some(request) = request {
            self.asked.insert(request, self.run.clock.instant_now());
        }
        let (ledger, inbox) = (self.credentials.ledger(), self.inbox.clone());
        self.workers.tokens.give(move || {
            let tokens = ask(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner));
            inbox.post(Event::Tokens { request, tokens });
        });
    }

    fn tokens_known(&mut self, request: Option<u32>, tokens: Vec<TokenFact>) {
        if let Some(request) = request {
            self.asked.remove(&request);
        }
        self.tokens_known_last.clone_from(&tokens);
        let unix_ms = Some(self.run.clock.unix_ms());
        feed(self, Input::Tokens { request, tokens, unix_ms });
    }

    /// Answers what no worker has answered in time, because a disk hangs.
    fn answer_overdue(&mut self) {
        let clock = &self.run.clock;
        let overdue = self.exits.iter().filter(|(_, (_, since))| clock.late(*since) >= RECORD_PATIENCE);
        let exits: Vec<ProcId> = overdue.map(|(proc, _)| *proc).collect();
        let overdue = self.asked.iter().filter(|(_, since)| clock.late(**since) >= TOKENS_PATIENCE);
        let requests: Vec<u32> = overdue.map(|(request, _)| *request).collect();
        for proc in exits {
            tracing::warn!(%proc, "the session's record could not be read in time");
            self.turn_looked_up(proc, None);
        }
        for request in requests {
            tracing::warn!(request, "the shared state of the tokens could not be had in time");
            self.tokens_known(Some(request), self.tokens_known_last.clone());
        }
    }

    /// A session whose id the agent chose (`--continue`) is locked as soon as it is known.
    fn hold_session_lock(&mut self, at_once: &mut VecDeque<Input>) {
        if self.session_lock.is_some() {
            return;
        }
        let Some(session_id) = self.run.core.session_id() else { return };
        let holder = Holder {
            pid: std::process::id(),
            run_id: self.run.core.plan().run_id.clone(),
            since_unix_ms: self.run.clock.unix_ms(),
            tree: None,
        };
        match FileLock::of_session(&self.state_dir, session_id, &holder) {
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
        let now = self.run.clock.now();
        self.printer.clock(now, self.run.clock.unix_ms());
        let standing = self.run.core.awaited().map(|awaited| Standing {
            since: awaited.since,
            until: Some(awaited.until),
            then: awaited.then,
        });
        self.printer.standing(standing);
        now
    }

    fn put(&mut self, output: ScreenOutput) {
        // A dead stdout is told at the end; the run itself goes on.
        let _ = if self.run.gathering { self.screen.gather(output) } else { self.screen.put(output) };
    }
}

impl engine::World for World {
    type Machine = Core;
    type Event = Event;

    fn run(&self) -> &Steps<Core> {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Steps<Core> {
        &mut self.run
    }

    /// The first time the run is ended in good order, the second time all is killed, the third time ccc leaves without looking
    /// back.
    fn control(&mut self, control: Control) -> Then {
        let reason = match control {
            Control::Interrupt => "Ctrl-C".to_owned(),
            Control::End(reason) => reason,
            Control::Suspend => {
                // The shell's prompt is to stand on a line of its own.
                self.put(ScreenOutput::talk(self.printer.erased()));
                self.typing.restore();
                return Then::Suspend;
            }
            Control::Continued => {
                self.typing.quiet();
                return Then::GoOn;
            }
            Control::Resized(columns) => {
                columns.into_iter().for_each(|columns| self.printer.resize(columns));
                return Then::GoOn;
            }
            Control::Operator(operator) => {
                feed(self, Input::Operator(operator));
                return Then::GoOn;
            }
        };
        self.interrupts += 1;
        if self.interrupts >= 3 {
            return Then::Leave;
        }
        feed(self, Input::Operator(OperatorInput::Interrupt { reason }));
        Then::GoOn
    }

    fn perform(&mut self, now: Tick, action: Action, at_once: &mut VecDeque<Input>) {
        self.perform_action(now, action, at_once);
    }

    fn decided(&mut self, at_once: &mut VecDeque<Input>) {
        while let Some((proc, bytes)) = self.run.core.poll_send() {
            self.write(proc, bytes, at_once);
        }
    }

    fn performed(&mut self, at_once: &mut VecDeque<Input>) {
        self.hold_session_lock(at_once);
    }

    fn settled(&mut self) {
        if !self.run.core.is_asking() && self.answers.take().is_some() {
            self.typing.quiet();
        }
    }

    fn gathered(&mut self) {
        self.screen.wake();
    }

    fn tell(&mut self, news: &JournalNews) {
        let now = self.run.clock.now();
        self.show(now, &Show::Notice { text: journal_news(news) });
    }

    fn summary(&self, base: RunSummary) -> RunSummary {
        self.summarise(base)
    }

    fn redactor(&self) -> Arc<Redactor> {
        self.redactor.now()
    }

    fn beat(&mut self) {
        self.beat_now();
    }

    fn look(&mut self) {
        self.answer_overdue();
        self.run.heart.look();
    }

    fn is_watched(&self) -> bool {
        self.printer.is_live()
    }

    fn second(&mut self) {
        let now = self.moment();
        if let Some(output) = self.printer.status(now) {
            self.put(output);
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Line { proc, line, weight_bytes } => {
                if self.inbox.took(proc, weight_bytes) {
                    feed(self, Input::Line { proc, line });
                }
            }
            Event::Noise { proc, lines, bytes, sample } => feed(self, Input::Noise { proc, lines, bytes, sample }),
            Event::Progress { proc } => feed(self, Input::Progress { proc }),
            Event::Saying { proc, text } => {
                // Not journalled: it decides nothing, and the whole text follows.
                if let Some(role) = self.run.core.role(proc) {
                    let now = self.moment();
                    let output = self.printer.partial(now, role, &text);
                    self.put(output);
                }
            }
            Event::WriteFailed { proc, message } => feed(self, Input::WriteFailed { proc, message }),
            Event::Exited { proc, exit } => {
                self.children.remove(&proc);
                self.look_up_turn(proc, exit);
            }
            Event::TurnLookedUp { proc, turn_recorded } => self.turn_looked_up(proc, turn_recorded),
            Event::Tokens { request, tokens } => self.tokens_known(request, tokens),
            Event::CheckFinished { check, result } => {
                self.checks.remove(&check);
                feed(self, Input::CheckFinished { check, result });
            }
            Event::TreeMeasured { measure, measured, fact: tree } => {
                self.measuring = self.measuring.saturating_sub(1);
                while self.snapshots.len() > 1 {
                    self.snapshots.pop_first();
                }
                self.snapshots.extend(measured.map(|measured| (measure, measured)));
                feed(self, Input::TreeMeasured { measure, tree });
            }
            Event::Answered { number, choice } => {
                feed(self, Input::Operator(OperatorInput::Answer { number, choice }));
            }
            Event::Probed { token, reports } => {
                let unix_ms = self.run.clock.unix_ms();
                self.ask_tokens(None, move |ledger| ledger.report(&token, &reports, unix_ms));
            }
            Event::Fetched { token, value } => self.fetched(token, value),
            Event::NotUnderstood { typed } => {
                let text = format!("{typed:?} is none of the choices; type the number of one and Enter");
                let now = self.run.clock.now();
                self.show(now, &Show::Notice { text });
            }
        }
    }
}

/// What the user hears about the journal.
#[must_use]
pub fn journal_news(news: &JournalNews) -> String {
    match news {
        JournalNews::Behind { error } => {
            format!("the journal cannot be written ({error}); the run continues, and entries are kept in memory")
        }
        JournalNews::Losing { since_n, error } => format!(
            "the journal loses entries from number {since_n} on ({error}); the run continues, but cannot be resumed or replayed past them"
        ),
        JournalNews::Recovered { lost_entries: 0 } => "the journal is written again, nothing was lost".to_owned(),
        JournalNews::Recovered { lost_entries } => {
            format!("the journal is written again; {lost_entries} entries are lost")
        }
        JournalNews::NotSynced { error } => format!("the journal may not survive a power cut ({error})"),
    }
}
