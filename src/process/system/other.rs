//! Fallback for systems without a file of their own: there is no process table. A command's processes are reached through their
//! group, orphans go to init, and processes that outlived a run are not found.

use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

pub use super::absent::{DirWatch, machine_load, use_one_heap, watch_names};
pub(in crate::process) use super::absent::{
    GroupPlace, LIMITS_EACH, NOT_RAISED, OwnGroup, adopted, around_scope, become_subreaper, close_range,
    close_range_on_exec, counts_tasks_behind, end_with_parent, end_with_the_forking_thread, holds, is_out_of_memory,
    is_subreaper, out_of_memory_kills, signal, split, start, stop_being_subreaper, written_bytes,
};
use super::table::{Process, Table};
use super::walls::{Wall, Walls};

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

pub(in crate::process) fn name(_: u32) -> String {
    String::new()
}

pub(in crate::process) fn here() -> String {
    String::new()
}

pub(in crate::process) fn started_unix_ms(_: u64) -> Option<i64> {
    None
}

pub(in crate::process) fn booted_unix_ms() -> Option<i64> {
    None
}

pub(in crate::process) fn environment(_: u32) -> Option<Vec<u8>> {
    None
}

pub(in crate::process) fn owner(_: u32) -> Option<u32> {
    None
}

pub(in crate::process) fn open_pidfd(_: Pid) -> rustix::io::Result<Option<OwnedFd>> {
    Ok(None)
}

pub(in crate::process) fn wall() -> Option<Wall> {
    None
}

/// There are no walls.
#[derive(Debug)]
pub(in crate::process) struct Raise(());

impl Raise {
    pub(in crate::process) fn prepare(_: &Walls, _: &Path) -> io::Result<Raise> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in crate::process) fn command(&self, _: &Path, _: &[OsString]) -> Option<(PathBuf, Vec<OsString>)> {
        None
    }

    pub(in crate::process) fn raise(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(in crate::process) fn try_in_a_child(_: &Raise) -> bool {
    false
}
