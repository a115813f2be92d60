//! What came of a simulated fleet.

use crate::Counts;

/// The result of a simulated fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetNight {
    /// Its seed.
    pub seed: u64,
    /// Agents that were started.
    pub agents: u64,
    /// Transitions of all cores, and events of the machine.
    pub steps: u64,
    /// The virtual duration, in milliseconds.
    pub virtual_ms: u64,
    /// How the agents have ended.
    pub outcomes: Counts,
    /// What happened, by kind.
    pub events: Counts,
}
