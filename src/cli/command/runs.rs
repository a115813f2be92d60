//! `ccc runs`.

use clap::Args;

use crate::cli::conduct::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::journal::{RunDir, RunLock, RunSummary};
use crate::ui::clean;

/// How much of a task one line shows, in characters.
const TASK_CHARS: usize = 60;

/// List the runs, the newest first: id, state or outcome, start, iterations, cost, directory and task.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunsArgs {
    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,
}

/// Lists the runs.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: RunsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let list = RunDir::list(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    for (_, error) in &list.damaged {
        context.printer.warn(error);
    }
    if args.json {
        let summaries: Vec<&RunSummary> = list.runs.iter().map(|(_, summary)| summary).collect();
        let text = serde_json::to_string_pretty(&summaries)
            .map_err(|error| CliError::new(ErrorKind::Failed, error.to_string()))?;
        context.printer.json(text);
        return Ok(ExitCode::COMPLETED);
    }
    if list.runs.is_empty() {
        context.printer.talk("no runs yet; begin one: ccc --supervisor -p \"TASK\"");
    }
    for (dir, run) in &list.runs {
        let state = match run.outcome {
            Some(outcome) => outcome.as_str().to_owned(),
            None if matches!(RunLock::holder(&dir.lock()), Ok(Some(_))) => run.phase.clone(),
            // Nobody holds it: its ccc died.
            None => "died".to_owned(),
        };
        let started = jiff::Timestamp::from_millisecond(run.started_unix_ms).map_or_else(
            |_| "unknown".to_owned(),
            |time| time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string(),
        );
        let cost = run.cost_usd.map_or_else(|| "unknown".to_owned(), |usd| format!("${usd:.2}"));
        context.printer.line(format_args!(
            "{}  {state:<11}  {started}  {:>3} it  {cost:>8}  {}  {}",
            dir.id(),
            run.iteration,
            clean::one_line(&run.cwd, 200),
            clean::one_line(&run.task, TASK_CHARS),
        ));
    }
    Ok(ExitCode::COMPLETED)
}
