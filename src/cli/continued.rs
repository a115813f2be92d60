//! Agents that the keeper continues by itself: those whose ccc has died, and those that it has stopped because of the usage.

use super::keeper_world::{self, ensure_keeper};
use super::{CliError, Context};
use crate::core::Outcome;
use crate::driver;
use crate::fleet::{Agent, AgentRecord, State};
use crate::journal::{RunDir, Word};
use crate::keeper::{self, Notes};

/// Makes sure that a keeper works if one of these agents needs one: one that is to be continued, or that waits in the queue. Active
/// agents see to it themselves.
pub(super) fn ensure_for<'a>(agents: impl IntoIterator<Item = &'a Agent>, context: &Context) {
    let Ok(dirs) = context.dirs() else { return };
    let candidates: Vec<&Agent> = agents.into_iter().filter(|agent| is_candidate(&agent.state)).collect();
    if candidates.is_empty() || matches!(keeper::holder(&dirs.state), Ok(Some(_))) {
        return;
    }
    if candidates.iter().any(|agent| agent.state == State::Queued) || any_is_continued(&candidates, context) {
        ensure_keeper(context);
    }
}

/// Whether the keeper continues the agent of this run by itself. False for a run that is no agent.
pub(super) fn by_keeper(run: &RunDir, context: &Context) -> bool {
    let Ok(Some(record)) = AgentRecord::read(run) else { return false };
    let agent = Agent::of(run.clone(), record);
    agent.record.removed_unix_ms.is_none() && is_candidate(&agent.state) && any_is_continued(&[&agent], context)
}

/// Refuses what changes the files of an agent that the keeper is about to continue.
///
/// # Errors
/// When the keeper continues the agent.
pub(super) fn refuse(run: &RunDir, context: &Context) -> Result<(), CliError> {
    if !by_keeper(run, context) {
        return Ok(());
    }
    let id = run.id();
    Err(CliError::usage(format!("the agent of run {id} is about to be continued, and writes these files"))
        .hint(format!("to end it first, so that it can go on later: ccc stop {id}")))
}

/// Whether an agent in this state may have to be started by the keeper.
fn is_candidate(state: &State) -> bool {
    match state {
        State::Died | State::Queued | State::Ended(Word::Known(Outcome::Interrupted)) => true,
        State::Active(_) | State::Ready | State::Ended(Word::Known(_) | Word::Other(_)) => false,
    }
}

fn any_is_continued(agents: &[&Agent], context: &Context) -> bool {
    let Ok(dirs) = context.dirs() else { return false };
    let Ok(notes) = Notes::read(&dirs.state) else { return false };
    let now_unix_ms = driver::unix_ms();
    let rules = keeper_world::rules(context, now_unix_ms);
    agents.iter().any(|agent| notes.continues(agent, &rules, now_unix_ms))
}
