use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::core::{Action, Input, Plan, Tick};

/// The format's major version. A reader refuses a higher one.
pub const FORMAT_MAJOR: u32 = 1;
/// The format's minor version. A higher one is read: it only adds fields and kinds of lines.
pub const FORMAT_MINOR: u32 = 1;
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
            plan: serde_json::value::to_raw_value(plan)?,
        })
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

/// One line after the header, as the reader sees it. Exactly one of the last five is set; none of them
/// when a newer ccc wrote a kind of line that this one does not know. `null` is none of them, and damage.
#[derive(Debug, Deserialize)]
pub(super) struct Line {
    pub(super) n: Option<u64>,
    pub(super) t: Option<Tick>,
    #[serde(rename = "in", default, deserialize_with = "present")]
    pub(super) input: Option<Input>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "present")]
    pub(super) in_blob: Option<BlobRef>,
    #[serde(default, deserialize_with = "present")]
    pub(super) act_blob: Option<BlobRef>,
    #[serde(default, deserialize_with = "present")]
    pub(super) gap: Option<Gap>,
}

/// A member that is there says something: a `null` in its place would silently leave an entry out.
fn present<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// The same line without a look into the input: used to tell *why* [`Line`] could not be read.
#[derive(Debug, Deserialize)]
pub(super) struct LooseLine {
    #[serde(rename = "in")]
    pub(super) input: Option<Box<RawValue>>,
}

/// The kinds of input that this program knows, as they are written.
const INPUT_KINDS: [&str; 12] = [
    "began",
    "tokens",
    "spawned",
    "spawn_failed",
    "line",
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
        Input::Progress { .. } => "progress",
        Input::WriteFailed { .. } => "write_failed",
        Input::Exited { .. } => "exited",
        Input::CheckFinished { .. } => "check_finished",
        Input::TreeMeasured { .. } => "tree_measured",
        Input::Operator(_) => "operator",
        Input::Elapsed { .. } => "elapsed",
    }
}

/// Whether this program knows an input of that kind.
pub(super) fn knows_input_kind(kind: &str) -> bool {
    INPUT_KINDS.contains(&kind)
}

/// The name of an action's kind in the journal.
#[must_use]
pub fn action_kind(action: &Action) -> &'static str {
    match action {
        Action::Spawn(_) => "spawn",
        Action::Send(_) => "send",
        Action::Interrupt { .. } => "interrupt",
        Action::Answer { .. } => "answer",
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
