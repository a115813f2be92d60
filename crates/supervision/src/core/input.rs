//! The facts that reach the core, in the past tense. Each is journalled before it is handled.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{Answer, CheckId, MeasureId, TokenFact};
use crate::words::{CheckResult, ExitFact, ProcId};

/// A fact that reached the core. Every input is journalled before it is handled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum Input {
    /// The run begins, or goes on after ccc itself had died; `unix_ms` is the wall clock. `turn_recorded` as in
    /// [`ExitFact`].
    Began {
        unix_ms: i64,
        resumed: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn_recorded: Option<bool>,
        /// The tokens that there are; none when the CLI is to find one by itself.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tokens: Vec<TokenFact>,
    },
    /// What all ccc processes of the user know about the tokens by now: the answer to `ReportToken` and `ReadTokens` of
    /// this number, or to `ProbeToken`.
    Tokens {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<u32>,
        tokens: Vec<TokenFact>,
        /// The wall clock, by which the resets among them are judged; absent in journals before 1.2.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        unix_ms: Option<i64>,
    },
    /// A process was started.
    Spawned { proc: ProcId, pid: u32, transport: String },
    /// A process could not be started.
    SpawnFailed { proc: ProcId, fault: SpawnFault, message: String },
    /// A process wrote one line to its stdout.
    Line { proc: ProcId, line: LineFact },
    /// A process wrote lines that say nothing, or the same again, too many to be told one by one: how many, and how long they are together.
    /// `sample` is the first and stands for all. At most one a second for each kind of them. No line: so many bytes were
    /// dropped that are no whole line, of its stderr or of a line over the limit that goes on.
    Noise { proc: ProcId, lines: u64, bytes: u64, sample: LineFact },
    /// Partial output flowed since the last input from this process; at most one a second (design §9).
    Progress { proc: ProcId },
    /// A turn could not be written to the process's stdin.
    WriteFailed { proc: ProcId, message: String },
    /// The process is gone, its output has been read to the end and no descendant of it is alive.
    Exited { proc: ProcId, exit: ExitFact },
    /// A check ended.
    CheckFinished { check: CheckId, result: CheckResult },
    /// The working tree was measured.
    TreeMeasured { measure: MeasureId, tree: TreeFact },
    /// The user did something.
    Operator(OperatorInput),
    /// The deadline of `poll_timeout` has passed.
    Elapsed { unix_ms: i64 },
}

/// One line of a process's stdout, without its line end.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LineFact {
    /// A JSON document, kept verbatim.
    Json(Box<RawValue>),
    /// Anything else, as text with invalid UTF-8 replaced.
    Noise(String),
    /// A line over the limit was dropped; its length in bytes.
    TooLong(u64),
}

/// Why a process could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SpawnFault {
    /// There is no such program.
    NotFound,
    /// It may not be executed.
    NotExecutable,
    /// The working directory is gone.
    BadDirectory,
    /// The command that gives its credential failed.
    NoCredential,
    /// The project's files make it run something, or send its credential somewhere, to which the user has not agreed; in
    /// journals since 1.2.
    NotAgreed,
    /// The system is out of something (processes, memory, descriptors): may pass.
    Exhausted,
    /// Anything else.
    Other,
}

/// What a measurement of the working tree found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TreeFact {
    /// A hash over head commit, index and files, of nested repositories too; `None` when the tree could not be measured.
    pub fingerprint: Option<String>,
    /// Paths that differ from the measurement this one was compared with (at most 200); empty without one.
    pub changed: Vec<String>,
    /// Why it could not be measured, when it could not.
    pub trouble: Option<String>,
    /// Of which kind that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<TreeFault>,
    /// A rough hash over what git ignores, at the stop. It only serves to tell whether the agent makes progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ignored: Option<String>,
    /// Processes that the agent had started, that still ran and that may have written something since the measurement that
    /// this one was compared with; told only where something changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<String>,
    /// Processes that the agent had started and that still ran, but have written nothing since.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub idle: Vec<String>,
    /// What the project's settings of the agent ask for by now without the user's agreement, in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_agreed: Option<String>,
}

/// Why a tree could not be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TreeFault {
    /// A program that looks at it did not come to an end within its limit, and was ended.
    Hung,
    /// A program that looks at it failed, or could not be started.
    Failed,
    /// It is larger than the limits allow.
    TooLarge,
}

/// What the user did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "each variant's text names its fields")]
pub enum OperatorInput {
    /// Asked for the end: the first time in good order, the second time at once.
    Interrupt { reason: String },
    /// Said something to the agent: its next turn. While one runs, is checked or is judged, it is queued; it goes before the
    /// critic's feedback.
    Turn { text: String },
    /// Said anew, when going on with a run, what the journal holds with marks in the place of secrets: `text` counts instead of
    /// these texts, whether they are still to be said or have been.
    Restate { text: String, instead_of: Vec<String> },
    /// Moved the run's directory and made it reachable under its name again: this is where it is.
    Moved { real: String },
    /// Gave other bounds when going on with a run; since 1.2 a plan says so.
    Budgets(super::Budgets),
    /// Gave other settings when going on with a run: of this plan counts what may change in mid-run
    /// ([`super::Plan::changed_to`]).
    Plan(Box<super::Plan>),
    /// Answered the question of this number.
    Answer { number: u32, choice: Answer },
}

impl OperatorInput {
    /// Whether it may also be said to a run whose ccc has died, before that run is told so.
    #[must_use]
    pub fn may_precede_a_life(&self) -> bool {
        match self {
            OperatorInput::Turn { .. }
            | OperatorInput::Restate { .. }
            | OperatorInput::Moved { .. }
            | OperatorInput::Budgets(_)
            | OperatorInput::Plan(_) => true,
            OperatorInput::Interrupt { .. } | OperatorInput::Answer { .. } => false,
        }
    }
}
