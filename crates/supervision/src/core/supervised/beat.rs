//! Whether a heartbeat file changes. The time between changes is counted in ticks, so neither a jump of the wall clock nor the
//! machine's sleep makes a heartbeat stale.

use super::{BeatPlan, BeatReading};
use crate::core::Tick;

/// The heartbeat of one start of the program.
#[derive(Debug, Clone)]
pub(super) struct BeatWatch {
    /// The beat in the file before this start; `None` until the file was read.
    left: Option<Option<i64>>,
    /// The latest beat since this start, unix milliseconds.
    latest: Option<i64>,
    /// Since when the next beat is expected.
    since: Tick,
    /// When the file is read next; `None` while a read is pending.
    next_look: Option<Tick>,
}

/// The conclusion from a reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BeatState {
    /// It is not stale.
    Alive,
    /// No beat for this long; `first` if there was none since the start.
    Stale { for_ms: u64, first: bool },
}

impl BeatWatch {
    /// The program is being started; the file is read at once to detect an old beat.
    pub(super) fn starting(now: Tick) -> Self {
        Self { left: None, latest: None, since: now, next_look: None }
    }

    pub(super) fn next_look(&self) -> Option<Tick> {
        self.next_look
    }

    /// A read is pending.
    pub(super) fn looking(&mut self) {
        self.next_look = None;
    }

    /// The program has started or was continued: the timeout starts again.
    pub(super) fn restart(&mut self, now: Tick, plan: &BeatPlan) {
        self.since = now;
        self.next_look = Some(now.plus_ms(plan.interval_ms.min(self.limit_ms(plan))));
    }

    fn limit_ms(&self, plan: &BeatPlan) -> u64 {
        if self.latest.is_some() { plan.timeout_ms } else { plan.grace_ms }
    }

    pub(super) fn read(&mut self, now: Tick, reading: &BeatReading, plan: &BeatPlan) -> BeatState {
        let (beat, age_ms) = match reading {
            BeatReading::At { unix_ms, age_ms } => (Some(*unix_ms), *age_ms),
            BeatReading::Missing | BeatReading::Malformed(_) => (None, 0),
        };
        let Some(left) = self.left else {
            self.left = Some(beat);
            return BeatState::Alive;
        };
        if beat.is_some() && beat != self.latest && (self.latest.is_some() || beat != left) {
            self.latest = beat;
            // The beat was written between two reads.
            self.since = Tick(now.0.saturating_sub(age_ms.min(plan.interval_ms) * 1_000));
        }
        let for_ms = now.ms_since(self.since);
        if for_ms >= self.limit_ms(plan) {
            return BeatState::Stale { for_ms, first: self.latest.is_none() };
        }
        let due = self.since.plus_ms(self.limit_ms(plan));
        self.next_look = Some(now.plus_ms(plan.interval_ms).min(due));
        BeatState::Alive
    }
}

#[cfg(test)]
mod tests {
    use super::{BeatState, BeatWatch};
    use crate::core::Tick;
    use crate::core::supervised::{BeatPlan, BeatReading};

    fn plan() -> BeatPlan {
        BeatPlan { file: "/hb".to_owned(), timeout_ms: 30_000, interval_ms: 2_000, grace_ms: 60_000 }
    }

    fn at(unix_ms: i64) -> BeatReading {
        BeatReading::At { unix_ms, age_ms: 0 }
    }

    fn ms(ms: u64) -> Tick {
        Tick::ZERO.plus_ms(ms)
    }

    /// A watch whose file had this content before the start at 0.
    fn watch(left: &BeatReading) -> BeatWatch {
        let mut watch = BeatWatch::starting(Tick::ZERO);
        assert_eq!(watch.read(Tick::ZERO, left, &plan()), BeatState::Alive);
        watch.restart(Tick::ZERO, &plan());
        watch
    }

    #[test]
    fn a_beat_that_an_earlier_life_left_is_no_first_beat() {
        for left in [at(5), BeatReading::Missing, BeatReading::Malformed("x".to_owned())] {
            let mut watch = watch(&left);
            assert_eq!(watch.read(ms(59_999), &left, &plan()), BeatState::Alive, "{left:?}");
            assert_eq!(watch.next_look(), Some(ms(60_000)), "the look that matters is not late");
            let stale = watch.read(ms(60_000), &left, &plan());
            assert_eq!(stale, BeatState::Stale { for_ms: 60_000, first: true }, "{left:?}");
        }
    }

    #[test]
    fn after_the_first_beat_the_timeout_counts_from_each_that_is_new() {
        let mut watch = watch(&at(5));
        assert_eq!(watch.read(ms(50_000), &at(6), &plan()), BeatState::Alive);
        assert_eq!(watch.read(ms(79_999), &at(6), &plan()), BeatState::Alive);
        assert_eq!(watch.read(ms(79_999), &at(7), &plan()), BeatState::Alive, "it moved");
        assert_eq!(watch.read(ms(109_998), &BeatReading::Missing, &plan()), BeatState::Alive, "removed is not new");
        assert_eq!(watch.read(ms(109_999), &at(7), &plan()), BeatState::Stale { for_ms: 30_000, first: false });
    }

    #[test]
    fn a_jump_of_the_wall_clock_is_no_standstill() {
        let mut watch = watch(&BeatReading::Missing);
        let old = BeatReading::At { unix_ms: 9, age_ms: 3_600_000 };
        assert_eq!(watch.read(ms(2_000), &old, &plan()), BeatState::Alive);
        assert_eq!(watch.read(ms(29_999), &old, &plan()), BeatState::Alive);
        assert_eq!(watch.read(ms(30_000), &old, &plan()), BeatState::Stale { for_ms: 30_000, first: false });
    }

    #[test]
    fn standing_still_by_order_is_not_counted() {
        let mut watch = watch(&BeatReading::Missing);
        assert_eq!(watch.read(ms(2_000), &at(1), &plan()), BeatState::Alive);
        watch.restart(ms(500_000), &plan());
        assert_eq!(watch.next_look(), Some(ms(502_000)));
        assert_eq!(watch.read(ms(529_999), &at(1), &plan()), BeatState::Alive);
    }
}
