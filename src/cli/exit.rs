//! Exit codes: part of the command line's contract.

use crate::core::Outcome;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// The task is done, or the command did what it was asked for.
    pub const COMPLETED: Self = Self(0);
    /// The run, or the command, failed.
    pub const FAILED: Self = Self(1);
    /// Wrong usage or configuration: nothing was started.
    pub const USAGE: Self = Self(2);
    /// Only the user can answer what the critic asks.
    pub const NEEDS_USER: Self = Self(3);
    /// Iterations, time or money are spent.
    pub const BUDGET: Self = Self(4);
    /// The same feedback again and again while nothing changes.
    pub const STUCK: Self = Self(5);
    /// Every token is limited and waiting was not wanted (`EX_TEMPFAIL`: try again later).
    pub const LIMITS: Self = Self(75);
    /// The user, or the system, asked ccc to stop (128 + SIGINT, as shells have it).
    pub const INTERRUPTED: Self = Self(130);

    /// The code of the scripted agent, which has a contract of its own: that of the CLI it stands for.
    #[must_use]
    pub(super) const fn of_agent(code: u8) -> Self {
        Self(code)
    }

    /// The code of a supervised command, where it is to be passed on.
    #[must_use]
    pub(super) const fn of_command(code: u8) -> Self {
        Self(code)
    }

    /// The number.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self.0
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self(outcome.exit_code())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;
    use crate::core::Outcome;

    #[test]
    fn every_outcome_has_the_code_that_the_manual_names() {
        for (outcome, code) in [
            (Outcome::Completed, ExitCode::COMPLETED),
            (Outcome::Failed, ExitCode::FAILED),
            (Outcome::NeedsUser, ExitCode::NEEDS_USER),
            (Outcome::Budget, ExitCode::BUDGET),
            (Outcome::Stuck, ExitCode::STUCK),
            (Outcome::Limits, ExitCode::LIMITS),
            (Outcome::Interrupted, ExitCode::INTERRUPTED),
        ] {
            assert_eq!(ExitCode::from(outcome), code);
        }
    }
}
