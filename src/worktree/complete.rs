//! Completes what another ccc has begun.

use std::path::Path;

use super::error::WorktreeError;
use super::merge;
use super::record::{Stage, Worktrees, is_held};
use super::remove::{RemoveRequest, Removed, remove};
use super::take_back::take_back;
use crate::files::trash;
use crate::git::Git;
use crate::journal::{Holder, LockError};

/// What was completed.
#[derive(Debug, Default)]
pub struct Completed {
    /// The ids of the trees that were taken back, because their making was interrupted.
    pub taken_back: Vec<String>,
    /// The trees whose removal was interrupted.
    pub removed: Vec<Removed>,
    /// What could not be completed, each with the id.
    pub failed: Vec<(String, WorktreeError)>,
}

/// Completes what was interrupted: trees that were being made are taken back, trees that were being removed are removed, merges
/// that were killed are finished or taken back, and the trash is emptied.
///
/// # Errors
/// When the records cannot be listed.
pub fn complete(
    git: &Git,
    state_dir: &Path,
    holder: &Holder,
    file_limit_bytes: u64,
) -> Result<Completed, WorktreeError> {
    let trees = Worktrees::new(state_dir)?;
    let mut done = Completed::default();
    for record in trees.list()? {
        let id = record.id.clone();
        match record.stage {
            Stage::Ready => {}
            Stage::Adding => match trees.lock_tree(&record.common, &id, holder, false) {
                Ok(_tree_lock) => {
                    let taken = (|| {
                        let _lock = trees.lock_repository(&record.common, holder)?;
                        match trees.read(&record.common, &id) {
                            Some(record) if record.stage == Stage::Adding => take_back(git, &trees, &record),
                            Some(_) | None => Ok(()),
                        }
                    })();
                    match taken {
                        Ok(()) => done.taken_back.push(id),
                        Err(error) => done.failed.push((id, error)),
                    }
                }
                Err(LockError::Held { .. }) => {}
                Err(error) => done.failed.push((id, error.into())),
            },
            Stage::Removing => {
                let request = RemoveRequest { state_dir, id: &id, holder, file_limit_bytes, discard: false };
                match remove(git, &request) {
                    Ok(removed) => done.removed.push(removed),
                    Err(WorktreeError::Unknown { .. } | WorktreeError::Lock(LockError::Held { .. })) => {}
                    Err(error) => done.failed.push((id, error)),
                }
            }
        }
    }
    for dir in trees.repositories()? {
        if let Err(error) = merge::recover(git, &trees, &dir, holder) {
            done.failed.push((dir.display().to_string(), error));
        }
        for name in trash::names(&dir).into_iter().filter(|name| !is_held(&dir.join(format!("{name}.lock")))) {
            if let Err(error) = trash::empty(&dir, &name) {
                done.failed.push((name, error.into()));
            }
        }
    }
    Ok(done)
}
