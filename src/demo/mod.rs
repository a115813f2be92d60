//! The scripted agent and the night that `ccc demo` shows.
//!
//! [`scripted`] is the machine, [`process`] gives it a real stdin, stdout and clock, [`scenario`] is a script that shows
//! what ccc is for. Nothing here talks to a model or to the network.

pub mod process;
pub mod scenario;
pub mod scripted;
