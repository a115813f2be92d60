//! What differs between two commits or trees.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::git::{Call, Git, GitError, Place, records};

/// The options of every comparison: no program is run, and nothing depends on the user's settings.
const OPTIONS: &[&str] = &["diff-tree", "-r", "--no-ext-diff", "--no-textconv", "--no-color", "--submodule=short"];

/// How a file differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileChange {
    /// Its path in the later tree, or in the earlier one if it was removed.
    pub path: PathBuf,
    /// Its path in the earlier tree if it was renamed.
    pub renamed_from: Option<PathBuf>,
    /// How many lines were added and removed; `None` for a binary file.
    pub lines: Option<(u64, u64)>,
}

/// The extent of a difference.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// The files that differ.
    pub files: Vec<FileChange>,
    /// Lines added in all.
    pub added: u64,
    /// Lines removed in all.
    pub removed: u64,
}

/// The difference as a patch, of these paths or of all.
///
/// # Errors
/// When one of the commits or trees is missing, and when git fails.
pub fn diff(git: &Git, place: &Place, from: &str, to: &str, paths: &[&Path]) -> Result<Vec<u8>, GitError> {
    let shown = ["-p", "-M", "--full-index", "--src-prefix=a/", "--dst-prefix=b/", "--diff-algorithm=default"];
    compare(git, place, &shown, [from, to], paths)
}

/// The extent of the difference.
///
/// # Errors
/// As [`diff`].
pub fn summary(git: &Git, place: &Place, from: &str, to: &str) -> Result<Summary, GitError> {
    Ok(parse(&compare(git, place, &["--numstat", "-M", "-z"], [from, to], &[])?))
}

/// The paths that differ; of a renamed file both.
///
/// # Errors
/// As [`diff`].
pub fn changed_paths(git: &Git, place: &Place, from: &str, to: &str) -> Result<Vec<PathBuf>, GitError> {
    let output = compare(git, place, &["--name-only", "--no-renames", "-z"], [from, to], &[])?;
    Ok(records(&output).map(to_path).collect())
}

/// Those of [`changed_paths`] that `from` has not.
///
/// # Errors
/// As [`changed_paths`].
pub fn added_paths(git: &Git, place: &Place, from: &str, to: &str) -> Result<Vec<PathBuf>, GitError> {
    let output = compare(git, place, &["--name-only", "--no-renames", "--diff-filter=A", "-z"], [from, to], &[])?;
    Ok(records(&output).map(to_path).collect())
}

fn compare(
    git: &Git,
    place: &Place,
    options: &[&str],
    [from, to]: [&str; 2],
    paths: &[&Path],
) -> Result<Vec<u8>, GitError> {
    let call = Call::new(OPTIONS).args(options).args(["--end-of-options", from, to, "--"]);
    git.run(place, &call.args(paths).env("GIT_LITERAL_PATHSPECS", "1"))
}

/// Each record is `ADDED TAB REMOVED TAB PATH`, or with a rename `ADDED TAB REMOVED TAB` and two more records.
fn parse(output: &[u8]) -> Summary {
    let mut found = Summary::default();
    let mut rest = output.split(|byte| *byte == 0);
    while let Some(record) = rest.next() {
        let mut parts = record.splitn(3, |byte| *byte == b'\t');
        let (Some(added), Some(removed), Some(path)) = (parts.next(), parts.next(), parts.next()) else { continue };
        let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<u64>().ok();
        let lines = number(added).zip(number(removed));
        let change = if path.is_empty() {
            let (Some(from), Some(to)) = (rest.next(), rest.next()) else { break };
            FileChange { path: to_path(to), renamed_from: Some(to_path(from)), lines }
        } else {
            FileChange { path: to_path(path), renamed_from: None, lines }
        };
        let (added, removed) = lines.unwrap_or_default();
        found.added = found.added.saturating_add(added);
        found.removed = found.removed.saturating_add(removed);
        found.files.push(change);
    }
    found
}

fn to_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes))
}
