//! The messages to the loop of the dashboard.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;

use super::roster::Found;
use crate::control::protocol::{Event, Shown, Welcome};
use crate::ui::conversation::Done;

/// A message to the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// A report of the link with this number.
    Link { number: u64, said: Said },
    /// Agents were read.
    Found(Found),
    /// The last events of a run that has ended, for the follower with this number.
    Past { number: u64, events: Result<Vec<Shown>, String> },
    /// The files of the agent that was read for the overlaps.
    Changed(Option<BTreeSet<PathBuf>>),
    /// Typed bytes.
    Keys(Vec<u8>),
    /// The terminal is gone.
    KeysClosed,
    /// A paint was written.
    Written,
    /// The command that has the terminal has ended.
    Returned(io::Result<ExitStatus>),
}

/// What a link reports.
#[derive(Debug)]
pub(super) enum Said {
    /// It is connected, and the run stands like this.
    Joined(Box<Welcome>),
    /// An event.
    Event(Event),
    /// The answer to an order.
    Answered(u64, Result<Done, String>),
    /// The connection has ended, or could not be made.
    Closed(String),
}
