//! What a report says: the JSON format, which `docs/report.md` describes. HTML and Markdown are made from it.

use serde::Serialize;

use super::points::Point;
use super::text::{Excerpt, Text, Washer};
use super::timeline::Timeline;
use super::transcript::Transcript;
use crate::agent::{Role, TokenCount};
use crate::core::{Outcome, TestTouch, Tone};
use crate::journal::RunKind;
use crate::patch::{FileFate, Finding, Sign};

/// The version of the JSON format. Within a version fields are only added.
pub const REPORT_VERSION: u32 = 1;
/// How many characters of a line are shown in which something was found.
const FOUND_LINE_CHARS: usize = 160;
/// The same of its file's path.
const FOUND_PATH_CHARS: usize = 300;

/// The report of a run. All times named `…_ms` without `unix` are milliseconds after the run's beginning on the wall clock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// [`REPORT_VERSION`].
    pub report: u32,
    /// The version of ccc that made it.
    pub ccc: String,
    /// The run.
    pub run: RunFacts,
    /// How it stands.
    pub state: RunState,
    /// How it ended; `None` until then.
    pub outcome: Option<Outcome>,
    /// Why, in one sentence.
    pub reason: Text,
    /// Why the report does not cover the whole run.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub incomplete: Text,
    /// What the user asked for.
    pub asked: Vec<AskedFor>,
    /// The critic's last verdict.
    pub verdict: Option<LastVerdict>,
    /// Sums over the run.
    pub totals: Totals,
    /// What the run did when.
    pub timeline: Timeline,
    /// What happened when.
    pub moments: Vec<Moment>,
    /// How many moments are left out.
    #[serde(skip_serializing_if = "is_zero")]
    pub moments_left_out: usize,
    /// The iterations: the work up to a stop, and what was found there.
    pub iterations: Vec<Iteration>,
    /// How many iterations are left out, from the middle.
    #[serde(skip_serializing_if = "is_zero")]
    pub iterations_left_out: usize,
    /// Cost and tokens over time, cumulative.
    pub spending: Vec<Spending>,
    /// The usage windows over time, of each token.
    pub windows: Vec<TokenWindows>,
    /// Restarts, changes of the token, waits and absences.
    pub interruptions: Vec<Interruption>,
    /// Tools that were denied.
    pub denied: Vec<Denied>,
    /// What was done to tests.
    pub tests: TestsTouched,
    /// What the checks had of the protected files, in one line; empty if nothing was protected.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub protected: Text,
    /// The whole change of the run, if checkpoints tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<DiffTold>,
    /// The commands that go on with the work.
    pub go_on: Vec<Step>,
    /// The commands that take the work back.
    pub undo: Vec<Step>,
    /// What was said and done.
    pub transcript: Transcript,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// It has its outcome.
    Ended,
    /// A ccc works on it.
    Running,
    /// It has no outcome, and no ccc works on it.
    Broken,
}

/// What is known of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunFacts {
    /// Its id.
    pub id: Text,
    /// Its kind.
    pub kind: RunKind,
    /// Its directory.
    pub cwd: Text,
    /// The agent's session.
    pub session_id: Option<Text>,
    /// The model.
    pub model: Option<Text>,
    /// The version of the agent's CLI.
    pub agent_version: Option<Text>,
    /// When it began.
    pub started_unix_ms: i64,
    /// When it ended, or was last heard of.
    pub until_unix_ms: i64,
    /// Its own time: without the machine's sleep, and without the time in which no ccc worked on it.
    pub elapsed_ms: u64,
}

/// A message of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AskedFor {
    /// When; `None` for a message of the session before the run.
    pub at_ms: Option<u64>,
    /// Its entry in the transcript.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The message.
    pub text: Excerpt,
}

/// The critic's last verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastVerdict {
    /// `completed`, `feedback` or `needs_user`.
    pub verdict: Text,
    /// The number of its iteration in the report.
    pub iteration: usize,
    /// The points of its text.
    pub points: Vec<Point>,
}

/// Sums over a run.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Judged stops.
    pub iterations: u32,
    /// Restarts of the agent.
    pub restarts: u32,
    /// Changes to another token.
    pub rotations: u32,
    /// Time spent waiting for limits.
    pub waited_ms: u64,
    /// Calls of the agent's tools that were denied.
    pub tools_denied: u32,
    /// Cost of agent and critic; `None` while unknown.
    pub cost_usd: Option<f64>,
    /// The critic's part of it.
    pub critic_cost_usd: Option<f64>,
    /// Tokens of the agent.
    pub agent_tokens: Tokens,
    /// Tokens of the critic.
    pub critic_tokens: Tokens,
}

/// A number of tokens.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tokens {
    /// Input, not from the cache.
    pub input: u64,
    /// Input from the cache.
    pub cached: u64,
    /// Output.
    pub output: u64,
}

impl From<TokenCount> for Tokens {
    fn from(count: TokenCount) -> Tokens {
        Tokens { input: count.input, cached: count.cached, output: count.output }
    }
}

impl Tokens {
    /// The sum of all kinds.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input.saturating_add(self.cached).saturating_add(self.output)
    }
}

/// The kind of a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MomentKind {
    /// The user said something.
    User,
    /// A verdict.
    Verdict,
    /// A check failed.
    Check,
    /// A restart.
    Restart,
    /// Another token.
    Rotation,
    /// A wait began.
    Wait,
    /// ccc was not running, or the machine slept.
    Away,
    /// The agent asked for something, or a request was settled.
    Request,
    /// A message to the user.
    Notice,
    /// The end.
    End,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moment {
    /// When.
    pub at_ms: u64,
    /// What it was.
    pub kind: MomentKind,
    /// Whether it is good, bad, or neither.
    #[serde(skip)]
    pub tone: Option<Tone>,
    /// In words.
    pub text: Text,
}

/// The work up to a stop, and what was found there.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Iteration {
    /// Its number in the report, from 1.
    pub number: usize,
    /// When it began.
    pub from_ms: u64,
    /// When it ended.
    pub to_ms: u64,
    /// The checks.
    pub checks: Vec<CheckTold>,
    /// The verdict; `None` when no critic was asked, or none gave one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<Text>,
    /// What the critic, or ccc about the checks, told the agent or the user.
    #[serde(skip_serializing_if = "Excerpt::is_empty")]
    pub feedback: Excerpt,
    /// What it cost; `None` while unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// Tokens that it used.
    pub tokens: u64,
    /// The agent's calls of tools.
    pub tools: u32,
    /// The files that the agent's tools changed; those that its commands changed are not known from the journal.
    pub edits: Vec<EditedFile>,
    /// What changed, if checkpoints tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<DiffTold>,
}

/// A check of an iteration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckTold {
    /// The command.
    pub command: Text,
    /// Whether it passed.
    pub passed: bool,
    /// In a few words.
    pub summary: Text,
    /// How long it took.
    pub duration_ms: u64,
    /// The end of its output, if it failed.
    #[serde(skip_serializing_if = "Excerpt::is_empty")]
    pub output: Excerpt,
}

/// A file that the agent's tools changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EditedFile {
    /// Its path, relative to the run's directory if it is below.
    pub path: Text,
    /// Lines added, over all edits.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
}

/// A difference between two checkpoints.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DiffTold {
    /// The number of the earlier checkpoint; `None` for where an agent's branch began.
    pub from: Option<u64>,
    /// The number of the later checkpoint; `None` for the agent's tree as it is.
    pub to: Option<u64>,
    /// The files.
    pub files: Vec<FileTold>,
    /// How many more files there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub files_left_out: usize,
}

/// A file of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FileTold {
    /// Its path.
    pub path: Text,
    /// Its former path, if it was renamed.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub renamed_from: Text,
    /// What happened to it.
    pub fate: FileFate,
    /// Lines added.
    pub added: usize,
    /// Lines removed.
    pub removed: usize,
    /// Its lines.
    pub lines: Vec<LineTold>,
    /// How many more lines there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub lines_left_out: usize,
}

/// A line of a difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LineTold {
    /// On which side it is.
    pub sign: Sign,
    /// The line.
    pub text: Text,
}

/// Cost and tokens up to a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Spending {
    /// When.
    pub at_ms: u64,
    /// What the agent has cost.
    pub agent_usd: f64,
    /// What the critic has cost.
    pub critic_usd: f64,
    /// Tokens of the agent.
    pub agent_tokens: u64,
    /// Tokens of the critic.
    pub critic_tokens: u64,
}

/// The usage windows of a token over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TokenWindows {
    /// The token's label.
    pub token: Text,
    /// In order.
    pub points: Vec<WindowPoint>,
}

/// The used part of a token's windows, 0 to 1; `None` while unknown.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WindowPoint {
    /// When.
    pub at_ms: u64,
    /// Of the window of five hours.
    pub five_hour: Option<f64>,
    /// Of the window of seven days.
    pub seven_day: Option<f64>,
}

/// The kind of an interruption.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum InterruptionKind {
    /// The agent was restarted.
    Restart,
    /// The run changed to another token.
    Rotation,
    /// The run waited.
    Wait,
    /// No ccc worked on the run, or the machine slept.
    Away,
}

impl InterruptionKind {
    /// The word for the user.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            InterruptionKind::Restart => "restart",
            InterruptionKind::Rotation => "other token",
            InterruptionKind::Wait => "wait",
            InterruptionKind::Away => "away",
        }
    }
}

/// A restart, a change of the token, a wait or an absence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Interruption {
    /// What it was.
    pub kind: InterruptionKind,
    /// When.
    pub at_ms: u64,
    /// How long it took, of a wait or an absence that is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub took_ms: Option<u64>,
    /// Why.
    pub reason: Text,
}

/// A tool that was denied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Denied {
    /// Whose.
    pub role: Role,
    /// The tool.
    pub tool: Text,
    /// What it was to work on.
    pub target: Text,
    /// How often.
    pub times: u32,
    /// When, the first time.
    pub at_ms: u64,
}

/// What was done to tests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TestsTouched {
    /// Where it is known from.
    pub source: TestsSource,
    /// What was found, the gravest first.
    pub findings: Vec<TestFinding>,
    /// How many more there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out: usize,
}

/// Something that was done to the tests of one file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct TestFinding {
    /// What.
    pub touch: TestTouch,
    /// The file.
    pub path: Text,
    /// Some of the lines that show it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<Text>,
}

impl TestFinding {
    /// What was found in a difference, without secrets and shortened.
    #[must_use]
    pub(super) fn of(found: Finding, washer: &Washer) -> TestFinding {
        TestFinding {
            touch: found.touch,
            path: washer.line(&found.path, FOUND_PATH_CHARS),
            lines: found.lines.iter().map(|line| washer.line(line, FOUND_LINE_CHARS)).collect(),
        }
    }
}

/// Where it is known from what was done to tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TestsSource {
    /// The edits of the agent's tools. What its commands changed is not among them.
    #[default]
    Edits,
    /// The difference between checkpoints.
    Checkpoints,
}

/// A command for the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it does.
    pub does: Text,
    /// The command.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub command: Text,
}
