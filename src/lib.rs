//! ccc keeps an AI coding agent working, unattended, until an independent critic agrees that the task is done.

pub mod agent;
pub mod cli;
pub mod config;
pub mod core;
pub mod demo;
pub mod driver;
pub mod files;
pub mod guard;
pub mod journal;
pub mod process;
#[cfg(test)]
mod recordings;
pub mod stream;
pub mod tokens;
pub mod ui;
