//! `ccc continue RUN`.

use clap::Args;

use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode};
use crate::control::protocol::Request;

/// Let a paused run continue.
///
/// It starts what `ccc pause` held back.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ContinueArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,
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
    steer::order(&args.ordered, "continue", &Request::Continue {}, "continues", then, context)
}
