//! Linux: `/proc`, process descriptors, orphans that become ccc's children, `close_range`, `inotify`.

mod each;
mod group;
mod keeper;
mod load;
mod scope;
mod start;
mod walls;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString, c_int, c_uint};
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::buffer::spare_capacity;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};
use rustix::process::{Pid, Signal};

pub(in crate::process) use each::{LIMITS_EACH, counts_tasks_behind};
pub(in crate::process) use group::{GroupPlace, OwnGroup};
pub(in crate::process) use keeper::split;
pub use load::machine_load;
pub(in crate::process) use scope::{around_scope, is_out_of_memory, out_of_memory_kills};
pub(in crate::process) use start::start;
pub(in crate::process) use walls::{NOT_RAISED, Raise, try_in_a_child, wall};

use super::changed::ChangedEntry;
use super::table::{Process, Table};

/// Whether [`read_table`] and the look-ups of single processes work.
pub(in crate::process) const HAS_TABLE: bool = true;

/// Buffer size for one `/proc/PID/stat`: 52 numbers and a name of at most 64 bytes.
const STAT_BYTES: usize = 2 * 1024;
/// How many bytes of a list of children are read at once: the smallest page.
const CHILDREN_BYTES: usize = 4 * 1024;
const CLOSE_RANGE_CLOEXEC: c_uint = 4;
/// How many bytes of an environment are read at once; most environments fit.
const ENVIRON_BYTES: usize = 16 * 1024;

/// All processes.
pub(in crate::process) fn read_table() -> Table {
    let mut processes = BTreeMap::new();
    let before = last_pid();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    for pid in entries.filter_map(|entry| entry.file_name().to_str().and_then(|name| name.parse().ok())) {
        if let Some(process) = look_up(pid) {
            processes.insert(pid, process);
        }
    }
    let whole = before.is_some() && before == last_pid();
    Table { processes, whole }
}

/// The process that has this pid now.
pub(in crate::process) fn look_up(pid: u32) -> Option<Process> {
    let mut buffer = [0; STAT_BYTES];
    parse_stat(pid, read_once(&format!("/proc/{pid}/stat"), &mut buffer)?)
}

/// The last pid that was assigned, to a process or a thread; every fork changes it. `None` if the system does not report it.
fn last_pid() -> Option<u32> {
    let mut buffer = [0; 128];
    let line = read_once("/proc/loadavg", &mut buffer)?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// Reads a file of `/proc` whose content one read returns. `fs::read` would also query its size and its end, for hundreds of
/// such files.
fn read_once<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    read_some(&file, buffer).and_then(|count| buffer.get(..count))
}

fn read_some(file: &OwnedFd, buffer: &mut [u8]) -> Option<usize> {
    loop {
        match read(file, &mut *buffer) {
            Ok(count) => return Some(count),
            Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

fn parse_stat(pid: u32, stat: &[u8]) -> Option<Process> {
    // The name in parentheses may itself contain parentheses and blanks, and need not be UTF-8.
    let name_end = memchr::memrchr(b')', stat)?;
    let mut fields = std::str::from_utf8(stat.get(name_end + 1..)?).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let mut number = |skip: usize| fields.nth(skip)?.parse::<u64>().ok();
    let small = |value: Option<u64>| u32::try_from(value?).ok();
    Some(Process {
        pid,
        zombie: matches!(state, "Z" | "X" | "x"),
        stopped: state == "T",
        parent: small(number(0))?,
        group: small(number(0))?,
        session: small(number(0))?,
        // Skips fields 7 to 21.
        start_ticks: number(15)?,
    })
}

/// The children of all threads of `pid`.
pub(in crate::process) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let threads = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    threads.filter_map(|thread| children_of_thread(pid, thread)).flatten().collect()
}

/// The children of the first thread of `pid`. They include the orphans, because the kernel gives an orphan to the first live
/// thread. `None` if the system does not report them.
pub(in crate::process) fn adopted(pid: u32) -> Option<Vec<u32>> {
    children_of_thread(pid, pid)
}

fn children_of_thread(pid: u32, thread: u32) -> Option<Vec<u32>> {
    let path = format!("/proc/{pid}/task/{thread}/children");
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut buffer = [0; CHILDREN_BYTES];
    let mut text = Vec::new();
    loop {
        let count = read_some(&file, &mut buffer)?;
        text.extend_from_slice(buffer.get(..count)?);
        // The kernel returns as many whole pids as fit, so a short read is the last part and needs no further read.
        if count < CHILDREN_BYTES / 2 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// How many bytes a process, its threads and the children that it has reaped have written, to files and elsewhere; `None` if
/// the system does not report it.
pub(in crate::process) fn written_bytes(pid: u32) -> Option<u64> {
    let mut buffer = [0; 512];
    let counts = read_once(&format!("/proc/{pid}/io"), &mut buffer)?;
    let mut written = None;
    for line in std::str::from_utf8(counts).ok()?.lines() {
        // `write_bytes` includes writes to memory-mapped files.
        if let Some(count) = line.strip_prefix("wchar: ").or_else(|| line.strip_prefix("write_bytes: ")) {
            written = Some(written.unwrap_or(0_u64).wrapping_add(count.trim().parse().ok()?));
        }
    }
    written
}

/// The name of a process's program.
pub(in crate::process) fn name(pid: u32) -> String {
    let mut buffer = [0; 64];
    let name = read_once(&format!("/proc/{pid}/comm"), &mut buffer).unwrap_or_default();
    String::from_utf8_lossy(name).trim_end().to_owned()
}

/// The boot and the pid namespace in which pids and start times are valid.
pub(in crate::process) fn here() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("boot {} {}", boot.trim(), namespace.display())
}

/// When the machine was started.
pub(in crate::process) fn booted_unix_ms() -> Option<i64> {
    started_unix_ms(0)
}

/// The wall time of a start: `ticks` clock ticks after boot.
pub(in crate::process) fn started_unix_ms(ticks: u64) -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot_s: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let after_ms = ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1);
    boot_s.checked_mul(1_000)?.checked_add(i64::try_from(after_ms).ok()?)
}

/// The environment of a process: `NAME=value`, each followed by a NUL byte. `None` for processes that have ended or are not
/// readable.
pub(in crate::process) fn environment(pid: u32) -> Option<Vec<u8>> {
    let file = open(format!("/proc/{pid}/environ"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let mut bytes = Vec::new();
    loop {
        bytes.reserve(ENVIRON_BYTES);
        match read(&file, spare_capacity(&mut bytes)) {
            Ok(0) => return Some(bytes),
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// The user that a process belongs to.
pub(in crate::process) fn owner(pid: u32) -> Option<u32> {
    fs::metadata(format!("/proc/{pid}")).map(|meta| meta.uid()).ok()
}

/// Whether the process holds a file that `/proc/PID/fd` shows under one of these names.
pub(in crate::process) fn holds(pid: u32, marks: &[OsString]) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
        entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| marks.iter().any(|mark| target.as_os_str() == mark))
    })
}

/// Makes ccc the parent of orphaned descendants. Fails only on kernels before 3.4.
pub(in crate::process) fn become_subreaper() {
    let _ = rustix::process::set_child_subreaper(Some(rustix::process::getpid()));
}

/// Lets orphaned descendants go to the next ancestor that takes them, or to init.
pub(in crate::process) fn stop_being_subreaper() {
    let _ = rustix::process::set_child_subreaper(None);
}

/// Whether orphans below ccc become its children.
pub(in crate::process) fn is_subreaper() -> bool {
    rustix::process::child_subreaper().is_ok_and(|is_one| is_one.is_some())
}

/// Makes all threads allocate from one heap. glibc gives each thread its own heap, whose pages stay resident: 0.8 MiB of a
/// night's 11.6 MiB (`MALLOC_ARENA_MAX=1 /usr/bin/time -v ccc demo` compared with a run without it). ccc's threads allocate too
/// little to contend for one heap. Call it before the first thread starts.
pub fn use_one_heap() {
    #[cfg(target_env = "gnu")]
    {
        #[allow(unsafe_code, reason = "rustix wraps no mallopt(3)")]
        // SAFETY: mallopt(3) sets a number of the allocator, and no other thread runs yet.
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, 1);
        }
    }
}

/// Requests a SIGHUP when the parent dies.
pub(in crate::process) fn end_with_parent() {
    let _ = rustix::process::set_parent_process_death_signal(Some(Signal::HUP));
}

/// Called between fork and exec: the kernel sends this process a SIGTERM when the thread that has forked it is gone, and so when ccc
/// is. Git removes its locks then; after a SIGKILL they would stay, in the user's repository, and git never removes them.
///
/// # Errors
/// As prctl(2).
pub(in crate::process) fn end_with_the_forking_thread() -> std::io::Result<()> {
    rustix::process::set_parent_process_death_signal(Some(Signal::TERM)).map_err(std::io::Error::from)
}

/// A descriptor of this process that never refers to a later process with the same pid. `None` before Linux 5.3, in some
/// sandboxes, and without a free descriptor; then only the start time protects against a reused pid.
///
/// # Errors
/// `SRCH`: there is no such process.
pub(in crate::process) fn open_pidfd(pid: Pid) -> rustix::io::Result<Option<OwnedFd>> {
    match rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()) {
        Ok(pidfd) => Ok(Some(pidfd)),
        Err(Errno::SRCH) => Err(Errno::SRCH),
        Err(_) => Ok(None),
    }
}

/// Sends the signal to the process of this descriptor, or, without one, to the process that has this pid now.
///
/// # Errors
/// As kill(2).
pub(in crate::process) fn signal(pid: Pid, by: Option<&OwnedFd>, signal: Signal) -> rustix::io::Result<()> {
    match by {
        Some(pidfd) => rustix::process::pidfd_send_signal(pidfd, signal),
        None => rustix::process::kill_process(pid, signal),
    }
}

/// Closes this descriptor and all higher ones. False if the kernel cannot (before 5.9). Async-signal-safe.
pub(in crate::process) fn close_range(first: c_int) -> bool {
    range(first, 0)
}

/// Marks this descriptor and all higher ones close-on-exec. False if the kernel cannot (before 5.11).
/// Async-signal-safe.
pub(in crate::process) fn close_range_on_exec(first: c_int) -> bool {
    range(first, CLOSE_RANGE_CLOEXEC)
}

#[allow(unsafe_code, reason = "rustix wraps no close_range, and numbers that may be closed cannot be borrowed")]
fn range(first: c_int, flags: c_uint) -> bool {
    // SAFETY: three integers, as close_range(2) expects; the callers no longer use any of these descriptors, or only mark them.
    unsafe { libc::syscall(libc::SYS_close_range, first.unsigned_abs(), c_uint::MAX, flags) == 0 }
}

/// A descriptor that becomes readable once one of these paths is removed or refers to another file. It may become readable for
/// other reasons, so the caller must check.
///
/// # Errors
/// When the system has no inotify, or no more descriptors for it.
pub fn watch_names(paths: &[&Path]) -> io::Result<OwnedFd> {
    let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
    // ATTRIB reports the changed link count of a removed file that is still open; DELETE_SELF does not come then.
    let changes = WatchFlags::ATTRIB | WatchFlags::DELETE_SELF | WatchFlags::MOVE_SELF | WatchFlags::DONT_FOLLOW;
    for path in paths {
        inotify::add_watch(&watch, *path, changes)?;
    }
    Ok(watch)
}

/// Reports changes of the entries of directories.
#[derive(Debug)]
pub struct DirWatch(OwnedFd);

impl DirWatch {
    /// A watch of no directory yet. Its descriptor is readable when something has changed.
    ///
    /// # Errors
    /// When the system has no inotify, or no more descriptors for it.
    pub fn new() -> io::Result<DirWatch> {
        Ok(DirWatch(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }

    /// Also watches this directory; returns its number. A file that is only written to is not reported.
    ///
    /// # Errors
    /// When it cannot be watched.
    pub fn add(&self, dir: &Path) -> io::Result<i32> {
        let changes = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM | WatchFlags::DELETE;
        Ok(inotify::add_watch(&self.0, dir, changes | WatchFlags::ONLYDIR)?)
    }

    /// The changes since the last call: at most as many as the system keeps, 16,384 by default.
    ///
    /// # Errors
    /// The system's error.
    pub fn take(&self) -> io::Result<Vec<ChangedEntry>> {
        let mut buffer = [MaybeUninit::uninit(); 8 * 1024];
        let mut reader = inotify::Reader::new(&self.0, &mut buffer);
        let mut changes = Vec::new();
        loop {
            match reader.next() {
                Ok(event) => changes.push(match event.file_name() {
                    Some(name) => {
                        ChangedEntry::In { dir: event.wd(), name: OsStr::from_bytes(name.to_bytes()).to_owned() }
                    }
                    None => ChangedEntry::Unknown,
                }),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(changes),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl AsRawFd for DirWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Environment;
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let stat = b"77 (a) S 1 (b\xff)) Z 5 6 7 34816 6 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9999 1 2";
        let expected =
            Process { pid: 77, parent: 5, group: 6, session: 7, start_ticks: 9999, zombie: true, stopped: false };
        assert_eq!(parse_stat(77, stat), Some(expected));
        assert_eq!(parse_stat(77, b"77 (torn) S 1 2"), None);
    }

    #[test]
    fn every_fork_moves_the_last_pid_on() {
        let before = last_pid();
        assert!(before.is_some());
        std::process::Command::new("true").status().expect("true runs");
        assert_ne!(last_pid(), before);
    }

    #[test]
    fn a_list_of_children_longer_than_one_read_is_read_whole() {
        use std::io::{BufRead, BufReader};

        let many = CHILDREN_BYTES / 4;
        let script = format!("for i in $(seq {many}); do read end <&3 & done 3<&0; echo all; read end");
        let mut child = std::process::Command::new("sh")
            .args(["-c", &script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("sh runs");
        let mut said = String::new();
        BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut said).expect("it says so");
        assert_eq!(said, "all\n");
        assert_eq!(children(child.id()).len(), many);
        drop(child.stdin.take());
        child.wait().expect("sh ends");
    }

    #[test]
    fn what_a_process_writes_is_counted_and_what_it_reads_is_not() {
        use std::io::Write;

        let file = tempfile::tempfile().expect("a file");
        let mut child = std::process::Command::new("sh")
            .args(["-c", "read a; read b; echo $b; read c"])
            .stdin(std::process::Stdio::piped())
            .stdout(file.try_clone().expect("a descriptor"))
            .spawn()
            .expect("sh runs");
        let mut stdin = child.stdin.take().expect("a pipe");
        let begun = written_bytes(child.id()).expect("it is ours");
        stdin.write_all(b"one\n").expect("it reads");
        assert_eq!(written_bytes(child.id()), Some(begun), "it only reads");
        stdin.write_all(b"two\n").expect("it reads");
        while file.metadata().expect("a file").len() == 0 {
            std::thread::yield_now();
        }
        assert!(written_bytes(child.id()).is_some_and(|now| now > begun));
        drop(stdin);
        child.wait().expect("sh ends");
    }

    #[test]
    fn an_environment_longer_than_one_read_is_read_whole() {
        let long = "x".repeat(3 * ENVIRON_BYTES);
        let mut child = std::process::Command::new("cat")
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("A_LONG", &long)
            .env("Z_LAST", "here")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("cat runs");
        let environment = Environment::of(child.id()).expect("it is ours");
        assert!(!environment.is_empty());
        assert_eq!(environment.get("A_LONG"), Some(long.as_bytes()));
        assert_eq!(environment.get("Z_LAST"), Some(&b"here"[..]));
        assert_eq!(environment.get("LONG"), None);
        drop(child.stdin.take());
        child.wait().expect("cat ends");
    }
}
