use serde::{Deserialize, Serialize};

/// The one reason why a run ended. Its exit code is part of the command line's contract.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The critic agreed that the task is done.
    Completed,
    /// Only the user can answer what the critic asks.
    NeedsUser,
    /// Iterations, time or money are spent.
    Budget,
    /// The same feedback again and again while nothing changes.
    Stuck,
    /// Every token is limited and waiting was not wanted.
    Limits,
    /// The agent, the critic or the provider failed for good.
    Failed,
    /// The user, or the system, asked ccc to stop.
    Interrupted,
}

impl Outcome {
    /// The process exit code of a run that ended so.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Outcome::Completed => 0,
            Outcome::Failed => 1,
            Outcome::NeedsUser => 3,
            Outcome::Budget => 4,
            Outcome::Stuck => 5,
            Outcome::Limits => 75,
            Outcome::Interrupted => 130,
        }
    }

    /// The word that people read, everywhere the same.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::NeedsUser => "needs you",
            Outcome::Budget => "budget spent",
            Outcome::Stuck => "stuck",
            Outcome::Limits => "limited",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }

    /// The outcome of this name in JSON.
    #[must_use]
    pub fn named(name: &str) -> Option<Outcome> {
        [
            Outcome::Completed,
            Outcome::NeedsUser,
            Outcome::Budget,
            Outcome::Stuck,
            Outcome::Limits,
            Outcome::Failed,
            Outcome::Interrupted,
        ]
        .into_iter()
        .find(|outcome| outcome.as_str() == name)
    }

    /// The word used in JSON and journals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Outcome::Completed => "completed",
            Outcome::NeedsUser => "needs_user",
            Outcome::Budget => "budget",
            Outcome::Stuck => "stuck",
            Outcome::Limits => "limits",
            Outcome::Failed => "failed",
            Outcome::Interrupted => "interrupted",
        }
    }
}
