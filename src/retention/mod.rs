//! Which runs are kept for how long, and how one is removed.
//!
//! Nothing is removed by itself: `ccc runs prune` and `ccc gc` call this room. A run that is not finished ([`Stays`]) never goes,
//! whatever the [`Rule`] says.
//!
//! With a run go its directory (journal, payloads, report, records), its name, and its checkpoints `refs/ccc/<run>/<n>`. What was
//! saved below `refs/ccc/salvage/`, branches and worktrees are not touched.
//!
//! A removal that is killed leaves nothing half: under the run's lock its directory is renamed into `runs/.trash/`, so the run is
//! there as a whole or not at all; then the references go, in one transaction, and the files last. [`Remover::complete`] does again
//! what an interrupted removal has left.

mod orphans;
mod remove;
mod rule;
mod standing;

pub use orphans::{Orphan, orphans};
pub use remove::{NotRemoved, Removed, Remover, bytes_of};
pub use rule::{Because, Rule, Weighed};
pub use standing::{RunAge, Stays, ages};

#[cfg(test)]
mod tests;
