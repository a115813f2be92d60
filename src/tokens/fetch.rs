//! Tokens that a command prints, for example a password manager.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use super::fingerprint::short_hash;
use crate::config::Span;
use crate::process::{Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, run_command};

/// The default timeout of a command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a command may take to exit after it was told to, before it is killed.
const GRACE: Duration = Duration::from_secs(1);
/// The largest output of a command, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;
/// How many bytes of a failed command's stderr are examined.
const ERRORS_LIMIT_BYTES: usize = 4 * 1024;
/// How many characters of it are shown.
const SHOWN_CHARS: usize = 200;

/// A command whose stdout is a token. `Debug` shows neither the line, which may contain a secret, nor the
/// environment.
#[derive(Clone)]
pub struct FetchCommand {
    line: String,
    timeout: Duration,
    cwd: PathBuf,
    env: Arc<Vec<(OsString, OsString)>>,
}

impl fmt::Debug for FetchCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FetchCommand")
            .field("hash", &self.hash())
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// Why a command gave no token. No message contains anything that could be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// It could not be started.
    #[error("the command of the token {label} cannot be started: {error}")]
    NotStarted {
        /// The token.
        label: String,
        /// Why.
        error: String,
    },
    /// It ran too long and was ended together with its descendants.
    #[error("the command of the token {label} did not answer within {timeout_ms} ms and was ended")]
    TimedOut {
        /// The token.
        label: String,
        /// Its timeout, in milliseconds.
        timeout_ms: u128,
    },
    /// Nobody waits for it any more.
    #[error("the command of the token {label} was given up")]
    GivenUp {
        /// The token.
        label: String,
    },
    /// It ended with an error.
    #[error("the command of the token {label} failed with {how}{}", said(.stderr))]
    Failed {
        /// The token.
        label: String,
        /// Its exit code or signal.
        how: String,
        /// Its stderr, without anything that could be a token.
        stderr: String,
    },
    /// Its output is not a token.
    #[error("the command of the token {label} printed {what} instead of a token")]
    NoToken {
        /// The token.
        label: String,
        /// What it printed.
        what: &'static str,
    },
}

fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

impl FetchCommand {
    /// A line for `/bin/sh -c`, with its working directory and environment.
    #[must_use]
    pub fn new(line: String, timeout: Option<Span>, cwd: PathBuf, env: Arc<Vec<(OsString, OsString)>>) -> Self {
        Self { line, timeout: timeout.map_or(TIMEOUT, Span::as_duration), cwd, env }
    }

    /// Identifies the line.
    #[must_use]
    pub fn hash(&self) -> String {
        short_hash(b"ccc token command 1\0", &self.line)
    }

    /// Runs it and returns its trimmed stdout, for the token called `label`. If `cancel` says so, it is ended, or not
    /// started.
    pub(super) fn run(&self, label: &str, cancel: &Cancel) -> Result<SecretString, FetchError> {
        let label = label.to_owned();
        if cancel.is_cancelled() {
            return Err(FetchError::GivenUp { label });
        }
        let mut spec = CommandSpec::shell(&self.line, self.cwd.clone());
        spec.env.clone_from(&self.env);
        spec.timeout = self.timeout;
        spec.grace = GRACE;
        spec.output_tail_limit_bytes = OUTPUT_LIMIT_BYTES;
        spec.errors = CommandErrors::Apart { tail_limit_bytes: ERRORS_LIMIT_BYTES };
        match run_command(&spec, cancel) {
            Err(error) => Err(FetchError::NotStarted { label, error: error.to_string() }),
            Ok(result) => self.judge(label, &result),
        }
    }

    fn judge(&self, label: String, result: &CommandResult) -> Result<SecretString, FetchError> {
        let no_token = |label, what| Err(FetchError::NoToken { label, what });
        match (result.ending, result.exit.code) {
            (CommandEnding::Cancelled, _) => return Err(FetchError::GivenUp { label }),
            (CommandEnding::TimedOut, _) => {
                return Err(FetchError::TimedOut { label, timeout_ms: self.timeout.as_millis() });
            }
            (CommandEnding::Exited, Some(0)) => {}
            (CommandEnding::Exited, code) => {
                let how = match (code, result.exit.signal) {
                    (Some(code), _) => format!("exit code {code}"),
                    (None, Some(signal)) => format!("signal {signal}"),
                    (None, None) => "no exit code".to_owned(),
                };
                return Err(FetchError::Failed { label, how, stderr: harmless(&result.errors) });
            }
        }
        if result.truncated_bytes > 0 {
            return no_token(label, "more than 64 KiB");
        }
        match std::str::from_utf8(&result.tail).map(str::trim) {
            Err(_) => no_token(label, "no UTF-8"),
            Ok("") => no_token(label, "nothing"),
            Ok(value) if value.contains(|c: char| c.is_whitespace() || c.is_control()) => {
                no_token(label, "several words")
            }
            Ok(value) => Ok(SecretString::from(value)),
        }
    }
}

/// The last line of a failed command's stderr, reduced to words that cannot be a secret: letters only, and no longer
/// than words of a language.
fn harmless(errors: &[u8]) -> String {
    const WORD_CHARS: usize = 18;
    let text = String::from_utf8_lossy(errors);
    let Some(line) = text.lines().rev().find(|line| !line.trim().is_empty()) else { return String::new() };
    let shown = line.split_whitespace().map(|word| {
        let bare = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let plain = bare.chars().all(|c| c.is_alphabetic() || c == '\'') && bare.chars().count() <= WORD_CHARS;
        if plain { word } else { "…" }
    });
    shown.collect::<Vec<_>>().join(" ").chars().take(SHOWN_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn fetch(line: &str, timeout: Option<&str>) -> Result<SecretString, FetchError> {
        let env = vec![("PATH".into(), "/usr/bin:/bin".into()), ("HELD".into(), "made-up-1".into())];
        let timeout = timeout.map(|text| text.parse().expect("a span"));
        FetchCommand::new(line.to_owned(), timeout, std::env::temp_dir(), Arc::new(env))
            .run("work", &Cancel::new().expect("a cancel"))
    }

    #[test]
    fn stdout_is_the_token_and_stderr_is_not() {
        let value = fetch("echo noise >&2; printf '  %s \\n\\n' \"$HELD\"", None).expect("a token");
        assert_eq!(value.expose_secret(), "made-up-1");
    }

    #[test]
    fn what_is_no_token_is_an_error_that_shows_nothing_which_could_be_one() {
        for (line, says) in [
            ("true", "printed nothing instead"),
            ("echo", "printed nothing instead"),
            ("echo sk-made-up and more", "printed several words instead"),
            ("printf '\\377\\377'", "printed no UTF-8 instead"),
            ("head -c 70000 /dev/zero | tr '\\0' x", "printed more than 64 KiB instead"),
            ("echo sk-made-up; exit 3", "failed with exit code 3"),
            ("kill -9 $$", "failed with signal 9"),
            (
                "echo noise >&2; echo '[ERROR] made-up-1 sk_made_up0x1 QmFzZTY0dGV4dG1hZGV1cHdpdGhvdXQ= You are not signed in.' >&2; exit 1",
                "failed with exit code 1: [ERROR] … … … You are not signed in.",
            ),
        ] {
            let error = fetch(line, None).expect_err(line).to_string();
            assert!(error.contains(says), "{line}: {error}");
            assert!(error.contains("work"), "{error}");
            assert!(!error.contains("made") && !error.contains("QmFz"), "{line}: {error}");
        }
    }

    #[test]
    fn a_command_that_does_not_end_is_ended_with_all_that_it_started() {
        let dir = tempfile::tempdir().expect("tempdir");
        let fifo = dir.path().join("held");
        crate::files::make_fifo(&fifo);
        // Both wait for a writer that never comes; a process that is left over would be a reader.
        let line = format!("(sh -c 'read -r x < {0}') & read -r y < {0}", fifo.display());
        let error = fetch(&line, Some("300ms")).expect_err("it cannot end");
        assert_eq!(error, FetchError::TimedOut { label: "work".to_owned(), timeout_ms: 300 });
        // If no reader is left, opening it for writing without blocking fails.
        let open = rustix::fs::open(
            &fifo,
            rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK,
            rustix::fs::Mode::empty(),
        );
        assert_eq!(open.expect_err("no reader is left"), rustix::io::Errno::NXIO);
    }

    #[test]
    fn a_command_that_is_given_up_beforehand_is_not_even_started() {
        let cancel = Cancel::new().expect("a cancel");
        cancel.cancel();
        // Here it could not even be started, which would be a different error.
        let command = FetchCommand::new("true".to_owned(), None, "/nonexistent".into(), Arc::default());
        let error = command.run("work", &cancel).expect_err("it is given up");
        assert_eq!(error, FetchError::GivenUp { label: "work".to_owned() });
    }

    #[test]
    fn debug_shows_neither_line_nor_environment() {
        let env = vec![("A".into(), "made-up-value".into())];
        let command = FetchCommand::new("echo made-up-line".to_owned(), None, "/".into(), Arc::new(env));
        let shown = format!("{command:?}");
        assert!(!shown.contains("made-up"), "{shown}");
    }
}
