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
    /// The names of all kinds in the journal.
    const KINDS: &'static [&'static str];
    /// The name of this one's kind.
    fn kind(&self) -> &'static str;
    /// Whether this program knows an input of that kind.
    #[must_use]
    fn knows(kind: &str) -> bool {
        Self::KINDS.contains(&kind)
    }
    /// The wall clock at which it became known, where it says so, in unix milliseconds.
    fn unix_ms(&self) -> Option<i64>;
}

/// What a journal records as actions.
pub trait JournalAction: Serialize {
    /// The names of all kinds in the journal.
    const KINDS: &'static [&'static str];
    /// The name of this one's kind.
    fn kind(&self) -> &'static str;
    /// Whether it is recorded: what is only shown is not, since a replay makes it again.
    fn is_recorded(&self) -> bool;
}

/// `KINDS` and `kind` from one table: the compiler wants every variant in it, so the list lacks none.
macro_rules! kinds {
    ($type:ident: $($variant:ident => $name:literal),+ $(,)?) => {
        const KINDS: &'static [&'static str] = &[$($name),+];
        fn kind(&self) -> &'static str {
            match self {
                $($type::$variant { .. } => $name),+
            }
        }
    };
}

impl JournalInput for Input {
    const RUN: RunKind = RunKind::Agent;
    kinds! { Input:
        Began => "began",
        Tokens => "tokens",
        Spawned => "spawned",
        SpawnFailed => "spawn_failed",
        Line => "line",
        Noise => "noise",
        Progress => "progress",
        WriteFailed => "write_failed",
        Exited => "exited",
        CheckFinished => "check_finished",
        TreeMeasured => "tree_measured",
        Operator => "operator",
        Elapsed => "elapsed",
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
    kinds! { Action:
        Spawn => "spawn",
        Send => "send",
        Interrupt => "interrupt",
        // Its name until 1.2 stays.
        DenyTool => "answer",
        AllowTool => "allow_tool",
        CancelForm => "cancel_form",
        Refuse => "refuse",
        AskCost => "ask_cost",
        SetPermissionMode => "set_permission_mode",
        CloseStdin => "close_stdin",
        Signal => "signal",
        KillTree => "kill_tree",
        SetCredential => "set_credential",
        ReportToken => "report_token",
        ReadTokens => "read_tokens",
        ProbeToken => "probe_token",
        Ask => "ask",
        RunCheck => "run_check",
        CancelCheck => "cancel_check",
        MeasureTree => "measure_tree",
        Decide => "decide",
        Note => "note",
        Show => "show",
        Finish => "finish",
    }
    fn is_recorded(&self) -> bool {
        self.as_show().is_none()
    }
}

impl JournalInput for CommandInput {
    const RUN: RunKind = RunKind::Command;
    kinds! { CommandInput:
        Began => "began",
        Spawned => "spawned",
        SpawnFailed => "spawn_failed",
        Exited => "exited",
        Stopped => "stopped",
        CtrlC => "ctrl_c",
        Beat => "beat",
        Tokens => "tokens",
        Operator => "operator",
        Resumed => "resumed",
        Elapsed => "elapsed",
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
    kinds! { CommandAction:
        Spawn => "spawn",
        Signal => "signal",
        Hold => "hold",
        LetGo => "let_go",
        KillTree => "kill_tree",
        Suspend => "suspend",
        ReadBeat => "read_beat",
        LookAtToken => "look_at_token",
        Ask => "ask",
        AskNoMore => "ask_no_more",
        Decide => "decide",
        Note => "note",
        Show => "show",
        Finish => "finish",
    }
    fn is_recorded(&self) -> bool {
        !matches!(self, CommandAction::Show(_))
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
