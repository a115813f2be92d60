use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::disk::{self, Disk, SystemDisk};
use super::record::RunKind;
use super::sink::Sink;
use super::word::Word;
use super::writer::JournalWriter;
use crate::agent::ContextUse;
use crate::core::{Outcome, TouchedTest};
use crate::files::{PathError, SUMMARY, read_private};
use crate::json::from_json;
use redaction::Redactor;

/// The version of `run.json`. A reader refuses a higher one. A field added without raising it must be an `Option`, which is
/// `None` if an older ccc wrote the file.
pub const SUMMARY_VERSION: u32 = 1;
/// How many characters of the task the summary keeps.
pub const TASK_CHARS: usize = 200;

/// What `ccc runs` shows of a run: `run.json`, replaced as a whole at each change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// [`SUMMARY_VERSION`] of the writer.
    pub version: u32,
    /// The run's id.
    pub id: String,
    /// The beginning of the task ([`RunSummary::task_of`]).
    pub task: String,
    /// The directory the run belongs to.
    pub cwd: String,
    /// The agent's session, once known.
    pub session_id: Option<String>,
    /// The version that the agent's CLI reports.
    pub agent_version: Option<String>,
    /// The pid of ccc; for a finished run, of the last one.
    pub pid: u32,
    /// When the run began.
    pub started_unix_ms: i64,
    /// When this summary was written.
    pub updated_unix_ms: i64,
    /// When the run ended.
    pub ended_unix_ms: Option<i64>,
    /// The phase it is in, as shown to the user.
    pub phase: String,
    /// How many stops were judged.
    pub iteration: u32,
    /// How it ended.
    pub outcome: Option<Word<Outcome>>,
    /// The reason for the outcome.
    pub reason: Option<String>,
    /// How often the agent was restarted.
    pub restarts: u32,
    /// How often the token was changed.
    pub rotations: u32,
    /// Time spent waiting for limits.
    pub waited_ms: u64,
    /// Money spent; `None` while unknown, which is different from 0.
    pub cost_usd: Option<f64>,
    /// The agent's last answer.
    pub result: Option<String>,
    /// The command line that continues the run.
    pub resume: Option<String>,
    /// How many tokens of the model's context the agent's conversation uses; `None` while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_tokens: Option<u64>,
    /// How many tokens its model takes; `None` while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_window_tokens: Option<u64>,
    /// The kind of run; `None` for an agent's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<Word<RunKind>>,
    /// Whether it is a demonstration, whose agent is ccc's own; `None` means no.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub demo: Option<bool>,
    /// The files of tests and of checks that were not as at the run's beginning when the agent stopped last; `None` for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tests_touched: Option<Vec<TouchedTest>>,
    /// How many calls of the agent's tools were denied; `None` while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools_denied: Option<u32>,
    /// The run's own time when this was written: without the time in which no ccc worked on it, or the machine slept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub elapsed_ms: Option<u64>,
    /// What the journal lacks and why, in words; `None` if it is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_missing: Option<String>,
}

/// Why a summary cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SummaryError {
    /// The file cannot be read or replaced.
    #[error(transparent)]
    Io(#[from] PathError),
    /// It is not a summary.
    #[error("{}: line {}, column {}: damaged: {source}", path.display(), source.line(), source.column())]
    Damaged {
        /// `run.json`.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer ccc wrote it.
    #[error("{}: version {version} is newer than the {SUMMARY_VERSION} that this ccc reads; use a newer ccc", path.display())]
    TooNew {
        /// `run.json`.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl RunSummary {
    /// The beginning of a task, without secrets. It is redacted before it is cut, because a truncated secret cannot be
    /// recognized.
    #[must_use]
    pub fn task_of(task: &str, redactor: &Redactor) -> String {
        redactor.text(task).chars().take(TASK_CHARS).collect()
    }

    /// How much of the model's context the agent's conversation uses.
    #[must_use]
    pub fn context(&self) -> Option<ContextUse> {
        let window_tokens = self.context_window_tokens;
        self.context_tokens.map(|used_tokens| ContextUse { used_tokens, window_tokens })
    }

    /// How long the run has worked: its own time. `now_unix_ms` is given for a run that a ccc works on. Of a summary of an older
    /// ccc, the time on the wall clock.
    #[must_use]
    pub fn took_ms(&self, now_unix_ms: Option<i64>) -> u64 {
        let since = |from: i64, to: i64| u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        match (self.elapsed_ms, self.ended_unix_ms, now_unix_ms) {
            (Some(elapsed_ms), None, Some(now)) => elapsed_ms.saturating_add(since(self.updated_unix_ms, now)),
            (Some(elapsed_ms), Some(_), _) | (Some(elapsed_ms), None, None) => elapsed_ms,
            (None, ended, now) => since(self.started_unix_ms, ended.or(now).unwrap_or(self.updated_unix_ms)),
        }
    }

    /// The command of ccc that continues the run, with what it needs; `None` when there is nothing to continue: then `resume`
    /// continues the session.
    #[must_use]
    pub fn going_on(&self) -> Option<&str> {
        self.resume.as_deref().filter(|command| command.starts_with("ccc "))
    }

    /// Reads a `run.json`. Unknown fields are ignored; an unknown outcome, kind or phase of a newer ccc is kept as text.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or too new.
    pub fn read(path: &Path) -> Result<RunSummary, SummaryError> {
        #[derive(Deserialize)]
        struct Versioned {
            version: u32,
        }
        let damaged = |source| SummaryError::Damaged { path: path.to_owned(), source };
        let io = |source| SummaryError::Io(PathError { path: path.to_owned(), source });
        let read = read_private(path, SUMMARY).and_then(|found| found.ok_or_else(|| io::ErrorKind::NotFound.into()));
        let bytes = read.map_err(io)?;
        let Versioned { version } = from_json(&bytes).map_err(damaged)?;
        if version > SUMMARY_VERSION {
            return Err(SummaryError::TooNew { path: path.to_owned(), version });
        }
        from_json(&bytes).map_err(damaged)
    }

    /// Replaces `run.json` atomically: a reader sees the old one or the new one, even after a power cut. Waits for the disk.
    ///
    /// # Errors
    /// When it cannot be written; the old one still exists.
    pub fn write(&self, path: &Path, redactor: &Redactor) -> Result<(), SummaryError> {
        let json = self.json(redactor);
        let written = json.and_then(|json| disk::replace(&SystemDisk, path, &json));
        written.map_err(|source| SummaryError::Io(PathError { path: path.to_owned(), source }))
    }

    /// Replaces `run.json` without waiting for the disk: the journal's thread does it, after the journal's own entries. The
    /// first one is written at once and synced later, so that a new run is visible.
    ///
    /// # Errors
    /// When it cannot be written; the old one still exists.
    pub fn write_with<S: Sink>(
        &self,
        journal: &mut JournalWriter<S>,
        path: &Path,
        redactor: &Redactor,
    ) -> Result<(), SummaryError> {
        let io = |source| SummaryError::Io(PathError { path: path.to_owned(), source });
        let json = self.json(redactor).map_err(io)?;
        if !journal.has_replaced() && !path.exists() {
            SystemDisk.write(path, &json).map_err(io)?;
        }
        if journal.replace_soon(path, &json) {
            return Ok(());
        }
        disk::replace(&SystemDisk, path, &json).map_err(io)
    }

    fn json(&self, redactor: &Redactor) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec_pretty(self)?;
        redactor.json(&mut json);
        json.push(b'\n');
        Ok(json)
    }
}
