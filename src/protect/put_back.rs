//! Puts back what lay in the working tree before an exchange.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::error::ProtectError;
use super::record::{self, Entry, Record, Version};
use crate::files::{AtPath, DirTree, FileRights, PathError, make_private_dir, open_private};

/// Where versions are kept that could not be put back without overwriting something newer, in the run's directory.
const KEPT: &str = "protected-kept";

/// What was put back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PutBack {
    /// How many files are as they were before the exchange.
    pub files: usize,
    /// The files that something has written meanwhile and that stay so, relative to the top of the tree; each with the place of the
    /// version from before, if there was one.
    pub written: Vec<(PathBuf, Option<PathBuf>)>,
}

/// Whether an exchange was not undone.
#[must_use]
pub fn is_pending(run_dir: &Path) -> bool {
    fs::symlink_metadata(record::file(run_dir)).is_ok()
}

/// The top of the working tree in which an exchange was not undone, if that is known.
#[must_use]
pub fn pending_in(run_dir: &Path) -> Option<PathBuf> {
    Some(Record::read(run_dir).ok()??.top.0)
}

/// Undoes the exchange that the run's directory has the record of; `None` without one.
///
/// # Errors
/// When a file cannot be put back. The others are, and the record stays, so that it can be tried again.
pub fn put_back(run_dir: &Path) -> Result<Option<PutBack>, ProtectError> {
    let Some(record) = Record::read(run_dir)? else { return Ok(None) };
    let mut done = PutBack::default();
    match DirTree::open(&record.top.0) {
        Ok(tree) => {
            let mut fault = None;
            for (number, entry) in record.files.iter().enumerate() {
                match put_one_back(run_dir, &tree, &record, number, entry) {
                    Ok(Fate::AsBefore) => done.files += 1,
                    Ok(Fate::Written { before }) => done.written.push((entry.path.0.clone(), before)),
                    Err(error) => fault = fault.or(Some(error)),
                }
            }
            if let Some(error) = fault {
                return Err(error);
            }
            for dir in record.dirs.iter().rev() {
                tree.remove_empty_dir(&dir.0);
            }
        }
        // The tree is gone, and nothing can be put back into it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(source) => return Err(ProtectError::File { path: record.top.0.clone(), source }),
    }
    let file = record::file(run_dir);
    fs::remove_file(&file).map_err(PathError::of(file))?;
    // Only copies are left, which nobody needs.
    let _ = fs::remove_dir_all(record::dir(run_dir));
    Ok(Some(done))
}

/// The files that were exchanged and are not as the exchange has left them: something has written them since, maybe what lay there
/// before.
pub(super) fn written_of_those_exchanged(run_dir: &Path) -> Result<Vec<PathBuf>, ProtectError> {
    let Some(record) = Record::read(run_dir)? else { return Ok(Vec::new()) };
    let Ok(tree) = DirTree::open(&record.top.0) else { return Ok(Vec::new()) };
    let mut written = Vec::new();
    for entry in &record.files {
        let path = entry.path.0.as_path();
        let fault = |source| ProtectError::File { path: path.to_owned(), source };
        let mut found = tree.look(path).map_err(fault)?;
        let now = Version::of(&mut found, &mut |_| Ok(())).map_err(fault)?;
        if !now.is_some_and(|now| now.is_as(&entry.base)) {
            written.push(path.to_owned());
        }
    }
    Ok(written)
}

/// What became of one file.
enum Fate {
    AsBefore,
    /// Something newer stays; `before` is where the version from before is, if there was one.
    Written {
        before: Option<PathBuf>,
    },
}

/// Puts one file back, unless something newer is there.
fn put_one_back(
    run_dir: &Path,
    tree: &DirTree,
    record: &Record,
    number: usize,
    entry: &Entry,
) -> Result<Fate, ProtectError> {
    let path = entry.path.0.as_path();
    let fault = |source| ProtectError::File { path: path.to_owned(), source };
    let temporary = record::temporary(&record.run, number);
    tree.clear(path, &temporary).map_err(fault)?;
    let mut found = tree.look(path).map_err(fault)?;
    let now = Version::of(&mut found, &mut |_| Ok(())).map_err(fault)?;
    if now.as_ref().is_some_and(|now| now.is_as(&entry.before)) {
        return Ok(Fate::AsBefore);
    }
    // What the check has removed may come back: nothing is overwritten by that.
    if !matches!(found, AtPath::Missing) && !now.is_some_and(|now| now.is_as(&entry.base)) {
        return Ok(Fate::Written { before: kept(run_dir, number, &entry.before)? });
    }
    match &entry.before {
        Version::Missing => tree.remove(path).map_err(fault)?,
        Version::Link { target, modified } => {
            tree.replace_by_link(path, &temporary, &target.0, *modified).map_err(fault)?;
        }
        Version::File { executable, exact, .. } => {
            let at = record::copy(run_dir, number);
            let mut copy = open_private(&at, OFlags::RDONLY).map_err(PathError::of(at))?;
            let rights = match *exact {
                Some((mode, s, ns)) => FileRights::Exact { mode, modified: (s, ns) },
                None => FileRights::New { executable: *executable },
            };
            tree.replace(path, &temporary, &mut copy, rights).map_err(fault)?;
        }
    }
    Ok(Fate::AsBefore)
}

/// Moves the copy of a version to where it stays.
fn kept(run_dir: &Path, number: usize, before: &Version) -> Result<Option<PathBuf>, ProtectError> {
    if !matches!(before, Version::File { .. }) {
        return Ok(None);
    }
    let dir = run_dir.join(KEPT);
    let io = |path: &Path, source| ProtectError::Io(PathError { path: path.to_owned(), source });
    make_private_dir(&dir).map_err(|source| io(&dir, source))?;
    let count = fs::read_dir(&dir).map_err(|source| io(&dir, source))?.count();
    let free = (count..).map(|at| dir.join(at.to_string())).find(|path| fs::symlink_metadata(path).is_err());
    let Some(to) = free else { return Ok(None) };
    match fs::rename(record::copy(run_dir, number), &to) {
        Ok(()) => Ok(Some(to)),
        // An attempt before, which could not complete everything, has moved it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(io(&to, source)),
    }
}
