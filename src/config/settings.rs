use std::num::NonZeroU32;
use std::path::PathBuf;

use serde::Serialize;

use super::{Cost, CriticPromptAs, OutputFormat, Percent, Span, TokenEntry, Transport, Until};

/// What the user wants, after all layers: nothing is left open that has a default.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// `agent`.
    pub agent: AgentSettings,
    /// `transport`.
    pub transport: Transport,
    /// `checks`, in order.
    pub checks: Vec<Check>,
    /// `tokens`, in order; their files are absolute.
    pub tokens: Vec<TokenEntry>,
    /// `critic`.
    pub critic: CriticSettings,
    /// `budgets`.
    pub budgets: BudgetSettings,
    /// `start_timeout`.
    pub start_timeout: Span,
    /// `stall_timeout`.
    pub stall_timeout: Span,
    /// `tool_timeout`.
    pub tool_timeout: Span,
    /// Somebody gave `tool_timeout`: it is not the default.
    #[serde(skip)]
    pub tool_timeout_given: bool,
    /// `background_timeout`.
    pub background_timeout: Option<Span>,
    /// `grace`.
    pub grace: Span,
    /// `share_prompt_prefix`.
    pub share_prompt_prefix: bool,
    /// `no_wait`.
    pub no_wait: bool,
    /// `rotate_at`.
    pub rotate_at: Percent,
    /// `interactive`.
    pub interactive: bool,
    /// `answer_timeout`.
    pub answer_timeout: Span,
    /// `usage`.
    pub usage: UsageSettings,
    /// `hand_over`; `None` where nobody has asked for it.
    pub hand_over: Option<bool>,
    /// `output_format`.
    pub output_format: OutputFormat,
}

/// The agent's CLI.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentSettings {
    /// A path, or a bare name to look for on PATH; `None` is the usual look-up.
    pub path: Option<PathBuf>,
    /// The configured arguments, followed by those after `--`.
    pub args: Vec<String>,
    /// Whether it may run the checks' commands without asking.
    pub allow_checks: bool,
}

/// Usage of the subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UsageSettings {
    /// Where it is asked for; `None` is the official host.
    pub base_url: Option<String>,
    /// From here on it is WARN.
    pub warn_threshold: Percent,
    /// From here on it is CRITICAL.
    pub critical_threshold: Percent,
}

/// A check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// The command line for `/bin/sh -c`.
    pub command: String,
    /// How long it may run.
    pub timeout: Span,
}

/// The critic's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CriticSettings {
    /// The file named for its prompt; `None` is the usual look-up.
    pub prompt_file: Option<PathBuf>,
    /// How the prompt reaches it.
    pub prompt: CriticPromptAs,
    /// Another model than the agent's.
    pub model: Option<String>,
    /// Tool patterns it may use besides reading.
    pub allow: Vec<String>,
    /// Failures of its own in a row.
    pub max_failures: NonZeroU32,
    /// How long one critic may take.
    pub timeout: Span,
}

/// The bounds of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BudgetSettings {
    /// Stops judged: there is always a bound.
    pub max_iterations: NonZeroU32,
    /// Time in which ccc runs, waits included.
    pub max_duration: Option<Span>,
    /// When the run ends by the clock.
    pub until: Option<Until>,
    /// The longest wait for a reset.
    pub max_wait: Option<Span>,
    /// US dollars.
    pub max_cost_usd: Option<Cost>,
    /// Restarts in a row without a finished turn.
    pub max_restarts: u32,
    /// Repeated feedback on unchanged files.
    pub max_repeats: NonZeroU32,
}
