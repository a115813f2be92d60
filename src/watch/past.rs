//! What a run that has ended did last, from its journal.

use std::collections::VecDeque;

use crate::control::protocol::Shown;
use crate::driver::{self, ReplayError};
use crate::journal::{ReadError, RunDir};

/// How many of the last events are shown.
const TAIL: usize = 400;

/// The last events of the run, with their positions; the time of day is not known. Waits for the disk.
///
/// # Errors
/// Why they cannot be shown, for the user.
pub(super) fn last_events(run: &RunDir) -> Result<Vec<Shown>, String> {
    let mut last: VecDeque<Shown> = VecDeque::new();
    let mut place = (0, 0);
    let read = driver::retell(&run.journal(), |_, n, tick, action| {
        if let Some(show) = action.as_show() {
            place = if place.0 == n { (n, place.1 + 1) } else { (n, 0) };
            last.push_back(Shown { n, i: Some(place.1), t: tick.0, at: 0, show: show.clone() });
            if last.len() > TAIL {
                last.pop_front();
            }
        }
    });
    match read {
        Ok(_) => Ok(last.into()),
        // It has not begun.
        Err(ReplayError::Read(ReadError::NoHeader { .. })) => Ok(Vec::new()),
        Err(error) if last.is_empty() => Err(error.to_string()),
        // A journal without its end is shown as far as it goes.
        Err(_) => Ok(last.into()),
    }
}
