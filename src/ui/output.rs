/// To the first column, then everything from there on erased. The cursor is parked in the first column of the status
/// line, so this holds also after a terminal has grown narrower and broken that line into several.
pub const ERASE: &str = "\r\x1b[J";

/// Where an output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stream {
    /// stdout: data.
    Out,
    /// stderr: talk.
    Err,
}

/// How much an output matters when the reader cannot keep up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputKind {
    /// Must arrive: the final result, JSON.
    Data,
    /// Progress: dropped and counted when the queue is full.
    Talk,
    /// The status line by itself: dropped when anything is still waiting to be written.
    Status,
}

/// Text to be written, with its line ends (`\n` only) and, on a terminal, its colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScreenOutput {
    /// Where it goes.
    pub stream: Stream,
    /// How much it matters.
    pub kind: OutputKind,
    /// What is written; empty when an event has nothing to show.
    pub text: String,
}

impl ScreenOutput {
    /// Data for stdout.
    #[must_use]
    pub fn data(text: String) -> ScreenOutput {
        ScreenOutput { stream: Stream::Out, kind: OutputKind::Data, text }
    }

    /// Talk for stderr.
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
