//! The programs that a repository's configuration names for contents: filters and merge drivers.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::call::{Call, Place};
use super::error::GitError;
use super::program::Git;

/// The names of the configured programs, by their kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Programs {
    /// `filter.NAME`.
    pub filters: BTreeSet<OsString>,
    /// `merge.NAME`.
    pub merge_drivers: BTreeSet<OsString>,
}

/// The programs that the configuration of this place names, from all files that count there.
///
/// # Errors
/// When git cannot read the configuration.
pub fn programs(git: &Git, place: &Place) -> Result<Programs, GitError> {
    let pattern = r"^(filter|merge)\..*\.";
    let answer = git.ask(place, &Call::new(["config", "-z", "--name-only", "--get-regexp", pattern]))?;
    // Git exits with 1 when there is no such setting.
    if answer.code > 1 {
        return Err(GitError::failed(format!("`git config` failed: {}", answer.why())));
    }
    let mut found = Programs::default();
    for key in answer.output.split(|byte| *byte == 0) {
        let Some(first) = memchr::memchr(b'.', key) else { continue };
        let Some(last) = memchr::memrchr(b'.', key).filter(|last| *last > first) else { continue };
        let name = OsStr::from_bytes(&key[first + 1..last]).to_owned();
        match &key[..first] {
            b"filter" => drop(found.filters.insert(name)),
            b"merge" => drop(found.merge_drivers.insert(name)),
            _ => {}
        }
    }
    Ok(found)
}

/// Settings that switch off all filters and merge drivers of this place. A merge driver cannot be switched off, so it is
/// replaced by one that reports a conflict.
///
/// # Errors
/// When git cannot read the configuration.
pub fn settings_without_programs(git: &Git, place: &Place) -> Result<Vec<(OsString, OsString)>, GitError> {
    let programs = programs(git, place)?;
    let mut settings = Vec::new();
    for name in &programs.filters {
        for (end, value) in [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")] {
            settings.push((key("filter", name, end), value.into()));
        }
    }
    for name in &programs.merge_drivers {
        settings.push((key("merge", name, "driver"), "false".into()));
    }
    Ok(settings)
}

fn key(kind: &str, name: &OsStr, end: &str) -> OsString {
    OsString::from_vec([kind.as_bytes(), b".", name.as_bytes(), b".", end.as_bytes()].concat())
}
