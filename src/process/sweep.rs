//! Kills the processes left of a child or of a run, and reaps orphans.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal as RawSignal, WaitId, WaitIdOptions, waitid};

use super::leftovers::{self, Found};
use super::record::{self, Names, Survivor};
use super::registry::{self, Registered, Registry};
use super::signal::Signal;
use super::system::{self, Process, Table};
use super::wake::poll;

/// The most scans of one sweep. A sweep ends when two scans in a row find no process.
pub const SWEEP_PASSES_LIMIT: u32 = 200;
/// The longest time of one sweep, in milliseconds. Processes that are still alive then are reported as leaked.
pub const SWEEP_LIMIT_MS: u64 = 3_000;
/// How long one scan waits for the end of one killed process, in milliseconds.
const DEATH_WAIT_MS: u64 = 100;
/// How long what a dead run has left may tidy up, in milliseconds, before it is killed. A git removes its locks within a few; killed,
/// it would leave them in the user's repository for ever.
const TIDY_MS: u64 = 500;
/// How many scans in a row must find nothing before a sweep ends, because a process may fork while the table is read. One
/// complete scan is enough.
const QUIET_PASSES: u32 = 2;

/// The result of a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes that were killed.
    pub killed: u32,
    /// Processes alive at the end: not permitted to kill, stuck in the kernel, or forking faster than the limits allow.
    pub leaked: u32,
}

/// Makes orphaned descendants children of ccc instead of init, so that sweeps find them whatever their environment is. Call it
/// once, early. Without it (and outside Linux) orphans are still found by cookie, session and descriptors.
pub fn become_subreaper() {
    system::become_subreaper();
}

/// Reaps every orphan that became ccc's child and has exited, and returns how many. Call it at every SIGCHLD. It reaps neither
/// registered children nor processes in ccc's own session (a plain `std::process::Command`).
pub fn reap_orphans() -> u32 {
    let registry = registry::lock();
    reap(&registry.adopted())
}

fn reap(orphans: &[Process]) -> u32 {
    let mut reaped = 0;
    for pid in orphans.iter().filter(|process| process.zombie).filter_map(|process| to_pid(process.pid)) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG;
        if let Ok(Some(_)) = waitid(WaitId::Pid(pid), options) {
            reaped += 1;
        }
    }
    reaped
}

/// Ends the processes left of a dead run, found by its id in their environment ([`super::RUN_ID_VARIABLE`]), with their
/// descendants: by SIGTERM, and by SIGKILL half a second later. Call it at start-up, under the run's lock, so that no other ccc supervises the run. An empty id matches
/// nothing.
pub fn sweep_run(run_id: &str) -> Swept {
    if run_id.is_empty() {
        return Swept::default();
    }
    // Do not kill groups: a shell may carry the variable and share its group with other processes of the user.
    sweep(|registry, table, known| leftovers::of_run(registry, run_id, known, table), Means::AskFirst)
}

/// Ends, as [`sweep_run`], the processes left of a run according to its record ([`super::record_descendants`]): those whose pid and start time
/// still match, with their descendants. Returns the processes found, each with whether it was ended.
pub fn end_recorded(record: &str) -> Vec<Survivor> {
    // The table of all processes is read only where one of them lives.
    let names = record::living(record);
    if names.is_empty() {
        return Vec::new();
    }
    let found = leftovers::of_record(&registry::lock(), &names, &Names::new(), &system::read_table()).processes;
    let mut survivors: Vec<(Survivor, Process)> = found.iter().map(|p| (Survivor::of(p), *p)).collect();
    if survivors.is_empty() {
        return Vec::new();
    }
    sweep(|registry, table, known| leftovers::of_record(registry, &names, known, table), Means::AskFirst);
    for (survivor, process) in &mut survivors {
        survivor.ended = !survivor.lives(process);
    }
    survivors.into_iter().map(|(survivor, _)| survivor).collect()
}

/// Kills the processes that an exited, unreaped child has left running.
pub(super) fn sweep_child(child: &Registered) -> Swept {
    {
        let registry = registry::lock();
        if let Some(dead) = registry.orphans_if_dead() {
            reap(&dead);
            return Swept::default();
        }
    }
    sweep(
        |registry, table, _| {
            let found = leftovers::of_child(registry, &child.spawn_id, table);
            // Kill the group after the scan, so that its processes are counted. The zombie keeps its pid, and therefore its
            // group, from being reused, so this is free of races. Without a process table it is the only kill.
            let _ = rustix::process::kill_process_group(child.pid, RawSignal::KILL);
            found
        },
        Means::KillGroup,
    )
}

/// Kills a child with its descendants. Returns at once; the sweep after the child's exit does the rest.
pub(super) fn kill_tree(child: &Registered) {
    // Stop the group first, so that it cannot fork during the scan.
    registry::signal(child, Signal::Stop, true);
    let mut registry = registry::lock();
    let Some(entry) = registry.entry(&child.spawn_id) else { return };
    let below = entry.observe();
    if !(below.is_empty() && registry.is_without_orphans()) {
        let table = system::read_table();
        for process in leftovers::of_child(&registry, &child.spawn_id, &table).processes {
            end(&process, Means::KillGroup, &table, &registry);
        }
    }
    registry::send(child, Signal::Kill, true);
    registry::send(child, Signal::Kill, false);
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Means {
    /// By SIGTERM. A sweep kills it later.
    AskFirst,
    /// By SIGKILL.
    Kill,
    /// By SIGKILL, and with it its process group, in one step that no fork can escape.
    KillGroup,
}

/// `find` gets what was found before: what has been asked to end may have lost its parent, by which it was found, and go on.
fn sweep(find: impl Fn(&Registry, &Table, &Names) -> Found, mut means: Means) -> Swept {
    #[allow(clippy::disallowed_methods, reason = "process/ is an edge: deadlines of the real world")]
    let now = std::time::Instant::now;
    let deadline = now() + Duration::from_millis(SWEEP_LIMIT_MS);
    let mut killed = Names::new();
    let mut refused = Names::new();
    let mut alive = Vec::new();
    let mut quiet = 0;
    for _ in 0..SWEEP_PASSES_LIMIT {
        let mut dying = Vec::new();
        let sure;
        {
            let registry = registry::lock();
            let table = system::read_table();
            let found = find(&registry, &table, &killed);
            sure = found.sure;
            alive = found.processes;
            alive.retain(|p| !p.zombie);
            for process in &alive {
                let name = (process.pid, process.start_ticks);
                match end(process, means, &table, &registry) {
                    Killed::Dying(pidfd) => {
                        killed.insert(name);
                        dying.extend(pidfd);
                    }
                    Killed::Refused => {
                        refused.insert(name);
                    }
                    Killed::Gone => {}
                }
            }
        }
        alive.retain(|p| !refused.contains(&(p.pid, p.start_ticks)));
        quiet = match (alive.is_empty(), sure) {
            (true, true) => QUIET_PASSES,
            (true, false) => quiet + 1,
            (false, _) => 0,
        };
        if quiet >= QUIET_PASSES || now() >= deadline {
            break;
        }
        let asked = means == Means::AskFirst;
        let until = now() + Duration::from_millis(TIDY_MS);
        for pidfd in &dying {
            let wait =
                if asked { until.saturating_duration_since(now()) } else { Duration::from_millis(DEATH_WAIT_MS) };
            // Readable once the process has exited.
            let _ = poll([Some((pidfd.as_fd(), PollFlags::IN))], Some(wait));
        }
        if asked {
            if dying.is_empty() && !alive.is_empty() {
                // This system has no descriptors of processes.
                let _ = poll([None], Some(Duration::from_millis(TIDY_MS)));
            }
            means = Means::Kill;
        }
    }
    // A process that another thread of ccc has put into its own session outside this module is treated as an orphan, too.
    let registry = registry::lock();
    reap(&registry.orphans_among(system::children(std::process::id())));
    drop(registry);
    let leaked = if quiet >= QUIET_PASSES { refused.len() } else { refused.len() + alive.len() };
    let still: Names = alive.iter().map(|p| (p.pid, p.start_ticks)).collect();
    Swept { killed: count(killed.difference(&still).count()), leaked: count(leaked) }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn to_pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

enum Killed {
    /// The signal was sent. The descriptor, if the system has one, becomes readable when the process has exited.
    Dying(Option<OwnedFd>),
    /// It had ended already, or its pid was reused.
    Gone,
    /// ccc is not permitted to kill it.
    Refused,
}

/// Sends the signal to exactly this process. The descriptor is opened first and the start time compared afterwards, so a process
/// that reused the pid is spared.
fn end(process: &Process, means: Means, table: &Table, registry: &Registry) -> Killed {
    let Some(pid) = to_pid(process.pid) else {
        return Killed::Gone;
    };
    let pidfd = match system::open_pidfd(pid) {
        Ok(pidfd) => pidfd,
        Err(_) => return Killed::Gone,
    };
    if system::look_up(process.pid).is_none_or(|now| now.start_ticks != process.start_ticks) {
        return Killed::Gone;
    }
    if means == Means::KillGroup && group_is_alien_free(process, table, registry) {
        // The group belongs to a process verified as alive, so its number cannot be reused.
        if let Some(group) = to_pid(process.group) {
            let _ = rustix::process::kill_process_group(group, RawSignal::KILL);
        }
    }
    let by = if means == Means::AskFirst { RawSignal::TERM } else { RawSignal::KILL };
    match system::signal(pid, pidfd.as_ref(), by) {
        Ok(()) => Killed::Dying(pidfd),
        Err(Errno::PERM) => Killed::Refused,
        // ESRCH: the process has ended already, for example by the group kill.
        Err(_) => Killed::Dying(pidfd),
    }
}

/// Whether the process's group contains no registered child, so that the whole group may be killed. A group lies within one
/// session, and only children of this module create sessions other than ccc's.
fn group_is_alien_free(process: &Process, table: &Table, registry: &Registry) -> bool {
    process.group > 1
        && !table.iter().any(|other| other.group == process.group && !other.zombie && registry.knows(other.pid))
}
