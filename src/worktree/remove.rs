//! Removes the working tree of an agent.
//!
//! Each step can be repeated, so a removal that was interrupted is completed by doing all of them again.

use std::fs;
use std::path::{Path, PathBuf};

use super::admin;
use super::error::WorktreeError;
use super::record::{Stage, Worktree, Worktrees};
use super::salvage::{self, Salvage, is_real_dir};
use super::take_back::{forget_in_git, take_back, value};
use crate::files::trash;
use crate::git::{Call, Git, Place, contains};
use crate::journal::Holder;

/// A working tree to be removed. Nothing may work in it any more.
#[derive(Debug, Clone, Copy)]
pub struct RemoveRequest<'a> {
    /// The state directory.
    pub state_dir: &'a Path,
    /// The agent's id.
    pub id: &'a str,
    /// Who removes it, for the locks.
    pub holder: &'a Holder,
    /// A larger file is not kept, see [`crate::checkpoint::FILE_LIMIT_BYTES`].
    pub file_limit_bytes: u64,
    /// Whether what a commit cannot hold may go.
    pub discard: bool,
}

/// What became of the directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeFate {
    /// It is deleted.
    Removed,
    /// It was gone before.
    Gone,
    /// The user has moved it with `git worktree move`. It stays, unlocked, and ccc knows it no longer.
    Moved {
        /// Where it is now.
        to: PathBuf,
    },
}

/// What became of the branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BranchFate {
    /// All of it is in its base, so it is deleted.
    Deleted,
    /// It has commits that its base has not.
    NotMerged {
        /// How many.
        commits: u64,
    },
    /// Another working tree has it checked out.
    InUse,
    /// It was gone before.
    Gone,
}

/// A working tree that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// Its last record.
    pub worktree: Worktree,
    /// What became of the directory.
    pub tree: TreeFate,
    /// What was kept: uncommitted changes, and commits that no branch has.
    pub salvage: Option<Salvage>,
    /// What became of the branch.
    pub branch: BranchFate,
}

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RemoveStep {
    Salvaged,
    Recorded,
    Renamed,
    Pruned,
    BranchDone,
    TrashDeleted,
}

/// Removes a working tree.
///
/// # Errors
/// See [`WorktreeError`]. The removal can be repeated.
pub fn remove(git: &Git, request: &RemoveRequest<'_>) -> Result<Removed, WorktreeError> {
    remove_with(git, request, &mut |_| Ok(()))
}

/// As [`remove`]; `after` is called after each step.
pub(super) fn remove_with(
    git: &Git,
    request: &RemoveRequest<'_>,
    after: &mut dyn FnMut(RemoveStep) -> Result<(), WorktreeError>,
) -> Result<Removed, WorktreeError> {
    let trees = Worktrees::new(request.state_dir)?;
    let common = trees.find(request.id)?.common;
    let _tree_lock = trees.lock_tree(&common, request.id, request.holder, true)?;
    // Another ccc may have finished meanwhile.
    let mut record = trees.find(request.id)?;
    let dir = trees.dir_of(&common);
    if record.stage == Stage::Adding {
        let _lock = trees.lock_repository(&common, request.holder)?;
        take_back(git, &trees, &record)?;
        return Ok(Removed { worktree: record, tree: TreeFate::Removed, salvage: None, branch: BranchFate::Gone });
    }
    let was_removing = record.stage == Stage::Removing;
    let (fate, salvage) = saved(git, request, &record)?;
    after(RemoveStep::Salvaged)?;
    record.stage = Stage::Removing;
    trees.write(&record)?;
    after(RemoveStep::Recorded)?;
    let lock = trees.lock_repository(&common, request.holder)?;
    let branch = if is_real_dir(&common) {
        match &fate {
            TreeFate::Removed => drop(trash::throw(&record.path)?),
            TreeFate::Gone => {}
            TreeFate::Moved { to } => unlock(git, &record, to)?,
        }
        after(RemoveStep::Renamed)?;
        if !matches!(fate, TreeFate::Moved { .. }) {
            forget_in_git(git, &common, &record.path, false)?;
        }
        after(RemoveStep::Pruned)?;
        branch_fate(git, &record)?
    } else {
        if fate == TreeFate::Removed {
            trash::throw(&record.path)?;
        }
        BranchFate::Gone
    };
    after(RemoveStep::BranchDone)?;
    drop(lock);
    trash::empty(&dir, &record.id)?;
    after(RemoveStep::TrashDeleted)?;
    trees.forget(&record)?;
    // In the second attempt the directory is gone because the first one has moved it away.
    let fate = if was_removing && fate == TreeFate::Gone { TreeFate::Removed } else { fate };
    Ok(Removed { worktree: record, tree: fate, salvage, branch })
}

/// Where the tree is, and what of it was kept.
fn saved(
    git: &Git,
    request: &RemoveRequest<'_>,
    record: &Worktree,
) -> Result<(TreeFate, Option<Salvage>), WorktreeError> {
    match fs::symlink_metadata(&record.path) {
        Ok(meta) if !meta.is_dir() => return Err(WorktreeError::Replaced { path: record.path.clone() }),
        Ok(_) => {}
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if let Some(to) = moved_to(record) {
                return Ok((TreeFate::Moved { to }, None));
            }
            let salvage = match record.stage {
                Stage::Removing => earlier(git, record)?,
                Stage::Adding | Stage::Ready if is_real_dir(&record.common) => salvage::of_gone_tree(git, record)?,
                Stage::Adding | Stage::Ready => None,
            };
            return Ok((TreeFate::Gone, salvage));
        }
        Err(error) => return Err(WorktreeError::io(&record.path)(error)),
    }
    if !is_real_dir(&record.common) {
        if request.discard {
            return Ok((TreeFate::Removed, None));
        }
        let (common, path) = (record.common.clone(), record.path.clone());
        return Err(WorktreeError::RepositoryGone { common, path });
    }
    let (salvage, what) = salvage::of_tree(git, record, request.file_limit_bytes)?;
    if !what.is_empty() && !request.discard {
        return Err(WorktreeError::NotSaved { path: record.path.clone(), what });
    }
    Ok((TreeFate::Removed, salvage))
}

/// What an interrupted removal has kept.
fn earlier(git: &Git, record: &Worktree) -> Result<Option<Salvage>, WorktreeError> {
    if !is_real_dir(&record.common) {
        return Ok(None);
    }
    let call = Call::new(["for-each-ref", "--sort=-creatordate", "--format=%(refname) %(objectname)"]);
    let prefix = format!("{}/{}/", salvage::SALVAGE, record.id);
    let list = git.text(&Place::repository(&record.common), &call.arg(prefix))?;
    let first = list.lines().next().and_then(|line| line.split_once(' '));
    Ok(first.map(|(reference, commit)| Salvage { reference: reference.to_owned(), commit: commit.to_owned() }))
}

/// Where `git worktree move` has moved the tree to.
fn moved_to(record: &Worktree) -> Option<PathBuf> {
    let admin = record.admin.as_deref()?;
    let link = admin::place(admin).filter(|link| link.exists())?;
    let to = link.parent()?.to_owned();
    (to != record.path).then_some(to)
}

fn unlock(git: &Git, record: &Worktree, path: &Path) -> Result<(), WorktreeError> {
    if record.admin.as_deref().is_some_and(admin::is_locked) {
        git.run(&Place::repository(&record.common), &Call::new(["worktree", "unlock", "--"]).arg(path))?;
    }
    Ok(())
}

/// Deletes the branch if all of it is in its base.
fn branch_fate(git: &Git, record: &Worktree) -> Result<BranchFate, WorktreeError> {
    let place = Place::repository(&record.common);
    let reference = record.branch_reference();
    let Some(now) = value(git, &place, &reference)? else { return Ok(BranchFate::Gone) };
    let base = match &record.base_branch {
        Some(branch) => value(git, &place, branch)?.unwrap_or_else(|| record.base.clone()),
        None => record.base.clone(),
    };
    if !contains(git, &place, &base, &now)? {
        let count = git.text(&place, &Call::new(["rev-list", "--count", &now, &format!("^{base}")]))?;
        return Ok(BranchFate::NotMerged { commits: count.parse().unwrap_or(0) });
    }
    if admin::checked_out(&record.common).contains(&reference) {
        return Ok(BranchFate::InUse);
    }
    git.run(&place, &Call::update_ref(["-d", &reference, &now]))?;
    Ok(BranchFate::Deleted)
}
