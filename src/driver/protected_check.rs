//! Runs a check with the protected files as they were when the run began.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::child_env::ChildEnv;
use crate::config::Glob;
use crate::core::{CheckEnd, CheckResult, ProtectedFiles};
use crate::git::Git;
use crate::process::Cancel;
use crate::protect::{self, Exchange, Exchanged, Moves, ProtectError, PutBack};
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
                let moves = self.with(cancel, |request| Moves::watch(request, &exchanged));
                let mut result = check();
                let since = self.with(cancel, |request| protect::written_since(request, &exchanged, moves.as_ref()));
                if since.as_ref().is_err_and(ProtectError::is_given_up) {
                    result = not_run(CheckEnd::Cancelled);
                }
                let put_back = protect::put_back(&self.run_dir);
                result.protected = Some(Box::new(self.told(exchanged, since, put_back)));
                result
            }
            Err(error) if error.is_given_up() => not_run(CheckEnd::Cancelled),
            Err(error) => {
                let why = format!("the protected files cannot be as they were when the run began: {error}");
                let mut result = not_run(CheckEnd::NotStarted(self.text(&why, REASON_CHARS)));
                let why = Some(self.text(&error.to_string(), REASON_CHARS));
                let files = ProtectedFiles::default();
                if error.leaves_files() {
                    result.protected = Some(Box::new(ProtectedFiles { not_put_back: why, ..files }));
                } else if !error.is_the_agents() {
                    result.protected = Some(Box::new(ProtectedFiles { not_exchanged: why, ..files }));
                }
                result
            }
        }
    }

    fn exchange(&self, cancel: &Cancel) -> Result<Exchanged, ProtectError> {
        self.with(cancel, protect::exchange)
    }

    fn with<T>(&self, cancel: &Cancel, body: impl FnOnce(&Exchange<'_>) -> T) -> T {
        let patterns: Vec<Glob> = self.patterns.iter().filter_map(|pattern| pattern.parse().ok()).collect();
        body(&Exchange {
            git: &Git::new(&self.env.0, &self.run_id, cancel.clone()),
            run_id: &self.run_id,
            run_dir: &self.run_dir,
            cwd: &self.cwd,
            base: &self.base,
            patterns: &patterns,
        })
    }

    fn told(
        &self,
        exchanged: Exchanged,
        since: Result<Vec<PathBuf>, ProtectError>,
        put_back: Result<Option<PutBack>, ProtectError>,
    ) -> ProtectedFiles {
        let Exchanged { restored, without_content, unmatched, .. } = exchanged;
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
                let mut words: Vec<String> =
                    written.iter().map(|(path, kept)| written_in_words(path, kept.as_deref())).collect();
                match since {
                    // What was written is what the agent had, or is gone.
                    Ok(since) => words.extend(
                        since
                            .iter()
                            .filter(|path| written.iter().all(|(known, _)| known != *path))
                            .map(|path| written_in_words(path, None)),
                    ),
                    Err(error) => words.push(error.to_string()),
                }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> ProtectedCheck {
        ProtectedCheck {
            env: ChildEnv(Vec::new()),
            run_id: "r1".to_owned(),
            run_dir: PathBuf::from("/nowhere"),
            cwd: PathBuf::from("/nowhere"),
            base: "c1".to_owned(),
            patterns: vec!["tests/**".to_owned()],
            redactor: Arc::new(Redactor::default()),
        }
    }

    #[test]
    fn the_number_of_named_files_is_bounded_and_a_path_acts_on_no_reader_and_holds_no_secret() {
        let secret = format!("ghp_{}", "a1".repeat(18));
        let hostile = format!("tests/a\n\u{1b}[31m{secret}.rs");
        let mut restored = vec![hostile.clone()];
        restored.extend((0..FILES + 6).map(|number| format!("tests/{number}.rs")));
        let named = || vec![hostile.clone()];
        let exchanged = Exchanged { restored, without_content: named(), unmatched: named(), files: Vec::new() };
        let written = vec![(PathBuf::from(&hostile), Some(PathBuf::from("/runs/r1/protected-kept/0")))];
        let told = check().told(exchanged, Ok(Vec::new()), Ok(Some(PutBack { files: 1, written })));
        assert_eq!((told.restored.len(), told.more), (FILES, 7));
        for text in [&told.restored[0], &told.without_content[0], &told.unmatched[0], &told.written_meanwhile[0]] {
            assert!(!text.contains(['\n', '\u{1b}']) && !text.contains(&secret), "{text}");
        }
        assert!(told.written_meanwhile[0].ends_with("is /runs/r1/protected-kept/0)"), "{told:?}");
        assert_eq!(told.in_words(2).expect("some").matches("more").count(), 1);
    }

    #[test]
    fn a_check_whose_files_cannot_be_exchanged_is_not_run() {
        let cancel = Cancel::new().expect("a descriptor");
        let result = check().run(&cancel, || panic!("it is run"));
        let CheckEnd::NotStarted(why) = &result.end else { panic!("{result:?}") };
        assert!(
            why.contains("cannot be as they were when the run began") && why.contains("no git repository"),
            "{why}"
        );
        let told = result.protected.expect("the agent cannot mend it");
        assert!(told.not_exchanged.is_some_and(|why| why.contains("no git repository")) && told.restored.is_empty());
    }
}
