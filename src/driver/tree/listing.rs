//! What a tree consists of: its files, as git names them or as they lie in the directory, and the repositories in it.
//!
//! A repository is known by its head, its index, its references and the files that say how git works in it ([`own`]); which
//! files it has, git says (tracked ones and those that are neither tracked nor ignored). A submodule, and a repository that
//! lies in another, are looked at like the outer one: a gitlink alone would not show what changes in them.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::thread;

use sha2::{Digest, Sha256};

use super::Ours;
use super::files::{read_small, short};
use super::git::{Git, Trouble};
use super::own;
use crate::config::GitDirs;

/// The most files of a tree that git lists.
const MAX_FILES: usize = 300_000;
/// The most files of a directory that no repository covers.
const MAX_PLAIN_FILES: usize = 50_000;
/// The most repositories in one tree.
const MAX_REPOSITORIES: usize = 200;
/// Stack of a thread that waits for one git.
const STACK_BYTES: usize = 256 * 1024;

/// What a tree consists of. Paths are relative to its top.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// Every file.
    pub(super) files: BTreeSet<PathBuf>,
    /// Directories in which a new file would show.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The repositories, each with a hash over its head and its index.
    pub(super) repositories: BTreeMap<PathBuf, u128>,
    /// What the references of the repositories name, loose ones and packed ones, by the path of the loose file.
    pub(super) references: BTreeMap<PathBuf, String>,
    /// Files of git's that move when a head, an index or a reference does; absolute where they lie elsewhere.
    pub(super) state: BTreeSet<PathBuf>,
}

/// Lists the tree with its top at `top`.
pub(super) fn list(top: &Path, git: Option<&Git>, ours: &Ours) -> Result<Listing, Trouble> {
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
    listing.files.retain(|path| !ours.has(&top.join(path)));
    Ok(listing)
}

/// Whether a repository has its top here.
pub(super) fn is_repository(dir: &Path) -> bool {
    fs::symlink_metadata(dir.join(".git")).is_ok()
}

/// What git says about one repository.
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
        // Without a commit there is no head; what git could not read, the listing has told already.
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
        // MODE, object and stage stand before a tab.
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

/// An untracked path; one with a slash at its end is a repository of its own.
fn file_or_repository(top: &Path, place: &Path, name: &[u8], listing: &mut Listing, open: &mut Vec<PathBuf>) {
    let path = place.join(bytes_path(name));
    if name.ends_with(b"/") && top.join(&path).is_dir() {
        open.push(path);
    } else {
        listing.files.insert(path);
    }
}

/// Runs the three side by side: most of their time is their start.
fn side_by_side(git: &Git, root: &Path, asked: [&[&str]; 3]) -> [Result<Vec<u8>, Trouble>; 3] {
    thread::scope(|scope| {
        let running = asked.map(|args| {
            let builder = thread::Builder::new().name("git".to_owned()).stack_size(STACK_BYTES);
            builder.spawn_scoped(scope, move || git.output(root, args))
        });
        running.map(|thread| match thread {
            Ok(thread) => thread.join().unwrap_or_else(|_| Err(Trouble::failed("git could not be asked".to_owned()))),
            Err(error) => Err(Trouble::failed(format!("git could not be asked: {error}"))),
        })
    })
}

/// Whether the head names a branch that has no commit yet.
fn has_no_commit(root: &Path) -> bool {
    let dirs = GitDirs::of(root);
    let Some(branch) = head_branch(&dirs) else { return false };
    read_small(&dirs.common.join(&branch)).is_none()
        && read_small(&dirs.common.join("packed-refs")).is_none_or(|packed| !packed.contains(&branch))
}

/// The file of the branch that the head names.
fn head_branch(dirs: &GitDirs) -> Option<String> {
    let head = read_small(&dirs.own.join("HEAD"))?;
    let branch = head.trim().strip_prefix("ref:")?.trim().to_owned();
    let names_no_path = !branch.starts_with('/') && !branch.split('/').any(|part| part == "..");
    names_no_path.then_some(branch)
}

/// All that lies in a directory of which no repository says what belongs to it.
fn plain(
    top: &Path,
    place: &Path,
    nested: bool,
    ours: &Ours,
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
            if ours.has(&top.join(&path)) {
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

/// The directories that lead to the files: a new file shows in its directory.
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

/// The directory and all directories below it.
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

pub(super) fn records(output: &[u8]) -> impl Iterator<Item = &[u8]> {
    output.split(|byte| *byte == 0).filter(|record| !record.is_empty())
}

/// The path that git names, without a slash at its end.
pub(super) fn bytes_path(bytes: &[u8]) -> PathBuf {
    PathBuf::from(OsStr::from_bytes(bytes.strip_suffix(b"/").unwrap_or(bytes)))
}
