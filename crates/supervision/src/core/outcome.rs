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

/// How an outcome reads to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// What was wanted.
    Good,
    /// The user is to look at it.
    Warn,
    /// Something went wrong.
    Bad,
}

/// Which of the agent's denied calls may be what holds the work up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// None.
    Nothing,
    /// What was denied before the last two stops. The run needs more than that to go on.
    Lately,
    /// All that was ever denied: a permission alone lets the run go on.
    Ever,
}

/// What is told at the end of a supervised command, besides its own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Nothing, as after any program.
    Nothing,
    /// The reason.
    Reason,
    /// The reason, as an error.
    Error,
}

/// All that the program knows of an outcome but who decides it, the hint for going on (`ui/advice.rs`) and the law that holds
/// in the simulation.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeRow {
    /// The word in JSON and journals.
    word: &'static str,
    /// The words for people, everywhere the same.
    in_words: &'static str,
    /// The process exit code.
    exit_code: u8,
    /// What it means, for the manual.
    meaning: &'static str,
    /// How it reads.
    pub tone: Tone,
    /// Which denied calls are allowed by the command that goes on.
    pub(super) denied: Denied,
    /// The reason names the permissions that were missing.
    pub(super) names_permissions: bool,
    /// It has nothing to do with the work: a stop whose judging it breaks off is judged when the run goes on.
    pub(super) breaks_off: bool,
    /// What a supervised command that ends so says.
    pub told_of_command: Told,
}

/// What most outcomes have in common.
const ROW: OutcomeRow = OutcomeRow {
    word: "",
    in_words: "",
    exit_code: 1,
    meaning: "",
    tone: Tone::Warn,
    denied: Denied::Nothing,
    names_permissions: false,
    breaks_off: false,
    told_of_command: Told::Reason,
};

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

    /// All that is known of it.
    #[must_use]
    pub const fn row(self) -> OutcomeRow {
        match self {
            Outcome::Completed => OutcomeRow {
                word: "completed",
                in_words: "completed",
                exit_code: 0,
                meaning: "the critic agreed that the task is done",
                tone: Tone::Good,
                told_of_command: Told::Nothing,
                ..ROW
            },
            Outcome::Failed => OutcomeRow {
                word: "failed",
                in_words: "failed",
                exit_code: 1,
                meaning: "the agent, the critic or the provider failed for good",
                tone: Tone::Bad,
                names_permissions: true,
                told_of_command: Told::Error,
                ..ROW
            },
            Outcome::NeedsUser => OutcomeRow {
                word: "needs_user",
                in_words: "needs you",
                exit_code: 3,
                meaning: "only you can answer what the critic asks",
                denied: Denied::Lately,
                names_permissions: true,
                ..ROW
            },
            Outcome::Budget => OutcomeRow {
                word: "budget",
                in_words: "budget spent",
                exit_code: 4,
                meaning: "iterations, time, money or tokens are spent",
                denied: Denied::Lately,
                names_permissions: true,
                ..ROW
            },
            Outcome::Stuck => OutcomeRow {
                word: "stuck",
                in_words: "stuck",
                exit_code: 5,
                meaning: "the same feedback again and again while nothing changes",
                tone: Tone::Bad,
                denied: Denied::Ever,
                names_permissions: true,
                ..ROW
            },
            Outcome::Limits => OutcomeRow {
                word: "limits",
                in_words: "limited",
                exit_code: 75,
                meaning: "all tokens, and not waiting",
                breaks_off: true,
                ..ROW
            },
            Outcome::Interrupted => OutcomeRow {
                word: "interrupted",
                in_words: "interrupted",
                exit_code: 130,
                meaning: "you, or the system, asked ccc to stop",
                breaks_off: true,
                told_of_command: Told::Nothing,
                ..ROW
            },
        }
    }

    /// The process exit code of a run that ended so.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().exit_code
    }

    /// The word that people read, everywhere the same.
    #[must_use]
    pub const fn in_words(self) -> &'static str {
        self.row().in_words
    }

    /// What it means, for the manual.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        self.row().meaning
    }

    /// The outcome of this name in JSON.
    #[must_use]
    pub fn named(name: &str) -> Option<Outcome> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == name)
    }

    /// The word used in JSON and journals.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.row().word
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
