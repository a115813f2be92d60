//! The conversation on real terminals.
//!
//! Must not: wait without an event and a deadline.

#![cfg(test)]

mod real;
mod storm;
mod taken_up;
mod terminal;
pub(crate) mod tmux;
mod whole;
