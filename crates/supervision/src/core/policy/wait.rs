//! A wait: for a duration, or until a wall time. The machine's sleep counts towards a wait for a reset, which is a wall time.
//! Setting the wall clock back does not make a wait longer.

use super::choice::LONGEST_RESET_MS;
use super::clock::Clock;
use super::limit_ends::CLOCK_SLACK_MS;
use crate::core::Tick;
use crate::core::id::jitter_unit;

/// How often a wait for a wall time is checked, even if nothing wakes the run at that time.
const RECHECK_MS: u64 = 600_000;
/// The most jitter after a reset.
const RESET_JITTER_MS: f64 = 5_000.0;

/// A wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::core) struct Pause {
    since: Tick,
    /// Over at this tick, if `until_unix_ms` is `None` or the clock cannot be right.
    due: Tick,
    /// Over at this wall time.
    until_unix_ms: Option<i64>,
    for_limit: bool,
    /// A usage limit is the reason, with or without an announced reset.
    at_limit: bool,
}

impl Pause {
    /// A wait of this length.
    pub(in crate::core) fn lasting(ms: u64, clock: Clock) -> Pause {
        Pause::to(clock.now().plus_ms(ms), clock)
    }

    /// A wait until this tick.
    pub(in crate::core) fn to(due: Tick, clock: Clock) -> Pause {
        Pause { since: clock.now(), due, until_unix_ms: None, for_limit: false, at_limit: false }
    }

    /// A wait until this wall time, at most as long as the longest window: a longer one shows that the clock is wrong, so ticks
    /// end the wait.
    pub(in crate::core) fn until(unix_ms: i64, clock: Clock) -> Pause {
        let left_ms = clock.ms_until(unix_ms).min(LONGEST_RESET_MS.unsigned_abs());
        Pause { until_unix_ms: Some(unix_ms), ..Pause::lasting(left_ms, clock) }
    }

    /// Makes it a wait whose reason is a usage limit.
    pub(in crate::core) fn at_limit(self) -> Pause {
        Pause { at_limit: true, ..self }
    }

    /// Whether another request would meet a usage limit before it is over.
    pub(in crate::core) fn is_at_limit(&self) -> bool {
        self.at_limit || self.until_unix_ms.is_some()
    }

    /// Makes it a wait for a token, after which a token is chosen again.
    pub(in crate::core) fn for_limit(self) -> Pause {
        Pause { for_limit: true, ..self }
    }

    /// The same wait, begun now.
    pub(in crate::core) fn begun_now(self, clock: Clock) -> Pause {
        Pause { since: clock.now(), ..self }
    }

    pub(in crate::core) fn since(&self) -> Tick {
        self.since
    }

    /// The tick at which it is over, unless the wall clock is set meanwhile.
    pub(in crate::core) fn due(&self) -> Tick {
        self.due
    }

    /// The wall time at which it is over; `None` for a duration.
    pub(in crate::core) fn until_unix_ms(&self) -> Option<i64> {
        self.until_unix_ms
    }

    pub(in crate::core) fn is_for_limit(&self) -> bool {
        self.for_limit
    }

    /// When it is over, by the present clock.
    pub(in crate::core) fn end(&self, clock: Clock) -> Tick {
        self.until_unix_ms.map_or(self.due, |until| clock.now().plus_ms(clock.ms_until(until)))
    }

    /// Whether it is over. The wall clock ends it if the machine slept or the clock was behind; the ticks end it if the clock
    /// was set back.
    pub(in crate::core) fn is_over(&self, clock: Clock) -> bool {
        match self.until_unix_ms {
            Some(until) => clock.ms_until(until) == 0 || clock.now() >= self.due.plus_ms(CLOCK_SLACK_MS),
            None => clock.now() >= self.due,
        }
    }

    /// When to check it next.
    pub(in crate::core) fn wake(&self, clock: Clock) -> Tick {
        match self.until_unix_ms {
            Some(_) => self.end(clock).min(clock.now().plus_ms(RECHECK_MS)).min(self.due.plus_ms(CLOCK_SLACK_MS)),
            None => self.due,
        }
    }
}

/// How long a run has waited. Kept in microseconds, because rounding thousands of waits would add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) struct Waited {
    us: u64,
}

impl Waited {
    /// Adds a wait that is over now.
    pub(in crate::core) fn add(&mut self, pause: &Pause, now: Tick) {
        self.us = self.us.saturating_add(now.us_since(pause.since));
    }

    /// Whole milliseconds.
    pub(in crate::core) fn ms(self) -> u64 {
        self.us / 1_000
    }
}

/// The delay after a reset before a run continues, so that many runs do not start at the same moment. `number` distinguishes
/// the waits of one run.
pub(in crate::core) fn reset_jitter_ms(seed: &str, number: u32) -> i64 {
    (RESET_JITTER_MS * jitter_unit(seed, "reset", number)) as i64
}

#[cfg(test)]
mod tests {
    use super::{Pause, Waited};
    use crate::core::Tick;
    use crate::core::policy::Clock;

    #[test]
    fn what_many_waits_have_of_a_millisecond_adds_up() {
        let (mut waited, mut clock) = (Waited::default(), Clock::default());
        for number in 1..=10 {
            let pause = Pause::lasting(1, clock);
            clock.advance(Tick(clock.now().0 + 1_900));
            waited.add(&pause, clock.now());
            assert_eq!(waited.ms(), number * 1_900 / 1_000);
        }
    }
}
