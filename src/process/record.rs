//! Records the descendants of a run's children, so that a later ccc can find them after this one was killed.
//!
//! A pid and a start time identify a process until the next boot, within one pid namespace. The record needs no sync, because
//! an event that loses the page cache also ends the processes. The record is text: a line for the boot and the namespace, then
//! one line per process.

use std::collections::HashSet;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::process::getuid;

use super::system::{self, Process};

/// Beyond this many processes, ended ones are removed from the record. A line has at most 40 bytes.
const KEPT_LIMIT: usize = 4_096;

/// pid and start time.
pub(super) type Names = HashSet<(u32, u64)>;

/// The record that this ccc writes.
#[derive(Debug)]
pub(super) struct Record {
    file: File,
    kept: Names,
    /// How many bytes are written.
    written: u64,
}

impl Record {
    /// Begins the record with those of the earlier processes that are still alive.
    pub(super) fn begin(file: File, earlier: &str) -> io::Result<Self> {
        let mut record = Self { file, kept: living(earlier), written: 0 };
        record.rewrite()?;
        Ok(record)
    }

    /// Adds new processes. One that cannot be written is lost: a later ccc will not find it.
    pub(super) fn add(&mut self, seen: &[Process]) {
        let fresh: Vec<(u32, u64)> =
            seen.iter().map(|p| (p.pid, p.start_ticks)).filter(|name| self.kept.insert(*name)).collect();
        if fresh.is_empty() {
            return;
        }
        let written = if self.kept.len() > KEPT_LIMIT { self.rewrite() } else { self.append(&lines(fresh)) };
        if let Err(error) = written {
            tracing::debug!(%error, "the record of processes cannot be written");
        }
    }

    fn rewrite(&mut self) -> io::Result<()> {
        self.kept.retain(|(pid, start)| system::look_up(*pid).is_some_and(|p| p.start_ticks == *start && !p.zombie));
        self.written = 0;
        let text = format!("{}\n{}", system::here(), lines(self.kept.iter().copied()));
        self.append(&text)?;
        self.file.set_len(self.written)
    }

    fn append(&mut self, text: &str) -> io::Result<()> {
        self.file.write_all_at(text.as_bytes(), self.written)?;
        self.written += text.len() as u64;
        Ok(())
    }
}

/// The full stop at the end makes a torn line recognizable.
fn lines(names: impl IntoIterator<Item = (u32, u64)>) -> String {
    names.into_iter().map(|(pid, start)| format!("pid {pid} start {start}.\n")).collect()
}

fn line(line: &str) -> Option<(u32, u64)> {
    let (pid, start) = line.strip_prefix("pid ")?.strip_suffix('.')?.split_once(" start ")?;
    Some((pid.parse().ok()?, start.parse().ok()?))
}

/// The processes of a record that may be alive; none if the record is of another boot or namespace.
fn named(record: &str) -> Names {
    let mut lines = record.lines();
    if lines.next() != Some(system::here().as_str()) {
        return Names::new();
    }
    lines.filter_map(line).collect()
}

/// Those of them that are alive.
pub(super) fn living(record: &str) -> Names {
    let mut names = named(record);
    names.retain(|(pid, start)| system::look_up(*pid).is_some_and(|p| p.start_ticks == *start && !p.zombie));
    names
}

/// A process that outlived the run that had started it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survivor {
    /// Its process id.
    pub pid: u32,
    /// Its program's name.
    pub name: String,
    /// When it started, unix milliseconds.
    pub since_unix_ms: Option<i64>,
    /// Whether it was ended.
    pub ended: bool,
    /// Whether it belongs to another user.
    pub of_another_user: bool,
}

impl Survivor {
    pub(super) fn of(process: &Process) -> Self {
        Self {
            pid: process.pid,
            name: system::name(process.pid),
            since_unix_ms: system::started_unix_ms(process.start_ticks),
            ended: false,
            of_another_user: system::owner(process.pid).is_some_and(|uid| uid != getuid().as_raw()),
        }
    }

    /// The command that ends it.
    #[must_use]
    pub fn command(&self) -> String {
        let sudo = if self.of_another_user { "sudo " } else { "" };
        format!("{sudo}kill -9 {}", self.pid)
    }

    /// Whether this process, from which the value was made, is still alive.
    pub(super) fn lives(&self, process: &Process) -> bool {
        system::look_up(self.pid).is_some_and(|now| now.start_ticks == process.start_ticks && !now.zombie)
    }
}

// Elsewhere it is not known which boot this is, or there is no table of processes.
#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::{Record, named};
    use crate::process::system;

    #[test]
    fn a_record_holds_whole_lines_of_this_boot_only() {
        let text = format!(
            "{}\npid 7 start 9.\npid 8 start 1\nid 9 start 5.\npid x start 5.\npid 10 start 11.",
            system::here()
        );
        let mut names: Vec<_> = named(&text).into_iter().collect();
        names.sort_unstable();
        assert_eq!(names, [(7, 9), (10, 11)]);
        assert!(named(&text.replacen("boot ", "boot of another day ", 1)).is_empty());
        assert!(named("").is_empty());
    }

    #[test]
    fn what_is_gone_is_taken_out_and_what_lives_is_kept() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("processes");
        let open = || {
            let mut options = std::fs::OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false).open(&path).expect("a file")
        };
        let us = system::look_up(std::process::id()).expect("us");
        let mut record = Record::begin(open(), "").expect("written");
        let gone = |pid: u32| system::Process { pid, start_ticks: 1, ..us };
        record.add(&[us, gone(1), us]);
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), 3, "{text}");
        for pid in 2..10_000 {
            record.add(&[gone(pid)]);
        }
        let text = std::fs::read_to_string(&path).expect("text");
        assert!(text.lines().count() <= super::KEPT_LIMIT + 1, "it is bounded");
        Record::begin(open(), &text).expect("written");
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text, format!("{}\npid {} start {}.\n", system::here(), us.pid, us.start_ticks));
    }
}
