use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What the agent and its critics do, turn by turn.
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

/// One thing that happens in a turn.
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
    /// Nothing happens for so many milliseconds.
    SleepMs(u64),
    /// The process ends on the spot.
    Crash(Crash),
    /// The process lives, answers nothing and finishes nothing any more.
    Stall,
    /// The process reads nothing any more; the turn goes on.
    StopReading,
    /// SIGINT, SIGTERM and SIGHUP have no effect any more.
    IgnoreSignals,
    /// A line that is not JSON.
    Garbage(String),
    /// The first half of a message, without a line end.
    HalfLine,
    /// One line of so many bytes: a text message that the model did not mean so long.
    HugeLine(usize),
    /// A message of a type that nobody knows.
    UnknownMessage,
    /// Words on stderr.
    Stderr(String),
    /// The provider fails, the CLI tries again, and it works.
    Retry(Retry),
    /// The provider fails and the turn with it.
    ApiError(ApiError),
    /// A usage window is spent: the turn fails.
    Limit(Limit),
    /// A usage window is nearly spent.
    LimitWarning(LimitWarning),
    /// A command is started in the background; when it ends, the CLI begins a turn of its own about it.
    Background(Background),
    /// A sub-agent works for so many milliseconds, with a tool of its own.
    SubAgent(u64),
    /// The CLI is to begin a turn of its own after so many milliseconds, once it is idle.
    Schedule(Schedule),
    /// The model refuses to answer: the turn fails.
    Refuse,
    /// The context is compacted, which takes so many milliseconds.
    CompactMs(u64),
    /// The turn costs so much more.
    CostUsd(f64),
    /// A process is left behind that outlives the agent.
    Orphan(Orphan),
}

impl Step {
    /// What kind of fault or of oddity it is; `None` for ordinary work.
    #[must_use]
    pub fn oddity(&self) -> Option<&'static str> {
        match self {
            Step::Say(_) | Step::Think(_) | Step::SleepMs(_) | Step::CostUsd(_) | Step::Stderr(_) => None,
            Step::Tool(tool) if tool.open => Some("tool without an end"),
            Step::Tool(tool) if tool.unchecked => Some("forbidden tool"),
            Step::Tool(_) => None,
            Step::Deny(_) => Some("denied tool"),
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
    /// Its input. A relative `file_path` is meant in the working directory.
    #[serde(default)]
    pub input: Map<String, Value>,
    /// What it gave.
    #[serde(default)]
    pub result: String,
    /// It failed.
    #[serde(default)]
    pub failed: bool,
    /// How long it takes, in milliseconds.
    #[serde(default)]
    pub ms: u64,
    /// Do it really: `Write` writes, `Edit` edits, `Bash` runs its command and gives that command's output.
    #[serde(default)]
    pub real: bool,
    /// It never ends: the turn goes on to the next step (a crash, say) while it is running.
    #[serde(default)]
    pub open: bool,
    /// Do it although the permission mode forbids it.
    #[serde(default)]
    pub unchecked: bool,
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

/// How the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Crash {
    /// Killed by this signal.
    Signal(i32),
    /// With this exit code.
    Code(u8),
}

/// Failures that pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Retry {
    /// How many.
    pub attempts: u32,
    /// The status of each; `None` when nobody answered.
    pub status: Option<u16>,
    /// The pause after each, in milliseconds.
    pub delay_ms: u64,
}

/// A failure that ends the turn.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiError {
    /// The status; `None` when nobody answered.
    pub status: Option<u16>,
    /// The word of the `error` field; guessed from the status when empty.
    #[serde(default)]
    pub error: String,
    /// The text shown; a plain one when empty.
    #[serde(default)]
    pub message: String,
    /// The newest version's own name of the error (`api_error`); none when empty.
    #[serde(default)]
    pub api_error: String,
    /// The API's name of the error. Without one nobody can tell that it was the API that answered.
    #[serde(default)]
    pub api_type: String,
    /// Why the turn ended (`terminal_reason`); the usual reason when empty.
    #[serde(default)]
    pub terminal_reason: String,
}

/// A spent usage window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// When it begins anew, in seconds from now; `None` when nobody says.
    pub resets_in_s: Option<i64>,
    /// Which window; `five_hour` when empty.
    #[serde(default)]
    pub window: String,
}

/// A nearly spent usage window.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitWarning {
    /// How much is used, 0 to 1.
    pub utilization: f64,
    /// When it begins anew, in seconds from now.
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
    /// What the turn does that follows its end; one sentence when empty.
    #[serde(default)]
    pub then: Vec<Step>,
}

/// A turn that the CLI begins by itself.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// After so many milliseconds.
    pub ms: u64,
    /// It comes again and again, each time so much later. A process of the older version that resumes or forks the session has
    /// it, too (measured).
    #[serde(default)]
    pub every: bool,
    /// What it does; one sentence when empty.
    #[serde(default)]
    pub then: Vec<Step>,
}

/// A process that is left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Orphan {
    /// How long it lives, in milliseconds.
    pub ms: u64,
    /// It holds the agent's stdout open.
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
            {"deny":{"name":"Write"}}, {"sleep_ms":5}, {"crash":{"signal":9}}, {"crash":{"code":1}}, "stall",
            "stop_reading", "ignore_signals", {"garbage":"%%"}, "half_line", {"huge_line":100}, "unknown_message",
            {"stderr":"oops"}, {"retry":{"attempts":2,"status":529,"delay_ms":600}}, {"api_error":{"status":500}},
            {"limit":{"resets_in_s":60}}, {"limit_warning":{"utilization":0.92,"resets_in_s":60}},
            {"background":{"ms":10}}, {"sub_agent":5}, {"schedule":{"ms":10}}, "refuse", {"compact_ms":5}, {"cost_usd":0.5}, {"orphan":{"ms":1000}}
        ]],"critic":[[{"say":"[TASK_COMPLETED]"}]]}"#;
        let script = Script::read(text).expect("a script");
        assert_eq!(script.agent[0].len(), 26);
        assert_eq!(script.agent[0][5], Step::Crash(Crash::Signal(9)));
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
