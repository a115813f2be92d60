//! Checks whether another process belongs to a run of this ccc.

use super::spec::RUN_ID_VARIABLE;
use super::system::{self, Environment, HAS_TABLE};

/// How many ancestors are checked. A longer chain counts as belonging to a run.
const ANCESTORS: usize = 256;

/// Whether an agent or one of its descendants started the process: it descends from this process, or it or one of its ancestors
/// carries the mark of a run other than the one that this process carries. A process that is gone or unreadable counts as one.
/// Without a process table none does.
#[must_use]
pub fn is_inside(pid: u32) -> bool {
    if !HAS_TABLE {
        return false;
    }
    let us = std::process::id();
    let our_mark = mark(us);
    let Some(first) = system::look_up(pid) else { return true };
    let Some(environment) = Environment::of(pid) else { return true };
    let is_marked = |mark: Option<Vec<u8>>| mark.is_some() && mark != our_mark;
    if is_marked(environment.get(RUN_ID_VARIABLE).map(<[u8]>::to_vec)) {
        return true;
    }
    let mut above = first.parent;
    for _ in 0..ANCESTORS {
        if above == us {
            return true;
        }
        // The next ancestor is init or belongs to another user, such as the process of the login.
        let Some(process) = system::look_up(above) else { return is_reused(pid, first.start_ticks) };
        if is_marked(mark(above)) {
            return true;
        }
        above = process.parent;
    }
    true
}

/// Whether the ancestors of a process can be looked up on this system.
#[must_use]
pub fn knows_ancestors() -> bool {
    HAS_TABLE
}

/// This process and its ancestors, the nearest first, as far as they can be read. On Linux an orphan below a ccc becomes a child
/// of that ccc, so everything that a run has started has its ccc among its ancestors.
#[must_use]
pub fn ancestors(pid: u32) -> Vec<u32> {
    let mut found = Vec::new();
    let mut next = pid;
    while next > 1 && found.len() < ANCESTORS && !found.contains(&next) {
        let Some(process) = system::look_up(next) else { break };
        found.push(next);
        next = process.parent;
    }
    found
}

/// The run inside which this process was started, by the mark in its environment.
#[must_use]
pub fn own_mark() -> Option<String> {
    mark(std::process::id()).map(|mark| String::from_utf8_lossy(&mark).into_owned())
}

/// The runs inside which this process was started, by the marks of its ancestors, the nearest first; not by its own.
#[must_use]
pub fn marks_above() -> Vec<String> {
    let marks = ancestors(std::process::id()).into_iter().skip(1).filter_map(mark);
    let mut marks: Vec<String> = marks.map(|mark| String::from_utf8_lossy(&mark).into_owned()).collect();
    marks.dedup();
    marks
}

/// Whether the pid has been reused by another process.
fn is_reused(pid: u32, start_ticks: u64) -> bool {
    system::look_up(pid).is_none_or(|process| process.start_ticks != start_ticks)
}

/// The run id in the environment of a process.
fn mark(pid: u32) -> Option<Vec<u8>> {
    Environment::of(pid)?.get(RUN_ID_VARIABLE).map(<[u8]>::to_vec)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::process::{Child, Command};

    use super::is_inside;
    use crate::process::RUN_ID_VARIABLE;

    struct Ended(Child);

    impl Drop for Ended {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn what_this_process_has_started_is_inside_and_what_has_started_it_is_not() {
        let child = Ended(Command::new("sleep").arg("60").spawn().expect("sleep starts"));
        assert!(is_inside(child.0.id()));
        assert!(is_inside(u32::MAX), "a process that is gone");
        let parent = rustix::process::getppid().expect("a parent");
        let carries = std::env::vars_os().any(|(name, _)| name == RUN_ID_VARIABLE);
        assert!(carries || !is_inside(parent.as_raw_nonzero().get().unsigned_abs()));
    }
}
