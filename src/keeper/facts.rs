//! The facts about the agents, from their directories.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::core::Outcome;
use crate::fleet::{Agent, KeptDown, Role, Roster, State};
use crate::journal::{FileLock, RunDirError, Word};
use crate::upkeep::{AgentFact, Standing};

/// How long an agent that has not begun may still begin.
const BEGINNING_MS: i64 = 2 * 60_000;
/// The phase of a run that is ending.
const ENDING: &str = "ending";

/// The agents of a state directory, and the processes that work on them.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) agents: Vec<Agent>,
    pub(super) facts: Vec<AgentFact>,
    /// The ccc of each running agent.
    pub(super) pids: BTreeSet<u32>,
    /// An agent is about to begin.
    pub(super) begins: bool,
}

impl Seen {
    /// Looks at all agents.
    ///
    /// # Errors
    /// When the directory of runs cannot be read.
    pub(super) fn look(state_dir: &Path, now_unix_ms: i64) -> Result<Seen, RunDirError> {
        let agents = Roster::read(state_dir)?.agents;
        let facts: Vec<AgentFact> = agents.iter().map(|agent| fact(agent, now_unix_ms)).collect();
        let running = agents.iter().filter(|agent| agent.state.is_active());
        let pids = running.filter_map(|agent| Some(FileLock::holder(&agent.dir.lock()).ok()??.pid)).collect();
        let begins = facts.iter().any(|fact| fact.standing == Standing::Starting);
        Ok(Seen { agents, facts, pids, begins })
    }

    /// The agent of this run.
    pub(super) fn agent(&self, run: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.record.id == run)
    }
}

fn fact(agent: &Agent, now_unix_ms: i64) -> AgentFact {
    let standing = match &agent.state {
        State::Active(phase) => Standing::Running { ending: phase == ENDING },
        State::Ready => Standing::Running { ending: false },
        State::Ended(Word::Known(Outcome::Interrupted)) => Standing::Stopped,
        State::Ended(Word::Known(_) | Word::Other(_)) => Standing::Ended,
        State::Died if agent.summary.is_some() => Standing::Died,
        // Its ccc is being started, or has failed to start, which whoever started it was told.
        State::Died if now_unix_ms.saturating_sub(agent.record.created_unix_ms) < BEGINNING_MS => Standing::Starting,
        State::Died => Standing::Ended,
    };
    AgentFact {
        id: agent.record.id.clone(),
        standing,
        is_manager: agent.record.role == Word::Known(Role::Manager),
        kept_down: KeptDown::read(&agent.dir).is_some(),
        ignores_usage: agent.record.ignore_usage,
        seen_unix_ms: last_seen(agent),
    }
}

/// When the agent's ccc last gave a sign of life.
fn last_seen(agent: &Agent) -> i64 {
    let beat = std::fs::symlink_metadata(agent.dir.path().join("heartbeat.json")).and_then(|beat| beat.modified());
    let beat = beat.ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let beat = beat.and_then(|since| i64::try_from(since.as_millis()).ok());
    let written = agent.summary.as_ref().map(|summary| summary.updated_unix_ms);
    beat.max(written).unwrap_or(agent.record.created_unix_ms)
}
