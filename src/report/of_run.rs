//! Reads a run's journal into a report.

use std::path::Path;

use super::model::{Report, RunState};
use super::record::{Closing, Recorder};
use super::text::Washer;
use crate::core::supervised::CommandAction;
use crate::core::{Finish, Input, Plan, Tick};
use crate::driver::{self, ReplayError, Retold};
use crate::journal::{FileLock, JournalReader, RunKind, RunSummary, Word, run_kind};
use redaction::Redactor;

/// How many characters are shown of a reason that the journal lacks.
const REASON_CHARS: usize = 1_000;

/// The report of a run, and what its commands are made from.
#[derive(Debug)]
pub struct OfRun {
    /// The report; it has no commands yet.
    pub report: Report,
    /// The plan at the end of the journal; `None` for a command's run.
    pub plan: Option<Plan>,
    /// The end; `None` if there is none.
    pub finish: Option<Finish>,
    /// The run's time at the end of the journal.
    pub tick: Tick,
    /// The run's id.
    pub id: String,
}

/// The report of the run with this journal. A journal with a gap, or with damage after its beginning, gives a report that says
/// so.
///
/// # Errors
/// When nothing of the journal can be read.
pub fn of_run(journal: &Path, redactor: &Redactor) -> Result<OfRun, ReplayError> {
    let washer = Washer::new(redactor.clone());
    let is_running = journal.parent().is_some_and(|dir| matches!(FileLock::holder(&dir.join("lock")), Ok(Some(_))));
    let mut facts = 0_u64;
    let (mut last_plan, mut finish, mut last) = (None, None, Tick::ZERO);
    let (recorder, read, id) = match run_kind(journal)? {
        RunKind::Agent => {
            let plan = JournalReader::open(journal)?.plan()?;
            let mut recorder = Recorder::of_agent(&plan, washer);
            let read = driver::retell_all(journal, |core, _, tick, retold| {
                (facts, last) = (facts + 1, tick);
                match retold {
                    Retold::Input(input) => {
                        if let Input::Began { .. } = input {
                            finish = None;
                        }
                        recorder.input(tick, input);
                    }
                    Retold::Action(action) => {
                        recorder.action(core, tick, action);
                        if let Some(end) = action.as_finish() {
                            finish = Some(end.clone());
                        }
                    }
                }
            });
            let id = plan.run_id.clone();
            last_plan = Some(read.as_ref().map_or(plan, |rebuilt| rebuilt.core.plan().clone()));
            (recorder, read.map(|_| ()), id)
        }
        RunKind::Command => {
            let plan = JournalReader::open_command(journal)?.command_plan()?;
            let mut recorder = Recorder::of_command(&plan.run_id, &plan.cwd, &plan.command.join(" "), washer);
            let read = driver::retell_command(journal, |core, _, tick, action| {
                (facts, last) = (facts + 1, tick);
                if let CommandAction::Show(show) = action {
                    recorder.command_show(core.wall_ms(), tick, show);
                }
            });
            (recorder, read, plan.run_id)
        }
    };
    let summary = RunSummary::read(&journal.with_file_name("run.json")).ok();
    let missing = summary.as_ref().and_then(|summary| summary.journal_missing.clone());
    let incomplete = match read {
        Ok(()) => missing.clone(),
        Err(error) if facts == 0 => return Err(error),
        Err(error) => Some(error.to_string()),
    };
    let mut report = recorder.end(Closing { incomplete, is_running });
    if let (None, Some(_), Some(RunSummary { outcome: Some(Word::Known(outcome)), reason, .. })) =
        (&finish, missing, summary)
    {
        // The journal lacks the end, which the summary has.
        report.state = RunState::Ended;
        report.outcome = Some(outcome);
        report.reason = Washer::new(redactor.clone()).line(&reason.unwrap_or_default(), REASON_CHARS);
    }
    Ok(OfRun { report, plan: last_plan, finish, tick: last, id })
}
