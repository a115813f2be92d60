//! `ccc --supervisor`: a supervised run.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::agent::AgentKind;
use crate::cli::credentials::{self, RunTokens};
use crate::cli::options::Options;
use crate::cli::settled::overlaid;
use crate::cli::start::{RunRequest, begin};
use crate::cli::task::{self, TaskSource};
use crate::cli::{CliError, Context, ErrorKind, ExitCode, lifted, trust};
use crate::config::Settings;
use crate::config::agent::{self, AgentProgram};
use crate::config::prompt::{self, Prompt};
use crate::config::{Dirs, Flags, Project, Resolved, Span, Until};
use crate::core::shell::words;
use crate::core::{Approvals, Budgets, CheckPlan, CriticPlan, Plan, SessionStart, Timeouts, derive_uuid};
use crate::driver;
use crate::guard::{PromptNews, SeenPrompt, SettingsOfAgent};
use crate::journal;
use crate::process;
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

    /// Read the task from a file, or from stdin with `-`. Without -p and this, a task piped to stdin is taken.
    #[arg(long, value_name = "FILE", conflicts_with = "prompt")]
    pub prompt_file: Option<PathBuf>,

    /// The settings.
    #[command(flatten)]
    pub settings: Options<false>,

    /// Start although another run works in this directory or repository.
    #[arg(long, display_order = 900)]
    pub share_tree: bool,

    /// Arguments for the agent.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub agent_args: Vec<String>,
}

impl RunArgs {
    /// These arguments as the topmost layer of the configuration.
    #[must_use]
    pub fn flags(&self) -> Flags {
        Flags { layer: (*self.settings.0).clone(), agent_args: self.agent_args.clone() }
    }
}

/// Everything that is settled before a run begins.
#[derive(Debug)]
pub struct Prepared {
    /// What the user wants done.
    pub task: String,
    /// The settings with their origins.
    pub resolved: Resolved,
    /// The critic's prompt.
    pub prompt: Prompt,
    /// The agent's program.
    pub agent: AgentProgram,
    /// The tokens that the agent may get.
    pub tokens: Gathered,
    /// The project's settings of the agent, under the user's agreement.
    pub settings_of_agent: SettingsOfAgent,
    /// The project.
    pub project: Project,
}

/// Settles everything that a run needs, and starts nothing but `agent --version`. Cheap faults come first: the task,
/// then the configuration, the prompt, the agent.
///
/// # Errors
/// When anything of it is missing or wrong; nothing was started then.
pub fn prepare(args: &RunArgs, context: &Context) -> Result<Prepared, CliError> {
    let task = task::read(
        &TaskSource { prompt: args.prompt.as_deref(), file: args.prompt_file.as_deref() },
        context.cwd()?,
        &context.stdin,
    )?;
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
    let bare = without_credentials(&context.env, &settings.tokens);
    let agent = agent::find(kind, settings.agent.path.as_deref().map(Path::new), &bare, dirs, &project.cwd)?;
    let tokens = credentials::gather(context, &project, &settings.tokens, kind, &settings.agent.args)?;
    if let Some(refusal) = credentials::refusal(&tokens.conflicts) {
        return Err(refusal);
    }
    let settings_of_agent = trust::require_agent_settings(kind, &settings.agent.args, &project, context)?;
    refuse_plan_mode(settings, &project, dirs)?;
    Ok(Prepared { task, resolved, prompt, agent, tokens, project, settings_of_agent })
}

/// In plan mode the agent may change nothing until somebody approves its plan, and nobody is there: every iteration would
/// be spent on a plan.
fn refuse_plan_mode(settings: &Settings, project: &Project, dirs: &Dirs) -> Result<(), CliError> {
    let agent = settings.agent.kind.0;
    let given = agent.read_user_args(&settings.agent.args)?;
    let (mode, place) = match given.permission_mode {
        Some(mode) => (mode, agent.args_to_work().swap_remove(0)),
        None if given.skips_permissions || !agent.installation().settings_files => return Ok(()),
        None => {
            let read = AgentSettings::read(SettingsPlaces {
                dirs,
                cwd: &project.cwd,
                argument: given.settings.as_deref(),
                sources: given.setting_sources.as_deref(),
                managed: Path::new(MANAGED_SETTINGS),
            });
            let Some((mode, place)) = read.default_mode() else { return Ok(()) };
            (mode.to_owned(), format!("`permissions.defaultMode` in {place}"))
        }
    };
    if !agent.only_plans_in(&mode) {
        return Ok(());
    }
    Err(CliError::new(
        ErrorKind::Usage,
        format!("the agent would only plan ({place} is plan): it may change nothing, and an unattended run has nobody to approve its plan"),
    )
    .hint(format!("give a mode in which it may work: ccc --supervisor … --{}", words(&agent.args_to_work()))))
}

/// Runs a task under supervision.
///
/// # Errors
/// When the run cannot begin.
pub fn run(args: RunArgs, context: &Context) -> Result<ExitCode, CliError> {
    if !args.supervisor {
        return Err(CliError::new(ErrorKind::Usage, "these options belong to a supervised run")
            .hint("add --supervisor, as in: ccc --supervisor -p \"TASK\""));
    }
    // Before the agent is asked for its version: what that leaves running is then found without a look at all processes.
    process::become_subreaper();
    let prepared = prepare(&args, context)?;
    for warning in &prepared.tokens.warnings {
        context.printer.warn(warning);
    }
    let ask = credentials::ask(context, &prepared.project, &prepared.resolved.settings.usage)?;
    lifted::ask_where_all_are_limited(&prepared.tokens.pool, &ask, context)?;
    let tokens = RunTokens::new(
        prepared.tokens.pool,
        &context.dirs()?.state,
        prepared.resolved.settings.rotate_at.share(),
        Some(ask),
    );
    let settings = &prepared.resolved.settings;
    let program = prepared.agent.path.display().to_string();
    let plan = plan(PlanParts {
        task: prepared.task.clone(),
        cwd: canonical(context)?,
        program,
        first_args: Vec::new(),
        agent_version: prepared.agent.version.clone().unwrap_or_default(),
        prompt: prepared.prompt.text.clone(),
        agent_dir: &context.dirs()?.of_agent(settings.agent.kind.0, &context.env),
        settings,
        given: Some(args.flags()),
    })?;
    let request = RunRequest {
        form: settings.output_format,
        transport: settings.transport,
        credential_sentence: tokens.sentence(),
        tokens: &tokens,
        prompt_origin: prepared.prompt.origin.place(),
        extra_env: Vec::new(),
        // In a script the command after this one must come to its turn.
        hand_over: settings.hand_over.unwrap_or(false),
        share_tree: args.share_tree,
        settings_of_agent: prepared.settings_of_agent.clone(),
    };
    tell_of_prompt(&prepared.prompt, &prepared.project, context)?;
    begin(plan, &request, context)
}

/// Names a critic's prompt of the project that is not the one of the last run here: a change of it changes what
/// *done* means.
fn tell_of_prompt(prompt: &Prompt, project: &Project, context: &Context) -> Result<(), CliError> {
    let seen = SeenPrompt::new(&context.dirs()?.state, project.root());
    let file = prompt.origin.place();
    let what = match seen.news(prompt) {
        None => None,
        Some(PromptNews::New) => Some(format!("{file} is new since the last run here")),
        Some(PromptNews::Changed) => Some(format!("{file} has changed since the last run here")),
        Some(PromptNews::Gone) => Some(format!("this project's SUPERVISOR.md is gone; the critic's prompt is {file}")),
    };
    if let Some(what) = what {
        context.printer.talk(format_args!("note: {what} (`ccc prompt` shows it)"));
    }
    if let Err(error) = seen.remember(prompt) {
        tracing::warn!(%error, "the critic's prompt cannot be remembered for the next run");
    }
    Ok(())
}

/// The current directory without symbolic links: agents report theirs so, and a session belongs to it.
pub(in crate::cli) fn canonical(context: &Context) -> Result<String, CliError> {
    let cwd = context.cwd()?;
    let real = cwd.canonicalize().map_err(|error| {
        CliError::new(ErrorKind::Environment, format!("{}: {error}", cwd.display()))
            .hint("change to a directory that exists")
    })?;
    real.into_os_string().into_string().map_err(|name| {
        CliError::new(ErrorKind::Environment, format!("the directory's name is not valid UTF-8: {}", name.display()))
            .hint("rename the directory, or start in another one")
    })
}

/// What a plan is made of, besides chance.
pub(in crate::cli) struct PlanParts<'a> {
    pub(in crate::cli) task: String,
    pub(in crate::cli) cwd: String,
    pub(in crate::cli) program: String,
    pub(in crate::cli) first_args: Vec<String>,
    pub(in crate::cli) agent_version: String,
    pub(in crate::cli) prompt: String,
    /// The agent's own directory, which holds the records of its sessions.
    pub(in crate::cli) agent_dir: &'a Path,
    pub(in crate::cli) settings: &'a Settings,
    /// What the user gave on the command line; `None` where that cannot be told.
    pub(in crate::cli) given: Option<Flags>,
}

/// Refuses a moment that has passed: the run would end at once, as if its time had been spent.
pub(in crate::cli) fn refuse_past(until: Option<Until>) -> Result<(), CliError> {
    let now_unix_ms = driver::unix_ms();
    match until {
        Some(until) if until.unix_ms(now_unix_ms, &crate::cli::zone::of_process()) <= now_unix_ms => {
            let now = date_and_time(now_unix_ms, &crate::cli::zone::of_process());
            Err(CliError::new(ErrorKind::Usage, format!("--until {until} has passed already: it is {now} now"))
                .hint("name a moment to come, such as --until 07:00, --until +8h or a date and a time"))
        }
        Some(_) | None => Ok(()),
    }
}

/// Settles the plan of a new run. Here is the one place where chance comes in: the seed.
///
/// # Errors
/// When the user's arguments for the agent cannot be used.
pub(in crate::cli) fn plan(parts: PlanParts<'_>) -> Result<Plan, CliError> {
    let settings = parts.settings;
    let agent = settings.agent.kind.0;
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
        earlier_turns: earlier_turns(agent, user_args.session.as_ref(), parts.agent_dir),
        session: user_args.session.unwrap_or_else(|| SessionStart::New(derive_uuid(&seed, "session", 0))),
        checks: settings
            .checks
            .iter()
            .map(|check| CheckPlan {
                command: check.command().to_owned(),
                timeout_ms: check.timeout().unwrap_or(settings.tool_timeout).as_ms(),
            })
            .collect(),
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
        one_tree: true,
        allow_checks: settings.agent.allow_checks,
        share_prompt_prefix: settings.share_prompt_prefix,
        no_wait: settings.no_wait,
        rotate_at: settings.rotate_at.share(),
        interactive: settings.interactive,
        answer_timeout_ms: settings.answer_timeout.as_ms(),
        approvals: Approvals::Deny,
        given: parts.given.and_then(|given| serde_json::to_value(given).ok()),
        seed,
    })
}

/// What the user has said in the session that the run is to resume. The critic's brief lists it with the task. A record
/// that cannot be found or read gives nothing: the agent decides whether there is such a session.
fn earlier_turns(agent: AgentKind, session: Option<&SessionStart>, agent_dir: &Path) -> Vec<String> {
    let Some(SessionStart::Resume(id)) = session else { return Vec::new() };
    driver::session_record(agent, agent_dir, id).map(|record| agent.user_turns(&record)).unwrap_or_default()
}
