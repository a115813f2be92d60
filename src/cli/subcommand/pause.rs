//! `ccc pause RUN`.

use clap::Args;

use crate::cli::{CliError, Context, ExitCode, steer};
use crate::control::protocol::Request;

/// Pause a run: it starts nothing new.
///
/// The current turn finishes. `ccc continue RUN` ends the pause.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct PauseArgs {
    /// The run's id, the beginning of it, or `last` for the newest active run of this directory.
    #[arg(value_name = "RUN")]
    pub run: String,
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
    steer::order(&args.run, "pause", &Request::Pause {}, then, context)
}
