//! Exit codes, which are part of the command line's contract.

use crate::core::Outcome;
use crate::order::sort_by_key;

/// The exit code of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitCode(u8);

impl ExitCode {
    /// The task is done, or the command succeeded.
    pub const COMPLETED: Self = Self(Outcome::Completed.exit_code());
    /// The run, or the command, failed.
    pub const FAILED: Self = Self(Outcome::Failed.exit_code());
    /// Wrong usage or configuration: nothing was started.
    pub const USAGE: Self = Self(2);
    /// The user or the system asked ccc to stop (128 + SIGINT, as in shells).
    pub const INTERRUPTED: Self = Self(Outcome::Interrupted.exit_code());

    /// All codes in order, each with its words and its meaning: those of the outcomes, and the code of a run that did not begin.
    #[must_use]
    pub fn all() -> Vec<(u8, &'static str, &'static str)> {
        let of = |outcome: Outcome| (outcome.exit_code(), outcome.in_words(), outcome.meaning());
        let mut rows: Vec<_> = Outcome::ALL.into_iter().map(of).collect();
        rows.push((Self::USAGE.0, "usage or configuration", "wrong usage or configuration; nothing was started"));
        sort_by_key(&mut rows, |row| row.0);
        rows
    }

    /// All codes in one sentence, for the help.
    #[must_use]
    pub(super) fn in_words() -> String {
        let rows = Self::all().into_iter().map(|(code, words, meaning)| match code {
            75 => format!("{code} {words} ({meaning})"),
            _ => format!("{code} {words}"),
        });
        format!("Exit codes: {}.", rows.collect::<Vec<_>>().join(", "))
    }

    /// The code of the scripted agent. It follows the contract of the CLI that it imitates.
    #[must_use]
    pub(super) const fn of_agent(code: u8) -> Self {
        Self(code)
    }

    /// The code of a supervised command, passed on.
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
