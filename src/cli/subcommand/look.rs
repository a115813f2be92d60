//! `ccc look RUN`.

use clap::Args;

use super::follow::{self, FollowArgs};
use crate::cli::event_printer::EventPrinter;
use crate::cli::{CliError, Context, ExitCode, inside, notifying, standing, steer};
use crate::fleet::{AgentRecord, State};
use crate::journal::RunSummary;

/// Show the latest of what an agent or another run has done.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct LookArgs {
    /// Its name, its id, or the beginning of either; without it, the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// Show what comes, too, until the run ends.
    #[arg(long, short)]
    pub follow: bool,

    /// How many lines to show.
    #[arg(long, short = 'n', value_name = "N", default_value_t = 40)]
    pub lines: usize,

    /// Print events as JSON objects instead of lines.
    #[arg(long)]
    pub json: bool,
}

/// Shows the lines.
///
/// # Errors
/// When there is no such run, or its journal cannot be read.
pub fn run(args: LookArgs, context: &Context) -> Result<ExitCode, CliError> {
    let run = steer::find_begun_or_last(args.run.as_deref(), context)?;
    inside::may_read(&run, "look", context)?;
    notifying::deliver_left_of_ended(&run, context);
    let mut printer = EventPrinter::new(&run, args.json, context);
    let summary = RunSummary::read(&run.summary()).ok();
    if let Some(summary) = &summary {
        printer.in_directory(&summary.cwd);
    }
    printer.only_last(args.lines);
    // A run that is being set up has no journal yet.
    if run.journal().exists() {
        printer.history(None, None)?;
    }
    let is_active = State::of(&run, summary.as_ref()).is_active();
    if is_active && !args.json {
        let name = AgentRecord::read(&run).ok().flatten().map(|record| record.name);
        // The lines above have only what is asked.
        for open in standing::ask(&run).open {
            context.printer.line(format_args!("to answer request {}: {}", open.number, open.about));
            for row in open.rows(name.as_deref().unwrap_or(run.id())) {
                context.printer.line(row);
            }
        }
    }
    if args.follow && is_active {
        let since = Some(printer.told_until());
        return follow::run(FollowArgs { run: run.id().to_owned(), json: args.json, words: false, since }, context);
    }
    if printer.has_finish() && !args.json {
        printer.end(None);
    }
    Ok(ExitCode::COMPLETED)
}
