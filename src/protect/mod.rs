//! Protected files: while a check runs, they are in the working tree as a commit has them, and afterwards as they were before.
//!
//! [`exchange`] copies what lies there into the run's directory, records what it is going to do, and then writes the commit's files;
//! [`put_back`] undoes that by the record, as often as it is called, also in another process after this one was killed. The caller
//! holds the run's lock.
//!
//! - Files that the commit does not have stay as they are.
//! - What something else has written meanwhile is not overwritten: it stays, and the version from before is kept in the run's
//!   directory and named. What was moved away and came back is named, too ([`Moves`]; on Linux).
//! - No link is followed ([`DirTree`](crate::files::DirTree)), and a file is replaced as a whole.
//! - What cannot be exchanged stops the exchange: a check must not run with other files than the user wants.

mod error;
mod exchange;
mod meanwhile;
mod put_back;
mod record;

pub use error::ProtectError;
pub use exchange::{Exchange, Exchanged, exchange, unmatched};
pub use meanwhile::{Moves, written_since};
pub use put_back::{PutBack, is_pending, pending_in, put_back};

#[cfg(test)]
mod tests;
