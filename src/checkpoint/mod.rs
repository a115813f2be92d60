//! The working tree as a commit under a reference of ccc's own, and what differs between two of them.
//!
//! [`keep`] puts tracked and untracked files into a tree, by a temporary index, and the tree into a commit whose parent is
//! `HEAD`, below `refs/ccc/`. Ignored files are not in it. The user's index, branch, stash and reflogs stay untouched, and
//! no program of the repository is run ([`crate::git`]). [`write_tree`] stops before the commit. Contents are kept and restored byte
//! for byte, whatever line ends and encodings the repository's attributes say ([`TreeRequest::verbatim`]).
//!
//! What a checkpoint has in unusual cases:
//!
//! | case | answer |
//! |---|---|
//! | a merge or rebase that is not finished | files as they lie there, with the marks of conflicts; the operation stays as it is |
//! | no commit yet | a commit without a parent |
//! | a bare repository, no repository | refused: [`CheckpointError::Bare`], [`CheckpointError::NoRepository`] |
//! | a shallow repository | as any other |
//! | a submodule | the commit that is checked out in it; its uncommitted changes are not in it |
//! | a sparse tree | files that are not checked out are as in `HEAD` |
//! | Git LFS | unchanged files are their pointers; a changed one is its content, because the filter is a program |
//! | a file over the limit, a repository of its own, a file that cannot be read | left out, and named in [`LeftOut`]; of a tracked file the version of the index stays |
//! | a FIFO, socket or device | left out; named only in the place of a tracked file |
//!
//! A file that the user has marked with `--assume-unchanged` or `--skip-worktree` is taken as it lies there.

mod contents;
mod diff;
mod error;
mod files_of;
mod index;
mod left_out;
mod lfs;
mod reference;
mod restore;
mod series;
mod take;
mod verbatim;

pub use diff::{FileChange, Summary, added_paths, changed_paths, diff, summary};
pub use error::CheckpointError;
pub use files_of::{CheckpointFile, FileForm, contents_of, differing, files_of};
pub use left_out::{LeftOut, LeftOutWhy};
pub use lfs::{POINTER, Pointer};
pub use reference::{Expected, REFERENCES, delete_references, next_reference, set_reference};
pub use restore::{RestorePlan, has_path, plan_restore, restore};
pub use series::{
    AT_END, AT_STOP, BEFORE_GOING_ON, BEFORE_PROCESS, BEFORE_START, Entry, Kept, UNTRACKED_LIMIT_BYTES, keep, list,
    reference, remove_all, set_again,
};
pub use take::{FILE_LIMIT_BYTES, TreeRequest, WrittenTree, commit_tree, write_tree};

#[cfg(test)]
pub(crate) mod tests;
