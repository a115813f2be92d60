//! Files of the repository, mainly recordings of real runs, for the tests of modules that open no file themselves.

#![allow(clippy::disallowed_methods, reason = "a test's room: it reads the repository's recordings")]

use std::fs;
use std::path::Path;

/// One file.
pub(crate) struct Recording {
    /// Its path in the repository.
    pub(crate) name: String,
    /// Its content.
    pub(crate) text: String,
}

/// All files below this directory of the repository whose names have this suffix, sorted by path.
pub(crate) fn recordings(dir: &str, suffix: &str) -> Vec<Recording> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    let mut found = Vec::new();
    let mut dirs = vec![root.join(dir)];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().ends_with(suffix) {
                found.push(path);
            }
        }
    }
    found.sort();
    let read = |path: &Path| Recording {
        name: path.strip_prefix(root).unwrap_or(path).display().to_string(),
        text: fs::read_to_string(path).expect("a recording"),
    };
    found.iter().map(|path| read(path)).collect()
}
