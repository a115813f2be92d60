//! `ccc doctor`.

use std::fs;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use serde::Serialize;
use serde_json::json;

use crate::agent::AgentKind;
use crate::cli::context::state_fault;
use crate::cli::run_places::RunPlaces;
use crate::cli::{CliError, Context, ExitCode, Paint, Printer, keeper_world, logout, pruning};
use crate::cli::{credentials, trust};
use crate::config::agent::{self, Tested, VERSION_TIMEOUT};
use crate::config::prompt::NamedPrompt;
use crate::config::{Dirs, Flags, GuardMode, Project, Resolved, Settings, prompt, resolve};
use crate::driver::unix_ms;
use crate::guard::{find_sandbox, named};
use crate::keeper;
use crate::process::{
    Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, Inhibitor, Lacking, Limiter, Limiting, Means,
    ScopeLimits, Walls, run_command,
};
use crate::tokens::usage::Judged;
use crate::tokens::{Credential, Keychain, ProbeVerdict, SharedTokens, without_credentials};
use crate::ui::format::away;
use crate::ui::token_state::READY;
use crate::ui::{clean, token_state};
use crate::upkeep::{Load, RoomLimits, Size};

/// How long the system may take to answer whether it can be kept awake.
const INHIBITOR_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the agent's CLI may take to say whether its sandbox is in force.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(20);
/// The answer names all that the CLI offers, in one line.
const SANDBOX_OUTPUT_BYTES: usize = 4 << 20;
/// How long git may take to answer.
const GIT_TIMEOUT: Duration = Duration::from_secs(5);

/// Check that everything a run needs is there: the agent and its version, a token, a pseudo-terminal, the
/// configuration, the critic's prompt, the directories, git. The provider is asked whether it accepts the tokens: one cheap
/// request each, unless the same host has said it within two minutes.
///
/// The exit code is 0 when nothing failed, else 1; warnings do not count.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct DoctorArgs {
    /// Print one JSON object instead.
    #[arg(long)]
    pub json: bool,

    /// Do not ask the provider: nothing is sent anywhere.
    #[arg(long)]
    pub offline: bool,
}

/// The result of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Finding {
    subject: &'static str,
    state: State,
    text: String,
    /// What to do; `None` if nothing is wrong.
    advice: Option<String>,
}

impl Finding {
    fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { subject, state: State::Ok, text: text.into(), advice: None }
    }

    fn warn(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, state: State::Warn, text: text.into(), advice: Some(advice.into()) }
    }

    fn fail(subject: &'static str, text: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { subject, state: State::Fail, text: text.into(), advice: Some(advice.into()) }
    }

    /// A failure with the message and the hint of an error.
    fn error(subject: &'static str, error: CliError) -> Self {
        Self { subject, state: State::Fail, text: error.message, advice: error.hint }
    }
}

/// Checks everything and prints the findings.
///
/// # Errors
/// When there is no home or current directory, because nothing can be checked without them.
pub fn run(args: DoctorArgs, context: &Context) -> Result<ExitCode, CliError> {
    let dirs = context.dirs()?;
    let project = context.project()?;
    let findings = examine(context, dirs, &project, args.offline);
    let failed = findings.iter().any(|finding| finding.state == State::Fail);
    if args.json {
        context.printer.json(format_args!("{:#}", json!({ "ok": !failed, "findings": findings })));
    } else {
        for finding in &findings {
            print(finding, &context.printer);
        }
    }
    Ok(if failed { ExitCode::FAILED } else { ExitCode::COMPLETED })
}

fn print(finding: &Finding, printer: &Printer) {
    let state = match finding.state {
        State::Ok => printer.paint(Paint::Green, "ok  "),
        State::Warn => printer.paint(Paint::Yellow, "warn"),
        State::Fail => printer.paint(Paint::Red, "fail"),
    };
    printer.behind(&format!("{state}  "), format_args!("{}: {}", finding.subject, finding.text));
    if let Some(advice) = &finding.advice {
        printer.behind("      ", advice);
    }
}

fn examine(context: &Context, dirs: &Dirs, project: &Project, offline: bool) -> Vec<Finding> {
    let consents = context.consents(project).unwrap_or_default();
    let resolved = resolve(dirs, project, &context.env, &consents, Flags::default());
    let settings = resolved.as_ref().ok().map(|resolved| &resolved.settings);
    let defaults = Settings::default();
    let in_force = settings.unwrap_or(&defaults);
    let mut findings = vec![
        agent(resolved.as_ref().ok(), context, dirs, project),
        credential(in_force, in_force.agent.kind.0, &in_force.agent.args, context, project),
    ];
    if let Some(settings) = settings.filter(|_| !offline) {
        findings.extend(provider(settings, context, project));
    }
    findings.push(pty(open_pty));
    let named_prompt = resolved.as_ref().ok().and_then(|resolved| resolved.named_prompt.clone());
    if let Ok(resolved) = &resolved {
        findings.extend(agreement(resolved, context, project));
    }
    let of_machine = room(&keeper::load(), &keeper_world::room_of(in_force));
    let old_runs = runs(in_force, context);
    let of_machine: Vec<Finding> = of_machine
        .into_iter()
        .chain([walls(in_force)])
        .chain(agent_sandbox(resolved.as_ref().ok(), context, dirs, project))
        .chain(limits(in_force, context, project))
        .chain(keep_awake(in_force, context))
        .collect();
    findings.push(match resolved {
        Ok(resolved) => configuration(&resolved),
        Err(error) => Finding::error("configuration", error.into()),
    });
    findings.push(critic_prompt(named_prompt.as_ref(), dirs, project));
    findings.push(state_directory(&dirs.state));
    findings.push(old_runs);
    findings.push(writable("config directory", &dirs.config));
    findings.extend(logout::ends_runs(context).map(|file| {
        let text = format!("systemd ends runs in the background at logout (KillUserProcesses in {})", file.display());
        Finding::warn("background", text, logout::ADVICE)
    }));
    findings.push(git(context, project));
    findings.extend(of_machine);
    findings
}

/// How long runs are kept, and whether some are older.
fn runs(settings: &Settings, context: &Context) -> Finding {
    const SUBJECT: &str = "runs";
    let (age, keep) = (settings.retention.max_age, settings.retention.keep);
    match pruning::told(settings, context) {
        Some(told) => Finding::warn(
            SUBJECT,
            told,
            "to keep them for longer, set `retention.max_age`; nothing is removed by itself",
        ),
        None => Finding::ok(SUBJECT, format!("kept for {age} after their end, the newest {keep} for longer")),
    }
}

fn agent(resolved: Option<&Resolved>, context: &Context, dirs: &Dirs, project: &Project) -> Finding {
    const SUBJECT: &str = "agent";
    if let Some(wish) = resolved.and_then(|it| it.not_agreed.iter().find(|wish| wish.key == "agent.path")) {
        let text = format!("{}: not started, because you have not agreed to it", wish.shown.join(" "));
        return Finding::fail(SUBJECT, text, format!("to review it and agree: {}", trust::COMMAND));
    }
    let settings = resolved.map(|resolved| &resolved.settings);
    let named = settings.and_then(|settings| settings.agent.path.as_deref()).map(Path::new);
    let kind = settings.map(|settings| settings.agent.kind.0).unwrap_or_default();
    let path = match agent::locate(kind, named, &context.env, dirs, &project.cwd) {
        Ok(path) => path,
        Err(error) => return Finding::error(SUBJECT, error.into()),
    };
    let shown = path.display();
    let bare = without_credentials(&context.env, settings.map_or(&[], |settings| &settings.tokens));
    let [oldest, newest] = kind.installation().tested;
    match agent::ask_version(&path, &bare, VERSION_TIMEOUT) {
        Err(fault) => Finding::fail(
            SUBJECT,
            format!("{shown}: {fault}"),
            "run it yourself with --version, or set `agent.path` (CCC_AGENT) to another program",
        ),
        Ok(version) => match agent::tested(kind, &version) {
            Tested::Yes => Finding::ok(SUBJECT, format!("{shown}, version {version}")),
            Tested::TooOld => Finding::fail(
                SUBJECT,
                format!("{shown}, version {version}, is older than {oldest}"),
                format!("update it: {}", kind.installation().install),
            ),
            Tested::Newer => Finding::warn(
                SUBJECT,
                format!("{shown}, version {version}: used, not tested"),
                format!("the newest tested version is {newest}; if you see problems, install that version"),
            ),
            Tested::Unknown => Finding::warn(
                SUBJECT,
                format!("{shown}, version {version}, cannot be compared with the tested ones"),
                format!("the tested versions are {oldest} to {newest}"),
            ),
        },
    }
}

fn credential(
    settings: &Settings,
    kind: AgentKind,
    agent_args: &[String],
    context: &Context,
    project: &Project,
) -> Finding {
    const SUBJECT: &str = "token";
    let gathered = match credentials::gather(context, &RunPlaces::same(project), settings, kind, agent_args) {
        Ok(gathered) => gathered,
        Err(error) => return Finding::error(SUBJECT, error),
    };
    if let Some(refusal) = credentials::refusal(&gathered.conflicts) {
        return Finding::error(SUBJECT, refusal);
    }
    let pool = &gathered.pool;
    let in_keychain = match credentials::in_keychain(kind, pool.credentials(), unix_ms(), context) {
        Ok(found) => found,
        Err(error) => return Finding::error(SUBJECT, error),
    };
    let unseen = cfg!(target_os = "macos") && Keychain::of_user(&context.env).is_none();
    match (pool.first(), in_keychain) {
        (Err(_), Ok(Some(login))) => Finding::ok(SUBJECT, login.to_string()),
        (Err(error), Err(fault)) => Finding::warn(SUBJECT, error.to_string(), fault.to_string()),
        (Err(error), Ok(None)) if unseen => Finding::warn(
            SUBJECT,
            error.to_string(),
            "ccc cannot see a login in the Keychain; start the agent once yourself to check it",
        ),
        (Err(error), Ok(None)) => {
            Finding::fail(SUBJECT, error.to_string(), format!("{}, or set one of the variables", kind.log_in()))
        }
        (Ok(first), in_keychain) => {
            let mut text = pool.sentence(Some(&first.id()));
            let mut warnings = gathered.warnings;
            match in_keychain {
                Ok(Some(login)) => text.push_str(&format!("; besides, {login}")),
                Ok(None) => {}
                Err(fault) => warnings.push(fault.to_string()),
            }
            if warnings.is_empty() {
                Finding::ok(SUBJECT, text)
            } else {
                Finding::warn(SUBJECT, text, warnings.join("; "))
            }
        }
    }
}

/// Asks the provider about each token that a run would have. A token that cannot be asked about is in the finding on credentials.
fn provider(settings: &Settings, context: &Context, project: &Project) -> Vec<Finding> {
    const SUBJECT: &str = "provider";
    let kind = settings.agent.kind.0;
    let gathered = credentials::gather(context, &RunPlaces::same(project), settings, kind, &settings.agent.args);
    let (Ok(gathered), Ok(dirs)) = (gathered, context.dirs()) else { return Vec::new() };
    let shared = SharedTokens::new(&dirs.state);
    let Ok(usage) = credentials::usage(&settings.usage, shared, context) else { return Vec::new() };
    let credentials: Vec<&Credential> = gathered.pool.credentials().iter().collect();
    let answers = super::tokens::ask_all(&usage, &credentials, unix_ms());
    let told: Vec<(String, Asked)> = credentials
        .iter()
        .zip(answers)
        .map(|(credential, judged)| (clean::one_line(&credential.label, LABEL_CHARS), Asked::of(judged)))
        .collect();
    let works = told.iter().any(|(_, asked)| matches!(asked, Asked::Works(_)));
    told.into_iter().map(|(label, asked)| asked.finding(SUBJECT, &label, kind, works)).collect()
}

/// How many characters of a token's label are shown.
const LABEL_CHARS: usize = 60;

/// The result of asking about a token.
enum Asked {
    /// The token works. The text says how old the answer is; `None` when it was asked just now.
    Works(Option<String>),
    Limited(String),
    Refused(String),
    Unknown(String),
}

impl Asked {
    fn of(judged: Judged) -> Asked {
        let (probed, kept_unix_ms) = match judged {
            Judged::Verdict { probed, at_unix_ms, kept } => (probed, kept.then_some(at_unix_ms)),
            Judged::ByAnother => return Asked::Unknown("another ccc process is checking it at this moment".to_owned()),
            Judged::NotAsked(why) => return Asked::Unknown(why.to_string()),
            Judged::Failed(why) => return Asked::Unknown(why),
        };
        match probed.verdict {
            ProbeVerdict::Valid | ProbeVerdict::Throttled { .. } => {
                Asked::Works(kept_unix_ms.map(|at| away(unix_ms(), at)))
            }
            ProbeVerdict::Limited { until_unix_ms, .. } => {
                Asked::Limited(token_state::limited(until_unix_ms, unix_ms(), &crate::cli::zone::of_process()))
            }
            ProbeVerdict::Refused { .. } => Asked::Refused(probed.verdict.to_string()),
            ProbeVerdict::Unreachable { .. } | ProbeVerdict::Unknown { .. } => {
                Asked::Unknown(probed.verdict.to_string())
            }
        }
    }

    /// The finding in plain words. `other_works` says that another token can be used.
    fn finding(self, subject: &'static str, label: &str, agent: AgentKind, other_works: bool) -> Finding {
        match self {
            Asked::Works(None) => Finding::ok(subject, format!("{label} is {READY}")),
            Asked::Works(Some(ago)) => Finding::ok(subject, format!("{label} is {READY} (checked {ago} ago)")),
            Asked::Limited(state) => Finding::warn(
                subject,
                format!("{label} is {state}"),
                "a run uses another token, or waits for the reset",
            ),
            Asked::Refused(why) => {
                let (text, advice) = (
                    format!("{label} is {why}"),
                    format!(
                        "log in again (run `{}`), or set another token; `ccc tokens check` asks again",
                        agent.program()
                    ),
                );
                if other_works { Finding::warn(subject, text, advice) } else { Finding::fail(subject, text, advice) }
            }
            Asked::Unknown(why) => Finding::warn(
                subject,
                format!("the token {label} could not be checked: {why}"),
                "check the network and the proxy; to skip this check: ccc doctor --offline",
            ),
        }
    }
}

fn pty(open: impl FnOnce() -> Result<(), String>) -> Finding {
    const SUBJECT: &str = "pseudo-terminal";
    match open() {
        Ok(()) => Finding::ok(SUBJECT, "can be opened"),
        Err(error) => Finding::warn(
            SUBJECT,
            format!("cannot be opened: {error}"),
            "a run then uses a pipe; to always use one, set \"transport\": \"pipe\" in ccc.json",
        ),
    }
}

/// Opens a pseudo-terminal and closes it again.
fn open_pty() -> Result<(), String> {
    portable_pty::native_pty_system()
        .openpty(portable_pty::PtySize::default())
        .map(drop)
        .map_err(|error| error.to_string())
}

fn configuration(resolved: &Resolved) -> Finding {
    const SUBJECT: &str = "configuration";
    let files: Vec<String> = resolved.files.iter().map(|file| file.display().to_string()).collect();
    let text = if files.is_empty() { "no file; the defaults apply".to_owned() } else { files.join(", ") };
    if resolved.warnings.is_empty() {
        Finding::ok(SUBJECT, text)
    } else {
        let warnings: Vec<String> = resolved.warnings.iter().map(ToString::to_string).collect();
        Finding::warn(SUBJECT, text, warnings.join("; "))
    }
}

/// The finding about what the project's files ask for; `None` if they need no agreement of the user.
fn agreement(resolved: &Resolved, context: &Context, project: &Project) -> Option<Finding> {
    const SUBJECT: &str = "trust";
    let wishes = match trust::of_project(resolved, project, context) {
        Ok(wishes) => wishes,
        Err(error) => return Some(Finding::error(SUBJECT, error)),
    };
    if let Err(error) = trust::refuse_unreadable(&wishes.unreadable, project) {
        return Some(Finding::error(SUBJECT, error));
    }
    if !wishes.not_agreed.is_empty() {
        let text = trust::lacks(&wishes.not_agreed, project, context);
        return Some(Finding::fail(SUBJECT, text, format!("to review it and agree: {}", trust::COMMAND)));
    }
    (!wishes.agreed.is_empty()).then(|| Finding::ok(SUBJECT, format!("you have agreed to {}", named(&wishes.agreed))))
}

fn critic_prompt(named: Option<&NamedPrompt>, dirs: &Dirs, project: &Project) -> Finding {
    const SUBJECT: &str = "critic's prompt";
    match prompt::find(named, project, dirs) {
        Ok(prompt) => Finding::ok(SUBJECT, format!("{}: {}", prompt.origin.place(), prompt.origin)),
        Err(error) => Finding::error(SUBJECT, error.into()),
    }
}

fn state_directory(dir: &Path) -> Finding {
    const SUBJECT: &str = "state directory";
    match state_fault(dir) {
        Some((dir, fault)) => Finding::fail(SUBJECT, format!("{} {fault}", dir.display()), fault.remedy(&dir)),
        None => writable(SUBJECT, dir),
    }
}

/// Whether a file can be created in a directory, or in its nearest existing ancestor. The temporary file is removed again, and no
/// directory is created.
fn writable(subject: &'static str, dir: &Path) -> Finding {
    let place = dir.ancestors().find(|place| fs::symlink_metadata(place).is_ok()).unwrap_or(dir);
    let tried = tempfile::Builder::new().prefix(".ccc-doctor").tempfile_in(place);
    match tried {
        Ok(_) => Finding::ok(subject, dir.display().to_string()),
        Err(error) => Finding::fail(
            subject,
            format!("{} cannot be written: {error}", dir.display()),
            "make it writable, or set CCC_STATE_DIR or CCC_CONFIG_DIR to another one",
        ),
    }
}

/// What new agents wait for is measured; `None` if they wait for nothing.
fn room(load: &Load, limits: &RoomLimits) -> Option<Finding> {
    const SUBJECT: &str = "room for agents";
    if limits.min_available.is_none() && limits.max_memory_pressure.is_none() && limits.max_cpu_pressure.is_none() {
        return None;
    }
    let Some((available, total)) = load.available_bytes.zip(load.total_bytes) else {
        return Some(Finding::warn(
            SUBJECT,
            "this system reports neither its available memory nor its load, so no agent waits for them",
            "to bound the number of agents that run at the same time, set agent.max_running",
        ));
    };
    let memory = format!("{} of {} of memory are available", Size(available), Size(total));
    Some(match load.memory_pressure.zip(load.cpu_pressure) {
        Some((memory_percent, cpu_percent)) => Finding::ok(
            SUBJECT,
            format!(
                "{memory}; processes wait for memory {memory_percent:.0} % and for a processor {cpu_percent:.0} % of the time"
            ),
        ),
        None => Finding::warn(
            SUBJECT,
            format!("{memory}; the kernel reports no pressure (PSI), so agents wait for memory only"),
            "to have it, start the kernel with psi=1; to bound the number of agents, set agent.max_running",
        ),
    })
}

/// Runs this command to its end.
fn tried(spec: &CommandSpec) -> Result<CommandResult, String> {
    let cancel = Cancel::new().map_err(|error| error.to_string())?;
    run_command(spec, &cancel).map_err(|error| error.to_string())
}

/// Which walls this system has, found out by raising them.
fn walls(settings: &Settings) -> Finding {
    const SUBJECT: &str = "walls";
    if settings.guard.mode == GuardMode::Off {
        return Finding::ok(SUBJECT, "off, as guard.mode says: agents and checks can write whatever you can");
    }
    let means = Means::find();
    if means.wall.is_none() {
        let text = "this system has nothing to raise them: agents and checks can write whatever you can";
        let advice = "Landlock needs Linux 5.19 or newer, and `landlock` among the kernel's `lsm=`";
        return match settings.guard.mode {
            GuardMode::Landlock => Finding::fail(SUBJECT, text, advice),
            GuardMode::AgentSandbox => {
                Finding::warn(SUBJECT, "this system has nothing to raise them around checks", advice)
            }
            GuardMode::Auto | GuardMode::Off => Finding::warn(SUBJECT, text, advice),
        };
    }
    if means.take_out() {
        return Finding::ok(SUBJECT, means.to_string());
    }
    Finding::warn(
        SUBJECT,
        format!("{means}: git's hooks and configuration can be written, and critics get no copy of the tree"),
        "you may make no user namespaces here; on Ubuntu, see `sysctl kernel.apparmor_restrict_unprivileged_userns`",
    )
}

/// Whether the sandbox of the agent's CLI works, found out by starting the CLI with it; `None` if it is not wanted.
fn agent_sandbox(resolved: Option<&Resolved>, context: &Context, dirs: &Dirs, project: &Project) -> Option<Finding> {
    const SUBJECT: &str = "agent's sandbox";
    const INSTEAD: &str = "or set guard.mode to auto, for ccc's own walls";
    let settings = &resolved?.settings;
    if settings.guard.mode != GuardMode::AgentSandbox {
        return None;
    }
    let kind = settings.agent.kind.0;
    let env = context.bare_env();
    if let Err(why) = find_sandbox(&env, &project.cwd) {
        return Some(Finding::fail(SUBJECT, why.to_string(), format!("{}; {INSTEAD}", why.advice())));
    }
    // An agent that the user has not agreed to is named elsewhere, and not started.
    if resolved?.not_agreed.iter().any(|wish| wish.key == "agent.path") {
        return Some(Finding::fail(SUBJECT, "not tried, because the agent is not started", trust::COMMAND));
    }
    let Ok(dir) = tempfile::tempdir() else {
        return Some(Finding::fail(SUBJECT, "not tried: there is no place for temporary files", INSTEAD));
    };
    let Some((args, input)) = kind.sandbox_trial(&dir.path().display().to_string()) else {
        return Some(Finding::fail(SUBJECT, format!("{} has none", kind.name()), INSTEAD));
    };
    let named = settings.agent.path.as_deref().map(Path::new);
    let program = match agent::locate(kind, named, &context.env, dirs, &project.cwd) {
        Ok(program) => program,
        Err(error) => return Some(Finding::error(SUBJECT, error.into())),
    };
    let spec = CommandSpec {
        program,
        args: args.into_iter().map(Into::into).collect(),
        env,
        input: input.into_bytes(),
        timeout: SANDBOX_TIMEOUT,
        output_tail_limit_bytes: SANDBOX_OUTPUT_BYTES,
        errors: CommandErrors::Apart { tail_limit_bytes: 4096 },
        ..CommandSpec::shell("", dir.path().to_owned())
    };
    Some(match tried(&spec) {
        Ok(result) if result.exit.code == Some(0) => {
            match kind.sandbox_in_force(&String::from_utf8_lossy(&result.tail)) {
                Some(true) => Finding::ok(SUBJECT, "the agent's CLI says that it is in force (sandbox_enabled: true)"),
                Some(false) => Finding::fail(
                    SUBJECT,
                    "the agent's CLI says that it is not in force (sandbox_enabled: false)",
                    INSTEAD,
                ),
                None => Finding::ok(
                    SUBJECT,
                    "the agent's CLI starts with it, and would not without (sandbox.failIfUnavailable); this version does not say \
                     whether it is in force",
                ),
            }
        }
        Ok(result) if result.ending == CommandEnding::TimedOut => {
            let text = format!("the agent's CLI did not answer within {}s", SANDBOX_TIMEOUT.as_secs());
            Finding::fail(SUBJECT, text, INSTEAD)
        }
        Ok(result) => {
            let said = String::from_utf8_lossy(&result.errors);
            let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it gives no reason");
            let text = format!("the agent's CLI does not start with it: {}", clean::one_line(said, 400));
            Finding::fail(SUBJECT, text, INSTEAD)
        }
        Err(error) => Finding::fail(SUBJECT, format!("the agent cannot be started: {error}"), INSTEAD),
    })
}

/// Whether the limits on what an agent's processes use can be enforced; `None` without a limit.
fn limits(settings: &Settings, context: &Context, project: &Project) -> Option<Finding> {
    const MEMORY: &str = "agent.memory_max";
    const TASKS: &str = "agent.tasks_max";
    let memory = settings.agent.memory_max.and_then(keeper_world::memory_of);
    let memory_max_bytes = memory.and_then(|memory| memory.bytes_of(keeper::load().total_bytes));
    if memory.is_some() && memory_max_bytes.is_none() {
        return Some(Finding::warn(
            MEMORY,
            "this system does not report its memory, so a share of it is no limit",
            "write a size, such as 4G",
        ));
    }
    let limits = ScopeLimits { memory_max_bytes, tasks_max: Some(settings.agent.tasks_max).filter(|tasks| *tasks > 0) };
    let subject = match (limits.memory_max_bytes, limits.tasks_max) {
        (None, None) => return None,
        (None, Some(_)) => TASKS,
        (Some(_), _) => MEMORY,
    };
    let named = [
        limits.memory_max_bytes.map(|bytes| Size(bytes).to_string()),
        limits.tasks_max.map(|tasks| format!("{tasks} processes and threads")),
    ];
    let named: Vec<String> = named.into_iter().flatten().collect();
    // Behind walls, its processes can be counted apart.
    let with_walls =
        matches!(settings.guard.mode, GuardMode::Auto | GuardMode::Landlock) && Means::find().wall.is_some();
    let walls = with_walls.then(Walls::default);
    let limiting = Limiting::find(limits, &context.bare_env(), &project.cwd, walls.as_ref());
    Some(limits_found(subject, &named.join(" and "), &limiting))
}

/// What of the limits holds. `named`: the limits in words.
fn limits_found(subject: &'static str, named: &str, limiting: &Limiting) -> Finding {
    const ADVICE: &str = "where systemd runs, your user needs its own manager: systemctl --user status; without it, a control group \
        with the controllers memory and pids must be your user's (docs/keeper.md)";
    let by = limiting.by.as_ref().map(Limiter::subject);
    let Some(lacking) = &limiting.lacking else {
        return Finding::ok(
            subject,
            format!("{} limits each process of an agent to {named}", by.unwrap_or("the kernel")),
        );
    };
    let Lacking { memory, memory_together, tasks, why } = lacking;
    let text = match (*memory, *memory_together, *tasks) {
        (false, true, false) => format!("holds for each process by itself, not for all together: {why}"),
        (false, true, true) => {
            format!(
                "holds for each process by itself, not for all together, and agent.tasks_max is not enforced: {why}"
            )
        }
        (true, _, false) if by.is_some() => format!("is not enforced; agent.tasks_max is: {why}"),
        _ => format!("is not enforced: {why}"),
    };
    let advice = if by.is_some() { ADVICE.to_owned() } else { format!("agents run without a limit; {ADVICE}") };
    Finding::warn(subject, text, advice)
}

/// Whether the machine can be kept awake while runs work; `None` if that is not wanted.
fn keep_awake(settings: &Settings, context: &Context) -> Option<Finding> {
    const SUBJECT: &str = "keep_awake";
    const ADVICE: &str = "a machine that goes to sleep stops its runs; change its power settings, or, if it never sleeps, set \
        keep_awake to false";
    if !settings.keep_awake {
        return None;
    }
    let env = context.bare_env();
    let Some(inhibitor) = Inhibitor::find(&env) else {
        return Some(Finding::warn(SUBJECT, "there is neither systemd-inhibit nor caffeinate on PATH", ADVICE));
    };
    let name = inhibitor.name();
    let works = format!("{name} keeps the machine awake while runs work");
    let Some((program, args)) = inhibitor.trial() else { return Some(Finding::ok(SUBJECT, works)) };
    let spec = CommandSpec { program, args, env, timeout: INHIBITOR_TIMEOUT, ..CommandSpec::shell("", "/".into()) };
    Some(match tried(&spec) {
        Ok(result) if result.exit.code == Some(0) => Finding::ok(SUBJECT, works),
        Ok(result) => {
            let said = String::from_utf8_lossy(&result.tail);
            let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gives no reason");
            Finding::warn(
                SUBJECT,
                format!("{name} does not keep the machine awake: {}", clean::one_line(said, 200)),
                ADVICE,
            )
        }
        Err(error) => Finding::warn(SUBJECT, format!("{name}: {error}"), ADVICE),
    })
}

fn git(context: &Context, project: &Project) -> Finding {
    const SUBJECT: &str = "git";
    const ADVICE: &str = "without git, what builds and tests write counts as a change of the work, too, and more than \
        50,000 files are not watched";
    let path = context.env.get(crate::config::env::PATH).unwrap_or_default();
    let found = std::env::split_paths(path).map(|dir| project.cwd.join(dir).join("git")).find(|git| git.is_file());
    let Some(program) = found else {
        return Finding::warn(SUBJECT, "there is no git on PATH", format!("install git; {ADVICE}"));
    };
    let spec = CommandSpec {
        program,
        args: vec!["rev-parse".into(), "--show-toplevel".into()],
        env: context.bare_env(),
        timeout: GIT_TIMEOUT,
        errors: CommandErrors::Apart { tail_limit_bytes: 0 },
        ..CommandSpec::shell("", project.cwd.clone())
    };
    match tried(&spec) {
        Ok(result) if result.ending == CommandEnding::TimedOut => Finding::warn(
            SUBJECT,
            format!("git did not answer within {}s in {} and was ended", GIT_TIMEOUT.as_secs(), project.cwd.display()),
            ADVICE,
        ),
        Ok(result) if result.exit.code == Some(0) => {
            Finding::ok(SUBJECT, String::from_utf8_lossy(&result.tail).trim_end().to_owned())
        }
        Ok(_) => Finding::warn(
            SUBJECT,
            format!("{} is not in a usable git repository", project.cwd.display()),
            format!("{ADVICE}; to create a repository: git init"),
        ),
        Err(error) => Finding::warn(SUBJECT, format!("git cannot be started: {error}"), ADVICE),
    }
}

#[cfg(test)]
mod tests {
    use super::limits_found;
    use super::{Load, RoomLimits, State, pty, room};
    use crate::process::{Lacking, Limiting};

    #[test]
    fn what_of_an_agents_limits_holds_is_told() {
        let none = Lacking { memory: false, memory_together: false, tasks: false, why: "no systemd".to_owned() };
        let text = |lacking: Lacking| {
            let found = limits_found("agent.memory_max", "4.0 GiB", &Limiting { by: None, lacking: Some(lacking) });
            assert!(found.state == State::Warn);
            found.text
        };
        assert_eq!(text(Lacking { memory: true, ..none.clone() }), "is not enforced: no systemd");
        assert_eq!(
            text(Lacking { memory_together: true, ..none.clone() }),
            "holds for each process by itself, not for all together: no systemd"
        );
        assert_eq!(
            text(Lacking { memory_together: true, tasks: true, ..none }),
            "holds for each process by itself, not for all together, and agent.tasks_max is not enforced: no systemd"
        );
        let whole = limits_found("agent.memory_max", "4.0 GiB", &Limiting { by: None, lacking: None });
        assert!(whole.state == State::Ok && whole.text.ends_with("limits each process of an agent to 4.0 GiB"));
    }

    #[test]
    fn what_cannot_be_measured_is_said() {
        let limits = RoomLimits::default();
        let nothing = room(&Load::default(), &limits).expect("a finding");
        assert!(nothing.state == State::Warn && nothing.text.contains("neither its available memory nor its load"));
        let (available_bytes, total_bytes) = (Some(1 << 30), Some(8 << 30));
        let memory = Load { available_bytes, total_bytes, ..Load::default() };
        let without_psi = room(&memory, &limits).expect("a finding");
        assert!(
            without_psi.state == State::Warn && without_psi.text.starts_with("1 GiB of 8 GiB"),
            "{}",
            without_psi.text
        );
        let all = Load { memory_pressure: Some(0.4), cpu_pressure: Some(12.0), ..memory };
        assert!(room(&all, &limits).is_some_and(|finding| finding.state == State::Ok));
        let off = RoomLimits { min_available: None, max_memory_pressure: None, max_cpu_pressure: None, ..limits };
        assert!(room(&all, &off).is_none());
    }

    #[test]
    fn without_a_pseudo_terminal_there_is_a_warning_that_names_the_way_out() {
        let finding = pty(|| Err("no ptys left".to_owned()));
        assert_eq!(finding.state, State::Warn);
        assert!(finding.text.contains("no ptys left"));
        assert!(finding.advice.expect("advice").contains("pipe"));
        assert_eq!(pty(|| Ok(())).state, State::Ok);
    }
}
