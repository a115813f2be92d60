//! `ccc export RUN`.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::replay::outputs;
use crate::cli::recording::journal_of;
use crate::cli::{CliError, Context, ExitCode, inside};
use crate::core::Tick;
use crate::driver::{self, CopyError};
use crate::journal::export::Private;
use crate::journal::export::asciicast::{CastHeader, write_asciicast};
use crate::ui::{Style, clean};

/// The recorded terminal's size.
const COLUMNS: u16 = 100;
/// See [`COLUMNS`].
const ROWS: u16 = 30;
/// Players shorten longer pauses to this, because a run may have hours of them.
const IDLE_LIMIT_S: u32 = 2;
/// How many characters of the task are in the recording's title.
const TITLE_CHARS: usize = 80;

/// Turn a recorded run into a terminal recording, or into a copy that you can share and that `ccc replay --check` can test.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExportArgs {
    /// Its name, its id, the beginning of either, `last`, or a path (with a slash in it, or ending in `.jsonl`).
    #[arg(value_name = "RUN")]
    pub run: String,

    /// The format to export to.
    #[arg(long, value_enum, default_value_t = ExportFormat::Asciicast)]
    pub format: ExportFormat,

    /// Where to write, instead of stdout. A fixture is a directory and needs this option.
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,

    /// Overwrite an existing recording.
    #[arg(long, requires = "output")]
    pub force: bool,

    /// Keep the texts of a fixture: the task, what agent and critic said, what tools and checks printed. Only the names of
    /// user and machine and the directories of home and project are replaced. Without it every text becomes a placeholder.
    #[arg(long)]
    pub keep_text: bool,
}

/// What a run can be turned into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ExportFormat {
    /// A terminal recording (asciicast v3).
    Asciicast,
    /// The run as a test, without its texts. Placeholders of the same length and shape replace them, so that every
    /// decision stays the same; numbers in fields, times, error classes and the words of the agent's protocol are kept.
    Fixture,
}

/// Exports a run.
///
/// # Errors
/// When the run cannot be read or the export cannot be written.
pub fn run(args: ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    inside::refuse("export", context)?;
    let journal = journal_of(Some(&args.run), "export", context)?;
    if args.keep_text && args.format != ExportFormat::Fixture {
        return Err(CliError::usage("--keep-text needs --format fixture; a terminal recording always keeps all texts")
            .hint(format!("type: ccc export {} --format fixture --keep-text -o DIR", args.run)));
    }
    match args.format {
        ExportFormat::Asciicast => asciicast(&journal, &args, context),
        ExportFormat::Fixture => fixture(&journal, &args, context),
    }
}

fn asciicast(journal: &std::path::Path, args: &ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    let style = Style { colour: true, live: true, wraps: true, columns: COLUMNS };
    let mut shown: Vec<(Tick, String)> = Vec::new();
    outputs(journal, style, |tick, piece| shown.push((tick, piece.text.clone()))).map_err(CliError::failed)?;
    let rebuilt = driver::rebuild(journal, |_, _| {}).map_err(CliError::failed)?;
    let header = CastHeader {
        cols: COLUMNS,
        rows: ROWS,
        timestamp_unix_s: Some(rebuilt.started_unix_ms / 1_000),
        title: Some(clean::one_line(&rebuilt.core.plan().task, TITLE_CHARS)),
        idle_time_limit_s: Some(IDLE_LIMIT_S),
    };
    let mut out = Vec::new();
    write_asciicast(&mut out, &header, shown.iter().map(|(tick, text)| (*tick, text.as_str())), None)
        .map_err(CliError::failed)?;
    match &args.output {
        Some(path) => {
            let into = context.cwd()?.join(path);
            write_recording(&into, &out, args.force).map_err(|error| {
                let hint = if error.kind() == std::io::ErrorKind::AlreadyExists {
                    "give another file with -o, or overwrite it with --force"
                } else {
                    "give a writable file with -o"
                };
                CliError::io(format!("{}: {error}", path.display())).hint(hint)
            })?;
            context.printer.talk(format_args!("written: {} ({} bytes, asciicast v3)", path.display(), out.len()));
        }
        None => context.printer.bytes(&out),
    }
    Ok(ExitCode::COMPLETED)
}

/// Writes the file. An existing file is replaced only with `force`, because it may be another recording or another file of the
/// user.
fn write_recording(into: &std::path::Path, bytes: &[u8], force: bool) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    if force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    options.open(into)?.write_all(bytes)
}

/// Writes the copy, and checks that it replays with the same decisions.
fn fixture(journal: &std::path::Path, args: &ExportArgs, context: &Context) -> Result<ExitCode, CliError> {
    let Some(output) = &args.output else {
        return Err(CliError::usage("--format fixture needs a directory to write to")
            .hint("give it with -o: ccc export RUN --format fixture -o DIR"));
    };
    let into = context.cwd()?.join(output);
    let io = |error: std::io::Error| {
        CliError::io(format!("{}: {error}", into.display())).hint("give a directory that does not exist yet with -o")
    };
    if fs::symlink_metadata(&into).is_ok() {
        return Err(io(std::io::ErrorKind::AlreadyExists.into()));
    }
    // The copy is made in a temporary directory beside the target, and moved to the target when it is complete and checked.
    let beside =
        into.parent().filter(|parent| parent.is_dir()).ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))?;
    let making = tempfile::Builder::new().prefix(".ccc-export-").tempdir_in(beside).map_err(io)?;
    let private = if args.keep_text { Some(private(context)?) } else { None };
    let copied = driver::copy_run(journal, making.path(), private.as_ref()).map_err(|error| {
        let error_is_otherwise = matches!(error, CopyError::Otherwise { .. });
        let error = CliError::failed(error);
        match (error_is_otherwise, args.keep_text) {
            (true, false) => error.hint(format!(
                "nothing was written; to keep the texts: ccc export {} --format fixture --keep-text -o {}",
                args.run,
                output.display()
            )),
            (true, true) => error.hint("nothing was written: a decision depends on the length of a name"),
            (false, _) => error,
        }
    })?;
    let comparison = driver::compare(&copied.dir.journal()).map_err(CliError::failed)?;
    if let Some(difference) = comparison.difference {
        return Err(CliError::failed(format_args!(
            "in the copy the decision at entry {} would be different",
            difference.n
        ))
        .hint("nothing was written; this is a bug in ccc: please report it"));
    }
    fs::rename(copied.dir.path(), &into).map_err(io)?;
    context.printer.line(into.display());
    if let Some(gap) = copied.ends_before {
        context.printer.talk(format_args!(
            "entries {} to {} are missing in the journal: the copy ends before them",
            gap.from, gap.to
        ));
    } else if let Some(difference) = driver::compare(journal).map_err(CliError::failed)?.difference {
        let n = difference.n;
        context.printer.talk(format_args!("from entry {n} on, this ccc decides differently than the recorded run"));
        context.printer.talk("the copy contains the decisions of this ccc");
    }
    context.printer.talk(if args.keep_text {
        "kept: all texts; replaced: user, machine, home, project; check before sharing"
    } else {
        "scrubbed: all texts; kept: their lengths, numbers in fields, times, error classes"
    });
    Ok(ExitCode::COMPLETED)
}

/// The names of the user, the machine and the directories that must not appear in the copy.
fn private(context: &Context) -> Result<Private, CliError> {
    let variable = |name: &str| context.env.get(name).and_then(|value| value.to_str()).map(str::to_owned);
    Ok(Private {
        home: context.dirs()?.home.to_str().map(str::to_owned),
        user: variable("USER").or_else(|| variable("LOGNAME")),
        hosts: rustix::system::uname()
            .nodename()
            .to_str()
            .map(str::to_owned)
            .into_iter()
            .chain(variable("HOSTNAME"))
            .collect(),
    })
}
