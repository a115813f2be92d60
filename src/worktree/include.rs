//! Copies the ignored files that an agent needs, such as `.env`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::copy::{Copier, CopyFault, make_parents, stays_inside};
use super::error::WorktreeError;
use super::ignored::Ignored;
use crate::files::{self, WORKTREE_INCLUDE};
use crate::git::Git;

/// The file at the top of a repository that lists them.
pub const INCLUDE_FILE: &str = ".worktreeinclude";
/// The most files that are copied.
const MAX_FILES: usize = 10_000;
/// How many bytes are copied where the file system cannot share them.
pub(super) const MAX_BYTES: u64 = 512 * 1024 * 1024;

/// What was not copied, each with the reason.
pub(super) type Left = Vec<(PathBuf, String)>;

/// The patterns: those of the setting, or those of the repository's file. The file may be the project's and needs no
/// agreement: it says only which of the user's files come along.
pub(super) fn patterns(source: &Path, setting: Option<&[String]>) -> Result<Vec<u8>, String> {
    match setting {
        Some(patterns) => Ok(patterns.join("\n").into_bytes()),
        None => files::read_within(source, &source.join(INCLUDE_FILE), WORKTREE_INCLUDE)
            .map(Option::unwrap_or_default)
            .map_err(|fault| fault.to_string()),
    }
}

/// Copies the ignored files of `source` that match.
pub(super) fn copy(
    git: &Git,
    source: &Path,
    to: &Path,
    patterns: &[u8],
    copier: &mut Copier,
) -> Result<Left, WorktreeError> {
    let mut left = Vec::new();
    if patterns.is_empty() {
        return Ok(left);
    }
    for (count, path) in Ignored::new(git, source, patterns)?.files()?.into_iter().enumerate() {
        if count >= MAX_FILES {
            left.push((path, format!("more than {MAX_FILES} files match")));
            break;
        }
        match one(source, to, &path, copier) {
            Ok(()) => {}
            Err(CopyFault::CannotShare) => {
                left.push((path, format!("more than {} MiB to copy", MAX_BYTES / 1024 / 1024)));
            }
            Err(fault @ (CopyFault::Exists | CopyFault::ThroughLink | CopyFault::Io(_))) => {
                left.push((path, fault.to_string()));
            }
        }
    }
    Ok(left)
}

fn one(source: &Path, to: &Path, path: &Path, copier: &mut Copier) -> Result<(), CopyFault> {
    let (from, to_path) = (source.join(path), to.join(path));
    let meta = fs::symlink_metadata(&from)?;
    let kind = meta.file_type();
    make_parents(to, path)?;
    if kind.is_symlink() {
        let target = fs::read_link(&from)?;
        if !stays_inside(path, &target) {
            return Err(std::io::Error::other("a link that leads out of the tree").into());
        }
        return match symlink(target, &to_path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(CopyFault::Exists),
            result => Ok(result?),
        };
    }
    if !kind.is_file() {
        return Err(std::io::Error::other("not a file").into());
    }
    copier.file(&from, &to_path, &meta)
}
