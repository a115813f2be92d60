//! Reads what a child writes.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::io::Errno;

use super::wake::{Wake, now, poll};

/// Size of the buffer for stdout, in bytes.
pub(super) const STDOUT_BUFFER_BYTES: usize = 64 * 1024;
/// Size of the buffer for stderr, in bytes.
pub(super) const STDERR_BUFFER_BYTES: usize = 8 * 1024;
/// After the child's end and the sweep, a stream that another process still holds open is closed after this time without
/// output, in milliseconds.
pub const DRAIN_QUIET_MS: u64 = 200;
/// After the child's end and the sweep, at most this many bytes are read from a stream that another process still holds open.
/// It is more than any pipe or PTY buffers, so no output of the child itself is lost.
pub const DRAIN_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// At this many reads per second or more, small reads are batched.
const TRICKLE_BEGINS_PER_S: u64 = 250;
/// Below this many reads per second, batching stops. This bound is lower because batching itself makes reads rarer.
const TRICKLE_ENDS_PER_S: u64 = 100;
/// The shortest time over which reads are counted, in milliseconds.
const TRICKLE_WINDOW_MS: u64 = 100;
/// How long small reads are batched, in milliseconds. It delays the last one by this time.
const GATHER_MS: u64 = 5;
/// After a read of this many bytes or more nothing is batched for the next [`TRICKLE_WINDOW_MS`]: a fast writer would have to
/// wait for ccc, because a PTY holds only 4 KiB.
const FAST_READ_BYTES: usize = 3 * 1024;

/// Detects a stream of many small parts, such as the deltas of an answer, each of which would wake ccc.
#[derive(Debug)]
struct Trickle {
    since: Instant,
    reads: u64,
    gathering: bool,
}

impl Trickle {
    fn beginning_at(since: Instant) -> Self {
        Self { since, reads: 0, gathering: false }
    }

    /// How long to wait after a read of this many bytes, so that the next read finds more.
    fn pause(&mut self, at: Instant, bytes: usize) -> Option<Duration> {
        self.reads += 1;
        let elapsed_ms = u64::try_from(at.duration_since(self.since).as_millis()).unwrap_or(u64::MAX);
        if elapsed_ms >= TRICKLE_WINDOW_MS {
            let least_per_s = if self.gathering { TRICKLE_ENDS_PER_S } else { TRICKLE_BEGINS_PER_S };
            self.gathering = self.reads.saturating_mul(1_000) / elapsed_ms >= least_per_s;
            self.reads = 0;
            self.since = at;
        }
        if bytes >= FAST_READ_BYTES {
            self.gathering = false;
        }
        self.gathering.then_some(Duration::from_millis(GATHER_MS))
    }
}

/// Receives what was read.
pub(super) trait Reader {
    /// Bytes, in order.
    fn chunk(&mut self, bytes: &[u8]);
    /// How long to wait for more before [`Reader::idle`] is called; `None` for no limit.
    fn timeouts(&self) -> Option<Duration> {
        None
    }
    /// Nothing came for that long.
    fn idle(&mut self) {}
}

/// Passes everything from `fd` to `reader`, until its end or, once `ended` was woken, until the drain is complete. At most
/// `buffer_bytes` are read at once. Of the buffer only what a read fills is ever touched: a PTY gives 4 KiB.
pub(super) fn pump(fd: BorrowedFd<'_>, ended: &Wake, buffer_bytes: usize, reader: &mut impl Reader) {
    let mut buffer = Vec::with_capacity(buffer_bytes);
    let mut finishing = false;
    let mut drained_bytes = 0;
    let mut trickle = Trickle::beginning_at(now());
    while drained_bytes < DRAIN_LIMIT_BYTES {
        let timeout = if finishing { Some(Duration::from_millis(DRAIN_QUIET_MS)) } else { reader.timeouts() };
        let ended_fd = (!finishing).then(|| (ended.fd(), PollFlags::IN));
        let Ok([readable, woken]) = poll([Some((fd.as_fd(), PollFlags::IN)), ended_fd], timeout) else {
            return;
        };
        if readable {
            buffer.clear();
            match rustix::io::read(fd, spare_capacity(&mut buffer)) {
                // EIO: no slave of the PTY is open any more, which is the end of file of a terminal.
                Ok(0) | Err(Errno::IO) => return,
                Ok(count) => {
                    if finishing {
                        drained_bytes += count;
                    }
                    reader.chunk(&buffer);
                    if !finishing
                        && !woken
                        && let pause @ Some(_) = trickle.pause(now(), count)
                    {
                        // The child's end cuts the pause short.
                        let Ok([ended]) = poll([Some((ended.fd(), PollFlags::IN))], pause) else { return };
                        finishing = ended;
                    }
                }
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        } else if finishing {
            return;
        } else if !woken {
            reader.idle();
        }
        finishing |= woken;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads of `bytes`, one every `every_ms`, for half a second; returns how many were followed by a pause.
    fn pauses(trickle: &mut Trickle, from: Instant, every_ms: u64, bytes: usize) -> usize {
        (1..=500 / every_ms)
            .filter(|number| trickle.pause(from + Duration::from_millis(number * every_ms), bytes).is_some())
            .count()
    }

    #[test]
    fn many_small_reads_are_gathered_and_others_are_not() {
        let from = now();
        let table = [
            ("a thousand deltas a second", 1, 300, 400..=401),
            ("gathered ones, on and on", GATHER_MS, 1_500, 0..=0),
            ("a few messages", 50, 300, 0..=0),
            ("a fast writer", 1, FAST_READ_BYTES, 0..=0),
        ];
        for (what, every_ms, bytes, expected) in table {
            let found = pauses(&mut Trickle::beginning_at(from), from, every_ms, bytes);
            assert!(expected.contains(&found), "{what}: {found}");
        }
    }

    #[test]
    fn gathering_goes_on_while_the_stream_does_and_ends_with_it() {
        let from = now();
        let mut trickle = Trickle::beginning_at(from);
        pauses(&mut trickle, from, 1, 300);
        let later = from + Duration::from_millis(500);
        assert_eq!(pauses(&mut trickle, later, GATHER_MS, 1_500), 100, "gathered reads are rarer, and still a stream");
        let quiet = later + Duration::from_secs(60);
        assert_eq!(trickle.pause(quiet, 300), None, "the first words after a silence are heard at once");
    }
}
