//! Whether a keeper works, and the start of one in a process of its own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::OFlags;

use super::KEEPER_DIR;
use crate::config::Env;
use crate::config::env::{CCC_RUN_ID, CCC_STATE_DIR};
use crate::files::{PathError, make_private_dir, open_private};
use crate::journal::{FileLock, Holder, LockError};
use crate::process::{self, Host};

/// What the lock names in place of a run.
const NO_RUN: &str = "keeper";
/// How long the start of a keeper by a run may take.
const START_LIMIT: Duration = Duration::from_secs(30);

/// What [`ensure`] has done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ensured {
    /// A keeper works, and was told to look.
    Works {
        /// Its process.
        pid: u32,
    },
    /// One was started.
    Started,
    /// This process belongs to a run, with which the keeper would end. The heartbeat of an agent starts it.
    LeftToRuns,
}

/// Why no keeper could be started.
#[derive(Debug, thiserror::Error)]
pub enum EnsureError {
    /// Its directory or lock cannot be used.
    #[error(transparent)]
    Io(#[from] PathError),
    /// Its lock cannot be used.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// It cannot be started.
    #[error("the keeper cannot be started: {0}")]
    Start(io::Error),
    /// It has ended at once.
    #[error("the keeper has ended with exit code {code}; to see why: ccc keeper run")]
    Ended {
        /// Its exit code.
        code: i32,
    },
}

fn dir(state_dir: &Path) -> PathBuf {
    state_dir.join(KEEPER_DIR)
}

fn lock(state_dir: &Path) -> PathBuf {
    dir(state_dir).join("lock")
}

/// The keeper of this state directory, if one works. Costs three system calls.
///
/// # Errors
/// When the lock cannot be used.
pub fn holder(state_dir: &Path) -> Result<Option<Holder>, LockError> {
    match FileLock::holder(&lock(state_dir)) {
        Err(LockError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        found => found,
    }
}

/// Makes this process the keeper of the state directory.
///
/// # Errors
/// When there is one, or the lock cannot be used.
pub fn take_lock(state_dir: &Path, now_unix_ms: i64) -> Result<FileLock, LockError> {
    let holder = Holder::of_process(NO_RUN, now_unix_ms);
    FileLock::take_in(state_dir, KEEPER_DIR, "lock", "the keeper's work", &holder)
}

/// The file to which a keeper without a terminal writes.
#[must_use]
pub fn log_file(state_dir: &Path) -> PathBuf {
    dir(state_dir).join("log")
}

/// The file that wakes the keeper when it is touched; it is made if it is not there.
///
/// # Errors
/// When it cannot be opened.
pub fn open_bell(state_dir: &Path) -> io::Result<(PathBuf, File)> {
    let path = dir(state_dir).join("bell");
    make_private_dir(&dir(state_dir))?;
    let file = open_private(&path, OFlags::WRONLY | OFlags::CREATE)?;
    Ok((path, file))
}

/// Makes sure that a keeper works: wakes the one that does, or starts one in a process of its own, which outlives this one and does
/// not descend from it: a run ends what descends from its ccc. For a command that starts an agent. Of several keepers that are
/// started at once, one works and the others end.
///
/// # Errors
/// When none works and none could be started.
pub fn ensure(state_dir: &Path, env: &Env) -> Result<Ensured, EnsureError> {
    let Some(holder) = holder(state_dir)? else {
        if env.get(CCC_RUN_ID).is_some() {
            return Ok(Ensured::LeftToRuns);
        }
        return ensure_from_run(state_dir);
    };
    match open_bell(state_dir).and_then(|(_, bell)| process::ring(&bell)) {
        Ok(()) => Ok(Ensured::Works { pid: holder.pid }),
        Err(source) => Err(EnsureError::Io(PathError { path: dir(state_dir), source })),
    }
}

/// The same for the heartbeat of an agent, which leaves a keeper that works alone.
///
/// # Errors
/// As [`ensure`].
pub fn ensure_from_run(state_dir: &Path) -> Result<Ensured, EnsureError> {
    if let Some(holder) = holder(state_dir)? {
        return Ok(Ensured::Works { pid: holder.pid });
    }
    if process::is_below_ccc() {
        return Ok(Ensured::LeftToRuns);
    }
    // The process that starts the keeper ends at once, so that the keeper goes to init.
    let args = ["keeper", "start"].map(OsString::from);
    let run = || process::run_apart(&args, &variables(state_dir), state_dir, START_LIMIT);
    let ended = process::let_go(run).map_err(EnsureError::Start)?;
    match ended.code {
        Some(0) => Ok(Ensured::Started),
        code => Err(EnsureError::Ended { code: code.unwrap_or(1) }),
    }
}

/// Starts a keeper as a child of this process.
///
/// # Errors
/// When it cannot be started.
pub fn start(state_dir: &Path) -> Result<Ensured, EnsureError> {
    let args = ["keeper", "run", "--hosted"].map(OsString::from);
    let host = Host::start_apart(&args, &variables(state_dir), state_dir).and_then(Host::ready);
    match host.map_err(EnsureError::Start)? {
        Ok(_) => Ok(Ensured::Started),
        // Another keeper was faster.
        Err(_) if holder(state_dir)?.is_some() => Ok(Ensured::Started),
        Err(code) => Err(EnsureError::Ended { code }),
    }
}

fn variables(state_dir: &Path) -> [(&'static str, &OsStr); 1] {
    [(CCC_STATE_DIR, state_dir.as_os_str())]
}
