//! The directory of a run: its id and its files.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::disk::{Disk, SystemDisk};
use super::lock::{FileLock, Holder, LockError};
use super::summary::{RunSummary, SummaryError};
use super::{BLOBS_DIR, JOURNAL_FILE};
use crate::files::PathError;
use crate::order::sort_by;

/// How long a run whose outcome is known may take until it lets go of its lock: it keeps its files, and writes its report.
const END_WAIT: Duration = Duration::from_secs(5);

/// `20261120-191822`: the part of a run's id that holds its start time.
const TIME_PART_BYTES: usize = 15;

/// A run's directory: `<state>/runs/<id>/`. Directories have mode 0700, files 0600.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    id: String,
    path: PathBuf,
}

/// Why a run's directory cannot be created or found.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// A directory of that name exists already.
    #[error("{}: a run with this name already exists", path.display())]
    Exists {
        /// The directory.
        path: PathBuf,
    },
    /// The id cannot be a directory's name.
    #[error("`{id}` is not a valid id of a run: it may contain letters, digits and `-`")]
    BadId {
        /// The id.
        id: String,
    },
    /// The directory cannot be created or read.
    #[error(transparent)]
    Io(#[from] PathError),
    /// There are no runs at all.
    #[error("{}: no runs yet", path.display())]
    NoRuns {
        /// The directory of runs.
        path: PathBuf,
    },
    /// No run's id or name begins with this text.
    #[error("no run `{wanted}`; {}", suggestions(nearest, newest))]
    Unknown {
        /// What was asked for.
        wanted: String,
        /// The names that are most like it, the nearest first.
        nearest: Vec<String>,
        /// The newest runs, each with its name if it has one.
        newest: Vec<String>,
    },
    /// More than one run's id begins with this text.
    #[error("`{wanted}` matches {count} runs: {}", candidates.join(", "))]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// How many match.
        count: usize,
        /// The newest of them.
        candidates: Vec<String>,
    },
}

/// What may have been meant.
fn suggestions(nearest: &[String], newest: &[String]) -> String {
    let newest = format!("the newest runs are: {}", newest.join(", "));
    if nearest.is_empty() { newest } else { format!("names like it: {}; {newest}", nearest.join(", ")) }
}

/// All runs of a state directory, newest first.
#[derive(Debug, Default)]
pub struct RunList {
    /// The runs whose summary is readable.
    pub runs: Vec<(RunDir, RunSummary)>,
    /// The runs whose summary is not readable.
    pub damaged: Vec<(RunDir, SummaryError)>,
}

/// A run's id, for example `20261120-191822-k3f9`. Ids sort by start time (UTC) and can be read aloud. `random` distinguishes
/// runs of the same second; 20 bits of it are used.
#[must_use]
pub fn run_id(unix_ms: i64, random: u32) -> String {
    // Without characters that look alike, and without a, e, o, u, so that no words arise.
    const ALPHABET: &[u8; 32] = b"23456789bcdfghjkmnpqrstvwxyz0146";
    let time = jiff::Timestamp::from_millisecond(unix_ms)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(jiff::tz::TimeZone::UTC)
        .strftime("%Y%m%d-%H%M%S")
        .to_string();
    let tail: String = (0..4).map(|place| char::from(ALPHABET[(random >> (place * 5)) as usize & 31])).collect();
    format!("{time}-{tail}")
}

impl RunDir {
    /// Creates the directory of a new run.
    ///
    /// # Errors
    /// When one of that name exists, or it cannot be created.
    pub fn create(state_dir: &Path, run_id: &str) -> Result<RunDir, RunDirError> {
        Self::create_on(&SystemDisk, state_dir, run_id)
    }

    /// As [`RunDir::create`], on another disk.
    ///
    /// # Errors
    /// As [`RunDir::create`].
    pub fn create_on(disk: &dyn Disk, state_dir: &Path, run_id: &str) -> Result<RunDir, RunDirError> {
        let dir = RunDir::at(state_dir, run_id)?;
        let runs = state_dir.join("runs");
        disk.make_dirs(&runs).map_err(PathError::of(runs))?;
        disk.make_dir(&dir.path).map_err(|source| {
            if source.kind() == io::ErrorKind::AlreadyExists {
                RunDirError::Exists { path: dir.path.clone() }
            } else {
                RunDirError::Io(PathError { path: dir.path.clone(), source })
            }
        })?;
        let blobs = dir.blobs();
        disk.make_dirs(&blobs).map_err(PathError::of(blobs))?;
        Ok(dir)
    }

    /// The directory for that id, whether or not it exists.
    ///
    /// # Errors
    /// When the id cannot be a directory's name.
    pub fn at(state_dir: &Path, run_id: &str) -> Result<RunDir, RunDirError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if run_id.is_empty() || run_id.len() > 64 || !run_id.bytes().all(plain) {
            return Err(RunDirError::BadId { id: run_id.to_owned() });
        }
        Ok(RunDir { id: run_id.to_owned(), path: state_dir.join("runs").join(run_id) })
    }

    /// The run's id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// `journal.jsonl`.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.path.join(JOURNAL_FILE)
    }

    /// `blobs/`.
    #[must_use]
    pub fn blobs(&self) -> PathBuf {
        self.path.join(BLOBS_DIR)
    }

    /// `run.json`.
    #[must_use]
    pub fn summary(&self) -> PathBuf {
        self.path.join("run.json")
    }

    /// `lock`.
    #[must_use]
    pub fn lock(&self) -> PathBuf {
        self.path.join("lock")
    }

    /// Locks the run for this process. A run that has ended, by its summary, holds its lock until its end is told; that is waited for.
    ///
    /// # Errors
    /// When another ccc holds it, or the lock's file cannot be used.
    pub fn take_lock(&self, pid: u32, since_unix_ms: i64) -> Result<FileLock, LockError> {
        let holder = Holder { pid, run_id: self.id.clone(), since_unix_ms, tree: None };
        let what = format!("run {}", self.id);
        let has_ended = || RunSummary::read(&self.summary()).is_ok_and(|run| run.outcome.is_some());
        match FileLock::take(&self.lock(), &what, &holder) {
            Err(LockError::Held { .. }) if has_ended() => FileLock::wait(&self.lock(), &what, &holder, END_WAIT),
            taken_or_not => taken_or_not,
        }
    }

    /// The directories of all runs, newest first.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn all(state_dir: &Path) -> Result<Vec<RunDir>, RunDirError> {
        newest_first(state_dir)
    }

    /// The directories of all runs, in no order.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn unsorted(state_dir: &Path) -> Result<Vec<RunDir>, RunDirError> {
        found_in(state_dir)
    }

    /// Whether no run has begun here: a ccc that was killed in its first moments leaves a directory without journal and summary.
    #[must_use]
    pub fn has_not_begun(&self) -> bool {
        let is_missing =
            |path: PathBuf| std::fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
        is_missing(self.summary()) && is_missing(self.journal())
    }

    /// All runs that have begun, newest first. Damaged ones are listed separately, with the error.
    ///
    /// # Errors
    /// When the directory of runs exists but cannot be read.
    pub fn list(state_dir: &Path) -> Result<RunList, RunDirError> {
        let mut list = RunList::default();
        for dir in newest_first(state_dir)? {
            match RunSummary::read(&dir.summary()) {
                Ok(summary) => list.runs.push((dir, summary)),
                Err(_) if dir.has_not_begun() => {}
                Err(error) => list.damaged.push((dir, error)),
            }
        }
        Ok(list)
    }
}

fn found_in(state_dir: &Path) -> Result<Vec<RunDir>, RunDirError> {
    let runs = state_dir.join("runs");
    let io = |source| RunDirError::Io(PathError { path: runs.clone(), source });
    let entries = match std::fs::read_dir(&runs) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(io(error)),
    };
    let mut dirs = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io)?;
        let is_dir = entry.file_type().map_err(io)?.is_dir();
        if let (true, Some(name)) = (is_dir, entry.file_name().to_str())
            && let Ok(dir) = RunDir::at(state_dir, name)
        {
            dirs.push(dir);
        }
    }
    Ok(dirs)
}

fn newest_first(state_dir: &Path) -> Result<Vec<RunDir>, RunDirError> {
    let mut dirs = found_in(state_dir)?;
    sort_by(&mut dirs, |a, b| b.id.cmp(&a.id));
    // Runs of the same second are sorted by the milliseconds in their summaries.
    for same in dirs.chunk_by_mut(|a, b| second(a) == second(b)) {
        if same.len() > 1 {
            same.sort_by_cached_key(|dir| {
                let started = RunSummary::read(&dir.summary()).map(|it| it.started_unix_ms);
                std::cmp::Reverse(started.unwrap_or(0))
            });
        }
    }
    Ok(dirs)
}

fn second(dir: &RunDir) -> &str {
    dir.id.get(..TIME_PART_BYTES).unwrap_or(&dir.id)
}
