//! What the processes of a run wrote besides the agent's protocol, out of its journal.

use std::collections::BTreeMap;
use std::io::BufRead;

use serde::Deserialize;

use super::reader::{EntryKind, JournalReader, ReadError};
use crate::agent::Role;
use crate::core::{CheckId, Input, LineFact, Tick};
use crate::words::{CheckEnd, CheckResult, ExitFact, ProcId};

/// Who wrote something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wrote {
    /// A process of the agent or the critic.
    Process {
        /// Its number.
        proc: ProcId,
        /// What it is for; `None` if the journal does not say.
        role: Option<Role>,
    },
    /// A check, or a command that sets a worktree up.
    Check {
        /// Its command line; empty if the journal does not say.
        command: String,
    },
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Written {
    /// Output that is no message of the protocol; `more` counts the lines that are not kept.
    Output {
        /// The first line.
        text: String,
        /// How many lines like it followed.
        more: u64,
    },
    /// The process could not be started, or could not be written to.
    Fault(String),
    /// The end of a process.
    Exit(ExitFact),
    /// The end of a check.
    CheckEnded(CheckResult),
}

/// One piece of a run's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The number of the journal's entry.
    pub n: u64,
    /// The time since the run began.
    pub tick: Tick,
    /// The wall clock at that time, in unix milliseconds.
    pub unix_ms: Option<i64>,
    /// Who wrote it.
    pub by: Wrote,
    /// What.
    pub what: Written,
}

/// The log of a journal, in order. It can be fed with several readers of the same journal, each from where the last one ended.
#[derive(Debug, Default)]
pub struct RunLog {
    roles: BTreeMap<ProcId, Role>,
    checks: BTreeMap<CheckId, String>,
    /// The tick and the wall clock of the last input that has one.
    clock: Option<(Tick, i64)>,
    last_n: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Started {
    Spawn { proc: ProcId, role: Role },
    RunCheck { check: CheckId, command: String },
}

impl RunLog {
    /// Passes each piece to `tell` that comes after those of the readers before.
    ///
    /// # Errors
    /// When the journal is damaged.
    pub fn read<R: BufRead>(
        &mut self,
        reader: JournalReader<R>,
        tell: &mut dyn FnMut(LogEntry),
    ) -> Result<(), ReadError> {
        for entry in reader {
            let entry = entry?;
            if entry.n <= self.last_n {
                continue;
            }
            self.last_n = entry.n;
            match entry.kind {
                EntryKind::Gap(_) => {}
                EntryKind::Act(action) => self.started(action.get()),
                EntryKind::In(input) => {
                    self.clock = input.unix_ms().map(|unix_ms| (entry.tick, unix_ms)).or(self.clock);
                    if let Some((by, what)) = self.written(input) {
                        let unix_ms = self.clock.map(|(tick, unix_ms)| {
                            unix_ms.saturating_add_unsigned(entry.tick.as_ms().saturating_sub(tick.as_ms()))
                        });
                        tell(LogEntry { n: entry.n, tick: entry.tick, unix_ms, by, what });
                    }
                }
            }
        }
        Ok(())
    }

    /// Keeps what an action says about a process or a check.
    fn started(&mut self, action: &str) {
        if !(action.starts_with("{\"spawn\"") || action.starts_with("{\"run_check\"")) {
            return;
        }
        match serde_json::from_str(action) {
            Ok(Started::Spawn { proc, role }) => drop(self.roles.insert(proc, role)),
            Ok(Started::RunCheck { check, command }) => drop(self.checks.insert(check, command)),
            Err(_) => {}
        }
    }

    fn written(&self, input: Input) -> Option<(Wrote, Written)> {
        let process = |proc: ProcId| Wrote::Process { proc, role: self.roles.get(&proc).copied() };
        match input {
            Input::Line { proc, line: LineFact::Noise(text) } => {
                Some((process(proc), Written::Output { text, more: 0 }))
            }
            Input::Line { proc, line: LineFact::TooLong(bytes) } => Some((process(proc), too_long(bytes))),
            Input::Noise { proc, lines, bytes, sample } => {
                let what = match sample {
                    LineFact::Noise(text) => Written::Output { text, more: lines.saturating_sub(1) },
                    LineFact::TooLong(_) => too_long(bytes),
                    // Messages of the protocol that repeat themselves.
                    LineFact::Json(_) => return None,
                };
                Some((process(proc), what))
            }
            Input::SpawnFailed { proc, message, .. } | Input::WriteFailed { proc, message } => {
                Some((process(proc), Written::Fault(message)))
            }
            Input::Exited { proc, exit } => Some((process(proc), Written::Exit(exit))),
            Input::CheckFinished { check, result } => {
                let command = self.checks.get(&check).cloned().unwrap_or_default();
                Some((Wrote::Check { command }, Written::CheckEnded(result)))
            }
            Input::Line { line: LineFact::Json(_), .. }
            | Input::Began { .. }
            | Input::Tokens { .. }
            | Input::Spawned { .. }
            | Input::Progress { .. }
            | Input::BranchLost { .. }
            | Input::TreeMeasured { .. }
            | Input::CheckpointTaken { .. }
            | Input::TestsCompared { .. }
            | Input::Operator(_)
            | Input::Elapsed { .. } => None,
        }
    }
}

fn too_long(bytes: u64) -> Written {
    Written::Output { text: format!("({bytes} bytes that are not kept)"), more: 0 }
}

impl LogEntry {
    /// How a check or process ended, in a few words; `None` for what did not end.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        match &self.what {
            Written::Output { .. } | Written::Fault(_) => None,
            Written::Exit(exit) => Some(match (exit.code, exit.signal) {
                (Some(code), _) if exit.out_of_memory => {
                    format!("exited with {code}: it had reached the limit of its memory")
                }
                (Some(code), _) => format!("exited with {code}"),
                (None, Some(signal)) if exit.out_of_memory => {
                    format!("was ended by signal {signal}: it had reached the limit of its memory")
                }
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            }),
            Written::CheckEnded(result) => Some(match &result.end {
                CheckEnd::Exited(code) => format!("exited with {code}"),
                CheckEnd::Signalled(signal) => format!("was ended by signal {signal}"),
                CheckEnd::TimedOut => "took too long and was ended".to_owned(),
                CheckEnd::NotStarted(why) => format!("could not be started: {why}"),
                CheckEnd::Cancelled => "was cancelled".to_owned(),
            }),
        }
    }

    /// The text that was written.
    #[must_use]
    pub fn text(&self) -> &str {
        match &self.what {
            Written::Output { text, .. } | Written::Fault(text) => text,
            Written::Exit(exit) => &exit.stderr_tail,
            Written::CheckEnded(result) => &result.tail,
        }
    }
}
