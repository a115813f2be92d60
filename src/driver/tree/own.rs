//! The git files of a repository that count as part of the work: its references, and the files that configure git.
//!
//! A reference is compared by the commit that it names, because `git gc`, which git starts by itself, moves references into
//! `packed-refs` without changing them.

use std::fs;
use std::path::{Path, PathBuf};

use super::files::read_small;
use super::listed::Listing;
use super::trouble::Trouble;
use crate::config::GitDirs;

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
    packed(dirs, listing, &named)?;
    let mut roots = vec![dirs.common.join("refs")];
    if dirs.own != dirs.common {
        roots.push(dirs.own.join("refs"));
    }
    roots.into_iter().try_for_each(|root| loose(root, listing, &named))
}

fn exists(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn packed(dirs: &GitDirs, listing: &mut Listing, named: &dyn Fn(PathBuf) -> PathBuf) -> Result<(), Trouble> {
    let path = dirs.common.join("packed-refs");
    let Some(lines) = read_small(&path) else {
        // If it cannot be read, it is compared as a file.
        listing.files.extend(exists(&path).then(|| named(path)));
        return Ok(());
    };
    for line in lines.lines() {
        // A `^` line gives the target of the tag in the line before.
        if let Some((object, name)) = line.split_once(' ').filter(|_| !line.starts_with(['#', '^'])) {
            listing.references.insert(named(dirs.common.join(name)), object.to_owned());
        }
    }
    bounded(listing.references.len())
}

/// Adds loose references; they take precedence over packed ones.
fn loose(root: PathBuf, listing: &mut Listing, named: &dyn Fn(PathBuf) -> PathBuf) -> Result<(), Trouble> {
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
                // A lock file of a reference that is being written.
                Ok(_) | Err(_) if path.extension().is_some_and(|end| end == "lock") => {}
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
