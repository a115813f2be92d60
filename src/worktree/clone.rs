//! Clones directories such as `target` and `node_modules`, so that an agent need not build all again. Contents are shared
//! with the user's directory until one of them changes; a file system that cannot do that gets no copy, because a copy for
//! each agent fills the disk.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::copy::{Copier, CopyFault, make_parents, permissions, stays_inside};
use super::error::WorktreeError;
use super::ignored::Ignored;
use super::include::Left;
use crate::git::Git;

/// The most files and directories of one directory.
const MAX_ENTRIES: usize = 500_000;
/// The most directories that are cloned.
const MAX_DIRS: usize = 200;

/// Clones the ignored directories of `source` that match.
pub(super) fn clone(
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
    for path in Ignored::new(git, source, patterns)?.directories()?.into_iter().take(MAX_DIRS) {
        let (from, into) = (source.join(&path), to.join(&path));
        // The trees of agents may lie in an ignored directory of the user's.
        if to.starts_with(&from) || fs::symlink_metadata(from.join(".git")).is_ok() {
            continue;
        }
        let cloned = match fs::symlink_metadata(&into) {
            Ok(_) => Err(CopyFault::Exists),
            Err(_) => make_parents(to, &path).and_then(|()| Directory { from: &from, to: &into, copier }.clone_all()),
        };
        match cloned {
            Ok(0) => {}
            Ok(links) => left.push((path, format!("{links} links in it lead out of it"))),
            Err(fault) => {
                if !matches!(fault, CopyFault::Exists) {
                    // Half of a directory is worse than none: a build would take it for whole.
                    let _ = fs::remove_dir_all(&into);
                }
                left.push((path, fault.to_string()));
            }
        }
    }
    Ok(left)
}

struct Directory<'a> {
    from: &'a Path,
    to: &'a Path,
    copier: &'a mut Copier,
}

impl Directory<'_> {
    /// Clones the directory, and returns how many links were left out.
    fn clone_all(&mut self) -> Result<usize, CopyFault> {
        let (mut links_left, mut count) = (0, 0);
        let mut open = vec![PathBuf::new()];
        let mut made = Vec::new();
        while let Some(dir) = open.pop() {
            let meta = fs::symlink_metadata(self.from.join(&dir))?;
            fs::create_dir(self.to.join(&dir))?;
            made.push((dir.clone(), meta));
            for entry in fs::read_dir(self.from.join(&dir))? {
                let entry = entry?;
                count += 1;
                if count > MAX_ENTRIES {
                    return Err(io::Error::other(format!("more than {MAX_ENTRIES} files")).into());
                }
                let path = dir.join(entry.file_name());
                let (from, to) = (self.from.join(&path), self.to.join(&path));
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    // A repository or working tree inside is somebody's work, and can hold the next one.
                    if fs::symlink_metadata(from.join(".git")).is_err() {
                        open.push(path);
                    }
                } else if kind.is_file() {
                    self.copier.file(&from, &to, &entry.metadata()?)?;
                } else if kind.is_symlink() {
                    let target = fs::read_link(&from)?;
                    if stays_inside(&path, &target) {
                        symlink(target, &to)?;
                    } else {
                        links_left += 1;
                    }
                }
            }
        }
        // The inner ones first, and only now: a directory may not be writable.
        for (dir, meta) in made.iter().rev() {
            fs::set_permissions(self.to.join(dir), permissions(meta))?;
        }
        Ok(links_left)
    }
}
