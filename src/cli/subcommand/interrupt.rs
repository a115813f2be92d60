//! `ccc interrupt RUN`.

use clap::Args;

use crate::cli::steer::{self, Ordered};
use crate::cli::{CliError, Context, ExitCode};
use crate::control::protocol::Request;

/// Interrupt the current turn of a run; the run continues.
///
/// A queued message becomes the next turn. If none is queued, the run waits for a message.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InterruptArgs {
    /// The run.
    #[command(flatten)]
    pub ordered: Ordered,
}

/// What the run does then.
fn then(run: &str) -> String {
    format!("the turn ends now, and the run continues with the next message; to send one: ccc send {run} \"TEXT\"")
}

/// Interrupts the turn.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub fn run(args: InterruptArgs, context: &Context) -> Result<ExitCode, CliError> {
    steer::order(&args.ordered, "interrupt", &Request::Interrupt {}, "interrupted", then, context)
}
