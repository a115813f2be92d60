//! `ccc runs`.

use std::collections::BTreeMap;
use std::path::Path;

use clap::Args;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::cli::standing::{self, OpenRequest, Standing};
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::fleet::State;
use crate::journal::{FileLock, RunDir, RunKind, RunSummary, Word};
use crate::ui::{clean, columns, format};

/// How many characters of a task are shown.
const TASK_CHARS: usize = 60;

/// List the runs, the newest first: id, state or outcome, start, iterations, cost, directory and task.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct RunsArgs {
    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,

    /// List only the active runs, with their current state: whether they can be reached, and what they ask.
    #[arg(long)]
    pub live: bool,
}

/// Lists the runs.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: RunsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let mut list = RunDir::list(&context.dirs()?.state).map_err(|error| state_error(&error))?;
    for (_, error) in &list.damaged {
        context.printer.warn(error);
    }
    if args.live {
        list.runs.retain(|(dir, _)| matches!(FileLock::holder(&dir.lock()), Ok(Some(_))));
    }
    let mut standing =
        if args.live { standing::ask_all(list.runs.iter().map(|(dir, _)| dir)) } else { BTreeMap::new() };
    if args.json {
        let listed: Vec<Listed<'_>> =
            list.runs.iter().map(|(dir, summary)| Listed { summary, live: standing.remove(dir.id()) }).collect();
        let text = serde_json::to_string_pretty(&listed)
            .map_err(|error| CliError::new(ErrorKind::Failed, error.to_string()))?;
        context.printer.json(text);
        return Ok(ExitCode::COMPLETED);
    }
    if list.runs.is_empty() && args.live {
        context.printer.talk("no run is active");
    } else if list.runs.is_empty() {
        context.printer.talk("no runs yet; to start one: ccc --supervisor -p \"TASK\"");
    }
    let zone = crate::cli::zone::of_process();
    let rows = list.runs.iter().map(|(dir, run)| Row::of(dir, run, &zone).standing(standing.get(dir.id())));
    let rows: Vec<Row> = rows.collect();
    if !rows.is_empty() {
        for line in table(&rows, context.printer.columns()) {
            context.printer.line(line);
        }
    }
    Ok(ExitCode::COMPLETED)
}

/// A terminal of at least this width has room for the local time of the start. The id has the time in UTC.
const STARTED_COLUMNS_MIN: u16 = 110;

/// One run in JSON: its summary, and the state that the run reports.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(flatten)]
    summary: &'a RunSummary,
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<Standing>,
}

/// One run in the list.
#[derive(Default)]
struct Row {
    id: String,
    state: String,
    started: String,
    iterations: String,
    cost: String,
    mark: String,
    cwd: String,
    task: String,
    /// What it asks.
    open: Vec<OpenRequest>,
}

impl Row {
    fn of(dir: &RunDir, run: &RunSummary, zone: &TimeZone) -> Row {
        let state = State::of(dir, Some(run));
        Row {
            id: dir.id().to_owned(),
            state: clean::one_line(state.in_words(), 20),
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
            open: Vec::new(),
        }
    }

    /// The row with the state that the run itself reports.
    fn standing(mut self, live: Option<&Standing>) -> Row {
        let Some(live) = live else { return self };
        if !live.reachable {
            self.state = format!("{}, unreachable", self.state);
        } else if live.open.is_empty() && live.rests {
            State::Ready.in_words().clone_into(&mut self.state);
        }
        self.open.clone_from(&live.open);
        self
    }

    /// The state and what is asked. In a terminal what is asked stands below, because the other columns need the room.
    fn state(&self, columns: Option<u16>) -> String {
        let asks = |of: fn(&OpenRequest) -> String| self.open.iter().map(of).collect::<Vec<_>>();
        match columns {
            _ if self.open.is_empty() => self.state.clone(),
            Some(_) => format!("asks {}", asks(|open| open.number.to_string()).join(", ")),
            None => {
                format!("{}, asks {}", self.state, asks(|open| format!("{}: {}", open.number, open.about)).join("; "))
            }
        }
    }

    /// The rows below that say what is asked; none without a terminal.
    fn asked(&self, columns: Option<u16>) -> Vec<String> {
        let Some(columns) = columns else { return Vec::new() };
        let row = |open: &OpenRequest| columns::cut(&format!("    {}: {}", open.number, open.about), columns.into());
        self.open.iter().map(row).collect()
    }

    /// The directory and the task. A pipe gets the full path, a terminal the directory's name.
    fn what(&self, columns: Option<u16>) -> String {
        let Row { mark, cwd, task, .. } = self;
        if columns.is_none() {
            return format!("{cwd}  {mark}{task}");
        }
        let place = Path::new(cwd).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        format!("{mark}{place}: {task}")
    }
}

/// The heading and one line for each run. Columns are as wide as their widest value, and directory and task get the
/// rest.
fn table(rows: &[Row], columns: Option<u16>) -> Vec<String> {
    let with_start = columns.is_none_or(|columns| columns >= STARTED_COLUMNS_MIN);
    let widest = |heading: &str, of: fn(&Row) -> &str| {
        rows.iter().map(|row| columns::of(of(row))).chain([columns::of(heading)]).max().unwrap_or_default()
    };
    let states: Vec<String> = rows.iter().map(|row| row.state(columns)).collect();
    let state = states.iter().map(|state| columns::of(state)).chain(["STATE".len()]).max().unwrap_or_default();
    let id = widest("RUN", |row| &row.id);
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
    let lines = rows.iter().zip(&states).flat_map(|(row, state)| {
        let cells = [&row.id, state, &row.started, &row.iterations, &row.cost].map(String::as_str);
        std::iter::once(line(cells, &row.what(columns))).chain(row.asked(columns))
    });
    std::iter::once(heading).chain(lines).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;

    #[test]
    fn what_a_run_asks_takes_no_room_from_the_columns_of_a_terminal() {
        let request = |number, about: &str| OpenRequest { number, about: about.to_owned(), ..OpenRequest::default() };
        let long = "Bash cargo test --workspace --all-features -- --nocapture and more";
        let live = Standing {
            reachable: true,
            open: vec![request(4, long), request(5, "Write a.txt")],
            ..Standing::default()
        };
        let row = || Row {
            id: "20261120-191822-aaaa".to_owned(),
            state: "working".to_owned(),
            iterations: "2".to_owned(),
            cost: "$0.12".to_owned(),
            cwd: "/home/u/shop".to_owned(),
            task: "do it".to_owned(),
            ..Row::default()
        };
        for width in [40, 60, 80, 120] {
            let lines = table(&[row().standing(Some(&live))], Some(width));
            assert!(lines.iter().all(|line| columns::of(line) <= usize::from(width)), "{width}: {lines:#?}");
            assert_eq!(lines.len(), 4, "{lines:#?}");
            assert!(lines[1].contains("asks 4, 5") && lines[3] == "    5: Write a.txt", "{lines:#?}");
            assert!(width < 80 || lines[1].ends_with("2  $0.12  shop: do it"), "{lines:#?}");
        }
        let piped = table(&[row().standing(Some(&live))], None);
        assert!(piped.len() == 2 && piped[1].contains("working, asks 4: Bash cargo"), "{piped:#?}");
        let rests = Standing { reachable: true, rests: true, ..Standing::default() };
        assert!(table(&[row().standing(Some(&rests))], None)[1].contains("  ready  "));
    }

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
        // A run of a newer ccc.
        of("20261119-191822-dddd", r#","kind":"fleet","outcome":"dreamt","mood":[1]"#);
        let told = |columns: Option<u16>| {
            let seen = Captured::default();
            run(RunsArgs { json: false, live: false }, &seen.context(state.path(), columns)).expect("listed");
            seen.text().lines().map(str::to_owned).collect::<Vec<_>>()
        };
        for (columns, shown) in [(Some(80), told(Some(80))), (Some(120), told(Some(120))), (None, told(None))] {
            // A narrow terminal has no room for the start, which the id has too.
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
