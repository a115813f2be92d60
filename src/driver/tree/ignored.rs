//! A rough state of the files that git ignores, enough to detect work in them. No verdict depends on it, because the cache of a
//! build or a test may change there at any time.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::TreeObserver;
use super::files::{MAX_ROUGH_BYTES, rough};
use super::listing::bytes_path;
use crate::git::{Git, records};

/// The most ignored files and folders that are examined.
const MAX_ROOTS: usize = 256;
/// The most entries of one ignored folder that are examined.
const MAX_ENTRIES: usize = 1_000;
/// The most content that is read.
const MAX_READ_BYTES: u64 = 4 * 1024 * 1024;

/// A hash over names, sizes, and the contents of small files. Timestamps are left out, since a repeated test touches its cache.
/// `None` when git does not list the ignored files.
pub(super) fn state(top: &Path, git: Option<&Git>, ours: &TreeObserver) -> Option<String> {
    let args = ["ls-files", "-o", "-i", "-z", "--directory", "--exclude-standard"];
    let roots = git.filter(|_| super::listing::is_repository(top))?.output(top, &args).ok()?;
    let mut whole = Sha256::new();
    let mut left_bytes = MAX_READ_BYTES;
    for root in records(&roots).take(MAX_ROOTS) {
        let mut open: VecDeque<PathBuf> = VecDeque::from([bytes_path(root)]);
        let mut left = MAX_ENTRIES;
        while let Some(path) = open.pop_front()
            && left > 0
        {
            left -= 1;
            let place = top.join(&path);
            let Ok(meta) = fs::symlink_metadata(&place) else { continue };
            if ours.has(top, &place) {
                continue;
            }
            whole.update(path.as_os_str().as_bytes());
            whole.update([0]);
            if meta.is_dir() {
                let names =
                    fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| path.join(entry.file_name()));
                let mut names: Vec<PathBuf> = names.take(left).collect();
                names.sort();
                open.extend(names);
            } else if meta.is_file() {
                whole.update(meta.len().to_be_bytes());
                if meta.len() <= MAX_ROUGH_BYTES.min(left_bytes) {
                    left_bytes -= meta.len();
                    rough(&place, &mut whole);
                }
            }
        }
    }
    Some(whole.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}
