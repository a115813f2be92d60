//! How a list and its tasks stand: for `--status`, `--dry-run`, and at the end.

use std::path::Path;

use serde_json::{Value, json};

use super::looking::as_it_stands;
use crate::agenda::{End, EndWhy, GaveWay, Stage, Task};
use crate::cli::start::state_hint;
use crate::cli::{CliError, Context, ExitCode, zone};
use crate::core::{bound_in_words, shell};
use crate::driver;
use crate::fleet::State;
use crate::journal::{RunDir, RunSummary};
use crate::order::sort_by_key;
use crate::tasks::{NightDir, NightRecord};
use crate::ui::clean::one_line;
use crate::ui::format;

/// How many characters of a title or a reason are shown.
const SHOWN_CHARS: usize = 200;
/// The width of the longest word for a stage.
const STAGE_COLUMNS: usize = 12;

/// Shows how lists stand.
///
/// # Errors
/// When there is none, or it cannot be read.
pub(in crate::cli) fn status(file: Option<&Path>, json: bool, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let nights = match file {
        Some(file) => {
            let path = context.cwd()?.join(file);
            let night = NightDir::of_file(state, &path.canonicalize().unwrap_or(path));
            let record = read(&night)?.ok_or_else(|| none(&format!("ccc has not worked on {}", file.display())))?;
            vec![(night, record)]
        }
        None => latest(state)?,
    };
    if nights.is_empty() {
        return Err(none("ccc has not worked on any list"));
    }
    for (night, mut record) in nights {
        as_it_stands(&mut record.agenda, state, driver::unix_ms());
        let holder = night.holder().ok().flatten();
        let shown = Shown { record: &record, state, working_since: holder.as_ref().map(|holder| holder.since_unix_ms) };
        if json {
            context.printer.json(shown.as_json(holder.map(|holder| holder.pid)));
        } else {
            shown.print(context);
        }
    }
    Ok(ExitCode::COMPLETED)
}

fn none(message: &str) -> CliError {
    CliError::usage(message).hint("to work through a list: ccc night FILE")
}

/// What is remembered about a list.
///
/// # Errors
/// When it cannot be read.
pub(super) fn read(night: &NightDir) -> Result<Option<NightRecord>, CliError> {
    night.read().map_err(|error| {
        CliError::io(error)
            .hint("to forget what was done of this list, and work it from its beginning: ccc night FILE --again")
    })
}

/// The lists at work; without one, the last one.
fn latest(state: &Path) -> Result<Vec<(NightDir, NightRecord)>, CliError> {
    let all = NightDir::all(state)
        .map_err(|error| CliError::io(format!("{}: {error}", state.display())).hint(state_hint(&error)))?;
    let read = |night: NightDir| night.read().ok().flatten().map(|record| (night, record));
    let mut nights: Vec<(NightDir, NightRecord)> = all.into_iter().filter_map(read).collect();
    sort_by_key(&mut nights, |(_, record)| std::cmp::Reverse(record.updated_unix_ms));
    let works = |(night, _): &(NightDir, NightRecord)| matches!(night.holder(), Ok(Some(_)));
    if nights.iter().any(works) {
        nights.retain(works);
    } else {
        nights.truncate(1);
    }
    Ok(nights)
}

/// The name of the list for people.
pub(super) fn name_of(record: &NightRecord) -> String {
    record.list.as_ref().map_or_else(|| "the list from stdin".to_owned(), |path| path.display().to_string())
}

/// A list, as it is shown.
pub(super) struct Shown<'a> {
    pub(super) record: &'a NightRecord,
    pub(super) state: &'a Path,
    /// Since when a ccc works on it.
    pub(super) working_since: Option<i64>,
}

impl Shown<'_> {
    fn summary(&self, task: &Task) -> Option<RunSummary> {
        let run = RunDir::at(self.state, task.run.as_deref()?).ok()?;
        RunSummary::read(&run.summary()).ok()
    }

    /// The word for how a task stands. Its run may have gone on, or died, since that was written.
    fn stage(&self, task: &Task, summary: Option<&RunSummary>) -> &'static str {
        let run = task.run.as_deref().and_then(|run| RunDir::at(self.state, run).ok());
        let is_active = run.is_some_and(|run| State::of(&run, summary).is_active());
        match task.stage {
            Stage::Running if !is_active && self.working_since.is_none() => Stage::Interrupted.in_words(),
            Stage::Broken if self.working_since.is_none() => Stage::Interrupted.in_words(),
            stage @ (Stage::Queued
            | Stage::Running
            | Stage::Broken
            | Stage::Interrupted
            | Stage::Completed
            | Stage::Failed
            | Stage::NotStarted) => stage.in_words(),
        }
    }

    /// Why a task is not completed; of a run that gave way, also when it is continued.
    fn why(&self, task: &Task) -> Option<String> {
        let why = task.why.clone()?;
        let Some(GaveWay { again_unix_ms }) = task.gave_way else { return Some(why) };
        let (now, zone) = (driver::unix_ms(), zone::of_process());
        Some(match (self.working_since, again_unix_ms) {
            (None, _) => format!("{why}; it is continued when the work on the list goes on"),
            (Some(_), Some(at)) if at > now => format!("{why}; it is continued at {}", format::due(at, now, &zone)),
            (Some(_), Some(_) | None) => format!("{why}; it is continued when there is room again"),
        })
    }

    /// As one JSON object.
    pub(super) fn as_json(&self, pid: Option<u32>) -> Value {
        let agenda = &self.record.agenda;
        let task = |(at, task): (usize, &Task)| {
            let summary = self.summary(task);
            json!({
                "number": at + 1,
                "title": task.title,
                "listed": task.listed,
                "state": self.stage(task, summary.as_ref()),
                "run": task.run,
                "outcome": task.outcome.map(crate::core::Outcome::as_str),
                "reason": self.why(task),
                "gave_way": task.gave_way,
                "cost_usd": cost_of(task, summary.as_ref()),
                "tools_denied": summary.and_then(|summary| summary.tools_denied),
            })
        };
        json!({
            "list": self.record.list,
            "cwd": self.record.cwd,
            "working": self.working_since.is_some(),
            "pid": pid,
            "began_unix_ms": agenda.began_unix_ms,
            "updated_unix_ms": self.record.updated_unix_ms,
            "until_unix_ms": agenda.bounds.until_unix_ms,
            "max_cost_usd": agenda.bounds.max_cost_usd,
            "spent_usd": agenda.spent_usd(),
            "end": agenda.end.as_ref().map(|end| end_word(&end.why)),
            "outcome": agenda.end.as_ref().map(|end| agenda.outcome(&end.why).as_str()),
            "tasks": agenda.tasks.iter().enumerate().map(task).collect::<Vec<_>>(),
        })
    }

    /// For people, on stdout.
    fn print(&self, context: &Context) {
        let (now, zone) = (driver::unix_ms(), zone::of_process());
        let agenda = &self.record.agenda;
        let stands = match (self.working_since, &agenda.end) {
            (Some(since), _) => format!("at work since {}", format::moment(since, now, &zone)),
            (None, Some(End { why, at_unix_ms })) => {
                format!("ended {}: {}", format::moment(*at_unix_ms, now, &zone), end_in_words(why))
            }
            (None, None) => "interrupted".to_owned(),
        };
        context.printer.line(format_args!("{}: {stands}", name_of(self.record)));
        context.printer.line(format_args!("{} in {}", self.counts(), self.record.cwd.display()));
        for (lead, text) in self.rows() {
            context.printer.behind(&lead, text);
        }
        if self.working_since.is_none()
            && let (Some(list), true) = (&self.record.list, self.has_more())
        {
            context.printer.line(format_args!("to go on: {}", command(self.record, list, context)));
        }
    }

    /// Whether another start would do anything.
    pub(super) fn has_more(&self) -> bool {
        let tasks = &self.record.agenda.tasks;
        tasks.iter().any(|task| task.listed && !matches!(task.stage, Stage::Completed | Stage::Failed))
    }

    /// How many tasks are completed, and what they have cost.
    pub(super) fn counts(&self) -> String {
        let agenda = &self.record.agenda;
        let listed = || agenda.tasks.iter().filter(|task| task.listed);
        let completed = listed().filter(|task| task.stage == Stage::Completed).count();
        format!(
            "{completed} of {} completed, {}",
            format::count(listed().count(), "task"),
            // The sum of what the rows show, before any of it is rounded.
            format::money(Some(
                agenda.tasks.iter().filter_map(|task| cost_of(task, self.summary(task).as_ref())).sum()
            ))
        )
    }

    /// A lead and a text for each task, and for what is known of it.
    pub(super) fn rows(&self) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        for (at, task) in self.record.agenda.tasks.iter().enumerate() {
            let summary = self.summary(task);
            // The outcome says more than that the task failed.
            let stands = match (task.stage, task.outcome) {
                (Stage::Failed, Some(outcome)) => outcome.in_words(),
                (Stage::Broken, _) if task.gave_way.is_some() => "gave way",
                (
                    Stage::Failed
                    | Stage::Queued
                    | Stage::Running
                    | Stage::Broken
                    | Stage::Interrupted
                    | Stage::Completed
                    | Stage::NotStarted,
                    Some(_) | None,
                ) => self.stage(task, summary.as_ref()),
            };
            let lead = format!("{:>3}  {stands:<STAGE_COLUMNS$} ", at + 1);
            let under = " ".repeat(lead.len());
            rows.push((lead, one_line(&task.title, SHOWN_CHARS)));
            let resume = summary.as_ref().and_then(|summary| summary.resume.clone());
            let cost = cost_of(task, summary.as_ref());
            let mut parts: Vec<String> = Vec::new();
            parts.extend(task.run.as_ref().map(|run| format!("run {run}, {}", format::money(cost))));
            parts.extend(self.why(task).map(|why| one_line(&why, SHOWN_CHARS)));
            let is_about_it = task.why.as_ref().is_some_and(|why| why.contains("denied"));
            let denied = summary.and_then(|summary| summary.tools_denied).unwrap_or(0);
            parts.extend(format::denied(denied).filter(|_| !is_about_it));
            if !task.listed {
                parts.push("no longer in the list".to_owned());
            }
            if !parts.is_empty() {
                rows.push((under.clone(), parts.join("; ")));
            }
            // The run itself has written down what continues it, with what it needs.
            if let (Stage::Failed, Some(resume)) = (task.stage, resume) {
                rows.push((under, format!("to continue it: {resume}")));
            }
        }
        rows
    }
}

/// What the run of a task has cost, as its row says it.
fn cost_of(task: &Task, summary: Option<&RunSummary>) -> Option<f64> {
    summary.and_then(|summary| summary.cost_usd).or(task.cost_usd)
}

/// The command that goes on with a list.
fn command(record: &NightRecord, list: &Path, context: &Context) -> String {
    let cwd = record.cwd.as_path();
    let night = match record.typed.as_slice() {
        [] => format!("ccc night {}", shell::quoted(&list.display().to_string())),
        typed => format!("ccc{}", shell::words(typed)),
    };
    let here = context.cwd().ok().and_then(|here| here.canonicalize().ok());
    if here.as_deref() == Some(cwd) {
        night
    } else {
        format!("cd {} && {night}", shell::quoted(&cwd.display().to_string()))
    }
}

/// The word for an end in JSON.
fn end_word(why: &EndWhy) -> &'static str {
    match why {
        EndWhy::Done => "done",
        EndWhy::Failure => "failure",
        EndWhy::NothingBegins => "nothing_begins",
        EndWhy::Limited => "limited",
        EndWhy::Time => "time",
        EndWhy::Money => "money",
        EndWhy::Reserve { .. } => "reserve",
        EndWhy::Interrupted => "interrupted",
    }
}

/// Why the work on a list ended, in a sentence.
pub(super) fn end_in_words(why: &EndWhy) -> String {
    match why {
        EndWhy::Done => "each task of the list was worked on".to_owned(),
        EndWhy::Failure => "a task was not completed (--on-failure stop)".to_owned(),
        EndWhy::NothingBegins => "the runs of two tasks in a row did not begin".to_owned(),
        EndWhy::Limited => "all tokens are limited, and the run does not wait".to_owned(),
        EndWhy::Time => "the time given by --until is over".to_owned(),
        EndWhy::Money => "the money given by --max-cost-usd is spent".to_owned(),
        EndWhy::Reserve { full } => format!(
            "{:.0} % of the window {} of {} are used, the rest is kept for you (--reserve), and no reset comes in time",
            full.percent, full.window, full.token
        ),
        EndWhy::Interrupted => "it was interrupted".to_owned(),
    }
}

/// The bounds of the night, in words, and those of `each` run as far as they are known.
pub(super) fn bounds_in_words(
    record: &NightRecord,
    reserve_percent: u8,
    each: Option<&str>,
    now_unix_ms: i64,
) -> String {
    let bounds = &record.agenda.bounds;
    let mut parts = Vec::new();
    parts.extend(
        bounds.until_unix_ms.map(|until| format!("until {}", format::due(until, now_unix_ms, &zone::of_process()))),
    );
    parts.extend(bounds.max_cost_usd.map(|usd| format!("at most {}", format::money(Some(usd)))));
    if reserve_percent > 0 {
        parts.push(format!("{reserve_percent} % of the usage kept for you"));
    }
    if bounds.stops_at_failure {
        parts.push("stops at the first failure".to_owned());
    }
    let night = if parts.is_empty() { "no bounds on the night".to_owned() } else { parts.join(", ") };
    each.map_or_else(|| night.clone(), |each| format!("{night}; each run: {each}"))
}

/// How long a pause is, in words.
pub(super) fn pause_in_words(ms: i64) -> String {
    // Whole seconds, because it counts down.
    bound_in_words(u64::try_from(ms).unwrap_or(0).div_ceil(1_000).saturating_mul(1_000))
}
