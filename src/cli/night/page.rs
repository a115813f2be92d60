//! The page over the runs of a list.

use std::io;
use std::path::{Path, PathBuf};

use redaction::Redactor;

use super::showing::name_of;
use crate::cli::Context;
use crate::cli::reporting::{Maker, REPORT_FILE};
use crate::driver;
use crate::journal::disk::{SystemDisk, replace};
use crate::journal::{FileLock, RunDir, RunSummary};
use crate::order::sort_by_key;
use crate::report::text::Washer;
use crate::report::{NightRun, Nights};
use crate::tasks::{NightDir, NightRecord};

/// Writes one page over the runs of the list, and returns its path; `None` if there are none.
///
/// # Errors
/// When it cannot be written.
pub(super) fn written(night: &NightDir, record: &NightRecord, context: &Context) -> io::Result<Option<PathBuf>> {
    let maker = Maker::new(context, Redactor::new());
    let mut found: Vec<(RunDir, RunSummary)> = Vec::new();
    let Ok(dirs) = context.dirs() else { return Ok(None) };
    for task in &record.agenda.tasks {
        let Some(dir) = task.run.as_deref().and_then(|run| RunDir::at(&dirs.state, run).ok()) else { continue };
        if let Ok(summary) = RunSummary::read(&dir.summary()) {
            found.push((dir, summary));
        }
    }
    let Some(since) = found.iter().map(|(_, summary)| summary.started_unix_ms).min() else { return Ok(None) };
    sort_by_key(&mut found, |(_, summary)| std::cmp::Reverse(summary.started_unix_ms));
    let runs: Vec<NightRun<'_>> = found
        .iter()
        .map(|(dir, summary)| {
            let page = dir.path().join(REPORT_FILE);
            // A run that was killed has none yet.
            if !page.is_file() {
                let _ = maker.write(&dir.journal());
            }
            let is_running = matches!(FileLock::holder(&dir.lock()), Ok(Some(_)));
            NightRun { summary, is_running, page: page.is_file().then(|| page.display().to_string()) }
        })
        .collect();
    let file = record.list.as_deref().and_then(Path::file_name);
    let name = file.map_or_else(|| name_of(record), |name| name.to_string_lossy().into_owned());
    let washer = Washer::default();
    let nights = Nights::of(&runs, since, driver::unix_ms(), &washer).of_list(&name, &washer);
    let page = nights.page(maker.zone()).map_err(io::Error::other)?;
    let path = night.report();
    replace(&SystemDisk, &path, page.as_bytes())?;
    Ok(Some(path))
}
