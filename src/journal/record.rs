//! The journal's format: its version, its header, and how inputs and actions are encoded in lines.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::core::supervised::{CommandAction, CommandInput, CommandPlan};
use crate::core::{Action, Input, JournalLine, Plan, VariantNames as _};
pub use crate::core::{BlobRef, Gap};
use crate::json::from_json;

/// The format's major version. A reader refuses a higher one.
pub const FORMAT_MAJOR: u32 = 1;
/// The format's minor version. A higher one is readable, because it only adds fields and kinds of lines.
pub const FORMAT_MINOR: u32 = 5;
/// An entry whose encoded input or action is longer goes to `blobs/`, so that journal lines stay usable with `grep`.
pub const BLOB_THRESHOLD_BYTES: usize = 64 * 1024;
/// The longest journal line that a reader accepts. Only the header, which holds the plan's texts, can come close to it.
pub const MAX_LINE_BYTES: u64 = 64 * 1024 * 1024;

/// The highest number and the latest time that a reader accepts: 2^53, up to which every JSON reader is exact. A journal beyond
/// it is damaged; real ones do not come close (285 years of microseconds).
pub(super) const MAX_NUMBER: u64 = 1 << 53;

/// Major and minor version of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormatVersion {
    /// Incremented when an older reader would misread the journal.
    pub major: u32,
    /// Incremented when something was added that an older reader may skip.
    pub minor: u32,
}

impl FormatVersion {
    /// The version that this program writes.
    pub const CURRENT: FormatVersion = FormatVersion { major: FORMAT_MAJOR, minor: FORMAT_MINOR };
}

/// The kind of run that a journal records. It decides which inputs and actions the journal has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunKind {
    /// An agent's task, supervised by a critic: [`Input`] and [`Action`]. The only kind before 1.1.
    #[default]
    Agent,
    /// A command of the user: [`CommandInput`] and [`CommandAction`].
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
    /// The kind of the run.
    #[serde(default, skip_serializing_if = "RunKind::is_agent")]
    pub kind: RunKind,
    /// The walls around the run's processes when it began, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub walls: Option<String>,
    /// Whether the journal has `synced` lines. Set by the writer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marks: bool,
    /// The plan as it was written; [`Header::plan`] parses it.
    pub plan: Box<RawValue>,
}

impl Header {
    /// The header of a run with this plan, written by ccc `version`.
    ///
    /// # Errors
    /// When the plan cannot be encoded as JSON.
    pub fn new(plan: &Plan, version: &str) -> Result<Header, serde_json::Error> {
        Ok(Header {
            ccc: FormatVersion::CURRENT,
            run: plan.run_id.clone(),
            seed: plan.seed.clone(),
            prompt_sha256: sha256_hex(plan.critic.prompt.as_bytes()),
            version: version.to_owned(),
            kind: RunKind::Agent,
            walls: None,
            marks: false,
            plan: serde_json::value::to_raw_value(plan)?,
        })
    }

    /// The header of a command's run with this plan, written by ccc `version`.
    ///
    /// # Errors
    /// When the plan cannot be encoded as JSON.
    pub fn of_command(plan: &CommandPlan, version: &str) -> Result<Header, serde_json::Error> {
        Ok(Header {
            ccc: FormatVersion::CURRENT,
            run: plan.run_id.clone(),
            seed: plan.seed.clone(),
            prompt_sha256: String::new(),
            version: version.to_owned(),
            kind: RunKind::Command,
            walls: None,
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
        Plan::of_json(self.plan.get())
    }
}

/// What the reader looks for after damage: a `synced` line, or a line with a number.
#[derive(Debug, Deserialize)]
pub(super) struct Trace {
    /// The last entry on the disk, with its payload and all before it.
    #[serde(default)]
    pub(super) synced: Option<u64>,
    /// The number of an entry.
    #[serde(default)]
    pub(super) n: Option<u64>,
}

/// The same line without decoding the input; tells *why* [`JournalLine`] could not be decoded.
#[derive(Debug, Deserialize)]
pub(super) struct LooseLine {
    #[serde(rename = "in")]
    pub(super) input: Option<Box<RawValue>>,
}

/// The inputs of one kind of run, as a journal records them.
pub trait JournalInput: Serialize + DeserializeOwned {
    /// The kind of run that they belong to.
    const RUN: RunKind;
    /// The names of all kinds in the journal.
    const KINDS: &'static [&'static str];
    /// The name of this input's kind.
    fn kind(&self) -> &'static str;
    /// Whether this program knows an input of that kind.
    #[must_use]
    fn knows(kind: &str) -> bool {
        Self::KINDS.contains(&kind)
    }
    /// The wall clock at which it became known, if it holds one, in unix milliseconds.
    fn unix_ms(&self) -> Option<i64>;
    /// Decodes a line of the journal of such a run.
    ///
    /// # Errors
    /// When it is none.
    fn line(line: &[u8]) -> Result<JournalLine<Self>, serde_json::Error> {
        from_json(line)
    }
    /// Decodes an input.
    ///
    /// # Errors
    /// When it is none.
    fn of_json(text: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// The actions of one kind of run, as a journal records them.
pub trait JournalAction: Serialize {
    /// The names of all kinds in the journal.
    const KINDS: &'static [&'static str];
    /// The name of this action's kind.
    fn kind(&self) -> &'static str;
    /// Whether it is recorded. An action that only shows is not, because a replay produces it again.
    fn is_recorded(&self) -> bool;
}

impl JournalInput for Input {
    const RUN: RunKind = RunKind::Agent;
    const KINDS: &'static [&'static str] = Input::VARIANTS;
    fn kind(&self) -> &'static str {
        self.into()
    }
    fn unix_ms(&self) -> Option<i64> {
        self.unix_ms()
    }
    fn line(line: &[u8]) -> Result<JournalLine<Self>, serde_json::Error> {
        JournalLine::of_input(line)
    }
    fn of_json(text: &str) -> Result<Self, serde_json::Error> {
        Input::of_json(text)
    }
}

impl JournalAction for Action {
    const KINDS: &'static [&'static str] = Action::VARIANTS;
    fn kind(&self) -> &'static str {
        self.into()
    }
    fn is_recorded(&self) -> bool {
        self.as_show().is_none()
    }
}

impl JournalInput for CommandInput {
    const RUN: RunKind = RunKind::Command;
    const KINDS: &'static [&'static str] = CommandInput::VARIANTS;
    fn kind(&self) -> &'static str {
        self.into()
    }
    fn unix_ms(&self) -> Option<i64> {
        self.unix_ms()
    }
}

impl JournalAction for CommandAction {
    const KINDS: &'static [&'static str] = CommandAction::VARIANTS;
    fn kind(&self) -> &'static str {
        self.into()
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A journal that was written by an older ccc must be read, whatever a variant is called in the code today.
    #[test]
    fn the_names_in_journals_stay() {
        assert_eq!(
            Input::KINDS.join(" "),
            "began tokens spawned spawn_failed line noise progress write_failed branch_lost exited check_finished tree_measured checkpoint_taken tests_compared operator elapsed"
        );
        assert_eq!(
            Action::KINDS.join(" "),
            "spawn send interrupt answer allow_tool fill_form cancel_form refuse ask_cost set_permission_mode set_model let_go close_stdin signal kill_tree set_credential report_token read_tokens probe_token ask run_check cancel_check measure_tree take_checkpoint compare_tests decide note show finish"
        );
        assert_eq!(
            CommandInput::KINDS.join(" "),
            "began spawned spawn_failed exited stopped ctrl_c beat tokens operator resumed elapsed"
        );
        assert_eq!(
            CommandAction::KINDS.join(" "),
            "spawn signal hold let_go kill_tree suspend read_beat look_at_token ask ask_no_more decide note show finish"
        );
    }
}
