//! Opens files that somebody else may have written.
//!
//! The files of a repository, of the user and of the state directory are opened only here, so that no file can hang
//! ccc, fill its memory or lead it to another place:
//!
//! - [`read`] accepts only regular files (it refuses a FIFO, a device, a socket and a directory), opens them without
//!   waiting, and reads no more than the limit of the file's [`FileKind`].
//! - [`read_within`] refuses a link that leads out of a directory, [`read_no_link`] any link.
//! - [`open_private`] opens the files of ccc's own state: it follows no link, and accepts only files of the user in
//!   directories that nobody else can write to.
//! - [`DirTree`] is a directory that others write to at the same time: below it no link is followed.
//! - [`trash`] deletes a directory so that it is there as a whole or not at all.
//! - [`TimedLock`] is a lock between processes for a short time, waited for with a limit.
//!
//! This module does not interpret contents and prints nothing.

mod dir_tree;
#[cfg(test)]
mod fifo;
mod kind;
mod path_error;
mod private;
mod read;
mod timed_lock;
pub mod trash;
mod versioned;

pub use dir_tree::{AtPath, DirTree, FileRights, read_pieces};
#[cfg(test)]
pub(crate) use fifo::make_fifo;
pub use kind::{
    AGENT_RECORD, AGENT_SETTINGS, CERTIFICATES, CONFIGURATION, CONTROL, FileKind, GIT_STATE, HEARTBEAT, IMAGE, KEEPER,
    LOCK, LOGIND, NIGHT, NOTIFICATION, PAYLOAD, PROCESSES, PROJECT_RECORD, PROMPT, QUEUED_AGENT, RUN_NAME,
    SESSION_RECORD, SHARED_STATE, SUMMARY, TASK, TASK_LIST, TIME_ZONE, TOKENS, WARNED, WORKTREE_INCLUDE,
    WORKTREE_RECORD,
};
pub use path_error::PathError;
pub use private::{
    DirFault, make_private_dir, open_private, private_dir_fault, private_subdir_fault, read_private, replace_json,
};
pub use read::{ReadFault, open_no_link, open_regular, read, read_if_there, read_no_link, read_with_mode, read_within};
pub use timed_lock::TimedLock;
pub use versioned::{VersionedError, read_versioned};
