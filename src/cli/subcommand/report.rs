//! `ccc report`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::{Args, ValueEnum};
use redaction::Redactor;

use crate::cli::recording::journal_of;
use crate::cli::reporting::Maker;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::report::{markdown, page};
use crate::ui::harmless_json;

/// Make the report of a run: what was asked, what became of it, what it cost, and how to go on or back.
///
/// The page is one file that needs no network. A run writes it by itself when it ends.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ReportArgs {
    /// `last`, a run's id, the beginning of an id, or a path (with a slash in it, or ending in `.jsonl`). Without it,
    /// the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,

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
        return Err(CliError::new(ErrorKind::Usage, "--open opens the page, so it needs --format html")
            .hint("leave out --format, or leave out --open"));
    }
    let maker = Maker::new(context, Redactor::new());
    let journal = journal_of(args.run.as_deref(), context)?;
    let output = args.output.as_ref().map(|path| context.cwd().map(|cwd| cwd.join(path))).transpose()?;
    if args.format == ReportFormat::Html && output.is_none() {
        let path = maker.write(&journal).map_err(|error| {
            CliError::new(ErrorKind::Failed, error.to_string())
                .hint("to write it to another place, give a file with -o")
        })?;
        context.printer.line(path.display());
        return opened(args.open, &path, context);
    }
    let failed = |error: &dyn std::fmt::Display| {
        CliError::new(ErrorKind::Failed, error.to_string()).hint("to list the recorded runs: ccc runs")
    };
    let report = maker.report(&journal).map_err(|error| failed(&error))?;
    let text = match args.format {
        ReportFormat::Html => page(&report, maker.zone()).map_err(|error| failed(&error))?,
        ReportFormat::Md => markdown(&report, maker.zone()),
        ReportFormat::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(|error| failed(&error))?;
            harmless_json(&json) + "\n"
        }
    };
    let Some(path) = output else {
        context.printer.data(&text);
        return Ok(ExitCode::COMPLETED);
    };
    written(&path, &text)?;
    context.printer.line(path.display());
    opened(args.open, &path, context)
}

fn written(path: &Path, text: &str) -> Result<(), CliError> {
    fs::write(path, text).map_err(|error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", path.display())).hint("give a writable file with -o")
    })
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
    context.printer.warn(format_args!("{fault}; open the file in a browser yourself"));
    Ok(ExitCode::FAILED)
}
