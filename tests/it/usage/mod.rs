//! Asking the providers and showing usage, against a server on loopback.

mod hosts;
mod probing;
mod refresh;
pub(crate) mod server;
mod tls;
