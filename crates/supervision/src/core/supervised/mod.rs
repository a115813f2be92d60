//! The state machine of one supervised command: facts in, decisions out, in the shape of [`super::Core`].
//!
//! A command has no turns, no critic and no protocol. Restarts, rotations and waits follow from four facts: whether it lives, how
//! it ended, its heartbeat file, and what the provider says about its token.
//!
//! Not here, as in all of `core/`: clocks, files, processes, threads, environment, random numbers, sockets.

mod action;
mod beat;
mod input;
mod limit;
mod machine;
mod plan;

#[cfg(test)]
mod tests;

pub use action::{CommandAction, CommandSignal};
pub use input::{BeatReading, CommandExit, CommandInput, CommandOperator};
pub use machine::{CommandCore, KeysFor};
pub use plan::{BeatPlan, CommandPlan, RestartOn};
