//! Limits that the kernel keeps for each process by itself, where no control group can be made.
//!
//! Of memory, what a process may change and shares with nobody counts (`RLIMIT_DATA`): at the limit an allocation fails, and nothing
//! is killed. The whole address space (`RLIMIT_AS`) says nothing: agents' CLIs reserve a hundred times of what they use.
//!
//! Processes and threads count for a user (`RLIMIT_NPROC`), with all that the user has started elsewhere. In a user namespace of its
//! own, as walls with mounts give it to a child, only those within count (Linux 5.14). There it is a limit for the whole tree.

use std::ffi::c_int;
use std::io;
use std::path::Path;

use rustix::process::{Resource, Rlimit, WaitOptions, getrlimit, setrlimit, waitpid};

use super::walls::Raise;
use crate::process::monitor::{exit_at_once, split_off};
use crate::process::system::each_limits::EachLimits;
use crate::process::system::walls::Walls;

/// Single processes can be limited.
pub(in crate::process) const LIMITS_EACH: bool = true;

impl EachLimits {
    /// Called between fork and exec, behind the walls: a namespace remembers the limit under which it was made.
    pub(in crate::process) fn set(self) -> io::Result<()> {
        lower(Resource::Data, self.data_bytes)?;
        lower(Resource::Nproc, self.tasks)
    }
}

fn lower(resource: Resource, limit: Option<u64>) -> io::Result<()> {
    let Some(limit) = limit else { return Ok(()) };
    // A limit that is lower already stays.
    let lowest = [Some(limit), getrlimit(resource).maximum].into_iter().flatten().min();
    setrlimit(resource, Rlimit { current: lowest, maximum: lowest })?;
    Ok(())
}

/// Whether processes behind these walls are counted by themselves; found out in a child that may have no second process, or one.
pub(in crate::process) fn counts_tasks_behind(walls: &Walls, cwd: &Path) -> bool {
    let apart = Walls { counted_apart: true, ..walls.clone() };
    let Ok(raise) = Raise::prepare(&apart, cwd) else { return false };
    let forks_with = |tasks: u64| -> bool {
        match split_off() {
            Ok(None) => {
                let is_set = raise.raise().and_then(|()| EachLimits { tasks: Some(tasks), data_bytes: None }.set());
                if is_set.is_err() {
                    exit_at_once(c_int::from(tasks == 1));
                }
                match split_off() {
                    Ok(None) => exit_at_once(0),
                    Ok(Some(child)) => {
                        let _ = waitpid(Some(child), WaitOptions::empty());
                        exit_at_once(1)
                    }
                    Err(_) => exit_at_once(0),
                }
            }
            Ok(Some(child)) => loop {
                match waitpid(Some(child), WaitOptions::empty()) {
                    Ok(Some((_, status))) => return status.exit_status() == Some(1),
                    Ok(None) | Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return false,
                }
            },
            Err(_) => false,
        }
    };
    !forks_with(1) && forks_with(2)
}
