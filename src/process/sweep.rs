//! Kills what is left of a child or of a run, and reaps orphans.

use std::collections::HashSet;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Signal as RawSignal, WaitId, WaitIdOptions, waitid};

use super::leftovers::{self, Found};
use super::record::{self, Survivor};
use super::registry::{self, Registered, Registry};
use super::signal::Signal;
use super::system::{self, Process, Table};
use super::wake::poll;

/// How often one sweep looks for survivors at most. A sweep ends when two looks in a row find none.
pub const SWEEP_PASSES_LIMIT: u32 = 200;
/// How long one sweep takes at most, in milliseconds; what then lives is reported as leaked.
pub const SWEEP_LIMIT_MS: u64 = 3_000;
/// How long one look waits for one killed process to be gone, in milliseconds.
const DEATH_WAIT_MS: u64 = 100;
/// Looks that must find nothing before a sweep believes it, unless one is sure by itself: a process may fork while the table is read.
const QUIET_PASSES: u32 = 2;

/// What a sweep did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Processes that were killed.
    pub killed: u32,
    /// Processes that still lived at the end: not ours to kill, stuck in the kernel, or forking faster than the limits allow.
    pub leaked: u32,
}

/// Makes orphaned descendants come to us instead of init, so that sweeps find them whatever their environment.
/// Call once, early. Without it (and on other systems than Linux) orphans are still found by cookie, session and descriptors.
pub fn become_subreaper() {
    system::become_subreaper();
}

/// Reaps every orphan that came to us and has exited. Meant to be called at every SIGCHLD.
/// Takes neither a registered child's status nor that of a process in our own session (a plain `std::process::Command`). Returns how many.
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

/// Kills what a dead run has left behind, found by its id in the environment ([`super::RUN_ID_VARIABLE`]), with all that is below.
/// Meant for start-up, under the run's lock: nobody may be supervising that run. An empty id matches nothing.
pub fn sweep_run(run_id: &str) -> Swept {
    if run_id.is_empty() {
        return Swept::default();
    }
    // No group kills: such a variable may also stand in a shell that the user shares with others.
    sweep(|registry, table| leftovers::of_run(registry, run_id, table), Reach::Process)
}

/// Kills what is left of a run by its record ([`super::record_descendants`]): what was seen below its children and is the
/// same process still, by pid and start, with all that is below. Gives what was found, and whether it was ended.
pub fn end_recorded(record: &str) -> Vec<Survivor> {
    let names = record::named(record);
    if names.is_empty() {
        return Vec::new();
    }
    let found = leftovers::of_record(&registry::lock(), &names, &system::read_table()).processes;
    let mut survivors: Vec<(Survivor, Process)> = found.iter().map(|p| (Survivor::of(p), *p)).collect();
    if survivors.is_empty() {
        return Vec::new();
    }
    sweep(|registry, table| leftovers::of_record(registry, &names, table), Reach::Process);
    for (survivor, process) in &mut survivors {
        survivor.ended = !survivor.lives(process);
    }
    survivors.into_iter().map(|(survivor, _)| survivor).collect()
}

/// Kills what an exited, unreaped child has left running.
pub(super) fn sweep_child(child: &Registered) -> Swept {
    {
        let registry = registry::lock();
        if registry.is_without_orphans() {
            reap(&registry.adopted());
            return Swept::default();
        }
    }
    sweep(
        |registry, table| {
            let found = leftovers::of_child(registry, &child.spawn_id, table);
            // After the look, so that they are counted. The zombie pins its pid, hence its group: race-free, and all there is on systems
            // without a process table.
            let _ = rustix::process::kill_process_group(child.pid, RawSignal::KILL);
            found
        },
        Reach::Group,
    )
}

/// Kills a child with everything below it. Returns at once; the rest is the sweep's after the child's exit.
pub(super) fn kill_tree(child: &Registered) {
    // A process that is stopped starts nothing while we look.
    registry::signal(child, Signal::Stop, true);
    let mut registry = registry::lock();
    let Some(entry) = registry.entry(&child.spawn_id) else { return };
    let below = entry.observe();
    if !(below.is_empty() && registry.is_without_orphans()) {
        let table = system::read_table();
        for process in leftovers::of_child(&registry, &child.spawn_id, &table).processes {
            kill(&process, Reach::Group, &table, &registry);
        }
    }
    registry::send(child, Signal::Kill, true);
    registry::send(child, Signal::Kill, false);
}

/// Whom a kill takes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Process,
    /// Also the process group, in one step that no fork can slip through.
    Group,
}

fn sweep(find: impl Fn(&Registry, &Table) -> Found, reach: Reach) -> Swept {
    #[allow(clippy::disallowed_methods, reason = "process/ is an edge: deadlines of the real world")]
    let now = std::time::Instant::now;
    let deadline = now() + Duration::from_millis(SWEEP_LIMIT_MS);
    let mut killed: HashSet<(u32, u64)> = HashSet::new();
    let mut refused: HashSet<(u32, u64)> = HashSet::new();
    let mut alive = Vec::new();
    let mut quiet = 0;
    for _ in 0..SWEEP_PASSES_LIMIT {
        let mut dying = Vec::new();
        let sure;
        {
            let registry = registry::lock();
            let table = system::read_table();
            let found = find(&registry, &table);
            sure = found.sure;
            alive = found.processes;
            alive.retain(|p| !p.zombie);
            for process in &alive {
                let name = (process.pid, process.start_ticks);
                match kill(process, reach, &table, &registry) {
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
        for pidfd in &dying {
            // Readable once the process has exited.
            let _ = poll([Some((pidfd.as_fd(), PollFlags::IN))], Some(Duration::from_millis(DEATH_WAIT_MS)));
        }
    }
    // What another thread of ours has started outside this module is left over, too.
    let registry = registry::lock();
    reap(&registry.orphans_among(system::children(std::process::id())));
    drop(registry);
    let leaked = if quiet >= QUIET_PASSES { refused.len() } else { refused.len() + alive.len() };
    let still: HashSet<(u32, u64)> = alive.iter().map(|p| (p.pid, p.start_ticks)).collect();
    Swept { killed: count(killed.difference(&still).count()), leaked: count(leaked) }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn to_pid(number: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(number).ok()?)
}

enum Killed {
    /// The signal was sent; the descriptor, where the system has one, tells when it is gone.
    Dying(Option<OwnedFd>),
    /// It was gone already, or its pid is another's now.
    Gone,
    /// Not ours to kill.
    Refused,
}

/// Sends SIGKILL to exactly this process: the descriptor is taken first, then the start is compared, so a pid that was used again is spared.
fn kill(process: &Process, reach: Reach, table: &Table, registry: &Registry) -> Killed {
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
    if reach == Reach::Group && group_is_alien_free(process, table, registry) {
        // Verified a moment ago as the group of a living process, which keeps the number from being used again.
        if let Some(group) = to_pid(process.group) {
            let _ = rustix::process::kill_process_group(group, RawSignal::KILL);
        }
    }
    let sent = match &pidfd {
        Some(pidfd) => system::kill_by(pidfd),
        None => rustix::process::kill_process(pid, RawSignal::KILL),
    };
    match sent {
        Ok(()) => Killed::Dying(pidfd),
        Err(Errno::PERM) => Killed::Refused,
        // ESRCH: the group kill, or somebody else, was faster.
        Err(_) => Killed::Dying(pidfd),
    }
}

/// No registered child is in the process's group, so the whole group may go: a group lies within one session, and sessions outside ours are
/// made by children of this module only.
fn group_is_alien_free(process: &Process, table: &Table, registry: &Registry) -> bool {
    process.group > 1
        && !table.iter().any(|other| other.group == process.group && !other.zombie && registry.knows(other.pid))
}
