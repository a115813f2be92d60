use crate::core::Tick;

/// What time it is: by the run's own ticks, which nobody can set, and by the wall clock as it was last told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) struct Clock {
    now: Tick,
    /// The wall clock at tick zero, unix milliseconds.
    zero_unix_ms: i64,
}

impl Clock {
    /// The run's time goes on; it never goes back.
    pub(in crate::core) fn advance(&mut self, now: Tick) {
        self.now = self.now.max(now);
    }

    /// The wall clock shows this now.
    pub(in crate::core) fn see(&mut self, unix_ms: i64) {
        self.zero_unix_ms = unix_ms.saturating_sub(as_i64(self.now.as_ms()));
    }

    pub(in crate::core) fn now(self) -> Tick {
        self.now
    }

    /// The wall clock now, unix milliseconds.
    pub(in crate::core) fn unix_ms(self) -> i64 {
        self.unix_ms_at(self.now)
    }

    /// The wall clock at a tick, if it is not set meanwhile.
    pub(in crate::core) fn unix_ms_at(self, tick: Tick) -> i64 {
        self.zero_unix_ms.saturating_add(as_i64(tick.as_ms()))
    }

    /// Milliseconds up to this wall time; 0 when it has passed.
    pub(in crate::core) fn ms_until(self, unix_ms: i64) -> u64 {
        u64::try_from(unix_ms.saturating_sub(self.unix_ms())).unwrap_or(0)
    }
}

fn as_i64(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
