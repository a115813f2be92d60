//! Measures the working tree, around a critic that must not change it and between stops.
//!
//! A full measurement lists the tree ([`listing`]), with git in a repository, and compares each file by its content
//! ([`files`]), including git's own references, configuration and hooks ([`own`]). A later measurement first checks only
//! `lstat` data (a write always changes `ctime`), and measures in full only after a change, because feedback to the agent waits
//! for it. No program that a repository names is ever run ([`crate::git`]).

mod files;
mod ignored;
mod listed;
mod listing;
mod own;
mod trouble;
mod visible;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};

use self::files::{File, Memory, Stat, short, stat};
use self::trouble::Trouble;
pub use self::visible::Visibility;
use super::child_env::ChildEnv;
use crate::core::{HEAD_OR_INDEX, TreeFact};
use crate::git::Git;
use crate::process::Cancel;

/// How many changed paths are reported.
const TOLD_PATHS: usize = 200;

/// Measures the tree with git and a cache of file contents. It excludes files that ccc itself writes there during the run: its
/// redirected output, and its state directory.
#[derive(Debug)]
pub struct TreeObserver {
    files: Vec<(u64, u64)>,
    state_dir: PathBuf,
    git: Option<Git>,
    memory: Mutex<Memory>,
}

impl TreeObserver {
    /// The observer of this process. `give_up` kills a running git.
    #[must_use]
    pub fn of_process(state_dir: &Path, env: &ChildEnv, run_id: &str, give_up: Cancel) -> TreeObserver {
        let logs = [rustix::stdio::stdout(), rustix::stdio::stderr()].into_iter().filter_map(|stream| {
            let meta = fs::File::from(stream.try_clone_to_owned().ok()?).metadata().ok()?;
            meta.is_file().then(|| (meta.dev(), meta.ino()))
        });
        let files = logs.collect();
        let state_dir = state_dir.canonicalize().unwrap_or_else(|_| state_dir.to_owned());
        let git = Some(Git::new(&env.0, run_id, give_up));
        TreeObserver { files, state_dir, git, memory: Mutex::default() }
    }

    /// Whether ccc itself writes this file of the tree with this top. The working trees of agents lie in the state directory:
    /// what is in one of them counts when that tree is measured.
    fn has(&self, top: &Path, path: &Path) -> bool {
        let is_state = self.state_dir.is_absolute() && path.starts_with(&self.state_dir);
        let worktrees = self.state_dir.join(crate::worktree::DIR);
        (is_state && !(top.starts_with(&worktrees) && top != worktrees && path.starts_with(top)))
            || !self.files.is_empty()
                && fs::metadata(path).is_ok_and(|meta| self.files.contains(&(meta.dev(), meta.ino())))
    }
}

/// The tree at one moment.
#[derive(Debug)]
pub struct Snapshot {
    top: PathBuf,
    tree: Result<Tree, Trouble>,
    /// The state of ignored files, see [`ignored`].
    ignored: Option<String>,
    ours: Arc<TreeObserver>,
}

#[derive(Debug, Default)]
struct Tree {
    /// Every file, and every git reference even without a file.
    files: BTreeMap<PathBuf, File>,
    /// The `lstat` data of the directories and of git's own files.
    around: BTreeMap<PathBuf, Stat>,
    /// The repositories, each with a hash over its head and its index.
    repositories: BTreeMap<PathBuf, u128>,
}

impl Snapshot {
    /// Measures the tree that `dir` belongs to.
    #[must_use]
    pub fn take(dir: &Path, ours: &Arc<TreeObserver>) -> Snapshot {
        let top = git_root(dir).unwrap_or_else(|| dir.to_owned());
        let tree = measure(&top, ours);
        // If git failed or hung, it is not called a second time.
        let ignored = tree.is_ok().then(|| ignored::state(&top, ours.git.as_ref(), ours)).flatten();
        Snapshot { top, tree, ignored, ours: Arc::clone(ours) }
    }

    /// The fact for the core. Files in `moving`, which change by themselves, are left out.
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

    /// Measures again, unless the `lstat` data show no change.
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

/// The names of the files of `dir`'s project, relative to `dir`, as git lists them, `most` at most. Empty if they cannot be
/// listed.
#[must_use]
pub fn file_names(dir: &Path, ours: &TreeObserver, most: usize) -> Vec<String> {
    let top = git_root(dir).unwrap_or_else(|| dir.to_owned());
    let below = dir.strip_prefix(&top).unwrap_or(Path::new(""));
    let Ok(listing) = listing::list(&top, ours.git.as_ref(), ours) else { return Vec::new() };
    let names = listing.files.iter().filter_map(|path| path.strip_prefix(below).ok());
    // Before the first commit all files are listed, including those in `.git`, which are not the project's.
    let names = names.filter(|path| !path.components().any(|part| part.as_os_str() == ".git"));
    names.take(most).map(|path| path.to_string_lossy().into_owned()).collect()
}

fn measure(top: &Path, ours: &TreeObserver) -> Result<Tree, Trouble> {
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
    // A reference is compared by its target, whether it is loose or packed.
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

    /// Whether the `lstat` data show no change.
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
    // A repository with changed files is named by those files.
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
