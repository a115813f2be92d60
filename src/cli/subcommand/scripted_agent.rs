//! `ccc scripted-agent …`, a hidden command that `ccc demo` and tests start instead of a real agent.

use std::ffi::OsString;

use clap::Args;

use crate::cli::ExitCode;
use crate::demo;

/// The arguments belong to the scripted agent, also `--help` and `--version`, so they are passed on unread.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct ScriptedAgentArgs {
    /// All arguments.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Runs the scripted agent on this process's own streams.
pub fn run(args: ScriptedAgentArgs) -> ExitCode {
    ExitCode::of_agent(demo::process::run(args.args))
}
