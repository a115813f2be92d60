//! `ccc scripted-agent …`, hidden: what `ccc demo` and tests start in the agent's place.

use std::ffi::OsString;

use clap::Args;

use crate::cli::ExitCode;
use crate::demo;

/// The arguments are the scripted agent's own, `--help` and `--version` among them: they are passed on unread.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
#[command(disable_help_flag = true, disable_version_flag = true)]
pub struct ScriptedAgentArgs {
    /// All of them.
    #[arg(value_name = "ARGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub args: Vec<OsString>,
}

/// Runs the scripted agent on this process's own streams.
pub fn run(args: ScriptedAgentArgs) -> ExitCode {
    ExitCode::of_agent(demo::process::run(args.args))
}
