//! `ccc runs prune`.

use std::str::FromStr;

use clap::Args;

use super::super::kill::agreed;
use crate::cli::pruning::{self, Chosen, Goes};
use crate::cli::{CliError, Context, ExitCode, inside, zone};
use crate::config::{Flags, MemorySize, Span};
use crate::driver;
use crate::retention::{Remover, Rule};
use crate::ui::{clean, columns, format};

/// How many runs are listed before the question.
const LISTED: usize = 20;

/// Remove old runs: their journals and reports, and their checkpoints in the repository.
///
/// Without --older-than, --keep and --max-size the settings `retention.max_age` and `retention.keep` say which. A run that is not
/// finished is never removed: one that is at work, queued or died, one whose worktree stands, and one that ended less than 30 days
/// ago and can be continued. What was saved under refs/ccc/salvage/ and the branches of agents stay.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PruneArgs {
    /// Remove only runs that were last at work longer ago than this, such as 30d.
    #[arg(long, value_name = "AGE")]
    pub older_than: Option<Span>,

    /// Keep this many of the newest runs. Runs that are not finished count, too.
    #[arg(long, value_name = "N")]
    pub keep: Option<usize>,

    /// Remove the oldest runs until all together take no more than this, such as 500M or 2G.
    #[arg(long, value_name = "SIZE")]
    pub max_size: Option<Bytes>,

    /// Only say what would be removed.
    #[arg(long)]
    pub dry_run: bool,

    /// Do not ask.
    #[arg(long, short)]
    pub yes: bool,

    /// Print one JSON object for each run.
    #[arg(long)]
    pub json: bool,
}

/// A size of files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Bytes, String> {
        match text.parse() {
            Ok(MemorySize::Bytes(bytes)) => Ok(Bytes(bytes)),
            Ok(MemorySize::Percent(_)) | Err(_) => Err("write a size such as 500M, 2G or 1.5G".to_owned()),
        }
    }
}

/// Removes the runs.
///
/// # Errors
/// When nobody agrees, the state directory cannot be read, or a run cannot be removed.
pub(super) fn run(args: &PruneArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("runs prune", context)?;
    let rule = match (args.older_than, args.keep, args.max_size) {
        (None, None, None) => pruning::rule_of(&context.settings(Flags::default())?.settings),
        (older_than, keep, max_size) => Rule {
            older_than_ms: older_than.map(Span::as_ms),
            keep: keep.unwrap_or(0),
            max_bytes: max_size.map(|size| size.0),
        },
    };
    let chosen = pruning::choose(&rule, context)?;
    if chosen.go.is_empty() || args.dry_run {
        for goes in chosen.go.iter().filter(|_| args.json) {
            context.printer.json(json(goes, false, 0));
        }
        if !args.json {
            list(&chosen, usize::MAX, context);
            tell_rest(&chosen, &rule, context);
        }
        return Ok(ExitCode::COMPLETED);
    }
    if !args.yes && !args.json {
        list(&chosen, LISTED, context);
        tell_rest(&chosen, &rule, context);
    }
    let bytes = format::bytes(chosen.go.iter().map(|goes| goes.bytes).sum());
    let runs = format::count(chosen.go.len(), "run");
    agreed(args.yes, &format!("Remove {runs} ({bytes}) with their checkpoints?"), "runs prune", context)?;
    remove(&chosen, args.json, context)
}

fn remove(chosen: &Chosen, as_json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let git = pruning::git(context)?;
    let remover = Remover::new(&context.dirs()?.state, &git).map_err(|error| pruning::error_of(&error))?;
    let mut failed = Vec::new();
    let (_, left) = remover.complete();
    for error in left {
        let error = pruning::error_of(&error);
        context.printer.error(&error.message, error.hint.as_deref());
    }
    for goes in &chosen.go {
        match remover.remove(&goes.run.dir, driver::unix_ms()) {
            Ok(removed) => {
                if as_json {
                    context.printer.json(json(goes, true, removed.checkpoints));
                } else {
                    context.printer.line(pruning::in_words(&removed));
                }
                if let Some(note) = pruning::note(&removed) {
                    context.printer.talk(note);
                }
            }
            Err(error) => {
                let error = pruning::error_of(&error);
                context.printer.error(&error.message, error.hint.as_deref());
                failed.push(goes.run.dir.id());
            }
        }
    }
    CliError::unless_none("not removed", &failed)
}

fn json(goes: &Goes, removed: bool, checkpoints: usize) -> serde_json::Value {
    serde_json::json!({
        "id": goes.run.dir.id(),
        "why": goes.why.as_str(),
        "last_unix_ms": goes.run.last_unix_ms,
        "bytes": goes.bytes,
        "removed": removed,
        "checkpoints": removed.then_some(checkpoints),
    })
}

/// Lists the runs that go.
fn list(chosen: &Chosen, most: usize, context: &Context) {
    let zone = zone::of_process();
    for goes in chosen.go.iter().take(most) {
        let task = goes.run.finished.as_ref().map_or("", |summary| summary.task.as_str());
        let when = format::date(goes.run.last_unix_ms, &zone);
        let line =
            format!("{}  {when}  {:>10}  {}", goes.run.dir.id(), format::bytes(goes.bytes), clean::one_line(task, 200));
        let columns = context.printer.columns();
        context.printer.line(columns.map_or_else(|| line.clone(), |columns| columns::cut(&line, columns.into())));
    }
    if let more @ 1.. = chosen.go.len().saturating_sub(most) {
        context.printer.line(format_args!("and {}", format::count(more, "older run")));
    }
    if chosen.go.is_empty() {
        context.printer.line("no run is to be removed");
    }
}

/// Says which runs stay.
fn tell_rest(chosen: &Chosen, rule: &Rule, context: &Context) {
    if chosen.kept > 0 {
        context.printer.talk(format_args!("kept: {}", format::count(chosen.kept, "finished run")));
    }
    for (why, number) in &chosen.unfinished {
        context.printer.talk(format_args!("kept: {} {}", format::count(*number, "run"), why.in_words()));
    }
    if rule.keep > 0 && !chosen.unfinished.is_empty() {
        let newest = format::count(rule.keep, "newest run");
        context.printer.talk(format_args!("the {newest} are kept; those that are not finished count among them"));
    }
}
