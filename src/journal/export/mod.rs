//! Exports of a journal: a terminal recording, and a copy that can be shown to others.

pub mod asciicast;
mod names;
mod placeholder;
mod scrub;

use crate::core::supervised::{CommandInput, CommandPlan};
use crate::core::{Finish, Input, Plan};
use crate::journal::{JournalInput, RunSummary};

pub use names::{Names, Private};
pub use scrub::Scrubber;

/// What happens to the texts in a copy of a run.
#[derive(Debug)]
pub enum Texts {
    /// They are replaced by placeholders.
    Scrubbed(Box<Scrubber>),
    /// They are kept; only the names of the user, the host and directories are replaced.
    Kept(Names),
}

impl Texts {
    /// Replaces the texts of an agent's plan.
    ///
    /// # Errors
    /// When the result cannot be decoded.
    pub fn plan(&mut self, plan: &Plan) -> Result<Plan, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.plan(plan.clone())),
            Texts::Kept(names) => names.plan(plan),
        }
    }

    /// Replaces the texts of an agent's input.
    ///
    /// # Errors
    /// When the result cannot be decoded.
    pub fn input(&mut self, input: Input) -> Result<Input, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => scrubber.input(input),
            Texts::Kept(names) => names.value(&input, Input::of_json),
        }
    }

    /// Replaces the texts of a command's plan.
    ///
    /// # Errors
    /// When the result cannot be decoded.
    pub fn command_plan(&mut self, plan: &CommandPlan) -> Result<CommandPlan, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.command_plan(plan.clone())),
            Texts::Kept(names) => names.value(plan, |text| serde_json::from_str(text)),
        }
    }

    /// Replaces the texts of a command's input.
    ///
    /// # Errors
    /// When the result cannot be decoded.
    pub fn command_input(&mut self, input: CommandInput) -> Result<CommandInput, serde_json::Error> {
        match self {
            Texts::Scrubbed(scrubber) => Ok(scrubber.command_input(input)),
            Texts::Kept(names) => names.value(&input, JournalInput::of_json),
        }
    }

    /// Replaces the texts of a run's summary; `ended` is the end of the copy.
    #[must_use]
    pub fn summary(&mut self, summary: &RunSummary, ended: Option<&Finish>) -> RunSummary {
        match self {
            Texts::Scrubbed(scrubber) => scrubber.summary(summary.clone(), ended),
            Texts::Kept(names) => names.summary(summary),
        }
    }
}
