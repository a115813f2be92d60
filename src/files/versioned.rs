//! Records of ccc's own with a version: JSON objects whose `version` says which ccc can read them.

use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::path_error::PathError;
use super::{FileKind, read_private};
use crate::json::from_json;

/// Why a record cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VersionedError {
    /// The file cannot be read, replaced or removed.
    #[error(transparent)]
    Io(#[from] PathError),
    /// It is not such a record.
    #[error("{}: damaged: {source}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A newer ccc wrote it.
    #[error("{}: version {version} is newer than the {known} that this ccc reads; use a newer ccc", path.display())]
    TooNew {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
        /// The version that is read.
        known: u32,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// The record in this file, if it is there. `known`: the highest version that is read; a record of a newer one need not have the
/// same fields.
///
/// # Errors
/// When it cannot be read, is damaged or too new.
pub fn read_versioned<T: DeserializeOwned>(
    path: &Path,
    kind: FileKind,
    known: u32,
) -> Result<Option<T>, VersionedError> {
    let bytes = match read_private(path, kind) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(None),
        // Its directory was removed meanwhile.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(VersionedError::Io(PathError { path: path.to_owned(), source })),
    };
    let damaged = |source| VersionedError::Damaged { path: path.to_owned(), source };
    let Versioned { version } = from_json(&bytes).map_err(damaged)?;
    if version > known {
        return Err(VersionedError::TooNew { path: path.to_owned(), version, known });
    }
    from_json(&bytes).map(Some).map_err(damaged)
}
