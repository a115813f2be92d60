//! `ccc tree`.

use clap::Args;

use super::list;
use crate::cli::agent::roster;
use crate::cli::{CliError, Context, ExitCode};

/// List the agents, each below its manager.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct TreeArgs {
    /// Print one JSON array instead; `level` is the number of managers above an agent.
    #[arg(long)]
    pub json: bool,
}

/// Lists the agents.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: TreeArgs, context: &Context) -> Result<ExitCode, CliError> {
    list::print(&roster(context)?.tree(), args.json, context)
}
