//! Our live children. A search for orphans looks here first.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, WaitIdStatus, waitid};

use super::record::Record;
use super::signal::Signal;
use super::system::{self, Process};

/// How many processes are remembered per child as seen below it. Past it those that are gone are forgotten.
const SEEN_LIMIT: usize = 4096;

/// A child from its start until it is reaped.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pid: u32,
    /// Unique among all starts of all ccc processes since boot.
    pub(super) spawn_id: String,
    /// The run that it was started for; empty for none.
    run_id: String,
    /// Clock ticks since boot.
    pub(super) start_ticks: u64,
    /// See [`super::launch::Stdios::marks`].
    pub(super) marks: Vec<OsString>,
    /// pid and start of what was seen below the child.
    pub(super) seen: HashMap<u32, u64>,
}

impl Entry {
    /// Remembers what is below the child now, so that it is known for the child's when it has become an orphan with a clean environment.
    /// Gives what that is.
    pub(super) fn observe(&mut self) -> Vec<Process> {
        let below = system::descendants(self.pid, SEEN_LIMIT);
        if self.seen.len() + below.len() > SEEN_LIMIT {
            self.seen.retain(|pid, start| system::look_up(*pid).is_some_and(|p| p.start_ticks == *start));
        }
        self.seen.extend(below.iter().map(|p| (p.pid, p.start_ticks)));
        below
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) entries: Vec<Entry>,
    starts: u64,
    /// Where what was seen below the children of a run is written down, by the run's id.
    records: BTreeMap<String, Arc<Mutex<Record>>>,
    /// Since when the children stand still with ccc, and for how long they had before.
    still_since: Option<Instant>,
    paused: Duration,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    entries: Vec::new(),
    starts: 0,
    records: BTreeMap::new(),
    still_since: None,
    paused: Duration::ZERO,
});

/// Locks the registry. While it is locked, no child is started or reaped: pids in it stay valid.
pub(super) fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The children stand still from now on, or go on.
#[allow(clippy::disallowed_methods, reason = "process/ is an edge: the time of the real world")]
pub(super) fn stands_still(still: bool) {
    let mut registry = lock();
    let since = registry.still_since.take();
    registry.paused += since.map_or(Duration::ZERO, |since| since.elapsed());
    registry.still_since = still.then(Instant::now);
}

/// For how long the children have stood still so far: time that counts for no limit of theirs.
pub(super) fn paused() -> Duration {
    lock().paused
}

/// Names a registered child: the start's id, since a pid comes again.
#[derive(Debug, Clone)]
pub(super) struct Registered {
    pub(super) pid: Pid,
    pub(super) spawn_id: String,
}

impl Registered {
    /// The pid as a number.
    pub(super) fn number(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }
}

/// Starts a child of the run `run_id` by `start`, which is given the start's id and returns the pid, under the registry's lock: a sweep in another thread either
/// does not see the child or knows it.
pub(super) fn register(
    run_id: &str,
    marks: Vec<OsString>,
    start: impl FnOnce(&str) -> io::Result<u32>,
) -> io::Result<Registered> {
    let mut registry = lock();
    registry.starts += 1;
    let us = std::process::id();
    let our_start = system::look_up(us).map_or(0, |process| process.start_ticks);
    let spawn_id = format!("{us}.{our_start}.{}", registry.starts);
    let number = start(&spawn_id)?;
    let pid = i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::from_raw_os_error(rustix::io::Errno::SRCH.raw_os_error()))?;
    registry.entries.push(Entry {
        pid: number,
        spawn_id: spawn_id.clone(),
        run_id: run_id.to_owned(),
        start_ticks: system::look_up(number).map_or(0, |process| process.start_ticks),
        marks,
        seen: HashMap::new(),
    });
    Ok(Registered { pid, spawn_id })
}

impl Registry {
    /// The entry of this start, unless it was reaped.
    pub(super) fn entry(&mut self, spawn_id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.spawn_id == spawn_id)
    }

    /// The names of all.
    pub(super) fn children(&self) -> Vec<Registered> {
        let named = |entry: &Entry| {
            let pid = i32::try_from(entry.pid).ok().and_then(Pid::from_raw)?;
            Some(Registered { pid, spawn_id: entry.spawn_id.clone() })
        };
        self.entries.iter().filter_map(named).collect()
    }

    /// Is this pid a registered child's?
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.entries.iter().any(|entry| entry.pid == pid)
    }

    /// The orphans that came to us and live, with all that is below them.
    fn orphans(&self) -> Vec<Process> {
        let mut found = self.adopted();
        found.retain(|process| !process.zombie);
        let below: Vec<Process> = found.iter().flat_map(|p| system::descendants(p.pid, SEEN_LIMIT)).collect();
        found.extend(below);
        found
    }

    /// The orphans that came to us, those among them that have exited.
    pub(super) fn adopted(&self) -> Vec<Process> {
        let us = std::process::id();
        self.orphans_among(system::adopted(us).unwrap_or_else(|| system::children(us)))
    }

    /// Those that are neither registered nor in our own session.
    pub(super) fn orphans_among(&self, mut children: Vec<u32>) -> Vec<Process> {
        children.retain(|pid| !self.knows(*pid));
        if children.is_empty() {
            return Vec::new();
        }
        let Some(session) = system::look_up(std::process::id()).map(|process| process.session) else {
            return Vec::new();
        };
        children.into_iter().filter_map(system::look_up).filter(|process| process.session != session).collect()
    }

    /// No orphan that came to us lives, and every orphan below us comes to us. Then nothing that a child started outlives it, and
    /// of a living child all that it started is below it. A look at the whole table costs some three system calls for each
    /// process of the machine, this costs four. While the registry is locked nobody reaps, so the list misses none.
    pub(super) fn is_without_orphans(&self) -> bool {
        let live = |children| self.orphans_among(children).iter().any(|process| !process.zombie);
        system::is_subreaper() && system::adopted(std::process::id()).is_some_and(|children| !live(children))
    }

    /// Forgets the child without reaping it; [`super::reap_orphans`] does that.
    pub(super) fn forget(&mut self, spawn_id: &str) {
        self.entries.retain(|entry| entry.spawn_id != spawn_id);
    }
}

/// Waits until the child has exited and leaves it unreaped, so that its pid stays its own.
pub(super) fn wait_unreaped(child: &Registered) -> Option<WaitIdStatus> {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(child.pid), options) {
            Ok(status) => return status,
            Err(rustix::io::Errno::INTR) => {}
            // Somebody else reaped it: its status is lost.
            Err(_) => return None,
        }
    }
}

/// Reaps an exited child and forgets it.
pub(super) fn reap(child: &Registered) {
    let mut registry = lock();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let _ = waitid(WaitId::Pid(child.pid), options);
    registry.forget(&child.spawn_id);
}

/// Looks at what is below the child, see [`Entry::observe`].
pub(super) fn observe(child: &Registered) {
    let run_id = lock().entry(&child.spawn_id).map(|entry| entry.run_id.clone()).unwrap_or_default();
    observe_where(&run_id, |entry| entry.spawn_id == child.spawn_id);
}

/// Looks at what is below every child of a run, and at the orphans that came to us. Meant to be called now and then: a child
/// that is silent is not looked at otherwise.
pub fn observe_run(run_id: &str) {
    observe_where(run_id, |entry| entry.run_id == run_id);
}

fn observe_where(run_id: &str, is_meant: impl Fn(&Entry) -> bool) {
    let mut registry = lock();
    let mut seen: Vec<Process> =
        registry.entries.iter_mut().filter(|entry| is_meant(entry)).flat_map(Entry::observe).collect();
    let Some(record) = registry.records.get(run_id).cloned() else { return };
    // Whose an orphan is nobody can tell where several runs start processes.
    if registry.records.len() == 1 {
        seen.extend(registry.orphans());
    }
    // A disk that hangs must not keep children from being started and reaped.
    drop(registry);
    record.lock().unwrap_or_else(PoisonError::into_inner).add(&seen);
}

/// What is seen below the children of a run is written down as long as this lives.
#[derive(Debug)]
#[must_use = "nothing is written down any more when it is dropped"]
pub struct Recording(String);

impl Drop for Recording {
    fn drop(&mut self) {
        lock().records.remove(&self.0);
    }
}

/// From now on what is seen below the children of the run is written into this file, after what of `earlier`, the text of an
/// earlier record, still lives. See [`super::end_recorded`].
///
/// # Errors
/// When the file cannot be written.
pub fn record_descendants(run_id: &str, file: File, earlier: &str) -> io::Result<Recording> {
    let record = Record::begin(file, earlier)?;
    lock().records.insert(run_id.to_owned(), Arc::new(Mutex::new(record)));
    Ok(Recording(run_id.to_owned()))
}

/// Sends a signal to the child, or to its process group, unless it was reaped; what is below it is remembered first, since a
/// signal may be the end of it.
pub(super) fn signal(child: &Registered, signal: Signal, to_group: bool) {
    let mut registry = lock();
    if let Some(entry) = registry.entry(&child.spawn_id) {
        entry.observe();
        send(child, signal, to_group);
    }
}

/// Sends a signal to a child that is registered, while the registry is locked.
pub(super) fn send(child: &Registered, signal: Signal, to_group: bool) {
    // A failure means that it has exited already: there is nothing to tell anybody.
    let _ = if to_group {
        rustix::process::kill_process_group(child.pid, signal.raw())
    } else {
        rustix::process::kill_process(child.pid, signal.raw())
    };
}
