use serde::{Deserialize, Serialize};

/// Which ends of the command by itself it is started again after.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartOn {
    /// Every exit code but 0, and every signal.
    #[default]
    Failure,
    /// A signal. An exit with a code is an end, and its code is passed on.
    Signal,
    /// None: its code is passed on.
    Never,
}

/// Everything that was settled before a command was started. It stands in the journal's header. No secrets: the command's
/// arguments are redacted there as every text is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandPlan {
    /// From which jitter is derived.
    pub seed: String,
    /// The run's name.
    pub run_id: String,
    /// The program and its arguments, as text; what is not valid UTF-8 is replaced.
    pub command: Vec<String>,
    /// The directory it is started in, absolute.
    pub cwd: String,
    /// Whose tokens it gets, as users name it; `None` when it is started without.
    pub provider: Option<String>,
    /// From which utilization of a window another token is taken, 0 to 1.
    pub rotate_at: f64,
    /// How often the provider is asked about the token in use.
    pub monitor_interval_ms: u64,
    /// The heartbeat that is watched.
    pub heartbeat: Option<BeatPlan>,
    /// Which ends it is started again after.
    #[serde(default)]
    pub restart_on: RestartOn,
    /// How long a restart waits after the end before it, at least.
    pub restart_delay_ms: u64,
    /// Restarts within an hour; the next failure ends the run.
    pub max_restarts: u32,
    /// From SIGTERM to SIGKILL.
    pub grace_ms: u64,
    /// When all tokens are spent, end instead of waiting.
    pub no_wait: bool,
    /// Ask the user at a limit.
    pub interactive: bool,
    /// How long an answer is waited for before the default is taken.
    pub answer_timeout_ms: u64,
}

/// A heartbeat file and what is expected of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatPlan {
    /// The file, absolute.
    pub file: String,
    /// A beat is expected this long after the one before, at most.
    pub timeout_ms: u64,
    /// How often the file is looked at.
    pub interval_ms: u64,
    /// The first beat is expected this long after the start, at most.
    pub grace_ms: u64,
}
