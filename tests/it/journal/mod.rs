//! The journal: what is written comes back, whatever the disk does, and no secret is in it.

mod dirs;
mod faults;
mod fixture;
mod forgetful;
mod led;
pub(crate) mod paused;
mod power_cut;
mod reading;
mod redaction;
mod round_trip;
pub(crate) mod samples;
mod scrubbed;
mod steered;
