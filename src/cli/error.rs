use std::fmt;

use super::exit::ExitCode;
use crate::agent::ArgsProblem;
use crate::config::agent::AgentLookupError;
use crate::config::prompt::PromptError;
use crate::config::{ConfigError, FileFault};
use crate::files::ReadFault;
use crate::tokens::{PoolError, TokenFileFault};

/// What kind of failure it is; it decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// The command line makes no sense.
    Usage,
    /// A configuration file, variable or prompt file is wrong.
    Configuration,
    /// Something that ccc needs is not there: the agent, a home directory.
    Environment,
    /// Reading or writing failed.
    Io,
    /// The run, or what the command was to do, failed.
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

/// Why a command failed, for the user: what, where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CliError {
    /// Its kind.
    pub kind: ErrorKind,
    /// What failed, and where. One sentence, without a capital at the start and a full stop at the end.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl CliError {
    /// An error without a hint.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), hint: None }
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

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        let hint = match &error {
            ConfigError::File { fault, .. } => match fault {
                FileFault::Unreadable(fault) => fault.advice(),
                FileFault::Unknown { .. } => {
                    "correct the key or remove it (`ccc config schema` lists the keys); nothing was started"
                }
                FileFault::NotUtf8 { .. } => "save the file as UTF-8",
                FileFault::Syntax { .. } => "correct the file; nothing was started",
                FileFault::Twice { .. } => "keep one of the two; nothing was started",
                FileFault::NotAnObject { .. } => "write an object, for example {\"checks\": [\"cargo test\"]}",
                FileFault::Key { .. } => "`ccc config schema` says what each key takes",
            },
            ConfigError::Variable { .. } => "correct the variable, or unset it",
            ConfigError::Senseless { .. } => "give it a value, or leave it out",
        };
        CliError::new(ErrorKind::Configuration, error.to_string()).hint(hint)
    }
}

impl From<ArgsProblem> for CliError {
    fn from(problem: ArgsProblem) -> Self {
        CliError::new(ErrorKind::Usage, problem.to_string()).hint("what stands after `--` is passed to the agent")
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
                    "make the file readable for you, and for you alone (chmod 600)"
                }
                TokenFileFault::Unreadable(
                    ReadFault::NotAFile { .. } | ReadFault::TooLarge { .. } | ReadFault::LeadsOut,
                ) => "name a text file with one token a line; `#` begins a comment",
                TokenFileFault::NotUtf8 { .. } => "save the file as UTF-8, one token a line",
            },
            PoolError::TooMany { .. } => "leave out those that are not needed",
        };
        CliError::new(ErrorKind::Configuration, error.to_string()).hint(hint)
    }
}

impl From<PromptError> for CliError {
    fn from(error: PromptError) -> Self {
        let hint = match &error {
            PromptError::Missing { .. } => "correct the name; `ccc prompt` shows which prompt is in force",
            PromptError::Unreadable { fault, .. } => fault.advice(),
            PromptError::NotUtf8 { .. } => "save the file as UTF-8",
            PromptError::Empty { .. } => {
                "write into it what the critic shall do, or remove it: then the next one in order is taken"
            }
        };
        CliError::new(ErrorKind::Configuration, error.to_string()).hint(hint)
    }
}

impl From<AgentLookupError> for CliError {
    fn from(error: AgentLookupError) -> Self {
        let hint = match &error {
            AgentLookupError::Missing { .. } => "correct --agent, CCC_AGENT or `agent.path`",
            AgentLookupError::NotExecutable { .. } => "name the program itself, and make it executable",
            AgentLookupError::NotFound { .. } => {
                "install Claude Code (npm install -g @anthropic-ai/claude-code), or name the program with --agent PATH"
            }
        };
        CliError::new(ErrorKind::Environment, error.to_string()).hint(hint)
    }
}
