//! `ccc kill AGENT…`.

use clap::Args;

use crate::cli::agent::record_of;
use crate::cli::{CliError, Context, ExitCode, inside, removal, steer, trust};
use crate::fleet::Agent;

/// Remove agents: end their runs at once, and remove their working trees.
///
/// What an agent has not merged is kept first: uncommitted work under refs/ccc/salvage/, commits on its branch. Its run stays
/// readable with `ccc explain`. To end an agent that is to go on later: ccc stop
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct KillArgs {
    /// Names, ids, or the beginnings of either.
    #[arg(value_name = "AGENT", required = true)]
    pub agents: Vec<String>,

    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,

    /// Remove also what a commit cannot keep, such as files over the size limit.
    #[arg(long)]
    pub discard: bool,

    /// Print one JSON object for each agent.
    #[arg(long)]
    pub json: bool,
}

/// Removes the agents.
///
/// # Errors
/// When there is no such agent, nobody agrees, or one cannot be removed.
pub fn run(args: KillArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("kill", context)?;
    let mut agents = Vec::new();
    for named in &args.agents {
        let dir = steer::find(named, context)?;
        let record = record_of(&dir, named)?;
        agents.push(Agent::of(dir, record));
    }
    let names: Vec<&str> = agents.iter().map(|agent| agent.record.name.as_str()).collect();
    let kept = if args.discard { "what is not merged is lost" } else { "what is not merged is kept" };
    let question = format!("Remove {} with its worktree? It is the agent's, and {kept}.", names.join(", "));
    agreed(args.yes, &question, "kill", context)?;
    for agent in &agents {
        removed(agent, args.discard, args.json, context)?;
    }
    Ok(ExitCode::COMPLETED)
}

/// Whether the user agrees to what cannot be undone.
///
/// # Errors
/// When the user does not, or is not there.
pub(super) fn agreed(yes: bool, question: &str, command: &str, context: &Context) -> Result<(), CliError> {
    if yes {
        return Ok(());
    }
    if !trust::somebody_is_there(context) {
        return Err(CliError::usage(format!("`ccc {command}` asks first, and nobody can answer"))
            .hint("to do it without being asked, add --yes to the same command"));
    }
    if trust::says_yes(question, context) { Ok(()) } else { Err(CliError::usage("nothing was changed")) }
}

/// Removes one agent, and says what is left.
///
/// # Errors
/// When it cannot be removed.
pub(super) fn removed(agent: &Agent, discard: bool, json: bool, context: &Context) -> Result<(), CliError> {
    let notes = removal::remove(agent, discard, context)?;
    let record = &agent.record;
    if json {
        context.printer.json(serde_json::json!({"id": record.id, "name": record.name, "notes": notes}));
        return Ok(());
    }
    context.printer.line(format_args!("removed {} ({})", record.name, record.id));
    for note in notes {
        context.printer.talk(note);
    }
    Ok(())
}
