//! Compares the tests in two checkpoints of a run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::child_env::ChildEnv;
use crate::checkpoint;
use crate::core::{TestTouch, TouchedTest, TouchedTests};
use crate::git::{Git, GitError, Repository};
use crate::order::sort_by;
use crate::patch::{self, FileDiff, NamedBy};
use crate::process::Cancel;
use crate::ui::clean;
use redaction::Redactor;

/// How many files are named.
const FILES: usize = 50;
/// How many bytes of the patch are read. Of files behind that only the names are known.
const PATCH_BYTES: usize = 4 * 1024 * 1024;
/// How many characters of a path are kept.
const PATH_CHARS: usize = 300;

/// Compares checkpoints of a run.
#[derive(Debug)]
pub(super) struct TestsOfRun {
    git: Git,
}

impl TestsOfRun {
    /// Those of this run. `give_up` kills a running git.
    pub(super) fn of(run_id: &str, env: &ChildEnv, give_up: Cancel) -> TestsOfRun {
        TestsOfRun { git: Git::new(&env.0, run_id, give_up) }
    }

    /// The files of tests, and those that `checks` name, that differ between these commits; `cwd` is where the checks
    /// run. Paths are without secrets.
    ///
    /// # Errors
    /// When git fails.
    pub(super) fn compare(
        &self,
        cwd: &Path,
        commits: Option<[String; 2]>,
        checks: &[String],
        redactor: &Redactor,
    ) -> Result<TouchedTests, GitError> {
        let Some([from, to]) = commits else {
            return Err(GitError::failed("the commits of the checkpoints are not known".to_owned()));
        };
        let gone = || GitError::failed(format!("{} is in no git repository any more", cwd.display()));
        let cwd = cwd.canonicalize().map_err(|_| gone())?;
        let repository = Repository::find(&cwd).ok_or_else(gone)?;
        let place = repository.place();
        let names = checkpoint::changed_paths(&self.git, &place, &from, &to)?;
        let new: BTreeSet<PathBuf> = checkpoint::added_paths(&self.git, &place, &from, &to)?.into_iter().collect();
        let patch = checkpoint::diff(&self.git, &place, &from, &to, &[])?;
        let patch = patch.get(..PATCH_BYTES).unwrap_or(&patch);
        let files = patch::parse(&String::from_utf8_lossy(patch));
        let below = place.work_tree.as_deref().and_then(|top| cwd.strip_prefix(top).ok()).unwrap_or(Path::new(""));
        Ok(touched(&files, (&names, &new), checks, &cwd, below, redactor))
    }
}

/// What these differences do to tests and to the files of checks. `names` are all files that differ, and `new` those of them that
/// were not there before; `below` is the run's directory `cwd` in its repository.
fn touched(
    files: &[FileDiff],
    (names, new): (&[PathBuf], &BTreeSet<PathBuf>),
    checks: &[String],
    cwd: &Path,
    below: &Path,
    redactor: &Redactor,
) -> TouchedTests {
    let seen_from_run = |path: &str| match Path::new(path).strip_prefix(below) {
        Ok(path) => path.to_string_lossy().into_owned(),
        // As git writes a path from the top of the repository.
        Err(_) => format!(":/{path}"),
    };
    let mut found: BTreeMap<String, BTreeSet<TestTouch>> = BTreeMap::new();
    for file in files {
        let seen = match &file.renamed_from {
            Some(from) if patch::is_test_file(from) => {
                format!("{} → {}", seen_from_run(from), seen_from_run(&file.path))
            }
            Some(_) | None => seen_from_run(&file.path),
        };
        for finding in patch::findings(file) {
            found.entry(seen.clone()).or_default().insert(finding.touch);
        }
    }
    let read: BTreeSet<&str> =
        files.iter().flat_map(|file| [Some(file.path.as_str()), file.renamed_from.as_deref()]).flatten().collect();
    for name in names {
        let path = name.to_string_lossy();
        let seen = seen_from_run(&path);
        // A new file that a check names by its path may be the one that the agent was asked for. One that `make` finds beside the
        // Makefile takes its place.
        let counts = |by: NamedBy| by == NamedBy::Program || !new.contains(name);
        if checks.iter().filter_map(|check| patch::names_file(check, cwd, &seen)).any(counts) {
            found.entry(seen).or_default().insert(TestTouch::OfCheck);
        } else if !read.contains(&*path) && patch::is_test_file(&path) {
            found.entry(seen).or_default().insert(TestTouch::Changed);
        }
    }
    let mut touched: Vec<(Vec<TestTouch>, String)> = found
        .into_iter()
        .filter_map(|(path, mut touches)| {
            // A new test bends none, and that a file was changed goes without saying when it is said how.
            let is_only_new = touches.iter().all(|touch| *touch == TestTouch::Added);
            if touches.len() > 1 {
                touches.remove(&TestTouch::Changed);
            }
            (!is_only_new).then(|| (touches.into_iter().collect(), path))
        })
        .collect();
    // The gravest first.
    sort_by(&mut touched, Ord::cmp);
    let more = touched.len().saturating_sub(FILES) as u64;
    let file = |(touches, path): (Vec<TestTouch>, String)| TouchedTest {
        // A sequence of characters that act on a terminal may hide a secret until it is taken out.
        path: redactor.text(&clean::one_line(&redactor.text(&path), PATH_CHARS)).to_string(),
        touches,
    };
    TouchedTests { files: touched.into_iter().take(FILES).map(file).collect(), more }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    use redaction::Redactor;

    use super::{FILES, touched};
    use crate::patch::{FileFate, parse};

    fn told(patch: &str, names: &[&str], checks: &[&str], below: &str) -> Vec<String> {
        let names: Vec<PathBuf> = names.iter().map(PathBuf::from).collect();
        let checks: Vec<String> = checks.iter().map(|check| (*check).to_owned()).collect();
        let cwd = Path::new("/p").join(below);
        let new = parse(patch).into_iter().filter(|file| file.fate == FileFate::Added);
        let new = new.map(|file| PathBuf::from(file.path)).collect();
        let told = touched(&parse(patch), (&names, &new), &checks, &cwd, Path::new(below), &Redactor::default());
        told.files.iter().map(|file| format!("{}: {}", file.path, file.in_words())).collect()
    }

    const PATCH: &str = "diff --git a/web/tests/a.rs b/web/tests/a.rs\n--- a/web/tests/a.rs\n+++ b/web/tests/a.rs\n@@ -1 +1 @@\n-assert!(a);\n+\ndiff --git a/web/tests/new.rs b/web/tests/new.rs\nnew file mode 100644\n--- /dev/null\n+++ b/web/tests/new.rs\n@@ -0,0 +1 @@\n+#[test]\ndiff --git a/web/verify.sh b/web/verify.sh\n--- a/web/verify.sh\n+++ b/web/verify.sh\n@@ -1 +1 @@\n-run\n+true\n";

    #[test]
    fn tests_and_the_files_of_checks_are_named_as_seen_from_the_run() {
        let names = ["web/tests/a.rs", "web/tests/new.rs", "web/verify.sh"];
        let expected = ["tests/a.rs: fewer assertions", "verify.sh: a check's command names it"];
        assert_eq!(told(PATCH, &names, &["sh verify.sh"], "web"), expected);
        assert_eq!(told(PATCH, &names, &["cargo test"], "web"), expected[..1], "no check names it");
        let elsewhere = ["web/tests/a.rs: fewer assertions", "web/verify.sh: a check's command names it"];
        assert_eq!(told(PATCH, &names, &["cd web && ./verify.sh"], ""), elsewhere);
        assert_eq!(told(PATCH, &names, &[], "lib"), [":/web/tests/a.rs: fewer assertions"]);
    }

    #[test]
    fn a_file_that_a_check_names_counts_only_if_it_was_there_before() {
        let new = "diff --git a/src/b.py b/src/b.py\nnew file mode 100644\n--- /dev/null\n+++ b/src/b.py\n@@ -0,0 +1 @@\n+b = 1\n";
        let changed = "diff --git a/src/b.py b/src/b.py\n--- a/src/b.py\n+++ b/src/b.py\n@@ -1 +1 @@\n-b = 0\n+b = 1\n";
        let check = ["python3 src/b.py"];
        assert!(told(new, &["src/b.py"], &check, "").is_empty());
        assert_eq!(told(changed, &["src/b.py"], &check, ""), ["src/b.py: a check's command names it"]);
        let beside = new.replace("src/b.py", "GNUmakefile");
        assert_eq!(told(&beside, &["GNUmakefile"], &["make test"], ""), ["GNUmakefile: a check's command names it"]);
    }

    #[test]
    fn a_test_that_was_renamed_away_is_named_by_both_names() {
        let patch = "diff --git a/web/b_test.go b/web/b.go.bak\nrename from web/b_test.go\nrename to web/b.go.bak\n";
        let names = ["web/b.go.bak", "web/b_test.go"];
        let expected = ["b_test.go → b.go.bak: renamed so that it is no test any more"];
        assert_eq!(told(patch, &names, &[], "web"), expected);
    }

    #[test]
    fn a_test_behind_the_end_of_a_long_patch_is_still_named_and_the_number_is_bounded() {
        assert_eq!(told("", &["tests/late.rs", "src/a.rs"], &[], ""), ["tests/late.rs: changed"]);
        let many: Vec<String> = (0..FILES + 7).map(|number| format!("tests/{number}.rs")).collect();
        let names: Vec<PathBuf> = many.iter().map(PathBuf::from).collect();
        let new = BTreeSet::new();
        let told = touched(&[], (&names, &new), &[], Path::new("/p"), Path::new(""), &Redactor::default());
        assert_eq!((told.files.len(), told.more), (FILES, 7));
    }

    #[test]
    fn a_path_acts_on_no_reader_and_holds_no_secret() {
        let secret = format!("ghp_{}", "a1".repeat(18));
        let told = told("", &[&format!("tests/a\n\u{1b}[31m{secret}.rs")], &[], "");
        assert!(!told[0].contains(['\n', '\u{1b}']) && !told[0].contains(&secret), "{told:?}");
    }
}
