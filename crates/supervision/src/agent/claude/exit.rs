//! The meaning of the process's exit.

use crate::agent::ExitCause;
use crate::words::ExitFact;

/// Prefixes of the error messages for wrong usage, after an optional `Error: `; the same command line would fail
/// again. The first come from the option parser, the others from the CLI itself (measured on 2.1.197 and 2.1.329,
/// each with exit code 1).
pub(super) const BAD_USAGE: &[&str] = &[
    "error: unknown option",
    "error: option '",
    "error: unknown command",
    "error: too many arguments",
    "Invalid session ID",
    "--resume requires a valid session ID",
    "Invalid MCP configuration",
    "Cannot use both",
    "Settings file not found",
    "System prompt file not found",
    "Append system prompt file not found",
    "No deferred tool marker found",
    "Input must be provided either through stdin",
];

/// A refusal that a restart does not fix: permission checks switched off as root.
pub(super) const REFUSED: &str = "cannot be used with root/sudo privileges";

/// The optional prefix of an error message.
pub(super) const COMPLAINT: &str = "Error: ";
/// Beginning and end of the error that another process uses the session.
pub(super) const SESSION_IN_USE: (&str, &str) = ("Session ID ", "is already in use.");
/// The error that the session does not exist.
pub(super) const SESSION_UNKNOWN: &str = "No conversation found";
/// The error about an unreadable message.
pub(super) const MESSAGE_UNREADABLE: &str = "Error parsing streaming input line";

/// `session_begun`: the session had begun, in this process or in an earlier one.
///
/// An error message counts only at the beginning of a stderr line and with its exit code: tools and models do not
/// write to the CLI's stderr, but may be quoted there. Exit code 1 without an error message is a clean exit once a
/// session had begun: the CLI uses it when the last result was an error (facts §3). An unreadable message is reported
/// on stderr and is a crash.
pub(super) fn cause(exit: &ExitFact, session_begun: bool) -> ExitCause {
    if exit.signal.is_some() {
        return ExitCause::Crash;
    }
    match exit.code {
        Some(0) => ExitCause::Clean,
        Some(1) => exit.stderr_tail.lines().find_map(complaint).unwrap_or(if session_begun {
            ExitCause::Clean
        } else {
            ExitCause::Crash
        }),
        Some(_) | None => ExitCause::Crash,
    }
}

fn complaint(line: &str) -> Option<ExitCause> {
    // When stdout is a terminal, the CLI colours its messages, even on a stderr that is not a terminal.
    let plain = without_colours(line);
    let line = plain.trim();
    let said = line.strip_prefix(COMPLAINT).unwrap_or(line);
    if said.starts_with(SESSION_IN_USE.0) && said.ends_with(SESSION_IN_USE.1) {
        Some(ExitCause::SessionInUse)
    } else if said.starts_with(SESSION_UNKNOWN) {
        Some(ExitCause::SessionUnknown)
    } else if said.starts_with(MESSAGE_UNREADABLE) {
        Some(ExitCause::Crash)
    } else if BAD_USAGE.iter().any(|start| said.starts_with(start)) {
        Some(ExitCause::BadUsage { message: short(line) })
    } else if said.contains(REFUSED) {
        Some(ExitCause::RefusedToStart { message: short(line) })
    } else {
        None
    }
}

/// The line without its `ESC [ … letter` sequences.
fn without_colours(line: &str) -> String {
    let mut parts = line.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').get(1..).unwrap_or_default());
    }
    plain
}

fn short(line: &str) -> String {
    line.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::cause;
    use crate::agent::ExitCause;
    use crate::words::ExitFact;

    #[test]
    fn a_complaint_is_understood_in_colours_too() {
        let said =
            |text: &str| ExitFact { code: Some(1), signal: None, stderr_tail: text.to_owned(), ..ExitFact::default() };
        let coloured = said("\u{1b}[31mError: Session ID 1234 is already in use.\u{1b}[39m\n");
        assert_eq!(cause(&coloured, false), ExitCause::SessionInUse);
        let bold = said("\u{1b}[1;31mNo conversation found with session ID: 1234\u{1b}[0m");
        assert_eq!(cause(&bold, true), ExitCause::SessionUnknown);
        assert_eq!(cause(&said("\u{1b}["), true), ExitCause::Clean);
        assert_eq!(cause(&said("\u{1b}[3é"), true), ExitCause::Clean);
    }
}
