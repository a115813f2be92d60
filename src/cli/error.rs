//! Why a command failed: a kind, a message and a hint. The kind decides the exit code.

use std::fmt;

use super::exit::ExitCode;
use crate::agent::ArgsProblem;
use crate::config::agent::AgentLookupError;
use crate::config::prompt::PromptError;
use crate::config::{ConfigError, FileFault};
use crate::files::ReadFault;
use crate::tokens::{PoolError, TokenFileFault};

/// The kind of a failure; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line is wrong.
    Usage,
    /// A configuration file, variable or prompt file is wrong.
    Configuration,
    /// Something that ccc needs is missing: the agent, a home directory.
    Environment,
    /// Reading or writing failed.
    Io,
    /// The run or the command failed.
    Failed,
}

impl ErrorKind {
    /// The exit code.
    #[must_use]
    pub fn exit_code(self) -> ExitCode {
        match self {
            ErrorKind::Usage | ErrorKind::Configuration | ErrorKind::Environment => ExitCode::USAGE,
            ErrorKind::Io | ErrorKind::Failed => ExitCode::FAILED,
        }
    }
}

/// Tells the user what failed, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CliError {
    /// Its kind.
    pub kind: ErrorKind,
    /// What failed, and where: one sentence without a capital at its start and without a full stop.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl CliError {
    /// The message with its hint, for a warning.
    #[must_use]
    pub fn with_hint(&self) -> String {
        let hint = self.hint.as_ref().map(|hint| format!("; {hint}"));
        format!("{}{}", self.message, hint.unwrap_or_default())
    }

    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl fmt::Display) -> Self {
        Self { kind, message: in_words(&message.to_string()), hint: None }
    }

    /// The command line is wrong.
    pub fn usage(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Usage, message)
    }

    /// A configuration file, variable or prompt file is wrong.
    pub fn configuration(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Configuration, message)
    }

    /// Something that ccc needs is missing.
    pub fn environment(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Environment, message)
    }

    /// Reading or writing failed.
    pub fn io(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Io, message)
    }

    /// The run or the command failed.
    pub fn failed(message: impl fmt::Display) -> Self {
        Self::new(ErrorKind::Failed, message)
    }

    /// The error of a command that did not succeed with all of these names.
    ///
    /// # Errors
    /// When there is one.
    pub(super) fn unless_none<T: AsRef<str>>(what: &str, failed: &[T]) -> Result<ExitCode, Self> {
        if failed.is_empty() {
            return Ok(ExitCode::COMPLETED);
        }
        let failed: Vec<&str> = failed.iter().map(AsRef::as_ref).collect();
        Err(Self::failed(format!("{what}: {}", failed.join(", "))))
    }

    /// The same error with a hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The exit code.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        self.kind.exit_code()
    }
}

/// Replaces the system's wording of an error by plain words, without its number.
fn in_words(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(at) = rest.find(NUMBERED) {
        let after = &rest[at + NUMBERED.len()..];
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        let is_number = digits > 0 && after[digits..].starts_with(')');
        text.push_str(&rest[..at]);
        if !is_number {
            text.push_str(NUMBERED);
        }
        rest = if is_number { &after[digits + 1..] } else { after };
    }
    text.push_str(rest);
    SYSTEM_WORDS.iter().fold(text, |text, (said, meant)| text.replace(said, meant))
}

/// The text before the number of a system error.
const NUMBERED: &str = " (os error ";
/// Texts of system errors, each with its plain words. No file or argument is likely to have such a text as its name.
const SYSTEM_WORDS: &[(&str, &str)] = &[
    ("entity not found", "it does not exist"),
    ("entity already exists", "it already exists"),
    ("No such file or directory", "it does not exist"),
    ("Not a directory", "a part of its path is not a directory"),
    ("Is a directory", "it is a directory"),
    ("Permission denied", "you do not have permission to do this"),
    ("Read-only file system", "the file system is read-only"),
    ("No space left on device", "there is no space left on the device"),
    ("File name too long", "the name is too long"),
    ("stream did not contain valid UTF-8", "it is not valid UTF-8"),
];

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::File { fault, .. } => match fault {
                FileFault::Unreadable(fault) => fault.advice(),
                FileFault::Unknown { .. } => "correct the key or remove it (`ccc config schema` lists the keys)",
                FileFault::NotUtf8 { .. } => "save the file as UTF-8",
                FileFault::Syntax { .. } => "correct the file",
                FileFault::Twice { .. } => "remove one of the two",
                FileFault::NotAnObject { .. } => "write an object, for example {\"checks\": [\"cargo test\"]}",
                FileFault::Key { .. } => "`ccc config schema` says what each key takes",
            },
            ConfigError::Variable { .. } => "correct the variable, or unset it",
            ConfigError::Senseless { .. } => "correct the value, or remove the setting",
            ConfigError::NotTheProjects { key, variable, users_file, .. } => {
                let or_set = variable.map(|name| format!(", or set {name}")).unwrap_or_default();
                &format!("move `{key}` into {}{or_set}", users_file.display())
            }
        };
        CliError::configuration(error).hint(hint)
    }
}

impl From<ArgsProblem> for CliError {
    fn from(problem: ArgsProblem) -> Self {
        CliError::usage(problem).hint("arguments after `--` are passed to the agent")
    }
}

impl From<PoolError> for CliError {
    fn from(error: PoolError) -> Self {
        let hint = match &error {
            PoolError::File { fault, .. } => match fault {
                TokenFileFault::Unreadable(ReadFault::Missing | ReadFault::Dangling) => {
                    "correct the name, or unset the variable or remove the entry that names it"
                }
                TokenFileFault::Unreadable(ReadFault::Unreadable(_)) => {
                    "make the file readable for you only (chmod 600)"
                }
                TokenFileFault::Unreadable(
                    ReadFault::NotAFile { .. } | ReadFault::TooLarge { .. } | ReadFault::LeadsOut,
                ) => "use a text file with one token per line; `#` begins a comment",
                TokenFileFault::NotUtf8 { .. } => "save the file as UTF-8, one token per line",
            },
            PoolError::NotThere { .. } => {
                "correct the name; `ccc tokens` lists the tokens, `ccc providers` the providers"
            }
            PoolError::TooMany { .. } => "remove those that are not needed",
        };
        CliError::configuration(error).hint(hint)
    }
}

impl From<PromptError> for CliError {
    fn from(error: PromptError) -> Self {
        let hint = match &error {
            PromptError::Missing { .. } => "correct the name; `ccc prompt` shows which prompt is in force",
            PromptError::Unreadable { fault, .. } => fault.advice(),
            PromptError::NotUtf8 { .. } => "save the file as UTF-8",
            PromptError::Empty { .. } => {
                "write instructions for the critic into it, or remove it: then the next prompt in order is used"
            }
        };
        CliError::configuration(error).hint(hint)
    }
}

impl From<AgentLookupError> for CliError {
    fn from(error: AgentLookupError) -> Self {
        let hint = match &error {
            AgentLookupError::Missing { .. } => "correct --agent, CCC_AGENT or `agent.path`".to_owned(),
            AgentLookupError::NotExecutable { .. } => {
                "give the path of the program itself, and make it executable".to_owned()
            }
            AgentLookupError::NotFound { agent, .. } => {
                let cli = agent.installation();
                format!("install {}, or give the path of its program with --agent PATH: {}", cli.product, cli.install)
            }
        };
        CliError::environment(error).hint(hint)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};

    use super::{CliError, ErrorKind};
    use crate::agent::{AgentKind, ArgsProblem};
    use crate::cli::Printer;
    use crate::config::agent::AgentLookupError;
    use crate::config::prompt::PromptError;
    use crate::config::{ConfigError, FileFault, Position};
    use crate::files::{CONFIGURATION, ReadFault};
    use crate::tokens::{PoolError, TokenFileFault};
    use crate::ui::columns;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("lock").write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// The error as a terminal of 80 columns shows it.
    fn shown(error: &CliError) -> String {
        let written = Written::default();
        let printer = Printer::to(Box::new(io::sink()), Box::new(written.clone())).with_columns(80);
        printer.error(&error.message, error.hint.as_deref());
        String::from_utf8(written.0.lock().expect("lock").clone()).expect("UTF-8")
    }

    /// Checks that no row is wider than the terminal, except one that is a single word or a command, which users copy
    /// whole.
    #[track_caller]
    fn assert_fits(error: &CliError) {
        let text = shown(error);
        for row in text.lines() {
            let row_text = row.trim_start();
            let is_whole = !row_text.contains(' ') || row_text.starts_with("ccc ") || row_text.starts_with("sudo ");
            assert!(columns::of(row) <= 80 || is_whole, "{row:?} in\n{text}");
        }
        let squeeze = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        let hint = error.hint.as_ref().map(|hint| format!(" hint: {hint}")).unwrap_or_default();
        assert_eq!(squeeze(&text), squeeze(&format!("error: {}{hint}", error.message)), "nothing is lost");
    }

    #[test]
    fn every_kind_of_error_fits_a_terminal_of_80_columns() {
        let path = || PathBuf::from("/home/somebody/projects/a-project-with-a-long-name/.ccc.json");
        let long =
            || "expected a list of commands, each a text of its own, and found a number instead of it".to_owned();
        let position = Position { line: 12, column: 34 };
        let faults = [
            ReadFault::Missing,
            ReadFault::Dangling,
            ReadFault::NotAFile { found: "a FIFO" },
            ReadFault::TooLarge { kind: CONFIGURATION },
            ReadFault::LeadsOut,
            ReadFault::Unreadable(io::Error::from_raw_os_error(13)),
        ];
        let mut table: Vec<CliError> = Vec::new();
        for fault in faults {
            let same = |fault: &ReadFault| match fault {
                ReadFault::Unreadable(_) => ReadFault::Unreadable(io::Error::from_raw_os_error(13)),
                ReadFault::Missing => ReadFault::Missing,
                ReadFault::Dangling => ReadFault::Dangling,
                ReadFault::NotAFile { found } => ReadFault::NotAFile { found },
                ReadFault::TooLarge { kind } => ReadFault::TooLarge { kind: *kind },
                ReadFault::LeadsOut => ReadFault::LeadsOut,
            };
            table.push(PromptError::Unreadable { path: path(), fault: same(&fault) }.into());
            table.push(ConfigError::File { path: path(), fault: FileFault::Unreadable(same(&fault)) }.into());
            table.push(
                PoolError::File {
                    path: path(),
                    named_by: "CCC_TOKENS_FILE".to_owned(),
                    fault: TokenFileFault::Unreadable(fault),
                }
                .into(),
            );
        }
        for fault in [
            FileFault::NotUtf8 { offset: 7 },
            FileFault::Syntax { position, message: long() },
            FileFault::Twice { position, message: long() },
            FileFault::NotAnObject { found: "a list" },
            FileFault::Unknown {
                key: "budgets.max_cost".to_owned(),
                position: Some(position),
                nearest: Some("budgets.max_cost_usd"),
            },
            FileFault::Key { key: "checks".to_owned(), position: Some(position), message: long() },
        ] {
            table.push(ConfigError::File { path: path(), fault }.into());
        }
        table.extend([
            PoolError::TooMany { last: path().display().to_string() }.into(),
            ArgsProblem::Refused { option: "--input-format".to_owned(), reason: "ccc reads what the agent writes" }
                .into(),
            ArgsProblem::MissingValue { option: "--permission-mode".to_owned() }.into(),
            ArgsProblem::Prompt { text: "do what is written in the file beside this one".to_owned() }.into(),
            ConfigError::Variable { name: "CCC_MAX_DURATION", key: "budgets.max_duration", message: long() }.into(),
            PromptError::Missing { path: path() }.into(),
            PromptError::NotUtf8 { path: path(), offset: 7 }.into(),
            PromptError::Empty { path: path() }.into(),
            AgentLookupError::Missing { path: path() }.into(),
            AgentLookupError::NotExecutable { path: path() }.into(),
            AgentLookupError::NotFound { name: "claude".to_owned(), also: Some(path()), agent: AgentKind::default() }
                .into(),
        ]);
        for kind in
            [ErrorKind::Usage, ErrorKind::Configuration, ErrorKind::Environment, ErrorKind::Io, ErrorKind::Failed]
        {
            let command = "ccc resume 20261127-084409-q3px -p \"use tabs, and then look at the tests once more\"";
            table.push(
                CliError::new(kind, format!("{}: {}", path().display(), long()))
                    .hint(format!("say what more there is to do: {command}")),
            );
            let text = shown(table.last().expect("an error"));
            assert!(text.lines().any(|row| row.trim() == command), "whole, on a row of its own:\n{text}");
        }
        for error in &table {
            assert_fits(error);
        }
    }

    #[test]
    fn what_the_system_says_is_put_into_words() {
        let table = [
            (io::Error::from_raw_os_error(2).to_string(), "it does not exist"),
            (io::Error::from(io::ErrorKind::NotFound).to_string(), "it does not exist"),
            (io::Error::from_raw_os_error(13).to_string(), "you do not have permission to do this"),
            (io::Error::from_raw_os_error(28).to_string(), "there is no space left on the device"),
            ("a line of a file (os error x)".to_owned(), "a line of a file (os error x)"),
        ];
        for (said, meant) in table {
            let error = CliError::io(format!("/a/b: {said}"));
            assert_eq!(error.message, format!("/a/b: {meant}"));
        }
    }
}
