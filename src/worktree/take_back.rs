//! Takes back a working tree that was not finished. No agent has worked in it, so nothing in it is anybody's work.

use std::fs;
use std::path::Path;

use super::admin;
use super::error::WorktreeError;
use super::record::{Stage, Worktree, Worktrees};
use crate::files::{self, GIT_STATE, trash};
use crate::git::{Call, Git, GitError, Place};
use crate::journal::{Holder, LockError};

/// Takes back all trees of this repository that somebody began to make and died. The repository must be locked.
pub(super) fn take_back_stale(
    git: &Git,
    trees: &Worktrees,
    common: &Path,
    holder: &Holder,
) -> Result<(), WorktreeError> {
    for record in trees.list_in(&trees.dir_of(common))? {
        if record.stage != Stage::Adding || record.common != common {
            continue;
        }
        match trees.lock_tree(common, &record.id, holder, false) {
            // The record may have been read before its maker had finished.
            Ok(_lock) => match trees.read(common, &record.id) {
                Some(record) if record.stage == Stage::Adding => take_back(git, trees, &record)?,
                Some(_) | None => {}
            },
            Err(LockError::Held { .. }) => {}
            Err(fault) => return Err(fault.into()),
        }
    }
    Ok(())
}

/// Takes back one tree. The repository and the tree must be locked.
pub(super) fn take_back(git: &Git, trees: &Worktrees, record: &Worktree) -> Result<(), WorktreeError> {
    let dir = trees.dir_of(&record.common);
    if fs::symlink_metadata(&record.path).is_ok() {
        trash::throw(&record.path)?;
    }
    forget_in_git(git, &record.common, &record.path, true)?;
    let place = Place::repository(&record.common);
    let reference = record.branch_reference();
    // Killed between making the branch and recording that: the branch's log tells.
    if record.branch_made || was_made_for(record) {
        let now = git.ask(&place, &Call::new(["rev-parse", "-q", "--verify", &reference]))?;
        if now.code == 0 && now.text() == record.base {
            git.run(&place, &Call::update_ref(["-d", &reference, &record.base]))?;
        }
    }
    trees.forget(record)?;
    Ok(trash::empty(&dir, &record.id)?)
}

/// Makes git forget the working tree that was at `path`. An unfinished one may be known to git by its name alone.
pub(super) fn forget_in_git(git: &Git, common: &Path, path: &Path, unfinished: bool) -> Result<(), WorktreeError> {
    let place = Place::repository(common);
    if let Some(admin) = admin::of(common, path) {
        if admin::is_locked(&admin) {
            git.run(&place, &Call::new(["worktree", "unlock", "--"]).arg(path))?;
        }
        git.run(&place, &Call::new(["worktree", "remove", "--"]).arg(path))?;
    } else if let Some(name) = path.file_name().filter(|_| unfinished) {
        // Git was killed before it had written where the tree is. It names the directory by the tree's name.
        let admin = common.join("worktrees").join(name);
        let is_dir = fs::symlink_metadata(&admin).is_ok_and(|meta| meta.is_dir());
        if is_dir && fs::symlink_metadata(admin.join("gitdir")).is_err() {
            fs::remove_dir_all(&admin).map_err(WorktreeError::io(&admin))?;
        }
    }
    Ok(())
}

fn was_made_for(record: &Worktree) -> bool {
    let log = record.common.join("logs").join(record.branch_reference());
    let text = files::read(&log, GIT_STATE).unwrap_or_default();
    let end = format!("\tccc: made for agent {}", record.id);
    String::from_utf8_lossy(&text).lines().next().is_some_and(|line| line.ends_with(&end))
}

/// Whether git still has a commit under this reference.
pub(super) fn value(git: &Git, place: &Place, reference: &str) -> Result<Option<String>, GitError> {
    let answer = git.ask(place, &Call::new(["rev-parse", "-q", "--verify", reference]))?;
    Ok((answer.code == 0).then(|| answer.text()))
}
