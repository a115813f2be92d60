//! `ccc completions SHELL`.

use clap::Args;
use clap_complete::Shell;
use clap_complete::env::Shells;

use crate::cli::{CliError, Context, ExitCode};
use crate::config::env::CCC_COMPLETE;

/// Print a completion script for a shell.
///
/// The script completes commands, options, runs (by id and by name), their checkpoints and
/// outcomes, agents, providers and entries of `notify`. It asks ccc while you type, so it
/// always knows the newest runs; nothing is asked over the network, and no secret is read.
///
/// bash: `d=~/.local/share/bash-completion/completions; mkdir -p $d && ccc completions bash > $d/ccc`
///
/// zsh: `ccc completions zsh > "${fpath[1]}/_ccc"`, in a directory of `fpath` that you can write to
///
/// fish: `set d ~/.config/fish/completions; mkdir -p $d; and ccc completions fish > $d/ccc.fish`
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// When the shell has none.
pub fn run(args: CompletionsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let shells = Shells::builtins();
    let name = args.shell.to_string();
    let shell = shells.completer(&name).ok_or_else(|| CliError::failed(format!("there is no script for {name}")))?;
    let mut script = Vec::new();
    shell
        .write_registration(CCC_COMPLETE, "ccc", "ccc", "ccc", &mut script)
        .map_err(|error| CliError::failed(format!("the script cannot be written: {error}")))?;
    context.printer.bytes(&script);
    Ok(ExitCode::COMPLETED)
}
