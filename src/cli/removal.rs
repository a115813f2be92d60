//! Removes agents of the fleet: ends the run, keeps what was not merged, removes the working tree, frees the name.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::agent::record_error;
use super::agent_tree::Unmade;
use super::{CliError, Context, agent_tree, protected_files, queue, steer, telling};
use crate::control::ClientError;
use crate::control::protocol::{Event, Hello, Reply, Request};
use crate::driver;
use crate::files::TimedLock;
use crate::fleet::{Agent, AgentRecord, KeptDown, State};
use crate::journal::{FileLock, RunDir, RunNames};

/// Where the runs of agents are kept that `ccc nuke` has removed.
const ARCHIVE_DIR: &str = "archive";
/// How long a run that was told to end at once may take.
const END_WAIT: Duration = Duration::from_secs(30);

/// Ends a run at once, if it has not ended, and returns its lock: until that is dropped nothing continues the run.
///
/// # Errors
/// When it cannot be reached, or does not end.
pub(super) fn end_now(run: &RunDir, reason: &str) -> Result<TimedLock, CliError> {
    let mut client = match steer::client_of(run, &Hello::new("kill", false)) {
        Ok(client) => client,
        Err(ClientError::NotRunning { .. }) => return held(run),
        Err(error) => return Err(steer::unreachable(&error)),
    };
    let lost = |error: ClientError| steer::unreachable(&error);
    client.follow(Some(0), None, false).map_err(lost)?;
    // The first order ends it cleanly, the second at once.
    for _ in 0..2 {
        match client.call(&Request::Stop { reason: Some(reason.to_owned()) }) {
            Ok(Reply::Fault(fault)) if !fault.is_ending() => {
                return Err(CliError::failed(fault.message));
            }
            Ok(_) => {}
            // It has ended meanwhile.
            Err(ClientError::NotRunning { .. } | ClientError::Lost { .. }) => break,
            Err(error) => return Err(lost(error)),
        }
    }
    while let Ok(Some(event)) = client.next_event() {
        if let Event::End { .. } = event {
            break;
        }
    }
    drop(client);
    held(run)
}

/// Takes the lock of a run, so that nothing continues it.
fn held(run: &RunDir) -> Result<TimedLock, CliError> {
    let io = |error: std::io::Error| CliError::io(format!("{}: {error}", run.lock().display()));
    if let Some(lock) = TimedLock::take(&run.lock(), END_WAIT).map_err(io)? {
        return Ok(lock);
    }
    let pid = FileLock::holder(&run.lock()).ok().flatten().map(|holder| holder.pid);
    let error = CliError::failed(format!("the run {} does not end", run.id()));
    Err(match pid {
        Some(pid) => error.hint(format!("to end its ccc process: kill -9 {pid}")),
        None => error,
    })
}

/// Removes an agent: its run is ended and kept, its work is kept where it is not merged, its working tree and name are gone.
/// Returns what was kept and where, for the user.
///
/// # Errors
/// When its run does not end, or its tree cannot be removed without loss. What was done until then is done.
pub(super) fn remove(agent: &Agent, discard: bool, context: &Context) -> Result<Vec<String>, CliError> {
    let state = &context.dirs()?.state;
    // First, so that nothing revives it.
    let kept = KeptDown::write(&agent.dir, "it was removed", driver::unix_ms());
    kept.map_err(|error| CliError::io(format!("{}: {error}", agent.dir.path().display())))?;
    let record = AgentRecord { removed_unix_ms: Some(driver::unix_ms()), ..agent.record.clone() };
    record.write(&agent.dir).map_err(|error| record_error(&error))?;
    let had_died = agent.state == State::Died;
    let ended = end_now(&agent.dir, "ccc kill");
    // One that waits in the queue, or is back in it because it is to be removed, is interrupted, too.
    let ended = ended.and_then(|lock| queue::leave_locked(&agent.dir, "ccc kill", context).map(|_| lock));
    let lock = match ended {
        Ok(lock) => lock,
        Err(error) => {
            let _ = agent.record.write(&agent.dir);
            return Err(error);
        }
    };
    // What was just starting the agent may have written its own record over this one.
    let record = match AgentRecord::read(&agent.dir) {
        Ok(Some(now)) => AgentRecord { removed_unix_ms: record.removed_unix_ms, ..now },
        Ok(None) | Err(_) => record,
    };
    record.write(&agent.dir).map_err(|error| record_error(&error))?;
    let put_back = protected_files::put_back(&agent.dir, context);
    let notes = match put_back.and_then(|()| agent_tree::unmake(&record, discard, context)) {
        Ok(unmade) => unmade.notes,
        Err(error) => {
            // It stays in the list until its tree is gone.
            let _ = agent.record.write(&agent.dir);
            return Err(error);
        }
    };
    if let Err(error) = RunNames::new(state).release(&record.name, &record.id) {
        context.printer.warn(error);
    }
    drop(lock);
    if had_died {
        telling::tell_of_death(&record, context);
    }
    Ok(notes)
}

/// Removes the working tree of an agent whose run has ended; its run and its name stay.
///
/// # Errors
/// When its run is active, or its tree cannot be removed without loss.
pub(super) fn clear(agent: &Agent, context: &Context) -> Result<Unmade, CliError> {
    let _lock = held(&agent.dir)?;
    protected_files::put_back(&agent.dir, context)?;
    agent_tree::unmake(&agent.record, false, context)
}

/// The directory of the runs whose agents `ccc nuke` has removed.
pub(super) fn archive_dir(state: &Path) -> PathBuf {
    state.join(ARCHIVE_DIR)
}

/// The newest run in the archive that has this name, or whose id begins so.
pub(super) fn archived(wanted: &str, state: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(archive_dir(state)).ok()?;
    let is_wanted = |dir: &PathBuf| {
        let begins = dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(wanted));
        begins || AgentRecord::read_in(dir).ok().flatten().is_some_and(|record| record.name == wanted)
    };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(is_wanted).max()
}
