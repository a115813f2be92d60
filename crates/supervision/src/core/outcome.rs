//! How a run can end: one table of outcomes with their word, exit code and meaning.

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

/// What is said of an outcome, in the one place where it is.
struct Row(&'static str, &'static str, u8, &'static str);

impl Outcome {
    /// All of them, in the order of their exit codes.
    pub const ALL: [Outcome; 7] = [
        Outcome::Completed,
        Outcome::Failed,
        Outcome::NeedsUser,
        Outcome::Budget,
        Outcome::Stuck,
        Outcome::Limits,
        Outcome::Interrupted,
    ];

    /// The word in JSON, the words for people, the exit code, and what it means.
    const fn row(self) -> Row {
        match self {
            Outcome::Completed => Row("completed", "completed", 0, "the critic agreed that the task is done"),
            Outcome::Failed => Row("failed", "failed", 1, "the agent, the critic or the provider failed for good"),
            Outcome::NeedsUser => Row("needs_user", "needs you", 3, "only you can answer what the critic asks"),
            Outcome::Budget => Row("budget", "budget spent", 4, "iterations, time, money or tokens are spent"),
            Outcome::Stuck => Row("stuck", "stuck", 5, "the same feedback again and again while nothing changes"),
            Outcome::Limits => Row("limits", "limited", 75, "all tokens, and not waiting"),
            Outcome::Interrupted => Row("interrupted", "interrupted", 130, "you, or the system, asked ccc to stop"),
        }
    }

    /// The process exit code of a run that ended so.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().2
    }

    /// The word that people read, everywhere the same.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        self.row().1
    }

    /// What it means, for the manual.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.row().3
    }

    /// The outcome of this name in JSON.
    #[must_use]
    pub fn named(name: &str) -> Option<Outcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The word used in JSON and journals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }
}

#[cfg(test)]
mod tests {
    use super::Outcome;

    #[test]
    fn every_outcome_is_read_by_the_name_that_it_is_written_with() {
        for outcome in Outcome::ALL {
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.as_str());
            assert_eq!(Outcome::named(outcome.as_str()), Some(outcome));
        }
        assert_eq!(Outcome::named("vanished"), None);
    }
}
