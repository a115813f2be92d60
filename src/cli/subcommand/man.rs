//! `ccc man`.

use clap::{Args, Command};

use crate::cli::{CliError, Context, ExitCode};

/// Print the manual page: `ccc man | man -l -`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ManArgs {
    /// The page of this command instead of the main page.
    #[arg(value_name = "COMMAND")]
    pub command: Option<String>,
}

/// Prints the page; `root` is the definition of all commands.
///
/// # Errors
/// When there is no such command.
pub fn run(args: ManArgs, mut root: Command, context: &Context) -> Result<ExitCode, CliError> {
    root.build();
    let command = match &args.command {
        None => root,
        Some(name) => {
            root.find_subcommand(name).filter(|command| !command.is_hide_set()).cloned().ok_or_else(|| {
                CliError::usage(format!("there is no command `{name}`")).hint("to list the commands: ccc --help")
            })?
        }
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut page)
        .map_err(|error| CliError::io(format!("the manual page cannot be written: {error}")))?;
    context.printer.bytes(&page);
    Ok(ExitCode::COMPLETED)
}
