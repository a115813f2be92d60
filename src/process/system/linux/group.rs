//! Control groups that ccc makes itself, where it may: in a part of the tree of version 2 that was handed to its user.
//!
//! A group with processes of its own can hand no controllers to the groups below it, except for the root of the tree. So a group
//! for an agent is made beside ccc's own, or further up, in one that hands the controllers down already; or below the root, by
//! who may do that.

use std::ffi::c_int;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::process::{WaitOptions, waitpid};

use super::scope::{ROOTS, group_of, kills, text};
use crate::process::monitor::{exit_at_once, split_off};
use crate::process::scope::ScopeLimits;

/// Of the group's processes.
const PROCESSES: &str = "cgroup.procs";
/// The controllers that a group hands to those below it.
const HANDED_DOWN: &str = "cgroup.subtree_control";
/// What all names of groups begin with.
const PREFIX: &str = "ccc-";

/// The group in which those of the agents are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::process) struct GroupPlace {
    dir: PathBuf,
    limits: ScopeLimits,
}

/// The group of one child. Dropping it removes the group, if nothing lives in it.
#[derive(Debug)]
pub(in crate::process) struct OwnGroup {
    dir: PathBuf,
    entrance: OwnedFd,
}

impl GroupPlace {
    /// Finds a place where groups with these limits can be made, by making one and entering it in a child that ends at once.
    pub(in crate::process) fn find(limits: ScopeLimits) -> Option<GroupPlace> {
        let groups = text("/proc/self/cgroup")?;
        let own = group_of(&groups)?;
        ROOTS.iter().find_map(|root| GroupPlace::below(Path::new(root), own, limits))
    }

    fn below(root: &Path, own: &str, limits: ScopeLimits) -> Option<GroupPlace> {
        let own = root.join(own);
        own.ancestors().take_while(|dir| dir.starts_with(root)).find_map(|dir| {
            let place = GroupPlace { dir: dir.to_owned(), limits };
            (place.hands_down(dir == own) && place.works()).then_some(place)
        })
    }

    /// Whether groups in it can have all the limits. `is_own`: ccc is in it.
    fn hands_down(&self, is_own: bool) -> bool {
        let is_root = !self.dir.join("cgroup.type").exists();
        if is_own && !is_root {
            return false;
        }
        let lacks = |file: &str| {
            let has = read(&self.dir.join(file)).unwrap_or_default();
            self.controllers().any(|needed| !has.split_whitespace().any(|one| one == needed))
        };
        if lacks("cgroup.controllers") {
            return false;
        }
        // Another group than the root is as who made it wants it.
        if lacks(HANDED_DOWN) && is_root {
            for controller in self.controllers() {
                let _ = fs::write(self.dir.join(HANDED_DOWN), format!("+{controller}"));
            }
        }
        !lacks(HANDED_DOWN)
    }

    fn controllers(&self) -> impl Iterator<Item = &'static str> {
        let memory = self.limits.memory_max_bytes.map(|_| "memory");
        memory.into_iter().chain(self.limits.tasks_max.map(|_| "pids"))
    }

    fn works(&self) -> bool {
        self.remove_left_over();
        let Ok(group) = self.make(&format!("probe-{}-0", std::process::id())) else { return false };
        let Ok(child) = split_off() else { return false };
        let Some(child) = child else { exit_at_once(c_int::from(group.enter().is_err())) };
        loop {
            match waitpid(Some(child), WaitOptions::empty()) {
                Ok(Some((_, status))) => return status.exit_status() == Some(0),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// Makes a group with the limits. The name must be new, and end in the pid of this process and a number.
    pub(in crate::process) fn make(&self, name: &str) -> io::Result<OwnGroup> {
        let dir = self.dir.join(format!("{PREFIX}{name}"));
        fs::create_dir(&dir)?;
        let filled = self.fill(&dir);
        if filled.is_err() {
            let _ = fs::remove_dir(&dir);
        }
        Ok(OwnGroup { entrance: filled?, dir })
    }

    fn fill(&self, dir: &Path) -> io::Result<OwnedFd> {
        if let Some(bytes) = self.limits.memory_max_bytes {
            fs::write(dir.join("memory.max"), bytes.to_string())?;
        }
        if let Some(tasks) = self.limits.tasks_max {
            fs::write(dir.join("pids.max"), tasks.to_string())?;
        }
        Ok(openat(CWD, dir.join(PROCESSES), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// Removes the groups of ccc processes that were killed. A group in which something lives stays.
    fn remove_left_over(&self) {
        for entry in fs::read_dir(&self.dir).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let maker = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.rsplit('-').nth(1)?.parse().ok());
            if maker.is_some_and(|pid: u32| super::look_up(pid).is_none()) {
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

impl OwnGroup {
    /// Moves this process into the group. Called between fork and exec.
    pub(in crate::process) fn enter(&self) -> io::Result<()> {
        rustix::io::write(&self.entrance, b"0")?;
        Ok(())
    }

    /// Whether the kernel has ended processes of this group because its memory was used up.
    pub(in crate::process) fn has_run_out_of_memory(&self) -> bool {
        kills(&self.dir, "").is_some_and(|kills| kills > 0)
    }
}

impl Drop for OwnGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.dir);
    }
}

fn read(file: &Path) -> Option<String> {
    text(file.to_str()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: ScopeLimits = ScopeLimits { memory_max_bytes: Some(1 << 30), tasks_max: None };

    /// A directory that looks like a group.
    fn group(dir: &Path, controllers: &str, handed_down: &str, is_root: bool) {
        fs::create_dir_all(dir).expect("made");
        fs::write(dir.join("cgroup.controllers"), controllers).expect("written");
        fs::write(dir.join(HANDED_DOWN), handed_down).expect("written");
        if !is_root {
            fs::write(dir.join("cgroup.type"), "domain\n").expect("written");
        }
    }

    #[test]
    fn a_group_is_made_where_the_controllers_are_handed_down_and_never_in_the_own_one() {
        let root = tempfile::tempdir().expect("a directory");
        let (root, above, own) = (root.path(), root.path().join("a"), root.path().join("a/own"));
        group(root, "cpu memory pids\n", "cpu\n", true);
        group(&above, "cpu memory pids\n", "memory\n", false);
        group(&own, "memory\n", "memory\n", false);
        let hands = |dir: &Path, limits, is_own| GroupPlace { dir: dir.to_owned(), limits }.hands_down(is_own);
        assert!(!hands(&own, MEMORY, true), "it has processes");
        assert!(hands(&above, MEMORY, false));
        let both = ScopeLimits { tasks_max: Some(64), ..MEMORY };
        assert!(!hands(&above, both, false), "it hands down no `pids`");
        assert_eq!(fs::read_to_string(above.join(HANDED_DOWN)).expect("read"), "memory\n", "it stays as it is");
        // The root is asked to hand them down; this one is a directory, and takes what was written last.
        assert!(!hands(root, MEMORY, false));
        assert_eq!(fs::read_to_string(root.join(HANDED_DOWN)).expect("read"), "+memory");
    }

    #[test]
    fn a_group_gets_the_limits_and_is_removed_with_its_child() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = GroupPlace { dir: dir.path().into(), limits: ScopeLimits { tasks_max: Some(64), ..MEMORY } };
        let made = dir.path().join("ccc-run-1-2");
        // A group of the kernel comes with its files; here there is no entrance, so nothing is made.
        assert!(place.make("run-1-2").is_err());
        assert_eq!(fs::read_to_string(made.join("memory.max")).expect("read"), "1073741824");
        assert_eq!(fs::read_to_string(made.join("pids.max")).expect("read"), "64");
        fs::write(made.join(PROCESSES), "").expect("written");
        fs::write(made.join("memory.events"), "oom_kill 2\n").expect("written");
        let group = OwnGroup { entrance: place.fill(&made).expect("filled"), dir: made.clone() };
        group.enter().expect("entered");
        assert_eq!(fs::read_to_string(made.join(PROCESSES)).expect("read"), "0");
        assert!(group.has_run_out_of_memory());
        fs::write(made.join("memory.events"), "oom_kill 0\n").expect("written");
        assert!(!group.has_run_out_of_memory());
        fs::remove_dir_all(&made).expect("removed");
        fs::create_dir(&made).expect("made");
        drop(group);
        assert!(!made.exists());
    }

    #[test]
    fn groups_of_a_killed_ccc_are_removed_and_those_of_a_living_one_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let place = GroupPlace { dir: dir.path().into(), limits: MEMORY };
        let at = |name: &str| dir.path().join(name);
        let ours = format!("ccc-run-{}-1", std::process::id());
        for name in ["ccc-20260101-101010-ab12-4194999-1", &ours, "other-4194999-1", "ccc-x"] {
            fs::create_dir(at(name)).expect("made");
        }
        place.remove_left_over();
        assert!(!at("ccc-20260101-101010-ab12-4194999-1").exists());
        assert!(at(&ours).exists() && at("other-4194999-1").exists() && at("ccc-x").exists());
    }
}
