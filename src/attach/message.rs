//! The messages to the loop of an attached terminal.

use crate::control::protocol::{FromRun, Shown};
use crate::words::Image;

/// A message to the loop.
#[derive(Debug)]
pub(super) enum Message {
    /// A line of the run, over the connection with this number.
    Run { link: u32, said: Box<FromRun> },
    /// The connection was closed, and why.
    Closed { link: u32, why: Option<String> },
    /// Typed bytes.
    Keys(Vec<u8>),
    /// The terminal is gone.
    KeysClosed,
    /// A paint was written.
    Written,
    /// The result of a file search.
    Files { query: String, names: Vec<String> },
    /// An image was read, or an error.
    Looked { path: String, image: Result<Image, Option<String>> },
    /// Part of the history.
    Past(Vec<Shown>),
    /// The end of the history, or why it is incomplete.
    PastOver(Option<String>),
}
