//! Finds a run by what the user types: its id, its name, a prefix of either, or its directory.

use std::path::Path;
use std::time::SystemTime;

use super::run_dir::{RunDir, RunDirError};
use super::run_name::RunNames;
use crate::order::map_of;
use crate::order::sort_by;

/// How many candidates an error lists.
const CANDIDATES_SHOWN: usize = 8;
/// Of a run that does not exist: how many names that are like it, and how many of the newest runs, are told.
const NEAREST_SHOWN: usize = 3;
const NEWEST_SHOWN: usize = 4;
/// How like a name must be, from 0 to 1. One letter that is missing, wrong or twice is far above it.
const ALIKE: f64 = 0.6;

impl RunDir {
    /// Finds the run that the user names: `None` or `last` is the run that was active last; otherwise its id, its name, a prefix
    /// of either, or its directory.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn resolve(state_dir: &Path, wanted: Option<&str>) -> Result<RunDir, RunDirError> {
        let all = RunDir::all(state_dir)?;
        if all.is_empty() {
            return Err(RunDirError::NoRuns { path: state_dir.join("runs") });
        }
        let Some(wanted) = wanted.filter(|wanted| *wanted != "last") else {
            // Of those written to at the same moment, the newest.
            let latest = all.iter().rev().max_by_key(|dir| dir.last_written());
            return latest.cloned().ok_or_else(|| RunDirError::NoRuns { path: state_dir.join("runs") });
        };
        if wanted.contains('/')
            && let Ok(path) = Path::new(wanted).canonicalize()
            && let Some(there) = all.iter().find(|dir| dir.path().canonicalize().is_ok_and(|it| it == path))
        {
            return Ok(there.clone());
        }
        if let Some(exact) = all.iter().find(|dir| dir.id() == wanted) {
            return Ok(exact.clone());
        }
        let names = RunNames::new(state_dir);
        if let Some(named) = names.run_of(wanted) {
            return Ok(named);
        }
        let mut fits: Vec<&RunDir> =
            all.iter().filter(|dir| !wanted.is_empty() && dir.id().starts_with(wanted)).collect();
        // An id begins with a digit and a name with a letter, so the text is a prefix of one kind only.
        let named = if fits.is_empty() && !wanted.is_empty() { names.beginning_with(wanted) } else { Vec::new() };
        fits.extend(named.iter().map(|(_, dir)| dir));
        match fits.as_slice() {
            [one] => Ok((*one).clone()),
            [] => Err(unknown(wanted, &all, &names)),
            [..] => Err(RunDirError::Ambiguous {
                wanted: wanted.to_owned(),
                count: fits.len(),
                candidates: if named.is_empty() {
                    shown(fits.iter().copied())
                } else {
                    named.iter().take(CANDIDATES_SHOWN).map(|(name, _)| name.clone()).collect()
                },
            }),
        }
    }

    /// When its journal was last written to; the epoch if there is none.
    fn last_written(&self) -> SystemTime {
        let written = std::fs::metadata(self.journal()).and_then(|journal| journal.modified());
        written.unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// The error for a text that is nothing's name and begins no id.
fn unknown(wanted: &str, all: &[RunDir], names: &RunNames) -> RunDirError {
    let named = map_of(names.beginning_with("").into_iter().map(|(name, dir)| (dir.id().to_owned(), name)));
    let likeness = |name: &str| {
        let (name, wanted) = (name.to_lowercase(), wanted.to_lowercase());
        let holds = !wanted.is_empty() && name.contains(&wanted) || wanted.contains(&name);
        if holds { 1.0 } else { f64::from(similar::TextDiff::from_chars(name.as_str(), wanted.as_str()).ratio()) }
    };
    let mut nearest: Vec<(f64, &String)> = named.values().map(|name| (likeness(name), name)).collect();
    nearest.retain(|(likeness, _)| *likeness >= ALIKE);
    sort_by(&mut nearest, |(a, one), (b, other)| b.total_cmp(a).then_with(|| one.cmp(other)));
    let newest = all.iter().take(NEWEST_SHOWN).map(|dir| match named.get(dir.id()) {
        Some(name) => format!("{name} ({})", dir.id()),
        None => dir.id().to_owned(),
    });
    RunDirError::Unknown {
        wanted: wanted.to_owned(),
        nearest: nearest.into_iter().take(NEAREST_SHOWN).map(|(_, name)| name.clone()).collect(),
        newest: newest.collect(),
    }
}

fn shown<'a>(dirs: impl Iterator<Item = &'a RunDir>) -> Vec<String> {
    dirs.take(CANDIDATES_SHOWN).map(|dir| dir.id().to_owned()).collect()
}
