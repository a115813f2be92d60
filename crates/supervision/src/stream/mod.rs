//! Bytes to frames to messages, and messages to bytes: the `stream-json` protocol of the agent's CLI.
//!
//! Three steps, each of which can be used without the next:
//! 1. [`FrameDecoder`] cuts the bytes of a PTY or pipe, chunked in any way, into [`Frame`]s: lines that are JSON, noise
//!    that is not, and lines over the [`LineLimit`].
//! 2. Every JSON line has an [`Envelope`]: what kind of message it is, borrowed from the line. This step checks that
//!    the line is JSON and is the only work done for the partial messages that make up most of a stream.
//! 3. [`parse_message`] decodes the fields of the messages that we know, on demand.
//!
//! The contract: no input is an error that loses a line. Unknown types and fields pass ([`Message::Other`],
//! [`Envelope::line`]), a field of an unexpected type is absent, half an escaped character is replaced by U+FFFD. The CLI changes
//! every week, so nothing here is stricter than JSON itself.
//!
//! What this module must not do: read, write, wait, log, or decide what a message means for a run; that is the adapter's.

pub mod encode;
mod envelope;
mod escape;
mod frame;
pub mod message;
mod raw;
mod scan;

pub use envelope::{Envelope, is_partial, parse_envelope};
pub use frame::{Frame, FrameDecoder, LineLimit};
pub use message::{Message, parse_message};
pub use raw::{FromRaw, Raw};
