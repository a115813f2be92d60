//! `state.json`: what the keeper remembers.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::KEEPER_DIR;
use crate::files::{KEEPER, PathError, VersionedError, read_versioned, replace_json};
use crate::upkeep::Upkeep;

/// The version of the file. A reader refuses a higher one. A field added without raising it needs a default.
const VERSION: u32 = 1;

/// The content of the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// The version of the writer.
    version: u32,
    /// What the keeper remembers.
    #[serde(default)]
    pub upkeep: Upkeep,
}

impl Default for Kept {
    fn default() -> Kept {
        Kept { version: VERSION, upkeep: Upkeep::default() }
    }
}

impl Kept {
    /// With this content.
    #[must_use]
    pub fn of(upkeep: Upkeep) -> Kept {
        Kept { version: VERSION, upkeep }
    }
}

/// The file in a state directory.
#[derive(Debug, Clone)]
pub struct Store {
    path: PathBuf,
}

impl Store {
    /// The file in this state directory. Nothing is opened yet.
    #[must_use]
    pub fn new(state_dir: &Path) -> Store {
        Store { path: state_dir.join(KEEPER_DIR).join("state.json") }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its content; nothing remembered when there is no file.
    ///
    /// # Errors
    /// When it cannot be read, is damaged or too new.
    pub fn read(&self) -> Result<Kept, VersionedError> {
        Ok(read_versioned(&self.path, KEEPER, VERSION)?.unwrap_or_default())
    }

    /// Replaces the file as a whole. It is on the disk when this returns.
    ///
    /// # Errors
    /// When it cannot be written; then the old file remains.
    pub fn write(&self, kept: &Kept) -> Result<(), VersionedError> {
        replace_json(&self.path, kept, true)
            .map_err(|source| VersionedError::Io(PathError { path: self.path.clone(), source }))
    }

    /// Moves a file that cannot be read aside; returns its new name.
    ///
    /// # Errors
    /// When it cannot be moved.
    pub fn move_aside(&self) -> Result<PathBuf, VersionedError> {
        let aside = self.path.with_file_name("state.json.damaged");
        let moved = std::fs::rename(&self.path, &aside);
        moved.map(|()| aside).map_err(|source| VersionedError::Io(PathError { path: self.path.clone(), source }))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn what_was_written_is_read_and_what_is_damaged_or_too_new_is_named() {
        let state = tempfile::tempdir().expect("a directory");
        let store = Store::new(state.path());
        assert_eq!(store.read().expect("nothing"), Kept::default());
        let kept = Kept::of(Upkeep { episodes: 3, ..Upkeep::default() });
        store.write(&kept).expect("written");
        assert_eq!(store.read().expect("read"), kept);
        let mode = |path: &Path| path.metadata().expect("metadata").permissions().mode() & 0o777;
        assert_eq!(mode(store.path()), 0o600);
        for (text, says) in [("{", "damaged"), ("[]", "damaged"), (r#"{"version": 2}"#, "use a newer ccc")] {
            std::fs::write(store.path(), text).expect("written");
            assert!(store.read().expect_err("unusable").to_string().contains(says), "{text}");
        }
        let aside = store.move_aside().expect("moved");
        assert!(aside.is_file());
        assert_eq!(store.read().expect("nothing"), Kept::default());
    }
}
