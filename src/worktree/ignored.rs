//! Finds ignored files and directories of the user's tree by patterns.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::WorktreeError;
use crate::git::{Call, Git, GitError, Place, records, settings_without_programs};

/// What git lists in the user's tree.
pub(super) struct Ignored<'a> {
    git: &'a Git,
    place: Place,
    settings: Vec<(OsString, OsString)>,
    patterns: tempfile::NamedTempFile,
}

impl<'a> Ignored<'a> {
    /// What these patterns match, one a line in the syntax of `.gitignore`.
    pub(super) fn new(git: &'a Git, top: &Path, patterns: &[u8]) -> Result<Self, WorktreeError> {
        let place = Place::tree(top);
        let settings = settings_without_programs(git, &place)?;
        let mut file = tempfile::NamedTempFile::new().map_err(WorktreeError::io(std::env::temp_dir()))?;
        file.write_all(patterns).map_err(WorktreeError::io(file.path().to_owned()))?;
        Ok(Self { git, place, settings, patterns: file })
    }

    /// The ignored files that match. What lies in a repository of its own is left out.
    pub(super) fn files(&self) -> Result<Vec<PathBuf>, GitError> {
        let wanted = self.list(&["-i", &self.exclude_from()])?;
        let not_ignored: BTreeSet<PathBuf> = self.list(&["--exclude-standard"])?.into_iter().collect();
        let is_file = |path: &PathBuf| !path.as_os_str().as_bytes().ends_with(b"/");
        Ok(wanted.into_iter().filter(|path| is_file(path) && !not_ignored.contains(path)).collect())
    }

    /// The ignored directories that match as a whole.
    pub(super) fn directories(&self) -> Result<Vec<PathBuf>, GitError> {
        let wanted = self.list(&["-i", "--directory", &self.exclude_from()])?;
        let ignored: BTreeSet<PathBuf> = self.list(&["-i", "--directory", "--exclude-standard"])?.into_iter().collect();
        let is_dir = |path: &PathBuf| path.as_os_str().as_bytes().ends_with(b"/");
        let is_ignored = |path: &PathBuf| path.ancestors().any(|above| ignored.contains(above));
        Ok(wanted.into_iter().filter(|path| is_dir(path) && is_ignored(path)).collect())
    }

    fn exclude_from(&self) -> String {
        format!("--exclude-from={}", self.patterns.path().display())
    }

    fn list(&self, options: &[&str]) -> Result<Vec<PathBuf>, GitError> {
        let call = Call::new(["ls-files", "-z", "-o"]).args(options).settings(&self.settings);
        let output = self.git.run(&self.place, &call)?;
        Ok(records(&output).map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
    }
}
