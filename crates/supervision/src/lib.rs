//! What ccc decides, and the protocol by which it decides.
//!
//! [`core`] is the state machine of a run: it takes facts with the time at which they became known and returns
//! decisions. [`agent`] adapts a CLI: its arguments, its lines, its exit. [`words`] are the types that both use.
//! [`stream`] turns bytes into lines and messages. [`upkeep`] is what one party decides for all agents of a user, [`agenda`]
//! what is done next with a list of tasks. [`json`] reads bytes, [`order`] sorts.
//!
//! This crate performs nothing. Its dependencies hold no runtime, no system call, no clock and no random source, and
//! its `clippy.toml` forbids those of the standard library, so the same facts give the same decisions in a real run,
//! a replay and a simulation.

pub mod agenda;
pub mod agent;
pub mod core;
pub mod json;
pub mod order;
#[cfg(test)]
mod recordings;
pub mod stream;
pub mod upkeep;
pub mod words;
