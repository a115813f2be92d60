//! Runs a complete plan to its end. `ccc --supervisor`, `ccc resume` and `ccc demo` share this.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::OFlags;

use super::continue_interactively::continue_interactively;
use super::credentials::RunTokens;
use super::family::RunFamily;
use super::presentation::Presentation;
use super::run_places::RunPlaces;
use super::{
    CliError, Context, ExitCode, agent_tree, dead_run, detach, native, notifying, protected_files, reporting, serving,
    survivors, telling,
};
use crate::agent::Role;
use crate::config::{Env, Glob, Notify, OutputFormat, Project, Transport};
use crate::control::protocol::Request;
use crate::control::{self, Hub, Served};
use crate::core::shell::{quoted, words};
use crate::core::{
    Core, CriticPrompt, Finish, Guard, OperatorInput, Outcome, Plan, SandboxSettings, SessionStart, Tick,
};
use crate::driver::{
    self, ChildEnv, Control, End, Interface, KeepAwake, NotEnforced, Program, Setup, Visibility, Workers,
};
use crate::files::{self, open_private};
use crate::fleet::{AgentRecord, add_environment};
use crate::guard::{
    self, ChangedProgram, OwnSandbox, Places, RunWalls, SettingsOfAgent, Withheld, lock_tree as lock_working_tree,
    production_credentials,
};
use crate::journal::{FileLock, Header, Holder, JournalWriter, LockError, RunDir, RunSummary, Tail};
use crate::notify::{At, Follower};
use crate::process::{
    self, Detached, Inhibitor, Lacking, Limiter, Limiting, Means, Recording, ScopeLimits, TypedEcho, UserTerminal,
};
use crate::protect;
use crate::tokens::{AgentSettings, MANAGED_SETTINGS, SettingsPlaces, without_credentials};
use crate::ui::format;
use crate::ui::{Banner, Ending, Form, Limits, Printer, Screen, ScreenError, Style, stdio_is_one_place};
use redaction::Redactor;

/// The size of the agent's terminal. It is not shown, and wide so that the CLI's own output does not wrap.
const PTY: process::Transport = process::Transport::Pty { cols: 200, rows: 50 };
/// The file of the critic's settings in the run's directory. It exists while a ccc process works on the run.
const CRITIC_SETTINGS: &str = "critic-settings.json";
/// The file of the interface's settings; it exists as long.
const INTERFACE_SETTINGS: &str = "interface-settings.json";
/// The files of the settings with the sandbox of the agent's CLI; they exist as long.
const AGENT_IN_SANDBOX: &str = "agent-in-sandbox.json";
const CRITIC_IN_SANDBOX: &str = "critic-in-sandbox.json";
/// How long printing the end of the run may take.
const END_PRINT_TIMEOUT: Duration = Duration::from_secs(5);

/// What this ccc process needs for the run, besides the plan.
pub(super) struct RunRequest<'a> {
    /// How the run is shown.
    pub(super) presentation: Presentation,
    /// The tokens that the agent may get.
    pub(super) tokens: &'a RunTokens,
    /// The token in use, in a sentence.
    pub(super) credential_sentence: String,
    /// Where the critic's prompt comes from.
    pub(super) prompt_origin: String,
    /// Additional variables for the children; the demonstration's agent needs them.
    pub(super) extra_env: Vec<(OsString, OsString)>,
    /// Whether this process outlives the terminal: then it leaves the terminal before the run begins.
    pub(super) hosted: bool,
    /// The terminal for the agent's own interface, if the agent has one.
    pub(super) interface: Option<UserTerminal>,
    /// Whether other runs may work in the same tree.
    pub(super) share_tree: bool,
    /// The project's settings for the agent, as far as the user has agreed to them.
    pub(super) settings_of_agent: SettingsOfAgent,
    /// Whom the run tells what it comes to.
    pub(super) notify: Notify,
    /// Whether the machine is kept awake.
    pub(super) keep_awake: bool,
}

/// The point at which a run continues.
pub(super) struct Continuation {
    pub(super) core: Core,
    pub(super) tail: Tail,
    pub(super) started_unix_ms: i64,
    pub(super) first_inputs: Vec<OperatorInput>,
    /// Has followed the journal.
    pub(super) follower: Follower,
}

/// Begins a new run and drives it to its end.
///
/// # Errors
/// When its directory, its journal or a lock is not available.
pub(super) fn begin(
    plan: Plan,
    claimed: Option<Claimed>,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    prepare_new(plan, claimed, request, context)?.supervise(request, context)
}

/// The directory of a run that has not begun, and its lock.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) run_dir: RunDir,
    pub(super) run_lock: FileLock,
}

impl Claimed {
    /// Creates the directory of a run, and locks it.
    ///
    /// # Errors
    /// When the directory or the lock is not available.
    pub(super) fn new(state: &Path, run_id: &str) -> Result<Claimed, CliError> {
        let run_dir = RunDir::create(state, run_id).map_err(|error| state_error(&error))?;
        let run_lock = run_dir.take_lock(std::process::id(), driver::unix_ms()).map_err(|error| lock_error(&error))?;
        Ok(Claimed { run_dir, run_lock })
    }
}

/// What was made for a run before it begins.
#[derive(Debug)]
pub(super) enum Made {
    /// Nothing.
    Nothing,
    /// Its directory, which is locked.
    Run(Claimed),
    /// The run does not begin now: it waits in the queue, for this.
    Queued(RunDir, String),
}

/// Prepares a new run for any host ([`driver::Run`]), in its directory if that was claimed before.
///
/// # Errors
/// When its directory, its journal or a lock is not available.
pub(super) fn prepare_new(
    mut plan: Plan,
    claimed: Option<Claimed>,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<Prepared, CliError> {
    let state = &context.dirs()?.state;
    // Fail here, before anything of the run exists.
    critic_settings(&plan)?;
    sandbox_can_be_had(&plan, context)?;
    let sandbox = own_sandbox(&plan, context)?;
    let means = RunWalls::means(plan.walls.guard, sandbox.as_ref()).map_err(|error| no_walls(&error))?;
    let session_lock = lock_session(&plan, planned_session(&plan, context)?, context)?;
    let tree_lock = lock_tree(&plan, request, context)?;
    dead_run::put_files_back_in(Path::new(&plan.cwd), context)?;
    let Claimed { run_dir, run_lock } = match claimed {
        Some(claimed) => claimed,
        None => Claimed::new(state, &plan.run_id)?,
    };
    let started_unix_ms = driver::unix_ms();
    keep_prompt(&mut plan, &run_dir)?;
    keep_critic_settings(&mut plan, &run_dir)?;
    keep_interface_settings(&mut plan, &run_dir)?;
    let redactor = request.tokens.redactor();
    let walls = walls(means, &plan, &run_dir, request, context)?;
    plan.critic.on_a_copy = walls.copy_the_tree();
    keep_sandbox_settings(&mut plan, &run_dir, &walls)?;
    let header = Header::new(&plan, env!("CARGO_PKG_VERSION"));
    let header = header.map(|header| Header { walls: Some(walls.to_string()), ..header });
    let journal = new_journal(&run_dir, header, redactor.clone())?;
    let lives = Life {
        core: Core::new(plan),
        from: Tick::ZERO,
        n: 0,
        resumed: false,
        started_unix_ms,
        first_inputs: Vec::new(),
        follower: Follower::default(),
    };
    let held = Held { run_dir, run_lock, session_lock, tree_lock };
    prepare(lives, held, walls, journal, redactor, request, context)
}

/// Writes the critic's prompt into the run's directory, because the critic gets it as a file.
///
/// # Errors
/// When the file cannot be written.
pub(super) fn keep_prompt(plan: &mut Plan, run_dir: &RunDir) -> Result<(), CliError> {
    if plan.critic.prompt_as != CriticPrompt::System {
        return Ok(());
    }
    let file = run_dir.path().join("SUPERVISOR.md");
    write_private(&file, &plan.critic.prompt)?;
    plan.critic.prompt_file = Some(file.display().to_string());
    Ok(())
}

/// Writes a copy of the settings file that the user's arguments name into the run's directory for the critic, without its hooks.
/// The settings may be private, so they appear in no argument and no journal.
///
/// # Errors
/// When the user's file cannot be read or contains no settings, or the copy cannot be written.
pub(super) fn keep_critic_settings(plan: &mut Plan, run_dir: &RunDir) -> Result<(), CliError> {
    plan.critic.settings_file = None;
    let Some(settings) = critic_settings(plan)? else { return Ok(()) };
    let file = run_dir.path().join(CRITIC_SETTINGS);
    write_private(&file, &settings)?;
    plan.critic.settings_file = Some(file.display().to_string());
    Ok(())
}

/// Writes the settings file that the user's arguments name into the run's directory, with the hooks by which the agent's
/// interface informs ccc.
///
/// # Errors
/// When the user's file cannot be read or contains no settings, or the copy cannot be written.
pub(super) fn keep_interface_settings(plan: &mut Plan, run_dir: &RunDir) -> Result<(), CliError> {
    plan.interface_settings = None;
    if !native::is_native(plan) {
        return Ok(());
    }
    let Some((path, text)) = named_settings(plan)? else { return Ok(()) };
    let settings = plan.agent.settings_with_hooks(&text).map_err(|why| no_settings(&path, &why))?;
    let file = run_dir.path().join(INTERFACE_SETTINGS);
    write_private(&file, &settings)?;
    plan.interface_settings = Some(file.display().to_string());
    Ok(())
}

/// Writes the settings that the user's arguments give, or none, into the run's directory with the sandbox of the agent's CLI
/// switched on, if that is in place of the walls. The agent cannot write that directory.
///
/// # Errors
/// When the user's file cannot be read or contains no settings, or the copies cannot be written.
fn keep_sandbox_settings(plan: &mut Plan, run_dir: &RunDir, walls: &RunWalls) -> Result<(), CliError> {
    plan.walls.sandbox = None;
    let Some(places) = walls.sandbox() else { return Ok(()) };
    let (path, own) = match named_settings(plan)? {
        Some((path, text)) => (path, Some(text)),
        None => (PathBuf::from("--settings"), plan.agent.read_user_args(&plan.agent_args)?.settings),
    };
    let keep = |name: &str, role, without_hooks| {
        let settings = plan.agent.settings_in_sandbox(own.as_deref(), places, role, without_hooks);
        let file = run_dir.path().join(name);
        write_private(&file, &settings.map_err(|why| no_settings(&path, &why))?)?;
        Ok::<_, CliError>(file.display().to_string())
    };
    let agent = keep(AGENT_IN_SANDBOX, Role::Agent, false)?;
    let critic = keep(CRITIC_IN_SANDBOX, Role::Critic, plan.critic.without_hooks)?;
    plan.walls.sandbox = Some(SandboxSettings { agent, critic });
    Ok(())
}

/// The settings file that the user's arguments name.
fn named_settings(plan: &Plan) -> Result<Option<(PathBuf, String)>, CliError> {
    let Some(named) = plan.agent.read_user_args(&plan.agent_args)?.settings_file else { return Ok(None) };
    let path = Path::new(&plan.cwd).join(named.trim());
    let bytes = files::read(&path, files::AGENT_SETTINGS).map_err(|fault| {
        let message = format!("the agent's settings file {} {fault}", path.display());
        CliError::configuration(message).hint(fault.advice())
    })?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    Ok(Some((path, text)))
}

fn no_settings(path: &Path, why: &str) -> CliError {
    let message = format!("the agent's settings file {} contains no valid settings: {why}", path.display());
    CliError::configuration(message).hint("correct the file, or leave out --settings")
}

/// The settings file that the user's arguments name, without its hooks.
fn critic_settings(plan: &Plan) -> Result<Option<String>, CliError> {
    if !plan.critic.without_hooks {
        return Ok(None);
    }
    let Some((path, text)) = named_settings(plan)? else { return Ok(None) };
    plan.agent.hookless_settings(&text).map(Some).map_err(|why| no_settings(&path, &why))
}

/// Continues a run whose ccc has ended.
///
/// # Errors
/// When its journal or its session is not available.
pub(super) fn go_on(
    mut continuation: Continuation,
    run_dir: RunDir,
    run_lock: FileLock,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let plan =
        continuation.first_inputs.iter().fold(continuation.core.plan().clone(), |plan, given| given.applied_to(&plan));
    sandbox_can_be_had(&plan, context)?;
    let sandbox = own_sandbox(&plan, context)?;
    let means = RunWalls::means(plan.walls.guard, sandbox.as_ref()).map_err(|error| no_walls(&error))?;
    let session_id = match continuation.core.session_id() {
        Some(known) => Some(known.to_owned()),
        None => planned_session(&plan, context)?,
    };
    let session_lock = lock_session(&plan, session_id, context)?;
    let tree_lock = lock_tree(&plan, request, context)?;
    // The dead ccc may have left its agent running, which may still write into the session, so end it first.
    dead_run::end_left(&run_dir, context);
    protected_files::put_back(&run_dir, context)?;
    let redactor = request.tokens.redactor();
    let journal = JournalWriter::append_at(&run_dir.journal(), &run_dir.blobs(), &continuation.tail, redactor.clone())
        .map_err(|error| CliError::io(format!("{}: {error}", run_dir.journal().display())))?;
    guard::remove_copies(run_dir.path());
    let walls = walls(means, &plan, &run_dir, request, context)?;
    // The run may continue on another system, or with other settings.
    let mut in_sandbox = plan.clone();
    keep_sandbox_settings(&mut in_sandbox, &run_dir, &walls)?;
    if plan.critic.on_a_copy != walls.copy_the_tree() || plan.walls.sandbox != in_sandbox.walls.sandbox {
        let mut plan = in_sandbox;
        plan.critic.on_a_copy = walls.copy_the_tree();
        continuation.first_inputs.push(OperatorInput::Plan(Box::new(plan)));
    }
    let life = Life {
        core: continuation.core,
        from: continuation.tail.last_tick,
        n: continuation.tail.next_n.saturating_sub(1),
        resumed: true,
        started_unix_ms: continuation.started_unix_ms,
        first_inputs: continuation.first_inputs,
        follower: continuation.follower,
    };
    let held = Held { run_dir, run_lock, session_lock, tree_lock };
    prepare(life, held, walls, journal, redactor, request, context)?.supervise(request, context)
}

/// The directory and locks that this ccc holds until the run ends.
struct Held {
    run_dir: RunDir,
    run_lock: FileLock,
    session_lock: Option<(String, FileLock)>,
    tree_lock: FileLock,
}

/// The session with which the run begins. For `Latest` the agent decides, and reports the session only after its first turn; by
/// then it could have disturbed another ccc on that session. So the session that the agent will most likely take is locked in
/// advance.
fn planned_session(plan: &Plan, context: &Context) -> Result<Option<String>, CliError> {
    match &plan.session {
        SessionStart::New(id) | SessionStart::Resume(id) => Ok(Some(id.clone())),
        SessionStart::Latest => {
            let agent_dir = context.dirs()?.of_agent(plan.agent, &context.env);
            Ok(driver::latest_session(plan.agent, &agent_dir, &plan.cwd))
        }
    }
}

fn this_run(plan: &Plan) -> Holder {
    Holder::of_process(&plan.run_id, driver::unix_ms())
}

fn lock_session(
    plan: &Plan,
    session_id: Option<String>,
    context: &Context,
) -> Result<Option<(String, FileLock)>, CliError> {
    let Some(session_id) = session_id else { return Ok(None) };
    let lock = FileLock::of_session(&context.dirs()?.state, &session_id, &this_run(plan));
    lock.map(|lock| Some((session_id, lock))).map_err(|error| lock_error(&error))
}

/// Allows one run per working tree: the git repository, or else the directory.
fn lock_tree(plan: &Plan, request: &RunRequest<'_>, context: &Context) -> Result<FileLock, CliError> {
    if request.share_tree && !plan.protect.is_empty() {
        // Each run would exchange the files under the other one's agent and checks.
        return Err(CliError::usage(
            "protected files (`protect`) cannot be had in a tree that is shared with another run",
        )
        .hint("leave out --share-tree; to work beside another run, in a tree of its own: ccc new"));
    }
    let project = Project::find(Path::new(&plan.cwd));
    lock_working_tree(&context.dirs()?.state, project.root(), &this_run(plan), request.share_tree).map_err(|error| {
        match error {
            LockError::Held { ref holder, .. } => CliError::usage(told(&error))
                .hint(format!("{}; if both may change the same files, add --share-tree", go_to(holder.as_ref()))),
            LockError::Io { .. } => lock_error(&error),
        }
    })
}

struct Life {
    core: Core,
    from: Tick,
    /// How many entries the journal has.
    n: u64,
    resumed: bool,
    started_unix_ms: i64,
    first_inputs: Vec<OperatorInput>,
    follower: Follower,
}

/// A run that holds its locks and is ready to be driven.
pub(super) struct Prepared {
    /// What the loop needs.
    pub(super) setup: Setup,
    /// What the control socket tells of the run.
    served: Served,
    hub: Hub,
    /// This process has left the terminal; the one that started it waits for the run to begin.
    host: Option<Detached>,
    /// What is known of the run before its first summary.
    beginning: RunSummary,
    form: Form,
    recording: Option<Recording>,
    run_lock: FileLock,
    tree_lock: FileLock,
}

fn prepare(
    life: Life,
    held: Held,
    walls: RunWalls,
    journal: JournalWriter,
    redactor: Redactor,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<Prepared, CliError> {
    let state_dir = context.dirs()?.state.clone();
    let Held { run_dir, run_lock, session_lock, tree_lock } = held;
    // Inputs at the start may change the plan, and the changed plan is in force from now on.
    let plan = life.first_inputs.iter().fold(life.core.plan().clone(), |plan, given| given.applied_to(&plan));
    let session_id = life.core.session_id().map(str::to_owned);
    process::become_subreaper();
    let recording = survivors::record(&run_dir, context);
    let whole = child_env(request, &run_dir, context);
    let bare_env = bare(&whole);
    let tell_of_plan = || {
        if request.extra_env.is_empty() {
            // Not for the demonstration, which has its own directory.
            tell_of_what_is_not_seen(&plan, &bare_env, context);
        }
        tell_of_missing_programs(&plan, &bare_env, &redactor, context);
        if !life.resumed {
            tell_of_patterns_without_files(&plan, &redactor, context);
        }
        tell_of_checks_without_rule(&plan, &redactor, context);
        tell_of_production_credentials(&plan, &whole, life.resumed, context);
    };
    let (limiter, not_enforced) = limiter(&plan, &bare_env, &walls);
    if let Some(NotEnforced { setting, why }) = &not_enforced {
        context.printer.warn_of_settings(format_args!("{setting} is not enforced: {why}"));
    }
    if let Some(warning) = walls.warning(&plan, &context.dirs()?.home, own_sandbox(&plan, context)?.as_ref()) {
        context.printer.warn(warning);
    }
    let host = if request.hosted {
        tell_of_plan();
        Some(detach::leave_terminal(&run_dir)?)
    } else {
        None
    };
    let style = if host.is_some() {
        Style::PIPED
    } else if request.interface.is_some() {
        // The screen is the interface's: no status line and no colours.
        Style::in_rows(false, driver::terminal_columns())
    } else {
        context.style(&io::stderr())
    };
    let form = match request.presentation.form {
        OutputFormat::Text => Form::Text,
        OutputFormat::Json => Form::Json,
        OutputFormat::StreamJson => Form::StreamJson,
    };
    let mut printer = Printer::new(form, style);
    printer.in_zone(crate::cli::zone::of_process());
    let screen = if host.is_some() { detach::no_screen() } else { stdio_screen() }?;
    let resumed_task = life.resumed.then(|| RunSummary::task_of(&plan.task, &redactor));
    let walls_sentence = if plan.walls.guard == Guard::Off { "off".to_owned() } else { walls.to_string() };
    let banner =
        Banner { resumed_task, walls: walls_sentence, ..banner(&plan, &run_dir, session_id, request, &redactor) };
    printer.clock(life.from, driver::unix_ms());
    for piece in printer.start(life.from, &banner) {
        // The interface starts below the banner.
        if request.interface.is_some() {
            context.printer.talk_raw(&piece.text);
        } else {
            let _ = screen.put(piece);
        }
    }
    if host.is_none() {
        tell_of_plan();
    }
    let withheld = withheld(&plan, &whole, &run_dir)?;
    if let Some(why) = withheld.without_hooks() {
        context.printer.warn(format_args!(
            "the hooks that refuse a push in words cannot be made in {}: {why}; the agent has no credentials to push with all the same",
            run_dir.path().display()
        ));
    }
    let env = if of_repository(&plan, &run_dir) { bare_env.clone() } else { whole };
    let typing = if printer.is_live() { TypedEcho::find() } else { TypedEcho::none() };
    let hub = Hub::new(life.n);
    hub.is_bounded_by(&plan.budgets);
    let interface = request.interface.clone().map(|terminal| Interface { terminal, hooks: Arc::default() });
    let served = Served {
        hook_key: interface.is_some().then(control::hook_key),
        caps: Request::NAMES.to_vec(),
        family: Some(Arc::new(RunFamily::of(&run_dir, &state_dir, &plan, context))),
        ..serving::served(&run_dir, "agent", &plan.cwd, life.started_unix_ms, context)?
    };
    let subject = notifying::subject(&run_dir, &plan);
    let at = match (&host, &interface) {
        (Some(_), _) => At::Background,
        (None, Some(_)) => At::Interface,
        (None, None) => notifying::at(context),
    };
    let notifier = notifying::notifier(&request.notify, subject, life.follower, &run_dir, &redactor, at, context);
    let inhibitor = if request.keep_awake { Inhibitor::find(&bare_env.0) } else { None };
    let setup = Setup {
        notifier,
        keep_awake: inhibitor.map(|inhibitor| KeepAwake::new(inhibitor, &plan.run_id)),
        core: life.core,
        from: life.from,
        resumed: life.resumed,
        first_inputs: life.first_inputs,
        run_dir: run_dir.clone(),
        state_dir,
        agent_dir: context.dirs()?.of_agent(plan.agent, &context.env),
        journal,
        redactor: redactor.clone(),
        started_unix_ms: life.started_unix_ms,
        program: Program {
            path: PathBuf::from(&plan.agent_program),
            first_args: plan.agent_first_args.iter().map(OsString::from).collect(),
        },
        bare_env,
        env,
        credentials: request.tokens.credentials(),
        settings: request.settings_of_agent.clone(),
        transport: match request.presentation.transport {
            Transport::Pty => PTY,
            Transport::Pipe => process::Transport::Pipe,
        },
        limiter,
        not_enforced,
        walls,
        withheld,
        session_lock,
        printer,
        screen,
        typing,
        keyboard: if host.is_some() || interface.is_some() { None } else { driver::keyboard() },
        interface,
        hub: Some(hub.clone()),
        workers: Workers::default(),
        log: request.hosted.then_some(detach::log as fn(&str)),
    };
    let beginning = detach::beginning(&plan, life.started_unix_ms, &redactor);
    Ok(Prepared { setup, served, hub, host, beginning, form, recording, run_lock, tree_lock })
}

impl Prepared {
    /// Writes the first line of the journal, and sees that a power cut leaves it there.
    ///
    /// # Errors
    /// When the disk does not take it.
    pub(super) fn begin_journal(&mut self) -> io::Result<()> {
        self.setup.journal.write_header()?;
        open_private(&self.setup.run_dir.journal(), OFlags::RDONLY)?.sync_data()
    }

    /// Drives the run in this process, serves its control socket, and prints its end.
    ///
    /// # Errors
    /// When the event loop cannot be created.
    pub(super) fn supervise(self, request: &RunRequest<'_>, context: &Context) -> Result<ExitCode, CliError> {
        let Prepared { setup, served, hub, host, beginning, form, recording, run_lock, tree_lock } = self;
        let (run_dir, redactor) = (setup.run_dir.clone(), setup.redactor.clone());
        let hooks = setup.interface.as_ref().map(|interface| Arc::clone(&interface.hooks));
        let walls = setup.walls.clone();
        let converses = setup.core.plan().conversation;
        telling::will_tell(&run_dir);
        // Its manager may have been told of its end before.
        let resumption =
            if setup.resumed { telling::tell_manager_of_resumption(&run_dir, &setup.state_dir) } else { None };
        let mut server = None;
        let mut end = driver::run(setup, |run| {
            let key = served.hook_key.clone();
            server = serving::serve(served, hub, run, context);
            if let Some(hooks) = hooks {
                match server.as_ref().zip(key).and_then(|(server, key)| native::hook_env(server, &key)) {
                    Some(env) => drop(hooks.set(env)),
                    None => run.tell(Control::End(
                        "the agent's interface cannot reach its run without a control socket".to_owned(),
                    )),
                }
            }
            if let Some(host) = host {
                let fault = detach::keep_beginning(&run_dir, &beginning, &redactor);
                if let Some(fault) = &fault {
                    detach::log(&format!("the run's summary cannot be written: {fault}"));
                    // Nobody could reach it, and it would hold its directory for a day.
                    if converses {
                        run.tell(Control::End(fault.clone()));
                    }
                }
                detach::ready(host, &run_dir, server.is_some(), fault.filter(|_| converses));
            }
        })
        .map_err(|error| no_event_loop(&error))?;
        let (env, plan, notifier) = (end.env.clone(), end.plan.clone(), end.notifier.take());
        tell_of_changed_git(&walls, context);
        if let Some(change) = request.settings_of_agent.changed_of_user() {
            context.printer.warn(format_args!("{change}: look at it before you start the agent's CLI again"));
        }
        // A resumed run writes the file again from the user's present settings.
        for file in [CRITIC_SETTINGS, INTERFACE_SETTINGS] {
            let _ = std::fs::remove_file(run_dir.path().join(file));
        }
        Withheld::remove_files(run_dir.path());
        let (finish, result_lost) = last_words(end, &run_dir, &redactor, context);
        if protect::is_pending(run_dir.path()) {
            context.printer.warn(format_args!(
                "protected files are still as they were when the run began; to put the agent's versions back: ccc checkpoints {}",
                run_dir.id()
            ));
        }
        drop(recording);
        survivors::end_of_run(&run_dir, context);
        if let Some(resumption) = resumption {
            let _ = resumption.join();
        }
        // The manager's run recognizes this process by the lock.
        if let Some(finish) = &finish {
            telling::tell_manager(&run_dir, finish.outcome, &finish.reason, context);
        }
        // Release the lock only now, so that no other ccc resumes the run while its end is printed.
        drop(run_lock);
        drop(tree_lock);
        // Clients are told of the end only when another ccc could resume the run.
        if let Some(server) = server {
            server.end(finish.clone());
        }
        // Nobody waits for this but whoever waits for this process.
        if let Some(notifier) = notifier {
            notifying::at_the_end(notifier, &run_dir, context);
        }
        // Remove the directory of a conversation without any message. This comes last, because the server would create its socket's
        // name again.
        let is_void = plan.conversation && plan.task.is_empty();
        if is_void && finish.as_ref().is_some_and(|finish| finish.outcome == Outcome::Interrupted) {
            let _ = std::fs::remove_dir_all(run_dir.path());
        }
        let Some(finish) = finish else { return Ok(ExitCode::INTERRUPTED) };
        if request.presentation.hand_over
            && finish.outcome == Outcome::Completed
            && form == Form::Text
            && at_a_terminal()
        {
            if let Some(objection) = request.settings_of_agent.objection() {
                context
                    .printer
                    .warn(format_args!("{objection}: the session is not handed over; to review it: ccc trust"));
                return Ok(ExitCode::COMPLETED);
            }
            continue_interactively(&plan, finish.session_id.as_ref(), &env, context);
            return Ok(ExitCode::COMPLETED);
        }
        // Fail, so that a script that reads the result from a file does not mistake a missing result for success.
        if finish.outcome == Outcome::Completed && result_lost {
            return Ok(ExitCode::FAILED);
        }
        Ok(ExitCode::from(finish.outcome))
    }
}

/// Prints the end of the run. Returns the finish (`None` when the user left before it) and whether writing the result
/// to stdout failed. A reader that has gone away is no failure.
fn last_words(end: End, run_dir: &RunDir, redactor: &Redactor, context: &Context) -> (Option<Finish>, bool) {
    let End { finish, plan, env: _, tick, mut printer, screen, journal_news, journal_missing, notifier: _ } = end;
    if let Some(finish) = &finish {
        let (plan, left_out) = driver::shown_plan(&plan, redactor);
        // A conversation without a message leaves nothing.
        let report = if plan.task.is_empty() {
            None
        } else {
            reporting::at_the_end(run_dir, &plan, finish.outcome, redactor, context)
        };
        let path = report.as_ref().map(|report| report.path.display().to_string());
        let ending = Ending {
            finish,
            plan: &plan,
            left_out: &left_out,
            run_dir: &run_dir.path().display().to_string(),
            agent: &context.typed_agent(&plan),
            report: path.as_deref(),
            diff: report.as_ref().and_then(|report| report.diff.as_deref()),
            restore: report.as_ref().and_then(|report| report.restore.as_deref()),
            journal_missing: journal_missing.as_deref(),
            labels_result: stdio_is_one_place(),
        };
        for piece in printer.finish(tick, &ending) {
            if screen.put(piece).is_err() {
                break;
            }
        }
    }
    let flushed = screen.finish(END_PRINT_TIMEOUT);
    let result_lost = matches!(flushed.out_fault, Some(ScreenError::OutFailed(_)));
    if let Some(news) = journal_news {
        context.printer.warn(driver::journal_news(&news));
    }
    if let (Some(fault), Some(finish), true) = (&flushed.out_fault, &finish, result_lost) {
        context.printer.error(
            format_args!(
                "the result could not be printed: {fault}; the outcome of the run is {}",
                finish.outcome.as_str()
            ),
            Some(&format!("read the result in {}", run_dir.summary().display())),
        );
    } else if let Some(fault) = flushed.out_fault {
        context.printer.warn(format_args!("stdout: {fault}; the result is saved in {}", run_dir.summary().display()));
    } else if !flushed.complete {
        context.printer.warn(format_args!(
            "some output could not be written; the result is saved in {}",
            run_dir.summary().display()
        ));
    }
    if finish.is_none() {
        context.printer.talk(format_args!(
            "ccc ended at once, without an outcome; to continue the run: ccc resume {}",
            plan.run_id
        ));
    }
    (finish, result_lost)
}

/// The walls of the run, with the directories that they need.
fn walls(
    means: Means,
    plan: &Plan,
    run_dir: &RunDir,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<RunWalls, CliError> {
    let dirs = context.dirs()?;
    let ChildEnv(env) = child_env(request, run_dir, context);
    let record = AgentRecord::read(run_dir).ok().flatten();
    let workers = record.and_then(|record| agent_tree::of_workers(&record, Path::new(&plan.cwd), &dirs.state));
    let places = Places {
        home: &dirs.home,
        state: &dirs.state,
        run: run_dir.path(),
        agent: &dirs.of_agent(plan.agent, &context.env),
        config: &dirs.config,
        workers: workers.as_deref(),
        env: &env,
    };
    Ok(RunWalls::with(means, plan, &places))
}

/// What the processes of the run do not get of this environment.
fn withheld(plan: &Plan, ChildEnv(env): &ChildEnv, run_dir: &RunDir) -> Result<Withheld, CliError> {
    Withheld::of(&plan.walls, env, run_dir.path()).map_err(|error| {
        let message = format!(
            "the hooks that keep the agent from pushing cannot be made in {}: {error}",
            run_dir.path().display()
        );
        CliError::io(message).hint("make the state directory writable, or set CCC_STATE_DIR to another one")
    })
}

/// Names what the user's own git would run, outside of all walls, and was changed during the run.
fn tell_of_changed_git(walls: &RunWalls, context: &Context) {
    for ChangedProgram { file, is_foreign } in walls.changed_programs_of_git() {
        let aside = file.with_extension("kept-by-ccc");
        if is_foreign && std::fs::rename(&file, &aside).is_ok() {
            context.printer.warn(format_args!(
                "{} was made during the run: git would have taken hooks and configuration from where it leads; ccc has moved it to {}",
                file.display(),
                aside.display()
            ));
            continue;
        }
        context.printer.warn(format_args!(
            "{} was changed during the run, and git does what it says: look at it before you use git there",
            file.display()
        ));
    }
}

/// Names variables that look like credentials of production systems. Their values are never shown. A resumed run keeps its walls.
fn tell_of_production_credentials(plan: &Plan, ChildEnv(env): &ChildEnv, is_resumed: bool, context: &Context) {
    let names = production_credentials(&plan.walls, env);
    let Ok(dirs) = context.dirs() else { return };
    if let [_, ..] = names.as_slice() {
        let deny = names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let then =
            if is_resumed { format!(", and continue with ccc resume {} --reload", plan.run_id) } else { String::new() };
        context.printer.warn(format_args!(
            "the agent gets variables that look like credentials of production systems: {}; to withhold them, write into {}: \
             \"env\": {{\"deny\": [{deny}]}}{then}",
            names.join(", "),
            dirs.config_file().display(),
        ));
    }
}

/// The sandbox of the agent's CLI, if its settings switch that on.
fn own_sandbox(plan: &Plan, context: &Context) -> Result<Option<OwnSandbox>, CliError> {
    let given = plan.agent.read_user_args(&plan.agent_args)?;
    let can_matter = matches!(plan.walls.guard, Guard::Auto | Guard::Landlock);
    if !can_matter || !plan.agent.installation().settings_files {
        return Ok(None);
    }
    let settings = AgentSettings::read(SettingsPlaces {
        dirs: context.dirs()?,
        cwd: Path::new(&plan.cwd),
        argument: given.settings.as_deref(),
        sources: given.setting_sources.as_deref(),
        managed: Path::new(MANAGED_SETTINGS),
    });
    Ok(settings.own_sandbox().map(|(place, of_project)| OwnSandbox { place: place.to_owned(), of_project }))
}

/// With `agent-sandbox`, refuses what the CLI's own sandbox cannot be had with.
fn sandbox_can_be_had(plan: &Plan, context: &Context) -> Result<(), CliError> {
    if plan.walls.guard != Guard::AgentSandbox {
        return Ok(());
    }
    if !plan.agent.has_sandbox() {
        let message =
            format!("guard.mode is agent-sandbox, and {} has no sandbox that ccc can switch on", plan.agent.name());
        return Err(CliError::environment(message)
            .hint("to start it behind ccc's own walls, as far as this system has them: --guard auto"));
    }
    let cwd = Path::new(&plan.cwd);
    guard::find_sandbox(&context.bare_env(), cwd).map_err(|why| {
        let advice = why.advice();
        no_walls(&guard::NoWalls::from(why)).hint(format!("{advice}; or, behind ccc's own walls: --guard auto"))
    })
}

fn no_walls(error: &guard::NoWalls) -> CliError {
    CliError::environment(error)
        .hint("to see what this system has: ccc doctor; to start without walls: --guard auto, or --guard off")
}

/// How the processes of the agent are limited, if the plan limits what they use, and what of that is not enforced. Asks systemd,
/// and only then.
fn limiter(plan: &Plan, ChildEnv(env): &ChildEnv, walls: &RunWalls) -> (Option<Limiter>, Option<NotEnforced>) {
    let limits = ScopeLimits { memory_max_bytes: plan.agent_memory_max_bytes, tasks_max: plan.agent_tasks_max };
    if limits.is_none() {
        return (None, None);
    }
    let Limiting { by, lacking } = if native::is_native(plan) {
        let lacking = Lacking {
            memory: limits.memory_max_bytes.is_some(),
            memory_together: false,
            tasks: limits.tasks_max.is_some(),
            why: "the agent's own interface gets no scope".to_owned(),
        };
        Limiting { by: None, lacking: Some(lacking) }
    } else {
        Limiting::find(limits, env, Path::new(&plan.cwd), walls.around_agent().as_deref())
    };
    (by, lacking.map(|lacking| NotEnforced { setting: lacking_words(&lacking).to_owned(), why: lacking.why }))
}

/// The settings that have no effect, or not all of it.
pub(super) fn lacking_words(lacking: &Lacking) -> &'static str {
    match (lacking.memory, lacking.memory_together, lacking.tasks) {
        (true, _, true) => "agent.memory_max (and agent.tasks_max)",
        (true, _, false) => "agent.memory_max",
        (false, true, true) => "agent.memory_max for all processes together (and agent.tasks_max)",
        (false, true, false) => "agent.memory_max for all processes together",
        (false, false, _) => "agent.tasks_max",
    }
}

fn banner(
    plan: &Plan,
    run_dir: &RunDir,
    session_id: Option<String>,
    request: &RunRequest<'_>,
    redactor: &Redactor,
) -> Banner {
    Banner {
        run_id: plan.run_id.clone(),
        resumed_task: None,
        run_dir: run_dir.path().display().to_string(),
        cwd: plan.cwd.clone(),
        session_id,
        agent_path: plan.agent_program.clone(),
        agent_version: plan.agent_version.clone(),
        credential: request.credential_sentence.clone(),
        budgets: plan.budgets.clone(),
        stall_timeout_ms: plan.timeouts.stall_ms,
        tool_timeout_ms: plan.timeouts.tool_ms,
        checks: plan.checks.iter().map(|check| redactor.text(&check.command).to_string()).collect(),
        protect: plan.protect.iter().map(|pattern| redactor.text(pattern).to_string()).collect(),
        prompt_origin: request.prompt_origin.clone(),
        walls: String::new(),
    }
}

/// Warns about checks whose programs are missing: the run would end for that reason at its first stop, or its agent would look for
/// a fault of its own.
fn tell_of_missing_programs(plan: &Plan, env: &ChildEnv, redactor: &Redactor, context: &Context) {
    let path = env.0.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    let cwd = Path::new(&plan.cwd);
    for check in &plan.checks {
        if let Some(program) = process::unmade_program(&check.command, &path, cwd) {
            let command = redactor.text(&check.command);
            if cwd.join(&program).is_file() {
                context.printer.warn(format_args!(
                    "the check `{command}` cannot be run yet: {program} is not executable; to make it so: chmod +x {}",
                    quoted(&cwd.join(&program).display().to_string())
                ));
            } else {
                context.printer.warn(format_args!(
                    "the check `{command}` cannot be run yet: there is no program {program} in {}; unless the agent is to make it, \
                     give another check",
                    cwd.display()
                ));
            }
        }
        if let Some(program) = process::missing_program(&check.command, &path, cwd) {
            context.printer.warn(format_args!(
                "the check `{}` cannot be run: there is no program {program}; if it is still missing at the first stop, the run ends",
                redactor.text(&check.command)
            ));
        }
    }
}

/// Warns about patterns of protected files that name none, because the checks then see the agent's.
fn tell_of_patterns_without_files(plan: &Plan, redactor: &Redactor, context: &Context) {
    let patterns: Vec<Glob> = plan.protect.iter().filter_map(|pattern| pattern.parse().ok()).collect();
    if patterns.is_empty() || plan.checks.is_empty() {
        return;
    }
    let unmatched =
        agent_tree::git(&plan.run_id, context).map(|git| protect::unmatched(&git, Path::new(&plan.cwd), &patterns));
    // Without a repository the first check says why nothing is protected.
    let Ok(Ok(unmatched)) = unmatched else { return };
    if !unmatched.is_empty() {
        context.printer.warn(format_args!(
            "`protect` names no file in {}: {}; a file that is made later is not protected",
            plan.cwd,
            redactor.text(&unmatched.join(", "))
        ));
    }
}

/// Warns if ccc sees more or less of the work than the user may expect: without git, or if git ignores everything.
fn tell_of_what_is_not_seen(plan: &Plan, env: &ChildEnv, context: &Context) {
    let cwd = Path::new(&plan.cwd);
    match Visibility::of(cwd, env, &plan.run_id) {
        Visibility::Repository => {}
        Visibility::EveryFile => context.printer.warn(format_args!(
            "{} is in no git repository: what builds and tests write counts as a change of the work, too; to leave it out, \
             list it in .gitignore and run: git init",
            cwd.display()
        )),
        Visibility::Nothing => context.printer.warn(format_args!(
            "git ignores every file of {}, so ccc sees no change in them: neither progress nor a critic that writes; to see \
             which rule does it: git check-ignore -v FILE",
            cwd.display()
        )),
    }
}

/// Warns about checks that the agent cannot be allowed to run without being allowed more.
fn tell_of_checks_without_rule(plan: &Plan, redactor: &Redactor, context: &Context) {
    let skips = plan.agent.read_user_args(&plan.agent_args).is_ok_and(|given| given.skips_permissions);
    if !plan.allow_checks || skips {
        return;
    }
    for check in &plan.checks {
        let Some(more) = plan.agent.allowing_more(&check.command) else { continue };
        if more.iter().all(|argument| plan.agent_args.contains(argument)) {
            continue;
        }
        context.printer.warn(format_args!(
            "ccc runs the check `{}`, but the agent may not: no permission rule fits exactly this command; put it into a script \
             file (--check \"sh FILE\"), or allow the agent more than the check: --{}",
            redactor.text(&check.command),
            redactor.text(&words(&more))
        ));
    }
}

/// This process's environment without the tokens of the agent's provider.
fn child_env(request: &RunRequest<'_>, run_dir: &RunDir, context: &Context) -> ChildEnv {
    let ours = context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut env = request.tokens.env_without().apply(ours);
    env.extend(request.extra_env.iter().cloned());
    if let Ok(Some(record)) = AgentRecord::read(run_dir) {
        add_environment(&record, std::env::current_exe().ok().as_deref(), &mut env);
    }
    ChildEnv(env)
}

/// Whether the agent's program is in the repository. Such a program gets the token meant for it and no other credential.
fn of_repository(plan: &Plan, run_dir: &RunDir) -> bool {
    let places = RunPlaces::of(run_dir, Path::new(&plan.cwd));
    let Ok(program) = Path::new(&plan.agent_program).canonicalize() else { return false };
    let roots = [places.works.root(), places.configured.root()];
    roots.into_iter().filter_map(|root| root.canonicalize().ok()).any(|root| program.starts_with(root))
}

/// The environment without any credential, those of other providers included.
fn bare(ChildEnv(env): &ChildEnv) -> ChildEnv {
    let bare = without_credentials(&Env::from_pairs(env.iter().cloned()), &[]);
    ChildEnv(bare.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn at_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let file = open_private(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        CliError::io(format!("{}: {error}", path.display()))
            .hint("free some disk space, or set CCC_STATE_DIR to another directory")
    })
}

/// The journal of a new run.
///
/// # Errors
/// When the plan cannot be serialized, or the run's directory cannot be written to.
pub(super) fn new_journal(
    run_dir: &RunDir,
    header: Result<Header, serde_json::Error>,
    redactor: Redactor,
) -> Result<JournalWriter, CliError> {
    let header = header.map_err(|error| CliError::failed(format!("the plan cannot be recorded: {error}")))?;
    JournalWriter::create(&run_dir.journal(), &run_dir.blobs(), &header, redactor).map_err(|error| {
        CliError::io(format!("{}: {error}", run_dir.journal().display()))
            .hint("make the directory writable, or set CCC_STATE_DIR to another one")
    })
}

/// The screen that shows a run on stdout and stderr.
///
/// # Errors
/// When stdout or stderr cannot be used.
pub(super) fn stdio_screen() -> Result<Screen, CliError> {
    Screen::on_stdio(Limits::default())
        .map_err(|error| CliError::io(format!("stdout or stderr cannot be used: {error}")))
}

pub(super) fn no_event_loop(error: &io::Error) -> CliError {
    CliError::failed(format!("the event loop cannot be created: {error}"))
}

pub(super) fn state_error(error: &crate::journal::RunDirError) -> CliError {
    CliError::io(error).hint(state_hint(error))
}

/// What the user can do about a file of the state directory that cannot be read or written.
pub(super) fn state_hint(error: &(dyn std::error::Error + 'static)) -> &'static str {
    let causes = std::iter::successors(Some(error), |error| error.source());
    let mut faults = causes.filter_map(|cause| cause.downcast_ref::<io::Error>());
    if faults.any(|fault| matches!(fault.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
        "free some disk space, or set CCC_STATE_DIR to another directory"
    } else {
        "make the state directory writable, or set CCC_STATE_DIR to another one"
    }
}

/// What the user can do about the run that holds a lock.
fn go_to(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "wait until it ends".to_owned(),
        |holder| format!("to attach to it: ccc attach {id}; to end it: ccc stop {id}", id = holder.run_id),
    )
}

/// The lock's holder, and since when, in the user's time zone.
fn told(error: &LockError) -> String {
    error.told(|since| format::moment(since, driver::unix_ms(), &crate::cli::zone::of_process()))
}

pub(super) fn lock_error(error: &LockError) -> CliError {
    match error {
        LockError::Held { holder, .. } => CliError::usage(told(error))
            .hint(format!("two ccc processes cannot supervise the same session; {}", go_to(holder.as_ref()))),
        LockError::Io { .. } => {
            CliError::io(error).hint("make the state directory writable, or set CCC_STATE_DIR to another one")
        }
    }
}
