//! The real world of an agent's run: it performs actions by starting processes, and reports facts from them.
//!
//! The loop is in [`engine`](super::engine). Readers, writers, checks and measurements run on their own threads and post to the
//! [`Inbox`].
//! On Ctrl-C the terminal signals only ccc, because every child has its own session. The first Ctrl-C ends the run cleanly, the
//! second kills everything, the third ends ccc at once.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::answers::Answers;
use super::checkpoints::Checkpoints;
use super::child_env::ChildEnv;
use super::clock::Clock;
use super::control::{Control, Controller, Controls, HostLink};
use super::credentials::{Credentials, FetchedFor, TokenRecords};
use super::engine::{self, Closed, Engine, Reaction, Source as _, drive, feed, record, settle, write_summary};
use super::host::in_foreground;
use super::inbox::{Event, Events, InRecord, Inbox};
use super::keep_awake::KeepAwake;
use super::measured::Measured;
use super::native::{Interface, InterfaceTerminal};
use super::pending::Pending;
use super::tests_compared::TestsOfRun;
use super::tree::TreeObserver;
use super::worker::{WorkerTimeouts, Workers};
use crate::agent::Branch;
use crate::control::protocol::{Code, Fault, Reply, WordsOf};
use crate::control::{Hook, Hub, Order, reply_of};
use crate::core::{
    Action, CheckId, Core, ExitFact, Finish, Input, MeasureId, OperatorInput, Plan, ProcId, Show, Spawn, SpawnFault,
    Tick, TokenFact, TokenId,
};
use crate::guard::{RunWalls, SettingsOfAgent, Withheld};
use crate::journal::disk::JOURNAL_DELETED;
use crate::journal::{FileLock, Holder, JournalNews, JournalWriter, LockError, RunDir, RunSummary};
use crate::notify::Notifier;
use crate::process::{Cancel, Child, Copied, Limiter, Transport, TypedEcho};
use crate::protect;
use crate::ui::{Awaited, Printer, Screen, ScreenOutput};
use redaction::{Redactor, SharedRedactor};

/// How long ccc, once finished, waits for checks that it has asked to end: their grace period plus the kill.
const CHECK_END_TIMEOUT: Duration = Duration::from_secs(4);
/// How long ccc waits, before it exits, for killed processes to end.
const KILL_TIMEOUT: Duration = Duration::from_millis(500);
/// How long ccc waits, before it exits, for the removal of what a critic has built in its copy of the tree.
const COPY_TIMEOUT: Duration = Duration::from_secs(5);
/// The same while protected files of the run's beginning may be in the tree.
const PUT_BACK_TIMEOUT: Duration = Duration::from_secs(10);
/// The same while the last checkpoint is being taken.
const CHECKPOINT_TIMEOUT: Duration = Duration::from_secs(5);

/// The agent's program.
#[derive(Debug, Clone)]
pub struct Program {
    /// Its path.
    pub path: PathBuf,
    /// Arguments before those of the adapter; used to run the scripted agent from our own binary.
    pub first_args: Vec<OsString>,
}

/// Limits on what the agent's processes use are not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotEnforced {
    /// The settings that have no effect.
    pub setting: String,
    /// Why.
    pub why: String,
}

/// What a run in the real world needs.
#[derive(Debug)]
pub struct Setup {
    /// A fresh core, or one rebuilt from the journal.
    pub core: Core,
    /// The run's time to continue from.
    pub from: Tick,
    /// Whether the run continues after an earlier ccc had ended.
    pub resumed: bool,
    /// Operator inputs for the start of a resumed run.
    pub first_inputs: Vec<OperatorInput>,
    /// The run's directory.
    pub run_dir: RunDir,
    /// The state directory, for session locks.
    pub state_dir: PathBuf,
    /// The agent's own directory, which holds the records of its sessions.
    pub agent_dir: PathBuf,
    /// The journal.
    pub journal: JournalWriter,
    /// Applied to the summary.
    pub redactor: Redactor,
    /// When the run began, unix milliseconds.
    pub started_unix_ms: i64,
    /// The agent's program.
    pub program: Program,
    /// The children's environment.
    pub env: ChildEnv,
    /// The same without any credential, including those of other providers: for checks and for ccc's own helpers.
    pub bare_env: ChildEnv,
    /// The tokens that the agent and the critic may get.
    pub credentials: Credentials,
    /// The project's settings of the agent that the user has agreed to.
    pub settings: SettingsOfAgent,
    /// How ccc reads the agent's stdout.
    pub transport: Transport,
    /// How the processes of agent and critic are limited.
    pub limiter: Option<Limiter>,
    /// Which limits are not enforced, although they should be.
    pub not_enforced: Option<NotEnforced>,
    /// The walls around agent, critic and checks.
    pub walls: RunWalls,
    /// What they do not get of the environment.
    pub withheld: Withheld,
    /// The session and its lock, if the session is known; else the session that the agent most likely continues.
    pub session_lock: Option<(String, FileLock)>,
    /// Renders what is shown.
    pub printer: Printer,
    /// Writes what is rendered.
    pub screen: Screen,
    /// The terminal whose echo is off during the run.
    pub typing: TypedEcho,
    /// Where answers to questions are read from.
    pub keyboard: Option<File>,
    /// Set when the agent shows its own interface on the user's terminal.
    pub interface: Option<Interface>,
    /// Publishes the run to clients of the control socket.
    pub hub: Option<Hub>,
    /// The worker threads for jobs that the loop does not wait for.
    pub workers: Workers,
    /// Logs what the journal cannot record, if the user does not see the screen.
    pub log: Option<fn(&str)>,
    /// Tells the user what the run comes to.
    pub notifier: Option<Notifier>,
    /// Keeps the machine awake, where the system offers it.
    pub keep_awake: Option<KeepAwake>,
}

/// How a run ended.
#[derive(Debug)]
pub struct End {
    /// The outcome; `None` when the user left before there was one.
    pub finish: Option<Finish>,
    /// The plan in force at the end.
    pub plan: Plan,
    /// The run's time at its end.
    pub tick: Tick,
    /// The agent's environment with the token that was in use at the end.
    pub env: ChildEnv,
    /// The printer and the screen, for the final output.
    pub printer: Printer,
    /// See `printer`.
    pub screen: Screen,
    /// The last news about the journal for the user.
    pub journal_news: Option<JournalNews>,
    /// What the journal lacks and why, in words.
    pub journal_missing: Option<String>,
    /// Has still to send what the run has told last.
    pub notifier: Option<Notifier>,
}

/// Hosts the run in the foreground until the core has finished. `sources` gets the controller, so that other sources than the
/// signals of the process can control the run.
///
/// # Errors
/// When the system provides no event loop or no signal handlers.
pub fn run(setup: Setup, sources: impl FnOnce(&Controller)) -> io::Result<End> {
    in_foreground(|controller, controls| {
        sources(controller);
        // Large, and moved several times on the way to its host.
        Ok(Box::pin(Run::new(setup)?.drive(controls)))
    })
}

/// A run that is prepared, and not yet driven by a host.
#[derive(Debug)]
pub struct Run {
    setup: Setup,
    give_up: [Cancel; 3],
    inbox: Inbox,
    events: Events,
    redactor: SharedRedactor,
    interface: Option<InterfaceTerminal>,
}

impl Run {
    /// Prepares the run; starts nothing.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new(setup: Setup) -> io::Result<Run> {
        let (inbox, events) = Inbox::new();
        let redactor = SharedRedactor::new(setup.redactor.clone());
        let start = |given: &Interface| InterfaceTerminal::on(given.clone(), inbox.clone(), redactor.clone());
        let interface = setup.interface.as_ref().map(start).transpose()?;
        Ok(Run { setup, give_up: [Cancel::new()?, Cancel::new()?, Cancel::new()?], inbox, events, redactor, interface })
    }

    /// Runs until the core has finished. Needs a runtime with timers and IO. It starts, kills and waits for its own processes
    /// only; everything that concerns the whole ccc process is the host's.
    pub async fn drive(self, mut controls: Controls) -> End {
        let Run {
            setup,
            give_up: [give_up_fetching, give_up_measuring, give_up_keeping],
            inbox,
            mut events,
            redactor,
            interface,
        } = self;
        let ours = TreeObserver::of_process(
            &setup.state_dir,
            &setup.bare_env,
            &setup.core.plan().run_id,
            give_up_measuring.clone(),
        );
        let tests_of_run = TestsOfRun::of(&setup.core.plan().run_id, &setup.bare_env, give_up_measuring.clone());
        let (run_id, goes_on) = (&setup.core.plan().run_id, setup.core.is_finished());
        let checkpoints = Checkpoints::of(run_id, goes_on, &setup.bare_env, give_up_keeping.clone());
        setup.typing.quiet();
        let clock = Clock::starting_at(setup.from, controls.wall_clock());
        let WorkerTimeouts { records, tokens, settings } = setup.workers.timeouts;
        let mut world = World {
            run: Engine::new(setup.core, clock, setup.journal, setup.run_dir, setup.started_unix_ms),
            ours: Arc::new(ours),
            state_dir: setup.state_dir,
            agent_dir: setup.agent_dir,
            redactor,
            program: setup.program,
            env: setup.env,
            bare_env: setup.bare_env,
            credentials: setup.credentials,
            settings: setup.settings,
            transport: setup.transport,
            limiter: setup.limiter,
            walls: setup.walls,
            withheld: setup.withheld,
            copied: HashMap::new(),
            session_lock: setup.session_lock.map(|(id, lock)| (id, Some(lock))),
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
            keeping: 0,
            give_up_keeping,
            checkpoints: Arc::new(checkpoints),
            tests_of_run: Arc::new(tests_of_run),
            answers: None,
            typing: setup.typing,
            keyboard: setup.keyboard,
            interface,
            host: controls.host(),
            hub: setup.hub,
            log: setup.log,
            notifier: setup.notifier,
            keep_awake: setup.keep_awake,
            asked_something: false,
            interrupts: 0,
            workers: setup.workers,
            exits: Pending::new(records),
            asked: Pending::new(tokens),
            starts: Pending::new(settings),
            tokens_known_last: Vec::new(),
        };
        world.begin(setup.resumed, setup.first_inputs);
        if let Some(NotEnforced { setting, why }) = setup.not_enforced {
            feed(&mut world, Input::Operator(OperatorInput::NotEnforced { setting, why }));
        }
        drive(&mut world, &mut events, &mut controls).await;
        world.leave(events, controls).await
    }
}

pub(super) struct World {
    pub(super) run: Engine<Core>,
    pub(super) state_dir: PathBuf,
    pub(super) agent_dir: PathBuf,
    /// Excludes files that do not count as a change of the tree.
    pub(super) ours: Arc<TreeObserver>,
    pub(super) redactor: SharedRedactor,
    pub(super) program: Program,
    pub(super) env: ChildEnv,
    pub(super) bare_env: ChildEnv,
    pub(super) credentials: Credentials,
    /// Checked before each start.
    pub(super) settings: SettingsOfAgent,
    pub(super) transport: Transport,
    pub(super) limiter: Option<Limiter>,
    pub(super) walls: RunWalls,
    pub(super) withheld: Withheld,
    /// What critics have changed in their copies of the tree.
    pub(super) copied: HashMap<ProcId, Copied>,
    /// The session, and its lock once it is acquired.
    pub(super) session_lock: Option<(String, Option<FileLock>)>,
    pub(super) printer: Printer,
    pub(super) screen: Screen,
    pub(super) inbox: Inbox,
    pub(super) children: HashMap<ProcId, Arc<Child>>,
    /// Processes that start once the value of their token has been fetched.
    pub(super) to_start: HashMap<ProcId, Spawn>,
    /// The tokens whose commands are running, each with the requests that wait for its value.
    pub(super) fetching: HashMap<TokenId, Vec<FetchedFor>>,
    pub(super) give_up_fetching: Cancel,
    pub(super) checks: HashMap<CheckId, Cancel>,
    /// Measurements that a later one may be compared with; the two latest suffice.
    pub(super) snapshots: BTreeMap<MeasureId, Measured>,
    /// How many measurements and comparisons are running. `give_up_measuring` ends their git when the run is over.
    pub(super) measuring: u32,
    give_up_measuring: Cancel,
    /// How many checkpoints are asked for and not answered.
    pub(super) keeping: u32,
    give_up_keeping: Cancel,
    pub(super) checkpoints: Arc<Checkpoints>,
    pub(super) tests_of_run: Arc<TestsOfRun>,
    /// The open question, if any.
    pub(super) answers: Option<Answers>,
    /// Controls the echo of the terminal.
    pub(super) typing: TypedEcho,
    /// Where answers to questions are read from.
    pub(super) keyboard: Option<File>,
    /// Set when the agent's own interface runs on the user's terminal.
    pub(super) interface: Option<InterfaceTerminal>,
    host: HostLink,
    /// Publishes the run to clients of the control socket.
    pub(super) hub: Option<Hub>,
    log: Option<fn(&str)>,
    notifier: Option<Notifier>,
    keep_awake: Option<KeepAwake>,
    /// A question was asked, and clients have not been told that it is closed.
    pub(super) asked_something: bool,
    /// How often the user or the system has asked for the end.
    interrupts: u32,
    pub(super) workers: Workers,
    /// Exits that wait for the lookup in the session record.
    exits: Pending<ProcId, ExitFact>,
    /// The core's unanswered requests for the state of the tokens.
    asked: Pending<u32, ()>,
    /// Starts that wait for the check of the project's settings of the agent.
    pub(super) starts: Pending<ProcId, Spawn>,
    tokens_known_last: Vec<TokenFact>,
}

impl World {
    /// Tells the core that the run begins or continues.
    fn begin(&mut self, resumed: bool, first_inputs: Vec<OperatorInput>) {
        let unix_ms = self.run.clock.unix_ms();
        // These inputs come first, so that a resumed run has them before it decides how to continue.
        for operator in first_inputs {
            feed(self, Input::Operator(operator));
        }
        self.tell_bounds();
        let look_up = if resumed { self.in_record(None) } else { None };
        let InRecord { turn_recorded, branch_lost } = look_up.map(|look_up| look_up()).unwrap_or_default();
        if let Some(is_cut) = branch_lost {
            feed(self, Input::BranchLost { is_cut });
        }
        let tokens = self.credentials.read();
        self.tokens_known_last.clone_from(&tokens);
        feed(self, Input::Began { unix_ms, resumed, turn_recorded, tokens });
        if self.interface.is_some() {
            self.attended(0);
        }
    }

    /// How long killed processes are waited for, and the agent's versions of protected files.
    fn kill_timeout(&self) -> Duration {
        let is_pending = !self.checks.is_empty() && protect::is_pending(self.run.run_dir.path());
        if is_pending { PUT_BACK_TIMEOUT } else { KILL_TIMEOUT }
    }

    /// Ends what still runs, then releases everything. A check that was asked to end may use its grace period, unless the user
    /// has interrupted again.
    async fn leave(mut self, mut events: Events, mut controls: Controls) -> End {
        let tick = self.run.clock.now();
        settle(&mut self);
        write_summary(&mut self, "finished");
        self.give_up_fetching.cancel();
        self.inbox.close();
        self.give_up_measuring.cancel();
        for cancel in self.checks.values() {
            cancel.cancel();
        }
        let mut kill = self.run.finish.is_none();
        let mut deadline = self.run.clock.after(CHECK_END_TIMEOUT);
        if kill || self.checks.is_empty() {
            self.kill();
            let wait = if !kill && self.keeping > 0 { CHECKPOINT_TIMEOUT } else { self.kill_timeout() };
            (kill, deadline) = (true, self.run.clock.after(wait));
        }
        let mut gave_up_keeping = false;
        while !(self.checks.is_empty()
            && !self.has_children()
            && self.fetching.is_empty()
            && self.measuring == 0
            && self.keeping == 0)
        {
            let enough = tokio::select! {
                biased;
                control = controls.next() => match control {
                    Control::Interrupt | Control::End(_) => true,
                    // An unanswered order tells its client that the run is ending.
                    Control::Resized(_)
                    | Control::Suspend
                    | Control::Continued
                    | Control::Operator(_)
                    | Control::Order(_)
                    | Control::Hook(_)
                    | Control::Attending(_)
                    | Control::Remark(_) => false,
                },
                () = tokio::time::sleep_until(deadline) => true,
                event = events.recv() => {
                    match event {
                        Some(Event::CheckFinished { check, .. }) => drop(self.checks.remove(&check)),
                        Some(Event::Exited { proc, .. }) => {
                            self.children.remove(&proc);
                            self.remove_copy(proc);
                            self.interface.iter_mut().for_each(|interface| interface.gone(proc));
                        }
                        Some(Event::Fetched { token, .. }) => drop(self.fetching.remove(&token)),
                        Some(Event::TreeMeasured { .. } | Event::TestsCompared { .. }) => self.measuring = self.measuring.saturating_sub(1),
                        Some(Event::CheckpointTaken { .. }) => self.keeping = self.keeping.saturating_sub(1),
                        Some(
                            Event::Line { .. }
                            | Event::Stopped { .. }
                            | Event::CtrlC
                            | Event::CtrlZ
                            | Event::TerminalIsOurs
                            | Event::Noise { .. }
                            | Event::Progress { .. }
                            | Event::StreamedText { .. }
                            | Event::WriteFailed { .. }
                            | Event::Answered { .. }
                            | Event::Probed { .. }
                            | Event::Tokens { .. }
                            | Event::TurnLookedUp { .. }
                            | Event::SettingsRead { .. }
                            | Event::SessionLocked { .. }
                            | Event::NotUnderstood { .. },
                        )
                        | None => {}
                    }
                    false
                }
            };
            if enough && kill && (self.keeping == 0 || gave_up_keeping) {
                break;
            }
            if enough && kill {
                // Its git is ended like all other children, and has no more time than they.
                self.give_up_keeping.kill();
                gave_up_keeping = true;
                deadline = self.run.clock.after(KILL_TIMEOUT);
                continue;
            }
            if enough || (!kill && self.checks.is_empty()) {
                self.kill();
                (kill, deadline) = (true, self.run.clock.after(self.kill_timeout()));
            }
        }
        if self.has_children() {
            self.workers.processes.finish(KILL_TIMEOUT);
        }
        if let Some(interface) = self.interface.take() {
            interface.leave();
        }
        // Also those of critics that could not be started.
        for proc in self.copied.keys().copied().collect::<Vec<_>>() {
            self.remove_copy(proc);
        }
        self.workers.copies.finish(COPY_TIMEOUT);
        let env = ChildEnv(self.credentials.child_env(&self.env.0, self.run.core.token()));
        let Closed { core, finish, news: journal_news, missing: journal_missing } = self.run.close();
        let plan = core.plan().clone();
        let (printer, screen, notifier) = (self.printer, self.screen, self.notifier);
        End { finish, plan, env, tick, printer, screen, journal_news, journal_missing, notifier }
    }

    /// Kills everything that this run has started and that still runs, but nothing of another run in this process.
    fn kill(&self) {
        for child in self.children.values() {
            let child = Arc::clone(child);
            self.workers.processes.give(move || child.kill_tree());
        }
        if let Some(interface) = &self.interface {
            interface.kill(&self.workers.processes);
        }
        let helpers = [&self.give_up_fetching, &self.give_up_measuring];
        for commands in self.checks.values().chain(helpers) {
            commands.kill();
        }
    }

    fn has_children(&self) -> bool {
        !self.children.is_empty() || self.interface.as_ref().is_some_and(InterfaceTerminal::is_taken)
    }

    /// Reports how many clients could answer a question; the user at the agent's interface counts as one more.
    fn attended(&mut self, clients: u32) {
        let clients = clients + u32::from(self.interface.is_some());
        feed(self, Input::Operator(OperatorInput::Attended { clients, why: None }));
    }

    /// Reports the message of a hook of the interface. A hook of a process that is gone is ignored.
    fn hook(&mut self, hook: Hook) {
        let Some(interface) = &mut self.interface else { return };
        if let Some(line) = interface.hook(hook) {
            let (proc, line) = line;
            feed(self, Input::Line { proc, line });
        }
    }

    /// What the session record says when this process is gone, or all are; `None` if the core needs nothing of it. A closure for
    /// a worker: the record may be large or on a disk that hangs.
    fn in_record(&self, gone: Option<ProcId>) -> Option<impl FnOnce() -> InRecord + Send + 'static> {
        let core = &self.run.core;
        let turn = core.unanswered_turn().map(|(session, turn)| (session.to_owned(), turn.clone()));
        // The agent's interface shows its user which turns it has.
        let resumed = core.session_after(gone).filter(|_| self.interface.is_none()).map(str::to_owned);
        let session = turn.as_ref().map(|(session, _)| session).or(resumed.as_ref())?.clone();
        let (agent_dir, agent, version) =
            (self.agent_dir.clone(), core.plan().agent, core.plan().agent_version.clone());
        Some(move || {
            let Some(record) = super::session_record(agent, &agent_dir, &session) else { return InRecord::default() };
            let branch = resumed.map_or(Branch::Whole, |_| agent.branch(&record, &version));
            InRecord {
                turn_recorded: turn.and_then(|(_, turn)| agent.has_turn(&record, &turn)),
                branch_lost: (branch != Branch::Whole).then_some(branch == Branch::Cut),
            }
        })
    }

    /// Reports an exit to the core once the session record has been searched.
    fn look_up_turn(&mut self, proc: ProcId, exit: ExitFact) {
        let Some(look_up) = self.in_record(Some(proc)) else {
            feed(self, Input::Exited { proc, exit });
            return;
        };
        self.exits.ask(proc, exit, self.run.clock.instant_now());
        let inbox = self.inbox.clone();
        self.workers.records.give(move || inbox.post(Event::TurnLookedUp { proc, record: look_up() }));
    }

    /// The same, with the result. A record that was not read in time gives none.
    fn turn_looked_up(&mut self, proc: ProcId, record: InRecord) {
        if let Some(exit) = self.exits.answered(&proc) {
            if let Some(is_cut) = record.branch_lost {
                feed(self, Input::BranchLost { is_cut });
            }
            feed(self, Input::Exited { proc, exit: ExitFact { turn_recorded: record.turn_recorded, ..exit } });
        }
    }

    /// Runs `ask` on the shared token state of the user's ccc processes. The result comes as an event.
    pub(super) fn ask_tokens(
        &mut self,
        request: Option<u32>,
        ask: impl FnOnce(&mut TokenRecords) -> Vec<TokenFact> + Send + 'static,
    ) {
        if let Some(request) = request {
            self.asked.ask(request, (), self.run.clock.instant_now());
        }
        let (ledger, inbox) = (self.credentials.ledger(), self.inbox.clone());
        self.workers.tokens.give(move || {
            let tokens = ask(&mut ledger.lock().unwrap_or_else(PoisonError::into_inner));
            inbox.post(Event::Tokens { request, tokens });
        });
    }

    fn tokens_known(&mut self, request: Option<u32>, tokens: Vec<TokenFact>) {
        if let Some(request) = request {
            self.asked.answered(&request);
        }
        self.tokens_known_last.clone_from(&tokens);
        let unix_ms = Some(self.run.clock.unix_ms());
        feed(self, Input::Tokens { request, tokens, unix_ms });
    }

    /// Takes the lock of a session whose id the agent chose (`--continue`), as soon as the id is known.
    fn hold_session_lock(&mut self) {
        let Some(session_id) = self.run.core.session_id() else { return };
        if self.session_lock.as_ref().is_some_and(|(held, _)| held == session_id) {
            return;
        }
        let holder = Holder::of_process(&self.run.core.plan().run_id, self.run.clock.unix_ms());
        let (state_dir, session_id, inbox) = (self.state_dir.clone(), session_id.to_owned(), self.inbox.clone());
        // Releases the previous lock.
        self.session_lock = Some((session_id.clone(), None));
        self.workers.locks.give(move || {
            let lock = FileLock::of_session(&state_dir, &session_id, &holder);
            inbox.post(Event::SessionLocked { session_id, lock });
        });
    }

    fn session_locked(&mut self, session_id: &str, lock: Result<FileLock, LockError>) {
        let Some((_, held)) = self.session_lock.as_mut().filter(|(wanted, _)| wanted == session_id) else { return };
        match lock {
            Ok(lock) => *held = Some(lock),
            Err(error) => {
                let reason = format!("the session cannot be taken: {error}");
                feed(self, Input::Operator(OperatorInput::Interrupt { reason }));
            }
        }
    }

    /// Shows a remark of ccc's own, which is not part of the run.
    pub(super) fn remark(&mut self, now: Tick, text: String) {
        self.show(now, Show::Notice { text }, None);
    }

    /// Shows what the core decided to show.
    pub(super) fn show_of_fact(&mut self, now: Tick, show: Show) {
        let i = self.run.fact.1;
        self.run.fact.1 += 1;
        self.show(now, show, Some(i));
    }

    /// Redacts and shows. The output of processes is redacted already ([`OutputReader`]); what the user said may hold a secret,
    /// which only the agent may get.
    fn show(&mut self, now: Tick, mut show: Show, i: Option<u32>) {
        self.moment();
        let redactor = self.redactor.now();
        if let Some(keep_awake) = &mut self.keep_awake {
            keep_awake.follow(&show);
        }
        let unix_ms = self.run.clock.unix_ms();
        // Before the redaction of what is shown: a resumed run compares with its journal.
        if let (Some(notifier), Show::Finished { .. }) = (&mut self.notifier, &show) {
            notifier.journal_lacks(self.run.journal.missing());
        }
        let rung = self.notifier.as_mut().and_then(|notifier| notifier.follow(&show, unix_ms, &redactor));
        if let Some(redacted) = show.redacted(&|text| redactor.text(text).to_string()) {
            show = redacted;
        }
        let output = self.printer.render(now, &show);
        if let Some(hub) = &self.hub {
            hub.show(self.run.fact.0, i, now, unix_ms, show);
        }
        self.put(output);
        if let Some(bytes) = rung {
            self.put(ScreenOutput::talk(bytes));
        }
    }

    /// Performs the order of a client of the control socket, and sends the reply.
    fn client_order(&mut self, Order { input, done }: Order) {
        feed(self, Input::Operator(input));
        self.tell_bounds();
        let mut reply = reply_of(self.run.core.taken());
        if !matches!(reply, Reply::Fault(_)) {
            record(self);
            if let Some(error) = self.run.journal.trouble() {
                let message = format!(
                    "the order was carried out, but not recorded: the run's journal cannot be written ({error}); free some disk \
                     space, else it is lost when this ccc process ends"
                );
                reply = Reply::Fault(Fault::new(Code::NotSafe, message));
            }
        }
        // A client that is gone does not receive it.
        let _ = done.send(reply);
    }

    /// Tells the hub the bounds in force, for clients that join.
    fn tell_bounds(&self) {
        if let Some(hub) = &self.hub {
            hub.is_bounded_by(&self.run.core.plan().budgets);
        }
    }

    /// The current tick. Also gives the printer the time of day and what the run waits for.
    fn moment(&mut self) -> Tick {
        let now = self.run.clock.now();
        self.printer.clock(now, self.run.clock.unix_ms());
        // Only a status line shows it.
        if self.printer.is_live() {
            let standing = self.run.core.awaited().map(|awaited| Awaited {
                since: awaited.since,
                until: Some(awaited.until),
                then: awaited.then,
            });
            self.printer.standing(standing);
        }
        now
    }

    fn put(&mut self, output: ScreenOutput) {
        if let Some(interface) = &self.interface {
            interface.say(output.text);
        } else {
            // A dead stdout is reported at the end; the run continues.
            let _ = if self.run.gathering { self.screen.gather(output) } else { self.screen.put(output) };
        }
        if let (Some(hub), false) = (&self.hub, self.run.gathering) {
            hub.release();
        }
    }
}

impl engine::World for World {
    type Machine = Core;
    type Event = Event;

    fn run(&self) -> &Engine<Core> {
        &self.run
    }

    fn run_mut(&mut self) -> &mut Engine<Core> {
        &mut self.run
    }

    /// The first interrupt ends the run cleanly, the second kills everything, the third leaves at once.
    fn control(&mut self, control: Control) -> Reaction {
        let reason = match control {
            Control::Interrupt => "Ctrl-C".to_owned(),
            Control::End(reason) => reason,
            Control::Suspend => {
                // The shell's prompt must start on its own line.
                self.put(ScreenOutput::talk(self.printer.erased()));
                self.typing.restore();
                self.interface.iter().for_each(InterfaceTerminal::give);
                return Reaction::Suspend;
            }
            Control::Continued => {
                self.typing.quiet();
                self.interface.iter().for_each(InterfaceTerminal::goes_on);
                return Reaction::GoOn;
            }
            Control::Resized(columns) => {
                columns.into_iter().for_each(|columns| self.printer.resize(columns));
                self.interface.iter().for_each(InterfaceTerminal::resize);
                return Reaction::GoOn;
            }
            Control::Operator(operator) => {
                feed(self, Input::Operator(operator));
                return Reaction::GoOn;
            }
            Control::Order(order) => {
                self.client_order(order);
                return Reaction::GoOn;
            }
            Control::Attending(clients) => {
                self.attended(clients);
                return Reaction::GoOn;
            }
            Control::Hook(hook) => {
                self.hook(hook);
                return Reaction::GoOn;
            }
            Control::Remark(text) => {
                let now = self.run.clock.now();
                self.remark(now, text);
                return Reaction::GoOn;
            }
        };
        self.interrupts += 1;
        if self.interrupts >= 3 {
            return Reaction::Leave;
        }
        feed(self, Input::Operator(OperatorInput::Interrupt { reason }));
        Reaction::GoOn
    }

    fn perform(&mut self, now: Tick, action: Action, at_once: &mut VecDeque<Input>) {
        self.perform_action(now, action, at_once);
    }

    fn decided(&mut self, at_once: &mut VecDeque<Input>) {
        while let Some((proc, bytes)) = self.run.core.poll_send() {
            self.write(proc, bytes, at_once);
        }
    }

    fn performed(&mut self, _: &mut VecDeque<Input>) {
        self.hold_session_lock();
    }

    fn settled(&mut self) {
        if let Some(keep_awake) = &mut self.keep_awake {
            keep_awake.settle();
        }
        if let (Some(hub), false, true) = (&self.hub, self.run.core.is_asking(), self.asked_something) {
            self.asked_something = false;
            hub.nothing_is_asked();
        }
        if !self.run.core.is_asking() && self.answers.take().is_some() {
            self.typing.quiet();
        }
    }

    fn gathered(&mut self) {
        self.screen.wake();
        if let Some(hub) = &self.hub {
            hub.release();
        }
    }

    fn tell(&mut self, news: &JournalNews) {
        let now = self.run.clock.now();
        let text = journal_news(news);
        if let Some(log) = self.log {
            log(&text);
        }
        self.remark(now, text);
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
        self.run.heart.look();
    }

    fn overdue_at(&self) -> Option<Instant> {
        [self.exits.due(), self.asked.due(), self.starts.due()].into_iter().flatten().min()
    }

    fn answer_overdue(&mut self) {
        let now = self.run.clock.instant_now();
        for (proc, exit) in self.exits.overdue(now) {
            tracing::warn!(%proc, "the session's record could not be read in time");
            feed(self, Input::Exited { proc, exit });
        }
        for (request, ()) in self.asked.overdue(now) {
            tracing::warn!(request, "the shared state of the tokens could not be had in time");
            self.tokens_known(Some(request), self.tokens_known_last.clone());
        }
        for (proc, _) in self.starts.overdue(now) {
            let message = "the project's settings of the agent could not be read in time".to_owned();
            feed(self, Input::SpawnFailed { proc, fault: SpawnFault::Exhausted, message });
        }
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
            Event::StreamedText { proc, kind, part, text } => {
                // Not journalled: it decides nothing, and the whole text follows.
                if let Some(role) = self.run.core.role(proc) {
                    let now = self.moment();
                    let output = (kind == WordsOf::Text).then(|| self.printer.partial(now, role, &text));
                    if let Some(hub) = &self.hub {
                        hub.words(role, kind, part, text);
                    }
                    if let Some(output) = output {
                        self.put(output);
                    }
                }
            }
            Event::Stopped { proc } => {
                if let Some(interface) = self.interface.as_ref().filter(|interface| interface.child(proc).is_some()) {
                    interface.stopped(&self.host);
                }
            }
            Event::CtrlC => {
                self.interrupts += 1;
                feed(self, Input::Operator(OperatorInput::Interrupt { reason: "Ctrl-C".to_owned() }));
            }
            Event::CtrlZ => {
                if let Some(interface) = self.interface.as_ref().filter(|interface| !interface.is_taken()) {
                    interface.stopped(&self.host);
                }
            }
            Event::TerminalIsOurs => self.interface.iter().for_each(InterfaceTerminal::take),
            Event::WriteFailed { proc, message } => feed(self, Input::WriteFailed { proc, message }),
            Event::Exited { proc, exit } => {
                self.children.remove(&proc);
                self.remove_copy(proc);
                self.interface.iter_mut().for_each(|interface| interface.gone(proc));
                self.look_up_turn(proc, exit);
            }
            Event::TurnLookedUp { proc, record } => self.turn_looked_up(proc, record),
            Event::SettingsRead { proc, objection } => self.settings_read(proc, objection),
            Event::SessionLocked { session_id, lock } => self.session_locked(&session_id, lock),
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
            Event::CheckpointTaken { checkpoint, fact } => {
                self.keeping = self.keeping.saturating_sub(1);
                feed(self, Input::CheckpointTaken { checkpoint, fact });
            }
            Event::TestsCompared { checkpoint, tests, trouble } => {
                self.measuring = self.measuring.saturating_sub(1);
                feed(self, Input::TestsCompared { checkpoint, tests, trouble });
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
                let text = format!("{typed:?} is not one of the choices; type the number of a choice and Enter");
                let now = self.run.clock.now();
                self.remark(now, text);
            }
        }
    }
}

/// The message to the user about the journal.
#[must_use]
pub fn journal_news(news: &JournalNews) -> String {
    match news {
        JournalNews::Behind { error } => {
            format!("the journal cannot be written ({error}); the run continues, and entries are kept in memory")
        }
        JournalNews::Losing { since_n, error } => format!(
            "the journal loses entries from number {since_n} on ({error}); the run continues, but cannot be resumed or replayed past them"
        ),
        JournalNews::Recovered { lost_entries: 0 } => {
            "the journal can be written again; no entries are lost".to_owned()
        }
        JournalNews::Recovered { lost_entries } => {
            format!("the journal can be written again; {lost_entries} entries are lost")
        }
        JournalNews::NotSynced { error } if error == JOURNAL_DELETED => {
            "the journal was deleted: the run is not recorded any more, and cannot be resumed".to_owned()
        }
        JournalNews::NotSynced { error } => format!("the journal may not survive a power cut ({error})"),
    }
}
