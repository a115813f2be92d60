//! The processes of a run that are not known to be gone: the agent's, the critic's, and critics that are still ending.

use super::process::Process;
use super::{Action, ProcId, Tick};
use crate::agent::Role;

/// At most one of the agent's, and critics, of which at most one is asked anything.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    begun: u32,
    agent: Option<Process>,
    critics: Vec<Process>,
    /// One of them has said a line of the agent's protocol: the program is an agent.
    has_spoken: bool,
    /// The agent is not started before this.
    agent_not_before: Tick,
}

impl Processes {
    /// The number of the process that is started next.
    pub(super) fn next_id(&self) -> ProcId {
        ProcId(self.begun + 1)
    }

    /// This process was asked for.
    pub(super) fn begin(&mut self, process: Process) {
        self.begun = process.id.0;
        match process.role {
            Role::Agent => self.agent = Some(process),
            Role::Critic => self.critics.push(process),
        }
    }

    pub(super) fn agent(&self) -> Option<&Process> {
        self.agent.as_ref()
    }

    pub(super) fn agent_mut(&mut self) -> Option<&mut Process> {
        self.agent.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.agent.iter().chain(&self.critics)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.agent.iter_mut().chain(&mut self.critics)
    }

    pub(super) fn get(&self, proc: ProcId) -> Option<&Process> {
        self.iter().find(|process| process.id == proc)
    }

    pub(super) fn get_mut(&mut self, proc: ProcId) -> Option<&mut Process> {
        self.iter_mut().find(|process| process.id == proc)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// This process is gone.
    pub(super) fn gone(&mut self, proc: ProcId) -> Option<Process> {
        if let Some(agent) = self.agent.take_if(|agent| agent.id == proc) {
            return Some(agent);
        }
        let at = self.critics.iter().position(|critic| critic.id == proc)?;
        Some(self.critics.remove(at))
    }

    /// All are gone, and the agent may be started at once.
    pub(super) fn all_gone(&mut self, now: Tick) {
        self.agent = None;
        self.critics.clear();
        self.agent_not_before = now;
    }

    /// The agent is started no earlier than this.
    pub(super) fn hold_agent(&mut self, until: Tick) {
        self.agent_not_before = until;
    }

    pub(super) fn agent_not_before(&self) -> Tick {
        self.agent_not_before
    }

    /// A process has said a line of the agent's protocol.
    pub(super) fn spoke(&mut self) {
        self.has_spoken = true;
    }

    /// Whether any process of the run has ever said one.
    pub(super) fn have_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Begins the end of all that still run.
    pub(super) fn end(&mut self, now: Tick, grace_ms: u64) -> Vec<Action> {
        self.iter_mut().filter_map(|process| process.begin_end(now, grace_ms)).collect()
    }

    /// Kills all that still run.
    pub(super) fn kill(&mut self, now: Tick, grace_ms: u64) -> Vec<Action> {
        self.iter_mut().filter_map(|process| process.kill(now, grace_ms)).collect()
    }
}
