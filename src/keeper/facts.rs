//! The facts about the agents, from their directories.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::UNIX_EPOCH;

use crate::core::Outcome;
use crate::fleet::{Agent, KeptDown, Role, Roster, State, UNTOLD_END_FILE};
use crate::journal::{FileLock, Holder, RunDirError, Word};
use crate::order::map_of;
use crate::process::booted_unix_ms;
use crate::upkeep::{AgentFact, Standing};

/// How long an agent that has not begun may still begin.
const BEGINNING_MS: i64 = 2 * 60_000;
/// How long before the start of the machine its shutdown may have begun.
const SHUTDOWN_MS: i64 = 10 * 60_000;
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
    /// A ccc has ended while this look was made: its end wakes nobody any more.
    pub(super) unwatched: bool,
}

impl Seen {
    /// Looks at all agents.
    ///
    /// # Errors
    /// When the directory of runs cannot be read.
    pub(super) fn look(state_dir: &Path, now_unix_ms: i64) -> Result<Seen, RunDirError> {
        let agents = Roster::read(state_dir)?.agents;
        let booted_unix_ms = booted_unix_ms();
        let running = agents.iter().filter(|agent| agent.state.is_active());
        let holders = map_of(running.filter_map(|agent| Some((agent.dir.id(), holder(agent)?))));
        let since = |agent: &Agent| holders.get(agent.dir.id()).map(|holder| holder.since_unix_ms);
        let of = |agent: &Agent| fact(agent, since(agent), booted_unix_ms, now_unix_ms);
        let facts: Vec<AgentFact> = agents.iter().map(of).collect();
        let pids = holders.values().map(|holder| holder.pid).collect();
        let unwatched = is_unwatched(&facts, &holders);
        let begins = facts.iter().any(|fact| fact.standing == Standing::Starting);
        Ok(Seen { agents, facts, pids, begins, unwatched })
    }

    /// Whether an agent waits for room.
    pub(super) fn waits(&self) -> bool {
        self.facts.iter().any(|fact| fact.standing == Standing::Queued)
    }

    /// The agent of this run.
    pub(super) fn agent(&self, run: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.record.id == run)
    }
}

/// Whether an agent was running when it was looked at, and its ccc was gone when it was looked for.
fn is_unwatched(facts: &[AgentFact], holders: &BTreeMap<&str, Holder>) -> bool {
    facts.iter().any(|fact| fact.is_running() && !holders.contains_key(fact.id.as_str()))
}

/// The facts about one agent.
pub(super) fn fact_of(agent: &Agent, now_unix_ms: i64) -> AgentFact {
    let since = if agent.state.is_active() { holder(agent).map(|holder| holder.since_unix_ms) } else { None };
    fact(agent, since, booted_unix_ms(), now_unix_ms)
}

/// The ccc that works on the agent.
fn holder(agent: &Agent) -> Option<Holder> {
    FileLock::holder(&agent.dir.lock()).ok()?
}

/// Whether an agent has ended and its manager does not know it. While a ccc holds the run, it is telling the end.
fn is_untold(agent: &Agent) -> bool {
    matches!(agent.state, State::Ended(_)) && agent.dir.path().join(UNTOLD_END_FILE).exists() && holder(agent).is_none()
}

fn fact(agent: &Agent, since_unix_ms: Option<i64>, booted_unix_ms: Option<i64>, now_unix_ms: i64) -> AgentFact {
    let ended_unix_ms = agent.summary.as_ref().and_then(|summary| summary.ended_unix_ms);
    let by_shutdown = booted_unix_ms
        .zip(ended_unix_ms)
        .is_some_and(|(booted, ended)| ended < booted && booted.saturating_sub(ended) < SHUTDOWN_MS);
    let standing = match &agent.state {
        State::Active(phase) => Standing::Running { ending: phase == ENDING },
        State::Ready => Standing::Running { ending: false },
        State::Queued => Standing::Queued,
        // The system interrupts all runs before it goes down, and that is no wish of the user about this one.
        State::Ended(Word::Known(Outcome::Interrupted)) if by_shutdown => Standing::Died,
        State::Ended(Word::Known(Outcome::Interrupted)) => Standing::Stopped,
        State::Ended(Word::Known(_) | Word::Other(_)) => Standing::Ended,
        State::Died if agent.summary.is_some() => Standing::Died,
        // Its ccc is being started, or has failed to start, which was told where it was started.
        State::Died if now_unix_ms.saturating_sub(agent.record.created_unix_ms) < BEGINNING_MS => Standing::Starting,
        State::Died => Standing::Ended,
    };
    AgentFact {
        id: agent.record.id.clone(),
        standing,
        is_manager: agent.record.role == Word::Known(Role::Manager),
        manager: agent.record.manager.clone(),
        end_untold: is_untold(agent),
        kept_down: KeptDown::read(&agent.dir).is_some(),
        ignores_usage: agent.record.ignore_usage,
        seen_unix_ms: last_seen(agent),
        is_idle: agent.state.is_idle(),
        since_unix_ms,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::AgentRecord;
    use crate::journal::{RunDir, RunSummary, SUMMARY_VERSION};
    use redaction::Redactor;

    const NOW: i64 = 1_800_000_000_000;

    fn agent(state: &Path, outcome: Option<Outcome>, ended_unix_ms: Option<i64>) -> Agent {
        let id = format!("20261128-100000-{}", std::fs::read_dir(state.join("runs")).map_or(0, Iterator::count));
        let dir = RunDir::create(state, &id).expect("a run");
        let record = AgentRecord::new(&id, "a", Role::Manager, NOW, Path::new("/project"));
        record.write(&dir).expect("written");
        let summary = RunSummary {
            version: SUMMARY_VERSION,
            id: record.id.clone(),
            cwd: "/project".to_owned(),
            pid: 1,
            started_unix_ms: NOW,
            updated_unix_ms: NOW + 7,
            ended_unix_ms,
            phase: "working".to_owned(),
            outcome: outcome.map(Word::Known),
            ..RunSummary::default()
        };
        summary.write(&dir.summary(), &Redactor::default()).expect("written");
        Agent::of(dir, record)
    }

    #[test]
    fn what_the_shutdown_of_the_machine_has_interrupted_counts_as_dead() {
        let state = tempfile::tempdir().expect("a directory");
        let interrupted = |ended| agent(state.path(), Some(Outcome::Interrupted), Some(ended));
        let booted = Some(NOW);
        for (ended, standing) in [
            (NOW - 1, Standing::Died),
            (NOW - SHUTDOWN_MS + 1, Standing::Died),
            (NOW - SHUTDOWN_MS, Standing::Stopped),
            (NOW, Standing::Stopped),
        ] {
            assert_eq!(fact(&interrupted(ended), None, booted, NOW + 60_000).standing, standing, "{}", ended - NOW);
        }
        assert_eq!(fact(&interrupted(NOW - 1), None, None, NOW).standing, Standing::Stopped, "nobody knows when");
        let completed = agent(state.path(), Some(Outcome::Completed), Some(NOW - 1));
        assert_eq!(fact(&completed, None, booted, NOW).standing, Standing::Ended);
    }

    #[test]
    fn an_agent_that_waits_for_its_user_is_idle_as_one_that_waits_for_its_workers() {
        let state = tempfile::tempdir().expect("a directory");
        let of = |phase: &str| {
            let new = agent(state.path(), None, None);
            let summary = new.summary.clone().map(|summary| RunSummary { phase: phase.to_owned(), ..summary });
            summary.expect("a summary").write(&new.dir.summary(), &Redactor::default()).expect("written");
            let lock = new.dir.take_lock(std::process::id(), NOW).expect("a lock");
            let found = fact(&Agent::of(new.dir.clone(), new.record.clone()), None, None, NOW);
            drop(lock);
            assert!(found.is_running(), "{phase}");
            found.is_idle
        };
        // A verdict as the phase: it waits for its user's next message.
        for phase in ["asking", "waiting", "paused", "completed", "needs_user"] {
            assert!(of(phase), "{phase}");
        }
        for phase in ["starting", "setting up", "working", "checking", "reviewing", "ending"] {
            assert!(!of(phase), "{phase}");
        }
    }

    #[test]
    fn an_agent_that_has_not_begun_is_about_to_and_one_without_a_ccc_is_dead() {
        let state = tempfile::tempdir().expect("a directory");
        let dead = agent(state.path(), None, None);
        let found = fact(&dead, None, None, NOW);
        assert_eq!((found.standing, found.seen_unix_ms, found.kept_down), (Standing::Died, NOW + 7, false));
        KeptDown::write(&dead.dir, "ccc kill", NOW).expect("written");
        assert!(fact(&dead, None, None, NOW).kept_down);
        std::fs::remove_file(dead.dir.summary()).expect("removed");
        let new = Agent::of(dead.dir.clone(), dead.record.clone());
        assert_eq!(fact(&new, None, None, NOW).standing, Standing::Starting);
        assert_eq!(fact(&new, None, None, NOW + BEGINNING_MS).standing, Standing::Ended);
        let lock = dead.dir.take_lock(std::process::id(), NOW).expect("a lock");
        let seen = Seen::look(state.path(), NOW).expect("seen");
        assert_eq!(seen.facts[0].standing, Standing::Running { ending: false });
        assert_eq!(seen.pids, BTreeSet::from([std::process::id()]));
        assert!(!seen.unwatched);
        // It ends between the two looks at its lock.
        assert!(is_unwatched(&seen.facts, &BTreeMap::new()));
        drop(lock);
        assert!(!Seen::look(state.path(), NOW).expect("seen").unwatched);
    }
}
