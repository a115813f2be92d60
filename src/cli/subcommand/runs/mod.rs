//! `ccc runs`.

mod filter;
mod prune;
mod table;

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use serde::Serialize;

use self::filter::Here;
pub(in crate::cli) use self::filter::Outcomes;
use self::prune::PruneArgs;
use self::table::{Row, table};
use super::report::Since;
use crate::cli::standing::{self, Standing};
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ExitCode, pager, pruning, zone};
use crate::config::Flags;
use crate::driver;
use crate::journal::{FileLock, RunDir, RunSummary};

/// List the runs, the newest first: id, state or outcome, start, iterations, cost, directory and task.
///
/// At a terminal a list that does not fit on the screen is shown by your pager (PAGER, or less).
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
pub struct RunsArgs {
    /// List only the runs of the repository here, in all its working trees; without a repository, those of the current directory
    /// and all below it.
    #[arg(long)]
    pub here: bool,

    /// List only the runs with this outcome, such as completed, needs_user or died; may be given several times.
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub outcome: Vec<String>,

    /// List only the runs that were at work since then: `today`, `yesterday`, a date such as 2026-11-27, or how long ago, such as
    /// 12h or 7d.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<Since>,

    /// List only the active runs, with their current state: whether they can be reached, and what they ask.
    #[arg(long)]
    pub live: bool,

    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,

    /// Do not use a pager.
    #[arg(long)]
    pub no_pager: bool,

    /// Something else than the list.
    #[command(subcommand)]
    pub command: Option<RunsCommand>,
}

/// What `ccc runs` does besides listing.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
#[allow(missing_docs, reason = "the struct of each command's arguments has its text")]
pub enum RunsCommand {
    #[command(about = "Remove old runs, with their checkpoints")]
    Prune(PruneArgs),
}

/// Lists the runs.
///
/// # Errors
/// When the state directory cannot be read, or an outcome is unknown.
pub fn run(args: RunsArgs, context: &Context) -> Result<ExitCode, CliError> {
    if let Some(RunsCommand::Prune(args)) = args.command {
        return prune::run(&args, context);
    }
    let mut list = RunDir::list(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    for (_, error) in &list.damaged {
        context.printer.warn(error);
    }
    let any = !list.runs.is_empty();
    keep_wanted(&args, &mut list.runs, context)?;
    let mut standing =
        if args.live { standing::ask_all(list.runs.iter().map(|(dir, _)| dir)) } else { BTreeMap::new() };
    if args.json {
        let listed: Vec<Listed<'_>> =
            list.runs.iter().map(|(dir, summary)| Listed { summary, live: standing.remove(dir.id()) }).collect();
        return context.printer.only_json(&listed);
    }
    if list.runs.is_empty() {
        context.printer.talk(match (any, args.live) {
            (_, true) => "no run is active",
            (true, false) => "no run is like that; to list all: ccc runs",
            (false, false) => "no runs yet; to start one: ccc --supervisor -p \"TASK\"",
        });
        return Ok(ExitCode::COMPLETED);
    }
    let (zone, columns) = (zone::of_process(), context.printer.columns());
    let row = |(dir, run): &(RunDir, RunSummary)| Row::of(dir, run, columns, &zone).standing(standing.get(dir.id()));
    let rows: Vec<Row> = list.runs.iter().map(row).collect();
    let mut lines = table(&rows, columns);
    if columns.is_some()
        && let Ok(resolved) = context.settings(Flags::default())
    {
        lines.extend(pruning::told(&resolved.settings, context));
    }
    pager::show(&lines, !args.no_pager, context);
    Ok(ExitCode::COMPLETED)
}

/// Drops the runs that the user does not want to see.
fn keep_wanted(args: &RunsArgs, runs: &mut Vec<(RunDir, RunSummary)>, context: &Context) -> Result<(), CliError> {
    let outcomes = Outcomes::named(&args.outcome, runs)?;
    if args.live {
        runs.retain(|(dir, _)| is_held(dir));
    }
    if let Some(since) = args.since {
        let since_unix_ms = since.unix_ms(driver::unix_ms(), &zone::of_process());
        runs.retain(|(dir, run)| run.ended_unix_ms.unwrap_or(run.updated_unix_ms) >= since_unix_ms || is_held(dir));
    }
    runs.retain(|(dir, run)| outcomes.have(dir, run));
    if args.here {
        let mut here = Here::of(context)?;
        runs.retain(|(dir, run)| here.has(dir, run));
    }
    Ok(())
}

fn is_held(dir: &RunDir) -> bool {
    matches!(FileLock::holder(&dir.lock()), Ok(Some(_)))
}

/// One run in JSON: its summary, and the state that the run reports.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    summary: &'a RunSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Standing>,
}
