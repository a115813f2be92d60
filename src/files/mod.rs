//! Files that somebody else may have put there.
//!
//! A repository's files, the user's and those of the state directory are opened here and nowhere else, so that no file can
//! hang ccc, fill its memory or lead it to another place:
//!
//! - [`read`] takes regular files only (a FIFO, a device, a socket and a directory are refused), opens them without
//!   waiting, and reads no more than the limit of the file's [`FileKind`].
//! - [`read_within`] refuses a link that leads out of a directory, [`read_no_link`] any link.
//! - [`open_private`] opens the files of ccc's own state: it follows no link, and takes only what belongs to the user, in
//!   directories that nobody else can write to.
//!
//! The room decides nothing about contents and prints nothing.

mod kind;
mod private;
mod read;

pub use kind::{
    AGENT_SETTINGS, CERTIFICATES, CONFIGURATION, FileKind, GIT_STATE, HEARTBEAT, LOCK, PAYLOAD, PROCESSES,
    PROJECT_RECORD, PROMPT, SESSION_RECORD, SHARED_STATE, SUMMARY, TASK, TIME_ZONE, TOKENS,
};
pub use private::{
    DirFault, make_private_dir, open_private, private_dir_fault, private_subdir_fault, read_private, replace_json,
};
pub use read::{ReadFault, open_no_link, open_regular, read, read_if_there, read_no_link, read_with_mode, read_within};
