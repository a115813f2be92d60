//! One policy for tokens, waits and restarts. It serves the agent's run ([`Core`](super::Core)) and the supervised command
//! ([`CommandCore`](super::supervised::CommandCore)), so that both decide the same.
//!
//! The values here own their state. They take facts and the time, and give a choice, a wait or a count. Each machine itself
//! acts on it (restarts a process, stops a program, asks the user).

mod choice;
mod clock;
mod limit_ends;
mod limit_question;
mod restart_count;
mod retries;
mod tokens;
mod wait;

pub use choice::{Choice, LONGEST_RESET_MS, announced_reset, choose, is_limited, learn, merge_windows, utilization};
pub(super) use clock::Clock;
pub(super) use limit_question::{Asked, Settled};
pub(super) use restart_count::{RestartCount, WINDOW_MS, pause_ms};
pub(super) use retries::Again;
pub(super) use tokens::{SET_ASIDE_MS, Tokens};
pub(super) use wait::{Pause, Waited, reset_jitter_ms};
