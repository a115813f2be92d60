//! The keeper: one small process per user and state directory, which does for all agents what one party must do.
//!
//! It asks about usage once for all, applies the thresholds, revives agents whose ccc died, takes up those that it has stopped
//! once the usage allows it, and starts those that wait for room on the machine. No agent depends on it: killed at any moment, it is started again by the next command that starts an
//! agent or by the heartbeat of any agent ([`ensure`], [`ensure_from_run`]), and continues from `<state>/keeper/state.json`.
//!
//! What it decides is in [`crate::upkeep`], which is pure. This room performs it ([`keep`]): it reads the facts from the runs'
//! directories, writes what it remembers before it acts, and controls runs through their sockets like any other client. Tokens and
//! settings are the business of the [`World`] that it is given. It prints nothing.
//!
//! Files in `<state>/keeper/`: `lock` (its holder is the keeper), `state.json`, `bell` (touched to wake the keeper), `gate` (held while
//! a new agent is counted in), `log`.

mod ensure;
mod facts;
mod notes;
mod perform;
mod queue;
pub mod service;
mod store;

pub use ensure::{EnsureError, Ensured, ensure, ensure_from_run, holder, log_file, open_bell, start, take_lock};
pub use notes::Notes;
pub use perform::{AgentPlace, KeepError, World, keep};
pub use queue::{gate, load, room_for_one_more, waiting};
pub use store::{Kept, Store};

use std::path::Path;

use crate::files::VersionedError;
use crate::upkeep::{Admission, Rules, admission};

/// The directory of the keeper in the state directory.
pub const KEEPER_DIR: &str = "keeper";

/// How long a usage without a known reset counts after it was heard.
const OLD_MS: i64 = 60 * 60_000;

/// Whether a new agent may start now, by what the keeper has last heard about the usage. Asks nobody.
///
/// # Errors
/// When the keeper's state cannot be read.
pub fn admits(
    state_dir: &Path,
    rules: &Rules,
    now_unix_ms: i64,
    ignore_usage: bool,
) -> Result<Admission, VersionedError> {
    let mut upkeep = Store::new(state_dir).read()?.upkeep;
    let is_old = upkeep.asked_unix_ms.is_none_or(|asked| now_unix_ms.saturating_sub(asked) > OLD_MS);
    if is_old {
        // Without a reset such a usage would count for ever, and nobody asks while no agent lives.
        for token in &mut upkeep.usage {
            token.windows.retain(|window| window.resets_unix_ms.is_some());
        }
    }
    Ok(admission(&upkeep.usage, ignore_usage, now_unix_ms, rules))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upkeep::{TokenUsage, Upkeep, WindowUse};

    #[test]
    fn a_usage_that_was_heard_long_ago_counts_until_its_reset_and_without_one_not_at_all() {
        let state = tempfile::tempdir().expect("a directory");
        let now = 1_800_000_000_000;
        let rules = Rules::default();
        let heard = |resets_unix_ms| {
            let window = WindowUse { name: "five_hour".to_owned(), percent: Some(95.0), resets_unix_ms };
            let (id, label) = ("a".to_owned(), "a".to_owned());
            let usage =
                vec![TokenUsage { id, label, windows: vec![window], limited_until_unix_ms: None, refused: false }];
            let upkeep = Upkeep { asked_unix_ms: Some(now), usage, ..Upkeep::default() };
            Store::new(state.path()).write(&Kept::of(upkeep)).expect("written");
        };
        let at = |now| admits(state.path(), &rules, now, false).expect("read");
        assert_eq!(at(now), Admission::Unknown, "nothing was heard yet");
        heard(None);
        assert!(matches!(at(now + OLD_MS), Admission::Refused(_)));
        assert_eq!(at(now + OLD_MS + 1), Admission::Unknown);
        heard(Some(now + 10 * OLD_MS));
        assert!(matches!(at(now + OLD_MS + 1), Admission::Refused(_)));
        assert_eq!(at(now + 10 * OLD_MS), Admission::Unknown);
    }
}
