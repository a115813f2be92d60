//! The command line in a clean environment: whole outputs, with the temporary directory written as `[ROOT]`.

// clippy.toml allows them inside test functions; what those share stands outside.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod config;
mod doctor;
mod errors;
mod files;
mod help;
mod hostile;
mod init;
mod library;
mod notify;
mod prompt;
mod sandbox;
mod state;
mod tokens;
mod trust;
mod usage;
mod words;
