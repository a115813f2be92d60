//! Which running agents change the same files: their work will meet in a conflict.
//!
//! Git is asked about one agent at a time, in a thread of its own, and only after the agent has done something. So 200 agents cost
//! no more than one, and are told a little later. Nothing here waits.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::core::Show;
use crate::fleet::{AgentRecord, Roster};
use crate::order::map_of;
use crate::ui::dashboard::SharedFile;

/// The files that an agent has changed since its base, also without a commit; `None` if git cannot say. Waits for git.
pub type ChangedFiles = Arc<dyn Fn(&AgentRecord) -> Option<BTreeSet<PathBuf>> + Send + Sync>;

/// The shortest time between two readings, and between two of one agent.
const PAUSE: Duration = Duration::from_secs(1);
const AGAIN: Duration = Duration::from_secs(20);
/// A pause is at least this many times as long as the reading before it took.
const PAUSE_FACTOR: u32 = 10;
/// How many changed files of one agent are compared.
const FILES_LIMIT: usize = 1_000;
/// How many shared files are told.
const SHARED_LIMIT: usize = 500;

/// An agent that is compared.
#[derive(Debug)]
struct Compared {
    record: AgentRecord,
    /// It may have changed files since it was read.
    is_stale: bool,
    read_at: Option<Instant>,
    files: BTreeSet<PathBuf>,
}

/// What is known of the files that agents change.
#[derive(Debug, Default)]
pub(super) struct Overlaps {
    /// The active agents with worktrees of one repository in which there are at least two.
    agents: BTreeMap<String, Compared>,
    /// The agent that is being read, and since when.
    reading: Option<(String, Instant)>,
    /// When the next one may be read.
    free_at: Option<Instant>,
    told: Vec<SharedFile>,
}

/// Whether files may have changed when this is shown.
fn may_change_files(show: &Show) -> bool {
    matches!(show, Show::Tool { .. } | Show::ToolEnded { .. } | Show::Phase { .. })
}

fn repository(record: &AgentRecord) -> Option<&Path> {
    record.tree.as_ref().map(|tree| tree.common_dir.as_path())
}

impl Overlaps {
    /// These are the agents now.
    pub(super) fn list(&mut self, roster: &Roster) {
        let active = || roster.agents.iter().filter(|agent| agent.state.is_active()).map(|agent| &agent.record);
        let mut in_repository: BTreeMap<&Path, usize> = BTreeMap::new();
        for repository in active().filter_map(repository) {
            *in_repository.entry(repository).or_default() += 1;
        }
        let is_compared = |record: &&AgentRecord| {
            repository(record).is_some_and(|path| in_repository.get(path).is_some_and(|n| *n > 1))
        };
        let mut known = std::mem::take(&mut self.agents);
        self.agents = map_of(active().filter(is_compared).map(|record| {
            let new = || Compared { record: record.clone(), is_stale: true, read_at: None, files: BTreeSet::new() };
            (record.id.clone(), known.remove(&record.id).unwrap_or_else(new))
        }));
    }

    /// The run of this agent has shown something.
    pub(super) fn shown(&mut self, id: &str, show: &Show) {
        if let Some(agent) = self.agents.get_mut(id).filter(|_| may_change_files(show)) {
            agent.is_stale = true;
        }
    }

    /// When the next agent is to be read; `None` while one is read, or all are known.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        self.soonest().map(|(due, _)| due.unwrap_or(now))
    }

    /// The next agent, and when it is to be read; at once for `None`.
    fn soonest(&self) -> Option<(Option<Instant>, &Compared)> {
        if self.reading.is_some() {
            return None;
        }
        let stale = self.agents.values().filter(|agent| agent.is_stale);
        let next = stale.min_by_key(|agent| agent.read_at)?;
        Some(([self.free_at, next.read_at.map(|read| read + AGAIN)].into_iter().flatten().max(), next))
    }

    /// The agent to read now. [`Overlaps::read`] ends the reading.
    pub(super) fn begin(&mut self, now: Instant) -> Option<AgentRecord> {
        let record = self
            .soonest()
            .filter(|(due, _)| due.is_none_or(|due| due <= now))
            .map(|(_, agent)| agent.record.clone())?;
        self.reading = Some((record.id.clone(), now));
        if let Some(agent) = self.agents.get_mut(&record.id) {
            // What it does from now on is not in what is read.
            (agent.is_stale, agent.read_at) = (false, Some(now));
        }
        Some(record)
    }

    /// The files of the agent that was read. What git could not say stays as it was.
    pub(super) fn read(&mut self, now: Instant, files: Option<BTreeSet<PathBuf>>) {
        let Some((id, since)) = self.reading.take() else { return };
        let took = now.saturating_duration_since(since);
        self.free_at = Some(now + (took * PAUSE_FACTOR).max(PAUSE));
        if let (Some(agent), Some(files)) = (self.agents.get_mut(&id), files) {
            agent.files = files.into_iter().take(FILES_LIMIT).collect();
        }
    }

    /// The files that several agents change, if they are others than before.
    pub(super) fn news(&mut self) -> Option<Vec<SharedFile>> {
        let mut by_file: BTreeMap<(&Path, &Path), Vec<&str>> = BTreeMap::new();
        for (id, agent) in &self.agents {
            let Some(repository) = repository(&agent.record) else { continue };
            for file in &agent.files {
                by_file.entry((repository, file)).or_default().push(id);
            }
        }
        let shared = by_file.into_iter().filter(|(_, agents)| agents.len() > 1).take(SHARED_LIMIT);
        let shared: Vec<SharedFile> = shared
            .map(|((_, file), agents)| SharedFile {
                file: file.display().to_string(),
                agents: agents.into_iter().map(str::to_owned).collect(),
            })
            .collect();
        (shared != self.told).then(|| {
            self.told.clone_from(&shared);
            shared
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::RestKind;
    use crate::fleet::{Agent, AgentTree, Role, State};
    use crate::journal::RunDir;

    fn agent(state: &Path, number: usize, repository: &str, phase: State) -> Agent {
        let id = format!("20261128-100000-{number:04}");
        let tree = AgentTree {
            path: format!("/w/{number}").into(),
            branch: format!("agent/{number}"),
            base: "0f".to_owned(),
            onto: None,
            repository: repository.into(),
            common_dir: format!("{repository}/.git").into(),
        };
        let record = AgentRecord {
            tree: Some(tree),
            ..AgentRecord::new(&id, &format!("a{number}"), Role::Worker, 1, Path::new(repository))
        };
        Agent { dir: RunDir::at(state, &id).expect("a run"), record, summary: None, state: phase }
    }

    fn working() -> State {
        State::Active("working".to_owned())
    }

    fn roster(agents: Vec<Agent>) -> Roster {
        Roster { agents, damaged: Vec::new() }
    }

    fn files(names: &[&str]) -> Option<BTreeSet<PathBuf>> {
        Some(names.iter().map(PathBuf::from).collect())
    }

    fn tool() -> Show {
        Show::ToolEnded {
            role: crate::agent::Role::Agent,
            id: "t".to_owned(),
            failed: false,
            error: String::new(),
            output: None,
            hunks: Vec::new(),
        }
    }

    #[test]
    fn agents_of_one_repository_that_change_the_same_file_are_told_once() {
        let state = tempfile::tempdir().expect("a directory");
        let of = |number, repository, phase| agent(state.path(), number, repository, phase);
        let mut overlaps = Overlaps::default();
        let all = || vec![of(1, "/a", working()), of(2, "/a", State::Ready), of(3, "/b", working())];
        overlaps.list(&roster([all(), vec![of(4, "/a", State::Died)]].concat()));
        let mut now = Instant::now();
        // The only one of its repository, and one that has died, are not read.
        let mut read = Vec::new();
        while let Some(due) = overlaps.next(now) {
            now = now.max(due);
            let record = overlaps.begin(now).expect("due");
            assert!(overlaps.next(now).is_none() && overlaps.begin(now).is_none(), "one at a time");
            overlaps.read(now, files(if record.name == "a1" { &["x", "y"] } else { &["y", "z"] }));
            read.push(record.name);
        }
        assert_eq!(read, ["a1", "a2"]);
        let shared = overlaps.news().expect("news");
        let [SharedFile { file, agents }] = shared.as_slice() else { panic!("{shared:?}") };
        assert_eq!((file.as_str(), agents.len()), ("y", 2));
        assert_eq!(overlaps.news(), None);
        // What git cannot say stays.
        overlaps.shown("20261128-100000-0001", &tool());
        now = overlaps.next(now).expect("due");
        overlaps.begin(now);
        overlaps.read(now, None);
        assert_eq!(overlaps.news(), None);
        // One has ended.
        overlaps.list(&roster(all().into_iter().skip(1).collect()));
        assert_eq!(overlaps.news(), Some(Vec::new()));
    }

    #[test]
    fn git_is_asked_seldom_and_only_about_agents_that_have_done_something() {
        let state = tempfile::tempdir().expect("a directory");
        let mut overlaps = Overlaps::default();
        overlaps.list(&roster((0..200).map(|number| agent(state.path(), number, "/a", working())).collect()));
        let begun = Instant::now();
        let (mut now, mut readings) = (begun, 0);
        while let Some(due) = overlaps.next(now) {
            now = now.max(due);
            overlaps.begin(now).expect("due");
            now += Duration::from_millis(200);
            overlaps.read(now, files(&["same"]));
            readings += 1;
        }
        assert_eq!(readings, 200);
        assert!(now - begun >= Duration::from_millis(2_200) * 199, "a slow git is asked less often");
        let shared = overlaps.news().expect("news");
        assert_eq!(shared[0].agents.len(), 200);
        let id = "20261128-100000-0007";
        let rests = Show::Rests { why: RestKind::Judged, outcome: None, reason: String::new() };
        overlaps.shown(id, &rests);
        assert!(overlaps.next(now).is_none(), "that changes no file");
        overlaps.shown(id, &tool());
        let due = overlaps.next(now).expect("due");
        overlaps.begin(due).expect("due");
        overlaps.shown(id, &tool());
        overlaps.read(due, files(&["other"]));
        assert_eq!(overlaps.next(now), Some(due + AGAIN), "what it did while it was read is read later");
        assert_eq!(overlaps.news().expect("news")[0].agents.len(), 199);
    }
}
