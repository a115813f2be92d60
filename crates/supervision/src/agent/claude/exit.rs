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

/// The signals by which the CLI ends itself when an allocation fails: SIGILL, SIGTRAP, SIGABRT, SIGSEGV (measured with a limit on its
/// data, on 2.1.197 and 2.1.332).
const FAILED_ALLOCATION_SIGNALS: [i32; 4] = [4, 5, 6, 11];
/// A shell exits with this and the number of the signal that ended its command.
const SIGNALLED_CODE: i32 = 128;
/// What it says then: beginning and end of a line. The address is that of the JavaScript engine's own crashes.
const FAILED_ALLOCATIONS: [(&str, &str); 2] =
    [("memory allocation of ", " bytes failed"), ("panic", ": Segmentation fault at address 0xBBADBEEF")];

/// Whether the CLI has crashed because an allocation failed.
pub(super) fn lacked_memory(exit: &ExitFact) -> bool {
    let by = exit.signal.or(exit.code.map(|code| code - SIGNALLED_CODE));
    by.is_some_and(|signal| FAILED_ALLOCATION_SIGNALS.contains(&signal))
        && exit.stderr_tail.lines().any(|line| {
            let plain = without_colours(line);
            let line = plain.trim();
            FAILED_ALLOCATIONS.iter().any(|(start, end)| line.starts_with(start) && line.ends_with(end))
        })
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
    use super::{cause, lacked_memory};
    use crate::agent::ExitCause;
    use crate::words::ExitFact;

    /// Stderr is what 2.1.197 and 2.1.332 wrote under a limit of 1 GiB on their data.
    #[test]
    fn a_crash_after_a_failed_allocation_is_told_by_the_clis_own_words() {
        let exit = |signal: Option<i32>, code: Option<i32>, text: &str| ExitFact {
            signal,
            code,
            stderr_tail: text.to_owned(),
            ..ExitFact::default()
        };
        let previous = "Could not parse message into JSON: \nmemory allocation of 32866304 bytes failed\nnote: run with \
            `RUST_BACKTRACE=1` environment variable to display a backtrace\n";
        let current = "Elapsed: 964ms | User: 396ms | Sys: 138ms\n\npanic: Segmentation fault at address 0xBBADBEEF\noh no: \
            Bun has crashed. This indicates a bug in Bun, not your code.\n";
        assert!(lacked_memory(&exit(Some(6), None, previous)) && lacked_memory(&exit(None, Some(134), previous)));
        assert!(lacked_memory(&exit(Some(11), None, current)));
        assert!(!lacked_memory(&exit(Some(9), None, previous)), "somebody has killed it");
        assert!(!lacked_memory(&exit(None, Some(1), current)) && !lacked_memory(&exit(None, None, current)));
        let other = "panic(main thread): Illegal instruction at address 0x30C7674\n";
        assert!(!lacked_memory(&exit(Some(4), None, other)), "it does not say why");
    }

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
