//! `ccc keeper`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::json;

use crate::cli::agent::roster;
use crate::cli::keeper_world::{KeeperWorld, rules};
use crate::cli::{CliError, Context, ExitCode, inside, queue, zone};
use crate::driver;
use crate::files::open_private;
use crate::journal::LockError;
use crate::keeper::service::Manager;
use crate::keeper::{self, Notes};
use crate::process;
use crate::ui::format::{away, due};
use crate::upkeep::Full;

use rustix::fs::OFlags;

/// Show the keeper of the agents, or have it started at login.
///
/// The keeper is one small process that works while agents live. It asks about the usage once for all of them, stops them at the
/// critical threshold and continues them after the reset, continues agents whose ccc has died, and starts those that wait for room
/// on the machine. It is started by itself.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct KeeperArgs {
    /// What to do [the status].
    #[command(subcommand)]
    pub what: Option<What>,

    /// Print one JSON object instead.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What `ccc keeper` does.
#[derive(Debug, Clone, PartialEq, Subcommand)]
pub enum What {
    /// Show whether the keeper works, and what it has done about the agents.
    Status,
    /// Have the keeper started at login, so that agents go on after a reboot. Writes one file, and prints the commands that
    /// enable it.
    Install,
    /// Remove the file that `install` has written.
    Uninstall,
    /// Start a keeper in a process of its own.
    #[command(hide = true)]
    Start,
    /// Be the keeper.
    #[command(hide = true)]
    Run(RunKeeperArgs),
}

/// The arguments of `ccc keeper run`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunKeeperArgs {
    /// The machine has been started anew: forget earlier failures, and also revive agents that have been dead for days.
    #[arg(long)]
    pub revive: bool,

    /// This process is to outlive the terminal.
    #[arg(long, hide = true)]
    pub hosted: bool,

    /// How long to stay without agents.
    #[arg(long, value_name = "MS", hide = true)]
    pub grace_ms: Option<u32>,

    /// The shortest pause between two starts of agents.
    #[arg(long, value_name = "MS", hide = true)]
    pub step_ms: Option<u32>,
}

/// Runs the command.
///
/// # Errors
/// When the keeper's files cannot be used.
pub fn run(args: KeeperArgs, context: &Context) -> Result<ExitCode, CliError> {
    match args.what.unwrap_or(What::Status) {
        What::Status => status(args.json, context),
        What::Install => {
            inside::refuse("keeper install", context)?;
            install(args.json, context)
        }
        What::Uninstall => {
            inside::refuse("keeper uninstall", context)?;
            uninstall(args.json, context)
        }
        // A keeper below an agent would be refused what a keeper does, and works with the agent's environment.
        What::Start => {
            inside::refuse("keeper start", context)?;
            let started = keeper::start(&context.dirs()?.state);
            started.map_err(CliError::failed)?;
            Ok(ExitCode::COMPLETED)
        }
        What::Run(args) => {
            inside::refuse("keeper run", context)?;
            be_keeper(&args, context)
        }
    }
}

fn be_keeper(args: &RunKeeperArgs, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let lock = match keeper::take_lock(state, driver::unix_ms()) {
        Ok(lock) => lock,
        // For a service manager that is no failure.
        Err(LockError::Held { .. }) if args.revive => return Ok(ExitCode::COMPLETED),
        Err(error @ LockError::Held { .. }) => {
            return Err(CliError::usage(error).hint("to see it: ccc keeper"));
        }
        Err(error @ LockError::Io { .. }) => {
            return Err(CliError::io(error).hint("make it writable, or set CCC_STATE_DIR to another directory"));
        }
    };
    if args.hosted {
        let path = keeper::log_file(state);
        let log = open_private(&path, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND);
        let host = log
            .and_then(|log| process::detach(&log))
            .map_err(|error| CliError::failed(format!("{}: the keeper cannot detach: {error}", path.display())))?;
        host.ready("the keeper works");
    }
    let mut world = KeeperWorld::new(context, args.revive, args.grace_ms).with_step(args.step_ms);
    let kept = keeper::keep(state, args.revive, &mut world);
    drop(lock);
    kept.map_err(|error| {
        CliError::failed(error)
            .hint("use the newest ccc, or remove the file: then nothing is remembered of earlier limits")
    })?;
    Ok(ExitCode::COMPLETED)
}

fn status(as_json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let unusable = |error: String| CliError::io(error).hint("the keeper moves a damaged file aside when it starts");
    let notes = Notes::read(state).map_err(|error| unusable(error.to_string()))?;
    let upkeep = notes.upkeep();
    let now = driver::unix_ms();
    let stopped: Vec<&String> = upkeep.stopped.keys().filter(|run| notes.is_taken_up_later(run)).collect();
    let agents = roster(context)?.agents;
    // This starts a keeper if an agent needs one.
    let waiting = queue::waiting(&agents, context);
    let holder = keeper::holder(state).map_err(|error| unusable(error.to_string()))?;
    let given_up: Vec<(&String, &str)> = upkeep
        .revivals
        .keys()
        .chain(upkeep.stopped.keys())
        .chain(upkeep.queue.keys())
        .filter_map(|run| Some((run, notes.given_up(run)?)))
        .collect();
    if as_json {
        let iso = |at: i64| Timestamp::from_millisecond(at).map(|at| at.to_string()).ok();
        let given_up: Vec<_> = given_up.iter().map(|(run, why)| json!({"id": run, "why": why})).collect();
        let critical = upkeep.critical.as_ref().map(|critical| {
            let Full { token, window, percent, resets_unix_ms } = &critical.full;
            json!({
                "since": iso(critical.since_unix_ms),
                "token": token,
                "window": window,
                "utilization": percent,
                "resets_at": resets_unix_ms.and_then(iso),
            })
        });
        context.printer.json(json!({
            "version": 1,
            "pid": holder.as_ref().map(|holder| holder.pid),
            "since": holder.as_ref().and_then(|holder| iso(holder.since_unix_ms)),
            "usage_asked_at": upkeep.asked_unix_ms.and_then(iso),
            "usage": upkeep.usage,
            "critical": critical,
            "stopped": stopped,
            "queued": agents.iter().map(|agent| agent.dir.id()).filter(|id| waiting.contains_key(*id)).collect::<Vec<_>>(),
            "given_up": given_up,
        }));
        return Ok(ExitCode::COMPLETED);
    }
    let zone = zone::of_process();
    match &holder {
        Some(holder) => context.printer.line(format_args!(
            "the keeper works (pid {}, for {})",
            holder.pid,
            away(now, holder.since_unix_ms)
        )),
        None => {
            context.printer.line("no keeper works; one is started with the next agent, or by an agent that works");
        }
    }
    if let Some(at) = upkeep.asked_unix_ms.filter(|_| rules(context, now).watches_usage) {
        context.printer.line(format_args!("usage was last asked about {} ago; to see it: ccc usage", away(now, at)));
    }
    if let Some(critical) = &upkeep.critical {
        let full = &critical.full;
        let reset = full
            .resets_unix_ms
            .map_or_else(|| "its reset is unknown".to_owned(), |at| format!("it resets {}", due(at, now, &zone)));
        context.printer.line(format_args!(
            "the usage is critical: {} of {} is at {:.0} %; {reset}",
            full.window,
            full.token,
            full.percent.floor()
        ));
    }
    for run in stopped {
        context.printer.line(format_args!("{run} was stopped because of the usage, and is continued after the reset"));
    }
    for agent in agents.iter().filter(|agent| waiting.contains_key(agent.dir.id())) {
        let why = waiting.get(agent.dir.id()).map(String::as_str).unwrap_or_default();
        context.printer.line(format_args!("{} waits in the queue: {why}", agent.record.name));
    }
    for (run, why) in given_up {
        context.printer.line(format_args!("{run} is not continued: {why}"));
        context.printer.talk(format_args!("to see why it ended: ccc explain {run}; to continue it: ccc resume {run}"));
    }
    Ok(ExitCode::COMPLETED)
}

fn service(context: &Context) -> Result<(Manager, PathBuf), CliError> {
    let manager = Manager::of_system();
    Ok((manager, manager.file(&context.dirs()?.home, &context.env)))
}

fn io_error(path: &Path, error: &std::io::Error) -> CliError {
    CliError::io(format!("{}: {error}", path.display())).hint("check the permissions of its directory")
}

fn install(as_json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let (manager, file) = service(context)?;
    let program = std::env::current_exe().map_err(|error| io_error(Path::new("ccc"), &error))?;
    let text = manager.text(&program, &context.env).map_err(|error| io_error(&program, &error))?;
    let dir = file.parent().unwrap_or(Path::new("/"));
    std::fs::create_dir_all(dir).map_err(|error| io_error(dir, &error))?;
    let write = || {
        let mut new = tempfile::Builder::new().prefix(".ccc-").tempfile_in(dir)?;
        std::io::Write::write_all(&mut new, text.as_bytes())?;
        new.persist(&file).map(drop).map_err(|failed| failed.error)
    };
    write().map_err(|error| io_error(&file, &error))?;
    let commands = manager.to_enable(&file);
    if as_json {
        let commands: Vec<&String> = commands.iter().map(|(command, _)| command).collect();
        context.printer.json(json!({"written": file, "commands": commands}));
        return Ok(ExitCode::COMPLETED);
    }
    context.printer.line(format_args!("written: {}", file.display()));
    for (command, purpose) in commands {
        context.printer.line(format_args!("{purpose}: {command}"));
    }
    context.printer.talk(
        "agents that the service continues have the tokens of your configuration and login, not those of a terminal's variables",
    );
    Ok(ExitCode::COMPLETED)
}

fn uninstall(as_json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let (manager, file) = service(context)?;
    let removed = match std::fs::remove_file(&file) {
        Ok(()) => true,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
        Err(error) => return Err(io_error(&file, &error)),
    };
    let disable = manager.to_disable(&file);
    if as_json {
        context.printer.json(json!({"removed": removed.then_some(&file), "commands": [disable]}));
    } else if removed {
        context.printer.line(format_args!("removed: {}", file.display()));
        context.printer.line(format_args!("to end what it has started: {disable}"));
    } else {
        context.printer.line(format_args!("there is nothing to remove: {} does not exist", file.display()));
    }
    Ok(ExitCode::COMPLETED)
}
