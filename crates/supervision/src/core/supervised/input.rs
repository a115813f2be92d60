use serde::{Deserialize, Serialize};

use crate::core::{Answer, OperatorInput, SpawnFault, TokenFact};

/// A fact that reached the core of a command. Every input is journalled before it is handled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
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
    /// The program is gone and no descendant of it is alive.
    Exited { life: u32, exit: CommandExit },
    /// The program was stopped by this signal, mostly by Ctrl-Z.
    Stopped { life: u32, signal: i32 },
    /// The user's Ctrl-C was handed to the program; `as_signal` when its terminal makes a signal of it.
    CtrlC { as_signal: bool },
    /// The heartbeat file was looked at.
    Beat { life: u32, reading: BeatReading },
    /// What the provider and all ccc processes of the user know about the tokens by now: the answer to `LookAtToken` of
    /// this number. `spent` is what the provider has just said of the token that was asked about; `None` when it said nothing.
    Tokens {
        request: u32,
        tokens: Vec<TokenFact>,
        unix_ms: i64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        spent: Option<bool>,
    },
    /// The user, or the system, did something.
    Operator(CommandOperator),
    /// ccc goes on after it was stopped.
    Resumed { unix_ms: i64 },
    /// The deadline of `poll_timeout` has passed.
    Elapsed { unix_ms: i64 },
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CommandExit {
    /// Its exit code, when it exited.
    pub code: Option<i32>,
    /// The signal that killed it, when one did.
    pub signal: Option<i32>,
    /// Descendants that had to be killed after it.
    pub swept: u32,
    /// Descendants that could not be killed.
    pub leaked: u32,
    /// What it wrote to its terminal; `None` where it wrote past ccc.
    pub output_bytes: Option<u64>,
}

/// What a heartbeat file says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BeatReading {
    /// A beat at this time, unix milliseconds; and how long ago that is by the wall clock, 0 for the future.
    At {
        /// The file's `unix_ts`, in milliseconds.
        unix_ms: i64,
        /// Its age when it was read.
        age_ms: u64,
    },
    /// There is no such file.
    Missing,
    /// It cannot be read, or is no heartbeat; and why.
    Malformed(String),
}

/// What the user, or the system, did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum CommandOperator {
    /// Ctrl-C reached ccc itself: in a pipeline, by SIGINT, or while the program is stopped or gone.
    Interrupt,
    /// Ctrl-Z reached ccc itself.
    Suspend,
    /// ccc is to end: the first time in good order, the second time at once.
    End { reason: String },
    /// Answered the question of this number.
    Answer { number: u32, choice: Answer },
}

impl CommandOperator {
    /// The same said to a command; `None` for what only an agent understands.
    #[must_use]
    pub fn of(operator: OperatorInput) -> Option<CommandOperator> {
        match operator {
            OperatorInput::Interrupt { reason } => Some(CommandOperator::End { reason }),
            OperatorInput::Answer { number, choice } => Some(CommandOperator::Answer { number, choice }),
            OperatorInput::Turn { .. }
            | OperatorInput::Restate { .. }
            | OperatorInput::Moved { .. }
            | OperatorInput::Budgets(_)
            | OperatorInput::Plan(_) => None,
        }
    }
}
