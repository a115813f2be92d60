//! The agents of all projects, as the files of their runs say, and what the system reports of changes to them.

use std::collections::{BTreeMap, BTreeSet};
use std::future::pending;
use std::path::{Path, PathBuf};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use crate::core::Outcome;
use crate::fleet::{AGENT_FILE, Agent, AgentRecord, Roster, State};
use crate::journal::{RunDir, RunSummary, Word};
use crate::order::sort_by_key;
use crate::process::{ChangedEntry, DirWatch};
use crate::ui::dashboard::{Listed, Standing};

/// The directory of runs, and the file of the usage, in the state directory.
const RUNS: &str = "runs";
const USAGE: &str = "usage-cache.json";

/// How many of the newest runs are watched although they are no agents yet.
const NEWEST: usize = 16;

/// What has changed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// These runs.
    pub(super) runs: BTreeSet<String>,
    /// These runs have a new socket.
    pub(super) sockets: BTreeSet<String>,
    /// Anything may have changed.
    pub(super) all: bool,
    /// The usage.
    pub(super) usage: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Dir {
    State,
    Runs,
    Run(String),
}

/// The watched directories. Without the system's help none is watched.
#[derive(Debug)]
pub(super) struct Directories {
    state: PathBuf,
    watch: Option<AsyncFd<DirWatch>>,
    by_number: BTreeMap<i32, Dir>,
    runs: BTreeSet<String>,
}

impl Directories {
    /// Watches the state directory and the directory of runs. Must be called within a runtime.
    #[allow(
        deprecated,
        reason = "an owned descriptor stays open while it is registered; the successor asks for a promise that process/ alone may give"
    )]
    pub(super) fn of(state: &Path) -> Directories {
        let watch = DirWatch::new().and_then(|watch| AsyncFd::with_interest(watch, Interest::READABLE));
        let watch = watch.inspect_err(|error| tracing::debug!(%error, "the runs are looked at from time to time")).ok();
        let mut dirs =
            Directories { state: state.to_owned(), watch, by_number: BTreeMap::new(), runs: BTreeSet::new() };
        dirs.add(Dir::State);
        dirs.add(Dir::Runs);
        dirs.watch_newest();
        dirs
    }

    /// Watches the runs that may have been made just before their directory was watched: they become agents only a moment later.
    fn watch_newest(&mut self) {
        let newest = RunDir::all(&self.state).unwrap_or_default();
        self.watch_runs(newest.iter().take(NEWEST).map(RunDir::id));
    }

    /// Whether every change is reported, so that nothing need be looked at from time to time.
    pub(super) fn is_watched(&self) -> bool {
        self.watch.is_some() && self.by_number.values().any(|dir| *dir == Dir::Runs)
    }

    /// Watches the directories of these runs, too.
    pub(super) fn watch_runs<'a>(&mut self, ids: impl Iterator<Item = &'a str>) {
        for id in ids {
            if !self.runs.contains(id) {
                self.add(Dir::Run(id.to_owned()));
            }
        }
    }

    fn add(&mut self, dir: Dir) {
        let Some(watch) = &self.watch else { return };
        let path = match &dir {
            Dir::State => self.state.clone(),
            Dir::Runs => self.state.join(RUNS),
            Dir::Run(id) => self.state.join(RUNS).join(id),
        };
        match watch.get_ref().add(&path) {
            Ok(number) => {
                if let Dir::Run(id) = &dir {
                    self.runs.insert(id.clone());
                }
                self.by_number.insert(number, dir);
            }
            Err(error) => tracing::debug!(path = %path.display(), %error, "not watched"),
        }
    }

    /// Waits until something has changed.
    pub(super) async fn changed(&self) {
        match &self.watch {
            Some(watch) => match watch.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => pending().await,
            },
            None => pending().await,
        }
    }

    /// What has changed.
    pub(super) fn take(&mut self) -> Changes {
        let mut changes = Changes::default();
        let Some(watch) = &self.watch else { return changes };
        let Ok(entries) = watch.get_ref().take() else { return changes };
        for entry in entries {
            let ChangedEntry::In { dir, name } = entry else {
                changes.all = true;
                continue;
            };
            let Some(name) = name.to_str() else { continue };
            match self.by_number.get(&dir).cloned() {
                Some(Dir::State) if name == RUNS => {
                    self.add(Dir::Runs);
                    self.watch_newest();
                    changes.all = true;
                }
                Some(Dir::State) => changes.usage |= name == USAGE,
                Some(Dir::Runs) => {
                    // The directory of a removed run may come again.
                    self.runs.remove(name);
                    self.watch_runs([name].into_iter());
                    changes.runs.insert(name.to_owned());
                }
                Some(Dir::Run(id)) => match name {
                    "control.json" => drop(changes.sockets.insert(id)),
                    AGENT_FILE | "run.json" | "lock" => drop(changes.runs.insert(id)),
                    _ => {}
                },
                None => {}
            }
        }
        changes
    }
}

/// The runs to read.
#[derive(Debug)]
pub(super) enum Due {
    All,
    These(BTreeSet<String>),
}

/// What was read.
#[derive(Debug)]
pub(super) enum Found {
    All(Result<Roster, String>),
    These(Vec<(String, Option<Agent>)>),
}

/// Reads agents. Waits for the disk.
pub(super) fn read(state: &Path, due: Due) -> Found {
    match due {
        Due::All => Found::All(Roster::read(state).map_err(|error| error.to_string())),
        Due::These(ids) => {
            let agent = |id: &str| {
                let dir = RunDir::at(state, id).ok()?;
                let record = AgentRecord::read(&dir).ok()??;
                // The user has removed it.
                if record.removed_unix_ms.is_some() {
                    return None;
                }
                Some(Agent::of(dir, record))
            };
            Found::These(ids.into_iter().map(|id| (id.clone(), agent(&id))).collect())
        }
    }
}

/// Merges what was read into what is known.
pub(super) fn merge(known: &mut Roster, found: Vec<(String, Option<Agent>)>) {
    for (id, agent) in found {
        known.agents.retain(|known| known.record.id != id);
        known.agents.extend(agent);
    }
    sort_by_key(&mut known.agents, |agent| (agent.record.created_unix_ms, agent.record.id.clone()));
}

/// The agents in the order of the tree.
pub(super) fn listed(roster: &Roster, waiting: &BTreeMap<String, String>) -> Vec<Listed> {
    roster.tree().into_iter().map(|(depth, agent)| of(depth, agent, waiting)).collect()
}

fn of(depth: usize, agent: &Agent, waiting: &BTreeMap<String, String>) -> Listed {
    let Agent { record, summary, state, .. } = agent;
    let standing = match state {
        State::Active(phase) => Standing::Active(phase.clone()),
        State::Ready => Standing::Ready,
        State::Ended(outcome) => Standing::Ended { outcome: known(outcome), words: state.in_words().to_owned() },
        State::Queued => Standing::Queued { why: waiting.get(&record.id).cloned().unwrap_or_default() },
        State::Died => Standing::Died,
    };
    Listed {
        id: record.id.clone(),
        name: record.name.clone(),
        depth,
        task: summary.as_ref().map(|summary| summary.task.clone()).unwrap_or_default(),
        branch: record.tree.as_ref().map(|tree| tree.branch.clone()),
        standing,
        created_unix_ms: record.created_unix_ms,
        ended_unix_ms: summary.as_ref().and_then(|summary| summary.ended_unix_ms),
        iteration: summary.as_ref().map(|summary| summary.iteration),
        cost_usd: summary.as_ref().and_then(|summary| summary.cost_usd),
        context: summary.as_ref().and_then(RunSummary::context),
        reason: summary.as_ref().and_then(|summary| summary.reason.clone()),
        going_on: summary.as_ref().and_then(|summary| summary.going_on().map(str::to_owned)),
    }
}

fn known(outcome: &Word<Outcome>) -> Option<Outcome> {
    match outcome {
        Word::Known(outcome) => Some(*outcome),
        Word::Other(_) => None,
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::fleet::Role;

    fn record(id: &str, at: i64) -> AgentRecord {
        AgentRecord::new(id, "login", Role::Worker, at, Path::new("/project"))
    }

    /// Whether this run is soon among what has changed.
    async fn has_changed(dirs: &mut Directories, id: &str) -> bool {
        let changed = async {
            loop {
                dirs.changed().await;
                let changes = dirs.take();
                if changes.all || changes.runs.contains(id) {
                    return;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), changed).await.is_ok()
    }

    #[test]
    fn a_run_that_becomes_an_agent_and_one_that_is_removed_are_reported() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let state = tempfile::tempdir().expect("a directory");
            let mut dirs = Directories::of(state.path());
            assert!(!dirs.is_watched(), "there are no runs yet");
            let id = "20261128-100000-aaaa";
            let dir = RunDir::create(state.path(), id).expect("a run");
            assert!(has_changed(&mut dirs, id).await);
            assert!(dirs.is_watched());
            let mut known = Roster::default();
            let look = |known: &mut Roster| {
                match read(state.path(), Due::These([id.to_owned()].into())) {
                    Found::These(found) => merge(known, found),
                    Found::All(_) => panic!("another reading"),
                }
                listed(known, &BTreeMap::new()).len()
            };
            assert_eq!(look(&mut known), 0, "a run without a record is no agent");
            // The run was made before its directory was watched.
            record(id, 1).write(&dir).expect("written");
            assert!(has_changed(&mut dirs, id).await);
            assert_eq!(look(&mut known), 1);
            std::fs::remove_dir_all(dir.path()).expect("removed");
            assert!(has_changed(&mut dirs, id).await);
            assert_eq!(look(&mut known), 0);
        });
    }
}
