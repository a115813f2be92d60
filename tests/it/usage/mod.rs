//! Asking the providers and showing usage, against a server on loopback.

mod hosts;
mod probing;
mod server;
mod shown;
