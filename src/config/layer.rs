use std::num::NonZeroU32;

use schemars::{JsonSchema, schema_for};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cost, CriticPromptAs, OutputFormat, Percent, Span, TokenEntry, Transport, Until};

/// One layer of configuration: everything is optional, and what is absent is decided by a lower layer.
///
/// Its doc comments are the descriptions in the published schema.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(title = "Configuration of ccc")]
pub struct Layer {
    /// The agent's CLI.
    #[serde(deserialize_with = "null_is_nothing")]
    pub agent: AgentLayer,
    /// How the agent's output reaches ccc: pty (default) or pipe.
    pub transport: Option<Transport>,
    /// Commands that ccc itself runs each time the agent stops. A failing one is feedback without asking the critic.
    pub checks: Option<Vec<CheckEntry>>,
    /// Tokens besides those of the environment, in the order in which they are to be used; they come before those.
    pub tokens: Option<Vec<TokenEntry>>,
    /// The critic.
    #[serde(deserialize_with = "null_is_nothing")]
    pub critic: CriticLayer,
    /// When enough is enough.
    #[serde(deserialize_with = "null_is_nothing")]
    pub budgets: BudgetsLayer,
    /// How long the agent may say nothing after its start (60s).
    pub start_timeout: Option<Span>,
    /// How long the model may make no progress (180s).
    pub stall_timeout: Option<Span>,
    /// How long a tool may run that declares no timeout of its own (15m); when it is given, the most that any tool has. Also how
    /// long a check may run.
    pub tool_timeout: Option<Span>,
    /// How long work that the agent left running in the background is waited for when its turn is over. Without it: `tool_timeout`
    /// where that is given, else what the agent itself gives the work (Claude Code: 30m for a command), at least 15m.
    /// A turn that the agent has scheduled for itself is waited for within the same limit (2h without it).
    pub background_timeout: Option<Span>,
    /// How long each step of ending a process may take before the next, harder one (3s).
    pub grace: Option<Span>,
    /// Keep git's state out of the agent's prompt where that would cost the critic the shared prompt prefix (true).
    pub share_prompt_prefix: Option<bool>,
    /// End with exit code 75 when all tokens are limited, instead of waiting for a reset (false).
    pub no_wait: Option<bool>,
    /// From which percentage of a usage window another token is taken at the next stop (95).
    pub rotate_at: Option<Percent>,
    /// Ask at a limit what to do; without an answer the default is taken (false).
    pub interactive: Option<bool>,
    /// How long such an answer is waited for (60s).
    pub answer_timeout: Option<Span>,
    /// What is said about usage, and where it is asked for.
    #[serde(deserialize_with = "null_is_nothing")]
    pub usage: UsageLayer,
    /// Go on into the agent's own interface when the task is done, at a terminal. It is not done unless this or
    /// --hand-over asks for it, so that the next command of a script has its turn.
    pub hand_over: Option<bool>,
    /// What a run writes to stdout: text (default), json or stream-json.
    pub output_format: Option<OutputFormat>,
}

/// A group that is `null` says nothing, as a single key does.
fn null_is_nothing<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}

/// The agent's CLI.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AgentLayer {
    /// The program. A bare name is looked for on PATH; a relative path is relative to this file; `~/` is the home
    /// directory. Without it: `claude` on PATH, then ~/.claude/local/claude.
    pub path: Option<String>,
    /// Arguments given to the agent before those after `--`.
    pub args: Option<Vec<String>>,
    /// Let the agent run the commands of the checks without asking, each exactly as it is configured (true).
    pub allow_checks: Option<bool>,
}

/// The critic.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CriticLayer {
    /// A file with the critic's prompt, instead of SUPERVISOR.md. Relative to this file.
    pub prompt_file: Option<String>,
    /// How the prompt reaches the critic: message (default, keeps the provider's cache) or system.
    pub prompt: Option<CriticPromptAs>,
    /// Another model than the agent's.
    pub model: Option<String>,
    /// Tool patterns the critic may use besides reading, for example `Bash(cargo test:*)`.
    pub allow: Option<Vec<String>>,
    /// Failures of the critic itself in a row before the run ends as failed (3).
    pub max_failures: Option<NonZeroU32>,
    /// How long one critic may take (30m).
    pub timeout: Option<Span>,
}

/// When enough is enough.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BudgetsLayer {
    /// Stops judged (20).
    pub max_iterations: Option<NonZeroU32>,
    /// Time in which ccc runs, waits included; no bound unless given.
    pub max_duration: Option<Span>,
    /// When the run ends by the clock: `07:00`, `+8h`, or a date and a time; no bound unless given.
    pub until: Option<Until>,
    /// The longest wait for a reset; a wait known to be longer ends the run; no bound unless given.
    pub max_wait: Option<Span>,
    /// US dollars, as the agent reports them; no bound unless given.
    pub max_cost_usd: Option<Cost>,
    /// Restarts of the agent in a row without a finished turn, within an hour (5).
    pub max_restarts: Option<u32>,
    /// Repeated feedback on unchanged files before the run is stuck (3).
    pub max_repeats: Option<NonZeroU32>,
}

/// Usage of the subscriptions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct UsageLayer {
    /// Where usage is asked for, instead of `https://api.anthropic.com`. OAuth tokens are sent there, so it cannot be set
    /// by a project's file.
    pub base_url: Option<String>,
    /// From which percentage of a window usage is called WARN (80).
    pub warn_threshold: Option<Percent>,
    /// From which percentage of a window usage is called CRITICAL (90).
    pub critical_threshold: Option<Percent>,
}

/// A check: a command line for `/bin/sh -c`, or one with a timeout.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum CheckEntry {
    /// The command line alone.
    Command(String),
    /// With a timeout of its own.
    Detailed {
        /// The command line.
        command: String,
        /// How long it may run; `tool_timeout` unless given.
        #[serde(default)]
        timeout: Option<Span>,
    },
}

impl<'de> Deserialize<'de> for CheckEntry {
    // By hand, since an untagged enum's only message is that nothing matched.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        match Value::deserialize(deserializer)? {
            Value::String(command) => Ok(Self::Command(command)),
            value @ Value::Object(_) => {
                #[derive(Deserialize)]
                #[serde(deny_unknown_fields)]
                struct Detailed {
                    command: String,
                    #[serde(default)]
                    timeout: Option<Span>,
                }
                let entry = Detailed::deserialize(value).map_err(D::Error::custom)?;
                Ok(Self::Detailed { command: entry.command, timeout: entry.timeout })
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
                Err(D::Error::custom("a check is a command in quotes, or {\"command\": \"…\", \"timeout\": \"5m\"}"))
            }
        }
    }
}

/// The JSON schema of a configuration file, as published by `ccc config schema`.
#[must_use]
pub fn schema() -> Value {
    schema_for!(Layer).to_value()
}
