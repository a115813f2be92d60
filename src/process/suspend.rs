//! Stops everything that belongs to a child, and continues it.

use rustix::process::{Pid, Signal as RawSignal};

use super::leftovers;
use super::registry::{self, Registered};
use super::signal::Signal;
use super::system::{self, Process, Table};

/// How many scans one stop makes. Processes can fork during a scan, so it is repeated until nothing new is found; what
/// forks faster than that is left running.
const PASSES_LIMIT: u32 = 20;

/// The processes that were stopped, parents before their children. A process that was stopped before is not
/// among them: what stopped it continues it.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<Process>);

/// Stops all that belongs to the child but the child itself: every session and group of it. Parents first, so that no shell
/// sees its job stopped.
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
        moving.sort_by_key(|process| depth(process, &table));
        for process in moving {
            if signal(&process, RawSignal::STOP) {
                held.0.push(process);
            }
        }
    }
    held
}

impl Held {
    /// Lets them go on, children before their parents.
    pub(super) fn let_go(&mut self) {
        for process in self.0.drain(..).rev() {
            signal(&process, RawSignal::CONT);
        }
    }

    /// Adds those of another stop.
    pub(super) fn absorb(&mut self, later: Held) {
        self.0.extend(later.0);
    }

    fn has(&self, process: &Process) -> bool {
        self.0.iter().any(|held| (held.pid, held.start_ticks) == (process.pid, process.start_ticks))
    }
}

/// All children of this ccc with everything below them, stopped.
#[derive(Debug, Default)]
#[must_use = "they are stopped until they are let go"]
pub struct Stopped {
    children: Vec<Registered>,
    held: Held,
}

/// Stops all children: agents and critics, checks and helpers, whatever session their processes are in. Parents
/// first, so that none sees the stop of what it has started.
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
    /// Lets all of them go on, what was started below a child before the child.
    pub fn let_go(&mut self) {
        self.held.let_go();
        for child in self.children.drain(..) {
            registry::signal(&child, Signal::Continue, !system::HAS_TABLE);
        }
        registry::stands_still(false);
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// How far below the first process it is.
fn depth(process: &Process, table: &Table) -> usize {
    let mut depth = 0;
    let mut parent = process.parent;
    while let Some(above) = table.processes.get(&parent) {
        // A tree of processes has no cycle, but a table that was read while pids were used again may.
        if above.pid <= 1 || depth > table.processes.len() {
            break;
        }
        parent = above.parent;
        depth += 1;
    }
    depth
}

/// Whether exactly this process was sent the signal.
fn signal(process: &Process, signal: RawSignal) -> bool {
    let same = system::look_up(process.pid).is_some_and(|now| now.start_ticks == process.start_ticks);
    let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
    same && pid.is_some_and(|pid| rustix::process::kill_process(pid, signal).is_ok())
}
