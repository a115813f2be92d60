//! What a repository's configuration names for contents: filters, merge drivers and conversions.

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

/// What the configuration of one place says about contents: the programs and the conversions that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContentSettings {
    programs: Programs,
    converts: bool,
    bare: bool,
}

impl ContentSettings {
    /// Reads it, from all files that count at this place.
    ///
    /// # Errors
    /// When git cannot read the configuration.
    pub fn read(git: &Git, place: &Place) -> Result<Self, GitError> {
        let pattern = r"^((filter|merge)\..*\.|core\.(bare|autocrlf|attributesfile)$)";
        let answer = git.ask(place, &Call::new(["config", "-z", "--get-regexp", pattern]))?;
        // Git exits with 1 when there is no such setting.
        if answer.code > 1 {
            return Err(GitError::failed(format!("`git config` failed: {}", answer.why())));
        }
        let mut found = Self::default();
        for setting in answer.output.split(|byte| *byte == 0) {
            // A setting without a value has no line end.
            let (key, value) = memchr::memchr(b'\n', setting)
                .map_or((setting, None), |end| (&setting[..end], Some(&setting[end + 1..])));
            let Some(first) = memchr::memchr(b'.', key) else { continue };
            if &key[..first] == b"core" {
                match &key[first + 1..] {
                    // The last one counts, as in git.
                    b"bare" => found.bare = is_true(value),
                    _ => found.converts |= !matches!(value, Some(b"false" | b"no" | b"off" | b"0")),
                }
                continue;
            }
            let Some(last) = memchr::memrchr(b'.', key).filter(|last| *last > first) else { continue };
            let name = OsStr::from_bytes(&key[first + 1..last]).to_owned();
            match &key[..first] {
                b"filter" => drop(found.programs.filters.insert(name)),
                b"merge" => drop(found.programs.merge_drivers.insert(name)),
                _ => {}
            }
        }
        Ok(found)
    }

    /// Settings that switch off all filters and merge drivers of this place. A merge driver cannot be switched off, so it is
    /// replaced by one that reports a conflict.
    #[must_use]
    pub fn without_programs(&self) -> Vec<(OsString, OsString)> {
        let mut settings = Vec::new();
        for name in &self.programs.filters {
            for (end, value) in [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")] {
                settings.push((key("filter", name, end), value.into()));
            }
        }
        for name in &self.programs.merge_drivers {
            settings.push((key("merge", name, "driver"), "false".into()));
        }
        settings
    }

    /// Whether it calls the repository bare; see [`super::Repository::is_bare`].
    pub(super) fn says_bare(&self) -> bool {
        self.bare
    }

    /// Whether line ends may be converted without any attribute, or a further file of attributes counts.
    #[must_use]
    pub fn may_convert(&self) -> bool {
        self.converts
    }
}

/// The programs that the configuration of this place names.
///
/// # Errors
/// As [`ContentSettings::read`].
pub fn programs(git: &Git, place: &Place) -> Result<Programs, GitError> {
    Ok(ContentSettings::read(git, place)?.programs)
}

/// As [`ContentSettings::without_programs`] of this place.
///
/// # Errors
/// As [`ContentSettings::read`].
pub fn settings_without_programs(git: &Git, place: &Place) -> Result<Vec<(OsString, OsString)>, GitError> {
    Ok(ContentSettings::read(git, place)?.without_programs())
}

/// What git takes a truth value for: a setting without a value is true, an empty one is not.
fn is_true(value: Option<&[u8]>) -> bool {
    let Some(value) = value else { return true };
    let number = || std::str::from_utf8(value).ok()?.parse::<i64>().ok();
    ["true", "yes", "on"].iter().any(|word| value.eq_ignore_ascii_case(word.as_bytes()))
        || number().is_some_and(|n| n != 0)
}

fn key(kind: &str, name: &OsStr, end: &str) -> OsString {
    OsString::from_vec([kind.as_bytes(), b".", name.as_bytes(), b".", end.as_bytes()].concat())
}
