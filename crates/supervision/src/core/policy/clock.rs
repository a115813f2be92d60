use crate::core::Tick;

/// The time: in ticks, which cannot be set, and on the wall clock by its last reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::core) struct Clock {
    now: Tick,
    /// The wall clock at tick zero, unix milliseconds.
    zero_unix_ms: i64,
}

impl Clock {
    /// Advances the ticks, which never go back.
    pub(in crate::core) fn advance(&mut self, now: Tick) {
        self.now = self.now.max(now);
    }

    /// Records a reading of the wall clock.
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

    /// The wall clock at a tick, unless it is set meanwhile.
    pub(in crate::core) fn unix_ms_at(self, tick: Tick) -> i64 {
        self.zero_unix_ms.saturating_add(as_i64(tick.as_ms()))
    }

    /// Milliseconds until this wall time; 0 if it has passed.
    pub(in crate::core) fn ms_until(self, unix_ms: i64) -> u64 {
        u64::try_from(unix_ms.saturating_sub(self.unix_ms())).unwrap_or(0)
    }
}

fn as_i64(ms: u64) -> i64 {
    i64::try_from(ms).unwrap_or(i64::MAX)
}
