//! `ccc pause RUN`.

use clap::Args;

use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode};
use crate::control::protocol::Request;

/// Pause a run: it starts nothing new.
///
/// The current turn finishes. `ccc continue RUN` ends the pause.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PauseArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,
}

/// What the run does then.
fn then(run: &str) -> String {
    format!("the run ends its present turn and pauses; to let it continue: ccc continue {run}")
}

/// Pauses the run.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub fn run(args: PauseArgs, context: &Context) -> Result<ExitCode, CliError> {
    steer::order(&args.ordered, "pause", &Request::Pause {}, "pausing", then, context)
}
