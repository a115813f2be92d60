//! The settings of a run: task, agent, bounds, checks, critic, tokens. They stand in the journal's header.

use serde::{Deserialize, Serialize};

use super::Budgets;
use crate::agent::AgentKind;
use crate::words::SessionStart;

/// The settings of a run. They stand in the journal's header: with the plan and the inputs a run can be replayed. It has no
/// secrets: the driver holds those.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The seed of uuids and jitter.
    pub seed: String,
    /// The run's name.
    pub run_id: String,
    /// The task.
    pub task: String,
    /// The user's earlier messages in the session, if the run resumes one.
    #[serde(default)]
    pub earlier_turns: Vec<String>,
    /// The directory of the run, absolute.
    pub cwd: String,
    /// Whether a resumed run makes other ids, of all turns but the task and of critics' sessions, than it made before. The agent
    /// takes a turn with a known id for one that it has, and what a full disk kept out of the journal may be in its session. False
    /// in journals of earlier versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_ids_when_resumed: bool,
    /// Whether denials of the same number are named in the order in which they occurred, and not in that of their text. False
    /// in journals of earlier versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub denials_as_they_occurred: bool,
    /// The agent's CLI family.
    pub agent: AgentKind,
    /// The agent's program, absolute; empty in recordings that need none.
    #[serde(default)]
    pub agent_program: String,
    /// Arguments before the adapter's: the agent of the demonstration is a subcommand of ccc.
    #[serde(default)]
    pub agent_first_args: Vec<String>,
    /// The version that the CLI reports; empty if unknown.
    pub agent_version: String,
    /// The user's own arguments for the agent.
    pub agent_args: Vec<String>,
    /// How the session begins.
    pub session: SessionStart,
    /// Commands run once, before the first process of the agent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub setup: Vec<SetupPlan>,
    /// Whether the working tree is kept as a checkpoint before the agent's processes start and at each of its stops. False in
    /// journals before 1.5.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub checkpoints: bool,
    /// Whether the tests are compared at each stop with those of the run's first checkpoint. False in journals of earlier
    /// versions.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tests_compared: bool,
    /// Commands run at each stop.
    pub checks: Vec<CheckPlan>,
    /// The patterns of files that the checks see as they were when the run began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub protect: Vec<String>,
    /// The critic.
    pub critic: CriticPlan,
    /// The bounds.
    pub budgets: Budgets,
    /// The timeouts.
    pub timeouts: Timeouts,
    /// Whether the agent is kept from changing to another working tree, where neither checks nor critic would look.
    #[serde(default)]
    pub one_tree: bool,
    /// Whether the agent may run the checks' commands without being asked.
    #[serde(default)]
    pub allow_checks: bool,
    /// Whether agent and critic are kept from reading git's state into their prompt. On CLIs without a prompt snapshot (facts
    /// §7), each change of it costs the shared prompt prefix.
    pub share_prompt_prefix: bool,
    /// Do not wait for a reset: end with `limits`.
    pub no_wait: bool,
    /// The utilization of a window from which the next stop changes to another token, 0 to 1.
    #[serde(default = "rotate_at")]
    pub rotate_at: f64,
    /// Ask the user at a limit.
    #[serde(default)]
    pub interactive: bool,
    /// The timeout of a question, after which the default is taken.
    #[serde(default = "answer_timeout_ms")]
    pub answer_timeout_ms: u64,
    /// How the agent's requests are handled.
    #[serde(default, skip_serializing_if = "Approvals::is_default")]
    pub approvals: Approvals,
    /// Whether the run is a conversation: with an attached client it rests after a verdict instead of ending, and it may begin
    /// without a task.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub conversation: bool,
    /// Whether the agent's stops are judged.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub supervised: bool,
    /// Whether the work counts as done when the agent stops and the checks pass, without a critic.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub without_critic: bool,
    /// How long a resting run without clients is kept.
    #[serde(default = "default_patience_ms", skip_serializing_if = "is_default_patience")]
    pub conversation_patience_ms: u64,
    /// How much memory the processes of the agent and the critic may use, each with what it starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_memory_max_bytes: Option<u64>,
    /// How many processes and threads they may have; `None` is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_tasks_max: Option<u32>,
    /// What the run's processes may write, and what of the user's environment they get. Runs before 1.5 have no walls.
    #[serde(default, skip_serializing_if = "WallsPlan::is_default")]
    pub walls: WallsPlan,
    /// A settings file for the agent's interface, absolute: the content of the file that the user's arguments name, and the
    /// hooks that report to ccc.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface_settings: Option<String>,
    /// The command line's settings as a layer of the configuration: `ccc resume --reload` applies them again over the current
    /// files. The core reads only which of the agent's arguments are among them. `None` in journals before 1.2.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given: Option<serde_json::Value>,
}

impl Plan {
    /// A plan for this task in this directory, with the program's defaults.
    #[must_use]
    pub fn new(task: &str, cwd: &str, session: SessionStart) -> Plan {
        Plan {
            seed: String::new(),
            run_id: String::new(),
            task: task.to_owned(),
            earlier_turns: Vec::new(),
            cwd: cwd.to_owned(),
            new_ids_when_resumed: true,
            denials_as_they_occurred: true,
            agent: AgentKind::default(),
            agent_program: String::new(),
            agent_first_args: Vec::new(),
            agent_version: String::new(),
            agent_args: Vec::new(),
            session,
            setup: Vec::new(),
            checkpoints: false,
            tests_compared: false,
            checks: Vec::new(),
            protect: Vec::new(),
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
            approvals: Approvals::Off,
            conversation: false,
            supervised: true,
            without_critic: false,
            conversation_patience_ms: default_patience_ms(),
            agent_memory_max_bytes: None,
            agent_tasks_max: None,
            walls: WallsPlan::default(),
            interface_settings: None,
            given: None,
        }
    }

    /// The agent's arguments from the command line; all of them if that is unknown.
    #[must_use]
    pub fn given_agent_args(&self) -> Vec<String> {
        self.agent_args.get(self.configured_agent_args().len()..).unwrap_or_default().to_vec()
    }

    /// The agent's arguments from the configuration, which come first.
    #[must_use]
    pub fn configured_agent_args(&self) -> &[String] {
        let given = self.given.as_ref().and_then(|given| given.get("agent_args")?.as_array());
        let Some(given) = given else { return &[] };
        let (configured, rest) = self.agent_args.split_at(self.agent_args.len().saturating_sub(given.len()));
        let same = rest.iter().map(String::as_str).eq(given.iter().map(|arg| arg.as_str().unwrap_or_default()));
        if same { configured } else { &[] }
    }

    /// This plan with the settings of another one. The identity of the run stays: its name, task, directory, agent and session.
    #[must_use]
    pub fn changed_to(&self, other: Plan) -> Plan {
        Plan {
            seed: self.seed.clone(),
            run_id: self.run_id.clone(),
            task: self.task.clone(),
            earlier_turns: self.earlier_turns.clone(),
            cwd: self.cwd.clone(),
            new_ids_when_resumed: self.new_ids_when_resumed,
            denials_as_they_occurred: self.denials_as_they_occurred,
            agent: self.agent,
            agent_program: self.agent_program.clone(),
            agent_first_args: self.agent_first_args.clone(),
            agent_version: self.agent_version.clone(),
            session: self.session.clone(),
            conversation: self.conversation,
            interface_settings: self.interface_settings.clone(),
            ..other
        }
    }
}

/// What the processes of a run may write, and what of the user's environment they get. The driver raises the walls; no decision
/// depends on them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct WallsPlan {
    /// Whether there are walls.
    #[serde(default)]
    pub guard: Guard,
    /// What may be written besides the working tree and the usual places, as the user has written it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub write: Vec<String>,
    /// Where the agent may push.
    #[serde(default)]
    pub push: Push,
    /// The variables that the processes do not get: names, with `*` for any rest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_deny: Vec<String>,
    /// The settings that switch the sandbox of the agent's CLI on, with [`Guard::AgentSandbox`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<SandboxSettings>,
}

/// Files with the user's settings for the agent's CLI, and its sandbox in them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSettings {
    /// The agent's.
    pub agent: String,
    /// Those of critics.
    pub critic: String,
}

impl WallsPlan {
    fn is_default(&self) -> bool {
        *self == WallsPlan::default()
    }
}

/// Whether a run's processes are kept from writing where they should not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// By what the system has; where it has nothing, they are not.
    Auto,
    /// By Landlock; without it, the run does not start.
    Landlock,
    /// Agent and critics by the sandbox of their CLI, without which the run does not start; checks by what the system has.
    AgentSandbox,
    /// They are not.
    #[default]
    Off,
}

/// Where an agent may push with the user's credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Push {
    /// Nowhere: it gets no credentials for it.
    None,
    /// Branches of agents.
    AgentBranches,
    /// Everywhere.
    #[default]
    All,
}

/// How the agent's requests are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approvals {
    /// The agent's CLI is not told to ask. A request is denied at once. All runs before 1.3 have this.
    #[default]
    Off,
    /// The CLI asks, and the user decides.
    Ask {
        /// How requests are handled while no client is attached.
        unattended: Unattended,
    },
}

impl Approvals {
    fn is_default(&self) -> bool {
        *self == Approvals::Off
    }
}

/// How a request of the agent is handled while no client is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unattended {
    /// It is denied at once.
    #[default]
    Deny,
    /// It waits for a client, and is denied after the timeout.
    Wait {
        /// The timeout.
        timeout_ms: u64,
    },
}

fn yes() -> bool {
    true
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_yes(yes: &bool) -> bool {
    *yes
}

fn default_patience_ms() -> u64 {
    24 * 3_600_000
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_default_patience(ms: &u64) -> bool {
    *ms == default_patience_ms()
}

/// The value for journals before 1.1, which had no rotation.
fn rotate_at() -> f64 {
    0.95
}

fn answer_timeout_ms() -> u64 {
    60_000
}

/// A command that sets the working tree up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetupPlan {
    /// The command line, given to `/bin/sh -c`.
    pub command: String,
    /// The timeout of the command.
    pub timeout_ms: u64,
}

/// A check to run at each stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckPlan {
    /// The command line, given to `/bin/sh -c`.
    pub command: String,
    /// The timeout of the check.
    pub timeout_ms: u64,
}

/// The critic's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticPlan {
    /// The text of SUPERVISOR.md.
    pub prompt: String,
    /// How the critic gets that text.
    pub prompt_as: CriticPrompt,
    /// A file with the same text, absolute; needed for `CriticPrompt::System` only.
    pub prompt_file: Option<String>,
    /// The critic's model, if it is not the agent's.
    pub model: Option<String>,
    /// Tool patterns that the critic may use in addition to the read-only ones, for example `Bash(cargo test:*)`.
    pub allow: Vec<String>,
    /// Its limits.
    #[serde(flatten)]
    pub limits: CriticLimits,
    /// Whether the critic runs without the hooks of the user's settings.
    #[serde(default)]
    pub without_hooks: bool,
    /// A settings file, absolute, that replaces the one that the user's arguments name: the same settings without hooks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings_file: Option<String>,
    /// Whether the critic works on a copy of the tree that is thrown away, so that it may run everything.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub on_a_copy: bool,
}

impl CriticPlan {
    /// A critic with this prompt and the defaults; the tree is not watched before its brief.
    #[must_use]
    pub fn new(prompt: &str) -> CriticPlan {
        CriticPlan {
            prompt: prompt.to_owned(),
            prompt_as: CriticPrompt::Message,
            prompt_file: None,
            model: None,
            allow: Vec::new(),
            limits: CriticLimits::DEFAULT,
            without_hooks: false,
            settings_file: None,
            on_a_copy: false,
        }
    }
}

/// The critic's limits. In JSON they are fields of [`CriticPlan`]. Numbers hold nothing private, so an export keeps them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CriticLimits {
    /// Consecutive failures of the critic itself before the run ends as `failed`.
    pub max_failures: u32,
    /// The timeout of one critic.
    pub timeout_ms: u64,
    /// How long the tree is watched, before the critic's brief, for files that change by themselves; 0 disables it.
    #[serde(default)]
    pub watch_ms: u64,
}

impl CriticLimits {
    /// The defaults; the tree is not watched.
    pub const DEFAULT: CriticLimits = CriticLimits { max_failures: 3, timeout_ms: 1_800_000, watch_ms: 0 };
}

/// How the critic's prompt is passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CriticPrompt {
    /// As the fork's last user message: the prompt prefix stays identical to the agent's.
    Message,
    /// As an appended system prompt, which loses the shared prefix.
    System,
}

/// The value for runs that were recorded without it. A CLI starts in half a second, on a loaded machine in four (facts §2), and
/// a session of 50 MB adds two.
fn default_start_ms() -> u64 {
    60_000
}

/// The timeouts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// From the first turn of a process to its first line.
    #[serde(default = "default_start_ms")]
    pub start_ms: u64,
    /// Without progress of the model.
    pub stall_ms: u64,
    /// A tool without a timeout of its own, a hook, a silent sub-agent, and background work after the turn.
    pub tool_ms: u64,
    /// The user set `tool_ms`: then it limits every tool, whatever timeout the tool declares, and background work unless
    /// `background_ms` is set.
    #[serde(default)]
    pub tool_given: bool,
    /// Background work after the turn, whatever the CLI's own timeout is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub background_ms: Option<u64>,
    /// Each step of ending a process: request, SIGINT, SIGTERM; then it is killed.
    pub grace_ms: u64,
}

impl Timeouts {
    /// The defaults.
    pub const DEFAULT: Timeouts = Timeouts {
        start_ms: 60_000,
        stall_ms: 180_000,
        tool_ms: 900_000,
        tool_given: false,
        background_ms: None,
        grace_ms: 3_000,
    };
}
