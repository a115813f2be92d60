//! Tells the user, on the ways that the configuration names, what a run came to.
//!
//! A [`Follower`] turns what a run shows into [`News`], each of them once: it knows which user message, which answer and which
//! wait a piece of news belongs to, and drops what says the same of the same. It is pure. A resumed run feeds it the journal
//! first, so that nothing is told again; a replay has no follower.
//!
//! A [`Notifier`] makes a [`Message`] of the news and gives it to each entry. Bell and desktop are bytes for the terminal of the
//! run, which the caller writes; a terminal that is attached to a run without one makes them itself ([`Ring`]). Everything else is
//! first kept in the run's directory (`outbox.rs`) and then sent by threads of its own, with retries (`backoff.rs`): the run waits
//! for none of them. At its end it waits [`END_WAIT`]; what is not sent then stays in the outbox, from which another process sends
//! it ([`deliver`]).
//!
//! A message is sent at least once: if ccc dies between a delivery and its removal from the outbox, it is sent again with the
//! same id.
//!
//! This room decides nothing about the run, reads no clock, and gives no command a credential. Requests are sent by `tokens/`.

mod backoff;
mod courier;
mod follower;
mod message;
mod notifier;
mod outbox;
mod ring;
mod shape;
mod terminal;

pub use courier::{Courier, Failure};
pub use follower::{Follower, News};
pub use message::{Message, Subject};
pub use notifier::{At, END_WAIT, Left, Notifier, Setting, deliver, has_left};
pub use ring::Ring;
pub use terminal::Terminal;
