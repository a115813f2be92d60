//! Git's own directory of a linked working tree: `<common>/worktrees/<name>`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::files::{self, GIT_STATE};

/// The directory that git keeps for the working tree at `path`, which may be gone.
pub(super) fn of(common: &Path, path: &Path) -> Option<PathBuf> {
    let link = path.join(".git");
    all(common).into_iter().find(|admin| place(admin).is_some_and(|place| place == link))
}

/// The file `.git` of the working tree that this directory belongs to, as git knows it.
pub(super) fn place(admin: &Path) -> Option<PathBuf> {
    let text = files::read(&admin.join("gitdir"), GIT_STATE).ok()?;
    let text = String::from_utf8(text).ok()?;
    let path = Path::new(text.trim_end_matches('\n'));
    // With `worktree.useRelativePaths` the path is relative.
    Some(if path.is_absolute() { path.to_owned() } else { admin.join(path).canonicalize().ok()? })
}

/// The directories of all linked working trees.
fn all(common: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(common.join("worktrees")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// Whether the working tree is locked.
pub(super) fn is_locked(admin: &Path) -> bool {
    fs::symlink_metadata(admin.join("locked")).is_ok()
}

/// The branches that are checked out in any working tree of the repository, as `refs/heads/main`.
#[must_use]
pub fn checked_out(common: &Path) -> Vec<String> {
    let heads = all(common).into_iter().chain([common.to_owned()]).map(|dir| dir.join("HEAD"));
    let branch = |head: PathBuf| {
        let text = String::from_utf8(files::read(&head, GIT_STATE).ok()?).ok()?;
        Some(text.trim().strip_prefix("ref:")?.trim().to_owned())
    };
    heads.filter_map(branch).collect()
}
