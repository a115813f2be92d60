//! How a run can end: one table of outcomes with their word, exit code and meaning.

use serde::{Deserialize, Serialize};

/// Why a run ended. Its exit code is part of the contract of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The critic agreed that the task is done.
    Completed,
    /// Only the user can answer what the critic asks.
    NeedsUser,
    /// A bound on iterations, time, money or tokens is spent.
    Budget,
    /// The same feedback again and again while nothing changes.
    Stuck,
    /// Every token is limited, and the run does not wait.
    Limits,
    /// The agent, the critic or the provider failed permanently.
    Failed,
    /// The user, or the system, asked ccc to stop.
    Interrupted,
}

/// How an outcome is presented to the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// Success.
    Good,
    /// The user should look at it.
    Warn,
    /// Something went wrong.
    Bad,
}

/// Which of the agent's denied calls may block the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// None.
    Nothing,
    /// Calls denied before the last two stops. The run needs more than the permission to continue.
    Lately,
    /// All denied calls: the permission alone lets the run continue.
    Ever,
}

/// What the command that resumes the run needs, in addition to what the run needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// Nothing.
    AsItIs,
    /// A message of the user.
    WithWords,
    /// A higher value of the spent bound.
    WithMore,
    /// A wait until the limit has reset.
    PastLimit,
}

/// What is printed at the end of a supervised command, after its own output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndWords {
    /// Nothing, as after any program.
    Nothing,
    /// The reason.
    Reason,
    /// The reason, as an error.
    Error,
}

/// The description of an outcome, except for where it is decided and its law in the simulation.
#[derive(Debug, Clone, Copy)]
pub struct OutcomeRow {
    /// The word in JSON and journals.
    word: &'static str,
    /// The words for the user.
    in_words: &'static str,
    /// The process exit code.
    exit_code: u8,
    /// What it means, for the manual.
    meaning: &'static str,
    /// How it is presented.
    pub tone: Tone,
    /// Which denied calls the command that resumes the run allows.
    pub(super) denied: Denied,
    /// The reason names the missing permissions.
    pub(super) names_permissions: bool,
    /// It does not concern the work: an interrupted review of a stop is repeated when the run is resumed.
    pub(super) breaks_off: bool,
    /// What is printed for a supervised command.
    pub told_of_command: EndWords,
    /// What the command that resumes the run needs.
    pub goes_on: GoesOn,
}

impl OutcomeRow {
    /// Whether a permission alone lets the run continue.
    #[must_use]
    pub fn goes_on_by_permission(&self) -> bool {
        self.denied == Denied::Ever
    }
}

/// The defaults of a row.
const ROW: OutcomeRow = OutcomeRow {
    word: "",
    in_words: "",
    exit_code: 1,
    meaning: "",
    tone: Tone::Warn,
    denied: Denied::Nothing,
    names_permissions: false,
    breaks_off: false,
    told_of_command: EndWords::Reason,
    goes_on: GoesOn::AsItIs,
};

impl Outcome {
    /// All outcomes, in the order of their exit codes.
    pub const ALL: [Outcome; 7] = [
        Outcome::Completed,
        Outcome::Failed,
        Outcome::NeedsUser,
        Outcome::Budget,
        Outcome::Stuck,
        Outcome::Limits,
        Outcome::Interrupted,
    ];

    /// Its description.
    #[must_use]
    pub const fn row(self) -> OutcomeRow {
        match self {
            Outcome::Completed => OutcomeRow {
                word: "completed",
                in_words: "completed",
                exit_code: 0,
                meaning: "the critic agreed that the task is done",
                tone: Tone::Good,
                told_of_command: EndWords::Nothing,
                ..ROW
            },
            Outcome::Failed => OutcomeRow {
                word: "failed",
                in_words: "failed",
                exit_code: 1,
                meaning: "the agent, the critic or the provider failed for good",
                tone: Tone::Bad,
                names_permissions: true,
                told_of_command: EndWords::Error,
                ..ROW
            },
            Outcome::NeedsUser => OutcomeRow {
                word: "needs_user",
                in_words: "needs you",
                exit_code: 3,
                meaning: "only you can answer what the critic asks",
                denied: Denied::Lately,
                names_permissions: true,
                goes_on: GoesOn::WithWords,
                ..ROW
            },
            Outcome::Budget => OutcomeRow {
                word: "budget",
                in_words: "budget spent",
                exit_code: 4,
                meaning: "iterations, time, money or tokens are spent",
                denied: Denied::Lately,
                names_permissions: true,
                goes_on: GoesOn::WithMore,
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
                goes_on: GoesOn::WithWords,
                ..ROW
            },
            Outcome::Limits => OutcomeRow {
                word: "limits",
                in_words: "limited",
                exit_code: 75,
                meaning: "all tokens, and not waiting",
                breaks_off: true,
                goes_on: GoesOn::PastLimit,
                ..ROW
            },
            Outcome::Interrupted => OutcomeRow {
                word: "interrupted",
                in_words: "interrupted",
                exit_code: 130,
                meaning: "you, or the system, asked ccc to stop",
                breaks_off: true,
                told_of_command: EndWords::Nothing,
                ..ROW
            },
        }
    }

    /// The process exit code of a run with this outcome.
    #[must_use]
    pub const fn exit_code(self) -> u8 {
        self.row().exit_code
    }

    /// The words for the user.
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
