//! macOS: `libproc`, `sysctl` and `kqueue`. Orphans go to launchd, so they are found by their session, the record of what was seen
//! below a child, and the environment.
//!
//! This file is type-checked for every change, and was not run by those who wrote it. What it takes for granted stands in XNU's
//! `bsd/kern/proc_info.c`, `bsd/kern/kern_prot.c` and `bsd/kern/kern_sysctl.c`.

use std::collections::BTreeMap;
use std::ffi::{CStr, OsString, c_int, c_void};
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::ptr::null_mut;

use rustix::event::Timespec;
use rustix::event::kqueue::{Event, EventFilter, EventFlags, ProcessEvents, kevent_timespec, kqueue};
use rustix::io::Errno;
use rustix::process::Pid;

pub use super::absent::{DirWatch, machine_load, use_one_heap, watch_names};
pub(in crate::process) use super::absent::{
    GroupPlace, LIMITS_EACH, NOT_RAISED, OwnGroup, adopted, around_scope, become_subreaper, close_range,
    close_range_on_exec, counts_tasks_behind, end_with_parent, end_with_the_forking_thread, holds, is_out_of_memory,
    is_subreaper, out_of_memory_kills, signal, split, start, stop_being_subreaper, written_bytes,
};
use super::procargs::environment_in;
use super::seatbelt;
use super::table::{Process, Table};
use super::walls::{Wall, Walls};
use crate::process::ids::session_of;

/// Whether [`read_table`] and the look-ups of single processes work.
pub(in crate::process) const HAS_TABLE: bool = true;

/// Room in a list of pids for processes that start while it is read.
const MORE_PIDS: usize = 64;
/// The most bytes of arguments and environment that a process can have, and the count before them (`ARG_MAX`).
const PROCARGS_BYTES: usize = 1024 * 1024 + size_of::<c_int>();
/// The argument of `proc_pidinfo` that includes processes which wait to be reaped.
const ZOMBIES_TOO: u64 = 1;
const PROC_PPID_ONLY: u32 = 6;
const PROC_ALL_PIDS: u32 = 1;

/// All processes. Whether some were started meanwhile is not told, so it is never taken for complete.
pub(in crate::process) fn read_table() -> Table {
    let processes: BTreeMap<u32, Process> =
        pids(PROC_ALL_PIDS, 0).into_iter().filter_map(|pid| Some((pid, look_up(pid)?))).collect();
    Table { processes, whole: false }
}

/// The process that has this pid now.
pub(in crate::process) fn look_up(pid: u32) -> Option<Process> {
    let told = told(pid)?;
    let session = to_pid(pid).and_then(|pid| session_of(Some(pid)));
    // The session of a process that waits to be reaped is not told. As one of ccc's own session it is left to whoever started it.
    let session =
        session.or_else(|| session_of(None)).map_or(0, |session| session.as_raw_nonzero().get().unsigned_abs());
    Some(Process {
        pid,
        parent: told.pbi_ppid,
        group: told.pbi_pgid,
        session,
        // A clock that is set back between the start of a child and that of a process which has left its tree makes the latter look
        // older than the child.
        start_ticks: told.pbi_start_tvsec.saturating_mul(1_000_000).saturating_add(told.pbi_start_tvusec),
        zombie: told.pbi_status == libc::SZOMB,
        stopped: told.pbi_status == libc::SSTOP,
    })
}

/// The children of `pid`.
pub(in crate::process) fn children(pid: u32) -> Vec<u32> {
    pids(PROC_PPID_ONLY, pid)
}

/// The name of a process's program.
pub(in crate::process) fn name(pid: u32) -> String {
    told(pid).map(|told| text(&told.pbi_name)).unwrap_or_default()
}

/// The boot in which pids and start times are valid.
pub(in crate::process) fn here() -> String {
    let mut buffer = [0_u8; 64];
    let read = read_by_name(c"kern.bootsessionuuid", &mut buffer).and_then(|count| buffer.get(..count));
    let boot = read.and_then(|bytes| CStr::from_bytes_until_nul(bytes).ok()).map(CStr::to_string_lossy);
    format!("boot {}", boot.unwrap_or_default())
}

/// The wall time of a start.
pub(in crate::process) fn started_unix_ms(ticks: u64) -> Option<i64> {
    i64::try_from(ticks / 1_000).ok()
}

/// When the machine was started.
pub(in crate::process) fn booted_unix_ms() -> Option<i64> {
    let mut buffer = [0_u8; size_of::<libc::timeval>()];
    let count = read_by_name(c"kern.boottime", &mut buffer)?;
    let seconds = buffer.get(..count)?.first_chunk()?;
    i64::from_ne_bytes(*seconds).checked_mul(1_000)
}

/// The environment of a process: `NAME=value`, each followed by a NUL byte. Empty for a program that System Integrity Protection
/// restricts, such as `/bin/sh`. `None` for processes that have ended or are not readable.
pub(in crate::process) fn environment(pid: u32) -> Option<Vec<u8>> {
    let mut bytes = vec![0_u8; PROCARGS_BYTES];
    let mut what = [libc::CTL_KERN, libc::KERN_PROCARGS2, c_int::try_from(pid).ok()?];
    let mut count = bytes.len();
    #[allow(unsafe_code, reason = "the standard library and rustix have no sysctl(3)")]
    // SAFETY: three numbers are named and given, at most `count` bytes are written to the buffer of that length, and nothing is set.
    let failed =
        unsafe { libc::sysctl(what.as_mut_ptr(), 3, bytes.as_mut_ptr().cast(), &raw mut count, null_mut(), 0) };
    if failed == 0 { environment_in(bytes.get(..count)?) } else { None }
}

/// The user that a process belongs to.
pub(in crate::process) fn owner(pid: u32) -> Option<u32> {
    told(pid).map(|told| told.pbi_uid)
}

/// A descriptor that becomes readable when this process has ended. `None` without a free descriptor.
///
/// # Errors
/// `SRCH`: there is no such process, or it has ended.
pub(in crate::process) fn open_pidfd(pid: Pid) -> rustix::io::Result<Option<OwnedFd>> {
    let Ok(queue) = kqueue() else { return Ok(None) };
    let end = Event::new(EventFilter::Proc { pid, flags: ProcessEvents::EXIT }, EventFlags::ADD, null_mut());
    let mut none: [Event; 0] = [];
    let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
    #[allow(unsafe_code, reason = "rustix cannot know that no descriptor is named")]
    // SAFETY: the event names a process and no descriptor.
    let added = unsafe { kevent_timespec(&queue, &[end], &mut none, Some(&at_once)) };
    match added {
        Ok(_) => Ok(Some(queue)),
        Err(Errno::SRCH) => Err(Errno::SRCH),
        Err(_) => Ok(None),
    }
}

fn to_pid(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// What the kernel tells of a process, also of one that waits to be reaped.
fn told(pid: u32) -> Option<libc::proc_bsdinfo> {
    let pid = c_int::try_from(pid).ok()?;
    let mut told = MaybeUninit::<libc::proc_bsdinfo>::zeroed();
    let size = c_int::try_from(size_of::<libc::proc_bsdinfo>()).ok()?;
    let into = told.as_mut_ptr().cast::<c_void>();
    #[allow(unsafe_code, reason = "the standard library and rustix have no libproc")]
    // SAFETY: at most `size` bytes are written to the structure of that size, which consists of numbers, so that any bytes are valid.
    unsafe {
        let count = libc::proc_pidinfo(pid, libc::PROC_PIDTBSDINFO, ZOMBIES_TOO, into, size);
        (count == size).then(|| told.assume_init())
    }
}

/// The pids of this kind of list, including those that wait to be reaped.
fn pids(kind: u32, of: u32) -> Vec<u32> {
    // The number of all processes of the machine is more than enough for each kind of list.
    #[allow(unsafe_code, reason = "the standard library and rustix have no libproc")]
    // SAFETY: without a buffer nothing is written.
    let bytes = unsafe { libc::proc_listpids(PROC_ALL_PIDS, 0, null_mut(), 0) };
    let room = usize::try_from(bytes).unwrap_or(0) / size_of::<c_int>() + MORE_PIDS;
    let mut list: Vec<c_int> = vec![0; room];
    let Ok(size) = c_int::try_from(room * size_of::<c_int>()) else { return Vec::new() };
    #[allow(unsafe_code, reason = "the standard library and rustix have no libproc")]
    // SAFETY: at most `size` bytes are written to the buffer of that size.
    let bytes = unsafe { libc::proc_listpids(kind, of, list.as_mut_ptr().cast(), size) };
    list.truncate(usize::try_from(bytes).unwrap_or(0) / size_of::<c_int>());
    list.into_iter().filter_map(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0).collect()
}

/// Reads what the kernel keeps under a name; returns the number of bytes.
fn read_by_name(name: &CStr, buffer: &mut [u8]) -> Option<usize> {
    let mut count = buffer.len();
    #[allow(unsafe_code, reason = "the standard library and rustix have no sysctlbyname(3)")]
    // SAFETY: at most `count` bytes are written to the buffer of that length, and nothing is set.
    let failed =
        unsafe { libc::sysctlbyname(name.as_ptr(), buffer.as_mut_ptr().cast(), &raw mut count, null_mut(), 0) };
    (failed == 0).then_some(count)
}

/// The text in a field of the kernel that ends with a NUL byte.
fn text(field: &[std::ffi::c_char]) -> String {
    let bytes: Vec<u8> =
        field.iter().map(|byte| byte.to_ne_bytes()).map(|[byte]| byte).take_while(|byte| *byte != 0).collect();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::super::Environment;
    use super::*;

    #[test]
    fn this_process_is_in_the_table_with_its_ids() {
        let us = std::process::id();
        let found = read_table().processes.get(&us).copied().expect("us");
        assert_eq!(Some(found), look_up(us));
        assert!(session_of(None).is_some_and(|id| id.as_raw_nonzero().get().unsigned_abs() == found.session));
        assert!(!found.zombie && !found.stopped && found.start_ticks > 0);
        assert!(!name(us).is_empty() && here().len() > "boot ".len());
        let started = started_unix_ms(found.start_ticks).expect("a time");
        assert!(booted_unix_ms().is_some_and(|booted| booted < started));
        assert_eq!(owner(us), Some(rustix::process::getuid().as_raw()));
    }

    #[test]
    fn a_child_is_found_while_it_lives_and_while_it_waits_to_be_reaped() {
        let us = std::env::current_exe().expect("the test's program");
        // This program is not restricted, so that its environment can be read; without a test of this name it ends at once, and
        // is not reaped before `wait`.
        let mut child =
            Command::new(us).arg("--exact").arg("no::test").env("CCC_TEST_MARK", "here").spawn().expect("a child");
        let pid = child.id();
        assert!(children(std::process::id()).contains(&pid));
        let environment = Environment::of(pid);
        assert!(environment.is_none_or(|environment| environment.get("CCC_TEST_MARK") == Some(&b"here"[..])));
        while look_up(pid).is_some_and(|process| !process.zombie) {
            std::thread::yield_now();
        }
        assert!(look_up(pid).is_some_and(|process| process.zombie), "it waits to be reaped");
        child.wait().expect("it has ended");
        assert_eq!(look_up(pid), None);
    }

    #[test]
    fn the_end_of_a_process_makes_its_descriptor_readable() {
        let mut child = Command::new("/bin/sleep").arg("600").spawn().expect("sleep starts");
        let end = to_pid(child.id()).map(open_pidfd).expect("a pid").expect("it lives").expect("a descriptor");
        child.kill().expect("it is killed");
        let mut fds = [rustix::event::PollFd::new(&end, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, Some(&Timespec { tv_sec: 60, tv_nsec: 0 })), Ok(1));
        child.wait().expect("it has ended");
    }
}

/// Seatbelt, which each macOS has. Whether it applies a profile is found out by [`try_in_a_child`].
pub(in crate::process) fn wall() -> Option<Wall> {
    Some(Wall::Seatbelt)
}

/// The walls of one child, prepared.
#[derive(Debug)]
pub(in crate::process) struct Raise {
    profile: String,
}

impl Raise {
    pub(in crate::process) fn prepare(walls: &Walls, _: &Path) -> io::Result<Raise> {
        Ok(Raise { profile: seatbelt::profile(walls)? })
    }

    /// The command that executes the program behind these walls.
    pub(in crate::process) fn command(&self, program: &Path, args: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
        Some(seatbelt::around(&self.profile, program, args))
    }

    /// Nothing is left to do between fork and exec.
    pub(in crate::process) fn raise(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a program can be executed behind these walls.
pub(in crate::process) fn try_in_a_child(raise: &Raise) -> bool {
    let (program, args) = seatbelt::around(&raise.profile, Path::new("/usr/bin/true"), &[]);
    let mut command = Command::new(program);
    command.args(args).env_clear().stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
