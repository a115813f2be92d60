//! The journal's format: its version, its header, and how an input or an action stands in a line.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::core::supervised::{CommandAction, CommandInput, CommandPlan};
use crate::core::{Action, Input, Plan, Tick};

/// The format's major version. A reader refuses a higher one.
pub const FORMAT_MAJOR: u32 = 1;
/// The format's minor version. A higher one is read: it only adds fields and kinds of lines.
pub const FORMAT_MINOR: u32 = 2;
/// An entry whose encoded input or action is longer goes to `blobs/`, so that journal lines stay fit for `grep`.
pub const BLOB_THRESHOLD_BYTES: usize = 64 * 1024;
/// The longest journal line a reader takes. Only the header, which holds the plan's texts, can come near it.
pub const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// The highest number and the latest time that a reader takes: 2^53, up to which every reader of JSON is exact. A journal
/// that goes beyond it is damaged; nothing of ours comes near it (285 years of microseconds).
pub(super) const MAX_NUMBER: u64 = 1 << 53;

/// Major and minor version of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatVersion {
    /// Changes when an older reader would misread the journal.
    pub major: u32,
    /// Changes when something was added that an older reader may skip.
    pub minor: u32,
}

impl FormatVersion {
    /// The version that this program writes.
    pub const CURRENT: FormatVersion = FormatVersion { major: FORMAT_MAJOR, minor: FORMAT_MINOR };
}

/// What a journal is the journal of: it decides which inputs and actions stand in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// An agent's task, supervised by a critic: [`Input`] and [`Action`]. Journals before 1.1 know no other kind.
    #[default]
    Agent,
    /// A command of the user's: [`CommandInput`] and [`CommandAction`].
    Command,
}

impl RunKind {
    fn is_agent(&self) -> bool {
        *self == RunKind::Agent
    }
}

/// The journal's first line.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Header {
    /// The format's version.
    pub ccc: FormatVersion,
    /// The run's id.
    pub run: String,
    /// The plan's seed, repeated here for `jq`.
    pub seed: String,
    /// SHA-256 of the critic's prompt, in hexadecimal.
    pub prompt_sha256: String,
    /// The version of ccc that wrote the journal.
    pub version: String,
    /// What kind of run it is.
    #[serde(default, skip_serializing_if = "RunKind::is_agent")]
    pub kind: RunKind,
    /// Whether lines of the journal say how far it has reached the disk. The writer sets it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marks: bool,
    /// The plan, as it was written; [`Header::plan`] parses it.
    pub plan: Box<RawValue>,
}

impl Header {
    /// The header of a run under `plan`, written by ccc `version`.
    ///
    /// # Errors
    /// When the plan cannot be written as JSON.
    pub fn new(plan: &Plan, version: &str) -> Result<Header, serde_json::Error> {
        Ok(Header {
            ccc: FormatVersion::CURRENT,
            run: plan.run_id.clone(),
            seed: plan.seed.clone(),
            prompt_sha256: sha256_hex(plan.critic.prompt.as_bytes()),
            version: version.to_owned(),
            kind: RunKind::Agent,
            marks: false,
            plan: serde_json::value::to_raw_value(plan)?,
        })
    }

    /// The header of a command's run under `plan`, written by ccc `version`.
    ///
    /// # Errors
    /// When the plan cannot be written as JSON.
    pub fn of_command(plan: &CommandPlan, version: &str) -> Result<Header, serde_json::Error> {
        Ok(Header {
            ccc: FormatVersion::CURRENT,
            run: plan.run_id.clone(),
            seed: plan.seed.clone(),
            prompt_sha256: String::new(),
            version: version.to_owned(),
            kind: RunKind::Command,
            marks: false,
            plan: serde_json::value::to_raw_value(plan)?,
        })
    }

    /// The plan of a command's run.
    ///
    /// # Errors
    /// When this program does not understand it.
    pub fn command_plan(&self) -> Result<CommandPlan, serde_json::Error> {
        serde_json::from_str(self.plan.get())
    }

    /// The plan.
    ///
    /// # Errors
    /// When this program does not understand it.
    pub fn plan(&self) -> Result<Plan, serde_json::Error> {
        serde_json::from_str(self.plan.get())
    }
}

/// Where a big input or action lies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRef {
    /// SHA-256 of the content in hexadecimal, which is also its file's name in `blobs/`.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// The kind of input or action, for people who read the journal.
    pub kind: String,
}

/// Entries that could not be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing number.
    pub from: u64,
    /// The last missing number.
    pub to: u64,
    /// Why the first of them could not be written.
    pub error: String,
}

/// One line after the header, as the reader sees it. Exactly one of the five after the time is set; none of them
/// in a line that says how far the journal is on the disk, or when a newer ccc wrote a kind of line that this one does not know. `null` is none of them, and damage.
#[derive(Debug, Deserialize)]
#[serde(bound = "I: DeserializeOwned")]
pub(super) struct Line<I> {
    pub(super) n: Option<u64>,
    pub(super) t: Option<Tick>,
    #[serde(rename = "in", default, deserialize_with = "present")]
    pub(super) input: Option<I>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) in_blob: Option<BlobRef>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act_blob: Option<BlobRef>,
    #[serde(default, deserialize_with = "present")]
    pub(super) gap: Option<Gap>,
    pub(super) synced: Option<u64>,
}

/// A member that is there says something: a `null` in its place would silently leave an entry out.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// A line that says how far the journal has reached the disk, or one with a number: what stands after damage.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    /// The last entry on the disk, with its payload and all before it.
    #[serde(default)]
    pub(super) synced: Option<u64>,
    /// The number of an entry.
    #[serde(default)]
    pub(super) n: Option<u64>,
}

/// The same line without a look into the input: used to tell *why* [`Line`] could not be read.
#[derive(Debug, Deserialize)]
pub(super) struct LooseLine {
    #[serde(rename = "in")]
    pub(super) input: Option<Box<RawValue>>,
}

/// What a journal records as inputs: those of one kind of run.
pub trait JournalInput: Serialize + DeserializeOwned {
    /// The kind of run that they belong to.
    const RUN: RunKind;
    /// The name of this one's kind in the journal.
    fn kind(&self) -> &'static str;
    /// Whether this program knows an input of that kind.
    fn knows(kind: &str) -> bool;
    /// The wall clock at which it became known, where it says so, in unix milliseconds.
    fn unix_ms(&self) -> Option<i64>;
}

/// What a journal records as actions.
pub trait JournalAction: Serialize {
    /// The name of this one's kind in the journal.
    fn kind(&self) -> &'static str;
    /// Whether it is recorded: what is only shown is not, since a replay makes it again.
    fn is_recorded(&self) -> bool;
}

impl JournalInput for Input {
    const RUN: RunKind = RunKind::Agent;
    fn kind(&self) -> &'static str {
        input_kind(self)
    }
    fn knows(kind: &str) -> bool {
        INPUT_KINDS.contains(&kind)
    }
    fn unix_ms(&self) -> Option<i64> {
        match self {
            Input::Began { unix_ms, .. } | Input::Elapsed { unix_ms } => Some(*unix_ms),
            Input::Tokens { unix_ms, .. } => *unix_ms,
            Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Noise { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::Operator(_) => None,
        }
    }
}

impl JournalAction for Action {
    fn kind(&self) -> &'static str {
        action_kind(self)
    }
    fn is_recorded(&self) -> bool {
        !matches!(self, Action::Show(_))
    }
}

/// The kinds of input of a command's run, as they are written.
const COMMAND_INPUT_KINDS: [&str; 11] = [
    "began",
    "spawned",
    "spawn_failed",
    "exited",
    "stopped",
    "ctrl_c",
    "beat",
    "tokens",
    "operator",
    "resumed",
    "elapsed",
];

impl JournalInput for CommandInput {
    const RUN: RunKind = RunKind::Command;
    fn kind(&self) -> &'static str {
        match self {
            CommandInput::Began { .. } => "began",
            CommandInput::Spawned { .. } => "spawned",
            CommandInput::SpawnFailed { .. } => "spawn_failed",
            CommandInput::Exited { .. } => "exited",
            CommandInput::Stopped { .. } => "stopped",
            CommandInput::CtrlC { .. } => "ctrl_c",
            CommandInput::Beat { .. } => "beat",
            CommandInput::Tokens { .. } => "tokens",
            CommandInput::Operator(_) => "operator",
            CommandInput::Resumed { .. } => "resumed",
            CommandInput::Elapsed { .. } => "elapsed",
        }
    }
    fn knows(kind: &str) -> bool {
        COMMAND_INPUT_KINDS.contains(&kind)
    }
    fn unix_ms(&self) -> Option<i64> {
        match self {
            CommandInput::Began { unix_ms, .. }
            | CommandInput::Tokens { unix_ms, .. }
            | CommandInput::Resumed { unix_ms }
            | CommandInput::Elapsed { unix_ms } => Some(*unix_ms),
            CommandInput::Spawned { .. }
            | CommandInput::SpawnFailed { .. }
            | CommandInput::Exited { .. }
            | CommandInput::Stopped { .. }
            | CommandInput::CtrlC { .. }
            | CommandInput::Beat { .. }
            | CommandInput::Operator(_) => None,
        }
    }
}

impl JournalAction for CommandAction {
    fn kind(&self) -> &'static str {
        match self {
            CommandAction::Spawn { .. } => "spawn",
            CommandAction::Signal { .. } => "signal",
            CommandAction::Hold { .. } => "hold",
            CommandAction::LetGo { .. } => "let_go",
            CommandAction::KillTree { .. } => "kill_tree",
            CommandAction::Suspend => "suspend",
            CommandAction::ReadBeat { .. } => "read_beat",
            CommandAction::LookAtToken { .. } => "look_at_token",
            CommandAction::Ask(_) => "ask",
            CommandAction::AskNoMore { .. } => "ask_no_more",
            CommandAction::Decide(_) => "decide",
            CommandAction::Note(_) => "note",
            CommandAction::Show(_) => "show",
            CommandAction::Finish(_) => "finish",
        }
    }
    fn is_recorded(&self) -> bool {
        !matches!(self, CommandAction::Show(_))
    }
}

/// The kinds of input that this program knows, as they are written.
const INPUT_KINDS: [&str; 13] = [
    "began",
    "tokens",
    "spawned",
    "spawn_failed",
    "line",
    "noise",
    "progress",
    "write_failed",
    "exited",
    "check_finished",
    "tree_measured",
    "operator",
    "elapsed",
];

/// The name of an input's kind in the journal.
#[must_use]
pub fn input_kind(input: &Input) -> &'static str {
    match input {
        Input::Began { .. } => "began",
        Input::Tokens { .. } => "tokens",
        Input::Spawned { .. } => "spawned",
        Input::SpawnFailed { .. } => "spawn_failed",
        Input::Line { .. } => "line",
        Input::Noise { .. } => "noise",
        Input::Progress { .. } => "progress",
        Input::WriteFailed { .. } => "write_failed",
        Input::Exited { .. } => "exited",
        Input::CheckFinished { .. } => "check_finished",
        Input::TreeMeasured { .. } => "tree_measured",
        Input::Operator(_) => "operator",
        Input::Elapsed { .. } => "elapsed",
    }
}

/// The name of an action's kind in the journal.
#[must_use]
pub fn action_kind(action: &Action) -> &'static str {
    match action {
        Action::Spawn(_) => "spawn",
        Action::Send(_) => "send",
        Action::Interrupt { .. } => "interrupt",
        Action::Answer { .. } => "answer",
        Action::CancelForm { .. } => "cancel_form",
        Action::Refuse { .. } => "refuse",
        Action::AskCost { .. } => "ask_cost",
        Action::SetPermissionMode { .. } => "set_permission_mode",
        Action::CloseStdin { .. } => "close_stdin",
        Action::Signal { .. } => "signal",
        Action::KillTree { .. } => "kill_tree",
        Action::SetCredential { .. } => "set_credential",
        Action::ReportToken { .. } => "report_token",
        Action::ReadTokens { .. } => "read_tokens",
        Action::ProbeToken { .. } => "probe_token",
        Action::Ask(_) => "ask",
        Action::RunCheck { .. } => "run_check",
        Action::CancelCheck { .. } => "cancel_check",
        Action::MeasureTree { .. } => "measure_tree",
        Action::Decide(_) => "decide",
        Action::Note(_) => "note",
        Action::Show(_) => "show",
        Action::Finish(_) => "finish",
    }
}

/// SHA-256 of `bytes` in lower-case hexadecimal.
#[must_use]
pub fn sha256_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::digest(bytes);
    let mut hex = String::with_capacity(hash.len() * 2);
    for byte in hash {
        hex.push(char::from(DIGITS[usize::from(byte >> 4)]));
        hex.push(char::from(DIGITS[usize::from(byte & 0x0f)]));
    }
    hex
}
