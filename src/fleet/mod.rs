//! The fleet: which runs are agents, what each may do, and how each stands.
//!
//! The directories of runs are the registry. A run that `ccc new` has started has an `agent.json` ([`AgentRecord`]) beside its
//! journal, and perhaps a name ([`crate::journal::RunNames`]); its lock says whether it lives, its `run.json` how it stands.
//! Nothing else is kept anywhere, so no process is needed to know the fleet.

mod record;
mod roster;

pub use record::{AGENT_FILE, AGENT_VERSION, AgentRecord, AgentTree, RecordError, Role};
pub use roster::{Agent, Roster, State};
