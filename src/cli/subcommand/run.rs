//! `ccc --supervisor`: a supervised run.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::agent::AgentKind;
use crate::cli::credentials::{self, RunTokens};
use crate::cli::options::Options;
use crate::cli::presentation::Presentation;
use crate::cli::run_places::RunPlaces;
use crate::cli::settled::overlaid;
use crate::cli::start::{Made, RunRequest, begin, state_error};
use crate::cli::subcommand::attach::{self, ConversationMode};
use crate::cli::task::{self, TaskSource};
use crate::cli::{CliError, Context, ExitCode, detach, inside, keeper_world, limit_check, native, trust};
use crate::config::Settings;
use crate::config::agent::{self, AgentProgram};
use crate::config::prompt::{self, Prompt};
use crate::config::{Dirs, Flags, Layer, Project, Resolved, Span, Until};
use crate::core::shell::{self, words};
use crate::core::{
    Approvals, Budgets, CheckPlan, CriticPlan, Plan, SessionStart, SetupPlan, Timeouts, Unattended, WallsPlan,
    derive_uuid,
};
use crate::driver;
use crate::guard::{PromptNews, SeenPrompt, SettingsOfAgent};
use crate::journal::{self, RunDir};
use crate::process::{self, UserTerminal};
use crate::tokens::{AgentSettings, Gathered, MANAGED_SETTINGS, SettingsPlaces, without_credentials};
use crate::ui::format::date_and_time;

/// The arguments of a supervised run.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct RunArgs {
    /// Supervise: let a critic judge the work at each stop, and continue until it agrees that the task is done.
    #[arg(long)]
    pub supervisor: bool,

    /// The task.
    #[arg(short, long, value_name = "TASK", allow_hyphen_values = true)]
    pub prompt: Option<String>,

    /// Read the task from a file, or from stdin with `-`. Without this option and -p, ccc reads a task that is piped to stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,

    /// Start the agent under this provider of the configuration.
    #[arg(long, value_name = "NAME", display_order = 5)]
    pub provider: Option<String>,

    /// The settings.
    #[command(flatten)]
    pub settings: Options<false>,

    /// Supervise the agent's own interface on this terminal, instead of ccc's conversation; -p gives its first prompt.
    #[arg(long, display_order = 880)]
    pub native: bool,

    /// Show the conversation line by line, without cursor movement: for screen readers. CCC_PLAIN=1 does the same.
    #[arg(long, display_order = 885)]
    pub plain: bool,

    /// Start the run in the background, print its id and return. It outlives this terminal; `ccc attach` attaches to it.
    #[arg(long, display_order = 890)]
    pub detach: bool,

    /// This process is to outlive the terminal.
    #[arg(long, hide = true)]
    pub hosted: bool,

    /// The run begins without a task: the first message of its conversation is one.
    #[arg(long, hide = true)]
    pub conversation: bool,

    /// The run's id, which its starter has noted before.
    #[arg(long, hide = true)]
    pub run_id: Option<String>,

    /// Warnings about the settings that stand in this file were given before: each is given once for a list of tasks.
    #[arg(long, hide = true)]
    pub warned: Option<PathBuf>,

    /// Start even if another run works in this directory or repository.
    #[arg(long, display_order = 900)]
    pub share_tree: bool,

    /// Arguments for the agent.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub agent_args: Vec<String>,
}

impl RunArgs {
    /// How the conversation that opens here is shown; `None` without a terminal, or if an argument is given that belongs to a run
    /// without one.
    fn conversation_at(&self, context: &Context) -> Option<ConversationMode> {
        let has_task = self.prompt.is_some() || self.prompt_file.is_some() || !context.stdin.is_terminal();
        let is_other = self.native || self.detach || self.hosted || self.settings.0.output_format.is_some();
        if has_task || is_other { None } else { ConversationMode::of(self.plain, context) }
    }

    /// These arguments as the layer of the configuration with the highest priority.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags { layer: (*self.settings.0).clone(), agent_args: self.agent_args.clone() }
    }

    /// Whether they start the agent without supervision: no option of a supervised run is given.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let Self {
            supervisor,
            prompt,
            prompt_file,
            provider: _,
            settings,
            native,
            plain,
            detach,
            hosted,
            conversation,
            run_id,
            warned: _,
            share_tree,
            agent_args: _,
        } = self;
        let switches = [supervisor, native, plain, detach, hosted, conversation, share_tree];
        !switches.into_iter().any(|given| *given)
            && prompt.is_none()
            && prompt_file.is_none()
            && run_id.is_none()
            && *settings.0 == Layer::default()
    }
}

/// Everything that is determined before a run begins.
#[derive(Debug)]
pub struct Prepared {
    /// The task.
    pub task: String,
    /// The settings with their origins.
    pub resolved: Resolved,
    /// The critic's prompt.
    pub prompt: Prompt,
    /// The agent's program.
    pub agent: AgentProgram,
    /// The tokens for the agent.
    pub tokens: Gathered,
    /// The project's settings for the agent, as far as the user has agreed to them.
    pub settings_of_agent: SettingsOfAgent,
    /// The project.
    pub project: Project,
}

/// Determines everything that a run needs, and starts nothing but `agent --version`. Cheap checks come first: the task, then the
/// configuration, the prompt, the agent. `example` is the command with a task, for hints.
///
/// # Errors
/// When anything is missing or wrong. Then no run was started.
pub fn prepare(args: &RunArgs, example: &'static str, dashes: &str, context: &Context) -> Result<Prepared, CliError> {
    let begins_without_task = args.conversation || (args.native && args.prompt.is_none() && args.prompt_file.is_none());
    let task = if begins_without_task {
        String::new()
    } else {
        let source = TaskSource { prompt: args.prompt.as_deref(), file: args.prompt_file.as_deref(), example };
        task::read(&source, context.cwd()?, &context.stdin)?
    };
    let mut resolved = context.settings(args.flags())?;
    refuse_past(resolved.settings.budgets.until)?;
    let project = context.project()?;
    let dirs = context.dirs()?;
    if trust::require(&resolved.not_agreed, &project, context)? {
        resolved = context.settings(args.flags())?;
    }
    let settings = &resolved.settings;
    let prompt = prompt::find(resolved.named_prompt.as_ref(), &project, dirs)?;
    let kind = settings.agent.kind.0;
    let kind = if args.native { native::kind(kind)? } else { native::kind_without(kind)? };
    if args.native {
        native::refuse_long(&task)?;
    }
    let bare = without_credentials(&context.env, &settings.tokens);
    let agent = agent::find(kind, settings.agent.path.as_deref().map(Path::new), &bare, dirs, &project.cwd)?;
    let tokens = credentials::gather(context, &RunPlaces::same(&project), settings, kind, &settings.agent.args)?;
    if let Some(refusal) = credentials::refusal(&tokens.conflicts) {
        return Err(refusal);
    }
    let settings_of_agent = trust::require_agent_settings(kind, &settings.agent.args, &project, context)?;
    if !args.conversation
        && !args.native
        && let Some(mode) = Mode::of(settings, &project, dirs)?
    {
        mode.refuse_plan(kind, dashes)?;
        // The run of a list leaves it to its list, which has said it with the words for its own command line.
        if let Some(text) = mode.without_changes(settings, dashes).filter(|_| args.warned.is_none()) {
            context.printer.warn_of_settings(text);
        }
    }
    Ok(Prepared { task, resolved, prompt, agent, tokens, project, settings_of_agent })
}

/// What stands between the end of a command line with these arguments for the agent and another one: `dashes` are missing at most.
pub(in crate::cli) fn behind_dashes(agent_args: &[String], dashes: usize) -> &'static str {
    match (agent_args.is_empty(), dashes) {
        (false, _) | (true, 0) => "",
        (true, 1) => " --",
        (true, _) => " -- --",
    }
}

/// The permission mode in which the agent begins, as its arguments and settings say it.
struct Mode {
    /// `None` when nobody names one.
    mode: Option<String>,
    /// Where it is named.
    place: String,
    /// A rule lets the agent change files.
    allows_changes: bool,
}

impl Mode {
    /// `None` when there are no modes, or all permission checks are off.
    fn of(settings: &Settings, project: &Project, dirs: &Dirs) -> Result<Option<Mode>, CliError> {
        let agent = settings.agent.kind.0;
        let given = agent.read_user_args(&settings.agent.args)?;
        if given.skips_permissions {
            return Ok(None);
        }
        let has_files = agent.installation().settings_files;
        let read = has_files.then(|| {
            AgentSettings::read(SettingsPlaces {
                dirs,
                cwd: &project.cwd,
                argument: given.settings.as_deref(),
                sources: given.setting_sources.as_deref(),
                managed: Path::new(MANAGED_SETTINGS),
            })
        });
        let of_settings = read.iter().flat_map(AgentSettings::allow_rules);
        let mut rules = given.allowed.iter().map(String::as_str).chain(of_settings);
        let allows_changes = rules.any(|rule| agent.is_rule_for_changes(rule));
        let option = agent.args_to_work().into_iter().next().unwrap_or_else(|| "its arguments".to_owned());
        let (mode, place) = match (given.permission_mode, read.as_ref().and_then(AgentSettings::default_mode)) {
            (Some(mode), _) => (Some(mode), option),
            (None, Some((mode, place))) => (Some(mode.to_owned()), format!("`permissions.defaultMode` in {place}")),
            (None, None) => (None, option),
        };
        Ok(Some(Mode { mode, place, allows_changes }))
    }

    /// Refuses plan mode: in it the agent may change nothing until a user approves its plan, so every iteration would only produce
    /// a plan. `dashes` stand before the agent's own arguments.
    fn refuse_plan(&self, agent: AgentKind, dashes: &str) -> Result<(), CliError> {
        match &self.mode {
            Some(mode) if agent.only_plans_in(mode) => Err(plan_mode_refusal(agent, &self.place, mode, dashes)),
            Some(_) | None => Ok(()),
        }
    }

    /// Why the agent may change no file, and how it gets the permission; `None` if it may, or somebody can be asked.
    fn without_changes(&self, settings: &Settings, dashes: &str) -> Option<String> {
        let agent = settings.agent.kind.0;
        let waits = settings.approvals.unattended.wait().is_some();
        if waits || self.allows_changes || !agent.asks_before_changes_in(self.mode.as_deref()) {
            return None;
        }
        let named = match &self.mode {
            Some(mode) => format!("{} is {mode}", self.place),
            None => "no permission mode is given".to_owned(),
        };
        Some(format!(
            "the agent may change no file: {named}, so each change is asked for, and nobody answers an unattended run; to allow \
             it, add at the end of the command:{dashes}{}",
            words(&agent.args_to_work())
        ))
    }
}

fn plan_mode_refusal(agent: AgentKind, place: &str, mode: &str, dashes: &str) -> CliError {
    let works = agent.args_to_work();
    let example =
        if works.is_empty() { String::new() } else { format!(", at the end of the command:{dashes}{}", words(&works)) };
    CliError::usage(format!(
        "the agent would only plan ({place} is {mode}): it may change nothing until a user approves its plan"
    ))
    .hint(format!("give a mode in which it may change files{example}"))
}

/// The command that passes the typed options to the agent under a provider.
fn under_provider(name: &str, typed: &[OsString]) -> String {
    let mut given: Vec<String> = typed.iter().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    // `ccc NAME` is read as `ccc --provider NAME`.
    if let Some(at) = given.iter().position(|word| word == "--provider") {
        given.drain(at..given.len().min(at + 2));
    }
    given.retain(|word| word != "--" && *word != format!("--provider={name}"));
    format!("ccc {} --{}", shell::quoted(name), words(&given))
}

/// Runs a task under supervision.
///
/// # Errors
/// When the run cannot begin.
pub fn run(args: RunArgs, typed: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    if !args.supervisor {
        let error = CliError::usage("these options need --supervisor");
        return Err(match &args.provider {
            Some(name) => error.hint(format!(
                "to give them to the agent under this provider: {}; to start a supervised run: ccc --supervisor -p \"TASK\"",
                under_provider(name, typed)
            )),
            None => error.hint("to start a supervised run: ccc --supervisor -p \"TASK\""),
        });
    }
    inside::refuse("--supervisor", context)?;
    if let Some(name) = &args.provider {
        return Err(CliError::usage("--provider does not work with --supervisor: a run takes its tokens from the pool",
        )
        .hint(format!(
            "to add it to the pool, write in ccc.json: \"pool\": [\"login\", \"{name}\"]; to start it without supervision: ccc {name}"
        )));
    }
    let interface = native::terminal(args.native, args.detach, &args.settings.0)?;
    if let Some(mode) = args.conversation_at(context) {
        return attach::converse(typed, None, mode, args.flags(), context);
    }
    if args.detach && !args.hosted {
        return detach::start(typed, None, args.settings.0.output_format, context);
    }
    supervise(
        &args,
        interface,
        Claim { own_tree: false, make: &|_, _, _, _| Ok(Made::Nothing), example: "ccc --supervisor -p \"TASK\"" },
        context,
    )
}

/// Makes what a run needs before it begins.
type MakeClaim<'a> = dyn Fn(&mut Plan, &Project, &Settings, &RunRequest<'_>) -> Result<Made, CliError> + 'a;

/// What is made for a run before it begins.
#[derive(Clone, Copy)]
pub(in crate::cli) struct Claim<'a> {
    /// Whether the run gets a working tree of its own, which is set up before its agent starts.
    pub(in crate::cli) own_tree: bool,
    /// Makes the directory of the run, and settles in the plan where it works.
    pub(in crate::cli) make: &'a MakeClaim<'a>,
    /// The command with a task, for hints.
    pub(in crate::cli) example: &'static str,
}

/// Starts a supervised run in this process.
///
/// # Errors
/// When the run cannot begin.
pub(in crate::cli) fn supervise(
    args: &RunArgs,
    interface: Option<UserTerminal>,
    claim: Claim<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    if let Some(warned) = &args.warned {
        context.printer.warn_once_by(warned.clone());
    }
    // Do this before the agent is asked for its version, so that processes which that leaves running are found without a scan of
    // all processes.
    process::become_subreaper();
    let prepared = prepare(args, claim.example, behind_dashes(&args.agent_args, 1), context)?;
    for warning in &prepared.tokens.warnings {
        context.printer.warn_of_settings(warning);
    }
    let kind = prepared.resolved.settings.agent.kind.0;
    credentials::warn_of_none(kind, &prepared.tokens.pool, context)?;
    let ask = credentials::ask(context, &prepared.project, &prepared.resolved.settings.usage)?;
    limit_check::ask_where_all_are_limited(&prepared.tokens.pool, &ask, context)?;
    let tokens = RunTokens::new(
        prepared.tokens.pool,
        &context.dirs()?.state,
        prepared.resolved.settings.rotate_at.share(),
        Some(ask),
    );
    let settings = &prepared.resolved.settings;
    let program = prepared.agent.path.display().to_string();
    let mut plan = plan(PlanParts {
        task: prepared.task.clone(),
        cwd: canonical(context)?,
        program,
        first_args: Vec::new(),
        agent_version: prepared.agent.version.clone().unwrap_or_default(),
        prompt: prepared.prompt.text.clone(),
        agent_dir: &context.dirs()?.of_agent(settings.agent.kind.0, &context.env),
        settings,
        given: Some(args.flags()),
        conversation: args.conversation || args.native,
        native: args.native,
        own_tree: claim.own_tree,
    })?;
    if let Some(id) = &args.run_id {
        plan.run_id = RunDir::at(&context.dirs()?.state, id).map_err(|error| state_error(&error))?.id().to_owned();
    }
    let request = RunRequest {
        presentation: Presentation::of(settings, &Layer::default()).of_interface(args.native),
        credential_sentence: tokens.sentence(),
        tokens: &tokens,
        prompt_origin: prepared.prompt.origin.place(),
        extra_env: Vec::new(),
        notify: settings.notify.clone(),
        keep_awake: settings.keep_awake,
        hosted: args.hosted,
        interface,
        share_tree: args.share_tree,
        settings_of_agent: prepared.settings_of_agent.clone(),
    };
    tell_of_prompt(&prepared.prompt, &prepared.project, context)?;
    let claimed = match (claim.make)(&mut plan, &prepared.project, settings, &request)? {
        Made::Nothing => None,
        Made::Run(claimed) => Some(claimed),
        Made::Queued(run_dir, why) => {
            let host = detach::leave_terminal(&run_dir)?;
            detach::queued(host, &run_dir, why);
            return Ok(ExitCode::COMPLETED);
        }
    };
    begin(plan, claimed, &request, context)
}

/// Tells the user when the critic's prompt differs from that of the last run here, because the prompt defines
/// what *done* means.
fn tell_of_prompt(prompt: &Prompt, project: &Project, context: &Context) -> Result<(), CliError> {
    let seen = SeenPrompt::new(&context.dirs()?.state, project.root());
    let file = prompt.origin.place();
    let what = match seen.news(prompt) {
        None => None,
        Some(PromptNews::New) if !seen.has_record() => Some(format!("the critic's prompt is {file}")),
        Some(PromptNews::New) => Some(format!("{file} is new since the last run here")),
        Some(PromptNews::Changed) => Some(format!("{file} has changed since the last run here")),
        Some(PromptNews::Gone) => {
            Some(format!("the SUPERVISOR.md of the last run here is gone; the critic's prompt is {file}"))
        }
    };
    if let Some(what) = what {
        context.printer.talk(format_args!("note: {what}; to see it: ccc prompt"));
    }
    if let Err(error) = seen.remember(prompt) {
        tracing::warn!(%error, "the critic's prompt cannot be remembered for the next run");
    }
    Ok(())
}

/// The current directory without symbolic links. Agents report it in this form, and a session belongs to it.
pub(in crate::cli) fn canonical(context: &Context) -> Result<String, CliError> {
    let cwd = context.cwd()?;
    let real = cwd.canonicalize().map_err(|error| {
        CliError::environment(format!("{}: {error}", cwd.display())).hint("change to a directory that exists")
    })?;
    real.into_os_string().into_string().map_err(|name| {
        CliError::environment(format!("the directory's name is not valid UTF-8: {}", name.display()))
            .hint("rename the directory, or start in another one")
    })
}

/// The parts of a plan, except the random seed.
pub(in crate::cli) struct PlanParts<'a> {
    pub(in crate::cli) task: String,
    pub(in crate::cli) cwd: String,
    pub(in crate::cli) program: String,
    pub(in crate::cli) first_args: Vec<String>,
    pub(in crate::cli) agent_version: String,
    pub(in crate::cli) prompt: String,
    /// The agent's own directory, with the records of its sessions.
    pub(in crate::cli) agent_dir: &'a Path,
    pub(in crate::cli) settings: &'a Settings,
    /// What the user gave on the command line; `None` if that is unknown.
    pub(in crate::cli) given: Option<Flags>,
    /// Whether it is a conversation: then a user decides what the agent asks for.
    pub(in crate::cli) conversation: bool,
    /// Whether the agent is its own interface.
    pub(in crate::cli) native: bool,
    /// Whether the run has a working tree of its own, which is set up first.
    pub(in crate::cli) own_tree: bool,
}

/// Refuses a moment in the past, because the run would end at once with its time spent.
pub(in crate::cli) fn refuse_past(until: Option<Until>) -> Result<(), CliError> {
    let now_unix_ms = driver::unix_ms();
    match until {
        Some(until) if until.unix_ms(now_unix_ms, &crate::cli::zone::of_process()) <= now_unix_ms => {
            let now = date_and_time(now_unix_ms, &crate::cli::zone::of_process());
            Err(CliError::usage(format!("--until {until} has passed already: it is {now} now"))
                .hint("give a time in the future: --until 07:00 is the next one, --until +8h is in eight hours"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes the plan of a new run. Its seed is the only random part.
///
/// # Errors
/// When the user's arguments for the agent cannot be used.
pub(in crate::cli) fn plan(parts: PlanParts<'_>) -> Result<Plan, CliError> {
    let settings = parts.settings;
    let agent = if parts.native { native::kind(settings.agent.kind.0)? } else { settings.agent.kind.0 };
    let user_args = agent.read_user_args(&settings.agent.args)?;
    let chance = uuid::Uuid::new_v4();
    let seed = chance.simple().to_string();
    let random = chance.as_fields().0;
    Ok(Plan {
        run_id: journal::run_id(driver::unix_ms(), random),
        task: parts.task,
        cwd: parts.cwd,
        agent,
        agent_program: parts.program,
        agent_first_args: parts.first_args,
        agent_version: parts.agent_version,
        agent_args: settings.agent.args.clone(),
        new_ids_when_resumed: true,
        denials_as_they_occurred: true,
        earlier_turns: earlier_turns(agent, user_args.session.as_ref(), parts.agent_dir),
        session: user_args.session.unwrap_or_else(|| SessionStart::New(derive_uuid(&seed, "session", 0))),
        setup: settings
            .worktree
            .setup
            .iter()
            .filter(|_| parts.own_tree)
            .map(|setup| SetupPlan {
                command: setup.command().to_owned(),
                timeout_ms: setup.timeout().unwrap_or(settings.tool_timeout).as_ms(),
            })
            .collect(),
        checks: settings
            .checks
            .iter()
            .map(|check| CheckPlan {
                command: check.command().to_owned(),
                timeout_ms: check.timeout().unwrap_or(settings.tool_timeout).as_ms(),
            })
            .collect(),
        protect: settings.protect.iter().map(ToString::to_string).collect(),
        critic: CriticPlan { prompt: parts.prompt, ..CriticPlan::from(&settings.critic) },
        budgets: overlaid(&Budgets::DEFAULT, &settings.given.budgets),
        timeouts: Timeouts {
            start_ms: settings.start_timeout.as_ms(),
            stall_ms: settings.stall_timeout.as_ms(),
            tool_ms: settings.tool_timeout.as_ms(),
            tool_given: settings.given.tool_timeout.is_some(),
            background_ms: settings.background_timeout.map(Span::as_ms),
            grace_ms: settings.grace.as_ms(),
        },
        checkpoints: settings.checkpoints,
        tests_compared: settings.checkpoints,
        one_tree: true,
        allow_checks: settings.agent.allow_checks,
        share_prompt_prefix: settings.share_prompt_prefix,
        no_wait: settings.no_wait,
        rotate_at: settings.rotate_at.share(),
        interactive: settings.interactive && !parts.native,
        answer_timeout_ms: settings.answer_timeout.as_ms(),
        approvals: if settings.approvals.ask {
            let timeout = settings.approvals.unattended.wait();
            let wait = |span: Span| Unattended::Wait { timeout_ms: span.as_ms() };
            Approvals::Ask { unattended: timeout.map_or(Unattended::Deny, wait) }
        } else {
            Approvals::Off
        },
        conversation: parts.conversation,
        supervised: true,
        without_critic: false,
        agent_memory_max_bytes: settings
            .agent
            .memory_max
            .and_then(keeper_world::memory_of)
            .and_then(|memory| memory.bytes_of(process::machine_load().total_bytes)),
        agent_tasks_max: Some(settings.agent.tasks_max).filter(|tasks| *tasks > 0),
        walls: WallsPlan::from(settings),
        conversation_patience_ms: 24 * 3_600_000,
        interface_settings: None,
        given: parts.given.and_then(|given| serde_json::to_value(given).ok()),
        seed,
    })
}

/// The user's messages in the session that the run resumes. The critic's brief lists them with the task. If the record cannot be
/// found or read, there is nothing to list; the agent decides whether the session exists.
fn earlier_turns(agent: AgentKind, session: Option<&SessionStart>, agent_dir: &Path) -> Vec<String> {
    let Some(SessionStart::Resume(id)) = session else { return Vec::new() };
    driver::session_record(agent, agent_dir, id).map(|record| agent.user_turns(&record)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::{plan_mode_refusal, under_provider};
    use crate::agent::{Adapter, AgentKind, Caps, ExitCause, Installation, LaunchRequest, Protocol};
    use crate::core::{ExitFact, Launch};
    use crate::words::Provider;

    #[test]
    fn options_after_a_providers_name_are_put_behind_the_two_dashes() {
        for (typed, expected) in [
            ("ccc --provider local -p hi", "ccc local -- -p hi"),
            ("ccc --provider=local -p hi -- --model x", "ccc local -- -p hi --model x"),
            ("ccc --detach --provider local", "ccc local -- --detach"),
        ] {
            let typed: Vec<OsString> = typed.split(' ').map(OsString::from).collect();
            assert_eq!(under_provider("local", &typed), expected);
        }
    }

    /// A CLI without an option for a mode in which it may work.
    #[derive(Debug)]
    struct Bare;

    impl Adapter for Bare {
        fn name(&self) -> &'static str {
            "bare"
        }
        fn caps(&self, version: &str) -> Caps {
            AgentKind::CLAUDE_CODE.caps(version)
        }
        fn program(&self) -> &'static str {
            "bare"
        }
        fn installation(&self) -> Installation {
            AgentKind::CLAUDE_CODE.installation()
        }
        fn provider(&self) -> Provider {
            Provider::OpenAi
        }
        fn launch(&self, request: &LaunchRequest<'_>) -> Launch {
            AgentKind::CLAUDE_CODE.launch(request)
        }
        fn protocol(&self, request: &LaunchRequest<'_>) -> Box<dyn Protocol> {
            AgentKind::CLAUDE_CODE.protocol(request)
        }
        fn exit_cause(&self, exit: &ExitFact, session_begun: bool) -> ExitCause {
            AgentKind::CLAUDE_CODE.exit_cause(exit, session_begun)
        }
    }

    #[test]
    fn a_run_in_plan_mode_is_refused_for_a_cli_without_an_option_to_work_too() {
        let claude = plan_mode_refusal(AgentKind::CLAUDE_CODE, "--permission-mode", "plan", " --");
        assert_eq!(
            claude.hint.as_deref(),
            Some(
                "give a mode in which it may change files, at the end of the command: -- --permission-mode acceptEdits"
            )
        );
        let bare = plan_mode_refusal(AgentKind::of(&Bare), "its arguments", "read-only", " --");
        assert!(bare.message.contains("(its arguments is read-only)"), "{}", bare.message);
        assert_eq!(bare.hint.as_deref(), Some("give a mode in which it may change files"));
    }
}
