//! `ccc runs`.

use std::path::Path;

use clap::Args;
use jiff::tz::TimeZone;

use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::journal::{FileLock, RunDir, RunKind, RunSummary, Word};
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
    let zone = crate::cli::zone::of_process();
    let rows: Vec<Row> = list.runs.iter().map(|(dir, run)| Row::of(dir, run, &zone)).collect();
    if !rows.is_empty() {
        for line in table(&rows, context.printer.columns()) {
            context.printer.line(line);
        }
    }
    Ok(ExitCode::COMPLETED)
}

/// From this width on a terminal has room for the local time of the start, which the id tells in UTC.
const STARTED_COLUMNS_MIN: u16 = 110;

/// What is said of one run.
struct Row {
    id: String,
    state: String,
    started: String,
    iterations: String,
    cost: String,
    mark: String,
    cwd: String,
    task: String,
}

impl Row {
    fn of(dir: &RunDir, run: &RunSummary, zone: &TimeZone) -> Row {
        let state = match &run.outcome {
            Some(Word::Known(outcome)) => outcome.in_words().to_owned(),
            Some(Word::Other(outcome)) => outcome.clone(),
            None if matches!(FileLock::holder(&dir.lock()), Ok(Some(_))) => run.phase.clone(),
            // Nobody holds it: its ccc died.
            None => "died".to_owned(),
        };
        Row {
            id: dir.id().to_owned(),
            state: clean::one_line(&state, 20),
            started: format::date_and_time(run.started_unix_ms, zone),
            iterations: run.iteration.to_string(),
            cost: format::money(run.cost_usd),
            mark: match (&run.kind, run.demo) {
                (Some(Word::Known(RunKind::Command)), _) => "[command] ".to_owned(),
                (Some(Word::Other(kind)), _) => format!("[{}] ", clean::one_line(kind, 20)),
                (_, Some(true)) => "[demo] ".to_owned(),
                _ => String::new(),
            },
            cwd: clean::one_line(&run.cwd, 200),
            task: clean::one_line(&run.task, TASK_CHARS),
        }
    }

    /// The directory and the task: a pipe gets the whole directory, a terminal its name.
    fn what(&self, columns: Option<u16>) -> String {
        let Row { mark, cwd, task, .. } = self;
        if columns.is_none() {
            return format!("{cwd}  {mark}{task}");
        }
        let place = Path::new(cwd).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        format!("{mark}{place}: {task}")
    }
}

/// The heading and a line each. Columns are as wide as what stands in them, so that directory and task have the rest.
fn table(rows: &[Row], columns: Option<u16>) -> Vec<String> {
    let with_start = columns.is_none_or(|columns| columns >= STARTED_COLUMNS_MIN);
    let widest = |heading: &str, of: fn(&Row) -> &str| {
        rows.iter().map(|row| columns::of(of(row))).chain([columns::of(heading)]).max().unwrap_or_default()
    };
    let (id, state) = (widest("RUN", |row| &row.id), widest("STATE", |row| &row.state));
    let started = widest("STARTED", |row| &row.started);
    let (iterations, cost) = (widest("ITER", |row| &row.iterations), widest("COST", |row| &row.cost));
    let line = |cells: [&str; 5], what: &str| {
        let [a, b, c, d, e] = cells;
        let start = if with_start { format!("{c:<started$}  ") } else { String::new() };
        let line = format!("{a:<id$}  {b:<state$}  {start}{d:>iterations$}  {e:>cost$}  {what}");
        columns.map_or_else(|| line.clone(), |columns| columns::cut(&line, usize::from(columns)))
    };
    let what = if columns.is_none() { "DIRECTORY  TASK" } else { "DIRECTORY: TASK" };
    let heading = line(["RUN", "STATE", "STARTED", "ITER", "COST"], what);
    let lines = rows.iter().map(|row| {
        let cells = [&row.id, &row.state, &row.started, &row.iterations, &row.cost].map(String::as_str);
        line(cells, &row.what(columns))
    });
    std::iter::once(heading).chain(lines).collect()
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
        // A newer ccc's.
        of("20261119-191822-dddd", r#","kind":"fleet","outcome":"dreamt","mood":[1]"#);
        let told = |columns: Option<u16>| {
            let seen = Seen::default();
            run(RunsArgs { json: false }, &seen.context(state.path(), columns)).expect("listed");
            seen.text().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (columns, shown) in [(Some(80), told(Some(80))), (Some(120), told(Some(120))), (None, told(None))] {
            // The id tells the start too: a narrow terminal has no room for it twice.
            let tells_start = columns.is_none_or(|columns: u16| columns > 80);
            assert!(shown[0].starts_with("RUN ") && shown[0].contains("STARTED") == tells_start, "{shown:#?}");
            let what = shown[3].split_once("shop").expect("the directory").1;
            assert!(what.trim_start_matches(": ").starts_with("  do a lot") || columns::of(what) >= 25, "{shown:#?}");
            assert!(shown[1].contains("[command] ") && shown[2].contains("[demo] "), "{shown:#?}");
            assert!(shown[4].contains("dreamt") && shown[4].contains("[fleet] "), "{shown:#?}");
            assert!(shown[3].contains("died") && !shown[3].contains('['), "{shown:#?}");
            assert!(
                shown.iter().all(|line| columns.is_none_or(|columns: u16| columns::of(line) <= usize::from(columns))),
                "{shown:#?}"
            );
        }
    }
}
