use serde::{Deserialize, Serialize};

use crate::core::{Decision, Finish, Note, Question, Show, TokenId};

/// What is to be done about a command. The driver performs actions in order and reports what came of them as inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum CommandAction {
    /// Start the program, with this token or none; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn { life: u32, token: Option<TokenId> },
    /// Send a signal to the program's process group.
    Signal { life: u32, signal: CommandSignal },
    /// Make all that the program has started stand still.
    Hold { life: u32 },
    /// Let it go on.
    LetGo { life: u32 },
    /// Kill the program and everything below it.
    KillTree { life: u32 },
    /// Stop ccc itself with its job; answered by `Resumed`.
    Suspend,
    /// Look at the heartbeat file; answered by `Beat`.
    ReadBeat { life: u32 },
    /// Ask the provider about the token, tell the other ccc processes, and read what they know; answered by `Tokens` under
    /// the same number.
    LookAtToken { request: u32, token: TokenId },
    /// Ask the user; answered by `Answer`, or not at all.
    Ask(Question),
    /// The question is settled.
    AskNoMore { number: u32 },
    /// Something was decided, and why: what `ccc explain` tells.
    Decide(Decision),
    /// Something was ignored or is worth knowing.
    Note(Note),
    /// Show something to the user. Not journalled: a replay makes it again.
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
