//! `ccc export RUN`.

use std::fs;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::replay::pieces;
use crate::cli::recording::journal_of;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::core::Tick;
use crate::driver;
use crate::journal::Redactor;
use crate::journal::export::asciicast::{CastHeader, write_asciicast};
use crate::journal::export::fixture::{Private, export_fixture};
use crate::ui::{Style, clean};

/// The recorded terminal's size.
const COLUMNS: u16 = 100;
/// See [`COLUMNS`].
const ROWS: u16 = 30;
/// Players shorten longer pauses to this: a night has hours of them.
const IDLE_LIMIT_S: u32 = 2;
/// How much of the task is the recording's title, in characters.
const TITLE_CHARS: usize = 80;

/// Turn a recorded run into a terminal recording or a scrubbed test fixture.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// `last`, a run's id, the beginning of an id, or a path: with a slash in it, or ending in `.jsonl`.
    #[arg(value_name = "RUN")]
    pub run: String,

    /// What to make of it.
    #[arg(long, value_enum, default_value_t = ExportFormat::Asciicast)]
    pub format: ExportFormat,

    /// Where to write; stdout unless given. A fixture is a directory and needs it.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What a run can be turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A terminal recording (asciicast v3).
    Asciicast,
    /// The run as a test: names of user, machine and directories are replaced, texts are kept.
    Fixture,
}

/// Exports a run.
///
/// # Errors
/// When the run cannot be read or the export cannot be written.
pub fn run(args: ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    let journal = journal_of(Some(&args.run), context)?;
    match args.format {
        ExportFormat::Asciicast => asciicast(&journal, &args, context),
        ExportFormat::Fixture => fixture(&journal, &args, context),
    }
}

fn asciicast(journal: &std::path::Path, args: &ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    let failed = |error: &dyn std::fmt::Display| CliError::new(ErrorKind::Failed, error.to_string());
    let style = Style { colour: true, live: true, columns: COLUMNS };
    let mut shown: Vec<(Tick, String)> = Vec::new();
    // A terminal needs the carriage returns that a terminal driver would have added.
    pieces(journal, style, |tick, piece| shown.push((tick, piece.text.replace('\n', "\r\n"))))
        .map_err(|error| failed(&error))?;
    let rebuilt = driver::rebuild(journal, |_, _| {}).map_err(|error| failed(&error))?;
    let header = CastHeader {
        cols: COLUMNS,
        rows: ROWS,
        timestamp_unix_s: Some(rebuilt.started_unix_ms / 1_000),
        title: Some(clean::one_line(&rebuilt.core.plan().task, TITLE_CHARS)),
        idle_time_limit_s: Some(IDLE_LIMIT_S),
    };
    let mut out = Vec::new();
    write_asciicast(&mut out, &header, shown.iter().map(|(tick, text)| (*tick, text.as_str())), None)
        .map_err(|error| failed(&error))?;
    match &args.output {
        Some(path) => fs::write(context.cwd()?.join(path), out).map_err(|error| {
            CliError::new(ErrorKind::Io, format!("{}: {error}", path.display())).hint("name a writable file with -o")
        })?,
        None => context.printer.bytes(&out),
    }
    Ok(ExitCode::COMPLETED)
}

/// Writes the scrubbed copy and proves that it still replays the same.
fn fixture(journal: &std::path::Path, args: &ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    let Some(output) = &args.output else {
        return Err(CliError::new(ErrorKind::Usage, "a fixture is a directory")
            .hint("name one: ccc export RUN --format fixture -o DIR"));
    };
    let failed = |error: &dyn std::fmt::Display| CliError::new(ErrorKind::Failed, error.to_string());
    let variable = |name: &str| context.env.get(name).and_then(|value| value.to_str()).map(str::to_owned);
    let private = Private {
        home: context.dirs()?.home.to_str().map(str::to_owned),
        user: variable("USER").or_else(|| variable("LOGNAME")),
        hosts: rustix::system::uname()
            .nodename()
            .to_str()
            .map(str::to_owned)
            .into_iter()
            .chain(variable("HOSTNAME"))
            .collect(),
    };
    let run = journal.parent().unwrap_or(journal);
    let into = context.cwd()?.join(output);
    let io = |error: std::io::Error| {
        CliError::new(ErrorKind::Io, format!("{}: {error}", into.display()))
            .hint("name a directory that does not exist yet with -o")
    };
    if into.exists() {
        return Err(io(std::io::ErrorKind::AlreadyExists.into()));
    }
    // Made beside its place and moved there when it is whole and proven.
    let beside =
        into.parent().filter(|parent| parent.is_dir()).ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))?;
    let making = tempfile::Builder::new().prefix(".ccc-export-").tempdir_in(beside).map_err(io)?;
    let copy = export_fixture(run, making.path(), &private, &Redactor::new()).map_err(|error| failed(&error))?;
    let comparison = driver::compare(&copy.journal()).map_err(|error| failed(&error))?;
    if let Some(difference) = comparison.difference {
        return Err(CliError::new(
            ErrorKind::Failed,
            format!("{}: the scrubbed copy is decided otherwise at entry {}", copy.path().display(), difference.n),
        )
        .hint("a decision depends on the length of a name; keep the original, or export from a shorter directory"));
    }
    fs::rename(copy.path(), &into).map_err(io)?;
    context.printer.line(into.display());
    context.printer.talk("replaced: the names of user and machine, and the directories of project and home");
    context
        .printer
        .talk("kept: the task, what agent and critic said, what tools and checks printed; look before you publish");
    Ok(ExitCode::COMPLETED)
}
