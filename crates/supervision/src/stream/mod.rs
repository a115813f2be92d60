//! Bytes to frames to messages, and messages to bytes: the `stream-json` protocol of the agent's CLI.
//!
//! Three steps, each usable without the next:
//! 1. [`FrameDecoder`] splits the bytes of a PTY or pipe, chunked in any way, into [`Frame`]s: JSON lines, noise that
//!    is not JSON, and lines over the [`LineLimit`].
//! 2. Every JSON line has an [`Envelope`], borrowed from the line, which says what kind of message it is. This step
//!    checks that the line is JSON and is the only work for the partial messages that make up most of a stream.
//! 3. [`parse_message`] decodes the fields of the known messages, on demand.
//!
//! The contract: no input is an error that loses a line. Unknown types and fields are kept ([`Message::Other`],
//! [`Envelope::line`]), a field of an unexpected type is absent, half a surrogate pair is replaced by U+FFFD. The CLI
//! changes every week, so nothing here is stricter than JSON itself.
//!
//! This module must not read, write, wait, log, or decide what a message means for a run; the adapter decides that.

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
