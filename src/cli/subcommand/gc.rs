//! `ccc gc`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use crate::cli::agent::record_error;
use crate::cli::agent_tree::Unmade;
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ExitCode, agent_tree, inside, pruning, removal};
use crate::config::Flags;
use crate::core::Outcome;
use crate::driver;
use crate::fleet::{Agent, AgentRecord, Roster, State};
use crate::git::{Git, Repository};
use crate::journal::{RunDir, RunSummary, Word};
use crate::order::map_of;
use crate::retention::{Remover, orphans};
use crate::ui::format;

/// How old references of a run must be that is not there any more: it may belong to another state directory.
const ORPHAN_AGE_S: i64 = 90 * 24 * 60 * 60;

/// Why the working tree of an agent is needed no more that has done its work.
const MERGED: &str = "its work is merged";

/// Remove what is needed no more: working trees, old runs, and references of runs that are gone.
///
/// Working trees: of agents that have completed and whose work is merged, and what a removal that was interrupted has left. What is
/// not merged stays, or is kept under refs/ccc/salvage/. Runs: those that `retention.max_age` and `retention.keep` do not keep, as
/// `ccc runs prune` does. References: checkpoints and kept merges that are older than 90 days and whose run is gone, in the
/// repository here and in those of all runs.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct GcArgs {
    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,

    /// Print one JSON object for each thing that is removed.
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
        context.printer.warn(record_error(error).with_hint());
    }
    let mut failed = Vec::new();
    for agent in roster.agents.iter().filter(|agent| agent.record.tree.is_some()) {
        let why = match needless(agent, context) {
            Ok(Some(why)) => why,
            Ok(None) => continue,
            Err(error) => {
                context.printer.warn(format_args!("{}: {}", agent.record.name, error.with_hint()));
                continue;
            }
        };
        let name = &agent.record.name;
        let unmade = if args.dry_run { would_be_unmade(agent, why, context) } else { removal::clear(agent, context) };
        match unmade {
            Ok(Unmade { notes, deleted_branch }) if args.json => context.printer.json(serde_json::json!({
                "id": agent.record.id, "name": name, "why": why, "removed": !args.dry_run, "notes": notes,
                "branch": deleted_branch,
            })),
            Ok(Unmade { notes, deleted_branch }) => {
                let what = if args.dry_run { "would remove" } else { "removed" };
                let branch = deleted_branch.map(|branch| format!(" and its branch {branch}")).unwrap_or_default();
                context.printer.line(format_args!("{what} the worktree of {name}{branch}: {why}"));
                for note in notes {
                    context.printer.talk(note);
                }
            }
            Err(error) => {
                context.printer.error(&error.message, error.hint.as_deref());
                failed.push(name.clone());
            }
        }
    }
    let git = pruning::git(context)?;
    old_runs(&args, &git, &mut failed, context)?;
    references(&args, &git, &mut failed, context)?;
    CliError::unless_none("not removed", &failed)
}

/// What would become of the working tree of an agent that is removed for this reason.
fn would_be_unmade(agent: &Agent, why: &str, context: &Context) -> Result<Unmade, CliError> {
    let deleted_branch = match agent.record.tree.as_ref().filter(|_| why == MERGED) {
        Some(tree) => agent_tree::branch_that_would_go(&agent.record, tree, context)?,
        None => None,
    };
    Ok(Unmade { notes: Vec::new(), deleted_branch })
}

/// Removes the runs that the settings do not keep, and completes removals that were interrupted.
fn old_runs(args: &GcArgs, git: &Git, failed: &mut Vec<String>, context: &Context) -> Result<(), CliError> {
    let rule = pruning::rule_of(&context.settings(Flags::default())?.settings);
    let chosen = pruning::choose(&rule, context)?;
    if args.dry_run {
        for goes in &chosen.go {
            let id = goes.run.dir.id();
            if args.json {
                context.printer.json(serde_json::json!({"run": id, "bytes": goes.bytes, "removed": false}));
            } else {
                context.printer.line(format_args!("would remove run {id} ({})", format::bytes(goes.bytes)));
            }
        }
        return Ok(());
    }
    let remover = Remover::new(&context.dirs()?.state, git).map_err(|error| pruning::error_of(&error))?;
    let (mut removed, mut not_removed) = remover.complete();
    for goes in &chosen.go {
        match remover.remove(&goes.run.dir, driver::unix_ms()) {
            Ok(done) => removed.push(done),
            Err(error) => {
                failed.push(goes.run.dir.id().to_owned());
                not_removed.push(error);
            }
        }
    }
    for done in &removed {
        if args.json {
            let (id, bytes, checkpoints) = (&done.id, done.bytes, done.checkpoints);
            context.printer.json(serde_json::json!({
                "run": id, "bytes": bytes, "checkpoints": checkpoints, "removed": true,
            }));
        } else {
            context.printer.line(pruning::in_words(done));
        }
        if let Some(note) = pruning::note(done) {
            context.printer.talk(note);
        }
    }
    for error in &not_removed {
        let error = pruning::error_of(error);
        context.printer.error(&error.message, error.hint.as_deref());
    }
    Ok(())
}

/// Removes the references of runs that are gone.
fn references(args: &GcArgs, git: &Git, failed: &mut Vec<String>, context: &Context) -> Result<(), CliError> {
    let state = &context.dirs()?.state;
    let before_unix_s = driver::unix_ms() / 1_000 - ORPHAN_AGE_S;
    for (path, repository) in repositories(context)? {
        let place = repository.shared();
        let found = match orphans(git, &place, state, before_unix_s) {
            Ok(found) => found,
            // A repository that git does not read is no reason to leave the others as they are.
            Err(error) => {
                context.printer.warn(format_args!("{}: {error}", path.display()));
                continue;
            }
        };
        for orphan in found {
            if !args.dry_run
                && let Err(error) = orphan.remove(git, &place)
            {
                context.printer.error(format_args!("{}: {error}", path.display()), None);
                failed.push(format!("references of {}", orphan.run));
                continue;
            }
            let (run, number) = (&orphan.run, orphan.references.len());
            if args.json {
                context.printer.json(serde_json::json!({
                    "gone_run": run, "repository": path, "references": number, "removed": !args.dry_run,
                }));
            } else {
                let what = if args.dry_run { "would remove" } else { "removed" };
                let number = format::count(number, "reference");
                context
                    .printer
                    .line(format_args!("{what} {number} of run {run}, which is gone, in {}", path.display()));
            }
        }
    }
    Ok(())
}

/// The repository here, and those of all runs, by the directory that their working trees share.
fn repositories(context: &Context) -> Result<BTreeMap<PathBuf, Repository>, CliError> {
    let mut dirs = vec![context.cwd()?.to_owned()];
    for run in RunDir::unsorted(&context.dirs()?.state).map_err(|error| state_error(&error))? {
        match AgentRecord::read(&run) {
            Ok(Some(record)) => dirs.push(record.project),
            Ok(None) | Err(_) => {
                dirs.extend(RunSummary::read(&run.summary()).ok().map(|summary| PathBuf::from(summary.cwd)));
            }
        }
    }
    dirs.sort();
    dirs.dedup();
    let found = dirs.iter().filter_map(|dir| Repository::find(dir));
    Ok(map_of(found.map(|repository| (repository.dirs.common.clone(), repository))))
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
    Ok(agent_tree::is_merged(&agent.record, tree, context)?.then_some(MERGED))
}
