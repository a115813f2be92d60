//! When the limits of tokens end, by ticks and by the wall clock.
//!
//! The provider announces a reset as a wall time. If the wall clock is set back during the limit, the limit would last that
//! much longer. So a limit also ends after the remaining time when it became known, counted in ticks. If the earlier clock was
//! the wrong one, this costs one request: its rejection names the reset again.

use std::collections::BTreeMap;

use crate::core::{Tick, TokenFact, TokenId};

/// How much the wall clock and the ticks may differ: by rounding, and by small adjustments of the clock.
pub(in crate::core) const CLOCK_SLACK_MS: u64 = 5_000;

/// The known limits, each with the tick at which it ends.
#[derive(Debug, Clone, Default)]
pub(in crate::core) struct LimitEnds(BTreeMap<TokenId, End>);

#[derive(Debug, Clone, Copy)]
struct End {
    until_unix_ms: i64,
    due: Tick,
}

impl LimitEnds {
    /// Records the current limits; a known one keeps its end.
    pub(in crate::core) fn see(&mut self, tokens: &[TokenFact], now: Tick, now_unix_ms: i64) {
        for token in tokens {
            let Some(until_unix_ms) = token.limited_until_unix_ms else { continue };
            let known = self.0.get(&token.id).is_some_and(|end| end.until_unix_ms == until_unix_ms);
            if !known {
                let left_ms = until_unix_ms.saturating_sub(now_unix_ms).max(0).unsigned_abs();
                let due = now.plus_ms(left_ms.saturating_add(CLOCK_SLACK_MS));
                self.0.insert(token.id.clone(), End { until_unix_ms, due });
            }
        }
    }

    /// The provider has just rejected this token: its next limit is counted from then on.
    pub(in crate::core) fn forget(&mut self, token: &TokenId) {
        self.0.remove(token);
    }

    /// The wall time at which a token is ready again: as announced, or earlier if the wall clock was set back since.
    pub(in crate::core) fn until(&self, token: &TokenFact, now: Tick, now_unix_ms: i64) -> Option<i64> {
        let until_unix_ms = token.limited_until_unix_ms?;
        let Some(end) = self.0.get(&token.id).filter(|end| end.until_unix_ms == until_unix_ms) else {
            return Some(until_unix_ms);
        };
        let left_ms = i64::try_from(end.due.ms_since(now)).unwrap_or(i64::MAX);
        Some(until_unix_ms.min(now_unix_ms.saturating_add(left_ms)))
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOCK_SLACK_MS, LimitEnds};
    use crate::core::{Tick, TokenFact, TokenId, TokenKind};

    const NOW: i64 = 1_800_000_000_000;
    const HOUR_MS: i64 = 3_600_000;

    fn limited(until_unix_ms: i64) -> TokenFact {
        TokenFact {
            id: TokenId("a".to_owned()),
            label: "A".to_owned(),
            kind: TokenKind::OAuth,
            hot_group: None,
            model: None,
            windows: Vec::new(),
            limited_until_unix_ms: Some(until_unix_ms),
            refused: false,
        }
    }

    #[test]
    fn a_limit_ends_by_the_clock_or_by_the_time_that_it_was_to_last_whichever_is_first() {
        let token = limited(NOW + HOUR_MS);
        let mut ends = LimitEnds::default();
        ends.see(std::slice::from_ref(&token), Tick::ZERO, NOW);
        let after = |minutes: u64| Tick::ZERO.plus_ms(minutes * 60_000);
        let wall = |minutes: i64, wrong_ms: i64| NOW + minutes * 60_000 + wrong_ms;
        assert_eq!(ends.until(&token, after(30), wall(30, 0)), Some(NOW + HOUR_MS), "as announced");
        assert_eq!(ends.until(&token, after(30), wall(30, 6 * HOUR_MS)), Some(NOW + HOUR_MS), "it has passed");
        let slack = i64::try_from(CLOCK_SLACK_MS).expect("a time");
        for minutes in [30_i64, 59, 61] {
            // Read again from the shared file, it is the same limit.
            let now = after(minutes.unsigned_abs());
            ends.see(std::slice::from_ref(&token), now, wall(minutes, -6 * HOUR_MS));
            let until = ends.until(&token, now, wall(minutes, -6 * HOUR_MS)).expect("a limit");
            assert_eq!(until <= wall(minutes, -6 * HOUR_MS), minutes > 60, "{minutes} min");
            assert_eq!(until, (NOW + HOUR_MS - 6 * HOUR_MS + slack).max(wall(minutes, -6 * HOUR_MS)));
        }
    }

    #[test]
    fn a_rejection_after_the_end_counts_anew() {
        let token = limited(NOW + HOUR_MS);
        let mut ends = LimitEnds::default();
        ends.see(std::slice::from_ref(&token), Tick::ZERO, NOW + HOUR_MS / 2);
        let (later, clock) = (Tick::ZERO.plus_ms(40 * 60_000), NOW + HOUR_MS / 6);
        assert!(ends.until(&token, later, clock).is_some_and(|until| until <= clock), "the clock had been ahead");
        ends.forget(&token.id);
        ends.see(std::slice::from_ref(&token), later, clock);
        assert_eq!(ends.until(&token, later, clock), Some(NOW + HOUR_MS));
    }
}
