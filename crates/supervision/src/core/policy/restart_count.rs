//! How often a process is restarted, and after which pause.
//!
//! The limit counts the ends within [`WINDOW_MS`], so one crash a day never adds up to a failure.

use std::collections::VecDeque;

use crate::core::Tick;
use crate::core::id::jitter_unit;

/// Earlier ends do not count.
pub(in crate::core) const WINDOW_MS: u64 = 3_600_000;
/// The pause before the second restart in a row.
const FIRST_PAUSE_MS: u64 = 1_000;
/// The longest pause. With it a window holds about 70 ends.
const LONGEST_PAUSE_MS: u64 = 60_000;

/// The ends that count against the limit of restarts.
#[derive(Debug, Clone, Default)]
pub(in crate::core) struct RestartCount {
    ends: VecDeque<Tick>,
}

impl RestartCount {
    /// Records an end. Gives the number of ends within the window, this one included.
    pub(in crate::core) fn ended(&mut self, now: Tick) -> u32 {
        self.ends.retain(|end| now.ms_since(*end) < WINDOW_MS);
        self.ends.push_back(now);
        u32::try_from(self.ends.len()).unwrap_or(u32::MAX)
    }

    /// A turn was finished, or the user resumed the run: resets the count.
    pub(in crate::core) fn forget(&mut self) {
        self.ends.clear();
    }
}

/// No pause before the first restart, then 1 s, 2 s, 4 s … up to a minute, each with up to a quarter of jitter so that many
/// runs do not restart at the same moment. At least `at_least_ms`.
pub(in crate::core) fn pause_ms(in_a_row: u32, at_least_ms: u64, seed: &str) -> u64 {
    let doubled = |doublings: u32| FIRST_PAUSE_MS.saturating_mul(1u64 << doublings.min(16)).min(LONGEST_PAUSE_MS);
    let base = in_a_row.checked_sub(2).map_or(0, doubled);
    if base <= at_least_ms {
        return at_least_ms;
    }
    base + (base as f64 * 0.25 * jitter_unit(seed, "restart", in_a_row)) as u64
}

#[cfg(test)]
mod tests {
    use super::{RestartCount, pause_ms};
    use crate::core::Tick;

    #[test]
    fn the_first_restart_does_not_wait_and_later_ones_back_off_with_a_bound() {
        assert_eq!(pause_ms(1, 0, "s"), 0);
        let pauses: Vec<u64> = (2..12).map(|n| pause_ms(n, 0, "s")).collect();
        assert!((1_000..=1_250).contains(&pauses[0]), "{pauses:?}");
        assert!((2_000..=2_500).contains(&pauses[1]), "{pauses:?}");
        assert!(pauses.iter().all(|&pause| pause <= 75_000), "{pauses:?}");
        assert_ne!(pause_ms(5, 0, "a"), pause_ms(5, 0, "b"), "two runs do not restart in step");
        assert_eq!([1, 2, 3, 4].map(|n| pause_ms(n, 5_000, "s")), [5_000; 4], "as long as is asked for");
        assert!((8_000..=10_000).contains(&pause_ms(5, 5_000, "s")), "and longer where it fails on");
    }

    #[test]
    fn ends_count_within_the_window_and_a_finished_turn_forgets_them() {
        let mut intensity = RestartCount::default();
        let at = |minute: u64| Tick::ZERO.plus_ms(minute * 60_000);
        assert_eq!([0, 20, 40].map(|minute| intensity.ended(at(minute))), [1, 2, 3]);
        assert_eq!(intensity.ended(at(60)), 3, "the first one is an hour old");
        intensity.forget();
        assert_eq!(intensity.ended(at(61)), 1);
        let mut daily = RestartCount::default();
        for day in 0..365 {
            assert_eq!(daily.ended(at(day * 24 * 60)), 1, "one crash a day never adds up");
        }
    }
}
