//! ccc's live children, which a search for orphans must exclude.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use super::ids::session_of;
use super::record::Record;
use super::signal::Signal;
use super::system::{self, Process};

/// How many descendants are recorded per child. Beyond that, ended ones are dropped.
const SEEN_LIMIT: usize = 4096;

/// An orphan of a child may have gone to init: see [`super::let_go`].
static STRAYS: AtomicBool = AtomicBool::new(false);

/// From now on, an orphan of a child may be elsewhere than below this process.
pub(super) fn expect_strays() {
    STRAYS.store(true, Ordering::Relaxed);
}

/// A child from its start until it is reaped.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) pid: u32,
    /// Unique among all starts of all ccc processes since boot.
    pub(super) spawn_id: String,
    /// The run that it was started for; empty for none.
    run_id: String,
    /// See [`Process::start_ticks`].
    pub(super) start_ticks: u64,
    /// See [`super::launch::Stdios::marks`].
    pub(super) marks: Vec<OsString>,
    /// pid and start time of the descendants seen.
    pub(super) seen: HashMap<u32, u64>,
}

impl Entry {
    /// Records and returns the child's present descendants, so that each can still be attributed to the child after it has
    /// become an orphan with a clean environment.
    pub(super) fn observe(&mut self) -> Vec<Process> {
        let below = system::descendants(self.pid, SEEN_LIMIT);
        if self.seen.len() + below.len() > SEEN_LIMIT {
            self.seen.retain(|pid, start| system::look_up(*pid).is_some_and(|p| p.start_ticks == *start));
        }
        self.seen.extend(below.iter().map(|p| (p.pid, p.start_ticks)));
        below
    }
}

/// All live children.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) entries: Vec<Entry>,
    /// pid and start time of processes that belong to no run of this process, see [`super::apart`].
    apart: Vec<(u32, u64)>,
    starts: u64,
    /// When this process started, once it was looked up; see [`Process::start_ticks`].
    own_start_ticks: Option<u64>,
    /// The records of descendants, by the run's id.
    records: BTreeMap<String, Arc<Mutex<Record>>>,
    /// When the children were stopped together with ccc, and for how long they were stopped before.
    still_since: Option<Instant>,
    paused: Duration,
}

static REGISTRY: Mutex<Registry> = Mutex::new(Registry {
    entries: Vec::new(),
    apart: Vec::new(),
    starts: 0,
    own_start_ticks: None,
    records: BTreeMap::new(),
    still_since: None,
    paused: Duration::ZERO,
});

/// Locks the registry. While it is locked, no child is started or reaped, so its pids stay valid.
pub(super) fn lock() -> MutexGuard<'static, Registry> {
    REGISTRY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes that the children were stopped or continued.
#[allow(clippy::disallowed_methods, reason = "process/ is an edge: the time of the real world")]
pub(super) fn stands_still(still: bool) {
    let mut registry = lock();
    let since = registry.still_since.take();
    registry.paused += since.map_or(Duration::ZERO, |since| since.elapsed());
    registry.still_since = still.then(Instant::now);
}

/// How long the children have been stopped in total. No timeout of theirs counts this time.
pub(super) fn paused() -> Duration {
    lock().paused
}

/// A handle of a registered child. It includes the start's id, because a pid can be reused.
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

/// Starts a child of the run `run_id` with `start`, which gets the start's id and returns the pid. The registry stays locked
/// meanwhile, so a concurrent sweep either sees no child yet or finds it registered.
pub(super) fn register(
    run_id: &str,
    marks: Vec<OsString>,
    start: impl FnOnce(&str) -> io::Result<u32>,
) -> io::Result<Registered> {
    let mut registry = lock();
    registry.starts += 1;
    let us = std::process::id();
    let our_start =
        *registry.own_start_ticks.get_or_insert_with(|| system::look_up(us).map_or(0, |process| process.start_ticks));
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
    /// The entry of this start, unless its process was reaped.
    pub(super) fn entry(&mut self, spawn_id: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.spawn_id == spawn_id)
    }

    /// Handles of all children.
    pub(super) fn children(&self) -> Vec<Registered> {
        let named = |entry: &Entry| {
            let pid = i32::try_from(entry.pid).ok().and_then(Pid::from_raw)?;
            Some(Registered { pid, spawn_id: entry.spawn_id.clone() })
        };
        self.entries.iter().filter_map(named).collect()
    }

    /// This new child of ours belongs to none of our runs.
    pub(super) fn stands_apart(&mut self, pid: u32) {
        self.apart.retain(|(pid, start)| lives(*pid, *start));
        if let Some(process) = system::look_up(pid) {
            self.apart.push((pid, process.start_ticks));
        }
    }

    /// The living processes that belong to none of our runs.
    pub(super) fn apart(&self) -> impl Iterator<Item = u32> {
        self.apart.iter().filter(|(pid, start)| lives(*pid, *start)).map(|(pid, _)| *pid)
    }

    /// Whether this pid belongs to a registered child.
    pub(super) fn knows(&self, pid: u32) -> bool {
        self.entries.iter().any(|entry| entry.pid == pid)
    }

    /// The live orphans that became ccc's children, with their descendants.
    fn orphans(&self) -> Vec<Process> {
        let mut found = self.adopted();
        found.retain(|process| !process.zombie);
        let below: Vec<Process> = found.iter().flat_map(|p| system::descendants(p.pid, SEEN_LIMIT)).collect();
        found.extend(below);
        found
    }

    /// The orphans that became ccc's children, including zombies.
    pub(super) fn adopted(&self) -> Vec<Process> {
        let us = std::process::id();
        self.orphans_among(system::adopted(us).unwrap_or_else(|| system::children(us)))
    }

    /// Of these children, those that are neither registered nor in ccc's own session.
    pub(super) fn orphans_among(&self, mut children: Vec<u32>) -> Vec<Process> {
        let stands_apart = |pid: u32| self.apart.iter().any(|(apart, start)| *apart == pid && lives(pid, *start));
        children.retain(|pid| !self.knows(*pid) && !stands_apart(*pid));
        if children.is_empty() {
            return Vec::new();
        }
        let session = session_of(None).map_or(0, |session| session.as_raw_nonzero().get().unsigned_abs());
        children.into_iter().filter_map(system::look_up).filter(|process| process.session != session).collect()
    }

    /// Whether every orphan below ccc becomes its child and none is alive. Then nothing that a child started outlives it, and
    /// everything that a live child started is its descendant. Reading the whole table costs some three system calls per
    /// process of the machine; this check costs four. Nothing is reaped while the registry is locked, so the list is complete.
    pub(super) fn is_without_orphans(&self) -> bool {
        self.orphans_if_dead().is_some()
    }

    /// The orphans that wait to be reaped, if ccc [has no living ones](Self::is_without_orphans).
    pub(super) fn orphans_if_dead(&self) -> Option<Vec<Process>> {
        if STRAYS.load(Ordering::Relaxed) || !system::is_subreaper() {
            return None;
        }
        let orphans = self.orphans_among(system::adopted(std::process::id())?);
        orphans.iter().all(|process| process.zombie).then_some(orphans)
    }

    /// Removes the child without reaping it; [`super::reap_orphans`] reaps it.
    pub(super) fn forget(&mut self, spawn_id: &str) {
        self.entries.retain(|entry| entry.spawn_id != spawn_id);
    }
}

fn lives(pid: u32, start_ticks: u64) -> bool {
    system::look_up(pid).is_some_and(|process| process.start_ticks == start_ticks && !process.zombie)
}

/// The exit code or the signal; neither when code outside this module has reaped the child.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) signal: Option<i32>,
}

/// Waits until the child has exited, and leaves it unreaped, so that its pid is not reused.
pub(super) fn wait_unreaped(child: &Registered) -> Ended {
    loop {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        match waitid(WaitId::Pid(child.pid), options) {
            Ok(Some(status)) => return Ended { code: status.exit_status(), signal: status.terminating_signal() },
            Err(rustix::io::Errno::INTR) => {}
            // Other code has reaped it, so its status is lost.
            Ok(None) | Err(_) => return Ended::default(),
        }
    }
}

/// Reaps an exited child and removes it.
pub(super) fn reap(child: &Registered) {
    let mut registry = lock();
    let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
    let _ = waitid(WaitId::Pid(child.pid), options);
    registry.forget(&child.spawn_id);
}

/// Scans the child's descendants, see [`Entry::observe`].
pub(super) fn observe(child: &Registered) {
    let run_id = lock().entry(&child.spawn_id).map(|entry| entry.run_id.clone()).unwrap_or_default();
    observe_where(&run_id, |entry| entry.spawn_id == child.spawn_id);
}

/// Scans the descendants of every child of a run, and the orphans that became ccc's children. Call it regularly, because a
/// silent child is not scanned otherwise.
pub fn observe_run(run_id: &str) {
    observe_where(run_id, |entry| entry.run_id == run_id);
}

fn observe_where(run_id: &str, is_meant: impl Fn(&Entry) -> bool) {
    let mut registry = lock();
    let mut seen: Vec<Process> =
        registry.entries.iter_mut().filter(|entry| is_meant(entry)).flat_map(Entry::observe).collect();
    let Some(record) = registry.records.get(run_id).cloned() else { return };
    // If several runs start processes, an orphan cannot be attributed to one of them.
    if registry.records.len() == 1 {
        seen.extend(registry.orphans());
    }
    // Unlock first, so that a disk that hangs does not block the start and the reaping of children.
    drop(registry);
    record.lock().unwrap_or_else(PoisonError::into_inner).add(&seen);
}

/// The descendants of a run's children are recorded until this is dropped.
#[derive(Debug)]
#[must_use = "nothing is written down any more when it is dropped"]
pub struct Recording(String);

impl Drop for Recording {
    fn drop(&mut self) {
        lock().records.remove(&self.0);
    }
}

/// Starts to record the descendants of the run's children in this file. It begins with those processes of `earlier`, the text
/// of an earlier record, that are still alive. See [`super::end_recorded`].
///
/// # Errors
/// When the file cannot be written.
pub fn record_descendants(run_id: &str, file: File, earlier: &str) -> io::Result<Recording> {
    let record = Record::begin(file, earlier)?;
    lock().records.insert(run_id.to_owned(), Arc::new(Mutex::new(record)));
    Ok(Recording(run_id.to_owned()))
}

/// Sends a signal to the child, or to its process group, unless it was reaped. Its descendants are recorded first, because the
/// signal may end it.
pub(super) fn signal(child: &Registered, signal: Signal, to_group: bool) {
    let mut registry = lock();
    if let Some(entry) = registry.entry(&child.spawn_id) {
        entry.observe();
        send(child, signal, to_group);
    }
}

/// Sends a signal to a registered child, while the registry is locked.
pub(super) fn send(child: &Registered, signal: Signal, to_group: bool) {
    // A failure means that the child has exited already, so there is nothing to report.
    let _ = if to_group {
        rustix::process::kill_process_group(child.pid, signal.raw())
    } else {
        rustix::process::kill_process(child.pid, signal.raw())
    };
}
