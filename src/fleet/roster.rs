//! All agents of a state directory, and how each stands.

use std::collections::BTreeMap;
use std::path::Path;

use super::queued::Queued;
use super::record::AgentRecord;
use crate::core::Outcome;
use crate::files::VersionedError;
use crate::journal::{FileLock, RunDir, RunDirError, RunSummary, SummaryError, Word};
use crate::order::sort_by_key;

/// The phase of a run whose host is there, but which has not begun.
const STARTING: &str = "starting";
/// The state and the phase of an agent that waits for room.
const QUEUED: &str = "queued";

/// The phases of a run that waits: for its workers or a reset, for an answer of its user, for the end of a pause.
const IDLE: [&str; 3] = ["waiting", "asking", "paused"];

/// How a run stands, as far as its files say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its ccc lives; the phase of its core, as shown to the user.
    Active(String),
    /// Its ccc lives, and it waits for its user.
    Ready,
    /// It has ended.
    Ended(Word<Outcome>),
    /// It waits for room on the machine, and was not started yet.
    Queued,
    /// It has not ended, and no ccc works on it.
    Died,
}

impl State {
    /// The state of the run, from its summary and its lock.
    #[must_use]
    pub fn of(dir: &RunDir, summary: Option<&RunSummary>) -> State {
        let seen = State::seen(dir, summary);
        if seen != State::Died {
            return seen;
        }
        // Summary, lock and queue are looked at one after the other: a start or an end in between looks like a death.
        State::seen(dir, RunSummary::read(&dir.summary()).ok().as_ref())
    }

    fn seen(dir: &RunDir, summary: Option<&RunSummary>) -> State {
        match summary {
            Some(RunSummary { outcome: Some(outcome), .. }) => State::Ended(outcome.clone()),
            Some(RunSummary { phase, .. }) if is_held(dir) => {
                // Whoever starts an agent that waited holds its run before the summary says so.
                if phase == QUEUED {
                    return State::Active(STARTING.to_owned());
                }
                // A run that waits for its user has the phase of its last verdict.
                if Outcome::named(phase).is_some() { State::Ready } else { State::Active(phase.clone()) }
            }
            None if is_held(dir) => State::Active(STARTING.to_owned()),
            Some(_) | None if Queued::is_there(dir) => State::Queued,
            Some(_) | None => State::Died,
        }
    }

    /// The word for users and for JSON.
    #[must_use]
    pub fn in_words(&self) -> &str {
        match self {
            State::Active(phase) => phase,
            State::Ready => "ready",
            State::Ended(Word::Known(outcome)) => outcome.in_words(),
            State::Ended(Word::Other(outcome)) => outcome,
            State::Queued => QUEUED,
            State::Died => "died",
        }
    }

    /// Whether the run does nothing until somebody else has done something: its workers, its provider at a reset, or its user.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        match self {
            State::Active(phase) => IDLE.contains(&phase.as_str()),
            State::Ready => true,
            State::Ended(_) | State::Queued | State::Died => false,
        }
    }

    /// Whether a ccc works on the run.
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self, State::Active(_) | State::Ready)
    }
}

/// Whether a ccc holds the run.
fn is_held(dir: &RunDir) -> bool {
    matches!(FileLock::holder(&dir.lock()), Ok(Some(_)))
}

/// An agent of the fleet.
#[derive(Debug, Clone)]
pub struct Agent {
    /// The directory of its run.
    pub dir: RunDir,
    /// Its record.
    pub record: AgentRecord,
    /// The summary of its run; `None` before the run begins.
    pub summary: Option<RunSummary>,
    /// How it stands.
    pub state: State,
}

/// The agents of a state directory, the oldest first.
#[derive(Debug, Default)]
pub struct Roster {
    /// The agents.
    pub agents: Vec<Agent>,
    /// The runs whose record cannot be read, with the error.
    pub damaged: Vec<(RunDir, VersionedError)>,
}

impl Roster {
    /// Reads the agents of all projects, but those that the user has removed.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn read(state_dir: &Path) -> Result<Roster, RunDirError> {
        let mut roster = Self::read_all(state_dir)?;
        roster.agents.retain(|agent| agent.record.removed_unix_ms.is_none());
        Ok(roster)
    }

    /// Reads the agents of all projects, also those that the user has removed.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn read_all(state_dir: &Path) -> Result<Roster, RunDirError> {
        let mut roster = Roster::default();
        for dir in RunDir::all(state_dir)? {
            match AgentRecord::read(&dir) {
                Ok(Some(record)) => roster.agents.push(Agent::of(dir, record)),
                Ok(None) => {}
                Err(error) => roster.damaged.push((dir, error)),
            }
        }
        sort_by_key(&mut roster.agents, |agent| (agent.record.created_unix_ms, agent.record.id.clone()));
        Ok(roster)
    }

    /// The agent with this run's id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<&Agent> {
        self.agents.iter().find(|agent| agent.record.id == id)
    }

    /// The agents in the order of a tree, each with the number of its managers that are in the list: an agent stands below its
    /// manager, and one whose manager is not in the list stands at the top.
    #[must_use]
    pub fn tree(&self) -> Vec<(usize, &Agent)> {
        let mut below: BTreeMap<Option<&str>, Vec<&Agent>> = BTreeMap::new();
        for agent in &self.agents {
            let manager = agent.record.manager.as_deref();
            below.entry(manager.filter(|id| *id != agent.record.id && self.get(id).is_some())).or_default().push(agent);
        }
        let mut rows = Vec::new();
        let mut open: Vec<(usize, &Agent)> =
            below.remove(&None).unwrap_or_default().into_iter().rev().map(|agent| (0, agent)).collect();
        while let Some((depth, agent)) = open.pop() {
            rows.push((depth, agent));
            let workers = below.remove(&Some(agent.record.id.as_str())).unwrap_or_default();
            open.extend(workers.into_iter().rev().map(|worker| (depth + 1, worker)));
        }
        // Records that name each other as managers are damaged; they are shown all the same.
        rows.extend(below.into_values().flatten().map(|agent| (0, agent)));
        rows
    }
}

impl Agent {
    /// The agent of this run.
    #[must_use]
    pub fn of(dir: RunDir, record: AgentRecord) -> Agent {
        // A summary that is not there yet, or is damaged, says nothing; the lock and the record still do.
        let summary: Result<RunSummary, SummaryError> = RunSummary::read(&dir.summary());
        let summary = summary.ok();
        let state = State::of(&dir, summary.as_ref());
        Agent { dir, record, summary, state }
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Role;
    use super::*;

    fn agent(state: &Path, id: &str, name: &str, manager: Option<&str>, at: i64) {
        let dir = RunDir::create(state, id).expect("a run");
        let record = AgentRecord {
            manager: manager.map(str::to_owned),
            ..AgentRecord::new(id, name, Role::Manager, at, Path::new("/project"))
        };
        record.write(&dir).expect("written");
    }

    #[test]
    fn an_agent_stands_below_its_manager_and_none_is_lost() {
        let state = tempfile::tempdir().expect("a directory");
        let of = |id: &str, name: &str, manager: Option<&str>, at| agent(state.path(), id, name, manager, at);
        of("20261128-100000-aaaa", "lead", None, 1);
        of("20261128-100001-bbbb", "other", Some("20261101-000000-gone"), 2);
        of("20261128-100002-cccc", "first", Some("20261128-100000-aaaa"), 3);
        of("20261128-100003-dddd", "below", Some("20261128-100002-cccc"), 4);
        of("20261128-100004-ffff", "second", Some("20261128-100000-aaaa"), 5);
        // Two that name each other.
        of("20261128-100005-gggg", "ring", Some("20261128-100006-hhhh"), 6);
        of("20261128-100006-hhhh", "rang", Some("20261128-100005-gggg"), 7);
        // A run without a record is no agent.
        RunDir::create(state.path(), "20261128-100007-kkkk").expect("a run");
        let roster = Roster::read(state.path()).expect("read");
        let rows: Vec<(usize, &str)> =
            roster.tree().into_iter().map(|(depth, agent)| (depth, agent.record.name.as_str())).collect();
        assert_eq!(
            rows,
            [(0, "lead"), (1, "first"), (2, "below"), (1, "second"), (0, "other"), (0, "rang"), (0, "ring")]
        );
        assert!(roster.agents.iter().all(|agent| agent.state == State::Died && agent.state.in_words() == "died"));
    }

    #[test]
    fn a_record_of_a_newer_ccc_or_a_damaged_one_is_named() {
        let state = tempfile::tempdir().expect("a directory");
        agent(state.path(), "20261128-100000-aaaa", "lead", None, 1);
        let dir = RunDir::at(state.path(), "20261128-100000-aaaa").expect("a run");
        let path = dir.path().join("agent.json");
        for (text, said) in [("{", "damaged"), ("", "damaged")] {
            std::fs::write(&path, text).expect("written");
            assert!(AgentRecord::read(&dir).expect_err("no record").to_string().contains(said));
        }
        agent_with_version(&dir, &path);
        let roster = Roster::read(state.path()).expect("read");
        assert!(roster.agents.is_empty() && roster.damaged[0].1.to_string().contains("use a newer ccc"));
    }

    fn agent_with_version(dir: &RunDir, path: &Path) {
        let text = format!(
            r#"{{"version":2,"id":"{}","name":"x","role":"dreamer","created_unix_ms":1,"project":"/p"}}"#,
            dir.id()
        );
        std::fs::write(path, text).expect("written");
    }
}
