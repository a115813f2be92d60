//! The functions that differ between operating systems: the process table, the environments and files of processes, orphans,
//! the death of a parent, descriptors. A new system needs a file beside `macos.rs` with the same functions, and its `cfg` lines
//! here; what it has no form of it takes from `absent.rs`.

#[cfg(not(target_os = "linux"))]
mod absent;
mod changed;
mod each_limits;
#[cfg(target_os = "linux")]
mod linux;
mod machine;
#[cfg(target_os = "macos")]
mod macos;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
mod other;
// Its tests run on every system.
#[cfg(any(target_os = "macos", test))]
mod procargs;
// Its tests run on every system.
#[cfg(any(target_os = "macos", test))]
mod seatbelt;
mod table;
mod walls;

#[cfg(target_os = "linux")]
use linux as this;
#[cfg(target_os = "macos")]
use macos as this;
#[cfg(not(any(target_os = "linux", target_os = "macos")))]
use other as this;

pub use changed::ChangedEntry;
pub(in crate::process) use each_limits::EachLimits;
pub use machine::MachineLoad;
pub(in crate::process) use table::{Process, Table};
use this::environment;
pub use this::{DirWatch, machine_load, use_one_heap, watch_names};
pub(super) use this::{
    GroupPlace, HAS_TABLE, LIMITS_EACH, NOT_RAISED, OwnGroup, Raise, adopted, around_scope, become_subreaper,
    booted_unix_ms, children, close_range, close_range_on_exec, counts_tasks_behind, end_with_parent,
    end_with_the_forking_thread, here, holds, is_out_of_memory, is_subreaper, look_up, name, open_pidfd,
    out_of_memory_kills, owner, read_table, signal, split, start, started_unix_ms, stop_being_subreaper,
    try_in_a_child, wall, written_bytes,
};
pub use walls::{Copied, Wall, Walls};

/// The present descendants of `pid`, excluding `pid`; at most `limit` processes.
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

/// A description of the process: program and pid.
pub(in crate::process) fn describe(process: &Process) -> String {
    format!("{} (pid {})", name(process.pid), process.pid)
}

/// Another process's environment at the time of its exec.
#[derive(Debug)]
pub(in crate::process) struct Environment(Vec<u8>);

impl Environment {
    /// Reads the environment. `None` for processes that have ended or are not readable.
    pub(in crate::process) fn of(pid: u32) -> Option<Self> {
        environment(pid).map(Self)
    }

    /// Whether it is empty: a zombie, a kernel thread, or a process caught mid-exec.
    pub(in crate::process) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a variable.
    pub(in crate::process) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}
