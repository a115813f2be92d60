//! Deletes a directory in two steps: it vanishes at once, and its files after that.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::make_private_dir;
use super::path_error::PathError;

/// The directory of what is being deleted.
const TRASH: &str = ".trash";
/// How many names are tried in the trash.
const TRIES: u32 = 1_000;

/// Why a directory is not deleted.
#[derive(Debug, thiserror::Error)]
pub enum TrashError {
    /// It is no directory.
    #[error("{} is not a directory any more; nothing is removed", path.display())]
    Replaced {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses.
    #[error(transparent)]
    Io(#[from] PathError),
}

impl TrashError {
    fn io(path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io(PathError { path, source })
    }
}

/// Moves a directory into the trash beside it, and returns where it is now. A link is refused.
///
/// # Errors
/// When it is no directory, or cannot be moved; then it is where it was.
pub fn throw(path: &Path) -> Result<PathBuf, TrashError> {
    let replaced = || TrashError::Replaced { path: path.to_owned() };
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(replaced()) };
    let meta = fs::symlink_metadata(path).map_err(TrashError::io(path))?;
    if !meta.is_dir() {
        return Err(replaced());
    }
    let trash = parent.join(TRASH);
    make_private_dir(&trash).map_err(TrashError::io(&trash))?;
    for number in 1..=TRIES {
        let mut to = trash.join(name).into_os_string();
        to.push(format!(".{number}"));
        let to = PathBuf::from(to);
        // The name is taken by an empty directory first, which the renamed one replaces.
        match fs::create_dir(&to) {
            Ok(()) => return fs::rename(path, &to).map(|()| to).map_err(TrashError::io(path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(TrashError::io(to)(error)),
        }
    }
    Err(TrashError::io(trash)(io::ErrorKind::AlreadyExists.into()))
}

/// Deletes what is in the trash of this directory for this name.
///
/// # Errors
/// When something cannot be deleted; it can be repeated.
pub fn empty(dir: &Path, name: &str) -> Result<(), TrashError> {
    for path in thrown(dir) {
        let is_its_own = path
            .file_name()
            .and_then(|found| found.to_str())
            .is_some_and(|found| found.rsplit_once('.').is_some_and(|(found, _)| found == name));
        if is_its_own {
            delete(&path)?;
        }
    }
    Ok(())
}

/// The names for which something is in the trash.
#[must_use]
pub fn names(dir: &Path) -> Vec<String> {
    let name = |path: PathBuf| Some(path.file_name()?.to_str()?.rsplit_once('.')?.0.to_owned());
    thrown(dir).into_iter().filter_map(name).collect()
}

/// What is in the trash of this directory.
#[must_use]
pub fn thrown(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join(TRASH)).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Deletes a directory and all in it, also directories that cannot be written to, as the module caches of some tools are.
/// Links are deleted, not followed.
///
/// # Errors
/// When something cannot be deleted.
pub fn delete(path: &Path) -> Result<(), TrashError> {
    let gone = |result: io::Result<()>| match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    match gone(fs::remove_dir_all(path)) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path);
            gone(fs::remove_dir_all(path)).map_err(TrashError::io(path))
        }
        result => result.map_err(TrashError::io(path)),
    }
}

fn make_writable(path: &Path) {
    let mut open = vec![path.to_owned()];
    while let Some(dir) = open.pop() {
        // What cannot be changed is reported by the deletion.
        let _ = fs::set_permissions(&dir, fs::Permissions::from_mode(0o700));
        let entries = fs::read_dir(&dir).into_iter().flatten().flatten();
        open.extend(
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()),
        );
    }
}
