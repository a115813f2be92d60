//! Git of ours: runs git on a repository that may be hostile.
//!
//! A repository's configuration and attributes name programs: filters, text conversions, an external diff, merge drivers,
//! hooks, a file system monitor, a pager, an editor, aliases, ssh, credential helpers and programs for signatures. None of
//! them is run, and no transport is allowed. A git that hangs (a network file system, a FIFO in place of a file) is killed
//! with all its descendants.
//!
//! There are two modes:
//!
//! - [`Git::output`] reads. It is for commands that need no filter and no diff (`ls-files`, `rev-parse`), and has a short
//!   timeout, because a measurement waits for it.
//! - [`Git::run`] and [`Git::ask`] also change something. The caller passes the settings of [`settings_without_programs`]
//!   to commands that convert contents or write an index (`add`, `write-tree`, a checkout, a merge), which switch off each filter and merge driver by name.
//!   Git offers no switch for all of them, and a filter's name may depend on the branch (`includeIf.onbranch`), so these
//!   settings are those of one working tree and one moment.
//!
//! Settings travel in the command line and in `GIT_CONFIG_COUNT`, never into a file. The `GIT_` variables of the user are
//! not passed on, except those that say where git's configuration and programs lie.
//!
//! # Filters
//! Contents are read and written as they are stored. A file of Git LFS is its pointer after a checkout of ours, and a file of
//! git-crypt is its ciphertext. Conversions that are no programs (line ends, `ident`, encodings) work as always.

mod call;
mod error;
mod own_reference;
mod program;
mod programs;
mod repository;

pub use call::{Call, Place};
pub use error::{GitError, GitFault};
pub use program::{Answer, Git};
pub use programs::{ContentSettings, Programs, programs, settings_without_programs};
pub use repository::{Repository, contains, records};

#[cfg(test)]
pub(crate) mod tests;
