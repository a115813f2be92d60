//! What a run was asked and what came of it, from its files.

use crate::checkpoint::Summary;
use crate::core::Show;
use crate::driver;
use crate::fleet::State;
use crate::journal::{JournalReader, RunDir, RunSummary};
use crate::ui::run_summary::{Changes, RunInShort};

/// The run of this directory. Checks whose results cannot be read are left out.
pub(super) fn in_short(dir: &RunDir, changes: Option<&Summary>) -> RunInShort {
    let summary = RunSummary::read(&dir.summary()).ok();
    let plan = JournalReader::open(&dir.journal()).ok().and_then(|reader| reader.plan().ok());
    let state = State::of(dir, summary.as_ref());
    let mut checks: Vec<(String, bool)> = Vec::new();
    let read = driver::rebuild(&dir.journal(), |_, action| {
        if let Some(Show::Check { command, passed, setup: false, .. }) = action.as_show() {
            checks.retain(|(known, _)| known != command);
            checks.push((command.clone(), *passed));
        }
    });
    if let Err(error) = read {
        tracing::debug!(%error, "the results of the checks are not all known");
    }
    RunInShort {
        task: plan.map(|plan| plan.task).or_else(|| summary.as_ref().map(|run| run.task.clone())).unwrap_or_default(),
        outcome: state.in_words().to_owned(),
        reason: summary.as_ref().and_then(|run| run.reason.clone()).unwrap_or_default(),
        iterations: summary.as_ref().map_or(0, |run| run.iteration),
        checks,
        cost_usd: summary.as_ref().and_then(|run| run.cost_usd),
        changes: changes.map(|changes| Changes {
            files: changes.files.iter().map(|file| (file.path.display().to_string(), file.lines)).collect(),
            added: changes.added,
            removed: changes.removed,
        }),
    }
}
