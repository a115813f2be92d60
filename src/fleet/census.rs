//! How many agents work, ask, and so on: read in a few milliseconds also among a thousand runs.

use std::path::Path;

use super::queued::Queued;
use super::record::AgentRecord;
use super::roster::State;
use crate::journal::{RunDir, RunDirError, RunSummary};

/// How many agents stand how. Agents that have ended are not counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Census {
    working: usize,
    asks: usize,
    waiting: usize,
    paused: usize,
    ready: usize,
    queued: usize,
    died: usize,
}

impl Census {
    /// Counts the agents of all projects.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn take(state_dir: &Path) -> Result<Census, RunDirError> {
        let mut census = Census::default();
        for dir in RunDir::unsorted(state_dir)? {
            // A ccc that ends in good order empties its lock; one that works or has died has its name in it.
            let is_named = std::fs::symlink_metadata(dir.lock()).is_ok_and(|lock| lock.len() > 0);
            if !is_named && !Queued::is_there(&dir) {
                continue;
            }
            if let Ok(Some(AgentRecord { removed_unix_ms: None, .. })) = AgentRecord::read(&dir) {
                match State::of(&dir, RunSummary::read(&dir.summary()).ok().as_ref()) {
                    State::Ended(_) => {}
                    state @ (State::Active(_) | State::Ready | State::Queued | State::Died) => {
                        census.add(state.in_words())
                    }
                }
            }
        }
        Ok(census)
    }

    /// Counts an agent in this state.
    pub fn add(&mut self, state: &str) {
        let count = match state {
            "asking" => &mut self.asks,
            "waiting" => &mut self.waiting,
            "paused" => &mut self.paused,
            "ready" | "resting" => &mut self.ready,
            "queued" => &mut self.queued,
            "died" => &mut self.died,
            _ => &mut self.working,
        };
        *count += 1;
    }

    /// The words for users and JSON, with their counts.
    pub fn counts(&self) -> impl Iterator<Item = (&'static str, usize)> {
        let Census { working, asks, waiting, paused, ready, queued, died } = *self;
        [
            ("working", working),
            ("asks", asks),
            ("waiting", waiting),
            ("paused", paused),
            ("ready", ready),
            ("queued", queued),
            ("died", died),
        ]
        .into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::Role;
    use super::*;
    use crate::journal::FileLock;

    fn agent(state: &Path, id: &str, phase: &str, outcome: Option<&str>) -> RunDir {
        let dir = RunDir::create(state, id).expect("a run");
        let record = AgentRecord::new(id, id, Role::Worker, 1, Path::new("/project"));
        record.write(&dir).expect("written");
        let summary = serde_json::json!({
            "version": 1, "id": id, "task": "", "cwd": "/", "pid": 1, "started_unix_ms": 1, "updated_unix_ms": 1,
            "phase": phase, "iteration": 0, "restarts": 0, "rotations": 0, "waited_ms": 0, "outcome": outcome,
        });
        std::fs::write(dir.summary(), summary.to_string()).expect("written");
        dir
    }

    fn held(dir: &RunDir) -> FileLock {
        dir.take_lock(std::process::id(), 1).expect("free")
    }

    #[test]
    fn agents_that_live_or_have_died_are_counted_and_no_others() {
        let state = tempfile::tempdir().expect("a directory");
        assert_eq!(Census::take(state.path()).expect("no runs"), Census::default());
        let works = held(&agent(state.path(), "20261128-100000-aaaa", "working", None));
        let asks = held(&agent(state.path(), "20261128-100001-bbbb", "asking", None));
        // A verdict as the phase: it waits for its user.
        let rests = held(&agent(state.path(), "20261128-100002-cccc", "completed", None));
        let died = agent(state.path(), "20261128-100003-dddd", "working", None);
        std::fs::write(died.lock(), "{}").expect("what a killed ccc leaves");
        drop(held(&agent(state.path(), "20261128-100004-ffff", "ended", Some("completed"))));
        // A run that is no agent.
        let other = RunDir::create(state.path(), "20261128-100005-gggg").expect("a run");
        let other = held(&other);
        let census = Census::take(state.path()).expect("counted");
        let counts: Vec<(&str, usize)> = census.counts().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counts, [("working", 1), ("asks", 1), ("ready", 1), ("died", 1)]);
        drop((works, asks, rests, other));
    }
}
