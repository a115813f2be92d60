use serde::{Deserialize, Serialize};

/// Which ends of the command lead to a restart.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestartOn {
    /// Every exit code but 0, and every signal.
    #[default]
    Failure,
    /// Signals. An exit code is passed on.
    Signal,
    /// None: the exit code is passed on.
    Never,
}

/// The settings of a supervised command. They stand in the journal's header, without secrets: the command's arguments are
/// redacted there like every text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandPlan {
    /// The seed of jitter.
    pub seed: String,
    /// The run's name.
    pub run_id: String,
    /// The program and its arguments, as text; invalid UTF-8 is replaced.
    pub command: Vec<String>,
    /// Its working directory, absolute.
    pub cwd: String,
    /// The provider of its tokens, as users name it; `None` without tokens.
    pub provider: Option<String>,
    /// The utilization of a window from which another token is used, 0 to 1.
    pub rotate_at: f64,
    /// The interval at which the provider is asked about the current token.
    pub monitor_interval_ms: u64,
    /// The watched heartbeat.
    pub heartbeat: Option<BeatPlan>,
    /// Which ends lead to a restart.
    #[serde(default)]
    pub restart_on: RestartOn,
    /// The least pause before a restart.
    pub restart_delay_ms: u64,
    /// The most restarts within an hour; the next failure ends the run.
    pub max_restarts: u32,
    /// From SIGTERM to SIGKILL.
    pub grace_ms: u64,
    /// End instead of waiting if all tokens are limited.
    pub no_wait: bool,
    /// Ask the user at a limit.
    pub interactive: bool,
    /// The timeout of a question, after which the default is taken.
    pub answer_timeout_ms: u64,
}

/// A heartbeat file and its timing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BeatPlan {
    /// The file, absolute.
    pub file: String,
    /// The longest time between two beats.
    pub timeout_ms: u64,
    /// The interval at which the file is read.
    pub interval_ms: u64,
    /// The longest time from the start to the first beat.
    pub grace_ms: u64,
}
