//! What the core decides. The driver performs actions in order; what comes of them comes back as inputs (`input.rs`).

use serde::{Deserialize, Serialize};

use super::{CheckId, MeasureId, Needs, Outcome, Question, SpentBound, Then, TokenId, TokenReport};
use crate::agent::{Edit, Role, Say, TurnKind};
use crate::words::{Launch, ProcId, TurnId};

/// What is to be done. The driver performs actions in order and reports what came of them as inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Action {
    /// Start a process; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn(Spawn),
    /// Say a user turn to an idle agent or critic.
    Send(Send),
    /// Ask the process, in its own protocol, to interrupt its turn.
    Interrupt { proc: ProcId },
    /// Answer the CLI's question whether a tool may be used: no. The model reads `denial`.
    #[serde(rename = "answer")]
    DenyTool { proc: ProcId, request_id: String, denial: String },
    /// Answer the CLI's question whether a tool may be used: yes, this once.
    AllowTool { proc: ProcId, request_id: String },
    /// Answer a question that wants something filled in: cancelled.
    CancelForm { proc: ProcId, request_id: String },
    /// Answer a question that ccc does not know: with an error that says why.
    Refuse { proc: ProcId, request_id: String, why: String },
    /// Ask the process what it has cost so far; it answers in its own protocol. The first question of a process has the number 1.
    AskCost { proc: ProcId, number: u32 },
    /// Change the permission mode of the process.
    SetPermissionMode { proc: ProcId, mode: String },
    /// Close its stdin: an idle agent exits by itself.
    CloseStdin { proc: ProcId },
    /// Send a signal to the process.
    Signal { proc: ProcId, signal: Signal },
    /// Kill the process and every descendant of it.
    KillTree { proc: ProcId },
    /// Exchange the credential of the live process for this one; the process itself says whether it took it.
    SetCredential { proc: ProcId, token: TokenId },
    /// Tell all ccc processes of the user about a token; answered by `Tokens` under the same number.
    ReportToken { request: u32, token: TokenId, report: TokenReport },
    /// Look what is known about the tokens by now; answered by `Tokens` under the same number.
    ReadTokens { request: u32 },
    /// Ask the provider about a token, where it can be asked; answered by `Tokens` without a number when it has said
    /// something.
    ProbeToken { token: TokenId },
    /// Ask the user; answered by `OperatorInput::Answer`, or not at all.
    Ask(Question),
    /// Run a check; answered by `CheckFinished`.
    RunCheck { check: CheckId, command: String, timeout_ms: u64 },
    /// Stop a running check.
    CancelCheck { check: CheckId },
    /// Measure the working tree; answered by `TreeMeasured`. With `since`, say which paths changed since that one. What is
    /// `moving` by itself is left out.
    MeasureTree {
        measure: MeasureId,
        since: Option<MeasureId>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moving: Vec<String>,
    },
    /// Something was decided, and why: what `ccc explain` tells.
    Decide(Decision),
    /// Something was ignored or is worth knowing.
    Note(Note),
    /// Show something to the user. Not journalled: a replay makes it again.
    Show(Show),
    /// The run is over. No action follows.
    Finish(Finish),
}

impl Action {
    /// What is only shown by this.
    #[must_use]
    pub fn as_show(&self) -> Option<&Show> {
        if let Action::Show(show) = self { Some(show) } else { None }
    }

    /// How the run ends by this.
    #[must_use]
    pub fn as_finish(&self) -> Option<&Finish> {
        if let Action::Finish(finish) = self { Some(finish) } else { None }
    }

    /// What is said to a process in its protocol by this, and to which; [`Core::encode`](super::Core::encode) gives its bytes.
    /// A credential is not among it: only the driver knows its value.
    #[must_use]
    pub fn says(&self) -> Option<(ProcId, Say<'_>)> {
        Some(match self {
            Action::Send(Send { proc, turn, kind, text }) => (*proc, Say::Turn { turn, kind: *kind, text }),
            Action::Interrupt { proc } => (*proc, Say::Interrupt),
            Action::DenyTool { proc, request_id, denial } => (*proc, Say::Denial { request_id, words: denial }),
            Action::AllowTool { proc, request_id } => (*proc, Say::Permission { request_id }),
            Action::CancelForm { proc, request_id } => (*proc, Say::Cancel { request_id }),
            Action::Refuse { proc, request_id, why } => (*proc, Say::Refusal { request_id, why }),
            Action::AskCost { proc, number } => (*proc, Say::CostQuestion { number: *number }),
            Action::SetPermissionMode { proc, mode } => (*proc, Say::PermissionMode { mode }),
            Action::Spawn(_)
            | Action::CloseStdin { .. }
            | Action::Signal { .. }
            | Action::KillTree { .. }
            | Action::SetCredential { .. }
            | Action::ReportToken { .. }
            | Action::ReadTokens { .. }
            | Action::ProbeToken { .. }
            | Action::Ask(_)
            | Action::RunCheck { .. }
            | Action::CancelCheck { .. }
            | Action::MeasureTree { .. }
            | Action::Decide(_)
            | Action::Note(_)
            | Action::Show(_)
            | Action::Finish(_) => return None,
        })
    }
}

/// A process to start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Spawn {
    /// Its number.
    pub proc: ProcId,
    /// Agent or critic.
    pub role: Role,
    /// What to start.
    pub launch: Launch,
    /// With which token; `None` leaves it to the CLI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
}

/// A user turn to say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// To whom.
    pub proc: ProcId,
    /// Under which uuid.
    pub turn: TurnId,
    /// What kind of turn it is.
    pub kind: TurnKind,
    /// What is said.
    pub text: String,
}

/// Signals the core may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// SIGINT.
    Int,
    /// SIGTERM.
    Term,
}

/// A decision with its reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided, in a few words.
    pub what: String,
    /// Because of what.
    pub why: String,
}

/// A remark in the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// What it is about, for example `ignored`.
    pub about: String,
    /// The remark.
    pub text: String,
}

/// Something for the user's eyes. It carries no decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Show {
    /// The run enters a phase: starting, working, checking, reviewing, waiting, restarting, ending.
    /// `goes_on_in_ms`: how long it waits, where that is known.
    Phase { phase: String, detail: String, iteration: u32, goes_on_in_ms: Option<u64> },
    /// The agent's session is known.
    Session { session_id: String, model: String, agent_version: String, permission_mode: String },
    /// A turn was given to the agent.
    Turn { kind: TurnKind, text: String },
    /// Agent or critic said something.
    Text { role: Role, text: String, sub_agent: bool },
    /// A tool was started.
    Tool { role: Role, id: String, name: String, target: String, edit: Option<Edit> },
    /// A tool ended.
    /// `error`: the first words of a failure.
    ToolEnded { role: Role, id: String, failed: bool, error: String },
    /// A tool was denied by the permissions in force.
    Denied { role: Role, tool: String, target: String },
    /// A check ended.
    Check { command: String, passed: bool, summary: String, duration_ms: u64, tail: String },
    /// The critic's verdict: completed, feedback, needs_user or unusable.
    Verdict { verdict: String, text: String, iteration: u32 },
    /// Money spent so far by all processes of the run; `None` while unknown.
    Cost { usd: Option<f64> },
    /// Something the user should know, or do something about.
    Notice { text: String },
    /// News of what works as intended; nothing to do about it.
    Information { text: String },
    /// There was no progress for `for_ms`, because `what` is waited for; after `left_ms` more, `then` follows. `alive`: the process
    /// wrote something meanwhile that proves no progress.
    Awaited { role: Role, what: String, for_ms: u64, left_ms: u64, then: Then, alive: bool },
    /// Another token is used from now on; by their labels.
    Rotation { from: String, to: String, why: String },
    /// No token may be used now; the first is free again at `until_unix_ms`, for which the run `waits` or not.
    Spent { tokens: Vec<SpentToken>, until_unix_ms: i64, waits: bool, now_unix_ms: i64 },
    /// A question that the user may answer.
    Question { question: Question, now_unix_ms: i64 },
    /// The run is over.
    Finished { outcome: Outcome, reason: String },
}

/// A token that may not be used now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpentToken {
    /// Its label.
    pub label: String,
    /// When it is free again, unix milliseconds; `None` when it was refused.
    pub until_unix_ms: Option<i64>,
    /// It was refused.
    pub refused: bool,
    /// It is left alone for a while by this run: it was rejected, and no reset that lies ahead was announced.
    pub held: bool,
}

/// How the run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finish {
    /// The outcome.
    pub outcome: Outcome,
    /// One sentence that says why.
    pub reason: String,
    /// The last answer of the agent.
    pub result: String,
    /// The agent's session, when it was ever known.
    pub session_id: Option<String>,
    /// Stops judged.
    pub iterations: u32,
    /// Times the agent was started again.
    pub restarts: u32,
    /// Times another token was taken.
    pub rotations: u32,
    /// Time spent waiting for limits.
    pub waited_ms: u64,
    /// Money spent, when the agent said so.
    pub cost_usd: Option<f64>,
    /// The provider rejects the session: to go on with it cannot help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session_rejected: bool,
    /// Tokens used, where they were bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What it needs to go on, when that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// The bound that ended it, as far as one of the run's own did. Journals before say nothing of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<SpentBound>,
}

impl Finish {
    /// An end of which nothing else is known.
    #[must_use]
    pub fn new(outcome: Outcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            result: String::new(),
            session_id: None,
            iterations: 0,
            restarts: 0,
            rotations: 0,
            waited_ms: 0,
            cost_usd: None,
            session_rejected: false,
            tokens_used: None,
            needs: None,
            spent: None,
        }
    }
}
