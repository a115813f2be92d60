//! `ccc supervise -- CMD…`.
#![allow(rustdoc::broken_intra_doc_links, reason = "in help texts a default stands in brackets")]

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, ValueEnum};

use super::run::canonical;
use crate::cli::command_tokens::{CommandTokens, agent_of, provider_of};
use crate::cli::start::{lock_error, new_journal, no_event_loop, state_error, stdio_screen};
use crate::cli::{CliError, Context, ErrorKind, ExitCode, awake, inside, notifying, serving, trust};
use crate::config::{Flags, Percent, Project, Provider, Settings, Span, agent};
use crate::control::{Hub, Served};
use crate::core::supervised::{BeatPlan, CommandCore, CommandPlan, RestartOn};
use crate::core::{EndWords, Finish};
use crate::driver::{self, CommandEnd, CommandSetup, CommandWorkers, TokenSupply};
use crate::journal::{self, Header, RunDir};
use crate::process::{self, UserTerminal};
use crate::ui::{Form, Printer, Style};

/// The heartbeat file that is watched by default if it exists.
const HEARTBEAT_FILE: &str = "logs/heartbeat.json";
const HEARTBEAT_TIMEOUT_MS: u64 = 30_000;
const HEARTBEAT_INTERVAL_MS: u64 = 2_000;
const HEARTBEAT_GRACE_MS: u64 = 60_000;
const RESTART_DELAY_MS: u64 = 5_000;
const MAX_RESTARTS: u32 = 3;
const MONITOR_INTERVAL_MS: u64 = 60_000;
/// How long printing the end of the run may take.
const END_PRINT_TIMEOUT: Duration = Duration::from_secs(5);

/// Supervise any command: restart it, watch its heartbeat, rotate its tokens, wait at limits.
///
/// The command behaves as if you had started it directly. It gets one token of its provider (claude: Anthropic,
/// codex: OpenAI, gemini: Google, cohere: Cohere), and ccc asks the provider about it regularly. When the token is near its
/// limit, ccc ends the command and starts it again with the next one. When all are limited, ccc stops the command until the
/// first is ready again. A command that fails, or whose heartbeat file does not change, is started again. A command
/// that ends with exit code 0 is not started again.
///
/// When it fails more often than --max-restarts allows within an hour, ccc ends with exit code 1, whatever the command's exit
/// code was. With --restart never, or on-signal, ccc ends with the command's exit code.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct SuperviseArgs {
    /// At a limit ask what to do: rotate and continue, wait for the reset, exit, or keep going.
    #[arg(long)]
    pub interactive: bool,

    /// How long ccc waits for an answer before it takes the first choice [60s].
    #[arg(long, value_name = "TIME")]
    pub answer_timeout: Option<Span>,

    /// Whose tokens the command gets: anthropic, openai, google or cohere [by the command's name].
    #[arg(long, value_parser = provider_parser(), value_name = "NAME", hide_possible_values = true, conflicts_with = "no_tokens")]
    pub provider: Option<Provider>,

    /// Do not change the environment, and do not watch limits.
    #[arg(long)]
    pub no_tokens: bool,

    /// How often ccc asks the provider about the token in use [60s].
    #[arg(long, value_name = "TIME")]
    pub monitor_interval: Option<Span>,

    /// Take another token when the current token has used this percentage of a usage window [95].
    #[arg(long, value_name = "PERCENT")]
    pub rotate_at: Option<Percent>,

    /// When all tokens are limited, end with exit code 75 instead of waiting for the reset.
    #[arg(long)]
    pub no_wait: bool,

    /// Watch this file, in which the command writes {"unix_ts": SECONDS} [logs/heartbeat.json when it is there].
    #[arg(long, value_name = "FILE")]
    pub heartbeat: Option<PathBuf>,

    /// Do not watch a heartbeat.
    #[arg(long, conflicts_with = "heartbeat")]
    pub no_heartbeat: bool,

    /// Restart the command when its heartbeat does not change for this long [30s].
    #[arg(long, value_name = "TIME")]
    pub heartbeat_timeout: Option<Span>,

    /// How often ccc reads the heartbeat [2s].
    #[arg(long, value_name = "TIME")]
    pub heartbeat_interval: Option<Span>,

    /// How long the first heartbeat may take [60s].
    #[arg(long, value_name = "TIME")]
    pub heartbeat_grace: Option<Span>,

    /// When to start the command again: on-failure (any code but 0, or a signal), on-signal (only after a signal), or
    /// never [on-failure].
    #[arg(long, value_enum, value_name = "WHEN", hide_possible_values = true)]
    pub restart: Option<Restart>,

    /// How long to wait before a restart, at least [5s]; restarts in a row wait up to about a minute.
    #[arg(long, value_name = "TIME")]
    pub restart_delay: Option<Span>,

    /// How many restarts there may be within an hour [3].
    #[arg(long, value_name = "N")]
    pub max_restarts: Option<u32>,

    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

fn provider_parser() -> impl TypedValueParser<Value = Provider> {
    PossibleValuesParser::new(Provider::ALL.map(Provider::name))
        .try_map(|name| Provider::named(&name).ok_or("no provider has this name"))
}

/// When a command is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Restart {
    /// After any exit code but 0, and after a signal.
    OnFailure,
    /// After a signal.
    OnSignal,
    /// Never.
    Never,
}

impl From<Restart> for RestartOn {
    fn from(restart: Restart) -> Self {
        match restart {
            Restart::OnFailure => RestartOn::Failure,
            Restart::OnSignal => RestartOn::Signal,
            Restart::Never => RestartOn::Never,
        }
    }
}

/// Supervises a command.
///
/// # Errors
/// When the command cannot be started, or has failed finally.
pub fn run(args: SuperviseArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("supervise", context)?;
    let resolved = context.settings(Flags::default())?;
    let project = context.project()?;
    let settings = trust::require_tokens(resolved, Flags::default(), !args.no_tokens, &project, context)?;
    let Some((program, rest)) = args.command.split_first() else {
        return Err(CliError::usage("there is no command to supervise")
            .hint("put it after `--`, as in: ccc supervise -- make test"));
    };
    find(Path::new(program), context)?;
    let provider = match (args.no_tokens, args.provider) {
        (true, _) => None,
        (false, Some(named)) => Some(named),
        (false, None) => Some(provider_of(program, &settings, &project, context)?),
    };
    // A program that reads the agent's settings sends its token where the settings say, so they need the user's agreement.
    let settings_of_agent = provider
        .and_then(agent_of)
        .map(|agent| trust::require_agent_settings(agent, &[], &project, context))
        .transpose()?;
    let tokens = CommandTokens::gather(provider, program, &settings, &project, context)?;
    let terminal = UserTerminal::find();
    if args.interactive && terminal.is_none() {
        context
            .printer
            .warn("--interactive cannot ask, because stdout is not a terminal: at a limit ccc takes the first choice");
    }
    let plan = plan(&args, &settings, &project, provider, terminal.is_some(), context)?;
    let redactor = tokens.redactor();
    let cwd = plan.cwd.clone();
    let state = &context.dirs()?.state;
    let run_dir = RunDir::create(state, &plan.run_id).map_err(|error| state_error(&error))?;
    let started_unix_ms = driver::unix_ms();
    let run_lock = run_dir.take_lock(std::process::id(), started_unix_ms).map_err(|error| lock_error(&error))?;
    let journal = new_journal(&run_dir, Header::of_command(&plan, env!("CARGO_PKG_VERSION")), redactor.clone())?;
    process::become_subreaper();
    let talk_on_terminal = terminal.is_some() && std::io::stderr().is_terminal();
    let hub = Hub::new(0);
    let served = Served {
        caps: ["status", "follow", "away", "back", "choose", "stop"].to_vec(),
        ..serving::served(&run_dir, "command", &plan.cwd, started_unix_ms, context)?
    };
    let awake =
        if settings.keep_awake { awake::hold(&format!("the run {} works", run_dir.id()), context) } else { None };
    let (to_tell, secrets) = (settings.notify.clone(), redactor.clone());
    let setup = CommandSetup {
        core: CommandCore::new(plan),
        hub: Some(hub.clone()),
        run_dir: run_dir.clone(),
        journal,
        redactor,
        started_unix_ms,
        program: PathBuf::from(program),
        args: rest.to_vec(),
        tokens: Arc::new(tokens),
        settings: settings_of_agent,
        terminal,
        talk_on_terminal,
        printer: printer(context),
        screen: stdio_screen()?,
        workers: CommandWorkers::default(),
    };
    let mut server = None;
    let end = driver::run_command(setup, |run| server = serving::serve(served, hub, run, context));
    let end = end.map_err(|error| no_event_loop(&error))?;
    let (finish, missing) = (end.finish.clone(), end.journal_missing.clone());
    let code = last_words(end, &run_dir, context);
    // Release the lock only now, after the end of the run has been printed.
    drop(run_lock);
    if let Some(server) = server {
        server.end(finish.clone());
    }
    drop(awake);
    if let Some(finish) = &finish {
        notifying::tell_end(&to_tell, &run_dir, cwd, (finish, missing), &secrets, context);
    }
    code
}

fn last_words(end: CommandEnd, run_dir: &RunDir, context: &Context) -> Result<ExitCode, CliError> {
    let CommandEnd { finish, own_code, code_to_pass_on, journal_news, journal_missing, screen } = end;
    let flushed = screen.finish(END_PRINT_TIMEOUT);
    if !flushed.complete {
        context.printer.warn("some messages of ccc could not be written");
    }
    if let Some(news) = journal_news {
        context.printer.warn(driver::journal_news(&news));
    }
    if let Some(missing) = journal_missing {
        let what = "the record of this command is incomplete";
        context.printer.warn(format_args!("{what}: {missing}; ccc explain and report say less"));
    }
    let Some(Finish { outcome, reason, .. }) = finish else { return Ok(ExitCode::INTERRUPTED) };
    if let Some(code) = code_to_pass_on {
        // As with any program, a command that is done needs no message.
        return Ok(ExitCode::of_command(code));
    }
    let error = |kind| {
        let told = format!("to see what happened and why: ccc explain {}", run_dir.id());
        CliError::new(kind, reason.clone()).hint(match own_code {
            Some(code) => {
                format!("{told}; the exit code of the command was {code} (with --restart never, ccc ends with it)")
            }
            None => told,
        })
    };
    match outcome.row().told_of_command {
        EndWords::Nothing => Ok(ExitCode::from(outcome)),
        EndWords::Error => Err(error(ErrorKind::Failed)),
        EndWords::Reason => {
            context.printer.talk(format_args!("ccc ! {reason}"));
            Ok(ExitCode::from(outcome))
        }
    }
}

fn printer(context: &Context) -> Printer {
    // Print plain lines: a status line erases rows, and ccc shares the screen with the command.
    let style = Style::decide(false, context.env.get("NO_COLOR").and_then(|value| value.to_str()), None, None);
    let mut printer = Printer::new(Form::Text, style);
    printer.in_zone(crate::cli::zone::of_process());
    printer
}

/// Finds the program before anything is started, so that the error is clear.
fn find(program: &Path, context: &Context) -> Result<(), CliError> {
    let cwd = context.cwd()?;
    let error = |message: String| CliError::environment(message);
    if program.as_os_str().is_empty() {
        return Err(error("the command is empty".to_owned()).hint("give a command, as in: ccc supervise -- make test"));
    }
    if program.components().count() == 1 && !program.to_string_lossy().contains('/') {
        return match agent::on_path(program.as_os_str(), &context.env, cwd) {
            Some(_) => Ok(()),
            None => Err(error(format!("there is no program `{}` on PATH", program.display()))
                .hint("install it, correct its name, or give its path")),
        };
    }
    let path = cwd.join(program);
    if process::is_executable(&path) {
        Ok(())
    } else if path.exists() {
        Err(error(format!("{} is not an executable file", program.display())).hint("make it executable (chmod +x)"))
    } else {
        Err(error(format!("there is no program {}", program.display())).hint("correct its path"))
    }
}

fn plan(
    args: &SuperviseArgs,
    settings: &Settings,
    project: &Project,
    provider: Option<Provider>,
    at_terminal: bool,
    context: &Context,
) -> Result<CommandPlan, CliError> {
    let ms = |span: Option<Span>, default: u64| span.map_or(default, Span::as_ms);
    let file = match &args.heartbeat {
        Some(file) => Some(project.cwd.join(file)),
        None if args.no_heartbeat => None,
        None => Some(project.cwd.join(HEARTBEAT_FILE)).filter(|file| file.exists()),
    };
    let chance = uuid::Uuid::new_v4();
    Ok(CommandPlan {
        seed: chance.simple().to_string(),
        run_id: journal::run_id(driver::unix_ms(), chance.as_fields().0),
        command: args.command.iter().map(|part| part.to_string_lossy().into_owned()).collect(),
        cwd: canonical(context)?,
        provider: provider.map(|provider| provider.to_string()),
        rotate_at: args.rotate_at.unwrap_or(settings.rotate_at).share(),
        monitor_interval_ms: ms(args.monitor_interval, MONITOR_INTERVAL_MS),
        heartbeat: file.map(|file| BeatPlan {
            file: file.display().to_string(),
            timeout_ms: ms(args.heartbeat_timeout, HEARTBEAT_TIMEOUT_MS),
            interval_ms: ms(args.heartbeat_interval, HEARTBEAT_INTERVAL_MS),
            grace_ms: ms(args.heartbeat_grace, HEARTBEAT_GRACE_MS),
        }),
        restart_on: args.restart.map(RestartOn::from).unwrap_or_default(),
        restart_delay_ms: ms(args.restart_delay, RESTART_DELAY_MS),
        max_restarts: args.max_restarts.unwrap_or(MAX_RESTARTS),
        grace_ms: settings.grace.as_ms(),
        no_wait: args.no_wait || settings.no_wait,
        interactive: (args.interactive || settings.interactive) && at_terminal,
        answer_timeout_ms: args.answer_timeout.unwrap_or(settings.answer_timeout).as_ms(),
    })
}
