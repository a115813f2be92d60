//! The keeper: one small process per user and state directory, which does for all agents what one party must do.
//!
//! It asks about usage once for all, applies the thresholds, revives agents whose ccc died, and takes up those that it has stopped
//! once the usage allows it. No agent depends on it: killed at any moment, it is started again by the next command that starts an
//! agent or by the heartbeat of any agent ([`ensure`], [`ensure_from_run`]), and continues from `<state>/keeper/state.json`.
//!
//! What it decides is in [`crate::upkeep`], which is pure. This room performs it ([`keep`]): it reads the facts from the runs'
//! directories, writes what it remembers before it acts, and controls runs through their sockets like any other client. Tokens and
//! settings are the business of the [`World`] that it is given. It prints nothing.
//!
//! Files in `<state>/keeper/`: `lock` (its holder is the keeper), `state.json`, `bell` (touched to wake the keeper), `log`.

mod ensure;
mod facts;
mod notes;
mod perform;
pub mod service;
mod store;

pub use ensure::{EnsureError, Ensured, ensure, ensure_from_run, holder, log_file, open_bell, start, take_lock};
pub use notes::Notes;
pub use perform::{KeepError, World, keep};
pub use store::{Kept, Store, StoreError};

use std::path::Path;

use crate::upkeep::{Admission, Rules, admission};

/// The directory of the keeper in the state directory.
pub const KEEPER_DIR: &str = "keeper";

/// Whether a new agent may start now, by what the keeper has last heard about the usage. Asks nobody.
///
/// # Errors
/// When the keeper's state cannot be read.
pub fn admits(state_dir: &Path, rules: &Rules, now_unix_ms: i64, ignore_usage: bool) -> Result<Admission, StoreError> {
    let kept = Store::new(state_dir).read()?;
    Ok(admission(&kept.upkeep.usage, ignore_usage, now_unix_ms, rules))
}
