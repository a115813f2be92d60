//! The end of a worker, as its manager is told of it.

use std::path::Path;
use std::time::Duration;

use super::{Context, agent_tree};
use crate::checkpoint::Summary;
use crate::control::Client;
use crate::control::protocol::{Hello, Reply, Request};
use crate::core::{Core, OperatorInput, Outcome};
use crate::files::replace_json;
use crate::fleet::{Agent, AgentRecord, KeptDown, Roster, State};
use crate::journal::{RunDir, RunSummary, Word};
use crate::keeper::Notes;
use crate::ui::format::count;

/// The file in a worker's directory while its manager was not told of its end.
const UNTOLD_FILE: &str = "untold.json";
/// How long the manager's run may take to connect, and to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest reason in the text, in characters.
const REASON_CHARS: usize = 2_000;

/// What the manager's agent reads about the end of a worker.
fn text(record: &AgentRecord, outcome: &str, reason: &str, changes: Option<&Summary>) -> String {
    let (name, id) = (&record.name, &record.id);
    let reason: String = reason.chars().take(REASON_CHARS).collect();
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    let work = match &record.tree {
        Some(tree) => {
            let extent = changes.map(|changes| format!(" ({})", extent(changes))).unwrap_or_default();
            format!("Its work is on the branch {}{extent}: `ccc diff {name}` shows it.", tree.branch)
        }
        None => format!("It has worked in {}.", record.project.display()),
    };
    format!("Your worker {name} (run {id}) has ended: {outcome}{why}.\n{work} `ccc look {name}` shows what it said.")
}

/// How much was changed: `3 files, 10 lines added, 2 removed`.
fn extent(changes: &Summary) -> String {
    match changes.files.len() {
        0 => "nothing has changed".to_owned(),
        files => format!("{}, {} lines added, {} removed", count(files, "file"), changes.added, changes.removed),
    }
}

/// What an agent has changed, if it can be found out.
fn changes(record: &AgentRecord, context: &Context) -> Option<Summary> {
    record.tree.as_ref()?;
    agent_tree::sums(record, context)
        .inspect_err(|error| tracing::debug!(%error, "the extent of a worker's changes is not known"))
        .ok()
}

/// Tells the manager of this run of its end. If the manager's run is not active, a mark stays, and the manager is told when its run
/// is resumed. The run's lock must still be held: the manager's run knows by it that its worker's ccc speaks.
pub(super) fn tell_manager(run: &RunDir, outcome: Outcome, reason: &str, context: &Context) {
    let Ok(Some(record)) = AgentRecord::read(run) else { return };
    let (Some(manager), Ok(dirs)) = (record.manager.as_deref(), context.dirs()) else { return };
    let Ok(manager) = RunDir::at(&dirs.state, manager) else { return };
    if outcome == Outcome::Interrupted && is_taken_up_later(run, &dirs.state) {
        return;
    }
    let mark = run.path().join(UNTOLD_FILE);
    if let Err(error) = replace_json(&mark, &serde_json::json!({"manager": manager.id()}), false) {
        tracing::debug!(%error, "the mark of an untold end cannot be written");
    }
    let changes = changes(&record, context);
    let text = text(&record, outcome.in_words(), reason, changes.as_ref());
    let request = Request::WorkerEnded { id: record.id.clone(), text };
    let told = Client::connect_within(&manager, &Hello::new("worker", false), LIMIT)
        .and_then(|mut client| client.call_within(&request, LIMIT));
    match told {
        Ok(Reply::Done | Reply::Already | Reply::Queued { .. }) => drop(std::fs::remove_file(&mark)),
        Ok(reply) => tracing::debug!(?reply, "the manager does not take the end of its worker"),
        Err(error) => tracing::debug!(%error, "the manager cannot be told of the end of its worker"),
    }
}

/// What the manager's agent reads about the end of this worker.
pub(super) fn end_of(worker: &Agent, context: &Context) -> String {
    let reason = worker.summary.as_ref().and_then(reason_of).unwrap_or_default();
    let changes = changes(&worker.record, context);
    text(&worker.record, worker.state.in_words(), reason, changes.as_ref())
}

/// Whether an agent that was interrupted has not ended, because the keeper has stopped it until the reset.
fn is_taken_up_later(run: &RunDir, state_dir: &Path) -> bool {
    KeptDown::read(run).is_none() && Notes::read(state_dir).is_ok_and(|notes| notes.is_taken_up_later(run.id()))
}

/// What a resumed run has to be told about its workers: those that its journal does not know, and the ends that it was not told.
pub(super) fn first_inputs(run: &RunDir, core: &Core, context: &Context) -> Vec<OperatorInput> {
    let Ok(dirs) = context.dirs() else { return Vec::new() };
    let Ok(roster) = Roster::read(&dirs.state) else { return Vec::new() };
    let mut inputs = Vec::new();
    for agent in roster.agents.into_iter().filter(|agent| agent.record.manager.as_deref() == Some(run.id())) {
        let (id, name) = (agent.record.id.clone(), agent.record.name.clone());
        match &agent.state {
            State::Ended(Word::Known(Outcome::Interrupted)) if is_taken_up_later(&agent.dir, &dirs.state) => {
                if !core.knows_worker(&id) {
                    inputs.push(OperatorInput::WorkerStarted { id, name });
                }
            }
            State::Ended(_) if !core.is_told_of_end(&id) => {
                let text = end_of(&agent, context);
                inputs.push(OperatorInput::WorkerEnded { id, name, text });
                let _ = std::fs::remove_file(agent.dir.path().join(UNTOLD_FILE));
            }
            // One whose ccc has died is waited for, too: it may be resumed.
            State::Active(_) | State::Ready | State::Died if !core.knows_worker(&id) => {
                inputs.push(OperatorInput::WorkerStarted { id, name });
            }
            State::Ended(_) | State::Active(_) | State::Ready | State::Died => {}
        }
    }
    inputs
}

fn reason_of(summary: &RunSummary) -> Option<&str> {
    summary.reason.as_deref()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::FileChange;
    use crate::fleet::{AgentTree, Role};

    #[test]
    fn the_end_of_a_worker_names_what_its_manager_can_do_with_it() {
        let tree = AgentTree {
            path: "/w".into(),
            branch: "agent/fixer".to_owned(),
            base: "0f".to_owned(),
            onto: None,
            repository: "/p".into(),
            common_dir: "/p/.git".into(),
        };
        let record = AgentRecord {
            manager: Some("20261128-090000-bbbb".to_owned()),
            depth: 1,
            tree: Some(tree),
            ..AgentRecord::new("20261128-100000-aaaa", "fixer", Role::Worker, 1, std::path::Path::new("/p"))
        };
        assert_eq!(
            text(&record, "completed", "the critic agrees", None),
            "Your worker fixer (run 20261128-100000-aaaa) has ended: completed: the critic agrees.\nIts work is on the branch \
             agent/fixer: `ccc diff fixer` shows it. `ccc look fixer` shows what it said."
        );
        let change = FileChange { path: "a.rs".into(), renamed_from: None, lines: Some((10, 2)) };
        let changes = Summary { files: vec![change], added: 10, removed: 2 };
        let told = text(&record, "completed", "", Some(&changes));
        assert!(told.contains("agent/fixer (1 file, 10 lines added, 2 removed): `ccc diff"), "{told}");
        let told = text(&record, "completed", "", Some(&Summary::default()));
        assert!(told.contains("agent/fixer (nothing has changed): "), "{told}");
        let without = AgentRecord { tree: None, ..record };
        assert!(text(&without, "failed", "", None).contains("has ended: failed.\nIt has worked in /p."));
    }
}
