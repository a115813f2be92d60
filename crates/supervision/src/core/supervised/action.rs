use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use crate::core::{Decision, Finish, Note, Question, Show, TokenId};

/// A decision about a command. The driver performs actions in order and reports their results as inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum CommandAction {
    /// Start the program, with this token or none; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn { life: u32, token: Option<TokenId> },
    /// Send a signal to the program's process group.
    Signal { life: u32, signal: CommandSignal },
    /// Stop the program and all processes that it has started.
    Hold { life: u32 },
    /// Continue it.
    #[serde(rename = "let_go")]
    #[strum(serialize = "let_go")]
    Continue { life: u32 },
    /// Kill the program and all its descendants.
    KillTree { life: u32 },
    /// Stop ccc's own job; answered by `Resumed`.
    Suspend,
    /// Read the heartbeat file; answered by `Beat`.
    ReadBeat { life: u32 },
    /// Ask the provider about the token, report to the other ccc processes, and read the shared state; answered by `Tokens`
    /// under the same number.
    LookAtToken { request: u32, token: TokenId },
    /// Ask the user; answered by `Answer`, or not at all.
    Ask(Question),
    /// Withdraw the question.
    AskNoMore { number: u32 },
    /// A decision and its reason, for `ccc explain`.
    Decide(Decision),
    /// A remark, for example that an input was ignored.
    Note(Note),
    /// Show something to the user. Not journalled, because a replay produces it again.
    Show(Show),
    /// The run is over. No action follows.
    Finish(Finish),
}

/// Signals the core may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CommandSignal {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
    /// SIGTSTP.
    Tstp,
    /// SIGCONT.
    Cont,
}
