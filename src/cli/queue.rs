//! Agents that have not been started yet, for the commands: what they wait for, and how one leaves the queue without a start.

use std::collections::BTreeMap;

use redaction::Redactor;

use super::dead_run::lock_unless_held;
use super::{CliError, Context, continued, detach, keeper_world, telling};
use crate::core::Outcome;
use crate::driver;
use crate::files::VersionedError;
use crate::fleet::{Agent, Queued, State};
use crate::journal::{RunDir, RunSummary};
use crate::keeper;

/// The phase of an agent that has not been started yet, in its summary.
pub(super) const QUEUED_PHASE: &str = "queued";

/// What each of these agents waits for that has not been started yet, by its id. `agents` are all agents, the oldest first. If one
/// of them needs a keeper and none works, one is started.
pub(super) fn waiting<'a>(
    agents: impl IntoIterator<Item = &'a Agent> + Clone,
    context: &Context,
) -> BTreeMap<String, String> {
    continued::ensure_for(agents.clone(), context);
    let is_queued = agents.clone().into_iter().any(|agent| agent.state == State::Queued);
    let Ok(dirs) = context.dirs() else { return BTreeMap::new() };
    if !is_queued {
        return BTreeMap::new();
    }
    let now_unix_ms = driver::unix_ms();
    keeper::waiting(&dirs.state, agents, &keeper_world::rules(context, now_unix_ms), now_unix_ms)
}

/// The error for the record of an agent that waits.
pub(super) fn queued_error(error: &VersionedError) -> CliError {
    CliError::io(error).hint("make the state directory writable, or set CCC_STATE_DIR to another one")
}

/// The error for what only an agent can do that has been started.
pub(super) fn not_started(run: &RunDir) -> CliError {
    let id = run.id();
    if RunSummary::read(&run.summary()).is_ok_and(|summary| summary.outcome.is_some()) {
        return CliError::usage(format!("the agent of run {id} was stopped before it started"))
            .hint(format!("to start it: ccc resume {id}"));
    }
    CliError::usage(format!("the agent of run {id} has not started yet: it waits in the queue"))
        .hint(format!("to see what it waits for: ccc status {id}; to start it at once: ccc resume {id}"))
}

/// Ends an agent that has not been started: its run is interrupted, and its manager is told. False if it does not wait any more.
///
/// # Errors
/// When its run cannot be locked, or the end cannot be written.
pub(super) fn leave(run: &RunDir, reason: &str, context: &Context) -> Result<bool, CliError> {
    if !Queued::is_there(run) {
        return Ok(false);
    }
    // It is being started.
    let Some(_lock) = lock_unless_held(run)? else { return Ok(false) };
    leave_locked(run, reason, context)
}

/// As [`leave`]; the caller holds the run's lock.
///
/// # Errors
/// When the end cannot be written.
pub(super) fn leave_locked(run: &RunDir, reason: &str, context: &Context) -> Result<bool, CliError> {
    if !Queued::is_there(run) {
        return Ok(false);
    }
    let now_unix_ms = driver::unix_ms();
    let queued = Queued::read(run).map_err(|error| queued_error(&error))?;
    let summary = RunSummary::read(&run.summary()).ok();
    let summary =
        summary.or_else(|| Some(detach::beginning(&queued.as_ref()?.plan, now_unix_ms, &Redactor::default())));
    let Some(mut summary) = summary else { return Ok(false) };
    summary.outcome = Some(Outcome::Interrupted.into());
    summary.reason = Some(format!("{reason}, before it started"));
    summary.ended_unix_ms = Some(now_unix_ms);
    summary.updated_unix_ms = now_unix_ms;
    summary.write(&run.summary(), &Redactor::default()).map_err(|error| {
        CliError::io(format!("{}: {error}", run.summary().display()))
            .hint("free some disk space, or set CCC_STATE_DIR to another directory")
    })?;
    telling::tell_manager(run, Outcome::Interrupted, summary.reason.as_deref().unwrap_or(reason), context);
    Ok(true)
}
