//! Files that a filter would have converted. Filters are programs and are not run, so the files are as they are stored; for
//! those of Git LFS ccc itself puts the contents in place that the repository has.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::copy::Copier;
use super::error::WorktreeError;
use super::note::Note;
use super::record::Worktree;
use crate::checkpoint::{POINTER, Pointer};
use crate::files;
use crate::git::{Call, Git, GitError, Place, programs, records};

/// How many bytes of Git LFS are copied where the file system cannot share them.
const MAX_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// The name of the filter of Git LFS.
const LFS: &str = "lfs";

/// Puts the contents of Git LFS in place, and says what is as it is stored.
pub(super) fn fill(git: &Git, record: &Worktree) -> Result<Vec<Note>, WorktreeError> {
    let place = Place::tree(&record.path);
    let mut filters = Vec::new();
    let mut notes = Vec::new();
    for name in programs(git, &place)?.filters {
        // Attributes can have no other values.
        let Some(name) = name.to_str().filter(|name| name.chars().all(is_of_value)) else { continue };
        let files = files_of(git, &place, name)?;
        if name == LFS {
            let missing = put_in_place(record, &files, &mut Copier::new(MAX_BYTES));
            notes.extend((missing > 0).then(|| Note::LfsMissing { files: missing, tree: record.path.clone() }));
        } else if !files.is_empty() {
            filters.push((name.to_owned(), files.len()));
        }
    }
    notes.extend((!filters.is_empty()).then_some(Note::FiltersOff { filters }));
    Ok(notes)
}

fn is_of_value(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_.".contains(c)
}

/// The tracked files with this filter.
fn files_of(git: &Git, place: &Place, filter: &str) -> Result<Vec<PathBuf>, GitError> {
    let pathspec = format!(":(top,attr:filter={filter})");
    let output = git.run(place, &Call::new(["ls-files", "-z", "--", &pathspec]))?;
    Ok(records(&output).map(|path| PathBuf::from(OsStr::from_bytes(path))).collect())
}

/// Replaces the pointers by what they stand for, and returns for how many that is not there.
fn put_in_place(record: &Worktree, paths: &[PathBuf], copier: &mut Copier) -> usize {
    paths.iter().filter(|path| one(record, &record.path.join(path), copier).is_none()).count()
}

/// `None` when the content is not there. A file that is no pointer is as it should be.
fn one(record: &Worktree, path: &Path, copier: &mut Copier) -> Option<()> {
    let meta = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file);
    let Some(meta) = meta else { return Some(()) };
    let Ok(text) = files::read(path, POINTER) else { return Some(()) };
    let Some(pointer) = Pointer::parse(&text) else { return Some(()) };
    let (first, second) = (pointer.sha256.get(..2)?, pointer.sha256.get(2..4)?);
    let stored = record.common.join("lfs/objects").join(first).join(second).join(&pointer.sha256);
    let stored_meta =
        fs::symlink_metadata(&stored).ok().filter(|meta| meta.is_file() && meta.len() == pointer.bytes)?;
    let new = path.with_file_name(format!(".ccc-{}", pointer.sha256));
    let copied = copier.file(&stored, &new, &stored_meta);
    let placed =
        copied.is_ok() && fs::set_permissions(&new, meta.permissions()).is_ok() && fs::rename(&new, path).is_ok();
    if !placed {
        let _ = fs::remove_file(&new);
    }
    placed.then_some(())
}
