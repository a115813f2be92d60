//! What each operating system does in its own way: the table of processes, their environments and files, orphans, the end of a
//! parent, descriptors. To add a system: a file beside `other.rs` with the same functions, and its lines here.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(not(target_os = "linux"))]
mod other;

use std::collections::BTreeMap;

#[cfg(target_os = "linux")]
use linux as this;
#[cfg(not(target_os = "linux"))]
use other as this;

use this::environment;
pub use this::is_ignored;
pub(super) use this::{
    HAS_TABLE, adopted, become_subreaper, children, close_range, close_range_on_exec, end_with_parent, here, holds,
    is_subreaper, kill_by, look_up, name, open_pidfd, owner, read_table, split, unix_ms, written_bytes,
};

/// One process at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) struct Process {
    pub(in crate::process) pid: u32,
    pub(in crate::process) parent: u32,
    pub(in crate::process) group: u32,
    pub(in crate::process) session: u32,
    /// When it started, in clock ticks since boot: with the pid it names a process for good.
    pub(in crate::process) start_ticks: u64,
    /// It has exited and waits to be reaped.
    pub(in crate::process) zombie: bool,
    /// It was stopped by a signal.
    pub(in crate::process) stopped: bool,
}

/// All processes at one moment.
#[derive(Debug, Default)]
pub(in crate::process) struct Table {
    pub(in crate::process) processes: BTreeMap<u32, Process>,
    /// Nothing was forked while it was read, so none is missing.
    pub(in crate::process) whole: bool,
}

impl Table {
    pub(in crate::process) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }
}

/// All that descends from `pid` now, without `pid`; at most `limit` processes.
pub(in crate::process) fn descendants(pid: u32, limit: usize) -> Vec<Process> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if found.len() >= limit {
                return found;
            }
            if let Some(process) = look_up(child) {
                found.push(process);
                open.push(child);
            }
        }
    }
    found
}

/// A process in words: its program and its pid.
pub(in crate::process) fn describe(process: &Process) -> String {
    format!("{} (pid {})", name(process.pid), process.pid)
}

/// Another process's environment, as it was when the process began to execute.
#[derive(Debug)]
pub(in crate::process) struct Environment(Vec<u8>);

impl Environment {
    /// Reads it. None for processes that are gone or not ours to read.
    pub(in crate::process) fn of(pid: u32) -> Option<Self> {
        environment(pid).map(Self)
    }

    /// Empty: a zombie, a kernel thread, or a process that is just about to execute another program.
    pub(in crate::process) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A variable's value.
    pub(in crate::process) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}
