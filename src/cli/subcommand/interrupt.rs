//! `ccc interrupt RUN`.

use clap::Args;

use crate::cli::{CliError, Context, ExitCode, steer};
use crate::control::protocol::Request;

/// Interrupt the present turn of a run; the run continues.
///
/// What was said and waits is the next turn; without any, the run rests until something is said.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct InterruptArgs {
    /// The run's id, the beginning of it, or `last` for the newest that is going on in this directory.
    #[arg(value_name = "RUN")]
    pub run: String,
}

/// Interrupts the turn.
///
/// # Errors
/// When the run cannot be reached, or refuses.
pub fn run(args: InterruptArgs, context: &Context) -> Result<ExitCode, CliError> {
    steer::order(&args.run, "interrupt", &Request::Interrupt {}, context)
}
