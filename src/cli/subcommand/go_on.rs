//! `ccc continue RUN`.

use clap::Args;

use crate::cli::{CliError, Context, ExitCode, steer};
use crate::control::protocol::Request;

/// Let a paused run continue.
///
/// It starts what `ccc pause` held back.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ContinueArgs {
    /// The run's id, the beginning of it, or `last` for the newest active run of this directory.
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// What the run does then.
fn then(run: &str) -> String {
    format!("the run continues; to see it: ccc attach {run}")
}

/// Ends the pause.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub fn run(args: ContinueArgs, context: &Context) -> Result<ExitCode, CliError> {
    steer::order(&args.run, "continue", &Request::Continue {}, then, context)
}
