//! `ccc nuke`.

use clap::Args;
use rustix::process::{Pid, Signal, kill_process};

use super::kill::{agreed, removed};
use crate::cli::agent::roster;
use crate::cli::{CliError, Context, ExitCode, inside, removal};
use crate::files::make_private_dir;
use crate::journal::RunDir;
use crate::keeper;

/// Remove all agents: end their runs at once, keep their work as `ccc kill` does, and move their runs to the archive.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct NukeArgs {
    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,

    /// Print one JSON object for each agent.
    #[arg(long)]
    pub json: bool,
}

/// Removes all agents. One that cannot be removed does not keep the others.
///
/// # Errors
/// When nobody agrees, or an agent cannot be removed.
pub fn run(args: NukeArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("nuke", context)?;
    let state = &context.dirs()?.state;
    let agents = roster(context)?.agents;
    if agents.is_empty() {
        context.printer.talk("there are no agents");
        return Ok(ExitCode::COMPLETED);
    }
    let active = agents.iter().filter(|agent| agent.state.is_active()).count();
    let question =
        format!("Remove all {} agents, of which {active} are active, and their working trees?", agents.len());
    agreed(args.yes, &question, "nuke", context)?;
    let mut failed = Vec::new();
    for agent in &agents {
        let gone = removed(agent, false, args.json, context).and_then(|()| archive(&agent.dir, state));
        if let Err(error) = gone {
            context.printer.error(&error.message, error.hint.as_deref());
            failed.push(agent.record.name.as_str());
        }
    }
    if failed.len() < agents.len() {
        context.printer.talk(format_args!("their journals are in {}", removal::archive_dir(state).display()));
    }
    if failed.is_empty() {
        end_keeper(state);
    }
    CliError::unless_none("not removed", &failed).map_err(|error| error.hint("to list them: ccc list"))
}

/// Moves a run to the archive.
fn archive(run: &RunDir, state: &std::path::Path) -> Result<(), CliError> {
    let dir = removal::archive_dir(state);
    let moved = make_private_dir(&dir).and_then(|()| std::fs::rename(run.path(), dir.join(run.id())));
    moved.map_err(|error| {
        CliError::io(format!("{}: cannot be moved to {}: {error}", run.path().display(), dir.display()))
            .hint("free some disk space, or move it by hand")
    })
}

/// Ends the keeper, which has nothing to do without agents and would end by itself a minute later.
fn end_keeper(state: &std::path::Path) {
    let Ok(Some(holder)) = keeper::holder(state) else { return };
    if let Some(pid) = i32::try_from(holder.pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
}
