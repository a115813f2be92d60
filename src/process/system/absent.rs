//! What Linux has in addition to POSIX, for systems that lack it: each function does nothing, or says that it cannot. So one list
//! of functions serves every system, and a system takes from here what it has no form of.

use std::ffi::{OsString, c_int};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Signal};

use super::changed::ChangedEntry;
use super::each_limits::EachLimits;
use super::machine::MachineLoad;
use super::walls::Walls;
use crate::process::scope::ScopeLimits;

/// Orphans never become children of ccc, so the caller looks at all children.
pub(in crate::process) fn adopted(_: u32) -> Option<Vec<u32>> {
    None
}

/// Nothing is started otherwise than by fork(2).
pub(in crate::process) fn start(
    _: &Command,
    _: &[OwnedFd; 3],
    _: &dyn Fn() -> io::Result<()>,
) -> io::Result<Option<u32>> {
    Ok(None)
}

/// Not counted in a form that includes pipes and terminals.
pub(in crate::process) fn written_bytes(_: u32) -> Option<u64> {
    None
}

/// Not measured here.
#[must_use]
pub fn machine_load() -> MachineLoad {
    MachineLoad::default()
}

/// There are no scopes.
pub(in crate::process) fn is_out_of_memory(_: u32, _: &str, _: Option<&str>, _: Option<u64>) -> bool {
    false
}

/// There are no scopes.
pub(in crate::process) fn around_scope(_: &str, _: &str) -> Option<String> {
    None
}

/// Not counted here.
pub(in crate::process) fn out_of_memory_kills(_: &str) -> Option<u64> {
    None
}

/// Single processes are not limited: there is no limit for memory, or one that says nothing.
pub(in crate::process) const LIMITS_EACH: bool = false;

impl EachLimits {
    /// Never asked to.
    pub(in crate::process) fn set(self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(in crate::process) fn counts_tasks_behind(_: &Walls, _: &Path) -> bool {
    false
}

/// There are no control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::process) struct GroupPlace(());

impl GroupPlace {
    pub(in crate::process) fn find(_: ScopeLimits) -> Option<GroupPlace> {
        None
    }

    pub(in crate::process) fn make(&self, _: &str) -> io::Result<OwnGroup> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// There are no control groups.
#[derive(Debug)]
pub(in crate::process) struct OwnGroup(());

impl OwnGroup {
    pub(in crate::process) fn enter(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn has_run_out_of_memory(&self) -> bool {
        false
    }
}

/// Only asked for orphans that became children of ccc.
pub(in crate::process) fn holds(_: u32, _: &[OsString]) -> bool {
    false
}

/// Only glibc gives each thread its own heap.
pub fn use_one_heap() {}

pub(in crate::process) fn become_subreaper() {}

pub(in crate::process) fn stop_being_subreaper() {}

pub(in crate::process) fn is_subreaper() -> bool {
    false
}

pub(in crate::process) fn end_with_parent() {}

/// No signal comes: the program runs on when ccc is killed.
#[allow(clippy::unnecessary_wraps, reason = "elsewhere it can fail")]
pub(in crate::process) fn end_with_the_forking_thread() -> io::Result<()> {
    Ok(())
}

/// Sends the signal to the process that has this pid now.
///
/// # Errors
/// As kill(2).
pub(in crate::process) fn signal(pid: Pid, _: Option<&OwnedFd>, signal: Signal) -> rustix::io::Result<()> {
    rustix::process::kill_process(pid, signal)
}

pub(in crate::process) fn close_range(_: c_int) -> bool {
    false
}

pub(in crate::process) fn close_range_on_exec(_: c_int) -> bool {
    false
}

/// No step between fork and exec fails with it.
pub(in crate::process) const NOT_RAISED: c_int = c_int::MAX;

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
