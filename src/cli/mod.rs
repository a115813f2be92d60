//! The command line: what was typed, which command it means, and what the user reads when it fails.
//!
//! [`run`] takes the arguments and a [`Context`] (environment, directories, streams) and gives the exit code. It has no
//! global state and ends no process, so a test calls it as often as it likes. One file per command in [`subcommand`]: its
//! argument struct, whose doc comments are the manual, and `run(args, &Context) -> Result<ExitCode, CliError>`.
//!
//! Data goes to stdout and talk to stderr, both through [`Printer`]; nothing else here writes. Errors of other modules
//! are mapped to a [`CliError`] once, in `error.rs`.

mod args;
mod command_tokens;
mod context;
mod credentials;
mod diagnostics;
mod dispatch;
mod error;
mod exit;
mod gaps;
mod left;
mod lifted;
mod misuse;
pub mod options;
mod printer;
mod recording;
#[cfg(test)]
mod seen;
mod settled;
mod start;
pub mod subcommand;
mod task;
mod trust;
mod zone;

pub use args::{Cli, Command};
pub use context::{Context, Stdin};
pub use diagnostics::diagnostics;
pub use dispatch::run;
pub use error::{CliError, ErrorKind};
pub use exit::ExitCode;
pub use printer::{Paint, Printer};
pub use task::MAX_TASK_BYTES;
