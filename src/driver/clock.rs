//! Real time for the loop. On Linux the monotonic clock stops while the machine sleeps, so a closed laptop does not count as a
//! stall.
#![allow(clippy::disallowed_methods, reason = "the one place where the driver reads clocks")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use crate::core::Tick;

/// The run's time, and the wall clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock {
    origin: Instant,
    from: Tick,
    /// Unix milliseconds.
    wall: fn() -> i64,
}

impl Clock {
    /// A clock that shows `from` now; `wall` is the wall clock, in unix milliseconds.
    pub(super) fn starting_at(from: Tick, wall: fn() -> i64) -> Clock {
        Clock { origin: Instant::now(), from, wall }
    }

    pub(super) fn now(&self) -> Tick {
        let elapsed_us = u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX);
        Tick(self.from.0.saturating_add(elapsed_us))
    }

    /// The instant of this tick, past or future.
    pub(super) fn instant(&self, tick: Tick) -> Instant {
        // A deadline beyond a year is cut to a year: `Instant` cannot hold every tick.
        const FAR: Duration = Duration::from_secs(365 * 24 * 3600);
        self.origin + Duration::from_micros(tick.0.saturating_sub(self.from.0)).min(FAR)
    }

    /// Skips a time in which ccc itself was stopped. The run's time does not count it, so every deadline stays as far away as
    /// before.
    pub(super) fn paused(&mut self, by: Duration) {
        self.origin += by;
    }

    /// How long ago the instant was; zero if it is in the future.
    pub(super) fn late(&self, instant: Instant) -> Duration {
        instant.elapsed()
    }

    pub(super) fn instant_now(&self) -> Instant {
        Instant::now()
    }

    pub(super) fn after(&self, duration: Duration) -> Instant {
        Instant::now() + duration
    }

    pub(super) fn unix_ms(&self) -> i64 {
        (self.wall)()
    }
}

/// The wall clock, unix milliseconds.
#[must_use]
pub fn unix_ms() -> i64 {
    match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
    }
}
