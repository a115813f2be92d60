use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The behaviour of the agent and its critics in each turn.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Script {
    /// The turns of the agent; turn `k` is played when `k` turns of the session have ended.
    #[serde(default)]
    pub agent: Vec<Vec<Step>>,
    /// The turns of the critics (forks), counted over all critics of the session.
    #[serde(default)]
    pub critic: Vec<Vec<Step>>,
}

impl Script {
    /// Reads a script.
    ///
    /// # Errors
    /// When it is not JSON of the documented form; the error names line and column.
    pub fn read(text: &str) -> Result<Script, serde_json::Error> {
        serde_json::from_str(text)
    }
}

/// One event of a turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// The model says this. The last text of a turn is its result.
    Say(String),
    /// The model thinks this.
    Think(String),
    /// The model uses a tool.
    Tool(Tool),
    /// The model tries a tool that is denied, whatever the permission mode.
    Deny(Deny),
    /// A pause of this many milliseconds.
    SleepMs(u64),
    /// The model uses a tool after the user was asked.
    Ask(AskedTool),
    /// The model asks the user these questions, in the form of the CLI's tool.
    Questions(Vec<Value>),
    /// The model makes this plan and asks for approval.
    Plan(String),
    /// An MCP server asks the user to fill in a form.
    Form(Form),
    /// The process ends at once.
    Crash(Crash),
    /// The process hangs: it lives, but answers nothing and finishes nothing.
    Stall,
    /// The process stops reading stdin; the turn continues.
    StopReading,
    /// SIGINT, SIGTERM and SIGHUP have no effect from now on.
    IgnoreSignals,
    /// A line that is not JSON.
    Garbage(String),
    /// The first half of a message, without a line end.
    HalfLine,
    /// One line with a text of this many bytes.
    HugeLine(usize),
    /// A message of an unknown type.
    UnknownMessage,
    /// A line on stderr.
    Stderr(String),
    /// The provider fails, and the CLI's retry succeeds.
    Retry(Retry),
    /// The provider fails, and so does the turn.
    ApiError(ApiError),
    /// The token is limited: the turn fails.
    Limit(Limit),
    /// A usage window is nearly full.
    LimitWarning(LimitWarning),
    /// A command starts in the background. When it ends, the CLI begins a turn about it.
    Background(Background),
    /// A sub-agent works for this many milliseconds, with a tool of its own.
    SubAgent(u64),
    /// The CLI begins a turn of its own after a time, once it is idle.
    Schedule(Schedule),
    /// The model refuses to answer: the turn fails.
    Refuse,
    /// The context is compacted, which takes this many milliseconds.
    CompactMs(u64),
    /// The cost grows by this many dollars.
    CostUsd(f64),
    /// A process starts that outlives the agent.
    Orphan(Orphan),
}

impl Step {
    /// The name of the fault or oddity; `None` for ordinary work.
    #[must_use]
    pub fn oddity(&self) -> Option<&'static str> {
        match self {
            Step::Say(_) | Step::Think(_) | Step::SleepMs(_) | Step::CostUsd(_) | Step::Stderr(_) => None,
            Step::Tool(tool) if tool.open => Some("tool without an end"),
            Step::Tool(tool) if tool.unchecked => Some("forbidden tool"),
            Step::Tool(_) => None,
            Step::Deny(_) => Some("denied tool"),
            Step::Ask(_) => Some("permission asked for"),
            Step::Questions(_) => Some("questions"),
            Step::Plan(_) => Some("plan"),
            Step::Form(_) => Some("form"),
            Step::Crash(_) => Some("crash"),
            Step::Stall => Some("stall"),
            Step::StopReading => Some("stdin not read"),
            Step::IgnoreSignals => Some("signals ignored"),
            Step::Garbage(_) => Some("garbage"),
            Step::HalfLine => Some("half line"),
            Step::HugeLine(_) => Some("huge line"),
            Step::UnknownMessage => Some("unknown message"),
            Step::Retry(_) => Some("announced retry"),
            Step::ApiError(_) => Some("failed request"),
            Step::Limit(_) => Some("spent window"),
            Step::LimitWarning(_) => Some("crowded window"),
            Step::Background(_) => Some("background task"),
            Step::SubAgent(_) => Some("sub-agent"),
            Step::Schedule(_) => Some("scheduled turn"),
            Step::Refuse => Some("model refusal"),
            Step::CompactMs(_) => Some("compaction"),
            Step::Orphan(_) => Some("orphan"),
        }
    }
}

/// A tool call.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tool {
    /// Its name, for example `Bash`.
    pub name: String,
    /// Its input. A relative `file_path` is relative to the working directory.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// Its result.
    #[serde(default)]
    pub result: String,
    /// Whether it failed.
    #[serde(default)]
    pub failed: bool,
    /// How long it takes, in milliseconds.
    #[serde(default)]
    pub ms: u64,
    /// Whether the tool really acts: `Write` writes, `Edit` edits, `Bash` runs its command and returns the output.
    #[serde(default)]
    pub real: bool,
    /// Whether the call never ends: the turn continues with the next step (for example a crash) while the tool runs.
    #[serde(default)]
    pub open: bool,
    /// Whether the tool acts although the permission mode forbids it.
    #[serde(default)]
    pub unchecked: bool,
    /// The change with its places in the file, as the CLI reports it: `oldStart`, `oldLines`, `newStart`, `newLines`, `lines`.
    #[serde(default)]
    pub patch: Vec<Value>,
}

/// A tool call that is denied.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deny {
    /// The tool's name.
    pub name: String,
    /// Its input.
    #[serde(default)]
    pub input: Map<String, Value>,
}

/// A tool call that the user is asked about.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedTool {
    /// The call.
    pub tool: Tool,
    /// What may be allowed beyond this call, in the CLI's own form (`permission_suggestions`).
    #[serde(default)]
    pub suggestions: Vec<Value>,
    /// Why the user is asked.
    #[serde(default)]
    pub reason: String,
    /// After how many milliseconds a hook allows the call and the request is withdrawn.
    #[serde(default)]
    pub withdrawn_ms: Option<u64>,
}

/// A form of an MCP server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Form {
    /// The server's name.
    pub server: String,
    /// The server's message.
    pub message: String,
    /// The schema of the form (JSON Schema).
    #[serde(default)]
    pub schema: Value,
}

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crash {
    /// Killed by this signal.
    Signal(i32),
    /// With this exit code.
    Code(u8),
}

/// Failures after which a retry of the CLI succeeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many.
    pub attempts: u32,
    /// The status of each; `None` when there was no answer.
    pub status: Option<u16>,
    /// The pause after each, in milliseconds.
    pub delay_ms: u64,
}

/// A failure that ends the turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    /// The status; `None` when there was no answer.
    pub status: Option<u16>,
    /// The word of the `error` field. When empty, it follows from the status.
    #[serde(default)]
    pub error: String,
    /// The text shown; a standard text when empty.
    #[serde(default)]
    pub message: String,
    /// The newest version's name of the error (`api_error`); none when empty.
    #[serde(default)]
    pub api_error: String,
    /// The API's name of the error. Without it the answer may come from something other than the API.
    #[serde(default)]
    pub api_type: String,
    /// Why the turn ended (`terminal_reason`); the usual reason when empty.
    #[serde(default)]
    pub terminal_reason: String,
}

/// A usage limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// The time to its reset, in seconds; `None` when the rejection names no reset.
    pub resets_in_s: Option<i64>,
    /// Which window; `five_hour` when empty.
    #[serde(default)]
    pub window: String,
}

/// A usage window that is nearly full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitWarning {
    /// The used part, 0 to 1.
    pub utilization: f64,
    /// The time to its reset, in seconds.
    pub resets_in_s: i64,
}

/// A command in the background.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Background {
    /// How long it runs, in milliseconds.
    pub ms: u64,
    /// The command shown.
    #[serde(default)]
    pub command: String,
    /// The steps of the turn that follows its end; one sentence when empty.
    #[serde(default)]
    pub then: Vec<Step>,
}

/// A turn that the CLI begins by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The time until the turn, in milliseconds.
    pub ms: u64,
    /// Whether the turn repeats, each time after this many milliseconds. In the older version a process that resumes or
    /// forks the session has the schedule too (measured).
    #[serde(default)]
    pub every: bool,
    /// Its steps; one sentence when empty.
    #[serde(default)]
    pub then: Vec<Step>,
}

/// A process that outlives the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// How long it lives, in milliseconds.
    pub ms: u64,
    /// Whether it keeps the agent's stdout open.
    #[serde(default)]
    pub holds_stdout: bool,
}

#[cfg(test)]
mod tests {
    use super::{Crash, Script, Step};

    #[test]
    fn every_kind_of_step_can_be_written_by_hand() {
        let text = r#"{"agent":[[
            {"say":"hello"}, {"think":"hm"}, {"tool":{"name":"Bash","input":{"command":"ls"},"result":"a"}},
            {"deny":{"name":"Write"}}, {"ask":{"tool":{"name":"Bash"},"withdrawn_ms":5}}, {"plan":"Plan"},
            {"questions":[{"question":"Which?"}]}, {"form":{"server":"t","message":"Name?"}}, {"sleep_ms":5}, {"crash":{"signal":9}}, {"crash":{"code":1}}, "stall",
            "stop_reading", "ignore_signals", {"garbage":"%%"}, "half_line", {"huge_line":100}, "unknown_message",
            {"stderr":"oops"}, {"retry":{"attempts":2,"status":529,"delay_ms":600}}, {"api_error":{"status":500}},
            {"limit":{"resets_in_s":60}}, {"limit_warning":{"utilization":0.92,"resets_in_s":60}},
            {"background":{"ms":10}}, {"sub_agent":5}, {"schedule":{"ms":10}}, "refuse", {"compact_ms":5}, {"cost_usd":0.5}, {"orphan":{"ms":1000}}
        ]],"critic":[[{"say":"[TASK_COMPLETED]"}]]}"#;
        let script = Script::read(text).expect("a script");
        assert_eq!(script.agent[0].len(), 30);
        assert_eq!(script.agent[0][9], Step::Crash(Crash::Signal(9)));
        let again = Script::read(&serde_json::to_string(&script).expect("JSON")).expect("a script");
        assert_eq!(again, script);
    }

    #[test]
    fn a_misspelt_step_is_refused() {
        let error =
            Script::read(r#"{"agent":[[{"tool":{"name":"Bash","reslt":"x"}}]]}"#).expect_err("an unknown field");
        assert!(error.to_string().contains("reslt"), "{error}");
    }
}
