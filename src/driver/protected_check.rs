//! Runs a check with the protected files as they were when the run began.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::child_env::ChildEnv;
use crate::config::Glob;
use crate::core::{CheckEnd, CheckResult, ProtectedFiles};
use crate::git::Git;
use crate::process::Cancel;
use crate::protect::{self, Exchange, Exchanged, ProtectError, PutBack};
use crate::ui::clean;
use redaction::Redactor;

/// How many files are named in each list.
const FILES: usize = 50;
/// How many characters of a path, and of a reason, are kept.
const PATH_CHARS: usize = 300;
const REASON_CHARS: usize = 1_000;

/// What a check needs to run with protected files.
#[derive(Debug)]
pub(super) struct ProtectedCheck {
    pub(super) env: ChildEnv,
    pub(super) run_id: String,
    /// The run's own directory, and the directory in which it works.
    pub(super) run_dir: PathBuf,
    pub(super) cwd: PathBuf,
    /// The commit with the files.
    pub(super) base: String,
    pub(super) patterns: Vec<String>,
    pub(super) redactor: Arc<Redactor>,
}

impl ProtectedCheck {
    /// Runs the check with the files of the commit in the tree. When this returns, the agent's versions are there again, or the
    /// result says why not.
    pub(super) fn run(&self, cancel: &Cancel, check: impl FnOnce() -> CheckResult) -> CheckResult {
        match self.exchange(cancel) {
            Ok(exchanged) => {
                let mut result = check();
                let put_back = protect::put_back(&self.run_dir);
                result.protected = Some(Box::new(self.told(exchanged, put_back)));
                result
            }
            Err(error) if error.is_given_up() => not_run(CheckEnd::Cancelled),
            Err(error) => {
                let why = format!("the protected files cannot be as they were when the run began: {error}");
                let mut result = not_run(CheckEnd::NotStarted(self.text(&why, REASON_CHARS)));
                if error.leaves_files() {
                    let not_put_back = Some(self.text(&error.to_string(), REASON_CHARS));
                    result.protected = Some(Box::new(ProtectedFiles { not_put_back, ..ProtectedFiles::default() }));
                }
                result
            }
        }
    }

    fn exchange(&self, cancel: &Cancel) -> Result<Exchanged, ProtectError> {
        let patterns: Vec<Glob> = self.patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        protect::exchange(&Exchange {
            git: &Git::new(&self.env.0, &self.run_id, cancel.clone()),
            run_id: &self.run_id,
            run_dir: &self.run_dir,
            cwd: &self.cwd,
            base: &self.base,
            patterns: &patterns,
        })
    }

    fn told(&self, exchanged: Exchanged, put_back: Result<Option<PutBack>, ProtectError>) -> ProtectedFiles {
        let Exchanged { restored, without_content, unmatched } = exchanged;
        let more = restored.len().saturating_sub(FILES) as u64;
        let named = |paths: &[String]| -> Vec<String> {
            paths.iter().take(FILES).map(|path| self.text(path, PATH_CHARS)).collect()
        };
        let mut told = ProtectedFiles {
            restored: named(&restored),
            more,
            without_content: named(&without_content),
            unmatched: named(&unmatched),
            ..ProtectedFiles::default()
        };
        match put_back {
            Ok(put_back) => {
                let written = put_back.map(|done| done.written).unwrap_or_default();
                let words: Vec<String> =
                    written.iter().map(|(path, kept)| written_in_words(path, kept.as_deref())).collect();
                told.written_meanwhile = words.iter().take(FILES).map(|words| self.text(words, REASON_CHARS)).collect();
            }
            Err(error) => told.not_put_back = Some(self.text(&error.to_string(), REASON_CHARS)),
        }
        told
    }

    /// The text without secrets and without characters that act on a terminal, which may hide a secret until they are taken out.
    fn text(&self, text: &str, chars: usize) -> String {
        self.redactor.text(&clean::one_line(&self.redactor.text(text), chars)).to_string()
    }
}

/// What is said of a file that was written during a check.
#[must_use]
pub fn written_in_words(path: &Path, kept: Option<&Path>) -> String {
    match kept {
        Some(kept) => format!("{} (the agent's version from before the check is {})", path.display(), kept.display()),
        None => path.display().to_string(),
    }
}

/// The result of a check that was not run.
pub(super) fn not_run(end: CheckEnd) -> CheckResult {
    CheckResult { end, duration_ms: 0, tail: String::new(), omitted_bytes: 0, missing: None, protected: None }
}
