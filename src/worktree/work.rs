//! What an agent has done: its tree as it lies there, against where it started from.

use super::admin;
use super::error::WorktreeError;
use super::record::Worktree;
use super::salvage::is_real_dir;
use super::take_back::value;
use crate::checkpoint::{LeftOut, TreeRequest, WrittenTree, write_tree};
use crate::git::{Call, Git, Place, Repository};

/// What an agent has done, for [`crate::checkpoint::diff`], [`crate::checkpoint::summary`] and
/// [`crate::checkpoint::changed_paths`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// Where git compares.
    pub place: Place,
    /// The commit that the agent's work stands on. If the agent has taken over what is new in its base, that is not its work.
    pub from: String,
    /// The agent's files, also those that are not committed; the last commit of its branch if the tree is gone.
    pub to: String,
    /// What is not in `to`.
    pub left_out: Vec<LeftOut>,
}

/// The work of this agent, committed or not. No reference keeps the tree that is written for it.
///
/// # Errors
/// When the tree and the branch are gone, and when git fails.
pub fn work(git: &Git, worktree: &Worktree) -> Result<Work, WorktreeError> {
    let place = Place::repository(&worktree.common);
    let branch = value(git, &place, &worktree.branch_reference())?;
    let unknown = || WorktreeError::Unknown { id: worktree.id.clone() };
    let (head, to, left_out) = if is_real_dir(&worktree.path) {
        admin::check(&worktree.common, &worktree.path, &worktree.branch)?;
        if Repository::find(&worktree.path).is_none() {
            return Err(WorktreeError::Forgotten { dir: worktree.path.clone() });
        }
        let request = TreeRequest::of(git, &worktree.path)?;
        // As git would commit it. What it cannot convert is shown as it lies there.
        let as_it_lies = || write_tree(git, &TreeRequest { verbatim: true, ..request.clone() });
        let WrittenTree { tree, left_out } = write_tree(git, &request).or_else(|_| as_it_lies())?;
        (request.head, tree, left_out)
    } else {
        let branch = branch.ok_or_else(unknown)?;
        (Some(branch.clone()), branch, Vec::new())
    };
    let base = match &worktree.base_branch {
        Some(branch) => value(git, &place, branch)?,
        None => None,
    };
    let base = base.unwrap_or_else(|| worktree.base.clone());
    let head = head.unwrap_or_else(|| worktree.base.clone());
    let common = git.ask(&place, &Call::new(["merge-base", &base, &head]))?;
    let is_merged = common.text() == head && head != worktree.base;
    // Once the branch is merged, all of it is in the base; then it is told from where it started.
    let from = if common.code == 0 && !is_merged { common.text() } else { worktree.base.clone() };
    Ok(Work { place, from, to, left_out })
}
