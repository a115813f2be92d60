//! What agents wait for that have not been started yet, and whether one more may start now.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::KEEPER_DIR;
use super::facts::{Seen, fact_of};
use super::store::Store;
use crate::files::{TimedLock, make_private_dir};
use crate::fleet::{Agent, State};
use crate::journal::RunDirError;
use crate::process::machine_load;
use crate::upkeep::{AgentFact, Facts, Load, Room, Rules, Standing, facts_of_room, room};

/// How long a new agent waits for others that are being counted in. Each takes milliseconds.
const GATE: Duration = Duration::from_secs(10);

/// What is measured on this machine.
#[must_use]
pub fn load() -> Load {
    let measured = machine_load();
    Load {
        available_bytes: measured.available_bytes,
        total_bytes: measured.total_bytes,
        memory_pressure: measured.memory_pressure,
        cpu_pressure: measured.cpu_pressure,
    }
}

/// While this is held, no other new agent is counted in: two cannot take the same room. `None` when others held it too long.
///
/// # Errors
/// When its file cannot be used.
pub fn gate(state_dir: &Path) -> io::Result<Option<TimedLock>> {
    let dir = state_dir.join(KEEPER_DIR);
    make_private_dir(&dir)?;
    TimedLock::take(&dir.join("gate"), GATE)
}

/// Whether a new agent may start now.
///
/// # Errors
/// When the agents cannot be read.
pub fn room_for_one_more(state_dir: &Path, rules: &Rules, now_unix_ms: i64) -> Result<Room, RunDirError> {
    let seen = Seen::look(state_dir, now_unix_ms)?;
    let upkeep = Store::new(state_dir).read().map(|kept| kept.upkeep).unwrap_or_default();
    let before = seen.facts.iter().filter(|agent| upkeep.may_start(agent)).count();
    let facts = Facts { now_unix_ms, agents: &seen.facts, load: load() };
    Ok(room(&facts_of_room(&facts, u32::try_from(before).unwrap_or(u32::MAX)), &rules.room))
}

/// What each of these agents waits for that has not been started yet, by its id, for the user. `agents` are all agents, the oldest
/// first.
#[must_use]
pub fn waiting<'a>(
    state_dir: &Path,
    agents: impl IntoIterator<Item = &'a Agent>,
    rules: &Rules,
    now_unix_ms: i64,
) -> BTreeMap<String, String> {
    let agents: Vec<&Agent> = agents.into_iter().collect();
    if agents.iter().all(|agent| agent.state != State::Queued) {
        return BTreeMap::new();
    }
    let upkeep = Store::new(state_dir).read().map(|kept| kept.upkeep).unwrap_or_default();
    let facts: Vec<AgentFact> = agents.iter().map(|agent| fact_of(agent, now_unix_ms)).collect();
    let present = Facts { now_unix_ms, agents: &facts, load: load() };
    let mut before = 0;
    let mut reasons = BTreeMap::new();
    for agent in facts.iter().filter(|agent| agent.standing == Standing::Queued) {
        let reason = if let Some(given_up) = upkeep.given_up(&agent.id) {
            given_up.why.clone()
        } else if let Some(critical) = upkeep.critical.as_ref().filter(|_| !agent.ignores_usage) {
            let full = &critical.full;
            format!("the usage is critical: {:.0} % of the window {} is used", full.percent.floor(), full.window)
        } else {
            match room(&facts_of_room(&present, before), &rules.room) {
                Room::Wait(shortage) => shortage.to_string(),
                Room::Free => "there is room: the keeper starts it within seconds".to_owned(),
            }
        };
        before += u32::from(upkeep.may_start(agent));
        reasons.insert(agent.id.clone(), reason);
    }
    reasons
}
