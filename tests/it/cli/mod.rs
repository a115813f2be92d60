//! The command line in a clean environment: whole outputs, with the temporary directory written as `[ROOT]`.

// clippy.toml allows them inside test functions; what those share stands outside.
#![allow(clippy::expect_used, reason = "a failed expectation is a failed test")]

mod completions;
mod config;
mod doctor;
mod errors;
mod files;
mod help;
mod hostile;
mod init;
mod library;
mod notify;
mod pages;
mod prompt;
#[cfg(target_os = "linux")]
mod report;
mod runs;
mod sandbox;
mod state;
mod tokens;
mod trust;
mod usage;
mod words;
mod workflow;
