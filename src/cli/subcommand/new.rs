//! `ccc new "TASK"`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use crate::cli::agent::{NewAgent, Wish};
use crate::cli::detach::{self, Ready};
use crate::cli::keeper_world::ensure_keeper;
use crate::cli::options::Options;
use crate::cli::start::RunRequest;
use crate::cli::start::state_error;
use crate::cli::subcommand::run::{self, Claim, RunArgs};
use crate::cli::task::{self, TaskSource};
use crate::cli::{CliError, Context, ExitCode, inside, spooled};
use crate::config::{OutputFormat, Project, Settings};
use crate::core::Plan;
use crate::fleet::{AgentRecord, Role};
use crate::journal::RunDir;

/// How many agents one command starts at most.
const COUNT_MAX: u32 = 64;

/// Start an agent in the background, in a git worktree of its own.
///
/// Prints the id of its run and returns. `ccc list` shows all agents, `ccc look NAME` what one does, `ccc send NAME "TEXT"` gives
/// it a message. Its work is on the branch agent/NAME: `ccc diff NAME` shows it. While the machine has no room for it, it waits in the
/// queue (`queued`), and the keeper starts it.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct NewArgs {
    /// The task.
    #[arg(value_name = "TASK", allow_hyphen_values = true)]
    pub task: Option<String>,

    /// Read the task from a file, or from stdin with `-`. Without this option and TASK, ccc reads a task that is piped to stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "task", display_order = 1)]
    pub prompt_file: Option<PathBuf>,

    /// Its name. Without this option the name is made of the first words of the task.
    #[arg(long, value_name = "NAME", display_order = 2)]
    pub name: Option<String>,

    /// It may not start agents itself.
    #[arg(long, display_order = 3)]
    pub worker: bool,

    /// The agent that is told when this one ends.
    #[arg(long, value_name = "AGENT", display_order = 3)]
    pub manager: Option<String>,

    /// The model of the agent.
    #[arg(long, value_name = "MODEL", display_order = 4)]
    pub model: Option<String>,

    /// Work in the current working tree, not in a worktree of its own.
    #[arg(long, display_order = 4)]
    pub no_worktree: bool,

    /// The commit or branch that its branch begins at [the current commit].
    #[arg(long, value_name = "REF", conflicts_with = "no_worktree", display_order = 4)]
    pub base: Option<String>,

    /// Let a critic judge the work at each stop; this is the default.
    #[arg(long, overrides_with = "no_supervisor", display_order = 5)]
    pub supervisor: bool,

    /// Do not let a critic judge the work.
    #[arg(long, overrides_with = "supervisor", display_order = 5)]
    pub no_supervisor: bool,

    /// Start although the usage of the tokens is critical.
    #[arg(long, display_order = 6)]
    pub ignore_usage: bool,

    /// Start at once, also if memory or load say that it should wait.
    #[arg(long, display_order = 6)]
    pub ignore_load: bool,

    /// Start this number of agents with the same task.
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(COUNT_MAX)),
        display_order = 7
    )]
    pub count: u32,

    /// Print one JSON object for each agent.
    #[arg(long, display_order = 8)]
    pub json: bool,

    /// The settings.
    #[command(flatten)]
    pub settings: Options<false>,

    /// Start it even if another run works in the same working tree; for --no-worktree.
    #[arg(long, display_order = 900)]
    pub share_tree: bool,

    /// This process is to outlive the terminal.
    #[arg(long, hide = true)]
    pub hosted: bool,

    /// Arguments for the agent.
    #[arg(last = true, value_name = "AGENT ARGS")]
    pub agent_args: Vec<String>,
}

impl NewArgs {
    /// The arguments of the supervised run.
    fn run_args(&self) -> RunArgs {
        let model = self.model.as_deref().map(|model| {
            let kind = self.settings.0.agent.kind.map(|kind| kind.0).unwrap_or_default();
            kind.args_of_provider(None, Some(model))
        });
        RunArgs {
            supervisor: true,
            prompt: self.task.clone(),
            prompt_file: self.prompt_file.clone(),
            provider: None,
            settings: self.settings.clone(),
            native: false,
            plain: false,
            detach: true,
            hosted: true,
            conversation: false,
            warned: None,
            run_id: None,
            share_tree: self.share_tree,
            agent_args: model.into_iter().flatten().chain(self.agent_args.iter().cloned()).collect(),
        }
    }
}

/// Starts the agents.
///
/// # Errors
/// When one cannot be started. Those before it work on, and their ids are printed.
pub fn run(args: NewArgs, typed: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    if args.hosted {
        return host(&args, context);
    }
    if let Some(manager) = inside::run(context) {
        return started_by(&manager, &args, typed, context);
    }
    let reads_stdin = args.task.is_none()
        && args.prompt_file.as_ref().is_none_or(|file| file.as_os_str() == "-")
        && !context.stdin.is_terminal();
    // Stdin can be read once, but each agent is started by a process of its own.
    let spool = if args.count > 1 && reads_stdin { Some(spooled::task(context)?) } else { None };
    let typed = match &spool {
        Some(spool) => with_file(typed, spool.path()),
        None => typed.to_vec(),
    };
    let form = if args.json { OutputFormat::Json } else { OutputFormat::Text };
    for _ in 0..args.count {
        match detach::host(&typed, Some("new"), false)? {
            Ok(ready) => told(&ready, form, context)?,
            Err(code) => return Ok(code),
        }
    }
    ensure_keeper(context);
    detach::warn_of_logout(context);
    Ok(ExitCode::COMPLETED)
}

/// Lets the run of the agent inside which this was typed start the agent: it decides whether it may.
fn started_by(manager: &RunDir, args: &NewArgs, typed: &[OsString], context: &Context) -> Result<ExitCode, CliError> {
    let task = if args.task.is_none() {
        let source = TaskSource { prompt: None, file: args.prompt_file.as_deref(), example: spooled::EXAMPLE };
        Some(task::read(&source, context.cwd()?, &context.stdin)?)
    } else {
        None
    };
    let at = typed.iter().position(|word| word == "new").map_or(typed.len(), |at| at + 1);
    let mut words = typed.get(at..).unwrap_or_default().to_vec();
    take_file_out(&mut words);
    words.retain(|word| word != "--json");
    inside::new(manager, &words, task, args.json, context)
}

fn take_file_out(words: &mut Vec<OsString>) {
    if let Some(at) = words.iter().position(|word| word == "--prompt-file") {
        words.drain(at..words.len().min(at + 2));
    }
    words.retain(|word| !word.to_string_lossy().starts_with("--prompt-file="));
}

/// The arguments, with the task read from this file instead of stdin.
fn with_file(typed: &[OsString], file: &std::path::Path) -> Vec<OsString> {
    let mut typed = typed.to_vec();
    take_file_out(&mut typed);
    let at = typed.iter().position(|word| word == "new").map_or(typed.len(), |at| at + 1);
    typed.splice(at..at, [OsString::from("--prompt-file"), file.as_os_str().to_owned()]);
    typed
}

/// Says which agent was started.
fn told(ready: &Ready, form: OutputFormat, context: &Context) -> Result<(), CliError> {
    let dir = RunDir::at(&context.dirs()?.state, &ready.run_id).map_err(|error| state_error(&error))?;
    let record = AgentRecord::read(&dir).ok().flatten();
    let name = record.as_ref().map_or(ready.run_id.as_str(), |record| record.name.as_str());
    let tree = record.as_ref().and_then(|record| record.tree.as_ref());
    match form {
        OutputFormat::Text => {
            context.printer.line(&ready.run_id);
            if let Some(why) = &ready.queued {
                context.printer.talk(detach::waits(name, why));
                return Ok(());
            }
            let place = tree.map(|tree| format!(" on branch {}", tree.branch)).unwrap_or_default();
            context
                .printer
                .talk(format_args!("agent {name} works in the background{place}; to see it: ccc look {name}"));
        }
        OutputFormat::Json | OutputFormat::StreamJson => context.printer.json(serde_json::json!({
            "id": ready.run_id,
            "name": name,
            "branch": tree.map(|tree| &tree.branch),
            "worktree": tree.map(|tree| &tree.path),
            "reachable": ready.reachable,
            "waits_for": ready.queued,
        })),
    }
    Ok(())
}

/// The run of one agent, in this process.
fn host(args: &NewArgs, context: &Context) -> Result<ExitCode, CliError> {
    if args.task.as_ref().is_some_and(|task| task.trim().is_empty()) {
        return Err(CliError::usage("the task is empty").hint("give a task: ccc new \"TASK\""));
    }
    let wish = Wish {
        name: args.name.clone(),
        is_one_of_several: args.count > 1,
        role: if args.worker { Role::Worker } else { Role::Manager },
        manager: args.manager.clone(),
        own_tree: !args.no_worktree,
        base: args.base.clone(),
        supervised: !args.no_supervisor,
        ignore_usage: args.ignore_usage,
        ignore_load: args.ignore_load,
    };
    let agent = NewAgent::new(wish, context)?;
    let claim = |plan: &mut Plan, project: &Project, settings: &Settings, request: &RunRequest<'_>| {
        agent.claim(plan, project, settings, request)
    };
    let claim = Claim { own_tree: !args.no_worktree, make: &claim, example: spooled::EXAMPLE };
    let started = run::supervise(&args.run_args(), None, claim, context);
    if started.is_err() {
        agent.take_back();
    }
    started
}
