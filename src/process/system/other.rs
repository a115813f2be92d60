//! Fallback for other systems: there is no process table, and Linux's additions to POSIX are missing. A command's processes are
//! reached through their group, orphans go to init, and processes that outlived a run are not found.

use std::ffi::{OsString, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;

use rustix::io::Errno;
use rustix::process::Pid;

use super::changed::ChangedEntry;
use super::machine::MachineLoad;
use super::table::{Process, Table};
use super::walls::Walls;

pub(in crate::process) const HAS_TABLE: bool = false;

pub(in crate::process) fn read_table() -> Table {
    Table::default()
}

pub(in crate::process) fn look_up(_: u32) -> Option<Process> {
    None
}

pub(in crate::process) fn children(_: u32) -> Vec<u32> {
    Vec::new()
}

pub(in crate::process) fn adopted(_: u32) -> Option<Vec<u32>> {
    None
}

pub(in crate::process) fn written_bytes(_: u32) -> Option<u64> {
    None
}

/// Not measured here.
#[must_use]
pub fn machine_load() -> MachineLoad {
    MachineLoad::default()
}

pub(in crate::process) fn name(_: u32) -> String {
    String::new()
}

pub(in crate::process) fn here() -> String {
    String::new()
}

pub(in crate::process) fn unix_ms(_: u64) -> Option<i64> {
    None
}

pub(in crate::process) fn environment(_: u32) -> Option<Vec<u8>> {
    None
}

pub(in crate::process) fn owner(_: u32) -> Option<u32> {
    None
}

pub(in crate::process) fn is_out_of_memory(_: u32, _: &str) -> bool {
    false
}

pub(in crate::process) fn holds(_: u32, _: &[OsString]) -> bool {
    false
}

/// Only glibc gives each thread its own heap.
pub fn use_one_heap() {}

/// Not reported by the system.
pub fn is_ignored(_: i32) -> bool {
    false
}

pub(in crate::process) fn become_subreaper() {}

pub(in crate::process) fn stop_being_subreaper() {}

pub(in crate::process) fn is_subreaper() -> bool {
    false
}

pub(in crate::process) fn end_with_parent() {}

pub(in crate::process) fn open_pidfd(_: Pid) -> rustix::io::Result<Option<OwnedFd>> {
    Ok(None)
}

pub(in crate::process) fn kill_by(_: &OwnedFd) -> rustix::io::Result<()> {
    Err(Errno::NOSYS)
}

pub(in crate::process) fn close_range(_: c_int) -> bool {
    false
}

pub(in crate::process) fn close_range_on_exec(_: c_int) -> bool {
    false
}

/// No step between fork and exec fails with it.
pub(in crate::process) const NOT_RAISED: c_int = c_int::MAX;

pub(in crate::process) fn landlock_version() -> Option<u32> {
    None
}

/// There are no walls.
#[derive(Debug)]
pub(in crate::process) struct Raise(());

impl Raise {
    pub(in crate::process) fn prepare(_: &Walls, _: &Path) -> io::Result<Raise> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn raise(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(in crate::process) fn try_in_a_child(_: &Raise) -> bool {
    false
}

/// There is no keeper: a command keeps running when ccc is killed.
pub(in crate::process) fn split(_: u32) -> io::Result<()> {
    Ok(())
}

/// Not supported here.
///
/// # Errors
/// Always.
pub fn watch_names(_: &[&Path]) -> io::Result<OwnedFd> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Reports changes of the entries of directories. Not supported here, so none is ever made.
#[derive(Debug)]
pub struct DirWatch(OwnedFd);

impl DirWatch {
    /// Not supported here.
    ///
    /// # Errors
    /// Always.
    pub fn new() -> io::Result<DirWatch> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always.
    pub fn add(&self, _: &Path) -> io::Result<i32> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Not supported here.
    ///
    /// # Errors
    /// Always.
    pub fn take(&self) -> io::Result<Vec<ChangedEntry>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl AsRawFd for DirWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}
