//! Performs the actions of the core in the real world. Each function does one thing, decides nothing, and reports its result as
//! a fact.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;
use std::time::Duration;

use secrecy::SecretString;

use super::agent_world::World;
use super::answers::Answers;
use super::credentials::{FetchedFor, TokenRecords, Value, fetch};
use super::engine::feed;
use super::inbox::Event;
use super::measured::Measured;
use super::output_reader::OutputReader;
use super::protected_check::{ProtectedCheck, not_run};
use super::tree::Snapshot;
use crate::agent::Role;
use crate::core::{
    Action, CheckEnd, CheckId, CheckResult, CheckpointAt, CheckpointId, ExitFact, Input, MeasureId, ProcId, Show,
    Signal, Spawn, SpawnFault, Tick, TokenId, TouchedTests,
};
use crate::process::{
    Below, Cancel, Child, ChildSpec, CommandEnding, CommandSpec, Cookie, InteractiveChild, InteractiveSpec,
    LeftRunning, Limited, Limiter, Signal as ProcessSignal, SpawnError, SystemPtys, Transport, Walls, missing_program,
    run_command, spawn_or_pipe,
};
use crate::stream::LineLimit;
use crate::tokens::Credential;

/// How much of a check's output is kept for the agent and the critic, in bytes.
const CHECK_TAIL_BYTES: usize = 16 * 1024;
/// Exit codes of a shell that cannot execute a program or does not find it.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// How long a check that was asked to end has before it is killed.
const CHECK_GRACE: Duration = Duration::from_secs(2);
/// How long the loop waits for the check of the agent's settings: a disk that is awake takes a tenth of that.
const LOOK_AT_ONCE: Duration = Duration::from_millis(5);
/// Stack of the threads for checks and measurements.
const STACK_BYTES: usize = 512 * 1024;

impl World {
    pub(super) fn perform_action(&mut self, now: Tick, action: Action, at_once: &mut VecDeque<Input>) {
        match action {
            Action::Spawn(spawn) => at_once.extend(self.spawn_with_token(spawn)),
            Action::Send(_) => self.send(&action, at_once),
            Action::Interrupt { .. }
            | Action::AllowTool { .. }
            | Action::FillForm { .. }
            | Action::SetModel { .. }
            | Action::ReleaseStop { .. }
            | Action::DenyTool { .. }
            | Action::CancelForm { .. }
            | Action::Refuse { .. }
            | Action::AskCost { .. }
            | Action::SetPermissionMode { .. } => {
                if let Some((proc, say)) = action.says()
                    && let Some(bytes) = self.run.core.encode(proc, &say)
                {
                    // With its own interface, the agent is interrupted by a key.
                    if let (Action::Interrupt { .. }, Some(interface)) = (&action, &self.interface)
                        && self.interface(proc).is_some()
                    {
                        interface.type_in(proc, &bytes);
                        return;
                    }
                    self.write(proc, bytes, at_once);
                }
            }
            Action::CloseStdin { proc } => {
                self.give_up_start(proc, at_once);
                self.order(proc, Child::close_stdin);
                // An interface has no stdin to close; SIGTERM ends it cleanly.
                self.signal_interface(proc, ProcessSignal::Terminate);
            }
            Action::Signal { proc, signal } => {
                self.give_up_start(proc, at_once);
                match signal {
                    // SIGINT ends only the turn, so its further output is kept.
                    Signal::Int => {}
                    Signal::Term => self.inbox.ends(proc),
                }
                let signal = match signal {
                    Signal::Int => ProcessSignal::Interrupt,
                    Signal::Term => ProcessSignal::Terminate,
                };
                self.order(proc, move |child| child.signal(signal));
                self.signal_interface(proc, signal);
            }
            Action::KillTree { proc } => {
                self.give_up_start(proc, at_once);
                self.inbox.ends(proc);
                self.order(proc, Child::kill_tree);
                if let Some(child) = self.interface(proc) {
                    self.workers.processes.give(move || child.kill_tree());
                }
            }
            Action::RunCheck { check, command, timeout_ms, base } => {
                self.run_check(check, &command, timeout_ms, base.is_some());
            }
            Action::CancelCheck { check } => {
                if let Some(cancel) = self.checks.get(&check) {
                    cancel.cancel();
                }
            }
            Action::MeasureTree { measure, since, moving } => self.measure(measure, since, moving),
            Action::TakeCheckpoint { checkpoint, at } => self.take_checkpoint(checkpoint, at),
            Action::CompareTests { checkpoint, from: _, to: _ } => self.compare_tests(checkpoint),
            Action::SetCredential { proc, token } => self.exchange(proc, &token, at_once),
            Action::Ask(question) => {
                self.typing.restore();
                self.asked_something = true;
                self.answers = Answers::listen(question, self.keyboard.as_ref(), self.inbox.clone());
            }
            Action::ReportToken { request, token, report } => {
                let unix_ms = self.run.clock.unix_ms();
                self.ask_tokens(Some(request), move |ledger| ledger.report(&token, &[report], unix_ms));
            }
            Action::ReadTokens { request } => self.ask_tokens(Some(request), TokenRecords::read),
            Action::ProbeToken { token } => {
                self.credentials.probe(&token, self.inbox.clone(), self.run.clock.unix_ms())
            }
            Action::Decide(_) | Action::Note(_) => {}
            Action::Show(show) => {
                let is_awaited = matches!(show, Show::Awaited { .. });
                self.show_of_fact(now, show);
                // The heartbeat reports it at the same time.
                if is_awaited {
                    self.beat_now();
                }
            }
            Action::Finish(finish) => self.run.finish = Some(finish),
        }
    }

    /// Queues an order to a process, behind earlier ones.
    fn order(&self, proc: ProcId, order: impl FnOnce(&Child) + std::marker::Send + 'static) {
        if let Some(child) = self.children.get(&proc).cloned() {
            self.workers.processes.give(move || order(&child));
        }
    }

    /// The agent's own interface, if this is its process.
    fn interface(&self, proc: ProcId) -> Option<Arc<InteractiveChild>> {
        self.interface.as_ref()?.child(proc).cloned()
    }

    fn signal_interface(&self, proc: ProcId, signal: ProcessSignal) {
        if let Some(child) = self.interface(proc) {
            self.workers.processes.give(move || child.signal(signal));
        }
    }

    /// Starts a process once the value of its token is available. Returns the result if it is known at once.
    fn spawn_with_token(&mut self, spawn: Spawn) -> Option<Input> {
        match self.credentials.value(spawn.token.as_ref()) {
            Value::Ready(_) => self.look_before_start(spawn),
            Value::ToFetch(credential) => {
                let proc = spawn.proc;
                self.to_start.insert(proc, spawn);
                self.fetch(credential, FetchedFor::Spawn(proc));
                None
            }
        }
    }

    /// Checks the project's settings of the agent: an agent, or a process that it left running, may have changed them. A result
    /// that the disk gives at once is used at once, because waiting for the rest of this step would take longer than the check
    /// and the start.
    fn look_before_start(&mut self, spawn: Spawn) -> Option<Input> {
        let (proc, settings, inbox) = (spawn.proc, self.settings.clone(), self.inbox.clone());
        let (tell, told) = sync_channel(1);
        self.starts.ask(proc, spawn, self.run.clock.instant_now());
        self.workers.settings.give(move || {
            let objection = settings.objection();
            // The result that arrives first is used.
            let _ = tell.send(objection.clone());
            inbox.post(Event::SettingsRead { proc, objection });
        });
        let objection = told.recv_timeout(LOOK_AT_ONCE).ok()?;
        self.start(proc, objection)
    }

    /// Starts the process, unless the settings forbid it.
    pub(super) fn settings_read(&mut self, proc: ProcId, objection: Option<String>) {
        if let Some(input) = self.start(proc, objection) {
            feed(self, input);
        }
    }

    /// `None` when it was started or cancelled meanwhile.
    fn start(&mut self, proc: ProcId, objection: Option<String>) -> Option<Input> {
        let spawn = self.starts.answered(&proc)?;
        Some(match objection {
            Some(message) => Input::SpawnFailed { proc, fault: SpawnFault::NotAgreed, message },
            None => self.spawn(&spawn),
        })
    }

    fn fetch(&mut self, credential: Credential, purpose: FetchedFor) {
        let wanted = self.fetching.entry(credential.id()).or_default();
        wanted.push(purpose);
        // A password manager must not be asked twice at a time: a second request gets the value of the first.
        if wanted.len() == 1 {
            fetch(credential, self.inbox.clone(), self.give_up_fetching.clone());
        }
    }

    /// Cancels the start of a process that still waits for its token; it counts as exited. So the end of a run does not wait
    /// for a password manager.
    fn give_up_start(&mut self, proc: ProcId, at_once: &mut VecDeque<Input>) {
        if self.to_start.remove(&proc).or_else(|| self.starts.answered(&proc)).is_some() {
            at_once.push_back(Input::Exited { proc, exit: ExitFact::default() });
        }
    }

    fn exchange(&mut self, proc: ProcId, token: &TokenId, at_once: &mut VecDeque<Input>) {
        if let Value::ToFetch(credential) = self.credentials.value(Some(token)) {
            self.fetch(credential, FetchedFor::Exchange(proc));
            return;
        }
        // Without a line there is no answer, and the core restarts the process after its timeout.
        if let Some(line) = self.credentials.exchange_line(token, |say| self.run.core.encode(proc, say)) {
            self.write(proc, line, at_once);
        }
    }

    /// The command of a token has returned its value, or failed.
    pub(super) fn fetched(&mut self, token: TokenId, value: Result<Option<SecretString>, String>) {
        let wanted = self.fetching.remove(&token).unwrap_or_default();
        let fault = match value {
            Ok(Some(value)) => {
                if let Some(text) = self.credentials.unhidden(&token, &value) {
                    let now = self.run.clock.now();
                    self.remark(now, text);
                }
                self.credentials.keep(token.clone(), value);
                // The redactor must know the value before any process can print it.
                let redactor = self.credentials.redactor();
                *self.run.journal.redactor_mut() = redactor.clone();
                self.redactor.replace(redactor);
                None
            }
            Ok(None) => Some("its command printed no token".to_owned()),
            Err(fault) => Some(fault),
        };
        for purpose in wanted {
            self.serve_fetched(&token, purpose, fault.clone());
        }
    }

    fn serve_fetched(&mut self, token: &TokenId, purpose: FetchedFor, fault: Option<String>) {
        match (purpose, fault) {
            (FetchedFor::Spawn(proc), fault) => {
                // Cancelled meanwhile: the value is kept for the next start.
                let Some(spawn) = self.to_start.remove(&proc) else { return };
                let input = match fault {
                    None => self.look_before_start(spawn),
                    Some(message) => Some(Input::SpawnFailed { proc, fault: SpawnFault::NoCredential, message }),
                };
                if let Some(input) = input {
                    feed(self, input);
                }
            }
            (FetchedFor::Exchange(proc), None) => {
                let mut at_once = VecDeque::new();
                self.exchange(proc, token, &mut at_once);
                for input in at_once {
                    feed(self, input);
                }
            }
            // The core restarts the process after its timeout, and learns of the fault then.
            (FetchedFor::Exchange(_), Some(fault)) => tracing::warn!(fault, "a token could not be fetched"),
        }
    }

    fn spawn(&mut self, spawn: &Spawn) -> Input {
        let proc = spawn.proc;
        let launch = &spawn.launch;
        let mut env: Vec<(OsString, OsString)> = self
            .credentials
            .child_env(&self.env.0, spawn.token.as_ref())
            .into_iter()
            .filter(|(name, _)| {
                !launch.env_unset.iter().any(|unset| OsStr::new(unset) == name)
                    && !launch.env_set.iter().any(|(set, _)| OsStr::new(set) == name)
            })
            .collect();
        env.extend(launch.env_set.iter().map(|(name, value)| (name.into(), value.into())));
        let env = self.withheld.applied_to(env);
        if spawn.role == Role::Agent && self.interface.is_some() {
            return self.spawn_interface(spawn, env);
        }
        let spec = ChildSpec {
            program: self.program.path.clone(),
            args: self.program.first_args.iter().cloned().chain(launch.args.iter().map(OsString::from)).collect(),
            env,
            cwd: PathBuf::from(&launch.cwd),
            transport: self.transport,
            cookie: self.cookie(proc),
            walls: self.walls_of(proc, spawn.role),
            limited: self.limiter.clone().map(|by| {
                let plan = self.run.core.plan();
                Limited { by, name: format!("{}-{}-{proc}", plan.run_id, std::process::id()) }
            }),
        };
        let reader = OutputReader::new(
            proc,
            self.run.core.plan().agent,
            self.inbox.clone(),
            self.redactor.clone(),
            LineLimit::default(),
        );
        let reader = if self.limiter.as_ref().is_some_and(Limiter::fails_allocations) {
            reader.with_failing_allocations()
        } else {
            reader
        };
        let reader = if self.printer.is_live() { reader.word_by_word() } else { reader };
        let reader = match &self.hub {
            Some(hub) => reader.heard_by(hub.clone()),
            None => reader,
        };
        match spawn_or_pipe(&spec, reader, &SystemPtys) {
            Ok((child, no_pty)) => {
                let pid = child.pid();
                self.children.insert(proc, Arc::new(child));
                let transport = match (&no_pty, self.transport) {
                    (None, Transport::Pty { .. }) => "pty",
                    (None, Transport::Pipe) | (Some(_), _) => "pipe",
                };
                if let Some(why) = no_pty {
                    let now = self.run.clock.now();
                    self.remark(now, format!("no pseudo-terminal is available ({why}); using a pipe instead"));
                }
                Input::Spawned { proc, pid, transport: transport.to_owned() }
            }
            Err(error) => Input::SpawnFailed { proc, fault: fault_of(&error), message: error.to_string() },
        }
    }

    fn spawn_interface(&mut self, spawn: &Spawn, env: Vec<(OsString, OsString)>) -> Input {
        let proc = spawn.proc;
        let spec = InteractiveSpec {
            program: self.program.path.clone(),
            args: self.program.first_args.iter().cloned().chain(spawn.launch.args.iter().map(OsString::from)).collect(),
            env,
            cwd: PathBuf::from(&spawn.launch.cwd),
            cookie: self.cookie(proc),
            walls: self.walls_of(proc, spawn.role),
        };
        let Some(interface) = &mut self.interface else {
            let message = "there is no terminal for it".to_owned();
            return Input::SpawnFailed { proc, fault: SpawnFault::Other, message };
        };
        match interface.spawn(proc, spec) {
            Ok(pid) => Input::Spawned { proc, pid, transport: "terminal".to_owned() },
            Err(error) => Input::SpawnFailed { proc, fault: fault_of(&error), message: error.to_string() },
        }
    }

    /// The walls around this process.
    fn walls_of(&mut self, proc: ProcId, role: Role) -> Option<Arc<Walls>> {
        match role {
            Role::Agent => self.walls.around_agent(),
            Role::Critic => {
                let (walls, copied) = self.walls.around_critic(&proc.to_string())?;
                self.copied.extend(copied.map(|copied| (proc, copied)));
                Some(walls)
            }
        }
    }

    /// The process has ended with all that it had started: what it changed in its copy of the tree is removed.
    pub(super) fn remove_copy(&mut self, proc: ProcId) {
        if let Some(copied) = self.copied.remove(&proc) {
            self.workers.copies.give(move || {
                if let Err(error) = copied.remove() {
                    tracing::warn!(%error, "the critic's copy of the tree cannot be removed");
                }
            });
        }
    }

    fn cookie(&self, proc: ProcId) -> Cookie {
        Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: proc.0 }
    }

    fn send(&mut self, turn: &Action, at_once: &mut VecDeque<Input>) {
        let Some((proc, say)) = turn.says() else { return };
        let Some(bytes) = self.run.core.encode(proc, &say) else { return };
        if self.interface(proc).is_some() {
            self.write(proc, bytes, at_once);
            return;
        }
        // If a power cut removed a turn from the journal after the agent had received it, the turn would be sent again. So the
        // child's writer thread waits for the sync; the loop does not.
        let durable = self.run.journal.sync_soon();
        let Some(child) = self.children.get(&proc) else { return };
        let sent = match durable {
            Some(durable) => child.write_after(bytes, move || durable.wait()),
            None => child.write(bytes),
        };
        if let Err(error) = sent {
            at_once.push_back(Input::WriteFailed { proc, message: error.to_string() });
        }
    }

    pub(super) fn write(&mut self, proc: ProcId, line: Vec<u8>, at_once: &mut VecDeque<Input>) {
        if let Some(interface) = self.interface.as_mut().filter(|interface| interface.child(proc).is_some()) {
            interface.answer(proc, &line);
            return;
        }
        let Some(child) = self.children.get(&proc) else { return };
        if let Err(error) = child.write(line) {
            at_once.push_back(Input::WriteFailed { proc, message: error.to_string() });
        }
    }

    fn run_check(&mut self, check: CheckId, command: &str, timeout_ms: u64, is_protected: bool) {
        let mut spec = CommandSpec::shell(command, PathBuf::from(&self.run.core.plan().cwd));
        spec.env.clone_from(&self.bare_env.0);
        spec.timeout = Duration::from_millis(timeout_ms);
        spec.grace = CHECK_GRACE;
        spec.output_tail_limit_bytes = CHECK_TAIL_BYTES;
        spec.cookie = Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: 0 };
        // The commands of the setup come before the agent, from the tree as the user has it, and install what it needs.
        if self.run.core.is_set_up() {
            spec.walls = self.walls.around_checks();
            spec.env = self.withheld.applied_to(spec.env);
        }
        let line = command.to_owned();
        let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let inbox = self.inbox.clone();
        let not_started = |why: String| not_run(CheckEnd::NotStarted(why));
        let cancel = match Cancel::new() {
            Ok(cancel) => cancel,
            Err(error) => {
                self.inbox.post(Event::CheckFinished { check, result: not_started(error.to_string()) });
                return;
            }
        };
        self.checks.insert(check, cancel.clone());
        let redactor = self.redactor.now();
        let protected = match self.protected_check() {
            Some(protected) if is_protected => Some(protected),
            None if is_protected => {
                let why = "the commit with the protected files is not known".to_owned();
                self.inbox.post(Event::CheckFinished { check, result: not_started(why) });
                return;
            }
            Some(_) | None => None,
        };
        let body = move || {
            let run = || match run_command(&spec, &cancel) {
                Ok(result) => CheckResult {
                    end: match (result.ending, result.exit.code, result.exit.signal) {
                        (CommandEnding::TimedOut, _, _) => CheckEnd::TimedOut,
                        (CommandEnding::Cancelled, _, _) => CheckEnd::Cancelled,
                        (CommandEnding::Exited, Some(code), _) => CheckEnd::Exited(code),
                        (CommandEnding::Exited, None, signal) => CheckEnd::Signalled(signal.unwrap_or_default()),
                    },
                    duration_ms: result.duration_ms,
                    tail: redactor.tail(&result.tail, result.truncated_bytes > 0),
                    omitted_bytes: result.truncated_bytes,
                    missing: match result.exit.code {
                        Some(NOT_EXECUTABLE | NOT_FOUND) => missing_program(&line, &path, &spec.cwd),
                        Some(_) | None => None,
                    },
                    protected: None,
                },
                Err(error) => not_started(error.to_string()),
            };
            let result = match &protected {
                Some(protected) => protected.run(&cancel, run),
                None => run(),
            };
            inbox.post(Event::CheckFinished { check, result });
        };
        if let Err(error) = thread::Builder::new().name("check".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            self.inbox.post(Event::CheckFinished { check, result: not_started(error.to_string()) });
        }
    }

    /// What a check needs to run with the protected files of the run's beginning; `None` if none are protected.
    fn protected_check(&self) -> Option<ProtectedCheck> {
        let protected = self.run.core.protected()?;
        let plan = self.run.core.plan();
        Some(ProtectedCheck {
            env: self.bare_env.clone(),
            run_id: plan.run_id.clone(),
            run_dir: self.run.run_dir.path().to_owned(),
            cwd: PathBuf::from(&plan.cwd),
            base: protected.base.to_owned(),
            patterns: protected.patterns.to_vec(),
            redactor: self.redactor.now(),
        })
    }

    fn measure(&mut self, measure: MeasureId, since: Option<MeasureId>, moving: Vec<String>) {
        let before = since.and_then(|since| self.snapshots.get(&since).cloned());
        let dir = PathBuf::from(&self.run.core.plan().cwd);
        let (inbox, ours) = (self.inbox.clone(), Arc::clone(&self.ours));
        let moving: BTreeSet<String> = moving.into_iter().collect();
        let settings = self.settings.clone();
        self.measuring += 1;
        let agent = self.run.core.agent_proc().and_then(|proc| self.children.get(&proc)).map(|child| child.below());
        let body = move || {
            let left_running = || agent.as_ref().map(Below::left_running).unwrap_or_default();
            let (measured, mut fact) = match before {
                Some(before) => {
                    // A process that writes between the two looks has written since the first, so the first look precedes the
                    // measurement. If nothing was left running, the second look is skipped.
                    let left = if before.left.is_empty() { LeftRunning::default() } else { left_running() };
                    let snapshot = before.snapshot.again(&moving);
                    let mut fact = snapshot.fact_since(&before.snapshot, &moving);
                    if !fact.changed.is_empty() {
                        (fact.running, fact.idle) = left_running().written_since(&before.left);
                    }
                    (Measured { snapshot, left }, fact)
                }
                None => {
                    let left = left_running();
                    let snapshot = Arc::new(Snapshot::take(&dir, &ours));
                    let fact = snapshot.fact(&moving);
                    (Measured { snapshot, left }, fact)
                }
            };
            fact.not_agreed = settings.objection();
            inbox.post(Event::TreeMeasured { measure, measured: Some(measured), fact });
        };
        if let Err(error) = thread::Builder::new().name("tree".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            let fault = Some(crate::core::TreeFault::Failed);
            let fact = crate::core::TreeFact { trouble: Some(error.to_string()), fault, ..Default::default() };
            self.inbox.post(Event::TreeMeasured { measure, measured: None, fact });
        }
    }

    fn take_checkpoint(&mut self, checkpoint: CheckpointId, at: CheckpointAt) {
        let (inbox, checkpoints) = (self.inbox.clone(), Arc::clone(&self.checkpoints));
        let dir = PathBuf::from(&self.run.core.plan().cwd);
        self.keeping += 1;
        self.workers.checkpoints.give(move || {
            inbox.post(Event::CheckpointTaken { checkpoint, fact: checkpoints.keep(&dir, at) });
        });
    }

    fn compare_tests(&mut self, checkpoint: CheckpointId) {
        let commits = self.run.core.commits_to_compare().map(|commits| commits.map(str::to_owned));
        let (inbox, of_run, redactor) = (self.inbox.clone(), Arc::clone(&self.tests_of_run), self.redactor.now());
        let plan = self.run.core.plan();
        let dir = PathBuf::from(&plan.cwd);
        let checks: Vec<String> = plan.checks.iter().map(|check| check.command.clone()).collect();
        self.measuring += 1;
        self.workers.comparisons.give(move || {
            let (tests, trouble) = match of_run.compare(&dir, commits, &checks, &redactor) {
                Ok(tests) => (tests, None),
                Err(error) => (TouchedTests::default(), Some(error.to_string())),
            };
            inbox.post(Event::TestsCompared { checkpoint, tests, trouble });
        });
    }
}

pub(super) fn fault_of(error: &SpawnError) -> SpawnFault {
    match error {
        SpawnError::NotFound { .. } => SpawnFault::NotFound,
        SpawnError::PermissionDenied { .. } => SpawnFault::NotExecutable,
        SpawnError::BadCwd { .. } => SpawnFault::BadDirectory,
        SpawnError::NoPty { .. } => SpawnFault::Exhausted,
        SpawnError::NoWalls { .. } | SpawnError::Other { .. } => SpawnFault::Other,
    }
}
