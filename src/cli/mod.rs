//! The command line: parses it, runs the command, and tells the user why one failed.
//!
//! [`run`] takes the arguments and a [`Context`] (environment, directories, streams) and returns the exit code. It has
//! no global state and does not end the process, so a test can call it any number of times. Each command has a file in
//! [`subcommand`]: its argument struct, whose doc comments are the manual, and `run(args, &Context) -> Result<ExitCode,
//! CliError>`.
//!
//! Data goes to stdout and messages go to stderr, both through [`Printer`]; nothing else here writes. Errors of other
//! modules become a [`CliError`] in one place, `error.rs`.

mod agent;
mod agent_tree;
mod answering;
mod args;
mod asking;
mod awake;
#[cfg(test)]
mod captured;
mod command_tokens;
mod completing;
mod context;
mod continue_interactively;
mod continued;
mod credentials;
mod dead_run;
mod detach;
mod diagnostics;
mod dispatch;
mod error;
mod event_printer;
mod exit;
mod family;
mod hook;
mod inside;
mod keeper_world;
mod kept;
mod limit_check;
mod lines;
mod logout;
mod merge_checks;
mod misuse;
mod native;
mod new_from_inside;
mod night;
mod notifying;
pub mod once;
mod options;
mod overlap;
mod pager;
mod presentation;
mod printer;
mod protected_files;
mod pruning;
mod publishing;
mod queue;
mod queued_start;
mod recording;
mod redacted_texts;
mod removal;
mod reporting;
mod run_in_short;
mod run_places;
mod serving;
mod settled;
mod spooled;
mod standing;
mod start;
mod steer;
pub mod subcommand;
mod survivors;
mod task;
mod telling;
mod trust;
mod zone;

pub use args::{Cli, Command};
pub use completing::complete;
pub use context::{Context, Stdin};
pub use diagnostics::diagnostics;
pub use dispatch::run;
pub use error::{CliError, ErrorKind};
pub use exit::ExitCode;
pub use hook::{hook, is_hook};
pub use printer::{Paint, Printer};
pub use task::MAX_TASK_BYTES;
