//! What is settled before a run begins: task, agent, bounds, checks, critic, tokens. It stands in the journal's header.

use serde::{Deserialize, Serialize};

use super::{Budgets, OperatorInput};
use crate::agent::AgentKind;
use crate::words::SessionStart;

/// Everything that was settled before the run began. It stands in the journal's header: with it and the
/// inputs, a run can be repeated. No secrets: the driver holds those.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// From which uuids and jitter are derived.
    pub seed: String,
    /// The run's name.
    pub run_id: String,
    /// What the user wants done.
    pub task: String,
    /// What the user had said in the session before the run, when it resumes one.
    #[serde(default)]
    pub earlier_turns: Vec<String>,
    /// The directory the run belongs to, absolute.
    pub cwd: String,
    /// Which CLI family does the work.
    pub agent: AgentKind,
    /// The agent's program, absolute; empty in recordings that need none.
    #[serde(default)]
    pub agent_program: String,
    /// Arguments of the program before the adapter's; the demonstration's agent is a command of ccc itself.
    #[serde(default)]
    pub agent_first_args: Vec<String>,
    /// The version the CLI gave for itself, empty when unknown.
    pub agent_version: String,
    /// The user's own arguments for the agent.
    pub agent_args: Vec<String>,
    /// How the session begins.
    pub session: SessionStart,
    /// Commands run at each stop.
    pub checks: Vec<CheckPlan>,
    /// The critic.
    pub critic: CriticPlan,
    /// When enough is enough.
    pub budgets: Budgets,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// Whether the agent is kept from moving into another working tree by itself, where neither checks nor critic would look.
    #[serde(default)]
    pub one_tree: bool,
    /// Whether the agent may run the checks' commands without being asked.
    #[serde(default)]
    pub allow_checks: bool,
    /// Whether agent and critic are kept from reading git's state into their prompt, which would cost the shared
    /// prompt prefix after each change on CLIs without a prompt snapshot (facts §7).
    pub share_prompt_prefix: bool,
    /// Do not wait for a reset: end with `limits`.
    pub no_wait: bool,
    /// From which utilization of a window another token is taken at the next stop, 0 to 1.
    #[serde(default = "rotate_at")]
    pub rotate_at: f64,
    /// Ask the user at a limit.
    #[serde(default)]
    pub interactive: bool,
    /// How long an answer is waited for before the default is taken.
    #[serde(default = "answer_timeout_ms")]
    pub answer_timeout_ms: u64,
    /// What is done about a permission that the agent asks for.
    #[serde(default, skip_serializing_if = "Approvals::is_default")]
    pub approvals: Approvals,
    /// What the user gave on the command line, as a layer of the configuration: `ccc resume --reload` settles it anew
    /// over the files of then. The core reads of it only which of the agent's arguments were given so. `None` in journals before
    /// 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<serde_json::Value>,
}

impl Plan {
    /// A plan for this task in this directory, with the defaults of the program and nothing that the user gives besides.
    #[must_use]
    pub fn new(task: &str, cwd: &str, session: SessionStart) -> Plan {
        Plan {
            seed: String::new(),
            run_id: String::new(),
            task: task.to_owned(),
            earlier_turns: Vec::new(),
            cwd: cwd.to_owned(),
            agent: AgentKind::default(),
            agent_program: String::new(),
            agent_first_args: Vec::new(),
            agent_version: String::new(),
            agent_args: Vec::new(),
            session,
            checks: Vec::new(),
            critic: CriticPlan::new("Judge."),
            budgets: Budgets::DEFAULT,
            timeouts: Timeouts::DEFAULT,
            one_tree: false,
            allow_checks: false,
            share_prompt_prefix: false,
            no_wait: false,
            rotate_at: rotate_at(),
            interactive: false,
            answer_timeout_ms: answer_timeout_ms(),
            approvals: Approvals::Deny,
            given: None,
        }
    }

    /// This plan after what the user has given a run that goes on.
    #[must_use]
    pub fn after(&self, given: &OperatorInput) -> Plan {
        match given {
            OperatorInput::Budgets(budgets) => Plan { budgets: budgets.clone(), ..self.clone() },
            OperatorInput::Plan(plan) => self.changed_to((**plan).clone()),
            OperatorInput::Restate { text, instead_of } if instead_of.contains(&self.task) => {
                Plan { task: text.clone(), ..self.clone() }
            }
            OperatorInput::Interrupt { .. }
            | OperatorInput::Turn { .. }
            | OperatorInput::Restate { .. }
            | OperatorInput::Moved { .. }
            | OperatorInput::Answer { .. } => self.clone(),
        }
    }

    /// Those of the agent's arguments that were given on the command line; all where that is not known.
    #[must_use]
    pub fn given_agent_args(&self) -> Vec<String> {
        self.agent_args.get(self.configured_agent_args().len()..).unwrap_or_default().to_vec()
    }

    /// Those of the agent's arguments that come from the configuration: they stand before the others.
    #[must_use]
    pub fn configured_agent_args(&self) -> &[String] {
        let given = self.given.as_ref().and_then(|given| given.get("agent_args")?.as_array());
        let Some(given) = given else { return &[] };
        let (configured, rest) = self.agent_args.split_at(self.agent_args.len().saturating_sub(given.len()));
        let same = rest.iter().map(String::as_str).eq(given.iter().map(|arg| arg.as_str().unwrap_or_default()));
        if same { configured } else { &[] }
    }

    /// This run under the settings of another plan. What the run is stays as it was: its name, task, directory, agent
    /// and session.
    #[must_use]
    pub fn changed_to(&self, other: Plan) -> Plan {
        Plan {
            seed: self.seed.clone(),
            run_id: self.run_id.clone(),
            task: self.task.clone(),
            earlier_turns: self.earlier_turns.clone(),
            cwd: self.cwd.clone(),
            agent: self.agent,
            agent_program: self.agent_program.clone(),
            agent_first_args: self.agent_first_args.clone(),
            agent_version: self.agent_version.clone(),
            session: self.session.clone(),
            ..other
        }
    }
}

/// What is done about a permission that the agent asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approvals {
    /// It is denied at once: nobody is there.
    #[default]
    Deny,
    /// The user is asked, and it is denied when no answer comes in time.
    Wait {
        /// For how long an answer is waited for.
        timeout_ms: u64,
    },
}

impl Approvals {
    fn is_default(&self) -> bool {
        *self == Approvals::Deny
    }
}

/// That of journals before 1.1, which knew no rotation.
fn rotate_at() -> f64 {
    0.95
}

fn answer_timeout_ms() -> u64 {
    60_000
}

/// A check to run at each stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlan {
    /// The command line, given to `/bin/sh -c`.
    pub command: String,
    /// How long it may run.
    pub timeout_ms: u64,
}

/// The critic's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticPlan {
    /// The text of SUPERVISOR.md.
    pub prompt: String,
    /// How that text reaches the critic.
    pub prompt_as: CriticPrompt,
    /// A file with the same text, absolute; needed for `CriticPrompt::System` only.
    pub prompt_file: Option<String>,
    /// Another model than the agent's.
    pub model: Option<String>,
    /// Tool patterns the critic may use besides the read-only ones, for example `Bash(cargo test:*)`.
    pub allow: Vec<String>,
    /// Failures of the critic itself in a row before the run ends as `failed`.
    pub max_failures: u32,
    /// How long one critic may take in all.
    pub timeout_ms: u64,
    /// How long the tree is watched, before a critic is briefed, for files that change by themselves; 0 is not at all.
    #[serde(default)]
    pub watch_ms: u64,
    /// A critic runs without the hooks of the user's settings.
    #[serde(default)]
    pub without_hooks: bool,
    /// A file, absolute, that takes the place of the settings file that the user's arguments name: the same settings without
    /// hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_file: Option<String>,
}

impl CriticPlan {
    /// A critic with this prompt, on all else's defaults; the tree is not watched before its brief.
    #[must_use]
    pub fn new(prompt: &str) -> CriticPlan {
        CriticPlan {
            prompt: prompt.to_owned(),
            prompt_as: CriticPrompt::Message,
            prompt_file: None,
            model: None,
            allow: Vec::new(),
            max_failures: 3,
            timeout_ms: 1_800_000,
            watch_ms: 0,
            without_hooks: false,
            settings_file: None,
        }
    }
}

/// How the critic's prompt is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticPrompt {
    /// As the fork's last user message: the prompt prefix stays identical to the agent's.
    Message,
    /// As an appended system prompt: the prefix is lost.
    System,
}

/// For runs that were recorded without it: a CLI starts in half a second, on a loaded machine in four (facts §2), and a session of
/// 50 MB adds two.
fn default_start_ms() -> u64 {
    60_000
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the first turn that a process is given to the first line that it says.
    #[serde(default = "default_start_ms")]
    pub start_ms: u64,
    /// No progress from the model.
    pub stall_ms: u64,
    /// A tool that declared no timeout of its own, a hook, a sub-agent that says nothing, and background work after the turn.
    pub tool_ms: u64,
    /// The user gave `tool_ms`: then it is the most that any tool has, whatever it declares, and any background work unless
    /// `background_ms` is given.
    #[serde(default)]
    pub tool_given: bool,
    /// Background work after the turn, whatever the CLI itself gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_ms: Option<u64>,
    /// Each step of ending a process: ask, SIGINT, SIGTERM; then it is killed.
    pub grace_ms: u64,
}

impl Timeouts {
    /// Those of a user who gives none.
    pub const DEFAULT: Timeouts = Timeouts {
        start_ms: 60_000,
        stall_ms: 180_000,
        tool_ms: 900_000,
        tool_given: false,
        background_ms: None,
        grace_ms: 3_000,
    };
}
