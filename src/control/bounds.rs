//! Limits of a client of the socket: connections, requests per second, memory of unfinished lines.

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout};

use super::protocol::{Code, Fault, LineBuffer};

/// How many requests a client may make in a burst.
const BURST: u32 = 100;
/// How many requests per second it may make after a burst.
const EACH_SECOND: u32 = 50;
/// A client over its rate limit for this long is disconnected.
pub(super) const OVERRATE_LIMIT: Duration = Duration::from_secs(10);
/// How many bytes of unfinished requests are held, over all clients.
const HELD_BYTES: usize = 48 * 1024 * 1024;
/// The timeout for a client's hello.
pub(super) const HELLO: Duration = Duration::from_secs(2);

/// Holds one count until it is dropped.
pub(super) struct Counted<'a>(&'a AtomicU32);

impl<'a> Counted<'a> {
    pub(super) fn up_to(count: &'a AtomicU32, most: u32) -> Option<Counted<'a>> {
        let counted = count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| (now < most).then_some(now + 1));
        counted.is_ok().then(|| Counted(count))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The lines of a client. Their memory is counted over all clients.
pub(super) struct Lines<'a> {
    held_by_all: &'a AtomicUsize,
    buffer: LineBuffer,
    held: usize,
}

impl<'a> Lines<'a> {
    /// For lines of at most `limit` bytes.
    pub(super) fn new(held_by_all: &'a AtomicUsize, limit: usize) -> Lines<'a> {
        Lines { held_by_all, buffer: LineBuffer::new(limit), held: 0 }
    }

    /// Changes the limit of later lines.
    pub(super) fn set_limit(&mut self, limit: usize) {
        self.buffer.set_limit(limit);
    }

    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let before = self.held_by_all.fetch_add(bytes.len(), Ordering::Relaxed);
        self.held += bytes.len();
        if before + bytes.len() > HELD_BYTES {
            return Err(Fault::new(Code::TooLong, "the clients of this run send too much at a time; try again later"));
        }
        self.buffer.push(bytes);
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        let line = self.buffer.next_line().map_err(|error| Fault::new(Code::TooLong, error.to_string()));
        self.set_held(self.buffer.held_bytes());
        line
    }

    fn set_held(&mut self, held: usize) {
        self.held_by_all.fetch_sub(self.held - held.min(self.held), Ordering::Relaxed);
        self.held = held.min(self.held);
    }
}

impl Drop for Lines<'_> {
    fn drop(&mut self) {
        self.set_held(0);
    }
}

/// A token bucket: how many requests a client may still make.
pub(super) struct Bucket {
    left: f64,
    filled: Instant,
    /// Since when it has been empty without a break.
    empty_since: Option<Instant>,
}

impl Bucket {
    pub(super) fn new() -> Bucket {
        Bucket { left: f64::from(BURST), filled: Instant::now(), empty_since: None }
    }

    /// Takes one request. Returns how long to delay it, or an error when the client has been over its limit for too long.
    pub(super) fn take(&mut self, now: Instant) -> Result<Duration, Fault> {
        let since = now.duration_since(self.filled).as_secs_f64();
        self.left = since.mul_add(f64::from(EACH_SECOND), self.left).min(f64::from(BURST));
        self.filled = now;
        self.left -= 1.0;
        if self.left >= 0.0 {
            self.empty_since = None;
            return Ok(Duration::ZERO);
        }
        let since = *self.empty_since.get_or_insert(now);
        if now.duration_since(since) > OVERRATE_LIMIT {
            let message = format!("the client sends more than {EACH_SECOND} requests per second");
            return Err(Fault::new(Code::Overloaded, message));
        }
        Ok(Duration::from_secs_f64(-self.left / f64::from(EACH_SECOND)))
    }
}

/// Writes to a client before its welcome, or before it is disconnected; false when it does not read.
pub(super) async fn write(stream: &mut UnixStream, bytes: &[u8]) -> bool {
    matches!(timeout(HELLO, stream.write_all(bytes)).await, Ok(Ok(())))
}
