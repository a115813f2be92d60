//! The table of runs.

use std::path::Path;

use jiff::tz::TimeZone;

use crate::cli::standing::{OpenRequest, Standing};
use crate::fleet::{AgentRecord, State};
use crate::journal::{RunDir, RunKind, RunSummary, Word};
use crate::ui::{clean, columns, format};

/// How many characters of a task are shown in a pipe. A terminal shows as many as it has room for.
const TASK_CHARS: usize = 60;
/// A terminal of at least this width has room for the local time of the start. The id has the time in UTC.
const STARTED_COLUMNS_MIN: u16 = 110;
/// A terminal of at least this width has room for iterations and cost.
const SUMS_COLUMNS_MIN: u16 = 72;

/// One run in the list.
#[derive(Default)]
pub(super) struct Row {
    id: String,
    state: String,
    started: String,
    iterations: String,
    cost: String,
    mark: String,
    cwd: String,
    /// The name of an agent's project and its own; empty for other runs.
    agent: String,
    task: String,
    /// What it asks.
    open: Vec<OpenRequest>,
}

impl Row {
    pub(super) fn of(dir: &RunDir, run: &RunSummary, columns: Option<u16>, zone: &TimeZone) -> Row {
        let state = State::of(dir, Some(run));
        let agent = AgentRecord::read(dir).ok().flatten().map(|record| {
            let project = record.project.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
            clean::one_line(&format!("{project} ({})", record.name), 60)
        });
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
            agent: agent.unwrap_or_default(),
            task: clean::one_line(&run.task, columns.map_or(TASK_CHARS, usize::from)),
            open: Vec::new(),
        }
    }

    /// The row with the state that the run itself reports.
    pub(super) fn standing(mut self, live: Option<&Standing>) -> Row {
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

    /// The directory and the task. A pipe gets the full path, a terminal the directory's name; of an agent that of its project,
    /// because its own working tree has the name of the run.
    fn what(&self, columns: Option<u16>) -> String {
        let Row { mark, cwd, agent, task, .. } = self;
        if columns.is_none() {
            return format!("{cwd}  {mark}{task}");
        }
        if !agent.is_empty() {
            return format!("{mark}{agent}: {task}");
        }
        let place = Path::new(cwd).file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        format!("{mark}{place}: {task}")
    }
}

/// The heading and one line for each run. Columns are as wide as their widest value, and directory and task get the
/// rest.
pub(super) fn table(rows: &[Row], columns: Option<u16>) -> Vec<String> {
    let with_start = columns.is_none_or(|columns| columns >= STARTED_COLUMNS_MIN);
    let with_sums = columns.is_none_or(|columns| columns >= SUMS_COLUMNS_MIN);
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
        let sums = if with_sums { format!("{d:>iterations$}  {e:>cost$}  ") } else { String::new() };
        let line = format!("{a:<id$}  {b:<state$}  {start}{sums}{what}");
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
    use crate::fleet::Role;

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
        of("20261123-191822-ffff", "");
        let agent = RunDir::at(state.path(), "20261123-191822-ffff").expect("a run");
        let project = Path::new("/home/u/shop");
        AgentRecord::new(agent.id(), "login", Role::Worker, 0, project).write(&agent).expect("written");
        // A run of a newer ccc.
        of("20261119-191822-dddd", r#","kind":"fleet","outcome":"dreamt","mood":[1]"#);
        let told = |columns: Option<u16>| {
            let list = RunDir::list(state.path()).expect("listed");
            let zone = TimeZone::UTC;
            let rows: Vec<Row> = list.runs.iter().map(|(dir, run)| Row::of(dir, run, columns, &zone)).collect();
            table(&rows, columns)
        };
        for (columns, shown) in [(Some(80), told(Some(80))), (Some(120), told(Some(120))), (None, told(None))] {
            // A narrow terminal has no room for the start, which the id has too.
            let tells_start = columns.is_none_or(|columns: u16| columns > 80);
            assert!(shown[0].starts_with("RUN ") && shown[0].contains("STARTED") == tells_start, "{shown:#?}");
            let what = shown[4].split_once("shop").expect("the directory").1;
            assert!(what.trim_start_matches(": ").starts_with("  do a lot") || columns::of(what) >= 25, "{shown:#?}");
            assert!(shown[2].contains("[command] ") && shown[3].contains("[demo] "), "{shown:#?}");
            assert!(shown[5].contains("dreamt") && shown[5].contains("[fleet] "), "{shown:#?}");
            assert!(shown[4].contains("died") && !shown[4].contains('['), "{shown:#?}");
            assert!(columns.is_none() || shown[1].contains("shop (login): do a lot"), "{shown:#?}");
            assert!(columns.is_none() || shown[1..].iter().all(|row| row.ends_with('…')), "{shown:#?}");
            assert!(
                shown.iter().all(|line| columns.is_none_or(|columns: u16| columns::of(line) <= usize::from(columns))),
                "{shown:#?}"
            );
        }
    }
}
