//! `ccc supervise -- CMD…` through the built program: real programs, on a real terminal where there is one.
//!
//! Must not: wait without an event and a deadline, or test what a transition of the core alone decides.

#![cfg(test)]

mod clock;
mod life;
mod limits;
mod provider;
mod secrets;
mod terminal;
pub(crate) mod tty;

use std::fs;
use std::path::Path;

use crate::whole_runs::harness::{Ended, Ground, Running, look_until};

/// Nobody listens there.
const NOWHERE: &str = "http://127.0.0.1:9";

/// Starts `ccc supervise` without a terminal, with these options, for this shell script.
fn supervise<'a>(ground: &'a Ground, base_url: &str, options: &[&str], script: &str) -> Running<'a> {
    let last = ["--", "sh", "-c", script];
    let args = ["supervise"].iter().chain(options).chain(&last);
    Running::spawn(ground, ground.command(base_url, args).env("CCC_GRACE", "300ms"))
}

/// The same to its end.
fn run<'a>(ground: &'a Ground, options: &[&str], script: &str) -> Ended<'a> {
    supervise(ground, NOWHERE, options, script).end()
}

/// Waits for a file's whole lines.
#[track_caller]
fn until_lines(path: &Path, count: usize) -> Vec<String> {
    look_until(&format!("{count} lines in {}", path.display()), || {
        let text = fs::read_to_string(path).ok()?;
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        (lines.len() >= count && text.ends_with('\n')).then_some(lines)
    })
}

/// The state letter of a process in `/proc`; `None` when it is gone.
pub(crate) fn state_of(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(')').next()?.trim_start().chars().next()
}
