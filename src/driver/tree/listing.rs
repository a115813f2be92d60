//! Lists a tree: its files, from git or from the directory itself, and the repositories in it.
//!
//! A repository is identified by its head, its index, its references and its configuration files ([`own`]). Git lists its
//! files: the tracked ones, and the untracked ones that are not ignored. Submodules and nested repositories are listed like the
//! outer one: a gitlink alone would not show changes in them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use super::TreeObserver;
use super::files::{read_small, short};
use super::listed::Listing;
use super::own;
use super::trouble::Trouble;
use crate::config::GitDirs;
use crate::git::{Git, records};

/// The most files of a tree with git.
const MAX_FILES: usize = 300_000;
/// The most files of a tree without a repository.
const MAX_PLAIN_FILES: usize = 50_000;
/// The most repositories in one tree.
const MAX_REPOSITORIES: usize = 200;
/// Stack of a thread that waits for a git command.
const STACK_BYTES: usize = 256 * 1024;

/// Lists the tree with its top at `top`.
pub(super) fn list(top: &Path, git: Option<&Git>, ours: &TreeObserver) -> Result<Listing, Trouble> {
    let mut listing = Listing::default();
    listing.directories.insert(PathBuf::new());
    let mut open = vec![PathBuf::new()];
    while let Some(place) = open.pop() {
        if listing.repositories.len() >= MAX_REPOSITORIES {
            return Err(Trouble::too_large(format!("more than {MAX_REPOSITORIES} git repositories lie in it")));
        }
        match git.filter(|_| is_repository(&top.join(&place))) {
            Some(git) => repository(top, &place, git, &mut listing, &mut open)?,
            None => plain(top, &place, git.is_some(), ours, &mut listing, &mut open)?,
        }
        if listing.files.len() > MAX_FILES {
            return Err(Trouble::too_large(format!("more than {MAX_FILES} files")));
        }
    }
    listing.files.retain(|path| !ours.has(top, &top.join(path)));
    Ok(listing)
}

/// Whether this directory is the top of a repository.
pub(super) fn is_repository(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(".git")).is_ok()
}

/// Lists one repository with git.
fn repository(
    top: &Path,
    place: &Path,
    git: &Git,
    listing: &mut Listing,
    open: &mut Vec<PathBuf>,
) -> Result<(), Trouble> {
    let root = top.join(place);
    let asked: [&[&str]; 3] = [
        &["ls-files", "-s", "-o", "-t", "-z", "--exclude-standard"],
        &["ls-files", "-o", "-z", "--directory", "--exclude-standard"],
        &["rev-parse", "-q", "--verify", "HEAD"],
    ];
    let [files, directories, head] = side_by_side(git, &root, asked);
    let (files, directories) = (files?, directories?);
    let head = match head {
        Ok(head) => head,
        // Without a commit there is no head. Other failures have already been reported by the listing.
        Err(trouble) if trouble.fault == crate::core::TreeFault::Failed && has_no_commit(&root) => Vec::new(),
        Err(trouble) => return Err(trouble),
    };
    let mut state = Sha256::new();
    state.update(&head);
    for entry in records(&files) {
        let Some((tag, rest)) = entry.split_at_checked(2) else { continue };
        if tag == b"? " {
            file_or_repository(top, place, rest, listing, open);
            continue;
        }
        // Mode, object and stage come before a tab.
        state.update(entry);
        state.update([0]);
        let Some(tab) = memchr::memchr(b'\t', rest) else { continue };
        let path = place.join(bytes_path(&rest[tab + 1..]));
        if rest.starts_with(b"160000") {
            open.push(path);
        } else {
            listing.files.insert(path);
        }
    }
    for entry in records(&directories).filter(|entry| entry.ends_with(b"/")) {
        let path = place.join(bytes_path(entry));
        if !is_repository(&top.join(&path)) {
            add_directories(top, path, &mut listing.directories);
        }
    }
    add_parents(place, listing);
    listing.repositories.insert(place.to_owned(), short(&state.finalize()));
    own::add(top, place, &GitDirs::of(&root), listing)
}

/// Adds an untracked path; one with a trailing slash is a nested repository.
fn file_or_repository(top: &Path, place: &Path, name: &[u8], listing: &mut Listing, open: &mut Vec<PathBuf>) {
    let path = place.join(bytes_path(name));
    if name.ends_with(b"/") && top.join(&path).is_dir() {
        open.push(path);
    } else {
        listing.files.insert(path);
    }
}

/// Runs the three commands in parallel, one of them in this thread: most of their time is their start.
fn side_by_side(git: &Git, root: &Path, [first, second, third]: [&[&str]; 3]) -> [Result<Vec<u8>, Trouble>; 3] {
    thread::scope(|scope| {
        let others = [second, third].map(|args| {
            let builder = thread::Builder::new().name("git".to_owned()).stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || Ok(git.output(root, args)?))
        });
        let first = git.output(root, first).map_err(Trouble::from);
        let [second, third] = others.map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(Trouble::failed("git could not be asked".to_owned()))),
            Err(error) => Err(Trouble::failed(format!("git could not be asked: {error}"))),
        });
        [first, second, third]
    })
}

/// Whether HEAD names a branch that has no commit yet.
fn has_no_commit(root: &Path) -> bool {
    let dirs = GitDirs::of(root);
    let Some(branch) = head_branch(&dirs) else { return false };
    read_small(&dirs.common.join(&branch)).is_none()
        && read_small(&dirs.common.join("packed-refs")).is_none_or(|packed| !packed.contains(&branch))
}

/// The file of the branch that HEAD names.
fn head_branch(dirs: &GitDirs) -> Option<String> {
    let head = read_small(&dirs.own.join("HEAD"))?;
    let branch = head.trim().strip_prefix("ref:")?.trim().to_owned();
    let names_no_path = !branch.starts_with('/') && !branch.split('/').any(|part| part == "..");
    names_no_path.then_some(branch)
}

/// Lists all files of a directory without a repository.
fn plain(
    top: &Path,
    place: &Path,
    nested: bool,
    ours: &TreeObserver,
    listing: &mut Listing,
    open: &mut Vec<PathBuf>,
) -> Result<(), Trouble> {
    let mut below = vec![place.to_owned()];
    let mut count = 0;
    while let Some(dir) = below.pop() {
        listing.directories.insert(dir.clone());
        let Ok(entries) = fs::read_dir(top.join(&dir)) else { continue };
        for entry in entries.flatten() {
            let path = dir.join(entry.file_name());
            if ours.has(top, &top.join(&path)) {
                continue;
            }
            count += 1;
            if count > MAX_PLAIN_FILES {
                return Err(Trouble::too_large(format!(
                    "more than {MAX_PLAIN_FILES} files and no git repository: the tree is not watched"
                )));
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && nested && is_repository(&top.join(&path)) => open.push(path),
                Ok(kind) if kind.is_dir() => below.push(path),
                Ok(_) | Err(_) => drop(listing.files.insert(path)),
            }
        }
    }
    Ok(())
}

/// Adds the parent directories of the files: a new file appears in its directory.
fn add_parents(place: &Path, listing: &mut Listing) {
    let mut parents = BTreeSet::new();
    for file in listing.files.range(place.to_owned()..).take_while(|file| file.starts_with(place)) {
        for parent in file.ancestors().skip(1) {
            if !parents.insert(parent.to_owned()) {
                break;
            }
        }
    }
    listing.directories.extend(parents);
    listing.directories.insert(place.to_owned());
}

/// Adds the directory and all directories below it.
fn add_directories(top: &Path, dir: PathBuf, directories: &mut BTreeSet<PathBuf>) {
    let mut open = vec![dir];
    while let Some(dir) = open.pop() {
        if directories.len() > MAX_FILES {
            return;
        }
        if let Ok(entries) = fs::read_dir(top.join(&dir)) {
            let below = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            open.extend(below.map(|entry| dir.join(entry.file_name())));
        }
        directories.insert(dir);
    }
}

/// The path in git's output, without a trailing slash.
pub(super) fn bytes_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b"/").unwrap_or(bytes)))
}
