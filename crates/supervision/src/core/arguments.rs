//! Which of the user's arguments the agent's CLI accepts. Arguments with which the CLI exits before the first line of its
//! protocol are dropped if earlier arguments have worked.

use super::restart::AgentEnd;
use super::{Core, Needs, Outcome};

/// The user's arguments for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentArguments {
    /// All of them, in order.
    pub all: Vec<String>,
    /// Those from the command line.
    pub given: Vec<String>,
}

/// What is known of the arguments so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tried {
    /// The last arguments with which an agent wrote a line of its protocol.
    accepted: Option<AgentArguments>,
    /// An agent wrote a line with the present arguments.
    taken: bool,
    /// An agent ended with the present arguments without writing a line.
    refused: bool,
}

impl Tried {
    /// An agent writes with the present arguments. `present` is called only the first time.
    fn taken(&mut self, present: impl FnOnce() -> AgentArguments) {
        if !self.taken {
            *self = Tried { accepted: Some(present()), taken: true, refused: false };
        }
    }

    /// The arguments have changed.
    fn changed(&mut self) {
        (self.taken, self.refused) = (false, false);
    }

    /// Whether the arguments may explain the agent's end: no agent has written a line with them.
    fn may_be_why(&self) -> bool {
        !self.taken
    }

    /// Records that the arguments may explain the end. Gives the last accepted ones.
    fn refused(&mut self) -> Option<&[String]> {
        self.refused = true;
        self.accepted.as_ref().map(|accepted| accepted.all.as_slice())
    }
}

impl Core {
    /// Whether the agent's CLI ended with the present arguments without writing a line.
    #[must_use]
    pub fn arguments_are_refused(&self) -> bool {
        self.tried.refused
    }

    /// The last arguments with which an agent wrote a line of its protocol.
    #[must_use]
    pub fn accepted_arguments(&self) -> Option<&AgentArguments> {
        self.tried.accepted.as_ref()
    }

    /// An agent has written a line of its protocol.
    pub(super) fn arguments_are_taken(&mut self) {
        let plan = &self.plan;
        self.tried.taken(|| AgentArguments { all: plan.agent_args.clone(), given: plan.given_agent_args() });
    }

    /// The arguments have changed.
    pub(super) fn arguments_changed(&mut self) {
        self.tried.changed();
    }

    /// Ends the run because the agent is not started again. If no agent has written a line with the present arguments, they may
    /// be the cause.
    pub(super) fn close_as_given_up(&mut self, death: &AgentEnd, reason: &str) {
        let ended = match death {
            AgentEnd::Exited(_) | AgentEnd::NoAgent => true,
            AgentEnd::Hung | AgentEnd::NotStarted | AgentEnd::NoProgram => false,
        };
        if !self.tried.may_be_why() || !ended || self.plan.agent_args.is_empty() {
            self.close(Outcome::Failed, reason);
            return;
        }
        let accepted = self.tried.refused();
        let falls_back = accepted.is_some_and(|accepted| accepted != self.plan.agent_args);
        let proven = accepted.unwrap_or_else(|| self.plan.configured_agent_args()).to_vec();
        self.close_needing(Outcome::Failed, reason, Needs::Arguments { proven, falls_back });
    }
}
