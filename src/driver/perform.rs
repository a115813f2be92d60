//! How the real world performs what the core asks for. Each function does one thing and decides nothing. The result is
//! reported as a fact.

use std::collections::{BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use secrecy::SecretString;

use super::answers::Answers;
use super::credentials::{FetchedFor, Ledger, Value, fetch};
use super::engine::feed;
use super::inbox::Event;
use super::measured::Measured;
use super::output_reader::OutputReader;
use super::real::World;
use super::tree::Snapshot;
use crate::core::{
    Action, CheckEnd, CheckId, CheckResult, ExitFact, Input, MeasureId, ProcId, Show, Signal, Spawn, SpawnFault, Tick,
    TokenId,
};
use crate::process::{
    Below, Cancel, Child, ChildSpec, CommandEnding, CommandSpec, Cookie, LeftRunning, Signal as ProcessSignal,
    SpawnError, SystemPtys, Transport, missing_program, run_command, spawn_or_pipe,
};
use crate::stream::LineLimit;
use crate::tokens::Credential;

/// How much of a check's output is kept for agent and critic, in bytes.
const CHECK_TAIL_BYTES: usize = 16 * 1024;
/// What a shell ends with when it cannot run a program, and when there is none.
const NOT_EXECUTABLE: i32 = 126;
const NOT_FOUND: i32 = 127;
/// How long a check that was told to end has before it is killed.
const CHECK_GRACE: Duration = Duration::from_secs(2);
/// Stack of the threads for checks and measurements.
const STACK_BYTES: usize = 512 * 1024;

impl World {
    pub(super) fn perform_action(&mut self, now: Tick, action: Action, at_once: &mut VecDeque<Input>) {
        match action {
            Action::Spawn(spawn) => self.spawn_with_token(spawn, at_once),
            Action::Send(_) => self.send(&action, at_once),
            Action::Interrupt { .. }
            | Action::AllowTool { .. }
            | Action::DenyTool { .. }
            | Action::CancelForm { .. }
            | Action::Refuse { .. }
            | Action::AskCost { .. }
            | Action::SetPermissionMode { .. } => {
                if let Some((proc, say)) = action.says()
                    && let Some(bytes) = self.run.core.encode(proc, &say)
                {
                    self.write(proc, bytes, at_once);
                }
            }
            Action::CloseStdin { proc } => {
                self.give_up_start(proc, at_once);
                self.order(proc, Child::close_stdin);
            }
            Action::Signal { proc, signal } => {
                self.give_up_start(proc, at_once);
                match signal {
                    // Its own way to end a turn: what it says then is to be heard.
                    Signal::Int => {}
                    Signal::Term => self.inbox.ends(proc),
                }
                let signal = match signal {
                    Signal::Int => ProcessSignal::Interrupt,
                    Signal::Term => ProcessSignal::Terminate,
                };
                self.order(proc, move |child| child.signal(signal));
            }
            Action::KillTree { proc } => {
                self.give_up_start(proc, at_once);
                self.inbox.ends(proc);
                self.order(proc, Child::kill_tree);
            }
            Action::RunCheck { check, command, timeout_ms } => self.run_check(check, &command, timeout_ms),
            Action::CancelCheck { check } => {
                if let Some(cancel) = self.checks.get(&check) {
                    cancel.cancel();
                }
            }
            Action::MeasureTree { measure, since, moving } => self.measure(measure, since, moving),
            Action::SetCredential { proc, token } => self.exchange(proc, &token, at_once),
            Action::Ask(question) => {
                self.typing.restore();
                self.answers = Answers::listen(question, self.keyboard.as_ref(), self.inbox.clone());
            }
            Action::ReportToken { request, token, report } => {
                let unix_ms = self.run.clock.unix_ms();
                self.ask_tokens(Some(request), move |ledger| ledger.report(&token, &[report], unix_ms));
            }
            Action::ReadTokens { request } => self.ask_tokens(Some(request), Ledger::read),
            Action::ProbeToken { token } => {
                self.credentials.probe(&token, self.inbox.clone(), self.run.clock.unix_ms())
            }
            Action::Decide(_) | Action::Note(_) => {}
            Action::Show(show) => {
                self.show(now, &show);
                // The heartbeat tells it at the same time.
                if let Show::Awaited { .. } = show {
                    self.beat_now();
                }
            }
            Action::Finish(finish) => self.run.finish = Some(finish),
        }
    }

    /// Has this done to a process, after what was ordered before.
    fn order(&self, proc: ProcId, order: impl FnOnce(&Child) + std::marker::Send + 'static) {
        if let Some(child) = self.children.get(&proc).cloned() {
            self.workers.processes.give(move || order(&child));
        }
    }

    /// Starts a process, as soon as the value of its token is at hand.
    fn spawn_with_token(&mut self, spawn: Spawn, at_once: &mut VecDeque<Input>) {
        match self.credentials.value(spawn.token.as_ref()) {
            Value::Ready(_) => at_once.push_back(self.spawn(&spawn)),
            Value::ToFetch(credential) => {
                let proc = spawn.proc;
                self.to_start.insert(proc, spawn);
                self.fetch(credential, FetchedFor::Spawn(proc));
            }
        }
    }

    fn fetch(&mut self, credential: Credential, purpose: FetchedFor) {
        let wanted = self.fetching.entry(credential.id()).or_default();
        wanted.push(purpose);
        // A password manager is not asked twice at a time: a second request gets the value of the first.
        if wanted.len() == 1 {
            fetch(credential, self.inbox.clone(), self.give_up_fetching.clone());
        }
    }

    /// A process that still waits for its token's value need not be started any more: it has ended already. The end of
    /// a run does not wait for a password manager.
    fn give_up_start(&mut self, proc: ProcId, at_once: &mut VecDeque<Input>) {
        if self.to_start.remove(&proc).is_some() {
            at_once.push_back(Input::Exited { proc, exit: ExitFact::default() });
        }
    }

    fn exchange(&mut self, proc: ProcId, token: &TokenId, at_once: &mut VecDeque<Input>) {
        if let Value::ToFetch(credential) = self.credentials.value(Some(token)) {
            self.fetch(credential, FetchedFor::Exchange(proc));
            return;
        }
        // Without a line nobody answers, and the core restarts the process after its limit.
        if let Some(line) = self.credentials.exchange_line(token, |say| self.run.core.encode(proc, say)) {
            self.write(proc, line, at_once);
        }
    }

    /// A command has given a token's value, or failed to.
    pub(super) fn fetched(&mut self, token: TokenId, value: Result<Option<SecretString>, String>) {
        let wanted = self.fetching.remove(&token).unwrap_or_default();
        let fault = match value {
            Ok(Some(value)) => {
                if let Some(text) = self.credentials.unhidden(&token, &value) {
                    let now = self.run.clock.now();
                    self.show(now, &Show::Notice { text });
                }
                self.credentials.keep(token.clone(), value);
                // Before any process can say it.
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
                // Given up meanwhile: the value is kept for the next one.
                let Some(spawn) = self.to_start.remove(&proc) else { return };
                let input = match fault {
                    None => self.spawn(&spawn),
                    Some(message) => Input::SpawnFailed { proc, fault: SpawnFault::NoCredential, message },
                };
                feed(self, input);
            }
            (FetchedFor::Exchange(proc), None) => {
                let mut at_once = VecDeque::new();
                self.exchange(proc, token, &mut at_once);
                for input in at_once {
                    feed(self, input);
                }
            }
            // The core restarts the process after its limit, and hears of the fault then.
            (FetchedFor::Exchange(_), Some(fault)) => tracing::warn!(fault, "a token could not be fetched"),
        }
    }

    fn spawn(&mut self, spawn: &Spawn) -> Input {
        let proc = spawn.proc;
        // An agent, or what it left running, may have written them since.
        if let Some(message) = self.settings.objection() {
            return Input::SpawnFailed { proc, fault: SpawnFault::NotAgreed, message };
        }
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
        let spec = ChildSpec {
            program: self.program.path.clone(),
            args: self.program.first_args.iter().cloned().chain(launch.args.iter().map(OsString::from)).collect(),
            env,
            cwd: PathBuf::from(&launch.cwd),
            transport: self.transport,
            cookie: self.cookie(proc),
        };
        let reader = OutputReader::new(
            proc,
            self.run.core.plan().agent,
            self.inbox.clone(),
            self.redactor.clone(),
            LineLimit::default(),
        );
        let reader = if self.printer.is_live() { reader.word_by_word() } else { reader };
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
                    self.show(
                        now,
                        &Show::Notice {
                            text: format!("no pseudo-terminal is available ({why}); using a pipe instead"),
                        },
                    );
                }
                Input::Spawned { proc, pid, transport: transport.to_owned() }
            }
            Err(error) => Input::SpawnFailed { proc, fault: fault_of(&error), message: error.to_string() },
        }
    }

    fn cookie(&self, proc: ProcId) -> Cookie {
        Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: proc.0 }
    }

    fn send(&mut self, turn: &Action, at_once: &mut VecDeque<Input>) {
        let Some((proc, say)) = turn.says() else { return };
        let Some(bytes) = self.run.core.encode(proc, &say) else { return };
        // A turn that a power cut takes out of the journal after the agent had it would be given again. The child's writer
        // waits until it stands on the disk; the loop does not.
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
        let Some(child) = self.children.get(&proc) else { return };
        if let Err(error) = child.write(line) {
            at_once.push_back(Input::WriteFailed { proc, message: error.to_string() });
        }
    }

    fn run_check(&mut self, check: CheckId, command: &str, timeout_ms: u64) {
        let mut spec = CommandSpec::shell(command, PathBuf::from(&self.run.core.plan().cwd));
        spec.env.clone_from(&self.bare_env.0);
        spec.timeout = Duration::from_millis(timeout_ms);
        spec.grace = CHECK_GRACE;
        spec.output_tail_limit_bytes = CHECK_TAIL_BYTES;
        spec.cookie = Cookie { run_id: self.run.core.plan().run_id.clone(), attempt: 0 };
        let line = command.to_owned();
        let path = spec.env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let inbox = self.inbox.clone();
        let not_started = |why: String| CheckResult {
            end: CheckEnd::NotStarted(why),
            duration_ms: 0,
            tail: String::new(),
            omitted_bytes: 0,
            missing: None,
        };
        let cancel = match Cancel::new() {
            Ok(cancel) => cancel,
            Err(error) => {
                self.inbox.post(Event::CheckFinished { check, result: not_started(error.to_string()) });
                return;
            }
        };
        self.checks.insert(check, cancel.clone());
        let redactor = self.redactor.now();
        let body = move || {
            let result = match run_command(&spec, &cancel) {
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
                },
                Err(error) => not_started(error.to_string()),
            };
            inbox.post(Event::CheckFinished { check, result });
        };
        if let Err(error) = thread::Builder::new().name("check".to_owned()).stack_size(STACK_BYTES).spawn(body) {
            self.inbox.post(Event::CheckFinished { check, result: not_started(error.to_string()) });
        }
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
                    // Who writes between the two looks has written since the first of them, which therefore comes before the
                    // tree is measured. Where nothing was left running, the second is spared.
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
}

pub(super) fn fault_of(error: &SpawnError) -> SpawnFault {
    match error {
        SpawnError::NotFound { .. } => SpawnFault::NotFound,
        SpawnError::PermissionDenied { .. } => SpawnFault::NotExecutable,
        SpawnError::BadCwd { .. } => SpawnFault::BadDirectory,
        SpawnError::NoPty { .. } => SpawnFault::Exhausted,
        SpawnError::Other { .. } => SpawnFault::Other,
    }
}
