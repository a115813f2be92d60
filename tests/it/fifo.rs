//! FIFOs for tests: macOS has no call that makes one in a directory, but each system has the program.

use std::path::Path;
use std::process::Command;

/// Makes a FIFO.
pub(crate) fn make_fifo(path: &Path) {
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo");
    assert!(made.success(), "no FIFO at {}", path.display());
}
