//! The working tree, measured around a critic that must not change it, and compared between stops.
//!
//! A full measurement lists the tree ([`listing`]), with git in a repository, and compares each file by its content ([`files`]),
//! also git's own references, configuration and hooks ([`own`]). A later measurement first checks only `lstat` data (a write
//! always changes `ctime`) and measures in full only after a change, because a feedback waits for it. No program that a
//! repository names is ever run ([`git`]).

mod files;
mod git;
mod ignored;
mod listing;
mod own;
mod visible;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use self::files::{File, Memory, Stat, short, stat};
use self::git::{Git, Trouble};
pub use self::visible::Visibility;
use super::child_env::ChildEnv;
use crate::core::{HEAD_OR_INDEX, TreeFact};
use crate::process::Cancel;

/// How many changed paths are told.
const TOLD_PATHS: usize = 200;

/// What ccc itself brings to the tree: files that it writes there while it runs (what its output goes to when the user logs
/// it there, and its state directory) are nobody's change. And what it looks with: git, and what it knows of the files.
#[derive(Debug)]
pub struct Ours {
    files: Vec<(u64, u64)>,
    state_dir: PathBuf,
    git: Option<Git>,
    memory: Mutex<Memory>,
}

impl Ours {
    /// Those of this process. `give_up` ends a git that runs.
    #[must_use]
    pub fn of_process(state_dir: &Path, env: &ChildEnv, run_id: &str, give_up: Cancel) -> Ours {
        let streams = [rustix::fs::fstat(rustix::stdio::stdout()), rustix::fs::fstat(rustix::stdio::stderr())];
        let regular = |mode| rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile;
        let logs = streams.into_iter().flatten().filter(|stat| regular(stat.st_mode));
        let files = logs.map(|stat| (stat.st_dev, stat.st_ino)).collect();
        let state_dir = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
        let git = Some(Git::new(env, run_id, give_up));
        Ours { files, state_dir, git, memory: Mutex::default() }
    }

    fn has(&self, path: &Path) -> bool {
        (self.state_dir.is_absolute() && path.starts_with(&self.state_dir))
            || !self.files.is_empty()
                && fs::metadata(path).is_ok_and(|meta| self.files.contains(&(meta.dev(), meta.ino())))
    }
}

/// The tree at one moment.
#[derive(Debug)]
pub struct Snapshot {
    top: PathBuf,
    tree: Result<Tree, Trouble>,
    /// What git ignores, see [`ignored`].
    ignored: Option<String>,
    ours: Arc<Ours>,
}

#[derive(Debug, Default)]
struct Tree {
    /// Every file; a reference of git's that has none stands here too.
    files: BTreeMap<PathBuf, File>,
    /// What `lstat` said of the directories, and of git's own files.
    around: BTreeMap<PathBuf, Stat>,
    /// The repositories, each with a hash over its head and its index.
    repositories: BTreeMap<PathBuf, u128>,
}

impl Snapshot {
    /// Measures the tree that `dir` belongs to.
    #[must_use]
    pub fn take(dir: &Path, ours: &Arc<Ours>) -> Snapshot {
        let top = git_root(dir).unwrap_or_else(|| dir.to_owned());
        let tree = measure(&top, ours);
        // A git that failed or hung once is not waited for a second time.
        let ignored = tree.is_ok().then(|| ignored::state(&top, ours.git.as_ref(), ours)).flatten();
        Snapshot { top, tree, ignored, ours: Arc::clone(ours) }
    }

    /// What the core is told of a measurement. What is `moving` by itself is left out.
    #[must_use]
    pub fn fact(&self, moving: &BTreeSet<String>) -> TreeFact {
        match &self.tree {
            Ok(tree) => TreeFact {
                fingerprint: Some(tree.fingerprint(moving)),
                ignored: self.ignored.clone(),
                ..TreeFact::default()
            },
            Err(trouble) => {
                TreeFact { trouble: Some(trouble.text.clone()), fault: Some(trouble.fault), ..TreeFact::default() }
            }
        }
    }

    /// Measures again, unless nothing moved.
    #[must_use]
    pub fn again(self: &Arc<Self>, moving: &BTreeSet<String>) -> Arc<Snapshot> {
        match &self.tree {
            Ok(tree) if tree.stands_still(&self.top, moving) => Arc::clone(self),
            Ok(_) | Err(_) => {
                let tree = measure(&self.top, &self.ours);
                let ignored = self.ignored.clone();
                Arc::new(Snapshot { top: self.top.clone(), tree, ignored, ours: Arc::clone(&self.ours) })
            }
        }
    }

    /// What changed since `earlier`.
    #[must_use]
    pub fn fact_since(&self, earlier: &Snapshot, moving: &BTreeSet<String>) -> TreeFact {
        let mut fact = self.fact(moving);
        if let (Ok(before), Ok(after)) = (&earlier.tree, &self.tree) {
            fact.changed = differing(before, after, moving);
        }
        fact
    }
}

fn measure(top: &Path, ours: &Ours) -> Result<Tree, Trouble> {
    let listing = listing::list(top, ours.git.as_ref(), ours)?;
    let around = listing.directories.iter().chain(&listing.state);
    let around = around.map(|path| (path.clone(), stat(&top.join(path)))).collect();
    let mut memory = ours.memory.lock().unwrap_or_else(PoisonError::into_inner);
    let mut reader = memory.reader();
    let files = listing.files.into_iter().map(|path| {
        let file = reader.look(&top.join(&path));
        (path, file)
    });
    let mut files: BTreeMap<PathBuf, File> = files.collect();
    // A reference is what it names, wherever git keeps it.
    files.extend(listing.references.into_iter().map(|(path, value)| {
        let file = File { identity: short(&Sha256::digest(value)), ..reader.look(&top.join(&path)) };
        (path, file)
    }));
    reader.remember();
    Ok(Tree { files, around, repositories: listing.repositories })
}

impl Tree {
    fn fingerprint(&self, moving: &BTreeSet<String>) -> String {
        let mut whole = Sha256::new();
        for (place, state) in &self.repositories {
            whole.update(place.as_os_str().as_bytes());
            whole.update([0]);
            whole.update(state.to_be_bytes());
        }
        for (path, file) in self.files.iter().filter(|(path, _)| !is_moving(path, moving)) {
            whole.update(path.as_os_str().as_bytes());
            whole.update([0]);
            whole.update(file.identity.to_be_bytes());
        }
        whole.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Nothing has moved since, as far as `lstat` tells.
    fn stands_still(&self, top: &Path, moving: &BTreeSet<String>) -> bool {
        let file_stands = |(path, file): (&PathBuf, &File)| {
            is_moving(path, moving) || (!file.racy && stat(&top.join(path)) == file.stat)
        };
        self.files.iter().all(file_stands) && self.around.iter().all(|(path, was)| stat(&top.join(path)) == *was)
    }
}

fn is_moving(path: &Path, moving: &BTreeSet<String>) -> bool {
    !moving.is_empty() && moving.contains(&*path.to_string_lossy())
}

fn differing(before: &Tree, after: &Tree, moving: &BTreeSet<String>) -> Vec<String> {
    let gone = before.files.keys().filter(|path| !after.files.contains_key(*path));
    let was = |path: &PathBuf| before.files.get(path).map(|file| file.identity);
    let new_or_changed = after.files.iter().filter(|(path, file)| was(path) != Some(file.identity));
    let mut paths: Vec<&PathBuf> = gone.chain(new_or_changed.map(|(path, _)| path)).collect();
    paths.retain(|path| !is_moving(path, moving));
    paths.sort();
    let places: BTreeSet<&PathBuf> = before.repositories.keys().chain(after.repositories.keys()).collect();
    let moved = places.into_iter().filter(|place| before.repositories.get(*place) != after.repositories.get(*place));
    // A repository whose files changed is named by them.
    let moved: Vec<String> = moved
        .filter(|place| !paths.iter().any(|path| path.starts_with(place)))
        .map(|place| match place.to_string_lossy() {
            top if top.is_empty() => HEAD_OR_INDEX.to_owned(),
            place => format!("{place} {HEAD_OR_INDEX}"),
        })
        .collect();
    let mut told: Vec<String> = paths.iter().map(|path| path.to_string_lossy().into_owned()).chain(moved).collect();
    if told.len() > TOLD_PATHS {
        let more = told.len() - TOLD_PATHS;
        told.truncate(TOLD_PATHS);
        told.push(format!("and {more} more"));
    }
    told
}

/// The top of the git repository that `dir` lies in.
#[must_use]
pub fn git_root(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().find(|ancestor| listing::is_repository(ancestor)).map(Path::to_owned)
}

#[cfg(test)]
mod tests;
