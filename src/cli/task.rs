//! Reads the task from an argument, a file or stdin, and checks its size.

use std::io;
use std::path::Path;

use super::{CliError, Stdin};
use crate::files::{self, ReadFault, TASK};
use crate::process::STDIN_QUEUE_LIMIT_BYTES;

/// The longest task, in bytes. The agent's CLI has accepted a message of 10 MB (facts §5); a longer task is likely a
/// wrong file.
pub const MAX_TASK_BYTES: u64 = TASK.limit_bytes;

/// The options that name the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TaskSource<'a> {
    /// `-p`.
    pub(super) prompt: Option<&'a str>,
    /// `--prompt-file`.
    pub(super) file: Option<&'a Path>,
    /// The command with a task, for hints.
    pub(super) example: &'static str,
}

/// Reads the task: from `-p`, else from the file, else from a piped stdin.
pub(super) fn read(source: &TaskSource<'_>, cwd: &Path, stdin: &Stdin) -> Result<String, CliError> {
    let (place, bytes) = match (source.prompt, source.file) {
        (Some(prompt), _) => ("-p".to_owned(), Ok(prompt.as_bytes().to_vec())),
        (None, Some(file)) if file == Path::new("-") => ("stdin".to_owned(), read_stdin(stdin)),
        (None, Some(file)) => (format!("the file {}", file.display()), Ok(read_file(&cwd.join(file), file)?)),
        (None, None) if !stdin.is_terminal() => ("stdin".to_owned(), read_stdin(stdin)),
        (None, None) => {
            return Err(CliError::usage("there is no task")
                .hint(format!("give the task in quotes, or in a file (--prompt-file FILE): {}", source.example)));
        }
    };
    let bytes = bytes.map_err(|error| {
        CliError::usage(format!("the task cannot be read from {place}: {error}"))
            .hint("give a readable file, or the task itself with -p")
    })?;
    if bytes.len() as u64 > MAX_TASK_BYTES {
        return Err(CliError::usage(format!("the task from {place} is longer than {MAX_TASK_BYTES} bytes"))
            .hint("put the content into files, and name the files in the task"));
    }
    let task = String::from_utf8(bytes).map_err(|error| {
        CliError::usage(format!(
            "the task from {place} is not valid UTF-8 at byte {}",
            error.utf8_error().valid_up_to()
        ))
        .hint("save it as UTF-8")
    })?;
    // The agent's CLI gets the task as JSON, which must fit into the queue for a child's stdin.
    if serde_json::to_string(&task).is_ok_and(|json| json.len() > STDIN_QUEUE_LIMIT_BYTES / 2) {
        return Err(CliError::usage(format!("the task from {place} contains too many control characters"))
            .hint("put the content into files, and name the files in the task"));
    }
    if task.trim().is_empty() {
        return Err(CliError::usage(format!("the task from {place} is empty"))
            .hint(format!("give the task in quotes, or in a file (--prompt-file FILE): {}", source.example)));
    }
    Ok(task)
}

fn read_file(path: &Path, named: &Path) -> Result<Vec<u8>, CliError> {
    files::read(path, TASK).map_err(|fault| {
        let advice = match fault {
            ReadFault::TooLarge { .. } => "put the content into files, and name the files in the task",
            ReadFault::NotAFile { .. } => "give a text file; to read from a pipe: --prompt-file -",
            ReadFault::Missing | ReadFault::Dangling | ReadFault::LeadsOut | ReadFault::Unreadable(_) => {
                "give a readable file, or the task itself with -p"
            }
        };
        CliError::usage(format!("the task file {} {fault}", named.display())).hint(advice)
    })
}

/// Reads one byte more than allowed, to distinguish a task of the maximum length from a longer one.
fn read_stdin(stdin: &Stdin) -> io::Result<Vec<u8>> {
    stdin.read_up_to(MAX_TASK_BYTES + 1)
}
