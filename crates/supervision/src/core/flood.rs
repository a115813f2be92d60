//! Whether a process writes faster than it can be read.
//!
//! A process that floods does not read its stdin, so ending it begins with a signal and not with a request.

use super::Tick;

/// A process floods from this many lines within [`WINDOW_MS`]. The CLI's bursts stay below a hundredth of it.
const FLOOD_LINES: u64 = 10_000;
/// A process also floods from this many bytes of noise.
const FLOOD_BYTES: u64 = 16 * 1024 * 1024;
/// The time over which lines and bytes are counted.
const WINDOW_MS: u64 = 1_000;
/// How long a process counts as flooding after a flood.
const REMEMBERED_MS: u64 = 5_000;
/// The longest time that a flooding process has to end after a signal.
pub(super) const FLOOD_GRACE_MS: u64 = 500;

/// Counts the output of one process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flood {
    since: Tick,
    lines: u64,
    bytes: u64,
    seen: Option<Tick>,
    told: bool,
}

impl Flood {
    /// Counts lines and bytes of noise.
    pub(super) fn heard(&mut self, now: Tick, lines: u64, bytes: u64) {
        if now.ms_since(self.since) >= WINDOW_MS {
            *self = Flood { since: now, lines: 0, bytes: 0, ..*self };
        }
        self.lines = self.lines.saturating_add(lines);
        self.bytes = self.bytes.saturating_add(bytes);
        if self.lines >= FLOOD_LINES || self.bytes >= FLOOD_BYTES {
            self.seen = Some(now);
        }
    }

    /// Whether it floods and the user has not been told.
    pub(super) fn is_news(&mut self) -> bool {
        self.seen.is_some() && !std::mem::replace(&mut self.told, true)
    }

    /// Whether it floods or did recently.
    pub(super) fn is_on(&self, now: Tick) -> bool {
        self.seen.is_some_and(|seen| now.ms_since(seen) < REMEMBERED_MS)
    }
}

#[cfg(test)]
mod tests {
    use super::{FLOOD_BYTES, FLOOD_LINES, Flood, REMEMBERED_MS, WINDOW_MS};
    use crate::core::Tick;

    #[test]
    fn a_flood_is_many_lines_in_a_short_time_and_is_over_some_time_after() {
        let mut flood = Flood::default();
        for second in 0..60 {
            flood.heard(Tick::ZERO.plus_ms(second * WINDOW_MS), FLOOD_LINES - 1, FLOOD_BYTES - 1);
        }
        let quiet = Tick::ZERO.plus_ms(60 * WINDOW_MS);
        assert!(!flood.is_on(quiet) && !flood.is_news(), "many lines in a long time are none");
        flood.heard(quiet, FLOOD_LINES / 2, 0);
        flood.heard(quiet, FLOOD_LINES / 2, 0);
        assert!(flood.is_on(quiet));
        assert_eq!([flood.is_news(), flood.is_news()], [true, false], "told once");
        assert!(flood.is_on(quiet.plus_ms(REMEMBERED_MS - 1)));
        assert!(!flood.is_on(quiet.plus_ms(REMEMBERED_MS)));
        let mut flood = Flood::default();
        flood.heard(quiet, 0, FLOOD_BYTES);
        assert!(flood.is_on(quiet), "one endless line");
    }
}
