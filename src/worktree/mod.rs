//! An agent's working tree: made, filled and removed without losing anything of the user's.
//!
//! [`add`] makes a linked working tree with a branch of its own, [`remove`] removes it. Nothing else that is needed to know
//! about one is in memory: its record ([`Worktree`]) lies in the state directory, so any ccc can go on with what another one
//! has begun ([`complete`]).
//!
//! ```text
//! <state>/worktrees/<repository>-<8 hex>/     the repository: the hash is of the real path of its shared git directory
//!     <id>/                                   the working tree
//!     <id>.json, <id>.lock                    its record, and the lock of who makes or removes it
//!     .lock                                   the lock of the repository, held while git registers or forgets a tree
//!     .trash/                                 trees that are being deleted
//!     .merge/, .merge.json, .merge.lock       the scratch tree of a merge, its record, and the lock of the one who merges
//! ```
//!
//! # Promises
//! - Nothing is written into the repository's configuration or hooks, and none of its programs is run ([`crate::git`]).
//! - An [`add`] that fails takes back exactly what it has made. One that was killed is taken back by the next [`add`] in the
//!   repository, or by [`complete`].
//! - [`remove`] first puts what no branch has under `refs/ccc/salvage/<id>/<n>`. What a commit cannot hold (a file over the
//!   limit, a repository of its own) stops it, unless the caller says that it may go. Ignored files are lost.
//! - A branch is deleted only when all of it is in its base and no working tree has it checked out.
//! - `--force` is never used, and no link is followed out of a tree.
//!
//! # What comes along
//! A new working tree has the tracked files of its base. Ignored files that the setting or `.worktreeinclude` lists are copied
//! from the user's tree, and ignored directories that the setting lists are cloned where the file system can share contents.
//! [`Ports`] reserves ports for the agent.
//!
//! # Merging
//! [`merge`] brings an agent's branch into its base, one at a time in a repository. The result is made and checked in a scratch
//! tree; then the branch is set, if nobody has changed it meanwhile. A conflict or a failed check changes nothing, and neither
//! does a submodule whose commit only the agent has.
//!
//! # Cases
//! | case | answer |
//! |---|---|
//! | no base is named | `HEAD` of the tree that the user is in, also a detached one |
//! | the user's tree has changes that are not committed | the agent starts from the commit; [`Note::NotInBase`] names the files |
//! | no commit yet | [`WorktreeError::NoCommits`], with the command to type |
//! | a bare repository | as any other; no files are copied |
//! | a partial clone that lacks files | [`WorktreeError::PartialClone`], with the command to type |
//! | the branch exists | another name, `-2`, `-3`; an error if the user has named it |
//! | submodules | cloned from those of the user's tree, without the network; [`Note::SubmodulesMissing`] names the others |
//! | a sparse tree | the new one is as sparse |
//! | Git LFS | contents that are in the repository's own store are put in place; [`Note::LfsMissing`] counts the others |
//! | other filters | files are as they are stored; [`Note::FiltersOff`] names the filters |
//! | the user has moved the tree | [`TreeFate::Moved`]: it stays, and is no longer ccc's |
//! | the user has deleted the tree | [`TreeFate::Gone`]: its commits are kept |

mod add;
mod admin;
mod base;
mod branch;
mod checked_out;
mod clone;
mod complete;
mod copy;
mod error;
mod ignored;
mod include;
mod merge;
mod merged_tree;
mod note;
mod ports;
mod record;
mod remove;
mod salvage;
mod stored;
mod submodules;
mod take_back;
mod work;

pub use add::{AddRequest, Added, BranchWish, CloneWish, add};
pub use admin::{check, checked_out};
pub use base::check_base;
pub use branch::is_branch_of_agent;
pub use complete::{Completed, complete};
pub use error::WorktreeError;
pub use include::INCLUDE_FILE;
pub use merge::{MergeOutcome, MergeRequest, Merged, Refusal, Unlanded, merge, uncommitted, unshared_in_words};
pub use merged_tree::Strategy;
pub use note::Note;
pub use ports::{DEFAULT_RANGE, PortError, Ports, port_variables};
pub use record::{DIR, Stage, Worktree, Worktrees};
pub use remove::{BranchFate, RemoveRequest, Removed, TreeFate, remove};
pub use salvage::{SALVAGE, Salvage};
pub use submodules::{Unshared, unshared};
pub use work::{Work, work};

#[cfg(test)]
mod tests;
