//! What an agent asks its user: whether a tool may be used, questions of its own, a plan, a form.

use serde::{Deserialize, Serialize};

use crate::words::AskId;

/// A request of the agent that the user decides or answers. A client gets it in this form: unknown fields are
/// skipped, missing ones are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Asked {
    /// Its number in the run; 0 until the core has assigned one.
    pub id: AskId,
    /// What it is about.
    pub kind: AskedKind,
    /// The tool's name; for a form, the MCP server that asks.
    pub tool: String,
    /// What the tool would work on: a path, the beginning of a command.
    pub target: String,
    /// The tool's input as the CLI gives it: JSON, cut after [`Asked::MAX_INPUT_BYTES`].
    pub input: String,
    /// `input` was cut.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub input_is_cut: bool,
    /// The change that the tool would make to a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit: Option<Edit>,
    /// What the agent says about the request; for a form, its message.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub said: String,
    /// Why the CLI asks, when it says so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// What an answer "for this session" additionally allows, in words; empty when there is no such answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The same as the CLI writes it: JSON, one per rule. No client needs them.
    #[serde(skip)]
    pub updates: Vec<String>,
    /// The questions, for [`AskedKind::Choices`].
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub questions: Vec<AskedQuestion>,
    /// The plan, for [`AskedKind::Plan`] when the CLI gives one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// The fields of a form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<AskedField>,
    /// The sub-agent that asks: the call that started it, or its own name when that call is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub under: Option<String>,
    /// The request is denied after this time, because nobody attends the run; `None` when it waits without a limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_in_ms: Option<u64>,
}

impl Asked {
    /// The longest input that is kept. A call with a longer one can be allowed or denied, but its input cannot be
    /// sent back.
    pub const MAX_INPUT_BYTES: usize = 256 * 1024;
}

/// What the agent's request is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedKind {
    /// Permission to use a tool.
    #[default]
    Permission,
    /// Questions from the agent.
    Choices,
    /// Approval of the agent's plan.
    Plan,
    /// A form for a person to fill in.
    Form,
}

impl AskedKind {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            AskedKind::Permission => "permission",
            AskedKind::Choices => "choices",
            AskedKind::Plan => "plan",
            AskedKind::Form => "form",
        }
    }

    /// How it is answered.
    #[must_use]
    pub fn answer_form(self) -> AnswerForm {
        match self {
            AskedKind::Permission | AskedKind::Plan => AnswerForm::YesOrNo,
            AskedKind::Choices => AnswerForm::Questions,
            AskedKind::Form => AnswerForm::Fields,
        }
    }
}

/// How a request is answered. What reads an answer distinguishes these and not the kinds, so that a new kind needs no code there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerForm {
    /// It is allowed or denied.
    YesOrNo,
    /// Each of [`Asked::questions`] gets an answer, or all are denied.
    Questions,
    /// [`Asked::fields`] are filled in, or the form is cancelled.
    Fields,
}

/// A question from the agent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedQuestion {
    /// The question's text; it is also the key of the answer.
    pub question: String,
    /// The question in one or two words.
    pub header: String,
    /// The answers that the agent offers; the user may always give another.
    pub options: Vec<AskedOption>,
    /// More than one may be chosen.
    pub multi: bool,
}

/// An answer that is offered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedOption {
    /// The answer.
    pub label: String,
    /// What it means.
    pub description: String,
}

/// A field of a form.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AskedField {
    /// Its name in the answer.
    pub name: String,
    /// Its title for people; empty where there is none.
    pub title: String,
    /// JSON Schema's type: `string`, `number`, `integer`, `boolean`.
    pub kind: String,
    /// The values it may have; any when empty.
    pub choices: Vec<String>,
    /// The form is not complete without it.
    pub required: bool,
}

/// A change that a tool is about to make to a file, to be shown as a diff.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    /// The file.
    pub path: String,
    /// The text before; empty for a new file.
    pub old: String,
    /// The text after.
    pub new: String,
}

/// A part of a change that a tool has made to a file, with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hunk {
    /// The number of its first line before the change.
    pub old_start: u64,
    /// The number of its first line after the change.
    pub new_start: u64,
    /// Its lines, each after its sign: a space, `-` or `+`.
    pub lines: Vec<String>,
}
