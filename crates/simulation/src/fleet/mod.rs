//! Simulated fleets: many agents, their keepers, the tokens that they share, and deaths anywhere (design §10).
//!
//! A fleet is drawn from one seed. Each agent is a [`World`](crate::world::World): a real core with its journal, its scripted CLI
//! and its faults. All of them run on one clock and one machine and share the provider's accounts and what is known about them.
//! The keepers are processes that can die between any two steps; what they decide is [`supervision::upkeep`], and what survives
//! them is what they have written. The rooms:
//!
//! - `world`: the clock, the events, and the faults of the machine;
//! - `member`: an agent, and the ccc that works on it;
//! - `keeper`: a keeper's process; `keeping`: its steps, each an event of its own;
//! - `usage`: the endpoint that tells the usage, and its cache;
//! - `laws`: what is checked.
//!
//! When the faults have stopped, the fleet must come to its end: each agent has ended, or was stopped by the user, or the reason
//! why nobody takes it up is on record; and no keeper is left.

mod keeper;
mod keeping;
mod law;
mod laws;
mod member;
mod night;
mod usage;
mod world;

#[cfg(test)]
mod tests;

use redaction::Redactor;

use crate::{SharedTrace, Violation, guarded, traced, watched};
use law::{Flaw, FleetBroken};
use world::FleetWorld;

pub use law::FleetLaw;
pub use night::FleetNight;

/// A law that did not hold. A line of a run in the trace begins with the time of the fleet and the agent.
pub type FleetViolation = Violation<FleetLaw>;

/// Plays fleets, and holds their shared state.
#[derive(Debug, Clone, Default)]
pub struct FleetSimulator {
    redactor: Redactor,
    flaw: Option<Flaw>,
}

impl FleetSimulator {
    /// A simulator that has played no fleet yet.
    #[must_use]
    pub fn new() -> FleetSimulator {
        FleetSimulator { redactor: Redactor::new(), flaw: None }
    }

    /// Plays the fleet of this seed.
    ///
    /// # Errors
    /// When a law does not hold; the violation carries the trace of the whole fleet.
    pub fn simulate(&self, seed: u64) -> Result<FleetNight, Box<FleetViolation>> {
        watched(seed, |trace| self.play(seed, trace))
    }

    /// Plays the fleet of this seed and returns its trace, whether or not a law was broken.
    #[must_use]
    pub fn trace(&self, seed: u64) -> Vec<String> {
        traced(|trace| self.play(seed, Some(trace)), |night| format!("{:?}", night.outcomes))
    }

    fn play(&self, seed: u64, trace: Option<SharedTrace>) -> Result<FleetNight, FleetBroken> {
        guarded(|| FleetWorld::new(seed, self.flaw, &self.redactor, trace).play())
    }
}
