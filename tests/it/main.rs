//! One test binary for everything that runs through the library or the built program.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the tests are an edge, and shared parts of them must be able to fail a test"
)]

mod cli;
mod control;
mod conversation;
mod doc_pages;
mod fifo;
mod fleet;
mod fuzzed;
mod import_graph;
mod journal;
mod keeper;
mod supervise;
#[macro_use]
mod whole_runs;
mod native;
mod night;
mod openspec;
mod ownfaults;
mod packages;
mod process;
mod program;
mod providers;
mod purity;
mod real_cli;
mod recordings;
mod replays;
mod scripted;
mod scripted_api;
mod second_cli;
mod stream;
mod stream_fixtures;
mod ui;
mod usage;
mod walls;
mod watch;
