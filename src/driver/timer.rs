//! System timers: for the wall clock, which the runtime's timers do not follow, and for the monotonic clock, because one wakes
//! the loop once where the runtime's timer wheel wakes it up to three times. On systems without them `wall` and `monotonic`
//! return `None`, and the callers use the runtime's timers.

#[cfg(target_os = "linux")]
pub(super) use linux::Timer;
#[cfg(not(target_os = "linux"))]
pub(super) use none::Timer;

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::time::{
        Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
    };
    use tokio::io::Interest;
    use tokio::io::unix::AsyncFd;

    /// The value that disarms a timer.
    const NEVER: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    /// Fires at once: a time of zero would disarm the timer.
    const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 1 };

    /// A timer, which fires once each time it is set.
    #[derive(Debug)]
    pub(in crate::driver) struct Timer(AsyncFd<OwnedFd>);

    impl Timer {
        /// A timer of the wall clock.
        pub(in crate::driver) fn wall() -> Option<Timer> {
            let without = |error: &io::Error| tracing::warn!(%error, "no timer of the wall clock; waits are looked at every minute");
            Timer::new(TimerfdClockId::Realtime).inspect_err(without).ok()
        }

        /// A timer of the monotonic clock, which stops while the machine sleeps.
        pub(in crate::driver) fn monotonic() -> Option<Timer> {
            Timer::new(TimerfdClockId::Monotonic).ok()
        }

        #[allow(
            deprecated,
            reason = "an owned descriptor stays open while it is registered; the successor asks for a promise that process/ alone may give"
        )]
        fn new(clock: TimerfdClockId) -> io::Result<Timer> {
            let timer = timerfd_create(clock, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
            Ok(Timer(AsyncFd::with_interest(timer, Interest::READABLE)?))
        }

        /// For a wall-clock timer: fires at this time, and when the clock is set. `None` disarms it.
        pub(in crate::driver) fn set_for(&self, unix_ms: Option<i64>) -> io::Result<()> {
            let at = unix_ms.map_or(NEVER, |ms| match ms {
                ..=0 => AT_ONCE,
                1.. => Timespec { tv_sec: ms / 1_000, tv_nsec: (ms % 1_000 * 1_000_000) as _ },
            });
            self.set(at, TimerfdTimerFlags::ABSTIME | TimerfdTimerFlags::CANCEL_ON_SET)
        }

        /// Fires after this time.
        pub(in crate::driver) fn set_after(&self, duration: Duration) -> io::Result<()> {
            let after = Timespec {
                tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: duration.subsec_nanos() as _,
            };
            self.set(if after == NEVER { AT_ONCE } else { after }, TimerfdTimerFlags::empty())
        }

        fn set(&self, at: Timespec, flags: TimerfdTimerFlags) -> io::Result<()> {
            let once = Itimerspec { it_interval: NEVER, it_value: at };
            timerfd_settime(self.0.get_ref(), flags, &once)?;
            Ok(())
        }

        /// Waits until the timer has fired or the wall clock was set. An error counts as fired: a superfluous wake-up does no
        /// harm.
        pub(in crate::driver) async fn fired(&self) {
            loop {
                let Ok(mut ready) = self.0.readable().await else { return };
                // The read returns ECANCELED when the clock was set.
                let read = ready.try_io(|timer| Ok(rustix::io::read(timer.get_ref(), &mut [0u8; 8])?));
                if read.is_ok() {
                    return;
                }
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod none {
    use std::io;
    use std::time::Duration;

    /// This system has none.
    #[derive(Debug)]
    pub(in crate::driver) enum Timer {}

    impl Timer {
        pub(in crate::driver) fn wall() -> Option<Timer> {
            None
        }

        pub(in crate::driver) fn monotonic() -> Option<Timer> {
            None
        }

        pub(in crate::driver) fn set_for(&self, _: Option<i64>) -> io::Result<()> {
            match *self {}
        }

        pub(in crate::driver) fn set_after(&self, _: Duration) -> io::Result<()> {
            match *self {}
        }

        pub(in crate::driver) async fn fired(&self) {
            match *self {}
        }
    }
}
