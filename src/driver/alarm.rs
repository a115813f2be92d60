//! Wakes the loop at a wall time, for example at the reset of a usage window, even after the machine slept or the clock was
//! set.
//!
//! The loop's own timers count monotonic time, which stops in suspend and does not follow the wall clock. A Linux wall-clock
//! timer fires at its absolute time, at once after a suspend, and when the clock is set. On other systems the wait is checked
//! every [`RECHECK`].

use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::timer::Timer;

/// How often a wait is checked without a wall-clock timer.
const RECHECK: Duration = Duration::from_secs(60);
/// The pause before an alarm that has fired may fire again for the same time. Without it the alarm would fire in a loop while
/// the kernel's clock and the one that ccc reads disagree.
const REST: Duration = Duration::from_secs(1);

/// An alarm, which rings once each time it is set.
#[derive(Debug)]
pub(super) struct Alarm {
    /// The time it is set for, unix milliseconds; `None` when it is not set or has rung.
    set_for: Option<i64>,
    /// The time it rang for last.
    rang_for: Option<i64>,
    /// It does not ring before this instant.
    rests_until: Option<Instant>,
    means: Means,
}

#[derive(Debug)]
enum Means {
    WallClock(Timer),
    /// Rings at this moment.
    Recheck(Option<Instant>),
}

impl Alarm {
    /// An alarm that is not set.
    pub(super) fn new() -> Alarm {
        Alarm::by(Timer::wall().map_or(Means::Recheck(None), Means::WallClock))
    }

    fn by(means: Means) -> Alarm {
        Alarm { set_for: None, rang_for: None, rests_until: None, means }
    }

    /// Sets the alarm for this wall time, or clears it. Idempotent.
    pub(super) fn set(&mut self, unix_ms: Option<i64>, clock: &Clock) {
        if self.set_for == unix_ms {
            return;
        }
        self.set_for = unix_ms;
        let again = unix_ms.is_some() && unix_ms == self.rang_for;
        self.rests_until = again.then(|| clock.after(REST));
        match &mut self.means {
            Means::WallClock(timer) => {
                if let Err(error) = timer.set_for(unix_ms) {
                    tracing::warn!(%error, "the timer of the wall clock cannot be set; waits are looked at every minute");
                    self.means = Means::Recheck(unix_ms.map(|at| recheck(at, clock)));
                }
            }
            Means::Recheck(due) => *due = unix_ms.map(|at| recheck(at, clock)),
        }
    }

    /// Waits until the alarm rings: its time has come, the clock was set, or a recheck is due. Waits forever when it is not
    /// set.
    pub(super) async fn rang(&mut self) {
        if let (Some(_), Some(until)) = (self.set_for, self.rests_until) {
            tokio::time::sleep_until(until).await;
        }
        match &mut self.means {
            _ if self.set_for.is_none() => std::future::pending().await,
            Means::WallClock(timer) => timer.fired().await,
            Means::Recheck(Some(due)) => tokio::time::sleep_until(*due).await,
            Means::Recheck(None) => std::future::pending().await,
        }
        self.rang_for = self.set_for.take();
    }
}

fn recheck(unix_ms: i64, clock: &Clock) -> Instant {
    let left_ms = u64::try_from(unix_ms.saturating_sub(clock.unix_ms())).unwrap_or(0);
    clock.after(Duration::from_millis(left_ms).min(RECHECK))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Alarm, Means, REST};
    use crate::core::Tick;
    use crate::driver::clock::{Clock, unix_ms};

    /// Longer than any of these waits, even on a busy machine.
    const DEADLINE: Duration = Duration::from_secs(20);

    async fn rings(alarm: &mut Alarm) -> bool {
        tokio::time::timeout(DEADLINE, alarm.rang()).await.is_ok()
    }

    #[tokio::test]
    async fn it_rings_at_its_wall_time_and_not_before() {
        let clock = Clock::starting_at(Tick::ZERO, unix_ms);
        for mut alarm in [Alarm::new(), Alarm::by(Means::Recheck(None))] {
            let at = clock.unix_ms() + 300;
            alarm.set(Some(at), &clock);
            assert!(rings(&mut alarm).await, "{alarm:?}");
            assert!(clock.unix_ms() >= at, "{alarm:?}: too early");
            alarm.set(Some(at), &clock);
            assert!(rings(&mut alarm).await, "set for the past, it rings at once: {alarm:?}");
        }
    }

    #[tokio::test]
    async fn set_again_and_again_for_a_time_that_it_has_rung_for_it_rests_in_between() {
        let clock = Clock::starting_at(Tick::ZERO, unix_ms);
        for mut alarm in [Alarm::new(), Alarm::by(Means::Recheck(None))] {
            let (past, began) = (clock.unix_ms() - 1, clock.instant_now());
            for _ in 0..3 {
                alarm.set(Some(past), &clock);
                assert!(rings(&mut alarm).await, "{alarm:?}");
            }
            assert!(clock.late(began) >= 2 * REST, "{alarm:?}");
        }
    }

    #[tokio::test]
    async fn set_anew_it_forgets_the_old_time_and_taken_back_it_is_silent() {
        let clock = Clock::starting_at(Tick::ZERO, unix_ms);
        let mut alarm = Alarm::new();
        alarm.set(Some(clock.unix_ms() + 3_600_000), &clock);
        let soon = clock.unix_ms() + 200;
        alarm.set(Some(soon), &clock);
        assert!(rings(&mut alarm).await);
        alarm.set(Some(clock.unix_ms() + 100), &clock);
        alarm.set(None, &clock);
        let other = tokio::time::sleep(Duration::from_millis(300));
        tokio::select! {
            () = alarm.rang() => panic!("it was taken back"),
            () = other => {}
        }
    }
}
