//! The core's decisions. The driver performs actions in order and reports their results as inputs (`input.rs`).

use serde::{Deserialize, Serialize};
use strum::{IntoStaticStr, VariantNames};

use super::{
    AfterWait, CheckId, CheckpointAt, CheckpointId, MeasureId, Needs, Outcome, Question, SpentBound, SpentToken,
    TokenId, TokenReport,
};
use crate::agent::{Asked, Edit, Hunk, Offers, Role, Say, TodoItem, ToolOutput, TurnKind};
use crate::words::{AskId, Image, Launch, ProcId, ProtectedFiles, TouchedTests, TurnId};

/// A decision of the core. The driver performs actions in order and reports their results as inputs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Action {
    /// Start a process; answered by `Spawned` or `SpawnFailed`, later by `Exited`.
    Spawn(Spawn),
    /// Send a user turn to an idle agent or critic.
    Send(Send),
    /// Ask the process, in its own protocol, to interrupt its turn.
    Interrupt { proc: ProcId },
    /// Deny the CLI's permission request for a tool. The model reads `denial`.
    #[serde(rename = "answer")]
    #[strum(serialize = "answer")]
    DenyTool { proc: ProcId, request_id: String, denial: String },
    /// Grant the CLI's permission request for a tool. `input`: a JSON object that replaces the tool's own input. `updates`:
    /// permission rules to add, in the CLI's own format.
    AllowTool {
        proc: ProcId,
        request_id: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        updates: Vec<String>,
    },
    /// Answer a form with this content, a JSON object.
    FillForm { proc: ProcId, request_id: String, content: String },
    /// Cancel a form.
    CancelForm { proc: ProcId, request_id: String },
    /// Answer a request of an unknown kind with an error that says why.
    Refuse { proc: ProcId, request_id: String, why: String },
    /// Ask the process for its cost so far; it answers in its own protocol. `number` counts the process's cost requests from 1.
    AskCost { proc: ProcId, number: u32 },
    /// Change the permission mode of the process.
    SetPermissionMode { proc: ProcId, mode: String },
    /// Use another model from now on.
    SetModel { proc: ProcId, model: String },
    /// Release a stop that the CLI's interface holds, without sending a message.
    #[serde(rename = "let_go")]
    #[strum(serialize = "let_go")]
    ReleaseStop { proc: ProcId },
    /// Close the stdin of the process. An idle agent then exits by itself.
    CloseStdin { proc: ProcId },
    /// Send a signal to the process.
    Signal { proc: ProcId, signal: Signal },
    /// Kill the process and all its descendants.
    KillTree { proc: ProcId },
    /// Replace the credential of the live process by this one; the process reports whether it accepted it.
    SetCredential { proc: ProcId, token: TokenId },
    /// Tell all ccc processes of the user about a token; answered by `Tokens` under the same number.
    ReportToken { request: u32, token: TokenId, report: TokenReport },
    /// Read the shared state of the tokens; answered by `Tokens` under the same number.
    ReadTokens { request: u32 },
    /// Ask the provider about a token, if the provider offers that; a result comes as `Tokens` without a number.
    ProbeToken { token: TokenId },
    /// Ask the user; answered by `OperatorInput::Answer`, or not at all.
    Ask(Question),
    /// Run a check, or a command of the setup; answered by `CheckFinished`.
    ///
    /// With `base`, the protected files of the run's checkpoint of this number are in the tree while it runs, and those of the
    /// agent again when it is answered, also after `CancelCheck`.
    RunCheck {
        check: CheckId,
        command: String,
        timeout_ms: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<u64>,
    },
    /// Stop a running check or setup command.
    CancelCheck { check: CheckId },
    /// Measure the working tree; answered by `TreeMeasured`. With `since`, list the paths that changed since that measurement.
    /// Paths in `moving` change by themselves and are left out.
    MeasureTree {
        measure: MeasureId,
        since: Option<MeasureId>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        moving: Vec<String>,
    },
    /// Keep the working tree as a checkpoint; answered by `CheckpointTaken`, which nothing waits for.
    TakeCheckpoint { checkpoint: CheckpointId, at: CheckpointAt },
    /// Compare the tests in the run's checkpoints of these numbers; answered by `TestsCompared`, which is not waited for longer
    /// than 2 s.
    CompareTests { checkpoint: CheckpointId, from: u64, to: u64 },
    /// A decision and its reason, for `ccc explain`.
    Decide(Decision),
    /// A remark, for example that an input was ignored.
    Note(Note),
    /// Show something to the user. Not journalled, because a replay produces it again.
    Show(Show),
    /// The run is over. No action follows.
    Finish(Finish),
}

impl Action {
    /// The content of [`Action::Show`].
    #[must_use]
    pub fn as_show(&self) -> Option<&Show> {
        if let Action::Show(show) = self { Some(show) } else { None }
    }

    /// The content of [`Action::Finish`].
    #[must_use]
    pub fn as_finish(&self) -> Option<&Finish> {
        if let Action::Finish(finish) = self { Some(finish) } else { None }
    }

    /// The protocol message that this action sends, and its process; [`Core::encode`](super::Core::encode) gives its bytes. A
    /// credential is not one of them, because only the driver knows its value.
    #[must_use]
    pub fn says(&self) -> Option<(ProcId, Say<'_>)> {
        Some(match self {
            Action::Send(Send { proc, turn, kind, text, images }) => {
                (*proc, Say::Turn { turn, kind: *kind, text, images })
            }
            Action::Interrupt { proc } => (*proc, Say::Interrupt),
            Action::DenyTool { proc, request_id, denial } => (*proc, Say::Denial { request_id, words: denial }),
            Action::AllowTool { proc, request_id, input, updates } => {
                (*proc, Say::Permission { request_id, input: input.as_deref(), updates })
            }
            Action::FillForm { proc, request_id, content } => (*proc, Say::Filled { request_id, content }),
            Action::SetModel { proc, model } => (*proc, Say::Model { model }),
            Action::ReleaseStop { proc } => (*proc, Say::ReleaseStop),
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
            | Action::TakeCheckpoint { .. }
            | Action::CompareTests { .. }
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
    /// The process number.
    pub proc: ProcId,
    /// Agent or critic.
    pub role: Role,
    /// What to start.
    pub launch: Launch,
    /// The token to use; `None` leaves the choice to the CLI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenId>,
}

/// A user turn to send.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// The receiving process.
    pub proc: ProcId,
    /// The uuid of the turn.
    pub turn: TurnId,
    /// What kind of turn it is.
    pub kind: TurnKind,
    /// The message.
    pub text: String,
    /// Images sent with the message.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<Image>,
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
    /// The reason.
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

/// An event for the user. It carries no decisions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Show {
    /// The run enters a phase: setting up, starting, working, asking, checking, reviewing, waiting, paused, resting, restarting, ending.
    /// `goes_on_in_ms`: the length of the wait, if known.
    Phase { phase: String, detail: String, iteration: u32, goes_on_in_ms: Option<u64> },
    /// The agent's session is known.
    Session { session_id: String, model: String, agent_version: String, permission_mode: String },
    /// The agent works in another permission mode.
    PermissionMode { mode: String },
    /// A request of the agent failed, and its CLI tries again in `delay_ms`: its `attempt` of at most `max_attempts`.
    Retrying { role: Role, attempt: u32, max_attempts: u32, delay_ms: u64 },
    /// A turn was given to the agent.
    Turn { kind: TurnKind, text: String },
    /// Text of the agent or the critic. `under`: the tool call that began the sub-agent that wrote it.
    Text {
        role: Role,
        text: String,
        sub_agent: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<String>,
    },
    /// A tool was started. `under`: the tool call that began the sub-agent that started it.
    Tool {
        role: Role,
        id: String,
        name: String,
        target: String,
        edit: Option<Edit>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<String>,
    },
    /// A tool ended. `error`: the first words of a failure. `output`: what the tool returned. `hunks`: what it changed in its file,
    /// if known.
    ToolEnded {
        role: Role,
        id: String,
        failed: bool,
        error: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<ToolOutput>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hunks: Vec<Hunk>,
    },
    /// A tool was denied by the permissions in force.
    Denied { role: Role, tool: String, target: String },
    /// A check ended, or a command of the setup (`setup`).
    Check {
        command: String,
        passed: bool,
        summary: String,
        duration_ms: u64,
        tail: String,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        setup: bool,
        /// Why the shell did not run something of it, if it says so by the exit code.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        not_run: Option<String>,
    },
    /// The critic's verdict: completed, feedback, needs_user or unusable.
    Verdict { verdict: String, text: String, iteration: u32 },
    /// The cost so far of all processes of the run; `None` while unknown.
    Cost { usd: Option<f64> },
    /// How much of the model's context the agent's conversation uses, in tokens; `None` while unknown.
    Context { used_tokens: Option<u64>, window_tokens: Option<u64> },
    /// A message that the user should know of or act on.
    Notice { text: String },
    /// A message about normal operation; the user need not act.
    Information { text: String },
    /// No progress for `for_ms`, because the run waits for `what`; `then` follows after another `left_ms`. `alive`: meanwhile
    /// the process wrote output that does not count as progress.
    Awaited { role: Role, what: String, for_ms: u64, left_ms: u64, then: AfterWait, alive: bool },
    /// The run changes to another token. `from` and `to` are labels.
    Rotation { from: String, to: String, why: String },
    /// No token may be used now; the first is ready again at `until_unix_ms`. `waits`: whether the run waits for that.
    Spent { tokens: Vec<SpentToken>, until_unix_ms: i64, waits: bool, now_unix_ms: i64 },
    /// A question that the user may answer.
    Question { question: Question, now_unix_ms: i64 },
    /// Thinking of the agent or the critic. `under`: the tool call that began its sub-agent.
    Thinking {
        role: Role,
        text: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        under: Option<String>,
    },
    /// The agent asks the user something. The request is open until `Settled` names it.
    Asked { ask: Box<Asked> },
    /// A request of the agent is settled. `how`: the way; `words`: the text given to the agent.
    Settled { ask: AskId, how: SettledHow, words: String },
    /// The user's messages that are not sent yet, each with the key that withdraws it.
    Queue { turns: Vec<QueuedTurn> },
    /// The agent's to-do list.
    Todo { items: Vec<TodoItem> },
    /// What the agent's CLI offers.
    Offers { offers: Box<Offers> },
    /// The number of attached clients.
    Attended { clients: u32 },
    /// The run rests until the user's next message. `outcome`: the outcome that the run would end with now, if there is one.
    Rests { why: RestKind, outcome: Option<Outcome>, reason: String },
    /// The used part of a token's usage windows, 0 to 1; `None` while unknown.
    Windows { label: String, five_hour: Option<f64>, seven_day: Option<f64> },
    /// The run is over.
    Finished { outcome: Outcome, reason: String },
}

impl Show {
    /// A copy without the secrets that the user's messages and commands may hold. `None` if it holds neither: text of the agent
    /// arrives without secrets.
    #[must_use]
    pub fn redacted(&self, redact: &dyn Fn(&str) -> String) -> Option<Show> {
        Some(match self {
            Show::Turn { kind, text } => Show::Turn { kind: *kind, text: redact(text) },
            Show::Settled { ask, how, words } => Show::Settled { ask: *ask, how: *how, words: redact(words) },
            Show::Check { command, passed, summary, duration_ms, tail, setup, not_run } => Show::Check {
                command: redact(command),
                passed: *passed,
                summary: summary.clone(),
                duration_ms: *duration_ms,
                tail: tail.clone(),
                setup: *setup,
                not_run: not_run.clone(),
            },
            Show::Queue { turns } => {
                let turn = |turn: &QueuedTurn| QueuedTurn { key: turn.key.clone(), text: redact(&turn.text) };
                Show::Queue { turns: turns.iter().map(turn).collect() }
            }
            Show::Phase { .. }
            | Show::Session { .. }
            | Show::PermissionMode { .. }
            | Show::Retrying { .. }
            | Show::Text { .. }
            | Show::Tool { .. }
            | Show::ToolEnded { .. }
            | Show::Denied { .. }
            | Show::Verdict { .. }
            | Show::Cost { .. }
            | Show::Context { .. }
            | Show::Notice { .. }
            | Show::Information { .. }
            | Show::Awaited { .. }
            | Show::Rotation { .. }
            | Show::Spent { .. }
            | Show::Question { .. }
            | Show::Thinking { .. }
            | Show::Asked { .. }
            | Show::Todo { .. }
            | Show::Offers { .. }
            | Show::Attended { .. }
            | Show::Rests { .. }
            | Show::Windows { .. }
            | Show::Finished { .. } => return None,
        })
    }
}

/// How a request of the agent was settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SettledHow {
    /// Allowed once.
    Allowed,
    /// Allowed together with the offered rules, for the lifetime of the agent's process.
    AllowedForSession,
    /// Denied by the user.
    Denied,
    /// Answered, or the form was filled in.
    Answered,
    /// Withdrawn by the agent's CLI.
    Withdrawn,
    /// The process that asked has ended.
    Gone,
    /// Denied, because no client was attached.
    Policy,
}

impl SettledHow {
    /// The words for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            SettledHow::Allowed => "allowed",
            SettledHow::AllowedForSession => "allowed for this session",
            SettledHow::Denied => "denied",
            SettledHow::Answered => "answered",
            SettledHow::Withdrawn => "withdrawn by the agent",
            SettledHow::Gone => "gone with the agent's process",
            SettledHow::Policy => "denied, because nobody attends",
        }
    }
}

/// A message of the user that is not sent yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueuedTurn {
    /// The key that withdraws it.
    pub key: String,
    /// The message.
    pub text: String,
}

/// Why a run rests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestKind {
    /// There is no message of the user yet.
    NoTask,
    /// The user has interrupted the turn.
    Interrupted,
    /// The critic has given a verdict.
    Judged,
    /// The agent has stopped, and nothing judges its work.
    Unsupervised,
    /// The user has paused the run.
    Paused,
    /// The user has reopened a conversation that had ended.
    TakenUp,
    /// Workers of the agent are running.
    Workers,
}

/// What happens to a run when its last client detaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenLeft {
    /// It continues.
    GoesOn,
    /// It continues, and a request is open, which is denied if nobody comes back in time.
    Asks,
    /// It waits a minute for the next message and then ends; it can be resumed.
    Ends,
    /// It has no message: it ends after a minute and is deleted.
    LeavesNothing,
}

impl RestKind {
    /// What happens to a run in this phase when the last client detaches. `phase` and `detail` are as in [`Show::Phase`].
    #[must_use]
    pub fn when_left(phase: &str, detail: &str) -> WhenLeft {
        let is = |kind: RestKind| phase == "waiting" && detail == kind.in_words();
        if is(RestKind::NoTask) {
            WhenLeft::LeavesNothing
        } else if phase == "asking" {
            WhenLeft::Asks
        } else if Outcome::named(phase).is_some() || is(RestKind::TakenUp) {
            WhenLeft::Ends
        } else {
            WhenLeft::GoesOn
        }
    }

    /// Whether a run in this phase rests, and is not paused. `phase` and `detail` are as in [`Show::Phase`].
    #[must_use]
    pub fn is_rest(phase: &str, detail: &str) -> bool {
        let kinds = [RestKind::NoTask, RestKind::Interrupted, RestKind::Unsupervised, RestKind::TakenUp];
        Outcome::named(phase).is_some() || phase == "waiting" && kinds.iter().any(|kind| detail == kind.in_words())
    }

    /// The words for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            RestKind::NoTask => "waits for its task",
            RestKind::Interrupted => "interrupted; waits for your next message",
            RestKind::Judged => "judged; waits for your next message",
            RestKind::Unsupervised => "the agent has stopped; nothing is judged",
            RestKind::Paused => "paused",
            RestKind::TakenUp => "taken up; waits for your next message",
            RestKind::Workers => "waits for its workers",
        }
    }
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
    /// The agent's session, if known.
    pub session_id: Option<String>,
    /// Judged stops.
    pub iterations: u32,
    /// Number of restarts of the agent.
    pub restarts: u32,
    /// Number of changes to another token.
    pub rotations: u32,
    /// Time spent waiting for limits to reset.
    pub waited_ms: u64,
    /// Cost, if the agent reported it.
    pub cost_usd: Option<f64>,
    /// The provider rejects the session, so resuming it cannot help.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub session_rejected: bool,
    /// Tokens used, if they were bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens_used: Option<u64>,
    /// What the run needs to continue, if known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<Needs>,
    /// The bound that ended the run, if one did. Older journals lack it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spent: Option<SpentBound>,
    /// The files of tests and of checks that were not as at the run's beginning when the agent stopped last.
    #[serde(default, skip_serializing_if = "TouchedTests::is_empty")]
    pub tests: Box<TouchedTests>,
    /// What the last check had of the protected files, or why it had none of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protected: Option<Box<ProtectedFiles>>,
}

impl Finish {
    /// An end of which only outcome and reason are known.
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
            tests: Box::default(),
            protected: None,
        }
    }
}
