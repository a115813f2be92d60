//! What the core asks for, done to the simulated world.

use std::collections::VecDeque;
use std::sync::Arc;

use super::process::Process;
use super::world::{Event, World};
use crate::agent::Role;
use crate::core::{Action, CheckEnd, Input, MeasureId, ProcId, Send, Signal, Spawn, SpawnFault, TreeFact, derive_uuid};
use crate::demo::scripted::{Open, Options, Parsed, ScriptedAgent, Signalled};

impl World {
    pub(super) fn perform(&mut self, action: Action, at_once: &mut VecDeque<Input>) -> Result<(), String> {
        if self.finish.is_some() {
            return Err(format!("an action after the end: {action:?}"));
        }
        match action {
            Action::Spawn(spawn) => at_once.push_back(self.spawn(&spawn)?),
            Action::Send(send) => return self.send(&send, at_once),
            Action::Interrupt { proc } => {
                let bytes = self.plan.agent.encode_interrupt("interrupt-1");
                self.write(proc, bytes, false);
            }
            Action::Answer { proc, request_id, denial } => {
                let bytes = self.plan.agent.encode_denial(&request_id, &denial);
                self.write(proc, bytes, false);
            }
            Action::CloseStdin { proc } => self.on_its_way(proc, Event::InputEnded(proc)),
            Action::Signal { proc, signal } => {
                let signal = match signal {
                    Signal::Int => Signalled::Interrupt,
                    Signal::Term => Signalled::Terminate,
                };
                self.schedule(0, Event::Signalled(proc, signal));
            }
            Action::KillTree { proc } => self.end_process(proc, None, Some(9)),
            Action::RunCheck { check, timeout_ms, .. } => {
                self.agent_rests()?;
                if let Some(running) = self.running_check.replace(check) {
                    return Err(format!("check {check:?} is started while {running:?} runs"));
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
            Action::MeasureTree { measure, since } => self.measure(measure, since),
            Action::Finish(finish) => {
                self.laws.finish(&finish)?;
                self.finish = Some(finish);
            }
            action @ (Action::SetCredential { .. }
            | Action::ReportToken { .. }
            | Action::ReadTokens { .. }
            | Action::ProbeToken { .. }
            | Action::Ask(_)) => return Err(format!("there is no token, and yet: {action:?}")),
            Action::Decide(_) | Action::Note(_) | Action::Show(_) => {}
        }
        Ok(())
    }

    fn spawn(&mut self, spawn: &Spawn) -> Result<Input, String> {
        let live = self.processes.values().filter(|process| process.alive && process.role == Role::Agent).count();
        self.laws.spawn(spawn.role == Role::Agent, live, self.plan.budgets.max_restarts)?;
        if spawn.role == Role::Critic {
            self.agent_rests()?;
        }
        if self.fault(self.rates.spawn_fails) {
            if spawn.role == Role::Agent {
                self.laws.agent_died();
            }
            let message = "Resource temporarily unavailable".to_owned();
            return Ok(Input::SpawnFailed { proc: spawn.proc, fault: SpawnFault::Exhausted, message });
        }
        let mut options = match Options::parse(&spawn.launch.args, self.cli.version) {
            Parsed::Run(options) => *options,
            refused @ (Parsed::Tell(_) | Parsed::Refuse(_)) => {
                return Err(format!("the CLI does not take the adapter's arguments: {refused:?}"));
            }
        };
        options.partial &= self.cli.partial;
        options.session_states = self.cli.session_states;
        options.cwd.clone_from(&spawn.launch.cwd);
        options.nonce = format!("{} {}", self.seed, spawn.proc);
        if options.session_id.is_empty() {
            options.session_id = derive_uuid(&options.nonce, "session", 1);
        }
        let transcript = match &options.open {
            Open::Unnamed => None,
            Open::New(_) | Open::Resume(_) | Open::Latest | Open::Fork(_) => self.transcript.clone(),
        };
        let agent = ScriptedAgent::new(Arc::clone(&self.script), options, transcript, self.critics_ended);
        self.processes.insert(spawn.proc, Process::new(spawn.role, agent, self.now_us));
        self.started += 1;
        let start_ms = self.dice.between(1, 600);
        self.schedule(start_ms, Event::Wake(spawn.proc));
        if self.fault(self.rates.killed) {
            let most_ms = if self.dice.one_in_thousand(500) { 1_000 } else { 90_000 };
            let ms = self.dice.between(0, most_ms);
            self.schedule(ms, Event::Killed(spawn.proc));
        }
        Ok(Input::Spawned { proc: spawn.proc, pid: spawn.proc.0, transport: "simulated".to_owned() })
    }

    /// A stop is judged while the agent is idle, as far as it has said.
    fn agent_rests(&self) -> Result<(), String> {
        let works = |process: &Process| {
            process.role == Role::Agent && process.alive && process.agent.is_busy() && process.in_transit == 0
        };
        match self.processes.iter().find(|(_, process)| works(process)) {
            Some((proc, _)) => Err(format!("a stop is judged while agent {proc} works and had said so")),
            None => Ok(()),
        }
    }

    fn send(&mut self, send: &Send, at_once: &mut VecDeque<Input>) -> Result<(), String> {
        let Some(process) = self.processes.get(&send.proc) else {
            return Err(format!("a turn is sent to process {}, which never was or is long gone", send.proc));
        };
        if process.turns_in_transit > 0 {
            return Err(format!("two turns are sent to process {} at once", send.proc));
        }
        if process.alive && process.agent.is_busy() && process.in_transit == 0 {
            return Err(format!("a turn is sent to process {}, which is busy and had said so", send.proc));
        }
        let alive = process.alive;
        self.laws.asks_the_provider()?;
        if process.role == Role::Agent {
            self.laws.send(send)?;
        }
        if alive {
            let bytes = self.plan.agent.encode_turn(&send.turn, send.kind, &send.text);
            self.write(send.proc, bytes, true);
        } else {
            at_once.push_back(Input::WriteFailed { proc: send.proc, message: "Broken pipe".to_owned() });
        }
        Ok(())
    }

    fn write(&mut self, proc: ProcId, bytes: Vec<u8>, turn: bool) {
        if let Some(process) = self.processes.get_mut(&proc) {
            process.turns_in_transit += usize::from(turn);
        }
        self.on_its_way(proc, Event::Input(proc, bytes, turn));
    }

    /// What is written to a process arrives in order.
    fn on_its_way(&mut self, proc: ProcId, event: Event) {
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
        match self.dice.between(0, 9) {
            0 => (timeout_ms, CheckEnd::TimedOut),
            1 => (self.dice.between(1, 30_000), CheckEnd::Signalled(9)),
            2 => (1, CheckEnd::NotStarted("no shell".to_owned())),
            _ => (self.dice.between(1, 30_000), CheckEnd::Exited(1)),
        }
    }

    fn measure(&mut self, measure: MeasureId, since: Option<MeasureId>) {
        self.trees.insert(measure, self.tree);
        let before = since.and_then(|since| self.trees.get(&since).copied());
        let tree = if self.fault(self.rates.unmeasured) {
            TreeFact { fingerprint: None, changed: Vec::new(), trouble: Some("git failed".to_owned()) }
        } else {
            let changed =
                if before.is_some_and(|before| before != self.tree) { vec!["f".to_owned()] } else { Vec::new() };
            TreeFact { fingerprint: Some(self.tree.to_string()), changed, trouble: None }
        };
        let late = self.fault(self.rates.late);
        let ms = self.dice.between(1, if late { 120_000 } else { 300 });
        self.schedule(ms, Event::TreeMeasured(measure, tree));
    }
}
