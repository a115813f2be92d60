//! ccc keeps an AI coding agent working, unattended, until an independent critic agrees that the task is done.

pub mod attach;
pub mod checkpoint;
pub mod cli;
pub mod config;
pub mod control;
pub mod demo;
pub mod driver;
pub mod files;
pub mod fleet;
pub mod git;
pub mod guard;
pub mod journal;
pub mod keeper;
pub mod notify;
pub mod patch;
pub mod process;
pub mod protect;
pub mod publish;
pub mod report;
pub mod retention;
pub mod tasks;
pub mod tokens;
pub mod ui;
pub mod watch;
pub mod worktree;

pub use supervision::{agenda, agent, core, json, order, stream, upkeep, words};
