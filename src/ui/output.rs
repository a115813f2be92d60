/// Moves the cursor to the first column and erases everything from there on. This also works after a terminal has
/// become narrower and has broken the status line into several rows, because the cursor stays in the first column of
/// that line.
pub const ERASE: &str = "\r\x1b[J";

/// Where an output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// stdout: data.
    Out,
    /// stderr: messages.
    Err,
}

/// What happens to an output when the reader cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// Must arrive: the final result, JSON.
    Data,
    /// Progress: dropped and counted when the queue is full.
    Talk,
    /// The status line alone: dropped when anything else is waiting to be written.
    Status,
}

/// Text to be written, with its line ends (`\n` only) and, on a terminal, its colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenOutput {
    /// Where it goes.
    pub stream: Stream,
    /// What happens to it when the reader cannot keep up.
    pub kind: OutputKind,
    /// The text; empty when an event has nothing to show.
    pub text: String,
}

impl ScreenOutput {
    /// Data for stdout.
    #[must_use]
    pub fn data(text: String) -> ScreenOutput {
        ScreenOutput { stream: Stream::Out, kind: OutputKind::Data, text }
    }

    /// A message for stderr.
    #[must_use]
    pub fn talk(text: String) -> ScreenOutput {
        ScreenOutput { stream: Stream::Err, kind: OutputKind::Talk, text }
    }

    /// The status line, for stderr.
    #[must_use]
    pub fn status(text: String) -> ScreenOutput {
        ScreenOutput { stream: Stream::Err, kind: OutputKind::Status, text }
    }

    /// Nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }
}
