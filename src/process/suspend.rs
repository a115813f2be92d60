//! Stops all processes of a child, and continues them.

use rustix::process::{Pid, Signal as RawSignal};

use super::leftovers;
use super::registry::{self, Registered};
use super::signal::Signal;
use super::system::{self, Process, Table};
use crate::order::sort_by_key;

/// How many scans one stop makes. Processes can fork during a scan, so it is repeated until it finds nothing new. A process
/// tree that forks faster is left running.
const PASSES_LIMIT: u32 = 20;

/// The processes that were stopped, parents before their children. Processes that had been stopped before are not included,
/// because whatever stopped them will continue them.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Process>);

/// Stops all processes of the child except the child itself, in every session and group. Parents are stopped first, so that no
/// shell notices that its job stopped.
pub(super) fn hold(child: &Registered) -> Held {
    let mut held = Held::default();
    for _ in 0..PASSES_LIMIT {
        let mut registry = registry::lock();
        let Some(entry) = registry.entry(&child.spawn_id) else { return held };
        entry.observe();
        let table = system::read_table();
        let found = leftovers::of_child(&registry, &child.spawn_id, &table);
        let mut moving: Vec<Process> = found
            .processes
            .into_iter()
            .filter(|process| !process.zombie && !process.stopped && !held.has(process))
            .collect();
        if moving.is_empty() && found.sure {
            break;
        }
        sort_by_key(&mut moving, |process| depth(process, &table));
        for process in moving {
            if signal(&process, RawSignal::STOP) {
                held.0.push(process);
            }
        }
    }
    held
}

impl Held {
    /// Continues them, children before their parents.
    pub(super) fn resume(&mut self) {
        for process in self.0.drain(..).rev() {
            signal(&process, RawSignal::CONT);
        }
    }

    /// Adds the processes of another stop.
    pub(super) fn absorb(&mut self, later: Held) {
        self.0.extend(later.0);
    }

    fn has(&self, process: &Process) -> bool {
        self.0.iter().any(|held| (held.pid, held.start_ticks) == (process.pid, process.start_ticks))
    }
}

/// All children of this ccc with their descendants, stopped.
#[derive(Debug, Default)]
#[must_use = "they are stopped until they are let go"]
pub struct Stopped {
    children: Vec<Registered>,
    held: Held,
}

/// Stops all children with their descendants, in every session: agents and critics, checks and helpers. Parents are stopped
/// first, so that none notices the stop of a child.
pub fn stop_children() -> Stopped {
    let mut stopped = Stopped { children: registry::lock().children(), held: Held::default() };
    registry::stands_still(true);
    for child in &stopped.children {
        registry::signal(child, Signal::Stop, !system::HAS_TABLE);
        stopped.held.absorb(hold(child));
    }
    stopped
}

impl Stopped {
    /// Continues all of them, the descendants of a child before the child.
    pub fn resume(&mut self) {
        self.held.resume();
        for child in self.children.drain(..) {
            registry::signal(&child, Signal::Continue, !system::HAS_TABLE);
        }
        registry::stands_still(false);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.resume();
    }
}

/// The depth of the process below init.
fn depth(process: &Process, table: &Table) -> usize {
    let mut depth = 0;
    let mut parent = process.parent;
    while let Some(above) = table.processes.get(&parent) {
        // A process tree has no cycle, but a table that was read while pids were reused may have one.
        if above.pid <= 1 || depth > table.processes.len() {
            break;
        }
        parent = above.parent;
        depth += 1;
    }
    depth
}

/// Sends the signal unless the pid was reused; returns whether it was sent.
fn signal(process: &Process, signal: RawSignal) -> bool {
    let same = system::look_up(process.pid).is_some_and(|now| now.start_ticks == process.start_ticks);
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    same && pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}
