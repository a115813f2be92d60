//! Ways out of a journal: a terminal recording, and a copy that may be shown to others.

pub mod asciicast;
mod names;
mod placeholder;
mod scrub;

use crate::core::supervised::{CommandInput, CommandPlan};
use crate::core::{Finish, Input, Plan};
use crate::journal::RunSummary;

pub use names::{Names, Private};
pub use scrub::Scrubber;

/// What becomes of the texts in a copy of a run.
#[derive(Debug)]
pub enum Texts {
    /// Placeholders take their places.
    Scrubbed(Box<Scrubber>),
    /// They are kept; only the names of user, machine and directories are replaced.
    Kept(Names),
}

impl Texts {
    /// An agent's plan.
    ///
    /// # Errors
    /// When it does not mean the same any more.
    pub fn plan(&mut self, plan: &Plan) -> Result<Plan, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.plan(plan.clone())),
            Texts::Kept(names) => names.plan(plan),
        }
    }

    /// An agent's input.
    ///
    /// # Errors
    /// When it does not mean the same any more.
    pub fn input(&mut self, input: Input) -> Result<Input, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => scrubber.input(input),
            Texts::Kept(names) => names.value(&input),
        }
    }

    /// A command's plan.
    ///
    /// # Errors
    /// When it does not mean the same any more.
    pub fn command_plan(&mut self, plan: &CommandPlan) -> Result<CommandPlan, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.command_plan(plan.clone())),
            Texts::Kept(names) => names.value(plan),
        }
    }

    /// A command's input.
    ///
    /// # Errors
    /// When it does not mean the same any more.
    pub fn command_input(&mut self, input: CommandInput) -> Result<CommandInput, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.command_input(input)),
            Texts::Kept(names) => names.value(&input),
        }
    }

    /// A run's summary; `ended` is what the copy ended with.
    #[must_use]
    pub fn summary(&mut self, summary: &RunSummary, ended: Option<&Finish>) -> RunSummary {
        match self {
            Texts::Scrubbed(scrubber) => scrubber.summary(summary.clone(), ended),
            Texts::Kept(names) => names.summary(summary),
        }
    }
}
