//! The history of a run, reproduced from its journal.

use std::path::Path;

use tokio::sync::mpsc::Sender;

use super::message::Message;
use crate::control::protocol::Shown;
use crate::driver::{self, ReplayError};
use crate::journal::{FileLock, ReadError, RunDir};

/// The batch size.
const BATCH: usize = 256;

/// Sends everything shown by the facts with numbers above `after` and below `before`, and then [`Message::PastOver`].
pub(super) fn tell(journal: &Path, after: u64, before: u64, messages: &Sender<Message>) {
    let mut told = after;
    let over = driver::catch_up(Some(before), || tell_after(&mut told, journal, before, messages));
    let over = over.err().map(|error| format!("the beginning of the run cannot be shown: {error}"));
    let _ = messages.blocking_send(Message::PastOver(over));
}

/// Sends everything shown by the facts with numbers above `after` up to the end of a run that takes no clients any more, and then
/// [`Message::PastOver`].
pub(super) fn tell_rest(run: &RunDir, after: u64, messages: &Sender<Message>) {
    // It may still write its end, and does so under its lock.
    let is_over = || !matches!(FileLock::holder(&run.lock()), Ok(Some(_)));
    let _ = driver::catch_up(Some(2), || Ok::<u64, ()>(u64::from(is_over())));
    let over = tell_after(&mut { after }, &run.journal(), u64::MAX, messages);
    let over = over.err().map(|error| format!("the end of the run cannot be shown: {error}"));
    let _ = messages.blocking_send(Message::PastOver(over));
}

/// Sends what the journal has after `told` and before `before`; returns the number of its last entry. Send errors are ignored:
/// without a loop the process is ending.
fn tell_after(told: &mut u64, journal: &Path, before: u64, messages: &Sender<Message>) -> Result<u64, ReplayError> {
    let mut batch = Vec::with_capacity(BATCH);
    let known = *told;
    let mut place = (0, 0);
    let read = driver::retell(journal, |_, n, tick, action| {
        if n <= known || n >= before {
            return;
        }
        *told = n;
        if let Some(show) = action.as_show() {
            place = if place.0 == n { (n, place.1 + 1) } else { (n, 0) };
            batch.push(Shown { n, i: Some(place.1), t: tick.0, at: 0, show: show.clone() });
        }
        if batch.len() >= BATCH {
            let full = std::mem::replace(&mut batch, Vec::with_capacity(BATCH));
            let _ = messages.blocking_send(Message::Past(full));
        }
    });
    let _ = messages.blocking_send(Message::Past(batch));
    match read {
        Ok(rebuilt) => Ok(rebuilt.tail.next_n.saturating_sub(1)),
        // The run is just beginning: it has shown nothing yet.
        Err(ReplayError::Read(ReadError::NoHeader { .. })) => Ok(0),
        Err(error) => Err(error),
    }
}
