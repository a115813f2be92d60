//! All settings of ccc, one per row: description, name in a file, type and default, variable and option, and whether
//! a project's file may set it. Layers, settings, help, schema and `docs/configuration.md` are generated from the
//! rows; below them, the bounds and the critic's settings are converted for a run's plan.
//!
//! To add one: its row, its place in [`RUN_OPTIONS`] and perhaps [`RESUME_OPTIONS`] if it is an option, and the code
//! that reads it from [`Settings`].

use std::num::{NonZeroU32, NonZeroU64};
use std::sync::LazyLock;

use clap::ArgMatches;
#[cfg(test)]
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::setting::{Key, Overlay, Setting, free, needs_consent, never_from_project};
use super::{
    AgentName, CheckEntry, Cost, CriticPromptAs, Glob, GuardMode, MemorySize, Notify, OutputFormat, Percent,
    PercentOrOff, Providers, PushTo, Reserve, Seconds, Span, TokenEntry, Transport, UnshownObject, Until, WhenAlone,
};
use crate::core::{Budgets, CriticLimits, CriticPlan, CriticPrompt, Guard, Push, WallsPlan};

/// How long the tree is watched for files that change by themselves before the critic gets its brief. The critic's
/// process takes longer than this to start.
const CRITIC_WATCH_MS: u64 = 250;
/// Why a project's file must not name a provider.
const NOT_THE_PROJECTS: &str = "a project's file must not choose the provider under which your agent is started";
/// Why a project's file must not say what agents may use.
const NOT_THE_PROJECTS_MACHINE: &str = "a project's file must not decide how much of your machine agents use";
/// Why a project's file must not say how long runs are kept.
const NOT_THE_PROJECTS_RUNS: &str = "a project's file must not decide which of your runs are removed";
/// Why a project's file must not say whom a run tells.
const NOT_THE_PROJECTS_NOTIFY: &str = "a project's file must not decide whom your runs tell what they do";
/// Why a project's file must not say what agents may write or which credentials they get.
const NOT_THE_PROJECTS_WALLS: &str =
    "a project's file must not decide what agents may write, or what they get of your environment";
/// Why a project's file must not bound the fleet.
const NOT_THE_PROJECTS_FLEET: &str = "a project's file must not decide how many agents are started with your tokens";

settings! {
    /// The agent's CLI.
    agent = (AgentLayer, AgentSettings) {
        /// Which agent does the work.
        kind: AgentName = AgentName::default() => needs_consent("decides which agent is started, with a token")
            .variable("CCC_AGENT_KIND");
        /// The agent's program.
        path: String => needs_consent("is started as the agent, with a token")
            .variable("CCC_AGENT").option("--agent", "PATH").otherwise("the agent's CLI on PATH, or in the directory of its installer")
            .in_file("A bare name is searched for on PATH; a relative path is relative to the file that names it; `~/` is the home directory.");
        /// Arguments given to the agent before those after `--`.
        args: Vec<String> = Vec::new() => needs_consent("are given to the agent, which can run programs by them")
            .option("--", "");
        /// Let the agent run the commands of the checks without asking, each exactly as it is configured.
        allow_checks: bool = true => needs_consent("lets the agent run the checks without asking");
        /// How many agents of `ccc new` run at the same time; others wait in the queue. 0 is no bound.
        max_running: u32 = 0 => never_from_project(NOT_THE_PROJECTS_MACHINE).variable("CCC_AGENT_MAX_RUNNING");
        /// How much memory the agent's process may use, with all that it starts: a size such as 4G, or a share of the machine's
        /// memory. At the limit the system kills a process of it. Without systemd or a control group of your user, it holds for each
        /// process by itself.
        memory_max: MemorySize => never_from_project(NOT_THE_PROJECTS_MACHINE).variable("CCC_AGENT_MEMORY_MAX").otherwise("no limit");
        /// How many processes and threads the agent's process may have, with all that it starts. At the limit no further one can be
        /// started. 0 is no limit. Needs systemd, a control group of your user, or
        /// walls with a namespace of their own.
        tasks_max: u32 = 0 => never_from_project(NOT_THE_PROJECTS_MACHINE).variable("CCC_AGENT_TASKS_MAX");
    }
    /// What a new agent of `ccc new` waits for, until the keeper starts it. 0 switches a limit off.
    admission = (AdmissionLayer, AdmissionSettings) {
        /// How much memory stays available beside a new agent, for which 512M are counted: a size such as 2G, or a share of the
        /// machine's memory.
        min_available_memory: MemorySize = MemorySize::Percent(10) => never_from_project(NOT_THE_PROJECTS_MACHINE)
            .variable("CCC_ADMISSION_MIN_AVAILABLE_MEMORY")
            .in_file("The keeper of the agents serves all projects: it reads this and the following settings, and `agent.max_running`, \
                      from your own file and the environment.");
        /// The pressure on memory (`some avg10` of `/proc/pressure/memory`, in percent) from which no agent is started.
        max_memory_pressure: PercentOrOff = PercentOrOff::of(20) => never_from_project(NOT_THE_PROJECTS_MACHINE)
            .variable("CCC_ADMISSION_MAX_MEMORY_PRESSURE");
        /// The pressure on the processors (`some avg10` of `/proc/pressure/cpu`, in percent) from which no agent is started while
        /// others run.
        max_cpu_pressure: PercentOrOff = PercentOrOff::of(90) => never_from_project(NOT_THE_PROJECTS_MACHINE)
            .variable("CCC_ADMISSION_MAX_CPU_PRESSURE");
    }
    /// What the agent asks its user: permissions, answers to its questions, the approval of its plans.
    approvals = (ApprovalsLayer, ApprovalsSettings) {
        /// Let the agent ask. If it is off, everything that needs a permission is denied, and the agent has no tools that ask.
        ask: bool = true => free().variable("CCC_APPROVALS_ASK");
        /// What ccc does with a request while no terminal is attached: `deny`, or wait before it denies, for example `wait 10m`.
        unattended: WhenAlone = WhenAlone::DENY => free().variable("CCC_APPROVALS_UNATTENDED");
    }
    /// The walls around agents, critics and checks: what they may write.
    guard = (GuardLayer, GuardSettings) {
        /// The walls around agent, critic and checks: `auto` raises what this system has, `landlock` starts nothing without
        /// Landlock, `agent-sandbox` uses the sandbox of the agent's CLI around agent and critic instead, `off` raises none.
        /// Behind them only the working tree, git's directory, the agent's own files, temporary files and caches can be written.
        mode: GuardMode = GuardMode::Auto => never_from_project(NOT_THE_PROJECTS_WALLS)
            .variable("CCC_GUARD").option("--guard", "HOW")
            .in_file("See [walls.md](walls.md).");
        /// Files and directories that may be written behind the walls, too, with all below them.
        write: Vec<String> = Vec::new() => never_from_project(NOT_THE_PROJECTS_WALLS)
            .in_file("`~/` is the home directory. What does not exist when a process starts is left out.");
    }
    /// Where agents may push with your credentials: `none`, `agent-branches` (below `agent/`) or `all`. Without it they get no
    /// credentials for git; `ccc merge --push` pushes with yours.
    push: PushTo = PushTo::None => never_from_project(NOT_THE_PROJECTS_WALLS).variable("CCC_PUSH");
    /// The environment of agents, critics and checks.
    env = (EnvironmentLayer, EnvironmentSettings) {
        /// Variables that they do not get: names, or beginnings with a star, such as `AWS_*`.
        deny: Vec<String> = Vec::new() => never_from_project(NOT_THE_PROJECTS_WALLS);
    }
    /// How the agent's output reaches ccc: pty or pipe.
    transport: Transport = Transport::Pty => free().variable("CCC_TRANSPORT").option("--transport", "HOW");
    /// Run this command at each stop; its failure is feedback without asking the critic. Can be given several times;
    /// replaces the configured checks.
    checks: Vec<CheckEntry> = Vec::new() => needs_consent("are run at each stop")
        .variable("CCC_CHECK").option("--check", "CMD")
        .in_file("A list of commands for `/bin/sh -c`, each a text or {\"command\": …, \"timeout\": …}.");
    /// Let the checks see these files as they were when the run began, such as `tests/**`; afterwards the agent's versions are put
    /// back. Files that the agent has added stay. Can be given several times.
    protect: Vec<Glob> = Vec::new() => free()
        .variable("CCC_PROTECT").option("--protect", "GLOB")
        .in_file("Patterns of paths, seen from the run's directory; one that names a directory stands for all files in it. A \
                  project's file adds its patterns to yours, and takes none away. Needs a git repository and `checkpoints`; see \
                  [checkpoints.md](checkpoints.md).");
    /// The git worktrees of agents that `ccc new` starts.
    worktree = (WorktreeLayer, WorktreeSettings) {
        /// Commands that set a new worktree up, in order, before its agent starts, for example `npm ci`. If one fails, the agent
        /// does not start; `ccc setup` tries again.
        setup: Vec<CheckEntry> = Vec::new() => needs_consent("are run in each new worktree")
            .in_file("A list of commands for `/bin/sh -c`, each a text or {\"command\": …, \"timeout\": …}.");
        /// Ignored files that are copied into a new worktree, such as `.env`: patterns as in .gitignore.
        include: Vec<String> = Vec::new() => free().otherwise("the patterns in .worktreeinclude");
        /// Ignored directories that a new worktree gets, such as `target/`: patterns as in .gitignore. Their files share their
        /// contents with yours until they are changed; where the file system cannot do that, they are left out.
        clone: Vec<String> = Vec::new() => free();
        /// How many ports are reserved for each agent; it finds them in CCC_PORT, CCC_PORT_1, …
        ports: u32 = 1 => free();
    }
    /// What agents may start by themselves, with `ccc new`.
    fleet = (FleetLayer, FleetSettings) {
        /// How deep managers may stand below each other: with 1 the workers of an agent start no agents.
        max_depth: u32 = 2 => never_from_project(NOT_THE_PROJECTS_FLEET).variable("CCC_FLEET_MAX_DEPTH");
        /// How many running agents one manager may have.
        max_agents: u32 = 16 => never_from_project(NOT_THE_PROJECTS_FLEET).variable("CCC_FLEET_MAX_AGENTS");
    }
    /// Tokens in addition to those of the environment, in the order in which they are used; they come before those.
    tokens: Vec<TokenEntry> = Vec::new() => needs_consent("are used as tokens, after your own");
    /// The providers by name, which `ccc NAME` starts the agent under: `env` (each value a text, or {"env": …}, {"file": …} or
    /// {"command": …}), `settings`, `claude_args` and `model`.
    providers: Providers = Providers::default() => never_from_project(NOT_THE_PROJECTS)
        .in_file("The providers of all your files are merged; of two with the same name, the one in the file of higher priority is used.");
    /// Settings of the agent that all providers have.
    settings: UnshownObject = UnshownObject::default() => never_from_project(NOT_THE_PROJECTS);
    /// Arguments of the agent that all providers have.
    claude_args: Vec<String> = Vec::new() => never_from_project(NOT_THE_PROJECTS);
    /// The provider that `ccc` alone starts, unless `ccc providers use` has chosen another.
    current_provider: String => never_from_project(NOT_THE_PROJECTS).otherwise("none");
    /// The tokens of a run, in the order in which they are used: names of providers, labels of tokens (see `ccc tokens`), and
    /// `login`.
    pool: Vec<String> = Vec::new() => never_from_project(NOT_THE_PROJECTS)
        .in_file("Without it, a run uses every token and no provider. Of a provider, a run uses only `env` and `model`.");
    /// The critic.
    critic = (CriticLayer, CriticSettings) {
        /// The critic's prompt, instead of SUPERVISOR.md; see `ccc prompt`.
        prompt_file: String => free().variable("CCC_SUPERVISOR_PROMPT").option("--supervisor-prompt", "FILE")
            .in_file("Relative to the file that names it.");
        /// How the prompt reaches the critic: message keeps the provider's cache, system does not.
        prompt: CriticPromptAs = CriticPromptAs::Message => free()
            .variable("CCC_CRITIC_PROMPT").option("--critic-prompt", "HOW");
        /// The critic's model.
        model: String => free().variable("CCC_CRITIC_MODEL").option("--critic-model", "MODEL").otherwise("the agent's");
        /// Tool patterns that the critic may use in addition to reading, for example `Bash(cargo test:*)`.
        allow: Vec<String> = Vec::new() => needs_consent("may be run by the critic");
        /// End as failed after this many failures of the critic itself in a row.
        max_failures: NonZeroU32 = at_least_one(3) => free().variable("CCC_CRITIC_MAX_FAILURES");
        /// How long one review of the critic may take.
        timeout: Span = Span::from_secs(30 * 60) => free().variable("CCC_CRITIC_TIMEOUT");
    }
    /// The bounds of a run.
    budgets = (BudgetsLayer, BudgetSettings) {
        /// End after this many judged stops; in a conversation, of one message.
        max_iterations: NonZeroU32 = at_least_one(Budgets::DEFAULT.max_iterations) => free()
            .variable("CCC_MAX_ITERATIONS").option("--max-iterations", "N");
        /// End after this much time, such as 90s, 15m, 8h or 1h30m. Waits for a reset count; time in which ccc or the machine
        /// is stopped does not.
        max_duration: Span => free()
            .variable("CCC_MAX_DURATION").option("--max-duration", "TIME").otherwise("no bound");
        /// End at this time: 07:00, +8h, or 2026-11-28T07:00.
        until: Until => free().variable("CCC_UNTIL").option("--until", "CLOCK").otherwise("no bound");
        /// End with exit code 75 instead of waiting longer than this for a reset.
        max_wait: Span => free().variable("CCC_MAX_WAIT").option("--max-wait", "TIME").otherwise("no bound");
        /// End when this much is spent, in US dollars as the agent reports them.
        max_cost_usd: Cost => free().variable("CCC_MAX_COST_USD").option("--max-cost-usd", "USD").otherwise("no bound");
        /// End when this many tokens are spent: read and written, from the cache or not, as the agent reports them.
        max_tokens: NonZeroU64 => free().variable("CCC_MAX_TOKENS").option("--max-tokens", "N").otherwise("no bound");
        /// End when the agent was restarted this many times in a row without finishing a turn.
        max_restarts: u32 = Budgets::DEFAULT.max_restarts => free().variable("CCC_MAX_RESTARTS").option("--max-restarts", "N")
            .in_file("Only the restarts of the last hour count.");
        /// End as stuck when the same feedback came this many times on unchanged files.
        max_repeats: NonZeroU32 = at_least_one(Budgets::DEFAULT.max_repeats) => free().variable("CCC_MAX_REPEATS");
    }
    /// How long the agent may print nothing after its start.
    start_timeout: Span = Span::from_secs(60) => free().variable("CCC_START_TIMEOUT");
    /// Restart the agent when the model makes no progress for this long.
    stall_timeout: Span = Span::from_secs(180) => free().variable("CCC_STALL_TIMEOUT").option("--stall-timeout", "TIME");
    /// How long a tool may run that has no timeout of its own; if you set this, it also limits every other tool.
    tool_timeout: Span = Span::from_secs(15 * 60) => free().variable("CCC_TOOL_TIMEOUT").option("--tool-timeout", "TIME")
        .in_file("Also how long a check may run.");
    /// How long ccc waits after a turn for work that the agent left running in the background, or has scheduled.
    background_timeout: Span => free()
        .variable("CCC_BACKGROUND_TIMEOUT").option("--background-timeout", "TIME").otherwise("the agent's own timeout")
        .in_file("Without it: `tool_timeout` if that is set, else the agent's own timeout for the work (Claude Code: 30m for a \
                  command), at least 15m. The same bound applies to a turn that the agent has scheduled for itself (without it: 2h).");
    /// How long ccc waits after each step of ending a process before it takes the next, harder step.
    grace: Span = Span::from_secs(3) => free().variable("CCC_GRACE");
    /// Keep git's state out of the agent's prompt if the critic could not share the prompt prefix otherwise.
    share_prompt_prefix: bool = true => free().variable("CCC_SHARE_PROMPT_PREFIX");
    /// Keep the files of the project as a commit below `refs/ccc/` before the agent starts and each time it stops, so that
    /// `ccc restore` can take its work back.
    checkpoints: bool = true => free().variable("CCC_CHECKPOINTS");
    /// How long runs are kept. Only `ccc gc` and `ccc runs prune` remove runs, and never one that is not finished.
    retention = (RetentionLayer, RetentionSettings) {
        /// How long a finished run is kept after its end.
        max_age: Span = Span::from_secs(90 * 24 * 60 * 60) => never_from_project(NOT_THE_PROJECTS_RUNS).variable("CCC_RETENTION_MAX_AGE")
            .in_file("To keep all runs, set a long time, such as 36500d.");
        /// How many of the newest runs are kept, however old they are. Runs that are not finished count, too.
        keep: u32 = 200 => never_from_project(NOT_THE_PROJECTS_RUNS).variable("CCC_RETENTION_KEEP");
    }
    /// When all tokens are limited, end with exit code 75 instead of waiting for the reset.
    no_wait: bool = false => free().variable("CCC_NO_WAIT").option("--no-wait", "");
    /// Take another token at the next stop when the current token has used this percentage of a usage window.
    rotate_at: Percent = Percent::clamped(95) => free().variable("CCC_ROTATE_AT").option("--rotate-at", "PERCENT");
    /// Ask at a limit: rotate, wait, exit or keep going. Without an answer within a minute, ccc takes the first choice.
    interactive: bool = false => free().variable("CCC_INTERACTIVE").option("--interactive", "");
    /// How long ccc waits for the answer of `interactive`.
    answer_timeout: Span = Span::from_secs(60) => free().variable("CCC_ANSWER_TIMEOUT");
    /// How usage is shown, where it is requested, and what the keeper of the agents does about it.
    usage = (UsageLayer, UsageSettings) {
        /// The URL from which usage is requested, instead of `https://api.anthropic.com`. OAuth tokens are sent there.
        base_url: String => never_from_project("a project's file must not choose where your tokens are sent")
            .variable("CCC_USAGE_BASE_URL");
        /// Watch the usage while agents work. If it is off, no threshold has an effect on agents, and the keeper asks nobody.
        enabled: bool = true => free().variable("CCC_USAGE_ENABLED")
            .in_file("The keeper of the agents serves all projects: it reads this and the following settings from your own file and \
                      the environment, not from a project's.");
        /// The percentage of a window from which usage is shown as WARN, and from which managers are told.
        warn_threshold: Percent = Percent::clamped(80) => free().variable("CCC_USAGE_WARN_THRESHOLD");
        /// The percentage of a window from which usage is shown as CRITICAL. When no token is below it, new agents are refused,
        /// and running ones are stopped until the reset.
        critical_threshold: Percent = Percent::clamped(90) => free().variable("CCC_USAGE_CRITICAL_THRESHOLD");
        /// The pause between two requests about usage while agents work: a number of seconds, or a duration such as 5m. A token is
        /// never asked about more than once in two minutes.
        check_interval: Seconds = Seconds::new(120) => free().variable("CCC_USAGE_CHECK_INTERVAL");
        /// Tell running managers when a threshold is crossed.
        notify_managers: bool = true => free().variable("CCC_USAGE_NOTIFY_MANAGERS");
        /// At the critical threshold, end agents for good, as `ccc kill` does, instead of stopping them until the reset.
        auto_nuke_on_critical: bool = false => free().variable("CCC_USAGE_AUTO_NUKE_ON_CRITICAL");
        /// Shares of each window that are kept for you, by clock times: `20%`, `20% 09:00-18:00`, `50% mon-fri 08:30-17:00`. While
        /// one holds, the critical threshold for agents is lower: with 20% it is at most 80.
        reserve: Vec<Reserve> = Vec::new() => free().variable("CCC_USAGE_RESERVE")
            .in_file("Of several that hold at the same time, the largest counts.");
    }
    /// Whom your runs tell that they have ended, need you or wait: each entry has `events` and one way, which is `command`,
    /// `webhook`, `desktop` or `bell`.
    notify: Notify = Notify::default() => never_from_project(NOT_THE_PROJECTS_NOTIFY)
        .in_file("The list of the file of highest priority is used. To try it: `ccc notify test`.");
    /// Keep the machine awake while a run works or waits for a reset, where the system offers it.
    keep_awake: bool = true => never_from_project(NOT_THE_PROJECTS_MACHINE).variable("CCC_KEEP_AWAKE");
    /// At a terminal, continue in the agent's own interface when the task is done.
    hand_over: bool => free().variable("CCC_HAND_OVER").option("--hand-over", "").otherwise("off")
        .taken_back_by("--no-hand-over", "Do not continue in the agent's own interface when the task is done");
    /// What to write to stdout: text for people, json for one object at the end, stream-json for one per event.
    output_format: OutputFormat = OutputFormat::Text => free()
        .variable("CCC_OUTPUT_FORMAT").option("--output-format", "FORMAT");
}

impl Key {
    /// The setting at this path.
    #[must_use]
    pub fn at(path: &str) -> Option<&'static Key> {
        KEYS.iter().find(|key| key.path == path)
    }
}

/// The command line's value for the setting at this path.
fn given<T: Setting>(matches: &ArgMatches, path: &str) -> Option<T> {
    T::given(matches, path, Key::at(path).and_then(|key| key.taken_back_by).map(|(flag, _)| flag))
}

impl Default for Settings {
    /// The defaults.
    fn default() -> Self {
        Layer::default().settled()
    }
}

/// The options of a run, in the order of its help.
pub(crate) const RUN_OPTIONS: &[&str] = &[
    "output_format",
    "critic.prompt_file",
    "checks",
    "protect",
    "budgets.max_iterations",
    "budgets.max_duration",
    "budgets.until",
    "budgets.max_wait",
    "budgets.max_cost_usd",
    "budgets.max_tokens",
    "critic.model",
    "critic.prompt",
    "stall_timeout",
    "tool_timeout",
    "background_timeout",
    "budgets.max_restarts",
    "no_wait",
    "rotate_at",
    "interactive",
    "transport",
    "agent.path",
    "guard.mode",
    "hand_over",
];

/// The options of `ccc resume`, in the order of its help, each with its description there; `None` means the same
/// description. Options that are not settings are listed for their position.
pub(crate) const RESUME_OPTIONS: &[(&str, Option<&str>)] = &[
    ("budgets.max_iterations", Some("A new bound on the judged stops of the whole run")),
    ("budgets.max_duration", Some("A new bound on the time of the whole run, such as 90s, 15m, 8h or 1h30m")),
    ("budgets.until", Some("A new time at which the run ends: 07:00, +8h, or 2026-11-28T07:00")),
    ("budgets.max_wait", Some("A new bound on each wait for a reset")),
    ("wait", None),
    ("no_wait", None),
    ("budgets.max_cost_usd", Some("A new bound on the cost of the whole run, in US dollars")),
    ("budgets.max_tokens", Some("A new bound on the tokens of the whole run")),
    ("budgets.max_restarts", Some("A new bound on the restarts of the agent in a row")),
    ("critic.model", Some("The critic's model from now on")),
    ("checks", Some("Run this command at each stop instead of the run's checks; may be given several times")),
    (
        "protect",
        Some(
            "Let the checks see these files as they were when the run began, instead of the run's; may be given several times",
        ),
    ),
    ("stall_timeout", None),
    ("tool_timeout", Some("How long a tool may run that has no timeout of its own")),
    ("reload", None),
    ("output_format", None),
    ("hand_over", Some("At a terminal, continue in the agent's own interface when the task is done [off]")),
    ("share_tree", None),
    ("transport", None),
    ("replace_args", None),
];

impl BudgetsLayer {
    /// These bounds, with those of `under` where they are not set; `moment` converts a time to unix milliseconds.
    pub(crate) fn over_bounds(&self, under: &Budgets, moment: impl FnOnce(Until) -> i64) -> Budgets {
        Budgets {
            max_iterations: self.max_iterations.map_or(under.max_iterations, NonZeroU32::get),
            max_duration_ms: self.max_duration.map(Span::as_ms).or(under.max_duration_ms),
            max_cost_usd: self.max_cost_usd.map(Cost::usd).or(under.max_cost_usd),
            max_tokens: self.max_tokens.map(NonZeroU64::get).or(under.max_tokens),
            max_restarts: self.max_restarts.unwrap_or(under.max_restarts),
            max_repeats: self.max_repeats.map_or(under.max_repeats, NonZeroU32::get),
            max_wait_ms: self.max_wait.map(Span::as_ms).or(under.max_wait_ms),
            until_unix_ms: self.until.map(moment).or(under.until_unix_ms),
        }
    }
}

/// The critic's plan without its prompt, which is added later.
impl From<&CriticSettings> for CriticPlan {
    fn from(settings: &CriticSettings) -> Self {
        Self {
            prompt: String::new(),
            prompt_as: match settings.prompt {
                CriticPromptAs::Message => CriticPrompt::Message,
                CriticPromptAs::System => CriticPrompt::System,
            },
            prompt_file: None,
            model: settings.model.clone(),
            allow: settings.allow.clone(),
            limits: CriticLimits {
                max_failures: settings.max_failures.get(),
                timeout_ms: settings.timeout.as_ms(),
                watch_ms: CRITIC_WATCH_MS,
            },
            without_hooks: true,
            settings_file: None,
            on_a_copy: false,
        }
    }
}

impl From<&Settings> for WallsPlan {
    fn from(settings: &Settings) -> Self {
        Self {
            guard: match settings.guard.mode {
                GuardMode::Auto => Guard::Auto,
                GuardMode::Landlock => Guard::Landlock,
                GuardMode::AgentSandbox => Guard::AgentSandbox,
                GuardMode::Off => Guard::Off,
            },
            write: settings.guard.write.clone(),
            push: match settings.push {
                PushTo::None => Push::None,
                PushTo::AgentBranches => Push::AgentBranches,
                PushTo::All => Push::All,
            },
            env_deny: settings.env.deny.clone(),
            sandbox: None,
        }
    }
}

const fn at_least_one(number: u32) -> NonZeroU32 {
    match NonZeroU32::new(number) {
        Some(number) => number,
        None => NonZeroU32::MIN,
    }
}

/// A group that is `null` sets nothing, like a single key.
fn null_is_nothing<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(from).map(Option::unwrap_or_default)
}
