//! Performs the core's actions on the simulated world.

use std::collections::VecDeque;
use std::sync::Arc;

use super::law::{Broken, Law};
use super::process::Process;
use super::world::{Event, World};
use ccc::demo::scripted::{Open, Options, Parsed, ScriptedAgent, Signalled};
use supervision::agent::{Role, Say};
use supervision::core::{
    Action, CheckEnd, Decision, Finish, Input, MeasureId, ProcId, Send, SettledHow, Show, Signal, Spawn, SpawnFault,
    Timeouts, TokenReport, TreeFact, derive_uuid,
};
use supervision::core::{CheckpointFact, CheckpointId, TestTouch, TouchedTest, TouchedTests};

/// The core's decision when it considers an agent hung.
const HUNG: &str = "end the agent's process";
/// The core's decision when the user interrupts the agent's turn.
const INTERRUPTS: &str = "interrupt the turn";
/// The core's reason for ending an agent that does not end the turn that the user interrupted.
const NOT_STOPPED: &str = "it did not end its turn when it was interrupted";
/// The core's decisions that end a process without a fault of its own.
const LEAVES: [&str; 4] = [
    "restart the agent with the other token",
    "wait for the reset",
    "begin a new session",
    "end the agent's process while its work is judged",
];
/// Why the core takes an agent for hung that works by itself.
const UNREPORTED: &str = "it has worked by itself several times and has not taken up the turn that it was given";
/// The core's decision when it abandons a review because the agent continues by itself.
const ABANDONED: &str = "judge again later";
/// Why it decides so after the verdict.
const AFTER_VERDICT: &str = "the agent began a turn by itself after the verdict";
/// The core's reason for changing the token after the provider called a request invalid.
const REJECTED: &str = "the request was rejected";
/// A process that survived its kill ends within this time, in milliseconds, or never.
const THAWS_WITHIN_MS: u64 = 600_000;

/// Which step of the response to a rejection a decision is.
fn rejection_step(decision: &Decision) -> Option<&'static str> {
    let rejected = decision.why.starts_with("the provider rejected the request") || decision.why.starts_with(REJECTED);
    match decision.what.as_str() {
        "wait and try the credential once more" => Some("refused credential tried once more"),
        "compact the session" => Some("session compacted"),
        "begin a new session" => Some("session begun anew"),
        "wait and ask the critic again" if rejected => Some("rejected review tried again"),
        what if rejected && what.starts_with("rotate ") => Some("rejected request tried with another token"),
        what if rejected && what.starts_with("wait ") => Some("rejected request tried again"),
        "end as failed" if decision.why.contains("in a new session too") => Some("end of the ladder"),
        _ => None,
    }
}

impl World {
    pub(super) fn perform(&mut self, action: Action, at_once: &mut VecDeque<Input>) -> Result<(), Broken> {
        Law::NothingFollows.broken_if(self.finish.is_some(), || format!("{action:?}"))?;
        match action {
            Action::Spawn(spawn) => at_once.extend(self.spawn(spawn)?),
            Action::Send(send) => return self.send(&send, at_once),
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
                self.answers_request(&action)?;
                if let Action::Interrupt { proc } = action
                    && !(self.stopping && self.processes.get(&proc).is_some_and(|it| it.role == Role::Agent))
                {
                    self.is_ended(proc);
                }
                if let Some((proc, say)) = action.says()
                    && let Some(bytes) = self.core.encode(proc, &say)
                {
                    self.write(proc, bytes, false);
                }
            }
            Action::CloseStdin { proc } => {
                self.is_ended(proc);
                self.on_its_way(proc, Event::InputEnded(proc));
            }
            Action::Signal { proc, signal } => {
                self.is_ended(proc);
                let signal = match signal {
                    Signal::Int => Signalled::Interrupt,
                    Signal::Term => Signalled::Terminate,
                };
                self.schedule(0, Event::Signalled(proc, signal));
            }
            Action::KillTree { proc } => {
                self.is_ended(proc);
                self.kill(proc);
            }
            Action::RunCheck { check, timeout_ms, command, base } => {
                if base.is_some() {
                    self.counts.add("protected check");
                    self.family.exchanges(check);
                }
                if self.family.runs(check, &command)? {
                    self.counts.add("setup command");
                }
                self.agent_rests()?;
                self.laws.steering.checks()?;
                if let Some(running) = self.running_check.replace(check) {
                    return Err(Law::JudgedAtRest.broken(format!("check {check:?} is started while {running:?} runs")));
                }
                let (ms, end) = self.check_end(timeout_ms);
                self.schedule(ms, Event::CheckEnds(check, end));
            }
            Action::CancelCheck { check } => {
                if self.running_check == Some(check) {
                    self.running_check = None;
                    self.events.retain(|_, event| !matches!(event, Event::CheckEnds(running, _) if *running == check));
                    let ms = self.dice.between(1, 2_500);
                    self.schedule(ms, Event::CheckEnds(check, CheckEnd::Cancelled));
                }
            }
            Action::MeasureTree { measure, since, .. } => self.measure(measure, since),
            Action::TakeCheckpoint { checkpoint, at: _ } => self.keep(checkpoint),
            Action::CompareTests { checkpoint, from: _, to: _ } => self.compare_tests(checkpoint),
            Action::SetCredential { proc, token } => self.exchange(proc, token)?,
            Action::ReportToken { request, token, report } => {
                self.provider.learn(&token, &report);
                if report == TokenReport::Refused {
                    self.laws.refused(&token);
                }
                self.tell_tokens(request, at_once);
            }
            Action::ReadTokens { request } => self.tell_tokens(request, at_once),
            Action::ProbeToken { token } => {
                let ms = self.dice.between(50, 3_000);
                self.schedule(ms, Event::Probed(token));
            }
            Action::Ask(question) => self.ask(&question),
            Action::Decide(decision) => return self.decided(&decision),
            Action::Finish(finish) => return self.finished(finish),
            Action::Show(show) => return self.sees(&show),
            Action::Note(_) => {}
        }
        Ok(())
    }

    /// Records what the user is shown.
    fn sees(&mut self, show: &Show) -> Result<(), Broken> {
        match show {
            Show::Asked { ask } => {
                self.counts.add("request shown");
                self.is_shown(ask)
            }
            Show::Settled { ask, how, .. } => {
                if *how == SettledHow::Policy {
                    self.counts.add("request that nobody answers");
                }
                self.laws.steering.settled(*ask, *how)
            }
            Show::Rests { why, .. } => {
                self.counts.add("rest");
                self.laws.steering.rests(*why);
                Ok(())
            }
            Show::Denied { role: Role::Agent, .. } => {
                self.laws.denied();
                Ok(())
            }
            Show::Phase { .. }
            | Show::Session { .. }
            | Show::PermissionMode { .. }
            | Show::Retrying { .. }
            | Show::Turn { .. }
            | Show::Text { .. }
            | Show::Tool { .. }
            | Show::ToolEnded { .. }
            | Show::Denied { .. }
            | Show::Check { .. }
            | Show::Verdict { .. }
            | Show::Cost { .. }
            | Show::Context { .. }
            | Show::Notice { .. }
            | Show::Information { .. }
            | Show::Awaited { .. }
            | Show::Rotation { .. }
            | Show::Spent { .. }
            | Show::Question { .. }
            | Show::Thinking { .. }
            | Show::Queue { .. }
            | Show::Todo { .. }
            | Show::Offers { .. }
            | Show::Attended { .. }
            | Show::Windows { .. }
            | Show::Finished { .. } => Ok(()),
        }
    }

    /// Records the answer to a request of the CLI. The time that the process waited for it does not count as silence.
    fn answers_request(&mut self, action: &Action) -> Result<(), Broken> {
        let (Action::AllowTool { proc, request_id, .. }
        | Action::FillForm { proc, request_id, .. }
        | Action::DenyTool { proc, request_id, .. }
        | Action::CancelForm { proc, request_id }
        | Action::Refuse { proc, request_id, .. }) = action
        else {
            return Ok(());
        };
        let now_us = self.now_us;
        if let Some(process) = self.processes.get_mut(proc) {
            (process.moved_us, process.stirred_us) = (now_us, now_us);
        }
        self.laws.steering.answers(*proc, request_id)
    }

    fn finished(&mut self, finish: Finish) -> Result<(), Broken> {
        let patience_ms = self.core.plan().conversation_patience_ms;
        self.laws.finish(&finish, &self.plan.budgets, self.plan.no_wait, self.now_us / 1_000, patience_ms)?;
        let stood_ms = self.waited_us / 1_000;
        if finish.waited_ms < stood_ms {
            return Err(Law::Waited
                .broken(format!("{} ms are told, and the run stood waiting for {stood_ms} ms", finish.waited_ms)));
        }
        // The core gave up a process that survived its kill, so that process does not count.
        if let Some((proc, _)) = self.processes.iter().find(|(_, process)| process.acts()) {
            return Err(Law::NothingLeft.broken(format!("process {proc} lives on")));
        }
        if self.running_check.is_some() || !self.fetching.is_empty() {
            return Err(Law::NothingLeft.broken("a check or a start goes on"));
        }
        self.finish = Some(finish);
        Ok(())
    }

    /// A decision only gives a reason; the actions change the world. Two decisions are checked, because the world knows when they
    /// are wrong: an abandoned review and a kill for hanging.
    fn decided(&mut self, decision: &Decision) -> Result<(), Broken> {
        self.family.decided(&decision.what);
        if decision.what.starts_with("end as ") {
            self.laws.steering.ends(self.core.plan().conversation_patience_ms);
        }
        if LEAVES.contains(&decision.what.as_str()) {
            self.leaving = true;
        }
        if decision.what == INTERRUPTS {
            self.stopping = true;
            self.laws.steering.stops_turn();
        }
        if let Some(rejection_step) = rejection_step(decision) {
            self.counts.add(rejection_step);
        }
        if decision.what == ABANDONED && decision.why == AFTER_VERDICT {
            // That stop was judged; the work that follows is a stop of its own, which is counted as an iteration.
            self.laws.judged();
        } else if decision.what == ABANDONED {
            self.counts.add("judging given up");
            self.laws.abandoned()?;
        }
        if decision.what != HUNG {
            return Ok(());
        }
        if decision.why == NOT_STOPPED {
            self.counts.add("interruption without effect");
            for process in self.processes.values_mut().filter(|process| process.role == Role::Agent) {
                (process.ending, process.leaves) = (true, true);
            }
            return self.laws.steering.ended_for_stop(self.plan.timeouts.grace_ms);
        }
        if decision.why == UNREPORTED {
            self.counts.add("turn unreported");
            let mut agents = self.processes.values().filter(|process| process.role == Role::Agent && !process.ending);
            // Its line about the turn was lost, or it has stopped reading and does not have the turn.
            let has_reported = |process: &Process| process.reading && !process.lost_line;
            return match agents.any(has_reported) {
                true => Err(Law::FalseKill.broken("it had reported its turn")),
                false => Ok(()),
            };
        }
        self.counts.add("taken for hung");
        Law::FalseKill
            .broken_if(self.rates.bad_step == 0, || format!("nobody hangs in this night, and yet: {}", decision.why))?;
        let Timeouts { start_ms, stall_ms, .. } = self.plan.timeouts;
        let agents = self.processes.values().filter(|process| process.role == Role::Agent && !process.ending);
        let too_soon = |process: &Process| {
            let patience_ms = if process.spoke { stall_ms } else { start_ms.min(stall_ms) };
            Some(self.now_us - process.moved_us).filter(|&silent_us| silent_us < patience_ms * 1_000)
        };
        match agents.filter_map(too_soon).next() {
            Some(silent_us) => {
                Err(Law::FalseKill.broken(format!("after {} ms of silence: {}", silent_us / 1_000, decision.why)))
            }
            None => Ok(()),
        }
    }

    /// Handles the core's request to end the process.
    fn is_ended(&mut self, proc: ProcId) {
        if self.fetching.remove(&proc).is_some() {
            self.schedule(1, Event::NotStarted(proc));
        }
        let leaving = self.leaving;
        if let Some(process) = self.processes.get_mut(&proc).filter(|process| !process.ending) {
            process.ending = true;
            process.leaves = leaving;
            // The core does not wait for the answer to an exchange any more.
            process.exchange = None;
        }
    }

    fn kill(&mut self, proc: ProcId) {
        if !self.processes.get(&proc).is_some_and(Process::acts) {
            return;
        }
        if !self.fault(self.rates.unkillable) {
            self.end_process(proc, None, Some(9));
            return;
        }
        self.counts.add("unkillable process");
        if let Some(process) = self.processes.get_mut(&proc) {
            process.frozen = true;
        }
        if self.dice.percent(50) {
            let ms = self.dice.between(1, THAWS_WITHIN_MS);
            self.schedule(ms, Event::Thaws(proc));
        }
    }

    /// Starts a process, at once or as soon as the value of its token has been fetched.
    fn spawn(&mut self, spawn: Spawn) -> Result<Option<Input>, Broken> {
        let agent = spawn.role == Role::Agent;
        let running = self.processes.values().filter(|process| process.acts() && process.role == Role::Agent);
        let coming = self.fetching.values().filter(|spawn| spawn.role == Role::Agent);
        let live = running.count() + coming.count();
        self.laws.spawn(agent, live, self.plan.budgets.max_restarts)?;
        self.laws.steering.spawns(spawn.role)?;
        self.family.spawns(spawn.role)?;
        self.laws.uses(spawn.token.as_ref())?;
        if !agent {
            self.agent_rests()?;
        }
        if spawn.token.is_some() && self.fault(self.rates.fetched) {
            self.counts.add("credential fetched");
            let ms = self.dice.between(1, 20_000);
            self.schedule(ms, Event::Fetched(spawn.proc));
            self.fetching.insert(spawn.proc, spawn);
            return Ok(None);
        }
        self.start(&spawn).map(Some)
    }

    pub(super) fn start(&mut self, spawn: &Spawn) -> Result<Input, Broken> {
        if let Some(fault) = self.spawn_fault(spawn) {
            if fault == SpawnFault::NotAgreed {
                self.laws.consent_was_missing();
            } else if spawn.role == Role::Agent && fault != SpawnFault::NoCredential {
                self.laws.agent_died();
            }
            let message = "Resource temporarily unavailable".to_owned();
            return Ok(Input::SpawnFailed { proc: spawn.proc, fault, message });
        }
        let mut options = match Options::parse(&spawn.launch.args, self.cli.version) {
            Parsed::Run(options) => *options,
            refused @ (Parsed::Tell(_) | Parsed::Refuse(_)) => {
                return Err(Law::Sense.broken(format!("the CLI does not take the adapter's arguments: {refused:?}")));
            }
        };
        options.partial &= self.cli.partial;
        options.session_states = self.cli.session_states;
        options.cwd.clone_from(&spawn.launch.cwd);
        options.nonce = format!("{} {} {}", self.seed, self.lives, spawn.proc);
        if options.session_id.is_empty() {
            options.session_id = derive_uuid(&options.nonce, "session", 1);
        }
        let session = match &options.open {
            Open::New(id) | Open::Resume(id) | Open::Fork(id) => id.clone(),
            Open::Unnamed | Open::Latest => options.session_id.clone(),
        };
        let transcript = self.transcripts.get(&session).cloned();
        let scripted = ScriptedAgent::new(Arc::clone(&self.script), options, transcript, self.critics_ended);
        let process = Process::new(spawn.role, scripted, session, spawn.token.clone(), self.now_us);
        self.processes.insert(spawn.proc, process);
        self.started += 1;
        let start_ms = self.dice.between(1, 600);
        self.schedule(start_ms, Event::Wake(spawn.proc));
        if self.chatter.is_some() {
            self.schedule(start_ms, Event::Chatter(spawn.proc));
        }
        if self.fault(self.rates.killed) {
            let most_ms = if self.dice.percent(50) { 1_000 } else { self.kills_within_ms };
            let ms = self.dice.between(0, most_ms);
            self.schedule(ms, Event::Killed(spawn.proc));
        }
        Ok(Input::Spawned { proc: spawn.proc, pid: spawn.proc.0, transport: "simulated".to_owned() })
    }

    fn spawn_fault(&mut self, spawn: &Spawn) -> Option<SpawnFault> {
        if spawn.token.is_some() && self.fault(self.rates.no_credential) {
            self.counts.add("credential command failed");
            return Some(SpawnFault::NoCredential);
        }
        if !self.fault(self.rates.spawn_fails) {
            return None;
        }
        self.counts.add("spawn failed");
        let passing = [SpawnFault::Exhausted, SpawnFault::Other];
        let lasting =
            [SpawnFault::NotFound, SpawnFault::NotExecutable, SpawnFault::BadDirectory, SpawnFault::NotAgreed];
        let of = if self.dice.percent(95) { passing.as_slice() } else { lasting.as_slice() };
        Some(self.dice.choose(of, SpawnFault::Exhausted))
    }

    /// Checks the law that a stop is judged only while the agent is idle, by the output of the agent that has been delivered.
    fn agent_rests(&self) -> Result<(), Broken> {
        let works = |process: &Process| {
            process.role == Role::Agent && process.acts() && process.agent.is_busy() && process.in_transit == 0
        };
        match self.processes.iter().find(|(_, process)| works(process)) {
            Some((proc, _)) => {
                Err(Law::JudgedAtRest.broken(format!("a stop is judged while agent {proc} works and had said so")))
            }
            None => Ok(()),
        }
    }

    fn send(&mut self, send: &Send, at_once: &mut VecDeque<Input>) -> Result<(), Broken> {
        let now_us = self.now_us;
        let Some(process) = self.processes.get_mut(&send.proc) else {
            let what = format!("a turn is sent to process {}, which never was or is long gone", send.proc);
            return Err(Law::Sense.broken(what));
        };
        Law::SentWhileIdle.broken_if(process.turns_in_transit > 0, || {
            format!("two turns are sent to process {} at once", send.proc)
        })?;
        if process.acts() && process.agent.is_busy() && process.in_transit == 0 {
            let what = format!("a turn is sent to process {}, which is busy and had said so", send.proc);
            return Err(Law::SentWhileIdle.broken(what));
        }
        Law::SentWhileIdle
            .broken_if(process.ending, || format!("a turn is sent to process {}, which is to end", send.proc))?;
        (process.asked, process.lost_line) = (true, false);
        (process.moved_us, process.stirred_us) = (now_us, now_us);
        let (alive, role) = (process.acts(), process.role);
        self.laws.steering.sends(role, send)?;
        self.laws.uses(process.asks_with())?;
        self.laws.asks(process.asks_with(), self.plan.budgets.max_restarts)?;
        if role == Role::Agent {
            self.family.finds_its_versions("the agent is told something")?;
            self.laws.send(send)?;
        }
        if alive {
            let say = Say::Turn { turn: &send.turn, kind: send.kind, text: &send.text, images: &send.images };
            if let Some(bytes) = self.core.encode(send.proc, &say) {
                self.write(send.proc, bytes, true);
            }
        } else {
            at_once.push_back(Input::WriteFailed { proc: send.proc, message: "Broken pipe".to_owned() });
        }
        Ok(())
    }

    pub(super) fn write(&mut self, proc: ProcId, bytes: Vec<u8>, turn: bool) {
        if let Some(process) = self.processes.get_mut(&proc) {
            process.turns_in_transit += usize::from(turn);
        }
        self.on_its_way(proc, Event::Input(proc, bytes, turn));
    }

    /// Schedules the arrival of what is written to a process. The order of arrivals is kept.
    pub(super) fn on_its_way(&mut self, proc: ProcId, event: Event) {
        let us = self.dice.between(10, 3_000);
        if let Some(process) = self.processes.get_mut(&proc) {
            process.in_us = process.in_us.max(self.now_us + us);
            let at = process.in_us;
            self.at(at, event);
        }
    }

    fn check_end(&mut self, timeout_ms: u64) -> (u64, CheckEnd) {
        if !self.fault(self.rates.check_fails) {
            return (self.dice.between(1, 30_000), CheckEnd::Exited(0));
        }
        self.counts.add("failed check");
        match self.dice.between(0, 9) {
            0 => (timeout_ms, CheckEnd::TimedOut),
            1 => (self.dice.between(1, 30_000), CheckEnd::Signalled(9)),
            2 => (1, CheckEnd::NotStarted("no shell".to_owned())),
            _ => (self.dice.between(1, 30_000), CheckEnd::Exited(1)),
        }
    }

    fn keep(&mut self, checkpoint: CheckpointId) {
        self.family.keeps();
        let dice = &mut self.family.checkpoint_dice;
        let fact = match dice.between(0, 9) {
            0 => CheckpointFact { trouble: Some("git failed".to_owned()), ..CheckpointFact::default() },
            1 => CheckpointFact { none: true, ..CheckpointFact::default() },
            _ => CheckpointFact {
                number: Some(checkpoint.0.into()),
                commit: Some(format!("commit {}", checkpoint.0)),
                is_new: true,
                ..CheckpointFact::default()
            },
        };
        let ms = if dice.percent(10) { dice.between(1, 120_000) } else { dice.between(1, 80) };
        self.counts.add("checkpoint");
        self.schedule(ms, Event::CheckpointTaken(checkpoint, fact));
    }

    fn compare_tests(&mut self, checkpoint: CheckpointId) {
        let dice = &mut self.family.comparison_dice;
        let (tests, trouble) = match dice.between(0, 9) {
            0 => (TouchedTests::default(), Some("git failed".to_owned())),
            1..=4 => (TouchedTests::default(), None),
            _ => {
                let touches = vec![TestTouch::FewerAssertions];
                let files = vec![TouchedTest { path: "tests/a.rs".to_owned(), touches }];
                (TouchedTests { files, more: dice.between(0, 1) }, None)
            }
        };
        // A git that hangs gives no answer.
        let ms = if dice.percent(10) { dice.between(1, 120_000) } else { dice.between(1, 80) };
        self.counts.add("tests compared");
        if !self.family.comparison_dice.percent(5) {
            self.schedule(ms, Event::TestsCompared(checkpoint, tests, trouble));
        }
    }

    fn measure(&mut self, measure: MeasureId, since: Option<MeasureId>) {
        self.trees.insert(measure, self.tree);
        let before = since.and_then(|since| self.trees.get(&since).copied());
        let tree = if self.fault(self.rates.unmeasured) {
            self.counts.add("tree not measured");
            TreeFact { trouble: Some("git failed".to_owned()), ..TreeFact::default() }
        } else {
            let changed =
                if before.is_some_and(|before| before != self.tree) { vec!["f".to_owned()] } else { Vec::new() };
            TreeFact { fingerprint: Some(self.tree.to_string()), changed, ..TreeFact::default() }
        };
        let late = self.fault(self.rates.late);
        if late {
            self.counts.add("late completion");
        }
        let ms = self.dice.between(1, if late { 120_000 } else { 300 });
        self.schedule(ms, Event::TreeMeasured(measure, tree));
    }
}
