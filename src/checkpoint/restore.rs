//! Makes the files of a working tree those of a checkpoint.
//!
//! Only files change: the user's index, `HEAD` and branch stay, and so do ignored files and what a checkpoint leaves out. No
//! program of the repository is run. Git refuses to write over a file that is not as `now` says, and then changes nothing; when
//! it is killed in the middle, doing it again completes it. Files are written byte for byte, as checkpoints have them.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::CheckpointError;
use super::index::TemporaryIndex;
use super::verbatim::Verbatim;
use crate::git::{Call, Git, GitError, Repository, records, settings_without_programs};

/// What a restore changes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RestorePlan {
    /// Files that get the content of the checkpoint, or are there again.
    pub written: Vec<PathBuf>,
    /// Files that are removed, because the checkpoint does not have them.
    pub removed: Vec<PathBuf>,
    /// Submodules that differ: they stay as they are.
    pub submodules: Vec<PathBuf>,
    /// Those of `written` that are not there now.
    pub added: Vec<PathBuf>,
    checkpoint: String,
}

impl RestorePlan {
    /// Whether no file differs.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written.is_empty() && self.removed.is_empty()
    }
}

/// What a restore would change, from the tree `now` to the tree of the checkpoint, in these paths or in all.
///
/// # Errors
/// When git fails.
pub fn plan_restore(
    git: &Git,
    repository: &Repository,
    now: &str,
    checkpoint: &str,
    paths: &[&Path],
) -> Result<RestorePlan, GitError> {
    let options = ["diff-tree", "-r", "-z", "--no-renames", "--no-ext-diff", "--submodule=short", "--end-of-options"];
    let call = Call::new(options).args([now, checkpoint, "--"]).args(paths).env("GIT_LITERAL_PATHSPECS", "1");
    let output = git.run(&repository.place(), &call)?;
    let mut found = RestorePlan { checkpoint: checkpoint.to_owned(), ..RestorePlan::default() };
    // Each change is `:MODE NEWMODE OBJECT NEWOBJECT STATUS`, and its path.
    let mut rest = records(&output);
    while let (Some(change), Some(path)) = (rest.next(), rest.next()) {
        let parts: Vec<&[u8]> = change.split(|byte| *byte == b' ').collect();
        let [mode, new_mode, .., status] = parts.as_slice() else { continue };
        let at = PathBuf::from(OsStr::from_bytes(path));
        if mode.ends_with(b"160000") || *new_mode == b"160000" {
            found.submodules.push(at);
            continue;
        }
        if *status == b"A" {
            found.added.push(at.clone());
        }
        let of = if *status == b"D" { &mut found.removed } else { &mut found.written };
        of.push(at);
    }
    Ok(found)
}

/// Whether a tree or commit has a file or directory at this path.
///
/// # Errors
/// When git fails.
pub fn has_path(git: &Git, repository: &Repository, tree: &str, path: &Path) -> Result<bool, GitError> {
    let call = Call::new(["ls-tree", "-z", "--name-only", "--full-tree", tree, "--"]).arg(path);
    Ok(!git.run(&repository.shared(), &call)?.is_empty())
}

/// Makes the files what the plan says, which was made from `now`. The caller keeps what is there first, as a checkpoint.
///
/// # Errors
/// When git fails, for example because a file is not as in `now` or an untracked one is in the way.
pub fn restore(git: &Git, repository: &Repository, now: &str, plan: &RestorePlan) -> Result<(), CheckpointError> {
    if plan.is_empty() {
        return Ok(());
    }
    let place = repository.place();
    if let Some(path) = repository.top.as_deref().and_then(|top| in_the_way(top, plan)) {
        return Err(CheckpointError::InTheWay { path });
    }
    let mut settings: Vec<(OsString, OsString)> = settings_without_programs(git, &place)?;
    // Files outside of a sparse checkout's patterns that are there count as all others.
    settings.push(("core.sparseCheckout".into(), "false".into()));
    let index = TemporaryIndex::new(git, &place, None, Some(now))?;
    let verbatim = Verbatim::of(git, &place, Some(now))?;
    let call = |args: &[&str]| verbatim.call(Call::new(args).index(index.path()).settings(&settings));
    let target = {
        let index = TemporaryIndex::new(git, &place, None, Some(now))?;
        // A file that is written can have the name of a directory whose files are removed, so those go first.
        for changed in [&plan.removed, &plan.written] {
            if changed.is_empty() {
                continue;
            }
            let mut paths = Vec::new();
            for path in changed {
                paths.extend_from_slice(path.as_os_str().as_bytes());
                paths.push(0);
            }
            let mut from_file = OsString::from("--pathspec-from-file=");
            from_file.push(index.file("paths", &paths)?);
            let source = format!("--source={}", plan.checkpoint);
            let staged = Call::new(["restore", "--staged", &source, "--pathspec-file-nul"]).arg(from_file);
            let staged = staged.env("GIT_LITERAL_PATHSPECS", "1").index(index.path()).settings(&settings);
            git.run(&place, &staged)?;
        }
        git.text(&place, &Call::new(["write-tree"]).index(index.path()).settings(&settings))?
    };
    // It says whether a file differs from the index; git looks again at those that do.
    git.ask(&place, &call(&["update-index", "-q", "--refresh"]))?;
    git.run(&place, &call(&["read-tree", "-m", "-u", now, &target]))?;
    Ok(())
}

/// A file that no checkpoint has, in the place of one that is written. Git takes an ignored file for one that may be lost.
fn in_the_way(top: &Path, plan: &RestorePlan) -> Option<PathBuf> {
    let goes: BTreeSet<&Path> = plan.removed.iter().map(PathBuf::as_path).collect();
    plan.added.iter().find_map(|path| {
        // The outermost first: what lies behind a link is no part of the tree.
        let mut above: Vec<&Path> = path.ancestors().skip(1).filter(|above| !above.as_os_str().is_empty()).collect();
        above.reverse();
        let is_no_directory = |above: &&Path| fs::symlink_metadata(top.join(above)).is_ok_and(|found| !found.is_dir());
        match above.into_iter().find(is_no_directory) {
            Some(above) => (!goes.contains(above)).then(|| above.to_owned()),
            None => stays(top, path, &goes),
        }
    })
}

/// A file at or below this path that is not removed.
fn stays(top: &Path, path: &Path, goes: &BTreeSet<&Path>) -> Option<PathBuf> {
    let Ok(found) = fs::symlink_metadata(top.join(path)) else { return None };
    if !found.is_dir() {
        return (!goes.contains(path)).then(|| path.to_owned());
    }
    let below = fs::read_dir(top.join(path)).ok()?;
    below.flatten().find_map(|entry| stays(top, &path.join(entry.file_name()), goes))
}
