//! `ccc gc`.

use clap::Args;

use crate::cli::agent::record_error;
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode, agent_tree, inside, removal};
use crate::core::Outcome;
use crate::fleet::{Agent, Roster, State};
use crate::journal::Word;

/// Remove the working trees that are needed no more.
///
/// These are the trees of agents that have completed and whose work is merged, and what was left by a removal that was
/// interrupted. Nothing is lost: what is not merged stays, or is kept under refs/ccc/salvage/.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct GcArgs {
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,

    /// Print one JSON object for each agent.
    #[arg(long)]
    pub json: bool,
}

/// Removes what is needed no more.
///
/// # Errors
/// When the state directory cannot be read, or something cannot be removed.
pub fn run(args: GcArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("gc", context)?;
    let roster = Roster::read_all(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    for (_, error) in &roster.damaged {
        let error = record_error(error);
        context.printer.warn(error.message);
    }
    let mut failed = Vec::new();
    for agent in roster.agents.iter().filter(|agent| agent.record.tree.is_some()) {
        let why = match needless(agent, context) {
            Ok(Some(why)) => why,
            Ok(None) => continue,
            Err(error) => {
                context.printer.warn(error);
                continue;
            }
        };
        let name = &agent.record.name;
        let notes = if args.dry_run { Ok(Vec::new()) } else { removal::clear(agent, context) };
        match notes {
            Ok(notes) if args.json => context.printer.json(serde_json::json!({
                "id": agent.record.id, "name": name, "why": why, "removed": !args.dry_run, "notes": notes,
            })),
            Ok(notes) => {
                let what = if args.dry_run { "would remove" } else { "removed" };
                context.printer.line(format_args!("{what} the worktree of {name}: {why}"));
                for note in notes {
                    context.printer.talk(note);
                }
            }
            Err(error) => {
                context.printer.error(&error.message, error.hint.as_deref());
                failed.push(name.as_str());
            }
        }
    }
    if failed.is_empty() {
        return Ok(ExitCode::COMPLETED);
    }
    Err(CliError::new(ErrorKind::Failed, format!("not removed: {}", failed.join(", "))))
}

/// Why the working tree of an agent is needed no more; `None` if it is needed.
fn needless(agent: &Agent, context: &Context) -> Result<Option<&'static str>, CliError> {
    if agent.state.is_active() {
        return Ok(None);
    }
    if agent.record.removed_unix_ms.is_some() {
        return Ok(agent_tree::is_known(&agent.record, context)?.then_some("the agent was removed"));
    }
    let is_completed = matches!(&agent.state, State::Ended(Word::Known(Outcome::Completed)));
    let Some(tree) = agent.record.tree.as_ref().filter(|_| is_completed) else { return Ok(None) };
    if !agent_tree::is_known(&agent.record, context)? {
        return Ok(None);
    }
    Ok(agent_tree::is_merged(&agent.record, tree, context)?.then_some("its work is merged"))
}
