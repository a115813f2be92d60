//! The ends of workers, as their managers are told of them.

use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{Context, agent_tree};
use crate::checkpoint::Summary;
use crate::control::protocol::{Hello, Reply, Request};
use crate::control::{Client, ClientError, LostWorker};
use crate::core::{Core, OperatorInput, Outcome};
use crate::driver;
use crate::files::replace_json;
use crate::fleet::{Agent, AgentRecord, KeptDown, Queued, Roster, State, UNTOLD_END_FILE};
use crate::journal::{RunDir, RunSummary, Word};
use crate::keeper::Notes;
use crate::ui::format::count;

/// How long the manager's run may take to connect, and to answer.
const LIMIT: Duration = Duration::from_secs(10);
/// The longest reason in the text, in characters.
const REASON_CHARS: usize = 2_000;

/// What the manager's agent reads about the end of a worker.
fn text(record: &AgentRecord, has_begun: bool, outcome: &str, reason: &str, changes: Option<&Summary>) -> String {
    let (name, id) = (&record.name, &record.id);
    let reason: String = reason.chars().take(REASON_CHARS).collect();
    let why = if reason.is_empty() { String::new() } else { format!(": {reason}") };
    if !has_begun {
        return format!("Your worker {name} (run {id}) has ended: {outcome}{why}. It has done nothing.");
    }
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
    if outcome == Outcome::Interrupted && is_taken_up_later(run, &Notes::read(&dirs.state).unwrap_or_default()) {
        return;
    }
    will_tell(run);
    let changes = changes(&record, context);
    let text = text(&record, !Queued::is_there(run), outcome.in_words(), reason, changes.as_ref());
    // An end that the full disk did not keep has a time of its own.
    let at_unix_ms = RunSummary::read(&run.summary()).ok().and_then(|summary| summary.ended_unix_ms);
    let at_unix_ms = at_unix_ms.or_else(|| Some(driver::unix_ms()));
    match ask(&manager, &Request::WorkerEnded { id: record.id.clone(), text, at_unix_ms }) {
        Ok(Reply::Done | Reply::Already | Reply::Queued { .. }) => {
            drop(std::fs::remove_file(run.path().join(UNTOLD_END_FILE)))
        }
        Ok(reply) => tracing::debug!(?reply, "the manager does not take the end of its worker"),
        Err(error) => tracing::debug!(%error, "the manager cannot be told of the end of its worker"),
    }
}

/// Marks a worker's run as one whose end is still to be told.
pub(super) fn will_tell(run: &RunDir) {
    let Some(manager) = AgentRecord::read(run).ok().flatten().and_then(|record| record.manager) else { return };
    let mark = run.path().join(UNTOLD_END_FILE);
    if let Err(error) = replace_json(&mark, &serde_json::json!({"manager": manager}), false) {
        tracing::debug!(%error, "the mark of an untold end cannot be written");
    }
}

/// A request to the run of a manager.
fn ask(manager: &RunDir, request: &Request) -> Result<Reply, ClientError> {
    let mut client = Client::connect_within(manager, &Hello::new("worker", false), LIMIT)?;
    client.call_within(request, LIMIT)
}

/// Tells the manager of this run that it works again, in a thread of its own. The run's lock must be held, as for [`tell_manager`]. If
/// the manager's run is not active, it sees that by itself when it is resumed.
pub(super) fn tell_manager_of_resumption(run: &RunDir, state: &Path) -> Option<JoinHandle<()>> {
    let record = AgentRecord::read(run).ok().flatten()?;
    let manager = RunDir::at(state, record.manager.as_deref()?).ok()?;
    let tell = move || match ask(&manager, &Request::WorkerResumed { id: record.id }) {
        Ok(reply) => tracing::debug!(?reply, "the manager was told that its worker works again"),
        Err(error) => tracing::debug!(%error, "the manager cannot be told that its worker works again"),
    };
    std::thread::Builder::new().name("telling".to_owned()).spawn(tell).ok()
}

/// Tells the run of its manager that this agent has died and that nothing continues it. Nobody holds its lock.
pub(super) fn tell_of_death(record: &AgentRecord, context: &Context) {
    let (Some(manager), Ok(dirs)) = (record.manager.as_deref(), context.dirs()) else { return };
    let Ok(manager) = RunDir::at(&dirs.state, manager) else { return };
    match ask(&manager, &Request::WorkerLost { id: record.id.clone() }) {
        Ok(reply) => tracing::debug!(?reply, "the manager was told of the death of its worker"),
        Err(error) => tracing::debug!(%error, "the manager cannot be told of the death of its worker"),
    }
}

/// Why a dead agent is not continued; `None` if the keeper may still continue it.
fn why_not_continued(agent: &Agent, notes: &Notes) -> Option<String> {
    if agent.record.removed_unix_ms.is_some() {
        return Some("it was removed".to_owned());
    }
    let kept_down = KeptDown::read(&agent.dir).map(|kept_down| kept_down.why);
    kept_down.or_else(|| notes.upkeep().given_up(&agent.record.id).map(|given_up| given_up.why.clone()))
}

/// When a dead agent gave its last sign of life, which tells its deaths apart.
fn died_unix_ms(agent: &Agent) -> i64 {
    agent.summary.as_ref().map_or(agent.record.created_unix_ms, |summary| summary.updated_unix_ms)
}

/// What the manager of a dead agent is told, which is not continued.
fn of_dead(agent: &Agent, why: &str, context: &Context) -> LostWorker {
    let reason = format!("its ccc has died, and it is not continued: {why}");
    let changes = changes(&agent.record, context);
    LostWorker {
        name: agent.record.name.clone(),
        text: text(&agent.record, true, Outcome::Failed.in_words(), &reason, changes.as_ref()),
        at_unix_ms: died_unix_ms(agent),
    }
}

/// What the manager's agent reads about an end that the worker's ccc has recorded.
fn end_of(agent: &Agent, outcome: &Word<Outcome>, context: &Context) -> String {
    let reason = agent.summary.as_ref().and_then(reason_of).unwrap_or_default();
    let outcome = match outcome {
        Word::Known(outcome) => outcome.in_words(),
        Word::Other(outcome) => outcome.as_str(),
    };
    let changes = changes(&agent.record, context);
    text(&agent.record, !Queued::is_there(&agent.dir), outcome, reason, changes.as_ref())
}

/// Whether an agent that was interrupted has not ended, because the keeper has stopped it until the reset.
fn is_taken_up_later(run: &RunDir, notes: &Notes) -> bool {
    KeptDown::read(run).is_none() && notes.is_taken_up_later(run.id())
}

/// The end of a worker whose ccc has died; the reason if its ccc works or has ended in good order.
///
/// # Errors
/// When it lives, or has told its end.
pub(super) fn end_of_lost(agent: &Agent, state: &Path, context: &Context) -> Result<LostWorker, String> {
    if let State::Ended(outcome) = &agent.state
        && agent.dir.path().join(UNTOLD_END_FILE).exists()
    {
        let summary = agent.summary.as_ref();
        return Ok(LostWorker {
            name: agent.record.name.clone(),
            text: end_of(agent, outcome, context),
            at_unix_ms: summary.and_then(|summary| summary.ended_unix_ms).unwrap_or_else(|| died_unix_ms(agent)),
        });
    }
    if agent.state != State::Died {
        return Err(format!("{} has not died: it is {}", agent.record.name, agent.state.in_words()));
    }
    let notes = Notes::read(state).unwrap_or_default();
    let why = why_not_continued(agent, &notes).unwrap_or_else(|| "it was dead for too long".to_owned());
    Ok(of_dead(agent, &why, context))
}

/// What a resumed run has to be told about its workers: those that its journal does not know, and the ends that it was not told.
pub(super) fn first_inputs(run: &RunDir, core: &Core, context: &Context) -> Vec<OperatorInput> {
    let Ok(dirs) = context.dirs() else { return Vec::new() };
    let Ok(roster) = Roster::read_all(&dirs.state) else { return Vec::new() };
    let notes = Notes::read(&dirs.state).unwrap_or_default();
    let mut inputs = Vec::new();
    for agent in roster.agents.into_iter().filter(|agent| agent.record.manager.as_deref() == Some(run.id())) {
        let (id, name) = (agent.record.id.clone(), agent.record.name.clone());
        // One that was removed is of interest only while the run waits for it.
        if agent.record.removed_unix_ms.is_some() && !core.counts_as_running(&id) {
            continue;
        }
        let works_again = core.knows_worker(&id);
        match &agent.state {
            State::Ended(Word::Known(Outcome::Interrupted)) if is_taken_up_later(&agent.dir, &notes) => {
                if !core.counts_as_running(&id) {
                    inputs.push(OperatorInput::WorkerStarted { id, name, again: works_again });
                }
            }
            State::Ended(outcome) => {
                let at_unix_ms = agent.summary.as_ref().and_then(|summary| summary.ended_unix_ms);
                if core.is_told_of_end(&id, at_unix_ms) {
                    continue;
                }
                inputs.push(OperatorInput::WorkerEnded {
                    id,
                    name,
                    text: end_of(&agent, outcome, context),
                    at_unix_ms,
                });
                let _ = std::fs::remove_file(agent.dir.path().join(UNTOLD_END_FILE));
            }
            State::Active(_) | State::Ready | State::Queued if !core.counts_as_running(&id) => {
                inputs.push(OperatorInput::WorkerStarted { id, name, again: works_again });
            }
            State::Active(_) | State::Ready | State::Queued => {}
            State::Died if core.is_told_of_end(&id, Some(died_unix_ms(&agent))) => {}
            State::Died => match why_not_continued(&agent, &notes) {
                Some(why) => {
                    let LostWorker { name, text, at_unix_ms } = of_dead(&agent, &why, context);
                    inputs.push(OperatorInput::WorkerEnded { id, name, text, at_unix_ms: Some(at_unix_ms) });
                }
                // It is waited for: the keeper continues it, or tells this run that it does not.
                None if !core.counts_as_running(&id) => {
                    inputs.push(OperatorInput::WorkerStarted { id, name, again: works_again });
                }
                None => {}
            },
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
            text(&record, true, "completed", "the critic agrees", None),
            "Your worker fixer (run 20261128-100000-aaaa) has ended: completed: the critic agrees.\nIts work is on the branch \
             agent/fixer: `ccc diff fixer` shows it. `ccc look fixer` shows what it said."
        );
        let change = FileChange { path: "a.rs".into(), renamed_from: None, lines: Some((10, 2)) };
        let changes = Summary { files: vec![change], added: 10, removed: 2 };
        let told = text(&record, true, "completed", "", Some(&changes));
        assert!(told.contains("agent/fixer (1 file, 10 lines added, 2 removed): `ccc diff"), "{told}");
        let told = text(&record, true, "completed", "", Some(&Summary::default()));
        assert!(told.contains("agent/fixer (nothing has changed): "), "{told}");
        let without = AgentRecord { tree: None, ..record };
        assert!(text(&without, true, "failed", "", None).contains("has ended: failed.\nIt has worked in /p."));
        assert_eq!(
            text(&without, false, "interrupted", "ccc kill, before it started", None),
            "Your worker fixer (run 20261128-100000-aaaa) has ended: interrupted: ccc kill, before it started. It has done nothing."
        );
    }
}
