//! An attached terminal: connects the run's socket, the keyboard and the screen to the conversation (`ui/conversation`), which
//! decides what is shown and done.
//!
//! One loop (`client`) takes news and performs the jobs of the conversation. Whatever blocks has its own thread: the socket, the
//! keyboard, the screen, reading the journal for history, the file search. The keyboard waits for none of them: a key takes
//! effect even while a long history is read or the terminal accepts nothing.
//!
//! This room decides nothing about the run. It may touch the control socket, the user's terminal, the journal (reading), and
//! `history.jsonl` in the state directory. The terminal is restored on every exit path.

mod client;
mod finder;
mod images;
mod link;
mod memory;
mod message;
mod past;
mod preview;
pub(crate) mod screen;
pub(crate) mod signals;

pub use client::{AttachEnd, AttachSetup, EndReason, attach, span_ms};
pub(crate) use link::answer;
