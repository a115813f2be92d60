//! Warnings that several processes would give, each given once: those about the settings in the runs of one list.

use std::fmt;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::OFlags;

use crate::files::{WARNED, open_private, read_private};
use crate::journal::sha256_hex;

/// Which warnings were given. Without a file, each is new.
#[derive(Debug, Default)]
pub(super) struct Once {
    file: OnceLock<PathBuf>,
    /// Held while the file is read and written.
    writes: Mutex<()>,
}

impl Once {
    /// From now on a warning that stands in this file is known, and others are added to it. The first file counts.
    pub(super) fn remember_in(&self, file: PathBuf) {
        let _ = self.file.set(file);
    }

    /// The file.
    pub(super) fn file(&self) -> Option<&Path> {
        self.file.get().map(PathBuf::as_path)
    }

    /// Whether this was not given yet; now it was. What cannot be remembered is new.
    pub(super) fn is_new(&self, warning: impl fmt::Display) -> bool {
        let Some(file) = self.file.get() else { return true };
        // The text may name what only its reader may see.
        let line = format!("{}\n", sha256_hex(warning.to_string().as_bytes()));
        let _writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        let known = read_private(file, WARNED).ok().flatten().unwrap_or_default();
        if String::from_utf8_lossy(&known).lines().any(|known| known == line.trim_end()) {
            return false;
        }
        let add = || -> io::Result<()> {
            open_private(file, OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND)?.write_all(line.as_bytes())
        };
        if let Err(error) = add() {
            tracing::debug!(%error, "a warning that was given cannot be remembered");
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_new_once_for_all_processes_that_share_the_file_and_always_without_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("warned");
        let of_process = || {
            let once = Once::default();
            once.remember_in(file.clone());
            once
        };
        let first = of_process();
        assert!(first.is_new("unknown key `a`") && first.is_new("unknown key `b`"));
        assert!(!first.is_new("unknown key `a`") && !of_process().is_new("unknown key `b`"));
        assert!(of_process().is_new("unknown key `c`"));
        assert!(Once::default().is_new("unknown key `a`"));
        assert!(!std::fs::read_to_string(&file).expect("read").contains("unknown"));
        // A file that cannot be written to silences nothing.
        std::fs::remove_file(&file).expect("removed");
        std::fs::create_dir(&file).expect("made");
        assert!(first.is_new("unknown key `a`") && first.is_new("unknown key `a`"));
    }
}
