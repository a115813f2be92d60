//! One run per working tree.

use std::path::{Path, PathBuf};

use crate::journal::{FileLock, Holder, LockError};

/// How many runs may share one working tree.
const SHARING: u32 = 16;
/// The directory of the locks in the state directory.
const DIR: &str = "trees";

/// Locks the working tree with this real path for a run, until the lock is dropped. Two agents in one tree, or in a
/// tree and one inside it, would undo each other's work, and no review could tell which run made a change. With
/// `share`, other runs may be in the tree, above it and below it.
///
/// # Errors
/// When another run is there and `share` is not given, or the lock's file cannot be used.
pub fn lock_tree(state_dir: &Path, tree: &Path, holder: &Holder, share: bool) -> Result<FileLock, LockError> {
    let what = in_words(tree);
    let holder = &Holder { tree: Some(tree.to_owned()), ..holder.clone() };
    let name = crate::journal::sha256_hex(tree.as_os_str().as_encoded_bytes());
    let place = |slot: u32| match slot {
        0 => format!("{name}.lock"),
        slot => format!("{name}.{slot}.lock"),
    };
    if !share {
        // Take the own lock first. If two runs come at once, each then sees the other and both are refused, so that
        // never both are accepted.
        let held = FileLock::take_in(state_dir, DIR, &place(0), &what, holder)?;
        return match other(state_dir, tree, &place(0))? {
            None => Ok(held),
            Some((tree, other)) => Err(LockError::Held { what: in_words(&tree), holder: Some(other) }),
        };
    }
    let mut refused = LockError::Held { what: what.clone(), holder: None };
    for slot in 0..SHARING {
        match FileLock::take_in(state_dir, DIR, &place(slot), &what, holder) {
            Err(error @ LockError::Held { .. }) => refused = error,
            taken_or_fault => return taken_or_fault,
        }
    }
    Err(refused)
}

fn in_words(tree: &Path) -> String {
    format!("the directory {}", tree.display())
}

/// A run in this tree, above it or below it, besides the one that holds `own`.
fn other(state_dir: &Path, tree: &Path, own: &str) -> Result<Option<(PathBuf, Holder)>, LockError> {
    let dir = state_dir.join(DIR);
    let io = |source| LockError::Io { path: dir.clone(), source };
    for entry in std::fs::read_dir(&dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let Some(name) = name.to_str().filter(|name| *name != own && name.ends_with(".lock")) else { continue };
        let Some(holder) = FileLock::holder(&dir.join(name))? else { continue };
        // For a lock of an older ccc, the name tells which tree it is.
        let same = own.strip_suffix(".lock").is_some_and(|own| name.starts_with(own));
        let there = holder.tree.clone().or_else(|| same.then(|| tree.to_owned()));
        if let Some(there) = there.filter(|there| there.starts_with(tree) || tree.starts_with(there)) {
            return Ok(Some((there, holder)));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(run: &str) -> Holder {
        Holder { pid: 7, run_id: run.to_owned(), since_unix_ms: 1_795_190_000_000, tree: None }
    }

    #[test]
    fn a_second_run_in_a_tree_is_refused_by_name_unless_it_means_to_share() {
        let state = tempfile::tempdir().expect("tempdir");
        let tree = Path::new("/home/me/project");
        let take = |run: &str, share: bool| lock_tree(state.path(), tree, &holder(run), share);
        let first = take("first", false).expect("free");
        let refused = take("second", false).expect_err("taken").to_string();
        assert!(refused.contains("/home/me/project") && refused.contains("run first"), "{refused}");
        lock_tree(state.path(), Path::new("/home/me/other"), &holder("third"), false).expect("another tree");
        let sharing = take("second", true).expect("shared");
        drop(first);
        let refused = take("fourth", false).expect_err("one that shares is still there").to_string();
        assert!(refused.contains("run second"), "{refused}");
        drop(sharing);
        take("fourth", false).expect("free again");
    }

    #[test]
    fn a_tree_that_lies_in_another_or_holds_it_is_the_same_tree() {
        let state = tempfile::tempdir().expect("tempdir");
        let take = |tree: &str, share: bool| lock_tree(state.path(), Path::new(tree), &holder("other"), share);
        let _first = lock_tree(state.path(), Path::new("/home/me/p"), &holder("first"), false).expect("free");
        for tree in ["/home/me/p/sub/deep", "/home/me/p/x", "/home/me", "/"] {
            let refused = take(tree, false).expect_err(tree).to_string();
            assert!(refused.contains("/home/me/p is") && refused.contains("run first"), "{tree}: {refused}");
            take(tree, true).expect("it means to share");
        }
        for tree in ["/home/me/pp", "/home/me/q/p", "/home/you"] {
            take(tree, false).expect(tree);
        }
        let sharing = take("/home/me/q/deep", true).expect("free");
        take("/home/me/q", false).expect_err("one that shares is below");
        drop(sharing);
        take("/home/me/q", false).expect("free again");
    }
}
