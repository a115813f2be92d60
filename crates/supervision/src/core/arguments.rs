//! Which of the user's arguments for the agent its CLI accepts. Arguments with which the CLI exits at once, before the first
//! line of its protocol, are dropped if earlier arguments have worked.

use super::restart::Death;
use super::{Core, Needs, Outcome};

/// The user's arguments for the agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentArguments {
    /// All, in their order.
    pub all: Vec<String>,
    /// Those of them that were given on the command line.
    pub given: Vec<String>,
}

/// What became of the arguments so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Tried {
    /// The last with which an agent has spoken.
    accepted: Option<AgentArguments>,
    /// An agent has spoken with the present ones.
    taken: bool,
    /// An agent has ended with the present ones without a word.
    refused: bool,
}

impl Tried {
    /// An agent speaks with the present ones. `present` gives them, where that is news.
    fn taken(&mut self, present: impl FnOnce() -> AgentArguments) {
        if !self.taken {
            *self = Tried { accepted: Some(present()), taken: true, refused: false };
        }
    }

    /// There are others now.
    fn changed(&mut self) {
        (self.taken, self.refused) = (false, false);
    }

    /// The agent has ended for good; false when it has spoken with the present ones, so that they are not why.
    fn may_be_why(&self) -> bool {
        !self.taken
    }

    /// They may be why. Gives the last ones with which an agent has spoken.
    fn refused(&mut self) -> Option<&[String]> {
        self.refused = true;
        self.accepted.as_ref().map(|accepted| accepted.all.as_slice())
    }
}

impl Core {
    /// The agent's CLI has ended with the present arguments without a word.
    #[must_use]
    pub fn arguments_are_refused(&self) -> bool {
        self.tried.refused
    }

    /// The last arguments with which an agent has spoken.
    #[must_use]
    pub fn accepted_arguments(&self) -> Option<&AgentArguments> {
        self.tried.accepted.as_ref()
    }

    /// An agent speaks.
    pub(super) fn arguments_are_taken(&mut self) {
        let plan = &self.plan;
        self.tried.taken(|| AgentArguments { all: plan.agent_args.clone(), given: plan.given_agent_args() });
    }

    /// There are others now.
    pub(super) fn arguments_changed(&mut self) {
        self.tried.changed();
    }

    /// The agent's process is gone for good. Where it has never said a word with the present arguments, they may be why.
    pub(super) fn close_as_given_up(&mut self, death: &Death, reason: &str) {
        let ended = match death {
            Death::Exited(_) | Death::NoAgent => true,
            Death::Hung | Death::NotStarted | Death::NoProgram => false,
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
