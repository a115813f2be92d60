//! Reads the journal of a running run up to the entry where its socket begins. The socket sends an event as soon as it is
//! recorded in memory, so the file may lag behind for a moment.

use std::sync::mpsc;
use std::time::Duration;

/// How often the journal is read at most, so that a disk that hangs does not block a client for long.
const MOST_READS: u32 = 40;
/// The pause between two reads: nothing signals that a file grows.
const PAUSE: Duration = Duration::from_millis(50);

/// Calls `read`, which reads the journal and returns the number of its last entry, until every entry before `from` has been
/// read. Gives up after `MOST_READS`. Without `from` it reads once.
///
/// # Errors
/// The first error of `read`.
pub fn catch_up<E>(from: Option<u64>, read: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
    catch_up_after(PAUSE, from, read)
}

fn catch_up_after<E>(pause: Duration, from: Option<u64>, mut read: impl FnMut() -> Result<u64, E>) -> Result<(), E> {
    for _ in 0..MOST_READS {
        let last = read()?;
        if from.is_none_or(|from| last + 1 >= from) {
            break;
        }
        let (_never, silent) = mpsc::channel::<()>();
        let _ = silent.recv_timeout(pause);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{MOST_READS, catch_up_after};

    #[test]
    fn a_journal_is_read_until_it_has_what_the_socket_does_not_tell() {
        const ENDLESS: &[Option<u64>] = &[Some(3); MOST_READS as usize];
        // The first entry that the socket sends, the result of each read (`None`: an error), and whether the call succeeds.
        for (from, reads, is_well) in [
            (None, &[Some(0)][..], true),
            (Some(10), &[Some(12)], true),
            (Some(10), &[Some(9)], true),
            (Some(10), &[Some(3), Some(8), Some(9)], true),
            (Some(10), &[Some(3), None], false),
            (Some(10), ENDLESS, true),
        ] {
            let mut left = reads.iter();
            let read = || left.next().expect("it is read no further").ok_or(());
            assert_eq!(catch_up_after(Duration::ZERO, from, read).is_ok(), is_well, "{from:?} {reads:?}");
            assert_eq!(left.len(), 0, "{from:?} {reads:?}: it was read too seldom");
        }
    }
}
