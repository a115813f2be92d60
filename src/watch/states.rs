//! The changes of the agents' states, for scripts.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::roster::{Directories, Due, Found, read};
use crate::fleet::{Agent, State};

/// A ccc that dies changes no file: so often the active agents are looked at without a report of the system.
const LOOK: Duration = Duration::from_secs(5);

/// What is compared: the state, and the number of judged stops.
fn standing(agent: &Agent) -> (State, u32) {
    (agent.state.clone(), agent.summary.as_ref().map_or(0, |run| run.iteration))
}

/// Reports how each agent stands, and from then on each agent whose state has changed, until `report` returns false.
///
/// # Errors
/// When the runs cannot be read, or the event loop cannot be created.
pub fn follow_states(state_dir: &Path, report: &mut dyn FnMut(&Agent) -> bool) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut dirs = Directories::of(state_dir);
        let mut known: BTreeMap<String, (State, u32)> = BTreeMap::new();
        let mut due = Due::All;
        loop {
            let agents = match read(state_dir, due) {
                Found::All(Ok(roster)) => roster.agents,
                Found::All(Err(error)) => return Err(io::Error::other(error)),
                Found::These(found) => found.into_iter().filter_map(|(_, agent)| agent).collect(),
            };
            dirs.watch_runs(agents.iter().map(|agent| agent.record.id.as_str()));
            for agent in &agents {
                let now = standing(agent);
                if known.get(&agent.record.id) != Some(&now) {
                    known.insert(agent.record.id.clone(), now);
                    if !report(agent) {
                        return Ok(());
                    }
                }
            }
            let is_reported = tokio::time::timeout(LOOK, dirs.changed()).await.is_ok();
            let changes = dirs.take();
            due = if changes.all || !dirs.is_watched() {
                Due::All
            } else if is_reported {
                Due::These(changes.runs)
            } else {
                let active = known.iter().filter(|(_, (state, _))| state.is_active());
                Due::These(active.map(|(id, _)| id.clone()).collect())
            };
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::{AgentRecord, Role};
    use crate::journal::RunDir;

    #[test]
    fn each_agent_is_reported_once_and_again_when_its_state_changes() {
        let state = tempfile::tempdir().expect("a directory");
        let id = "20261128-100000-aaaa";
        let dir = RunDir::create(state.path(), id).expect("a run");
        let record = AgentRecord::new(id, "login", Role::Worker, 1, Path::new("/project"));
        record.write(&dir).expect("written");
        let mut seen = Vec::new();
        let ended = format!(
            r#"{{"version":1,"id":"{id}","task":"t","cwd":"/t","pid":1,"started_unix_ms":0,"updated_unix_ms":0,
            "phase":"ending","iteration":1,"restarts":0,"rotations":0,"waited_ms":0,"outcome":"completed"}}"#
        );
        follow_states(state.path(), &mut |agent| {
            seen.push(agent.state.in_words().to_owned());
            if seen.len() == 1 {
                std::fs::write(dir.summary(), &ended).expect("written");
            }
            seen.len() < 2
        })
        .expect("followed");
        assert_eq!(seen, ["died", "completed"]);
    }
}
