//! A snapshot of the process table.

use std::collections::BTreeMap;

/// One process in the snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::process) struct Process {
    pub(in crate::process) pid: u32,
    pub(in crate::process) parent: u32,
    pub(in crate::process) group: u32,
    pub(in crate::process) session: u32,
    /// The start time in the system's own unit: on Linux clock ticks since boot, on macOS microseconds since 1970. It identifies
    /// a process together with the pid.
    pub(in crate::process) start_ticks: u64,
    /// It has exited and waits to be reaped.
    pub(in crate::process) zombie: bool,
    /// It was stopped by a signal.
    pub(in crate::process) stopped: bool,
}

/// All processes in the snapshot.
#[derive(Debug, Default)]
pub(in crate::process) struct Table {
    pub(in crate::process) processes: BTreeMap<u32, Process>,
    /// Whether the table is complete, because nothing was forked while it was read.
    pub(in crate::process) whole: bool,
}

impl Table {
    pub(in crate::process) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }
}
