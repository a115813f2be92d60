//! A task of a list, with the options of its run.

use std::path::PathBuf;

use crate::agenda::TaskKey;
use crate::config::{Cost, Span};

/// A task of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct TaskEntry {
    /// Which one it is.
    pub key: TaskKey,
    /// What the agent is asked for.
    pub text: String,
    /// The user has ticked it.
    pub done: bool,
    /// The options of its run.
    pub options: TaskOptions,
}

/// The options of a task's run.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct TaskOptions {
    /// What names it instead of its first line.
    pub name: Option<String>,
    /// Where it works, relative to the directory in which the command was typed.
    pub cwd: Option<PathBuf>,
    /// The agent's model.
    pub model: Option<String>,
    /// The critic's model.
    pub critic_model: Option<String>,
    /// The checks, instead of the configured ones.
    pub checks: Option<Vec<String>>,
    /// The most judged stops.
    pub max_iterations: Option<u32>,
    /// The longest time.
    pub max_duration: Option<Span>,
    /// The most money.
    pub max_cost_usd: Option<Cost>,
    /// The most tokens.
    pub max_tokens: Option<u64>,
    /// More arguments for the agent.
    pub agent_args: Vec<String>,
}

/// A task without its key.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Bare {
    pub(super) text: String,
    pub(super) done: bool,
    pub(super) options: TaskOptions,
}

impl TaskEntry {
    /// One line that names it.
    #[must_use]
    pub fn title(&self) -> &str {
        let first = self.text.lines().next().unwrap_or_default();
        self.options.name.as_deref().unwrap_or(first)
    }
}
