//! Finds the processes that a child has left running. This module only decides; [`super::sweep`] kills.

use std::collections::BTreeSet;

use super::record::Names;
use super::registry::{self, Entry, Registry};
use super::spec::{RUN_ID_VARIABLE, SPAWN_VARIABLE};
use super::system::{self, Environment, Process, Table};

/// How many processes are listed in a message.
const NAMED_PROCESSES: usize = 5;

/// ccc itself in the process table.
struct Ourselves {
    pid: u32,
    session: u32,
}

impl Ourselves {
    fn find(table: &Table) -> Option<Self> {
        let us = table.processes.get(&std::process::id())?;
        Some(Self { pid: us.pid, session: us.session })
    }

    /// A process in ccc's own session is never left over, because every child of this module has its own session.
    fn may_be_leftover(&self, process: &Process) -> bool {
        process.pid != self.pid && process.session != self.session && process.pid > 1
    }
}

/// The result of one scan.
#[derive(Debug)]
pub(super) struct Found {
    /// The processes left, including zombies.
    pub(super) processes: Vec<Process>,
    /// Whether the scan is complete: no process could have been missed because of a fork or an exec.
    pub(super) sure: bool,
}

impl Found {
    fn nothing() -> Self {
        Self { processes: Vec::new(), sure: false }
    }
}

/// The processes left of the registered child `spawn_id`, including zombies, excluding the child itself.
pub(super) fn of_child(registry: &Registry, spawn_id: &str, table: &Table) -> Found {
    let Some(us) = Ourselves::find(table) else {
        return Found::nothing();
    };
    let Some(child) = registry.entries.iter().find(|e| e.spawn_id == spawn_id) else {
        return Found::nothing();
    };
    let mut sure = table.whole;
    let others: Vec<&Entry> = registry.entries.iter().filter(|entry| entry.spawn_id != spawn_id).collect();
    let mut foreign: BTreeSet<u32> = registry.apart().collect();
    for other in &others {
        foreign.insert(other.pid);
        foreign.extend(table.iter().filter(|p| was_seen(other, p) || p.session == other.pid).map(|p| p.pid));
    }
    close_over(table, &us, &mut foreign, &BTreeSet::from([child.pid]));

    let mut ours = BTreeSet::from([child.pid]);
    for process in table.iter() {
        if !us.may_be_leftover(process) || foreign.contains(&process.pid) || process.start_ticks < child.start_ticks {
            continue;
        }
        if was_seen(child, process)
            || process.session == child.pid
            || by_environment(process, child, &others, &mut sure)
                .unwrap_or_else(|| by_elimination(process, &us, child, &others))
        {
            ours.insert(process.pid);
        }
    }
    close_over(table, &us, &mut ours, &foreign);
    ours.remove(&child.pid);
    Found { processes: pick(table, &ours), sure }
}

/// The processes that a child has left running outside its own session, such as tools of an agent, at one moment, and how much
/// each had written by then. Processes in the child's own session are excluded.
#[derive(Debug, Clone, Default)]
pub struct LeftRunning(Vec<(Process, Option<u64>)>);

impl LeftRunning {
    /// The ones of the child `spawn_id`.
    pub(super) fn of(spawn_id: &str) -> LeftRunning {
        let mut registry = registry::lock();
        let Some(entry) = registry.entry(spawn_id) else { return LeftRunning::default() };
        let below = entry.observe();
        let session = entry.pid;
        if below.iter().all(|process| process.session == session || process.zombie) && registry.is_without_orphans() {
            return LeftRunning::default();
        }
        let table = system::read_table();
        let found = of_child(&registry, spawn_id, &table).processes;
        let running = found.into_iter().filter(|process| process.session != session && !process.zombie);
        LeftRunning(running.map(|process| (process, system::written_bytes(process.pid))).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Descriptions of the processes, limited to what fits a sentence: first those that may have written since `earlier`, then
    /// the others. A process counts as possibly writing if the system does not report how much it has written.
    #[must_use]
    pub fn written_since(&self, earlier: &LeftRunning) -> (Vec<String>, Vec<String>) {
        let before = |process: &Process| {
            let same =
                |(other, _): &&(Process, _)| (other.pid, other.start_ticks) == (process.pid, process.start_ticks);
            // A process that started since then had written nothing.
            earlier.0.iter().find(same).map_or(Some(0), |(_, written)| *written)
        };
        let has_written = |(process, written): &&(Process, Option<u64>)| {
            written.zip(before(process)).is_none_or(|(now, then)| now != then)
        };
        let (writers, others): (Vec<_>, Vec<_>) = self.0.iter().partition(has_written);
        let told = |list: Vec<&(Process, Option<u64>)>| {
            list.into_iter().take(NAMED_PROCESSES).map(|(process, _)| system::describe(process)).collect()
        };
        (told(writers), told(others))
    }
}

fn was_seen(child: &Entry, process: &Process) -> bool {
    child.seen.get(&process.pid) == Some(&process.start_ticks)
}

/// Whether the cookie names this child (true), another living child (false), or neither. A process caught mid-exec has an empty
/// environment, so `sure` becomes false.
fn by_environment(process: &Process, child: &Entry, others: &[&Entry], sure: &mut bool) -> Option<bool> {
    if process.zombie {
        return None;
    }
    let environment = Environment::of(process.pid)?;
    // Kernel threads have no session.
    if environment.is_empty() && process.session != 0 {
        *sure = false;
    }
    let cookie = environment.get(SPAWN_VARIABLE)?;
    if cookie == child.spawn_id.as_bytes() {
        Some(true)
    } else if others.iter().any(|other| cookie == other.spawn_id.as_bytes()) {
        Some(false)
    } else {
        None
    }
}

/// For an orphan without other evidence: it belongs to this child if it still holds the child's PTY or pipe, or if no other
/// child could have started it.
fn by_elimination(process: &Process, us: &Ourselves, child: &Entry, others: &[&Entry]) -> bool {
    process.parent == us.pid
        && (system::holds(process.pid, &child.marks)
            || others.iter().all(|other| other.start_ticks > process.start_ticks))
}

/// The processes left of a dead run: those that have its id in their environment, these that were found before, and the descendants
/// of both.
pub(super) fn of_run(registry: &Registry, run_id: &str, known: &Names, table: &Table) -> Found {
    of_dead_run(registry, table, |process| {
        known.contains(&(process.pid, process.start_ticks))
            || Environment::of(process.pid)
                .is_some_and(|environment| environment.get(RUN_ID_VARIABLE) == Some(run_id.as_bytes()))
    })
}

/// The processes left of a dead run according to its record: the recorded descendants of its children, these that were found before,
/// and the present descendants of both.
pub(super) fn of_record(registry: &Registry, names: &Names, known: &Names, table: &Table) -> Found {
    of_dead_run(registry, table, |process| {
        let name = (process.pid, process.start_ticks);
        names.contains(&name) || known.contains(&name)
    })
}

/// The processes of a dead run with their descendants. Excludes ccc itself, its ancestors (an agent may have started the
/// terminal multiplexer that ccc runs in), and the processes of living children.
fn of_dead_run(registry: &Registry, table: &Table, is_its: impl Fn(&Process) -> bool) -> Found {
    let Some(us) = Ourselves::find(table) else {
        return Found::nothing();
    };
    let foreign = not_a_dead_runs(registry, &us, table);
    let mut found: BTreeSet<u32> = table
        .iter()
        .filter(|p| us.may_be_leftover(p) && !p.zombie && !foreign.contains(&p.pid) && is_its(p))
        .map(|p| p.pid)
        .collect();
    close_over(table, &us, &mut found, &foreign);
    // This happens once per start, so a second scan is cheap enough.
    Found { processes: pick(table, &found), sure: false }
}

/// ccc's ancestors, and the processes of living children.
fn not_a_dead_runs(registry: &Registry, us: &Ourselves, table: &Table) -> BTreeSet<u32> {
    let mut foreign = ancestors(table, us.pid);
    let mut apart = registry.apart().collect();
    close_over(table, us, &mut apart, &BTreeSet::new());
    foreign.extend(apart);
    for entry in &registry.entries {
        foreign.insert(entry.pid);
        foreign.extend(table.iter().filter(|p| was_seen(entry, p) || p.session == entry.pid).map(|p| p.pid));
    }
    foreign.extend(table.iter().filter(|p| us.may_be_leftover(p) && is_living_childs(registry, p)).map(|p| p.pid));
    foreign
}

fn is_living_childs(registry: &Registry, process: &Process) -> bool {
    !registry.entries.is_empty()
        && Environment::of(process.pid).is_some_and(|environment| {
            let cookie = environment.get(SPAWN_VARIABLE);
            registry.entries.iter().any(|entry| cookie == Some(entry.spawn_id.as_bytes()))
        })
}

fn ancestors(table: &Table, pid: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::new();
    let mut next = Some(pid);
    while let Some(pid) = next
        && found.insert(pid)
    {
        next = table.processes.get(&pid).map(|process| process.parent);
    }
    found
}

/// Adds to `set` all descendants of its members, and all processes in sessions that a member leads, except `barred`.
fn close_over(table: &Table, us: &Ourselves, set: &mut BTreeSet<u32>, barred: &BTreeSet<u32>) {
    loop {
        let before = set.len();
        for process in table.iter() {
            if us.may_be_leftover(process)
                && !barred.contains(&process.pid)
                && (set.contains(&process.parent) || set.contains(&process.session))
            {
                set.insert(process.pid);
            }
        }
        if set.len() == before {
            return;
        }
    }
}

fn pick(table: &Table, pids: &BTreeSet<u32>) -> Vec<Process> {
    pids.iter().filter_map(|pid| table.processes.get(pid).copied()).collect()
}
