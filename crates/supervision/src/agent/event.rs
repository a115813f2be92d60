//! The meaning of an agent's line, independent of any CLI.

use serde::{Deserialize, Serialize};

use crate::words::{TokenKind, TurnId};

/// What a process is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It does the work.
    Agent,
    /// It judges the work.
    Critic,
}

/// What a user turn is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// The user's task.
    Task,
    /// Something else that the user said.
    Operator,
    /// The critic's feedback.
    Feedback,
    /// The output of failing checks.
    CheckFailure,
    /// Go on after a restart or a passing failure of the provider.
    Continue,
    /// The command of the CLI that shortens the session's history.
    Compact,
    /// The critic's brief (said to a critic, never to the agent).
    Brief,
}

/// What an agent's CLI can do; where it cannot, the core takes a fallback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// A session can be forked. Else the critic begins a session of its own, and its brief quotes the conversation.
    pub fork: bool,
    /// A critic can be kept from changing anything. Else each is taken for one that could, and its approval counts only when the
    /// tree is the same after it.
    pub read_only_critic: bool,
    /// A turn can be interrupted by a message. Else its process is signalled at once.
    pub interrupt: bool,
    /// The kinds of token that a live process can exchange for another of the same group (`TokenFact::hot_group`). Else it is
    /// restarted with the other.
    pub hot_tokens: &'static [TokenKind],
    /// Limits are reported as structured events. Else a rejected request may be a spent window, and another token is taken.
    pub limit_events: bool,
    /// The system prompt is recorded with the session and repeated on every resume or fork (facts 2.1.329, A).
    pub prompt_snapshot: bool,
}

/// What a line, or the exit, of an agent's process means.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum AgentEvent {
    /// The process is alive, and no more: a heartbeat, a keep-alive, a state that is said again, a line that the adapter does not
    /// know, or one of a sub-agent in the background. Nothing that judges progress is renewed by it.
    Alive,
    /// The line proves that what was asked goes on: words, calls and results of tools, a changed state.
    Progress,
    /// The session is known, or known under a new id.
    SessionKnown { session_id: String, model: String, agent_version: String, permission_mode: String, cwd: String },
    /// A turn of ours was taken in. `duplicate`: it stood in the session already, and no answer will follow.
    TurnAccepted { turn: TurnId, duplicate: bool },
    /// The agent began a turn; by itself when `started_by` says so.
    TurnStarted { started_by: StartedBy },
    /// It said something (whole messages, not deltas).
    Text { text: String, sub_agent: bool },
    /// It started a tool. `timeout_ms` is what the tool call itself declares.
    ToolStarted {
        id: String,
        name: String,
        target: String,
        timeout_ms: Option<u64>,
        edit: Option<Edit>,
        sub_agent: bool,
        /// A sub-agent in the background called it: the turn does not wait for it.
        in_background: bool,
    },
    /// A tool ended.
    /// `error`: the first words of a failure, on one line.
    ToolEnded { id: String, failed: bool, error: String },
    /// A hook of the user's began.
    HookStarted { id: String, name: String },
    /// A hook of the user's ended.
    HookEnded { id: String },
    /// A hook of the user's has sent it back to work when it wanted to end its turn. `said` is what the model reads.
    SentBack { hook: String, said: String },
    /// The answer was cut at the output limit, and the CLI itself lets the model go on.
    CutShort,
    /// The permission mode has changed in the middle of the session.
    PermissionMode(String),
    /// A tool was denied.
    Denied(Denial),
    /// A question over the protocol that somebody must answer: the CLI waits for it without a limit of its own.
    Question { request_id: String, subtype: String, ask: Ask },
    /// It needs no answer to that question any more.
    QuestionWithdrawn { request_id: String },
    /// It waits until somebody acts, for example gives a permission (`true`), or goes on (`false`). Who is asked is not said.
    ActionRequired(bool),
    /// A usage window's state.
    Limit(LimitReport),
    /// The answer to an exchange of the credential; `applied` is what the CLI says, the next answer proves it.
    CredentialAnswered { applied: bool },
    /// The provider failed and the CLI itself will try again.
    RetryAnnounced { attempt: u32, max_attempts: u32, delay_ms: u64, status: Option<u16> },
    /// It is compacting its context (`true`) or has finished doing so.
    Compacting(bool),
    /// Cost of this process so far, told with the result of a turn.
    Cost { process_usd: f64 },
    /// The answer to a question about the cost of this process so far, rounded to cents; `None` when it tells none.
    CostAnswered { process_usd: Option<f64> },
    /// The tokens that this process has used so far.
    Usage(TokenCount),
    /// The turn was answered, but something is still armed.
    Waiting(WaitingFor),
    /// The turn is over and the agent is idle: a stop.
    TurnEnded(TurnEnd),
}

/// A number of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// Read, and not from the cache.
    pub input: u64,
    /// Read from the cache.
    pub cached: u64,
    /// Written.
    pub output: u64,
}

impl TokenCount {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.cached).saturating_add(self.output)
    }

    /// The sum of each kind.
    #[must_use]
    pub fn plus(self, other: TokenCount) -> TokenCount {
        self.each(other, u64::saturating_add)
    }

    /// What is left of each kind.
    #[must_use]
    pub fn less(self, other: TokenCount) -> TokenCount {
        self.each(other, u64::saturating_sub)
    }

    /// The larger number of each kind.
    #[must_use]
    pub fn most(self, other: TokenCount) -> TokenCount {
        self.each(other, u64::max)
    }

    fn each(self, other: TokenCount, join: fn(u64, u64) -> u64) -> TokenCount {
        TokenCount {
            input: join(self.input, other.input),
            cached: join(self.cached, other.cached),
            output: join(self.output, other.output),
        }
    }
}

/// Who began a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StartedBy {
    /// We did, with this turn.
    Us(TurnId),
    /// The CLI did: a background task ended, a schedule fired.
    Itself,
}

/// What an answered turn still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum WaitingFor {
    /// So many background tasks. `longest_ms`: the most time that the CLI itself gives one of them, where it is known.
    Background { open: usize, longest_ms: Option<u64> },
    /// So many turns that the agent has scheduled for itself, once each. `first_in_ms`: how far the first one is away, where that
    /// is said.
    Scheduled { open: usize, first_in_ms: Option<u64> },
    /// The turn that the CLI begins by itself after a background task ended.
    FollowUp,
    /// For nothing that it names: the CLI has yet to say that it is idle. So many tasks are open meanwhile.
    Idle { open: usize },
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq)]
pub struct TurnEnd {
    /// Done, interrupted or failed.
    pub outcome: TurnOutcome,
    /// Who began it.
    pub started_by: StartedBy,
    /// The final answer: all text of the model's last message.
    pub text: String,
    /// Where the last text block of that message begins in it.
    pub last_block: usize,
    /// What was denied in it.
    pub denials: Vec<Denial>,
    /// Background tasks that were still open when the end was taken by `settle`.
    pub left_open: usize,
    /// No request reached the model: the text is the CLI's own or a hook's.
    pub unasked: bool,
    /// The CLI took the turn into one that it had begun by itself: the answer is one to both.
    pub mixed: bool,
}

/// Done, interrupted or failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum TurnOutcome {
    /// The agent answered.
    Done,
    /// It was interrupted.
    Interrupted,
    /// It failed.
    Failed { cause: FailureCause, message: String },
}

/// Why a turn failed; from status fields only, never from text (lessons, "Limits").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum FailureCause {
    /// A usage window is spent, until a time when known (unix seconds).
    Quota { resets_at_unix_s: Option<i64> },
    /// Too many requests at this moment.
    Throttled { retry_after_ms: Option<u64> },
    /// The credential was refused (401, a 403 of the API itself, not logged in).
    Refused,
    /// The provider failed or cannot be reached, or a network on the way to it does not let the request pass.
    Unavailable,
    /// The account has no credit.
    Billing,
    /// The request is too long for the model.
    PromptTooLong,
    /// The model does not exist, or may not be used.
    ModelNotFound,
    /// The provider called the request invalid.
    InvalidRequest,
    /// The request needs credits that the account does not have, for example for a long context.
    CreditsRequired,
    /// The model refused to answer.
    ModelRefusal,
    /// The answer was cut at the output limit.
    MaxOutput,
    /// A hook of the user's kept the turn from the model.
    Blocked { hook: String },
    /// A limit the user gave to the CLI itself (turns, budget) was reached.
    CliLimit { which: String },
    /// None of the above.
    Unknown,
}

/// What a question is about, and so how nobody answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Whether a tool may be used.
    Permission(ToolRequest),
    /// Something for a person to fill in or look at; it can be cancelled.
    Form {
        /// Who wants it, for example the name of an MCP server.
        from: String,
        /// What it says.
        text: String,
    },
    /// Anything else.
    Unknown,
}

/// A tool that the agent asks to use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The tool's name.
    pub tool: String,
    /// What it is to work on: a path, the beginning of a command.
    pub target: String,
    /// Its input, as the CLI gives it: JSON, cut after [`ToolRequest::MAX_INPUT_BYTES`].
    pub input: String,
}

impl ToolRequest {
    /// How much of an input is kept.
    pub const MAX_INPUT_BYTES: usize = 16 * 1024;
}

/// A denied tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// The tool's name.
    pub tool: String,
    /// What it was to work on: a path, the beginning of a command.
    pub target: String,
    /// What is alike in calls of one kind: the program of a command, the folder of a path.
    pub class: String,
    /// How the user allows such a call to the agent.
    pub allowed_by: AllowedBy,
}

/// What allows a call of a tool that was denied.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowedBy {
    /// No rule does.
    #[default]
    Nothing,
    /// All of these rules, given after this option.
    Rules {
        /// The option that takes them.
        option: String,
        /// One or more.
        rules: Vec<String>,
    },
    /// This permission mode.
    Mode {
        /// The option that takes it.
        option: String,
        /// In the CLI's own words.
        mode: String,
    },
}

/// A change of a file that a tool is about to make, for showing it as a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The file.
    pub path: String,
    /// What stood there; empty for a new file.
    pub old: String,
    /// What shall stand there.
    pub new: String,
}

/// The state of a usage window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Allowed, near the limit, rejected.
    pub status: LimitStatus,
    /// Which window, for example `five_hour`.
    pub window: Option<String>,
    /// When it begins anew, unix seconds.
    pub resets_at_unix_s: Option<i64>,
    /// How much of it is used, 0 to 1.
    pub utilization: Option<f64>,
    /// Other windows that the message named: name, utilization 0 to 1, reset in unix seconds.
    pub others: Vec<(String, Option<f64>, Option<i64>)>,
}

/// Allowed, near the limit, rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitStatus {
    /// Requests pass.
    Allowed,
    /// Requests pass; the limit is near.
    Warning,
    /// Requests are rejected.
    Rejected,
}

/// What the end of a process means, from its exit status, whether the session had begun, and the end of its stderr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum ExitCause {
    /// It ended in good order, as asked.
    Clean,
    /// It crashed or was killed.
    Crash,
    /// The session id is in use already: the session exists, resume it.
    SessionInUse,
    /// The session to resume does not exist: begin it.
    SessionUnknown,
    /// It does not know an option, or was used wrongly: never restarted.
    BadUsage { message: String },
    /// It refused to start for a reason of its own that a restart will not mend.
    RefusedToStart { message: String },
}
