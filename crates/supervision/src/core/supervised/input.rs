use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::core::input::edit_tokens;
use crate::core::{Answer, OperatorInput, SpawnFault, TextEditor, TokenFact};

/// A fact that reached the core of a command. Every input is journalled before it is handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum CommandInput {
    /// The run begins; `unix_ms` is the wall clock.
    Began {
        unix_ms: i64,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<TokenFact>,
    },
    /// The program was started; `life` counts its starts from 1.
    Spawned { life: u32, pid: u32 },
    /// The program could not be started.
    SpawnFailed { life: u32, fault: SpawnFault, message: String },
    /// The program has ended and no descendant of it is alive.
    Exited { life: u32, exit: CommandExit },
    /// The program was stopped by this signal, usually by Ctrl-Z.
    Stopped { life: u32, signal: i32 },
    /// The user's Ctrl-C was passed to the program; `as_signal` if its terminal makes a signal of it.
    CtrlC { as_signal: bool },
    /// The heartbeat file was read.
    Beat { life: u32, reading: BeatReading },
    /// The provider's and the shared state of the tokens: the answer to `LookAtToken` of this number. `spent`: whether the
    /// provider calls the token limited; `None` if it did not answer.
    Tokens {
        request: u32,
        tokens: Vec<TokenFact>,
        unix_ms: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<bool>,
    },
    /// Input of the user or the system.
    Operator(CommandOperator),
    /// ccc was continued after it was stopped.
    Resumed { unix_ms: i64 },
    /// The deadline of `poll_timeout` has passed.
    Elapsed { unix_ms: i64 },
}

impl CommandInput {
    /// The wall clock in the input, if it has one, in unix milliseconds.
    #[must_use]
    pub fn unix_ms(&self) -> Option<i64> {
        if let CommandInput::Began { unix_ms, .. }
        | CommandInput::Tokens { unix_ms, .. }
        | CommandInput::Resumed { unix_ms }
        | CommandInput::Elapsed { unix_ms } = self
        {
            Some(*unix_ms)
        } else {
            None
        }
    }

    /// Passes each text that is not ccc's own to `editor`, as [`Input::edit_texts`](crate::core::Input::edit_texts) does.
    pub fn edit_texts(&mut self, editor: &mut dyn TextEditor) {
        match self {
            CommandInput::Began { unix_ms: _, tokens }
            | CommandInput::Tokens { request: _, tokens, unix_ms: _, spent: _ } => edit_tokens(tokens, editor),
            CommandInput::SpawnFailed { life: _, fault: _, message: text }
            | CommandInput::Beat { life: _, reading: BeatReading::Malformed(text) }
            | CommandInput::Operator(CommandOperator::End { reason: text }) => editor.text(text),
            CommandInput::Spawned { life: _, pid: _ }
            | CommandInput::Exited { life: _, exit: _ }
            | CommandInput::Stopped { life: _, signal: _ }
            | CommandInput::CtrlC { as_signal: _ }
            | CommandInput::Beat {
                life: _,
                reading: BeatReading::At { unix_ms: _, age_ms: _ } | BeatReading::Missing,
            }
            | CommandInput::Operator(
                CommandOperator::Interrupt
                | CommandOperator::Suspend
                | CommandOperator::Answer { number: _, choice: _ },
            )
            | CommandInput::Resumed { unix_ms: _ }
            | CommandInput::Elapsed { unix_ms: _ } => {}
        }
    }
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommandExit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that killed it, if one did.
    pub signal: Option<i32>,
    /// Descendants that had to be killed after it.
    pub swept: u32,
    /// Descendants that could not be killed.
    pub leaked: u32,
    /// The bytes that it wrote to its terminal; `None` if its output did not pass through ccc.
    pub output_bytes: Option<u64>,
}

/// The content of a heartbeat file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatReading {
    /// A beat at this time, unix milliseconds, and its age by the wall clock, 0 for the future.
    At {
        /// The file's `unix_ts`, in milliseconds.
        unix_ms: i64,
        /// Its age when it was read.
        age_ms: u64,
    },
    /// There is no such file.
    Missing,
    /// It cannot be read or is no heartbeat; the reason.
    Malformed(String),
}

/// Input of the user or the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum CommandOperator {
    /// Ctrl-C reached ccc itself: in a pipeline, by SIGINT, or while the program is stopped or not running.
    Interrupt,
    /// Ctrl-Z reached ccc itself.
    Suspend,
    /// Ends the run: the first time cleanly, the second time at once.
    End { reason: String },
    /// Answers the question of this number.
    Answer { number: u32, choice: Answer },
}

impl CommandOperator {
    /// The same input for a command; `None` for one that only an agent supports.
    #[must_use]
    pub fn of(operator: OperatorInput) -> Option<CommandOperator> {
        if let OperatorInput::Interrupt { reason } = operator {
            Some(CommandOperator::End { reason })
        } else if let OperatorInput::Answer { number, choice } = operator {
            Some(CommandOperator::Answer { number, choice })
        } else {
            None
        }
    }
}
