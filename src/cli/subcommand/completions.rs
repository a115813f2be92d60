//! `ccc completions SHELL`.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::cli::{CliError, Context, ExitCode};

/// Print a completion script for a shell.
///
/// For example: `ccc completions bash > ~/.local/share/bash-completion/completions/ccc`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script; `root` is the definition of all commands.
///
/// # Errors
/// None at present.
pub fn run(args: CompletionsArgs, mut root: Command, context: &Context) -> Result<ExitCode, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut root, "ccc", &mut script);
    context.printer.bytes(&script);
    Ok(ExitCode::COMPLETED)
}
