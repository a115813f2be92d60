//! What changed between the checkpoints of a run, from git.

use super::model::{DiffTold, FileTold, Iteration, LineTold, Report, TestFinding, TestsSource, TestsTouched};
use super::text::{Text, Washer};
use crate::checkpoint::{self, AT_STOP, Entry};
use crate::core::TestTouch;
use crate::git::{Git, GitError, Repository};
use crate::order::sort_by;
use crate::patch::{self, FileDiff, findings, passing};

/// How many lines of differences a report shows.
const LINES: usize = 8_000;
/// How many of them of one file.
const FILE_LINES: usize = 400;
/// How many files a difference shows.
const FILES: usize = 100;
/// How many characters of a line are shown.
const LINE_CHARS: usize = 300;
/// How many bytes of a patch are read.
const PATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many checkpoints are compared.
const CHECKPOINTS: usize = 200;
/// The precision of a checkpoint's time.
const SECOND_MS: u64 = 1_000;
/// How many findings about tests are shown.
const FINDINGS: usize = 300;

/// A difference with the checkpoints that it is between.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    /// The number of the earlier checkpoint; `None` for where an agent's branch began.
    pub from: Option<u64>,
    /// The number of the later one; `None` for the tree as it is.
    pub to: Option<u64>,
    /// When the later one was taken.
    pub unix_ms: i64,
    /// The patch.
    pub patch: Vec<u8>,
}

/// What changed in a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    /// From each checkpoint to the next.
    pub stops: Vec<Difference>,
    /// Over the whole run.
    pub whole: Option<Difference>,
}

/// The changes between the checkpoints of a run: from the first one to each stop, and to the last one that has work of the run;
/// `None` when there are none. A stop whose files an earlier checkpoint has already, such as one before a restart, has none of its
/// own.
///
/// # Errors
/// When git fails.
pub fn changes(git: &Git, repository: &Repository, run_id: &str) -> Result<Option<Changes>, GitError> {
    let place = repository.place();
    let mut kept = checkpoint::list(git, &place, run_id)?;
    let Some(first) = kept.first().map(|first| first.number) else { return Ok(None) };
    kept.retain(|entry| entry.number == first || entry.has_work());
    let last = kept.last().map_or(first, |last| last.number);
    kept.retain(|entry| [first, last].contains(&entry.number) || entry.why == AT_STOP);
    let (Some(first), Some(last)) = (kept.first(), kept.last()) else { return Ok(None) };
    let difference = |from: &Entry, to: &Entry| -> Result<Difference, GitError> {
        let patch = checkpoint::diff(git, &place, &from.commit, &to.commit, &[])?;
        let unix_ms = to.unix_s.saturating_mul(1_000);
        Ok(Difference { from: Some(from.number), to: Some(to.number), unix_ms, patch })
    };
    let mut changes = Changes::default();
    for pair in kept.windows(2).take(CHECKPOINTS) {
        let [from, to] = pair else { continue };
        changes.stops.push(difference(from, to)?);
    }
    changes.whole = Some(difference(first, last)?);
    Ok(Some(changes))
}

impl Report {
    /// Adds what changed.
    pub fn add_changes(&mut self, changes: &Changes, washer: &Washer) {
        let mut left = LINES;
        let stops: Vec<_> = changes.stops.iter().map(|stop| (stop.to, files_of(&stop.patch))).collect();
        if let Some(whole) = &changes.whole {
            let files = files_of(&whole.patch);
            let mut found: Vec<TestFinding> = files
                .iter()
                .flat_map(findings)
                .chain(passing(&stops, &files))
                .map(|finding| TestFinding::of(finding, washer))
                .collect();
            // Those of checks are known from the run itself.
            let is_of_check = |finding: &TestFinding| finding.touch == TestTouch::OfCheck;
            found.extend(self.tests.findings.extract_if(.., |finding| is_of_check(finding)));
            let between = self.edited_between(&found, washer);
            found.extend(between);
            sort_by(&mut found, Ord::cmp);
            let left_out = found.len().saturating_sub(FINDINGS);
            found.truncate(FINDINGS);
            self.tests = TestsTouched { source: TestsSource::Checkpoints, findings: found, left_out };
            self.diff = Some(told(whole, &files, &mut left, washer));
        }
        for (stop, (_, files)) in changes.stops.iter().zip(&stops) {
            let at_ms = u64::try_from(stop.unix_ms.saturating_sub(self.run.started_unix_ms)).unwrap_or(0);
            // A checkpoint's time is the second in which it was taken, which may have been the next iteration's.
            let mut later = self.iterations.iter_mut().skip_while(|iteration| iteration.to_ms < at_ms);
            let may_be_its = |iteration: &&mut Iteration| {
                iteration.diff.is_none() || at_ms.saturating_add(SECOND_MS) <= iteration.to_ms
            };
            if let Some(iteration) = later.find(may_be_its).filter(|iteration| iteration.diff.is_none()) {
                iteration.diff = Some(told(stop, files, &mut left, washer));
            }
        }
    }

    /// Files of tests that the agent's tools have edited and that no checkpoint shows: they were deleted or put back within a
    /// turn, or git ignores them. Files outside of the project are no tests of it.
    fn edited_between(&self, found: &[TestFinding], washer: &Washer) -> Vec<TestFinding> {
        // A path of an edit is relative to the run's directory, one of a checkpoint to the top of the repository.
        let is_found = |path: &Text| {
            found.iter().any(|other| other.path == *path || other.path.as_str().ends_with(&format!("/{path}")))
        };
        let mut between: Vec<TestFinding> = Vec::new();
        for edited in &self.tests.findings {
            let is_known = is_found(&edited.path) || between.iter().any(|other| other.path == edited.path);
            if self.tests.source == TestsSource::Edits && !is_known && !edited.path.as_str().starts_with('/') {
                let why = "edited by the agent's tools; no checkpoint shows it";
                let lines = vec![washer.text(why)];
                between.push(TestFinding { touch: TestTouch::PutBack, path: edited.path.clone(), lines });
            }
        }
        between
    }
}

fn files_of(patch: &[u8]) -> Vec<FileDiff> {
    let patch = patch.get(..PATCH_BYTES).unwrap_or(patch);
    patch::parse(&String::from_utf8_lossy(patch))
}

fn told(difference: &Difference, files: &[FileDiff], left: &mut usize, washer: &Washer) -> DiffTold {
    let told = files.iter().take(FILES).map(|file| {
        let shown = file.lines.len().min(FILE_LINES).min(*left);
        *left -= shown;
        let (added, removed) = file.counts();
        FileTold {
            path: washer.line(&file.path, LINE_CHARS),
            renamed_from: washer.line(file.renamed_from.as_deref().unwrap_or_default(), LINE_CHARS),
            fate: file.fate,
            added,
            removed,
            lines: file
                .lines
                .iter()
                .take(shown)
                .map(|(sign, text)| LineTold { sign: *sign, text: washer.code_line(text, LINE_CHARS) })
                .collect(),
            lines_left_out: file.lines.len() - shown,
        }
    });
    DiffTold {
        from: difference.from,
        to: difference.to,
        files: told.collect(),
        files_left_out: files.len().saturating_sub(FILES),
    }
}
