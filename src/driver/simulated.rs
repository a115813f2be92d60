//! The simulated world: agents, critics, checks, trees, clocks and deaths that a seed makes up (design §9).
//!
//! [`simulate`] plays one whole night in milliseconds. The seed draws the *rates* of the faults, then every fault; time
//! is virtual. The agents are the machines of [`crate::demo::scripted`], launched by the adapter's arguments and spoken
//! to in its bytes, so that core, adapter and codec are what a real night has. After each transition the invariants of
//! design §4 are looked at; at some moment the faults stop, and from then on the run must come to its end.
//! A violation names its seed, and the seed is all it takes to see the same night again.
//!
//! What this must not do: read a clock, touch a file, start a process, or use chance that does not come from the seed.

mod actions;
mod dice;
mod faults;
mod laws;
mod output;
mod process;
mod trace;
mod world;

use std::fmt;

use thiserror::Error;

use crate::core::Outcome;

/// How a simulated night went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// Its seed.
    pub seed: u64,
    /// How the run ended.
    pub outcome: Outcome,
    /// One sentence that says why.
    pub reason: String,
    /// Transitions of the core.
    pub steps: u64,
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// Agents and critics started.
    pub processes: u32,
    /// Times that ccc itself died.
    pub deaths: u32,
    /// Stops judged.
    pub iterations: u32,
}

/// An invariant that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Violation {
    /// The night in which it happens, each time.
    pub seed: u64,
    /// What does not hold.
    pub what: String,
    /// One line for each transition: time, phase, what came in, what was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Plays the night of this seed.
///
/// # Errors
/// When an invariant does not hold; the violation carries the trace of the whole night.
pub fn simulate(seed: u64) -> Result<Night, Box<Violation>> {
    // Traces are costly to write, so the night is played again for one, should it be needed.
    world::World::new(seed, false).play().or_else(|_| world::World::new(seed, true).play())
}

/// Plays the night of this seed and gives its trace, whether all holds or not.
#[must_use]
pub fn trace(seed: u64) -> Vec<String> {
    world::World::new(seed, true).trace_of_night()
}
