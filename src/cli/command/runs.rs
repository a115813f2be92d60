//! `ccc runs`.

use std::path::Path;

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::conduct::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::journal::{RunDir, RunKind, RunLock, RunSummary};
use crate::ui::{clean, columns, format};

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
    let zone = TimeZone::system();
    if !list.runs.is_empty() {
        let heading = in_columns(["RUN", "STATE", "STARTED", "ITER", "COST"]);
        // A pipe gets the whole directory, a terminal its name, which fits.
        context.printer.line(match context.printer.columns() {
            None => format!("{heading}  DIRECTORY  TASK"),
            Some(columns) => columns::cut(&format!("{heading}  DIRECTORY: TASK"), usize::from(columns)),
        });
    }
    for (dir, run) in &list.runs {
        let state = match run.outcome {
            Some(outcome) => outcome.as_str().to_owned(),
            None if matches!(RunLock::holder(&dir.lock()), Ok(Some(_))) => run.phase.clone(),
            // Nobody holds it: its ccc died.
            None => "died".to_owned(),
        };
        let mark = match (run.kind, run.demo) {
            (Some(RunKind::Command), _) => "[command] ",
            (_, Some(true)) => "[demo] ",
            _ => "",
        };
        let cost = format::money(run.cost_usd);
        let started = format::date_and_time(run.started_unix_ms, &zone);
        let row = [dir.id(), &state, &started, &run.iteration.to_string(), &cost];
        let task = clean::one_line(&run.task, TASK_CHARS);
        let cwd = clean::one_line(&run.cwd, 200);
        context.printer.line(match context.printer.columns() {
            None => format!("{}  {cwd}  {mark}{task}", in_columns(row)),
            Some(columns) => {
                let place = Path::new(&cwd).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
                columns::cut(&format!("{}  {mark}{place}: {task}", in_columns(row)), usize::from(columns))
            }
        });
    }
    Ok(ExitCode::COMPLETED)
}

fn in_columns([id, state, started, iterations, cost]: [&str; 5]) -> String {
    format!("{id:<20}  {state:<11}  {started:<16}  {iterations:>4}  {cost:>8}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::seen::Seen;

    #[test]
    fn the_list_has_a_heading_marks_what_is_no_agents_task_and_fits_the_terminal() {
        let state = tempfile::tempdir().expect("a directory");
        let of = |id: &str, fields: &str| {
            let dir = RunDir::create(state.path(), id).expect("a run");
            let json = format!(
                r#"{{"version":1,"id":"{id}","task":"{}","cwd":"/home/u/shop","pid":1,"started_unix_ms":0,"updated_unix_ms":0,
                "phase":"working","iteration":2,"restarts":0,"rotations":0,"waited_ms":0{fields}}}"#,
                "do a lot of it ".repeat(10)
            );
            std::fs::write(dir.summary(), json).expect("written");
        };
        of("20261120-191822-aaaa", "");
        of("20261121-191822-bbbb", r#","demo":true"#);
        of("20261122-191822-cccc", r#","kind":"command""#);
        let told = |columns| {
            let seen = Seen::default();
            run(RunsArgs { json: false }, &seen.context(state.path(), columns)).expect("listed");
            seen.text().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (columns, shown) in [(Some(80), told(Some(80))), (None, told(None))] {
            assert!(shown[0].starts_with("RUN ") && shown[0].contains("STARTED"), "{shown:#?}");
            assert!(shown[1].contains("[command] ") && shown[2].contains("[demo] "), "{shown:#?}");
            assert!(shown[3].contains("died") && !shown[3].contains('['), "{shown:#?}");
            assert!(columns.is_none() || shown.iter().all(|line| columns::of(line) <= 80), "{shown:#?}");
        }
    }
}
