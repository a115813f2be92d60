use std::path::Path;

use crate::journal::{Holder, LockError, NamedLock};

/// How many runs may share one working tree.
const SHARING: u32 = 16;

/// A run's hold on its working tree, for as long as this lives: two agents in one tree would undo each other's work, and
/// neither's review could tell whose change is whose. The system lets go of it when the process dies, however it dies.
#[derive(Debug)]
pub struct TreeLock {
    _held: NamedLock,
}

impl TreeLock {
    /// Takes the tree with this real path for a run. With `share`, other runs may be there.
    ///
    /// # Errors
    /// When another run is there and `share` is not asked for, or the lock's file cannot be used.
    pub fn take(state_dir: &Path, tree: &Path, holder: &Holder, share: bool) -> Result<TreeLock, LockError> {
        let what = format!("the directory {}", tree.display());
        let name = crate::journal::sha256_hex(tree.as_os_str().as_encoded_bytes());
        let place = |slot: u32| match slot {
            0 => format!("{name}.lock"),
            slot => format!("{name}.{slot}.lock"),
        };
        if !share {
            // Those that share the tree hold the places behind the first.
            for slot in 1..SHARING {
                if let Some(other) = NamedLock::holder(state_dir, "trees", &place(slot))? {
                    return Err(LockError::Held { what, holder: Some(other) });
                }
            }
            return NamedLock::take(state_dir, "trees", &place(0), &what, holder).map(|held| TreeLock { _held: held });
        }
        let mut refused = None;
        for slot in 0..SHARING {
            match NamedLock::take(state_dir, "trees", &place(slot), &what, holder) {
                Ok(held) => return Ok(TreeLock { _held: held }),
                Err(LockError::Held { what, holder }) => refused = Some(LockError::Held { what, holder }),
                Err(error @ LockError::Io { .. }) => return Err(error),
            }
        }
        Err(refused.unwrap_or(LockError::Held { what, holder: None }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(run: &str) -> Holder {
        Holder { pid: 7, run_id: run.to_owned(), since_unix_ms: 1_795_190_000_000 }
    }

    #[test]
    fn a_second_run_in_a_tree_is_refused_by_name_unless_it_means_to_share() {
        let state = tempfile::tempdir().expect("tempdir");
        let tree = Path::new("/home/me/project");
        let take = |run: &str, share: bool| TreeLock::take(state.path(), tree, &holder(run), share);
        let first = take("first", false).expect("free");
        let refused = take("second", false).expect_err("taken").to_string();
        assert!(refused.contains("/home/me/project") && refused.contains("run first"), "{refused}");
        TreeLock::take(state.path(), Path::new("/home/me/other"), &holder("third"), false).expect("another tree");
        let sharing = take("second", true).expect("shared");
        drop(first);
        let refused = take("fourth", false).expect_err("one that shares is still there").to_string();
        assert!(refused.contains("run second"), "{refused}");
        drop(sharing);
        take("fourth", false).expect("free again");
    }
}
