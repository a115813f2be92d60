//! The state machine of one supervised command, in the shape of [`super::Core`].
//!
//! A command has no turns, no critic and no protocol. Restarts, rotations and waits follow from four facts: whether it runs,
//! how it ended, its heartbeat file, and what the provider reports about its token.
//!
//! Like all of `core/`, it has no clocks, files, processes, threads, environment, random numbers or sockets.

mod action;
mod beat;
mod input;
mod limit;
mod looks;
mod machine;
mod plan;

#[cfg(test)]
mod tests;

pub use action::{CommandAction, CommandSignal};
pub use input::{BeatReading, CommandExit, CommandInput, CommandOperator};
pub use machine::{CommandCore, KeysFor};
pub use plan::{BeatPlan, CommandPlan, RestartOn};
