//! What ccc decides, and the protocol that it decides by.
//!
//! [`core`] is the state machine of a run: it takes facts with the time at which they became known and gives decisions.
//! [`agent`] is the adapter of a CLI: its arguments, its lines, its end. [`words`] are the nouns that both use. [`stream`] turns bytes into lines and messages.
//!
//! This crate performs nothing. Its dependencies hold no runtime, no system call, no clock and no random source, and its
//! `clippy.toml` forbids those of the standard library, so the same facts give the same decisions wherever it runs: in a
//! real run, in a replay, in a simulation.

pub mod agent;
pub mod core;
#[cfg(test)]
mod recordings;
pub mod stream;
pub mod words;
