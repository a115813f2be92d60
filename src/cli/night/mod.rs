//! `ccc night`: performs what [`crate::agenda`] decides about a list of tasks.
//!
//! Each run is a process of ccc in this job: it has the terminal's output and its signals, and no keys, so that it asks nobody. Its
//! id is chosen and written down before it is started, so whoever is killed at any moment leaves a run that the next one finds.
//! A process of its own is not ended by an error of this one, and does not end it by its own.
//!
//! Who ends what: a key (Ctrl-C) and a closed terminal reach the whole job, so the run ends itself, and this process waits for it.
//! SIGTERM may have been sent to this process alone. It is passed on if the run does not show soon that it ends, because a run
//! that is asked twice kills its agent.

mod arguments;
mod looking;
mod page;
mod performing;
mod reading;
mod showing;
mod wanted;

pub(super) use performing::Night;
pub(super) use showing::status;
pub(super) use wanted::Wanted;
