//! One file per command: its arguments (their doc comments are the manual) and what it does.

pub mod completions;
pub mod config;
pub mod demo;
pub mod doctor;
pub mod explain;
pub mod export;
pub mod init;
pub mod man;
pub mod prompt;
pub mod replay;
pub mod resume;
pub mod run;
pub mod runs;
pub mod scripted_agent;
pub mod supervise;
pub mod tokens;
pub mod trust;
pub mod usage;
