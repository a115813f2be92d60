//! The meaning of an agent's line, independent of any CLI.

use serde::{Deserialize, Serialize};

use super::{Asked, Edit, Hunk};
use crate::words::{TokenKind, TurnId};

/// The role of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It does the work.
    Agent,
    /// It judges the work.
    Critic,
}

/// The kind of a user turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TurnKind {
    /// The user's task.
    Task,
    /// Something else that the user said.
    Operator,
    /// A worker of the agent has ended.
    Worker,
    /// The critic's feedback.
    Feedback,
    /// The output of failing checks.
    CheckFailure,
    /// Continue after a restart or a temporary provider failure.
    Continue,
    /// The CLI's command that compacts the session's history.
    Compact,
    /// The critic's brief (sent to a critic, never to the agent).
    Brief,
}

/// What an agent's CLI can do; the core has a fallback for each missing capability.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Caps {
    /// A session can be forked. Otherwise the critic begins a session of its own, and its brief quotes the
    /// conversation.
    pub fork: bool,
    /// A critic can be prevented from changing anything. Otherwise each critic may have changed files, and its
    /// approval counts only when the tree is the same after it.
    pub read_only_critic: bool,
    /// A turn can be interrupted by a message. Otherwise its process is signalled at once.
    pub interrupt: bool,
    /// The kinds of token that a live process can exchange for another of the same group (`TokenFact::hot_group`).
    /// For others the process is restarted with the new token.
    pub hot_tokens: &'static [TokenKind],
    /// Limits are reported as structured events. Otherwise a rejected request may mean a reached limit, and another
    /// token is used.
    pub limit_events: bool,
    /// The system prompt is recorded with the session and repeated on every resume or fork (facts 2.1.329, A).
    pub prompt_snapshot: bool,
    /// The user works in the CLI's own interface and begins turns there. ccc can send a turn only at the start of a
    /// process ([`LaunchRequest::words`](super::LaunchRequest::words)) or at a stop that the CLI holds for it
    /// ([`Protocol::takes_turn`](super::Protocol::takes_turn)). At any other time the process is restarted
    /// with the turn.
    pub own_interface: bool,
}

/// The meaning of a line, or of the exit, of an agent's process.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum AgentEvent {
    /// The process is alive, and no more: a heartbeat, a keep-alive, a repeated state, a line that the adapter does
    /// not know, or one of a sub-agent in the background. It resets no progress timer.
    Alive,
    /// The line proves progress: text, tool calls and results, a changed state.
    Progress,
    /// The session is known, or known under a new id.
    SessionKnown { session_id: String, model: String, agent_version: String, permission_mode: String, cwd: String },
    /// The CLI runs without its own sandbox, though it was started with it
    /// ([`LaunchRequest::sandbox`](super::LaunchRequest::sandbox)).
    SandboxMissing,
    /// The user has said this in the CLI's own interface ([`Caps::own_interface`]): its next turn. The turn's later
    /// events carry the id given with [`Protocol::turn_sent`](super::Protocol::turn_sent).
    UserSaid { text: String },
    /// The user cancelled a stop that the CLI held for ccc: ccc can send nothing now, and the user has control.
    StopAbandoned,
    /// The user leaves the CLI's own interface.
    UserLeaves { reason: String },
    /// The CLI accepted a turn of ccc. `duplicate`: the session contained it already, and no answer will follow.
    TurnAccepted { turn: TurnId, duplicate: bool },
    /// The CLI has ended several turns of its own and become idle since it got ccc's turn, and has not reported that turn: its
    /// report was lost, or the turn was. Only the session's record knows.
    TurnUnreported,
    /// The agent began a turn; `started_by` says whether the CLI began it by itself.
    TurnStarted { started_by: StartedBy },
    /// It said something (whole messages, not deltas). `under`: the call that started the sub-agent that said it.
    Text { text: String, under: Option<String> },
    /// Its thinking (whole, as far as the provider shows it).
    Thinking { text: String, under: Option<String> },
    /// Its to-do list has changed.
    Todo(Vec<TodoItem>),
    /// What it offers at its start: its own commands, models.
    Offers(Box<Offers>),
    /// It started a tool. `timeout_ms` is the timeout that the call itself declares.
    ToolStarted {
        id: String,
        name: String,
        target: String,
        timeout_ms: Option<u64>,
        edit: Option<Edit>,
        /// The call that started the sub-agent that called the tool.
        under: Option<String>,
        /// A background sub-agent called the tool: the turn does not wait for it.
        in_background: bool,
    },
    /// A tool ended. `error`: the beginning of a failure's message, on one line. `hunks`: what it changed in its file, if known.
    ToolEnded { id: String, failed: bool, error: String, output: Option<ToolOutput>, hunks: Vec<Hunk> },
    /// A user's hook began.
    HookStarted { id: String, name: String },
    /// A user's hook ended.
    HookEnded { id: String },
    /// A user's hook blocked the end of the turn, so the agent continues. `said` is what the model reads.
    SentBack { hook: String, said: String },
    /// The answer was cut at the output limit, and the CLI itself lets the model continue.
    CutShort,
    /// The permission mode has changed during the session.
    PermissionMode(String),
    /// The CLI refused another permission mode, and why.
    PermissionModeRefused { why: String },
    /// A tool was denied.
    Denied(Denial),
    /// A protocol question that somebody must answer: the CLI waits for it without a limit of its own.
    Question { request_id: String, subtype: String, ask: Ask },
    /// That question needs no answer any more.
    QuestionWithdrawn { request_id: String },
    /// It waits for somebody to act, for example to give a permission (`true`), or continues (`false`). It does not
    /// say who must act.
    ActionRequired(bool),
    /// The state of a usage window.
    Limit(LimitReport),
    /// The answer to a credential exchange; `applied` is the CLI's claim, which the next model answer proves.
    CredentialAnswered { applied: bool },
    /// The provider failed and the CLI itself will try again.
    RetryAnnounced { attempt: u32, max_attempts: u32, delay_ms: u64, status: Option<u16> },
    /// It is compacting its context (`true`) or has finished doing so.
    Compacting(bool),
    /// The cost of this process so far, reported with the result of a turn.
    Cost { process_usd: f64 },
    /// The answer to a question about the cost of this process so far, rounded to cents; `None` when it names none.
    CostAnswered { process_usd: Option<f64> },
    /// The tokens that this process has used so far.
    Usage(TokenCount),
    /// How much of the model's context its main conversation uses; `None` when it was shortened, until the next message.
    Context(Option<ContextUse>),
    /// The turn was answered, but something is still pending.
    Waiting(WaitingFor),
    /// The turn is over and the agent is idle: a stop.
    TurnEnded(TurnEnd),
}

/// How much of the model's context a conversation uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContextUse {
    /// The tokens of its newest request.
    pub used_tokens: u64,
    /// The tokens that the model takes; `None` while unknown.
    pub window_tokens: Option<u64>,
}

impl ContextUse {
    /// The used part, in percent; `None` while the window is unknown.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        let window = self.window_tokens.filter(|window| *window > 0)?;
        Some(self.used_tokens as f64 * 100.0 / window as f64)
    }
}

/// A number of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// Input, not from the cache.
    pub input: u64,
    /// Input from the cache.
    pub cached: u64,
    /// Output.
    pub output: u64,
}

impl TokenCount {
    /// The sum of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.cached).saturating_add(self.output)
    }

    /// The sum per kind.
    #[must_use]
    pub fn plus(self, other: TokenCount) -> TokenCount {
        self.each(other, u64::saturating_add)
    }

    /// The difference per kind.
    #[must_use]
    pub fn less(self, other: TokenCount) -> TokenCount {
        self.each(other, u64::saturating_sub)
    }

    /// The maximum per kind.
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
    /// ccc did, with this turn.
    Us(TurnId),
    /// The CLI did: a background task ended, a schedule fired.
    Itself,
}

/// What an answered turn still waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum WaitingFor {
    /// Background tasks: how many are open. `longest_ms`: the longest time limit that the CLI gives to one of them,
    /// when known.
    Background { open: usize, longest_ms: Option<u64> },
    /// One-time turns that the agent has scheduled for itself: how many. `first_in_ms`: the time until the first one,
    /// when known.
    Scheduled { open: usize, first_in_ms: Option<u64> },
    /// The turn that the CLI begins by itself after a background task ended.
    FollowUp,
    /// For nothing named: the CLI has yet to report that it is idle. `open` tasks are open meanwhile.
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
    /// The offset in `text` at which that message's last text block begins.
    pub last_block: usize,
    /// What was denied in it.
    pub denials: Vec<Denial>,
    /// Background tasks that were still open when `settle` ended the turn.
    pub left_open: usize,
    /// No request reached the model: the text is the CLI's own or a hook's.
    pub unasked: bool,
    /// The CLI merged the turn into one that it had begun by itself: the answer is to both.
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

/// Why a turn failed; derived from status fields only, never from text (lessons, "Limits").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum FailureCause {
    /// A usage window's limit is reached, until a time when known (unix seconds).
    Quota { resets_at_unix_s: Option<i64> },
    /// Too many requests at this moment.
    Throttled { retry_after_ms: Option<u64> },
    /// The credential was refused (401, a 403 of the API itself, not logged in).
    Refused,
    /// The provider failed or cannot be reached, or a network on the way blocks the request.
    Unavailable,
    /// The account has no credit.
    Billing,
    /// The request is too long for the model.
    PromptTooLong,
    /// The model does not exist or may not be used.
    ModelNotFound,
    /// The provider called the request invalid.
    InvalidRequest,
    /// The request needs credits that the account does not have, for example for a long context.
    CreditsRequired,
    /// The model refused to answer.
    ModelRefusal,
    /// The answer was cut at the output limit.
    MaxOutput,
    /// A user's hook blocked the turn before it reached the model.
    Blocked { hook: String },
    /// A limit that the user gave to the CLI itself (turns, budget) was reached.
    CliLimit { which: String },
    /// None of the above.
    Unknown,
}

/// What a question is about, which decides who answers it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Something that the user decides or answers.
    ForUser(Box<Asked>),
    /// Anything else.
    Unknown,
}

/// A tool that the agent asks to use.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolRequest {
    /// The tool's name.
    pub tool: String,
    /// What it would work on: a path, the beginning of a command.
    pub target: String,
    /// Its input as the CLI gives it: JSON, cut after [`Asked::MAX_INPUT_BYTES`].
    pub input: String,
}

/// A denied tool.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denial {
    /// The tool's name.
    pub tool: String,
    /// What it would have worked on: a path, the beginning of a command.
    pub target: String,
    /// What calls of one kind have in common: the program of a command, the folder of a path.
    pub class: String,
    /// How the user can allow such a call.
    pub allowed_by: AllowedBy,
}

/// What would allow a denied tool call.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum AllowedBy {
    /// No rule or mode.
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

/// A tool's output for display: its beginning and its end.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ToolOutput {
    /// All of the output, or its beginning when some is left out.
    pub head: String,
    /// Its end, when some is left out.
    pub tail: String,
    /// The total number of lines.
    pub lines: u64,
}

impl ToolOutput {
    /// How many bytes of the beginning, and of the end, of a longer output are kept.
    pub const PART_BYTES: usize = 8 * 1024;

    /// The kept parts of this text.
    #[must_use]
    pub fn of(text: &str) -> ToolOutput {
        let lines = text.lines().count() as u64;
        if text.len() <= 2 * ToolOutput::PART_BYTES {
            return ToolOutput { head: text.to_owned(), tail: String::new(), lines };
        }
        let head = &text[..text.floor_char_boundary(ToolOutput::PART_BYTES)];
        let tail = &text[text.ceil_char_boundary(text.len() - ToolOutput::PART_BYTES)..];
        ToolOutput { head: head.to_owned(), tail: tail.to_owned(), lines }
    }
}

/// An item of the agent's to-do list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TodoItem {
    /// What is to be done.
    pub text: String,
    /// `pending`, `in_progress` or `completed`.
    pub state: String,
}

/// What an agent's CLI offers, for completing user input.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Offers {
    /// Its own commands, without the `/`.
    pub commands: Vec<OfferedCommand>,
    /// The models that can be selected.
    pub models: Vec<String>,
    /// The permission modes that can be selected during the session, in the order of the CLI's own key for it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub permission_modes: Vec<String>,
}

/// A command of an agent's CLI.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfferedCommand {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: String,
    /// A hint for its arguments.
    pub argument_hint: String,
}

/// The state of a usage window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LimitReport {
    /// Allowed, near the limit, or rejected.
    pub status: LimitStatus,
    /// Which window, for example `five_hour`.
    pub window: Option<String>,
    /// When it resets, unix seconds.
    pub resets_at_unix_s: Option<i64>,
    /// How much of it is used, 0 to 1.
    pub utilization: Option<f64>,
    /// Other windows that the message named: name, utilization 0 to 1, reset in unix seconds.
    pub others: Vec<(String, Option<f64>, Option<i64>)>,
}

/// Allowed, near the limit, or rejected.
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

/// The meaning of a process's exit, from its exit status, whether the session had begun, and the end of its stderr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum ExitCause {
    /// It ended normally, as requested.
    Clean,
    /// It crashed or was killed.
    Crash,
    /// The system killed it because the memory was used up that it may have.
    OutOfMemory,
    /// The session id is in use: the session exists, so resume it.
    SessionInUse,
    /// The session to resume does not exist: begin it.
    SessionUnknown,
    /// It does not know an option, or was called wrongly: never restarted.
    BadUsage { message: String },
    /// It refused to start for a reason that a restart does not fix.
    RefusedToStart { message: String },
}
