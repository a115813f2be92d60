//! Reads a list, and says what is wrong with one.

use std::path::Path;

use crate::cli::{CliError, Context};
use crate::files::{self, ReadFault, TASK_LIST};
use crate::tasks::{List, ListFault, read_list};

/// The list on stdin, and its bytes.
pub(super) fn list_on_stdin(context: &Context) -> Result<(List, Vec<u8>), CliError> {
    let bytes = context.stdin.read_up_to(TASK_LIST.limit_bytes + 1).map_err(|error| {
        CliError::usage(format!("stdin cannot be read: {error}")).hint("give a file: ccc night FILE")
    })?;
    if bytes.len() as u64 > TASK_LIST.limit_bytes {
        return Err(unusable("stdin", &ReadFault::TooLarge { kind: TASK_LIST }));
    }
    let list = read_list(&bytes).map_err(|fault| unreadable("stdin", &fault))?;
    Ok((list, bytes))
}

/// The list in a file.
pub(super) fn list_in(path: &Path, named: &Path) -> Result<List, CliError> {
    let name = format!("the list {}", named.display());
    let bytes = files::read(path, TASK_LIST).map_err(|fault| unusable(&name, &fault))?;
    read_list(&bytes).map_err(|fault| unreadable(&name, &fault))
}

fn unusable(name: &str, fault: &ReadFault) -> CliError {
    let advice = match fault {
        ReadFault::TooLarge { .. } => "put long texts into files of their own, and name the files in the tasks",
        ReadFault::NotAFile { .. } => "give a text file; to read from a pipe: ccc night -",
        ReadFault::Missing | ReadFault::Dangling | ReadFault::LeadsOut | ReadFault::Unreadable(_) => fault.advice(),
    };
    CliError::usage(format!("{name} {fault}")).hint(advice)
}

fn unreadable(name: &str, fault: &ListFault) -> CliError {
    let advice = match fault {
        ListFault::NotUtf8 { .. } | ListFault::Binary { .. } => "give a text file in UTF-8, with one task a line",
        ListFault::Empty => "write one task a line, or a Markdown list such as: - Fix the login",
        ListFault::TooMany { .. } => "split the list",
        ListFault::Json(_) | ListFault::Entry { .. } => {
            "the list begins with [ and so is read as JSON, such as: [\"TASK\", {\"task\": \"TASK\", \"max_iterations\": 5}]"
        }
    };
    CliError::usage(format!("{name} {fault}")).hint(advice)
}
