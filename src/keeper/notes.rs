//! What the keeper's state says about agents, for lists and dashboards.

use std::path::Path;

use super::facts::fact_of;
use super::store::Store;
use crate::files::VersionedError;
use crate::fleet::Agent;
use crate::upkeep::{Rules, Upkeep};

/// What the keeper's state says about agents.
#[derive(Debug, Clone, Default)]
pub struct Notes {
    upkeep: Upkeep,
}

impl Notes {
    /// Reads them.
    ///
    /// # Errors
    /// When the keeper's state cannot be read.
    pub fn read(state_dir: &Path) -> Result<Notes, VersionedError> {
        Ok(Notes { upkeep: Store::new(state_dir).read()?.upkeep })
    }

    /// Everything that the keeper remembers.
    #[must_use]
    pub fn upkeep(&self) -> &Upkeep {
        &self.upkeep
    }

    /// Whether the keeper has stopped this agent because of the usage, and takes it up again.
    #[must_use]
    pub fn is_taken_up_later(&self, run: &str) -> bool {
        self.upkeep.is_taken_up_later(run)
    }

    /// Whether the keeper continues this agent by itself, now or later: its ccc has died, or it was stopped because of the usage.
    #[must_use]
    pub fn continues(&self, agent: &Agent, rules: &Rules, now_unix_ms: i64) -> bool {
        self.upkeep.continues(&fact_of(agent, now_unix_ms), now_unix_ms, rules)
    }

    /// When the keeper continues this agent, whose ccc has died; `None` if it does not, or only after a reset of the usage.
    #[must_use]
    pub fn continued_at(&self, agent: &Agent, rules: &Rules, now_unix_ms: i64) -> Option<i64> {
        self.upkeep.continued_at(&fact_of(agent, now_unix_ms), now_unix_ms, rules)
    }

    /// Why this agent is not started again by itself, if the keeper has given up.
    #[must_use]
    pub fn given_up(&self, run: &str) -> Option<&str> {
        self.upkeep.given_up(run).map(|given_up| given_up.why.as_str())
    }
}
