//! The scripted agent, and the run that `ccc demo` shows.
//!
//! [`scripted`] is the pure machine, [`process`] connects it to a real stdin, stdout and clock, and [`scenario`] is the
//! script of the demonstration. Nothing here talks to a model or to the network.

pub mod process;
pub mod scenario;
pub mod scripted;
