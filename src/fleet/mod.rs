//! The fleet: which runs are agents, what each may do, and how each stands.
//!
//! The directories of runs are the registry. A run that `ccc new` has started has an `agent.json` ([`AgentRecord`]) beside its
//! journal, and perhaps a name ([`crate::journal::RunNames`]); its lock says whether it lives, its `run.json` how it stands.
//! `kept-down.json` ([`KeptDown`]) marks an agent that must not be started again by itself, `queued.json` ([`Queued`]) one that has not
//! been started yet. Nothing else is kept anywhere, so no process is needed to know the fleet.

mod census;
mod environment;
mod kept_down;
mod queued;
mod record;
mod roster;

pub use census::Census;
pub use environment::add_environment;
pub use kept_down::{KEPT_DOWN_FILE, KeptDown};
pub use queued::{QUEUED_FILE, Queued};
pub use record::{AGENT_FILE, AGENT_VERSION, AgentRecord, AgentTree, Role};
pub use roster::{Agent, Roster, State};

/// The file in a worker's directory from the beginning of its run until its manager knows of its end. Its ccc may die before it can
/// tell the end; then the keeper tells it, or the manager sees it when it is resumed.
pub const UNTOLD_END_FILE: &str = "untold.json";
