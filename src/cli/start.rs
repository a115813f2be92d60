//! A run from its settled plan to its last word: what `ccc --supervisor`, `ccc resume` and `ccc demo` have in common.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::fs::OFlags;

use super::credentials::RunTokens;
use super::{CliError, Context, ErrorKind, ExitCode, left};
use crate::config::{Env, OutputFormat, Project, Transport};
use crate::core::shell::words;
use crate::core::{Core, CriticPrompt, Finish, OperatorInput, Outcome, Plan, SessionStart, Tick};
use crate::driver::{self, ChildEnv, End, Program, Setup, Visibility};
use crate::files::{self, open_private};
use crate::guard::{SettingsOfAgent, lock_tree as lock_working_tree};
use crate::journal::{FileLock, Header, Holder, JournalWriter, LockError, RunDir, RunSummary, Tail};
use crate::process::{self, SavedModes, TypedEcho};
use crate::tokens::without_credentials;
use crate::ui::format;
use crate::ui::format::count;
use crate::ui::{Banner, Ending, Form, Limits, Printer, Screen, ScreenError, ScreenModes};
use redaction::Redactor;

/// The size of the agent's terminal. Nobody looks at it; it is wide so that nothing of the CLI's own wraps.
const PTY: process::Transport = process::Transport::Pty { cols: 200, rows: 50 };
/// The critic's settings in the run's directory, for as long as a ccc works on the run.
const CRITIC_SETTINGS: &str = "critic-settings.json";
/// How long the last words may take to reach the terminal.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What is new in this life of ccc, besides the plan.
pub(super) struct RunRequest<'a> {
    /// Where to write, and how.
    pub(super) form: OutputFormat,
    /// How the agent's stdout reaches us.
    pub(super) transport: Transport,
    /// The tokens that the agent may get.
    pub(super) tokens: &'a RunTokens,
    /// The token in use, in a sentence.
    pub(super) credential_sentence: String,
    /// Where the critic's prompt comes from.
    pub(super) prompt_origin: String,
    /// Variables for the children besides ours; for the demonstration's agent.
    pub(super) extra_env: Vec<(OsString, OsString)>,
    /// Go on into the agent's own interface after a completion, when there is a terminal.
    pub(super) hand_over: bool,
    /// Other runs may work in the same tree.
    pub(super) share_tree: bool,
    /// The project's settings of the agent, under the user's agreement.
    pub(super) settings_of_agent: SettingsOfAgent,
}

/// Where a run goes on.
pub(super) struct Continuation {
    pub(super) core: Core,
    pub(super) tail: Tail,
    pub(super) started_unix_ms: i64,
    pub(super) first_inputs: Vec<OperatorInput>,
}

/// Begins a new run.
///
/// # Errors
/// When its directory, journal or locks cannot be had.
pub(super) fn begin(mut plan: Plan, request: &RunRequest<'_>, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    // Before anything of the run exists.
    critic_settings(&plan)?;
    let session_lock = lock_session(&plan, planned_session(&plan), context)?;
    let tree_lock = lock_tree(&plan, request, context)?;
    let run_dir = RunDir::create(state, &plan.run_id).map_err(|error| state_error(&error))?;
    let started_unix_ms = driver::unix_ms();
    let run_lock = run_dir.take_lock(std::process::id(), started_unix_ms).map_err(|error| lock_error(&error))?;
    keep_prompt(&mut plan, &run_dir)?;
    keep_critic_settings(&mut plan, &run_dir)?;
    let redactor = request.tokens.redactor();
    let journal = new_journal(&run_dir, Header::new(&plan, env!("CARGO_PKG_VERSION")), redactor.clone())?;
    let lives =
        Life { core: Core::new(plan), from: Tick::ZERO, resumed: false, started_unix_ms, first_inputs: Vec::new() };
    let held = Held { run_dir, run_lock, session_lock, tree_lock };
    supervise(lives, held, journal, redactor, request, context)
}

/// Writes the critic's prompt into the run's directory, where it reaches the critic as a file.
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

/// Writes the settings file that the user's arguments name, without its hooks, into the run's directory, where it is the
/// critic's. It stands in no argument and in no journal: settings may hold what nobody else should read.
///
/// # Errors
/// When the user's file cannot be read or holds no settings, or the critic's cannot be written.
pub(super) fn keep_critic_settings(plan: &mut Plan, run_dir: &RunDir) -> Result<(), CliError> {
    plan.critic.settings_file = None;
    let Some(settings) = critic_settings(plan)? else { return Ok(()) };
    let file = run_dir.path().join(CRITIC_SETTINGS);
    write_private(&file, &settings)?;
    plan.critic.settings_file = Some(file.display().to_string());
    Ok(())
}

/// The settings file that the user's arguments name, without its hooks.
fn critic_settings(plan: &Plan) -> Result<Option<String>, CliError> {
    let named = plan.agent.read_user_args(&plan.agent_args)?.settings_file;
    let Some(named) = named.filter(|_| plan.critic.without_hooks) else { return Ok(None) };
    let path = Path::new(&plan.cwd).join(named.trim());
    let odd = |why: String, advice: &'static str| {
        let message = format!("the agent's settings file {} {why}", path.display());
        CliError::new(ErrorKind::Configuration, message).hint(advice)
    };
    let bytes = files::read(&path, files::AGENT_SETTINGS).map_err(|fault| odd(fault.to_string(), fault.advice()))?;
    let settings = plan.agent.hookless_settings(&String::from_utf8_lossy(&bytes));
    let settings =
        settings.map_err(|why| odd(format!("holds no settings: {why}"), "mend the file, or leave out --settings"))?;
    Ok(Some(settings))
}

/// Goes on with a run whose ccc has ended.
///
/// # Errors
/// When its journal or its session cannot be had.
pub(super) fn go_on(
    continuation: Continuation,
    run_dir: RunDir,
    run_lock: FileLock,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let plan = continuation.core.plan().clone();
    let session_id = continuation.core.session_id().map(str::to_owned).or_else(|| planned_session(&plan));
    let session_lock = lock_session(&plan, session_id, context)?;
    let tree_lock = lock_tree(&plan, request, context)?;
    // What the dead ccc has left running: its agent may still be writing into the session.
    let swept = process::sweep_run(run_dir.id());
    if swept.killed > 0 {
        context.printer.talk(format_args!(
            "ended {} that the run had left behind when its ccc died",
            count(swept.killed as usize, "process")
        ));
    }
    // A daemon with an environment of its own carries no mark.
    left::end_of_dead_run(&run_dir, context);
    let redactor = request.tokens.redactor();
    let journal = JournalWriter::append_at(&run_dir.journal(), &run_dir.blobs(), &continuation.tail, redactor.clone())
        .map_err(|error| CliError::new(ErrorKind::Io, format!("{}: {error}", run_dir.journal().display())))?;
    let life = Life {
        core: continuation.core,
        from: continuation.tail.last_tick,
        resumed: true,
        started_unix_ms: continuation.started_unix_ms,
        first_inputs: continuation.first_inputs,
    };
    let held = Held { run_dir, run_lock, session_lock, tree_lock };
    supervise(life, held, journal, redactor, request, context)
}

/// What this ccc holds for as long as the run goes on.
struct Held {
    run_dir: RunDir,
    run_lock: FileLock,
    session_lock: Option<FileLock>,
    tree_lock: FileLock,
}

fn planned_session(plan: &Plan) -> Option<String> {
    match &plan.session {
        SessionStart::New(id) | SessionStart::Resume(id) => Some(id.clone()),
        SessionStart::Latest => None,
    }
}

fn this_run(plan: &Plan) -> Holder {
    Holder { pid: std::process::id(), run_id: plan.run_id.clone(), since_unix_ms: driver::unix_ms(), tree: None }
}

fn lock_session(plan: &Plan, session_id: Option<String>, context: &Context) -> Result<Option<FileLock>, CliError> {
    let Some(session_id) = session_id else { return Ok(None) };
    FileLock::of_session(&context.dirs()?.state, &session_id, &this_run(plan))
        .map(Some)
        .map_err(|error| lock_error(&error))
}

/// One run to a working tree: the top of the git repository, else the directory.
fn lock_tree(plan: &Plan, request: &RunRequest<'_>, context: &Context) -> Result<FileLock, CliError> {
    let project = Project::find(Path::new(&plan.cwd));
    lock_working_tree(&context.dirs()?.state, project.root(), &this_run(plan), request.share_tree).map_err(|error| {
        match error {
            LockError::Held { ref holder, .. } => CliError::new(ErrorKind::Usage, told(&error)).hint(format!(
                "wait for its end; if both may change the same files, add --share-tree{}",
                ended_by(holder.as_ref())
            )),
            LockError::Io { .. } => lock_error(&error),
        }
    })
}

struct Life {
    core: Core,
    from: Tick,
    resumed: bool,
    started_unix_ms: i64,
    first_inputs: Vec<OperatorInput>,
}

fn supervise(
    life: Life,
    held: Held,
    journal: JournalWriter,
    redactor: Redactor,
    request: &RunRequest<'_>,
    context: &Context,
) -> Result<ExitCode, CliError> {
    let state_dir = context.dirs()?.state.clone();
    let Held { run_dir, run_lock, session_lock, tree_lock } = held;
    // What is told at the start is what the run goes by from now on.
    let plan = life.first_inputs.iter().fold(life.core.plan().clone(), |plan, given| plan.after(given));
    let session_id = life.core.session_id().map(str::to_owned).or_else(|| planned_session(&plan));
    process::become_subreaper();
    let recording = left::record(&run_dir, context);
    let style = context.style(&io::stderr());
    let form = match request.form {
        OutputFormat::Text => Form::Text,
        OutputFormat::Json => Form::Json,
        OutputFormat::StreamJson => Form::StreamJson,
    };
    let mut printer = Printer::new(form, style);
    printer.in_zone(crate::cli::zone::of_process());
    let screen = stdio_screen()?;
    let resumed_task = life.resumed.then(|| RunSummary::task_of(&plan.task, &redactor));
    let banner = Banner { resumed_task, ..banner(&plan, &run_dir, session_id, request, &redactor) };
    printer.clock(life.from, driver::unix_ms());
    for piece in printer.start(life.from, &banner) {
        let _ = screen.put(piece);
    }
    let whole = child_env(request, context);
    let bare_env = bare(&whole);
    if request.extra_env.is_empty() {
        // The demonstration has a directory of its own.
        tell_of_what_is_not_seen(&plan, &bare_env, context);
    }
    tell_of_missing_programs(&plan, &bare_env, &redactor, context);
    tell_of_checks_without_rule(&plan, &redactor, context);
    let env = if of_repository(&plan) { bare_env.clone() } else { whole };
    let typing = if printer.is_live() { TypedEcho::find() } else { TypedEcho::none() };
    let setup = Setup {
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
        transport: match request.transport {
            Transport::Pty => PTY,
            Transport::Pipe => process::Transport::Pipe,
        },
        session_lock,
        printer,
        screen,
        typing,
        keyboard: driver::keyboard(),
    };
    let end = driver::run(setup, |_| {}).map_err(|error| no_event_loop(&error))?;
    let (env, plan) = (end.env.clone(), end.plan.clone());
    // A resumed run writes it anew, from the user's file as it is then.
    let _ = std::fs::remove_file(run_dir.path().join(CRITIC_SETTINGS));
    let (finish, result_lost) = last_words(end, &run_dir, &redactor, context);
    drop(recording);
    left::end_of_run(&run_dir, context);
    // Held to here: nobody may go on with the run while its last words are written.
    drop(run_lock);
    drop(tree_lock);
    let Some(finish) = finish else { return Ok(ExitCode::INTERRUPTED) };
    if request.hand_over && finish.outcome == Outcome::Completed && form == Form::Text && at_a_terminal() {
        if let Some(objection) = request.settings_of_agent.objection() {
            context.printer.warn(format_args!("{objection}: the session is not handed over; look at it: ccc trust"));
            return Ok(ExitCode::COMPLETED);
        }
        return hand_over(&plan, &finish, &env, context);
    }
    // A script that reads the result from a file must not take a missing one for success.
    if finish.outcome == Outcome::Completed && result_lost {
        return Ok(ExitCode::FAILED);
    }
    Ok(ExitCode::from(finish.outcome))
}

/// Prints the end; gives the finish, unless the user had left before there was one, and whether stdout failed to take the
/// result. A reader that went away wants none.
fn last_words(end: End, run_dir: &RunDir, redactor: &Redactor, context: &Context) -> (Option<Finish>, bool) {
    let End { finish, plan, env: _, tick, mut printer, screen, journal_news } = end;
    if let Some(finish) = &finish {
        let (plan, left_out) = driver::told(&plan, redactor);
        let ending = Ending {
            finish,
            plan: &plan,
            left_out: &left_out,
            run_dir: &run_dir.path().display().to_string(),
            // The demonstration's session means nothing to anybody else's program.
            agent: if plan.agent_first_args.is_empty() { plan.agent.program() } else { "" },
            report: None,
        };
        for piece in printer.finish(tick, &ending) {
            if screen.put(piece).is_err() {
                break;
            }
        }
    }
    let flushed = screen.finish(LAST_WORDS);
    let result_lost = matches!(flushed.out_fault, Some(ScreenError::OutFailed(_)));
    if let Some(news) = journal_news {
        context.printer.warn(driver::journal_news(&news));
    }
    if let (Some(fault), Some(finish), true) = (&flushed.out_fault, &finish, result_lost) {
        context.printer.error(
            format_args!("the result is lost: {fault}; the run itself has ended as {}", finish.outcome.as_str()),
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
        context.printer.talk(format_args!("ccc was left at once; to continue the run: ccc resume {}", plan.run_id));
    }
    (finish, result_lost)
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
        prompt_origin: request.prompt_origin.clone(),
    }
}

/// Names the checks whose programs are not there: at their first stop the run would end with that.
fn tell_of_missing_programs(plan: &Plan, env: &ChildEnv, redactor: &Redactor, context: &Context) {
    let path = env.0.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    for check in &plan.checks {
        if let Some(program) = process::missing_program(&check.command, &path, Path::new(&plan.cwd)) {
            context.printer.warn(format_args!(
                "the check `{}` cannot be run: there is no program {program}; unless it is there at the first stop, the run ends then",
                redactor.text(&check.command)
            ));
        }
    }
}

/// Says where ccc sees more or less of the work than the user may expect: without git, and where git ignores everything.
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

/// Names the checks that the agent cannot be allowed to run without being allowed more.
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

/// Our environment without any token.
fn child_env(request: &RunRequest<'_>, context: &Context) -> ChildEnv {
    let ours = context.env.pairs().map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut env = request.tokens.env_without().apply(ours);
    env.extend(request.extra_env.iter().cloned());
    ChildEnv(env)
}

/// Whether the agent's program is one of the repository's own: then it gets the token that is meant for it and no other
/// credential.
fn of_repository(plan: &Plan) -> bool {
    let project = Project::find(Path::new(&plan.cwd));
    match (Path::new(&plan.agent_program).canonicalize(), project.root().canonicalize()) {
        (Ok(program), Ok(root)) => program.starts_with(root),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

/// The same without the credentials of other providers.
fn bare(ChildEnv(env): &ChildEnv) -> ChildEnv {
    let bare = without_credentials(&Env::from_pairs(env.iter().cloned()), &[]);
    ChildEnv(bare.pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

fn at_a_terminal() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Goes on in the agent's own interface on the finished session; when the user leaves it, the run's exit code is still
/// that of a completed run.
fn hand_over(plan: &Plan, finish: &Finish, env: &ChildEnv, context: &Context) -> Result<ExitCode, CliError> {
    let args = |id: &String| plan.agent.interface_args(id, &plan.agent_args);
    let Some(args) = finish.session_id.as_ref().and_then(args) else { return Ok(ExitCode::COMPLETED) };
    let interface = plan.agent.program();
    context.printer.talk(format_args!(
        "the session continues in the interface of {interface}; leave it to end (--no-hand-over ends without it)"
    ));
    let lent = SavedModes::of_stdin();
    let left = Command::new(&plan.agent_program)
        .args(args)
        .current_dir(&plan.cwd)
        .env_clear()
        .envs(env.0.iter().map(|(name, value)| (name, value)))
        .status();
    drop(lent);
    let trouble = match left {
        Ok(status) if status.success() => return Ok(ExitCode::COMPLETED),
        Ok(status) => {
            // It has not tidied up.
            context.printer.talk_raw(ScreenModes::ALL_OFF);
            status.to_string()
        }
        Err(error) => format!("it could not be started: {error}"),
    };
    context.printer.warn(format_args!("the interface of {interface}: {trouble}; the run is completed all the same"));
    Ok(ExitCode::COMPLETED)
}

fn write_private(path: &Path, text: &str) -> Result<(), CliError> {
    let file = open_private(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", path.display())).hint("make room, or set CCC_STATE_DIR")
    })
}

/// The journal of a new run.
///
/// # Errors
/// When its plan cannot be written down, or nothing can be written to the run's directory.
pub(super) fn new_journal(
    run_dir: &RunDir,
    header: Result<Header, serde_json::Error>,
    redactor: Redactor,
) -> Result<JournalWriter, CliError> {
    let header =
        header.map_err(|error| CliError::new(ErrorKind::Failed, format!("the plan cannot be recorded: {error}")))?;
    JournalWriter::create(&run_dir.journal(), &run_dir.blobs(), &header, redactor).map_err(|error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", run_dir.journal().display()))
            .hint("make the directory writable, or set CCC_STATE_DIR")
    })
}

/// What shows a run on stdout and stderr.
///
/// # Errors
/// When one of them cannot be used.
pub(super) fn stdio_screen() -> Result<Screen, CliError> {
    Screen::on_stdio(Limits::default())
        .map_err(|error| CliError::new(ErrorKind::Io, format!("stdout or stderr cannot be used: {error}")))
}

pub(super) fn no_event_loop(error: &io::Error) -> CliError {
    CliError::new(ErrorKind::Failed, format!("the system gives no event loop: {error}"))
}

pub(super) fn state_error(error: &crate::journal::RunDirError) -> CliError {
    CliError::new(ErrorKind::Io, error.to_string())
        .hint("make the state directory writable, or set CCC_STATE_DIR to another one")
}

/// How the run that holds a lock is ended in good order, also where no terminal can send it a Ctrl-C.
fn ended_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(String::new, |holder| format!("; to end it in good order: kill {}", holder.pid))
}

/// Who holds it, and since when in the user's time.
fn told(error: &LockError) -> String {
    error.told(|since| format::moment(since, driver::unix_ms(), &crate::cli::zone::of_process()))
}

pub(super) fn lock_error(error: &LockError) -> CliError {
    match error {
        LockError::Held { holder, .. } => CliError::new(ErrorKind::Usage, told(error)).hint(format!(
            "wait for its end: two of them would answer each other's stops{}",
            ended_by(holder.as_ref())
        )),
        LockError::Io { .. } => CliError::new(ErrorKind::Io, error.to_string())
            .hint("make the state directory writable, or set CCC_STATE_DIR to another one"),
    }
}
