//! The git files of a repository that count as part of the work: its references, and the files that configure git.
//!
//! A reference is compared by the commit that it names, because `git gc`, which git starts by itself, moves references into
//! `packed-refs` without changing them.
//!
//! Working trees of one repository share its references. What belongs to another tree, or to ccc, is no change of this one:
//! several agents work side by side, and each commits to its own branch.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::read_small;
use super::listed::Listing;
use super::trouble::Trouble;
use crate::checkpoint;
use crate::config::GitDirs;
use crate::worktree;

/// The most references of a tree.
const MAX_REFERENCES: usize = 50_000;
/// The most files in each configuration folder.
const MAX_FILES: usize = 1_000;
/// The configuration files, and the folders with such files, in the directory that all worktrees of a repository share.
const RULES: [&str; 2] = ["config", "reftable/tables.list"];
const FOLDERS_OF_RULES: [&str; 2] = ["hooks", "info"];

/// Adds the git files of the repository at `place`.
pub(super) fn add(top: &Path, place: &Path, dirs: &GitDirs, listing: &mut Listing) -> Result<(), Trouble> {
    let named = |path: PathBuf| path.strip_prefix(top).map_or_else(|_| path.clone(), Path::to_owned);
    listing.state.insert(place.join(".git"));
    listing.state.extend(["index", "logs/HEAD"].map(|name| named(dirs.own.join(name))));
    listing.state.insert(named(dirs.common.join("packed-refs")));
    let own = ["HEAD", "config.worktree", "info/sparse-checkout"].map(|name| dirs.own.join(name));
    let files = own.into_iter().chain(RULES.map(|name| dirs.common.join(name)));
    listing.files.extend(files.filter(|path| exists(path)).map(named));
    // A file that does not exist yet will appear in its directory.
    listing.directories.extend([named(dirs.own.clone()), named(dirs.common.clone()), named(dirs.own.join("info"))]);
    for folder in FOLDERS_OF_RULES.map(|name| dirs.common.join(name)) {
        let entries = fs::read_dir(&folder).into_iter().flatten().flatten().take(MAX_FILES);
        let files = entries.map(|entry| entry.path()).filter(|path| path.extension().is_none_or(|end| end != "sample"));
        listing.files.extend(files.map(named));
        listing.directories.insert(named(folder));
    }
    let others = Others::of(dirs);
    packed(dirs, &others, listing, &named)?;
    let mut roots = vec![dirs.common.join("refs")];
    if dirs.own != dirs.common {
        roots.push(dirs.own.join("refs"));
    }
    roots.into_iter().try_for_each(|root| loose(root, dirs, &others, listing, &named))
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// The references that belong to other working trees of the repository, or to ccc.
struct Others {
    own: Option<String>,
    checked_out: Vec<String>,
    is_linked: bool,
}

impl Others {
    fn of(dirs: &GitDirs) -> Self {
        let branch = read_small(&dirs.own.join("HEAD"));
        let own =
            branch.as_deref().and_then(|head| head.trim().strip_prefix("ref:")).map(|name| name.trim().to_owned());
        Self { own, checked_out: worktree::checked_out(&dirs.common), is_linked: dirs.own != dirs.common }
    }

    /// Whether this reference, as `refs/heads/main`, is one of them.
    fn have(&self, name: &str) -> bool {
        if self.own.as_deref() == Some(name) {
            return false;
        }
        name.starts_with(checkpoint::REFERENCES)
            || name.strip_prefix("refs/heads/").is_some_and(worktree::is_branch_of_agent)
            || self.checked_out.iter().any(|branch| branch == name)
            // Any tree's `git stash` and `git fetch` change these.
            || self.is_linked && (name == "refs/stash" || name.starts_with("refs/remotes/"))
    }
}

fn packed(
    dirs: &GitDirs,
    others: &Others,
    listing: &mut Listing,
    named: &dyn Fn(PathBuf) -> PathBuf,
) -> Result<(), Trouble> {
    let path = dirs.common.join("packed-refs");
    let Some(lines) = read_small(&path) else {
        // If it cannot be read, it is compared as a file.
        listing.files.extend(exists(&path).then(|| named(path)));
        return Ok(());
    };
    for line in lines.lines() {
        // A `^` line gives the target of the tag in the line before.
        if let Some((object, name)) = line.split_once(' ').filter(|_| !line.starts_with(['#', '^']))
            && !others.have(name)
        {
            listing.references.insert(named(dirs.common.join(name)), object.to_owned());
        }
    }
    bounded(listing.references.len())
}

/// Adds loose references; they take precedence over packed ones.
fn loose(
    root: PathBuf,
    dirs: &GitDirs,
    others: &Others,
    listing: &mut Listing,
    named: &dyn Fn(PathBuf) -> PathBuf,
) -> Result<(), Trouble> {
    let is_of_others =
        |path: &Path| path.strip_prefix(&dirs.common).ok().and_then(Path::to_str).is_some_and(|name| others.have(name));
    let mut open = vec![root];
    let mut seen = 0;
    while let Some(dir) = open.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        listing.directories.insert(named(dir));
        for entry in entries.flatten() {
            seen += 1;
            bounded(seen)?;
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(path),
                // A lock file of a reference that is being written, or a reference that is not this tree's.
                Ok(_) | Err(_) if path.extension().is_some_and(|end| end == "lock") || is_of_others(&path) => {}
                Ok(_) | Err(_) => {
                    let value = read_small(&path).unwrap_or_default().trim_end().to_owned();
                    listing.references.insert(named(path), value);
                }
            }
        }
    }
    Ok(())
}

fn bounded(references: usize) -> Result<(), Trouble> {
    if references > MAX_REFERENCES {
        return Err(Trouble::too_large(format!("more than {MAX_REFERENCES} branches, tags and other references")));
    }
    Ok(())
}
