//! What processes there are. Empty where there is no Linux `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read};

/// Room for one `/proc/PID/stat`: 52 numbers and a name of at most 64 bytes.
const STAT_BYTES: usize = 2 * 1024;
/// What is read of a list of children at once: the smallest page.
const CHILDREN_BYTES: usize = 4 * 1024;
/// What is read of an environment at once; most fit.
const ENVIRON_BYTES: usize = 16 * 1024;

/// One process, as `/proc/PID/stat` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) session: u32,
    /// When it started, in clock ticks since boot: with the pid it names a process for good.
    pub(super) start_ticks: u64,
    /// It has exited and waits to be reaped.
    pub(super) zombie: bool,
    /// It was stopped by a signal.
    pub(super) stopped: bool,
}

/// All processes at one moment.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) processes: BTreeMap<u32, Process>,
    /// Nothing was forked while it was read, so none is missing.
    pub(super) whole: bool,
}

impl Table {
    pub(super) fn read() -> Self {
        let mut processes = BTreeMap::new();
        let before = last_pid();
        if cfg!(target_os = "linux")
            && let Ok(entries) = fs::read_dir("/proc")
        {
            for entry in entries.flatten() {
                if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok())
                    && let Some(process) = look_up(pid)
                {
                    processes.insert(pid, process);
                }
            }
        }
        let whole = before.is_some() && before == last_pid();
        Self { processes, whole }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Process> {
        self.processes.values()
    }
}

/// The process with this pid now.
pub(super) fn look_up(pid: u32) -> Option<Process> {
    let mut buffer = [0; STAT_BYTES];
    let stat = read_once(&format!("/proc/{pid}/stat"), &mut buffer)?;
    // Names of programs need not be UTF-8.
    parse_stat(pid, &String::from_utf8_lossy(stat))
}

/// The pid that was given out last, a thread's included; every fork moves it on. None where the system does not tell.
fn last_pid() -> Option<u32> {
    let mut buffer = [0; 128];
    let line = read_once("/proc/loadavg", &mut buffer)?;
    std::str::from_utf8(line).ok()?.split_ascii_whitespace().last()?.parse().ok()
}

/// Reads a file of `/proc` that is handed out whole by one read. `fs::read` would ask for its size and for its end, too, and there are
/// hundreds of them.
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

fn parse_stat(pid: u32, stat: &str) -> Option<Process> {
    // The name in parentheses may itself contain parentheses and blanks.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_ascii_whitespace();
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
        // Fields 7 to 21 lie between.
        start_ticks: number(15)?,
    })
}

/// The children of `pid`, those of all its threads.
pub(super) fn children(pid: u32) -> Vec<u32> {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    let threads = threads.flatten().filter_map(|thread| thread.file_name().to_str()?.parse().ok());
    threads.filter_map(|thread| children_of_thread(pid, thread)).flatten().collect()
}

/// The orphans that came to `pid`, and what else its first thread has started: the kernel gives an orphan to the first thread
/// that lives. `None` where the system does not tell.
pub(super) fn adopted(pid: u32) -> Option<Vec<u32>> {
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
        // The kernel hands out as many whole pids as fit: so little is the last part, and a look for the end is spared.
        if count < CHILDREN_BYTES / 2 {
            break;
        }
    }
    let text = String::from_utf8_lossy(&text);
    Some(text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect())
}

/// All that descends from `pid` now, without `pid`; at most `limit` processes.
pub(super) fn descendants(pid: u32, limit: usize) -> Vec<Process> {
    let mut found = Vec::new();
    let mut open = vec![pid];
    while let Some(parent) = open.pop() {
        for child in children(parent) {
            if found.len() >= limit {
                return found;
            }
            if let Some(process) = look_up(child) {
                found.push(process);
                open.push(child);
            }
        }
    }
    found
}

/// A process in words: its program and its pid.
pub(super) fn describe(process: &Process) -> String {
    format!("{} (pid {})", name(process.pid), process.pid)
}

/// How many bytes a process, its threads and the children that it has reaped have written so far, to files and elsewhere; None
/// where the system does not tell.
pub(super) fn written_bytes(pid: u32) -> Option<u64> {
    let mut buffer = [0; 512];
    let counts = read_once(&format!("/proc/{pid}/io"), &mut buffer)?;
    let mut written = None;
    for line in std::str::from_utf8(counts).ok()?.lines() {
        // `write_bytes` holds what was written to a file that is mapped into memory, too.
        if let Some(count) = line.strip_prefix("wchar: ").or_else(|| line.strip_prefix("write_bytes: ")) {
            written = Some(written.unwrap_or(0_u64).wrapping_add(count.trim().parse().ok()?));
        }
    }
    written
}

/// The name of a process's program.
pub(super) fn name(pid: u32) -> String {
    let mut buffer = [0; 64];
    let name = read_once(&format!("/proc/{pid}/comm"), &mut buffer).unwrap_or_default();
    String::from_utf8_lossy(name).trim_end().to_owned()
}

/// Which boot and which pid namespace pids and starts belong to.
pub(super) fn here() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("boot {} {}", boot.trim(), namespace.display())
}

/// The wall time of so many clock ticks after boot.
pub(super) fn unix_ms(ticks: u64) -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let boot_s: i64 = stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()?;
    let after_ms = ticks.saturating_mul(1_000) / rustix::param::clock_ticks_per_second().max(1);
    boot_s.checked_mul(1_000)?.checked_add(i64::try_from(after_ms).ok()?)
}

/// Another process's environment, as it was when the process began to execute.
#[derive(Debug)]
pub(super) struct Environment(Vec<u8>);

impl Environment {
    /// Reads it. None for processes that are gone or not ours to read.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let file = open(format!("/proc/{pid}/environ"), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let mut bytes = Vec::new();
        loop {
            let filled = bytes.len();
            bytes.resize(filled + ENVIRON_BYTES, 0);
            match read(&file, &mut bytes[filled..]) {
                Ok(0) => {
                    bytes.truncate(filled);
                    return Some(Self(bytes));
                }
                Ok(count) => bytes.truncate(filled + count),
                Err(Errno::INTR) => bytes.truncate(filled),
                Err(_) => return None,
            }
        }
    }

    /// Empty: a zombie, a kernel thread, or a process that is just about to execute another program.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A variable's value.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        self.0.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    }
}

/// Does the process hold a file that `/proc/PID/fd` shows under one of these names?
pub(super) fn holds(pid: u32, marks: &[OsString]) -> bool {
    fs::read_dir(format!("/proc/{pid}/fd")).is_ok_and(|entries| {
        entries
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .any(|target| marks.iter().any(|mark| target.as_os_str() == mark))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let stat = "77 (a) S 1 (b)) Z 5 6 7 34816 6 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9999 1 2";
        let expected =
            Process { pid: 77, parent: 5, group: 6, session: 7, start_ticks: 9999, zombie: true, stopped: false };
        assert_eq!(parse_stat(77, stat), Some(expected));
        assert_eq!(parse_stat(77, "77 (torn) S 1 2"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn every_fork_moves_the_last_pid_on() {
        let before = last_pid();
        assert!(before.is_some());
        std::process::Command::new("true").status().expect("true runs");
        assert_ne!(last_pid(), before);
    }

    #[cfg(target_os = "linux")]
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

    #[cfg(target_os = "linux")]
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

    #[cfg(target_os = "linux")]
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
