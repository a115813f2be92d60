//! Removes a run with its checkpoints.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::standing::{Stays, finished};
use crate::checkpoint::{self, CheckpointError};
use crate::files::trash::{self, TrashError};
use crate::files::{AGENT_RECORD, PathError, SUMMARY, TimedLock, make_private_dir, read_private};
use crate::fleet::{AGENT_FILE, AgentRecord};
use crate::git::{Git, Repository};
use crate::guard::remove_copies;
use crate::journal::{NameError, RunDir, RunNames, RunSummary};
use crate::json::from_json;

/// The lock of whoever removes runs.
const LOCK_FILE: &str = "retention.lock";
/// How long another ccc that removes runs is waited for.
const WAIT: Duration = Duration::from_secs(30);

/// Why a run was not removed, or not all of it.
#[derive(Debug, thiserror::Error)]
pub enum NotRemoved {
    /// Another ccc removes runs.
    #[error("another ccc is removing runs; try again in a minute")]
    Busy,
    /// It has changed since it was chosen.
    #[error("run {id} stays: it is one of those {}", why.in_words())]
    Stays {
        /// The run.
        id: String,
        /// Why it stays.
        why: Stays,
    },
    /// Its checkpoints stay, and its directory lies in the trash until they are removed.
    #[error("the checkpoints of run {id} are not removed: {source}")]
    Checkpoints {
        /// The run.
        id: String,
        /// What is wrong.
        source: CheckpointError,
    },
    /// Its name stays, and its directory lies in the trash until the name is free.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Its directory is not moved or not deleted.
    #[error(transparent)]
    Trash(#[from] TrashError),
    /// The system refuses a file.
    #[error(transparent)]
    Io(#[from] PathError),
}

/// A run that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its id.
    pub id: String,
    /// What its directory took.
    pub bytes: u64,
    /// How many checkpoints it had.
    pub checkpoints: usize,
    /// Where it worked, if that is gone: then its checkpoints, if it had any, were not found.
    pub gone: Option<PathBuf>,
}

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Renamed,
    CheckpointsGone,
    NameFree,
    Deleted,
}

/// Removes runs; one at a time in a state directory.
#[derive(Debug)]
pub struct Remover<'a> {
    state_dir: &'a Path,
    git: &'a Git,
    _lock: TimedLock,
}

impl<'a> Remover<'a> {
    /// Waits until no other ccc removes runs.
    ///
    /// # Errors
    /// When another one does for too long, or the lock cannot be used.
    pub fn new(state_dir: &'a Path, git: &'a Git) -> Result<Remover<'a>, NotRemoved> {
        let path = state_dir.join(LOCK_FILE);
        let taken = make_private_dir(state_dir).and_then(|()| TimedLock::take(&path, WAIT));
        match taken.map_err(PathError::of(path))? {
            Some(lock) => Ok(Remover { state_dir, git, _lock: lock }),
            None => Err(NotRemoved::Busy),
        }
    }

    /// Removes a run, if it is finished still.
    ///
    /// # Errors
    /// See [`NotRemoved`].
    pub fn remove(&self, run: &RunDir, now_unix_ms: i64) -> Result<Removed, NotRemoved> {
        self.remove_with(run, now_unix_ms, &mut |_| Ok(()))
    }

    /// As [`Remover::remove`]; `after` is called after each step.
    pub(super) fn remove_with(
        &self,
        run: &RunDir,
        now_unix_ms: i64,
        after: &mut dyn FnMut(Step) -> Result<(), NotRemoved>,
    ) -> Result<Removed, NotRemoved> {
        let path = run.lock();
        let stays = |why| NotRemoved::Stays { id: run.id().to_owned(), why };
        // Whoever continues the run holds this lock first, and reads the run after that.
        let lock = TimedLock::take(&path, Duration::ZERO).map_err(PathError::of(path))?;
        let Some(_lock) = lock else { return Err(stays(Stays::AtWork)) };
        finished(run, self.state_dir, now_unix_ms).map_err(stays)?;
        let bytes = bytes_of(run.path());
        // The system takes the rights on a directory of theirs away, and plain removal fails there.
        remove_copies(run.path());
        let thrown = trash::throw(run.path())?;
        after(Step::Renamed)?;
        self.finish(run, &thrown, bytes, after)
    }

    /// Does again what interrupted removals have left. Errors are returned with the removals that were completed.
    #[must_use]
    pub fn complete(&self) -> (Vec<Removed>, Vec<NotRemoved>) {
        let (mut removed, mut failed) = (Vec::new(), Vec::new());
        for thrown in trash::thrown(&self.state_dir.join("runs")) {
            let name = thrown.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('.'));
            let Some(run) = name.and_then(|(id, _)| RunDir::at(self.state_dir, id).ok()) else { continue };
            // Killed before the rename: the run is there, and its place in the trash is empty.
            if run.path().is_dir() {
                failed.extend(trash::delete(&thrown).err().map(NotRemoved::from));
                continue;
            }
            match self.finish(&run, &thrown, bytes_of(&thrown), &mut |_| Ok(())) {
                Ok(done) => removed.push(done),
                Err(error) => failed.push(error),
            }
        }
        (removed, failed)
    }

    /// Removes what is left of a run whose directory was moved to `thrown`. All of it can be repeated.
    fn finish(
        &self,
        run: &RunDir,
        thrown: &Path,
        bytes: u64,
        after: &mut dyn FnMut(Step) -> Result<(), NotRemoved>,
    ) -> Result<Removed, NotRemoved> {
        let id = run.id().to_owned();
        let record = read_private(&thrown.join(AGENT_FILE), AGENT_RECORD).ok().flatten();
        let record: Option<AgentRecord> = record.and_then(|bytes| from_json(&bytes).ok());
        let summary = read_private(&thrown.join("run.json"), SUMMARY).ok().flatten();
        let summary: Option<RunSummary> = summary.and_then(|bytes| from_json(&bytes).ok());
        // Of an agent the repository, because its own working tree is gone.
        let of_agent = record.iter().flat_map(|record| {
            let common = record.tree.as_ref().map(|tree| tree.common_dir.clone());
            common.into_iter().chain([record.project.clone()])
        });
        let places: Vec<PathBuf> = of_agent.chain(summary.map(|summary| PathBuf::from(summary.cwd))).collect();
        let checkpoints = match places.iter().find_map(|place| Repository::find(place)) {
            Some(repository) => checkpoint::remove_all(self.git, &repository, &id)
                .map_err(|source| NotRemoved::Checkpoints { id: id.clone(), source })?,
            None => 0,
        };
        after(Step::CheckpointsGone)?;
        if let Some(record) = &record {
            RunNames::new(self.state_dir).release(&record.name, &id)?;
        }
        after(Step::NameFree)?;
        trash::delete(thrown)?;
        after(Step::Deleted)?;
        let gone = places.into_iter().next().filter(|place| checkpoints == 0 && !place.is_dir());
        Ok(Removed { id, bytes, checkpoints, gone })
    }
}

/// What the files of a directory take, links not followed. What cannot be read counts as nothing.
#[must_use]
pub fn bytes_of(dir: &Path) -> u64 {
    let mut open = vec![dir.to_owned()];
    let mut bytes = 0_u64;
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(meta) if meta.is_dir() => open.push(entry.path()),
                Ok(meta) => bytes = bytes.saturating_add(meta.len()),
                Err(_) => {}
            }
        }
    }
    bytes
}
