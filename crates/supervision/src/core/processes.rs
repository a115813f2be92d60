//! The processes of a run that have not exited: the agent, the critic, and critics that are still ending.

use super::process::Process;
use super::{Action, ProcId, Tick};
use crate::agent::Role;

/// At most one agent, and critics, of which at most one is in use.
#[derive(Debug, Clone, Default)]
pub(super) struct Processes {
    begun: u32,
    agent: Option<Process>,
    critics: Vec<Process>,
    /// One of them has written a line of the agent's protocol, so the program is an agent.
    has_spoken: bool,
    /// The agent is not started before this tick.
    agent_not_before: Tick,
}

impl Processes {
    /// The number of the process that is started next.
    pub(super) fn next_id(&self) -> ProcId {
        ProcId(self.begun + 1)
    }

    /// Adds a process that is being started.
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

    /// Removes a process that has ended.
    pub(super) fn gone(&mut self, proc: ProcId) -> Option<Process> {
        if let Some(agent) = self.agent.take_if(|agent| agent.id == proc) {
            return Some(agent);
        }
        let at = self.critics.iter().position(|critic| critic.id == proc)?;
        Some(self.critics.remove(at))
    }

    /// Removes all processes; the agent may be started at once.
    pub(super) fn all_gone(&mut self, now: Tick) {
        self.agent = None;
        self.critics.clear();
        self.agent_not_before = now;
    }

    /// Sets when the agent may be started.
    pub(super) fn hold_agent(&mut self, until: Tick) {
        self.agent_not_before = until;
    }

    pub(super) fn agent_not_before(&self) -> Tick {
        self.agent_not_before
    }

    /// A process has written a line of the agent's protocol.
    pub(super) fn spoke(&mut self) {
        self.has_spoken = true;
    }

    /// Whether any process of the run has done that.
    pub(super) fn have_spoken(&self) -> bool {
        self.has_spoken
    }

    /// Begins the shutdown of all processes.
    pub(super) fn end(&mut self, now: Tick, grace_ms: u64) -> Vec<Action> {
        self.iter_mut().filter_map(|process| process.begin_end(now, grace_ms)).collect()
    }

    /// Kills all processes.
    pub(super) fn kill(&mut self, now: Tick, grace_ms: u64) -> Vec<Action> {
        self.iter_mut().filter_map(|process| process.kill(now, grace_ms)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Processes;
    use crate::agent::{AgentKind, LaunchRequest, Role, SessionOpen};
    use crate::core::process::Process;
    use crate::core::{Action, ProcId, Tick, Timeouts};

    const GRACE_MS: u64 = 3_000;

    fn begin(processes: &mut Processes, role: Role) -> ProcId {
        let proc = processes.next_id();
        let request = LaunchRequest {
            proc,
            agent_version: "2.1.332",
            ..LaunchRequest::new(role, SessionOpen::New("s".to_owned()), "/p")
        };
        processes.begin(Process::new(AgentKind::default(), &request, Tick::ZERO, Timeouts::DEFAULT));
        proc
    }

    #[test]
    fn each_process_has_a_number_of_its_own_also_when_others_are_gone() {
        let mut processes = Processes::default();
        let (agent, critic) = (begin(&mut processes, Role::Agent), begin(&mut processes, Role::Critic));
        assert_eq!((agent, critic), (ProcId(1), ProcId(2)));
        assert_eq!(processes.agent().map(|agent| agent.id), Some(agent), "the critic takes nobody's place");
        assert_eq!(processes.gone(critic).map(|critic| critic.role), Some(Role::Critic));
        assert_eq!(processes.next_id(), ProcId(3));
        assert_eq!(begin(&mut processes, Role::Critic), ProcId(3));
    }

    #[test]
    fn a_process_is_found_until_it_is_gone_and_only_that_one_goes() {
        let mut processes = Processes::default();
        let agent = begin(&mut processes, Role::Agent);
        let critics = [begin(&mut processes, Role::Critic), begin(&mut processes, Role::Critic)];
        let ids = |processes: &Processes| processes.iter().map(|process| process.id).collect::<Vec<_>>();
        assert_eq!(ids(&processes), [agent, critics[0], critics[1]]);
        assert!(processes.gone(ProcId(9)).is_none(), "nobody has this number");
        assert_eq!(processes.gone(critics[0]).map(|critic| critic.id), Some(critics[0]));
        assert!(processes.gone(critics[0]).is_none(), "it goes once");
        assert_eq!(ids(&processes), [agent, critics[1]]);
        assert_eq!(processes.gone(agent).map(|agent| agent.role), Some(Role::Agent));
        assert!(processes.agent().is_none() && processes.agent_mut().is_none());
        assert!(processes.get(agent).is_none() && processes.get_mut(critics[1]).is_some() && !processes.is_empty());
        assert!(processes.gone(critics[1]).is_some() && processes.is_empty());
    }

    #[test]
    fn all_are_ended_once_and_killed_once() {
        let mut processes = Processes::default();
        let (agent, critic) = (begin(&mut processes, Role::Agent), begin(&mut processes, Role::Critic));
        let closed = [agent, critic].map(|proc| Action::CloseStdin { proc });
        assert_eq!(processes.end(Tick::ZERO, GRACE_MS), closed);
        assert!(processes.end(Tick::ZERO, GRACE_MS).is_empty());
        let killed = [agent, critic].map(|proc| Action::KillTree { proc });
        assert_eq!(processes.kill(Tick::ZERO, GRACE_MS), killed);
        assert!(processes.kill(Tick::ZERO, GRACE_MS).is_empty());
    }

    #[test]
    fn when_all_are_gone_the_agent_may_be_started_at_once_and_is_still_known_to_be_one() {
        let mut processes = Processes::default();
        begin(&mut processes, Role::Agent);
        begin(&mut processes, Role::Critic);
        let (held, now) = (Tick::ZERO.plus_ms(60_000), Tick::ZERO.plus_ms(1_000));
        processes.hold_agent(held);
        assert_eq!(processes.agent_not_before(), held);
        assert!(!processes.have_spoken());
        processes.spoke();
        processes.all_gone(now);
        assert!(processes.is_empty() && processes.have_spoken());
        assert_eq!((processes.agent_not_before(), processes.next_id()), (now, ProcId(3)));
    }
}
