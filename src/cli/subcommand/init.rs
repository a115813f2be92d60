//! `ccc init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use clap::Args;
use rustix::fs::OFlags;

use crate::cli::{CliError, Context, ExitCode};
use crate::config::prompt::{BUILT_IN, FILE_NAME};

/// Write SUPERVISOR.md and .ccc.json into the project, to be edited.
///
/// The project is the top of the git repository, or the current directory where there is none. Files that exist are
/// kept unless --force is given.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InitArgs {
    /// Overwrite files that exist.
    #[arg(long)]
    pub force: bool,
}

/// The content of a new `.ccc.json`: the defaults that a project is most likely to change.
const EXAMPLE: &str = r#"{
  "checks": [],
  "critic": {
    "allow": []
  },
  "budgets": {
    "max_iterations": 20,
    "max_duration": "8h"
  },
  "stall_timeout": "180s"
}
"#;

/// Writes the files.
///
/// # Errors
/// When a file exists and `--force` is not given (then nothing is written), or a file cannot be written.
pub fn run(args: InitArgs, context: &Context) -> Result<ExitCode, CliError> {
    let project = context.project()?;
    let files = [
        (
            project.root().join(FILE_NAME),
            BUILT_IN,
            "describe what *done* means in this project, and what is out of scope",
        ),
        (
            project.root().join(".ccc.json"),
            EXAMPLE,
            "list the commands that must pass, for example \"checks\": [\"cargo test\"], and what the critic may \
             run, for example \"allow\": [\"Bash(cargo test:*)\"]; then agree to them: ccc trust",
        ),
    ];
    if !args.force
        && let Some((path, _, _)) = files.iter().find(|(path, _, _)| exists(path))
    {
        return Err(CliError::usage(format!("{} already exists; nothing was written", path.display()))
            .hint("edit it, or overwrite both files: ccc init --force"));
    }
    for (path, text, advice) in files {
        write(&path, text, args.force).map_err(|error| {
            CliError::io(format!("{} cannot be written: {error}", path.display()))
                .hint("make the directory writable, or run `ccc init` elsewhere")
        })?;
        context.printer.line(format_args!("wrote {}", path.display()));
        context.printer.behind("  ", advice);
    }
    Ok(ExitCode::COMPLETED)
}

/// Whether the path exists. A dangling link counts, because writing through it would create a file elsewhere.
fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// Writes the file. Without `force` it must be new, even if another process creates it at the same moment.
fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    if force {
        // Write neither through a link nor into a FIFO or device, where the write could wait for a reader.
        let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY;
        options.write(true).create(true).truncate(true).custom_flags(flags.bits().cast_signed());
    } else {
        options.write(true).create_new(true);
    }
    let mut file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    file.write_all(text.as_bytes())
}
