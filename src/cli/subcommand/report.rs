//! `ccc report`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _};
use redaction::Redactor;

use crate::cli::recording::journal_of;
use crate::cli::reporting::{Maker, REPORT_FILE};
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ExitCode, inside};
use crate::config::Span;
use crate::driver;
use crate::journal::{FileLock, RunDir};
use crate::report::text::Washer;
use crate::report::{NightRun, Nights, markdown, page};
use crate::ui::harmless_json;

/// Make the report of a run: what was asked, what became of it, what it cost, and how to go on or back.
///
/// The page is one file that needs no network. A run writes it by itself when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReportArgs {
    /// Its name, its id, the beginning of either, `last`, or a path (with a slash in it, or ending in `.jsonl`). Without it,
    /// the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

    /// One page over all runs that were at work since then, with a link to the report of each: `today`, `yesterday`, a date such
    /// as 2026-11-27, or how long ago, such as 12h or 7d.
    #[arg(long, value_name = "WHEN", conflicts_with = "run")]
    pub since: Option<Since>,

    /// Where to write it. Without it a page goes to `report.html` in the run's directory, and the other formats to
    /// stdout.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Open the page in the browser.
    #[arg(long)]
    pub open: bool,

    /// A page for people, Markdown for a terminal or a pull request, or JSON for programs.
    #[arg(long, value_enum, default_value_t = ReportFormat::Html)]
    pub format: ReportFormat,
}

/// The formats of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// One page.
    Html,
    /// Markdown.
    Md,
    /// One JSON object.
    Json,
}

/// Makes a report.
///
/// # Errors
/// When there is no such run, its journal cannot be read, or the report cannot be written.
pub fn run(args: ReportArgs, context: &Context) -> Result<ExitCode, CliError> {
    if args.open && args.format != ReportFormat::Html {
        return Err(CliError::usage("--open opens the page, so it needs --format html")
            .hint("leave out --format, or leave out --open"));
    }
    let maker = Maker::new(context, Redactor::new());
    if let Some(since) = args.since {
        return over_several(since, &args, &maker, context);
    }
    let journal = journal_of(args.run.as_deref(), "report", context)?;
    let output = args.output.as_ref().map(|path| context.cwd().map(|cwd| cwd.join(path))).transpose()?;
    if args.format == ReportFormat::Html && output.is_none() {
        let written = maker
            .write(&journal)
            .map_err(|error| CliError::failed(error).hint("to write it to another place, give a file with -o"))?;
        context.printer.line(written.path.display());
        return opened(args.open, &written.path, context);
    }
    let failed = |error: &dyn std::fmt::Display| CliError::failed(error).hint("to list the recorded runs: ccc runs");
    let report = maker.report(&journal).map_err(|error| failed(&error))?;
    let text = match args.format {
        ReportFormat::Html => page(&report, maker.zone()).map_err(|error| failed(&error))?,
        ReportFormat::Md => markdown(&report, maker.zone()),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(|error| failed(&error))?;
            harmless_json(&json) + "\n"
        }
    };
    put(&text, output, args.open, context)
}

/// How many reports are made for one page over several runs, besides those that are there already.
const MADE_AT_ONCE: usize = 200;

/// Makes the page over several runs, and the reports that it links to.
fn over_several(since: Since, args: &ReportArgs, maker: &Maker, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("report --since", context)?;
    let state = &context.dirs()?.state;
    let now_unix_ms = driver::unix_ms();
    let since_unix_ms = since.unix_ms(now_unix_ms, maker.zone());
    let list = RunDir::list(state).map_err(|error| state_error(&error))?;
    for (_, error) in &list.damaged {
        context.printer.warn(error);
    }
    let mut made = 0;
    let mut runs = Vec::new();
    for (dir, summary) in &list.runs {
        let is_running = matches!(FileLock::holder(&dir.lock()), Ok(Some(_)));
        let last_unix_ms = summary.ended_unix_ms.unwrap_or(summary.updated_unix_ms);
        if !is_running && last_unix_ms < since_unix_ms {
            continue;
        }
        let path = dir.path().join(REPORT_FILE);
        if args.format == ReportFormat::Html && made < MADE_AT_ONCE && (is_running || !path.is_file()) {
            made += 1;
            if let Err(error) = maker.write(&dir.journal()) {
                context.printer.warn(format_args!("{}: no report: {error}", dir.id()));
            }
        }
        let page = path.is_file().then(|| path.display().to_string());
        runs.push(NightRun { summary, is_running, page });
    }
    let nights = Nights::of(&runs, since_unix_ms, now_unix_ms, &Washer::default());
    let output = args.output.as_ref().map(|path| context.cwd().map(|cwd| cwd.join(path))).transpose()?;
    let (text, output) = match args.format {
        ReportFormat::Html => {
            let page = nights.page(maker.zone()).map_err(CliError::failed)?;
            (page, Some(output.unwrap_or_else(|| state.join(SEVERAL_FILE))))
        }
        ReportFormat::Md => (nights.markdown(maker.zone()), output),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&nights).map_err(CliError::failed)?;
            (harmless_json(&json) + "\n", output)
        }
    };
    put(&text, output, args.open, context)
}

/// The page over several runs, in the state directory.
const SEVERAL_FILE: &str = "report.html";

/// A time in the past, as the user writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// The beginning of a day, so many days ago.
    DaysAgo(i64),
    /// The beginning of this day.
    Day(Date),
    /// This long ago.
    Ago(Span),
}

impl Since {
    /// The time in unix milliseconds.
    pub(super) fn unix_ms(self, now_unix_ms: i64, zone: &TimeZone) -> i64 {
        let begins = |day: Date| day.to_zoned(zone.clone()).map_or(0, |moment| moment.timestamp().as_millisecond());
        match self {
            Since::Day(day) => begins(day),
            Since::DaysAgo(days) => {
                let now = Timestamp::from_millisecond(now_unix_ms).unwrap_or(Timestamp::UNIX_EPOCH);
                let today = now.to_zoned(zone.clone()).date();
                begins(today.checked_sub(days.days()).unwrap_or(today))
            }
            Since::Ago(span) => now_unix_ms.saturating_sub(i64::try_from(span.as_ms()).unwrap_or(i64::MAX)),
        }
    }
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Since, String> {
        match text {
            "today" => return Ok(Since::DaysAgo(0)),
            "yesterday" => return Ok(Since::DaysAgo(1)),
            _ => {}
        }
        let day = || text.parse::<Date>().ok().map(Since::Day);
        let ago = || text.parse::<Span>().ok().map(Since::Ago);
        day().or_else(ago).ok_or_else(|| "write today, yesterday, a date such as 2026-11-27, or 12h or 7d".to_owned())
    }
}

/// Writes the report to its file, or to stdout.
fn put(text: &str, output: Option<PathBuf>, open: bool, context: &Context) -> Result<ExitCode, CliError> {
    let Some(path) = output else {
        context.printer.data(text);
        return Ok(ExitCode::COMPLETED);
    };
    fs::write(&path, text)
        .map_err(|error| CliError::io(format!("{}: {error}", path.display())).hint("give a writable file with -o"))?;
    context.printer.line(path.display());
    opened(open, &path, context)
}

/// Opens the page with the program that the system opens files with.
fn opened(open: bool, path: &Path, context: &Context) -> Result<ExitCode, CliError> {
    if !open {
        return Ok(ExitCode::COMPLETED);
    }
    let opener = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let started =
        Command::new(opener).arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let fault = match started {
        Ok(status) if status.success() => return Ok(ExitCode::COMPLETED),
        Ok(status) => format!("{opener} failed ({status})"),
        Err(error) => format!("{opener} cannot be started: {error}"),
    };
    // It is written, and that is what the command is for.
    context.printer.warn(format_args!("the report is written, but not shown: {fault}"));
    context.printer.hint(format_args!("open this file in a browser: {}", path.display()));
    Ok(ExitCode::COMPLETED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_the_past_is_read_as_people_write_it() {
        // Fri 2026-11-20 18:06:57 UTC
        const NOW_MS: i64 = 1_795_198_017_000;
        let berlin = TimeZone::get("Europe/Berlin").expect("a zone");
        for (text, expected) in [
            ("today", "2026-11-19T23:00:00Z"),
            ("yesterday", "2026-11-18T23:00:00Z"),
            ("2026-11-01", "2026-10-31T23:00:00Z"),
            ("12h", "2026-11-20T06:06:57Z"),
            ("7d", "2026-11-13T18:06:57Z"),
        ] {
            let moment = Timestamp::from_millisecond(text.parse::<Since>().expect(text).unix_ms(NOW_MS, &berlin));
            assert_eq!(moment.expect("a time").to_string(), expected, "{text}");
        }
        for text in ["", "tomorrow", "7", "2026-13-01"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }
}
