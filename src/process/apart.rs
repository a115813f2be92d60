//! Starts this program again outside of every run, and watches processes that are not children.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};

use super::spec::{ATTEMPT_VARIABLE, RUN_ID_VARIABLE, SPAWN_VARIABLE};
use super::system;
use super::wake::{now, poll};

/// How many ancestors are checked.
const ANCESTORS: usize = 256;
/// How much of what a program has written to stderr is kept.
const SAID_BYTES: usize = 16 * 1024;

/// This program with these arguments, without the marks of a run, without input, in a directory that lasts.
pub(super) fn apart(args: &[OsString], env: &[(&str, &OsStr)], cwd: &Path) -> io::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(args).envs(env.iter().copied()).current_dir(cwd).stdin(Stdio::null());
    for mark in [RUN_ID_VARIABLE, ATTEMPT_VARIABLE, SPAWN_VARIABLE] {
        command.env_remove(mark);
    }
    Ok(command)
}

/// How a program ended that was run apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedApart {
    /// Its exit code; `None` after a signal or the time limit.
    pub code: Option<i32>,
    /// The end of what it wrote to stderr.
    pub said: String,
}

/// Runs this program with these arguments, without the marks of a run, and waits for its end or the limit. What it starts in a
/// session of its own goes on.
///
/// # Errors
/// When it cannot be started.
pub fn run_apart(args: &[OsString], env: &[(&str, &OsStr)], cwd: &Path, limit: Duration) -> io::Result<EndedApart> {
    let mut child = apart(args, env, cwd)?.stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut said = Vec::new();
    let deadline = now() + limit;
    let mut stderr = child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?;
    let mut chunk = [0; 4096];
    let mut is_over = false;
    // The pipe is closed by the program's end; what it leaves running has no part of it.
    while !is_over {
        let left = deadline.saturating_duration_since(now());
        let [readable] = poll([Some((stderr.as_fd(), PollFlags::IN))], Some(left))?;
        if !readable && now() >= deadline {
            let _ = child.kill();
            break;
        }
        if readable {
            match stderr.read(&mut chunk) {
                Ok(0) => is_over = true,
                Ok(count) => said.extend_from_slice(chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
            let surplus = said.len().saturating_sub(SAID_BYTES);
            said.drain(..surplus);
        }
    }
    let code = child.wait()?.code();
    Ok(EndedApart { code, said: String::from_utf8_lossy(&said).into_owned() })
}

/// Starts this program with these arguments, without the marks of a run and without output, and leaves it running.
///
/// # Errors
/// When it cannot be started.
pub fn leave_apart(args: &[OsString], cwd: &Path) -> io::Result<()> {
    let mut command = apart(args, &[], cwd)?;
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().map(drop)
}

/// Whether an ancestor of this process is a ccc: what is started here would end with that ccc's run. Without a process table it
/// is not known, and orphans do not become children of ccc.
#[must_use]
pub fn is_below_ccc() -> bool {
    let us = std::process::id();
    let name = system::name(us);
    let mut next = system::look_up(us).map(|process| process.parent);
    for _ in 0..ANCESTORS {
        let Some(process) = next.filter(|pid| *pid > 1).and_then(system::look_up) else { return false };
        if system::name(process.pid) == name {
            return true;
        }
        next = Some(process.parent);
    }
    true
}

/// When this machine was started, unix milliseconds; `None` if the system does not report it.
#[must_use]
pub fn booted_unix_ms() -> Option<i64> {
    system::booted_unix_ms()
}

/// Lets what is started here, and left by the process that starts it, go to init instead of this process. What a child of this
/// process leaves at the same moment goes there, too: from then on sweeps look at all processes.
pub fn let_go<T>(start: impl FnOnce() -> T) -> T {
    if !system::is_subreaper() {
        return start();
    }
    super::registry::expect_strays();
    system::stop_being_subreaper();
    let started = start();
    system::become_subreaper();
    started
}

/// Whether the ends of all processes are reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watched {
    /// They are.
    All,
    /// One of them has ended.
    OneIsGone,
    /// One of them must be looked at from time to time.
    NotAll,
}

/// Waits for the ends of processes that are not children, and for a file to be touched.
#[derive(Debug, Default)]
pub struct Others {
    ends: BTreeMap<u32, OwnedFd>,
    bell: Option<OwnedFd>,
}

impl Others {
    /// Also watches this file, which exists, for a change of its times, or its removal. Without the system's help nothing is
    /// watched.
    pub fn listen(&mut self, bell: &Path) {
        self.bell = system::watch_names(&[bell]).ok();
    }

    /// Watches exactly these processes.
    pub fn watch(&mut self, pids: &BTreeSet<u32>) -> Watched {
        self.ends.retain(|pid, _| pids.contains(pid));
        let mut watched = Watched::All;
        for pid in pids {
            if self.ends.contains_key(pid) {
                continue;
            }
            let number = i32::try_from(*pid).ok().and_then(rustix::process::Pid::from_raw);
            match number.map(system::open_pidfd) {
                Some(Ok(Some(end))) => {
                    self.ends.insert(*pid, end);
                }
                Some(Err(rustix::io::Errno::SRCH)) if watched == Watched::All => watched = Watched::OneIsGone,
                Some(Err(rustix::io::Errno::SRCH)) => {}
                Some(Ok(None) | Err(_)) | None => watched = Watched::NotAll,
            }
        }
        watched
    }

    /// Waits until one of the processes has ended, the file was touched, or the time is over.
    ///
    /// # Errors
    /// When the system cannot wait.
    pub fn wait(&mut self, limit: Duration) -> io::Result<()> {
        let mut fds: Vec<PollFd<'_>> =
            self.ends.values().chain(&self.bell).map(|fd| PollFd::new(fd, PollFlags::IN)).collect();
        let limit = Timespec {
            tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(limit.subsec_nanos()),
        };
        match rustix::event::poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let has_event: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        let ended: Vec<u32> =
            self.ends.keys().zip(&has_event).filter(|(_, ended)| **ended).map(|(pid, _)| *pid).collect();
        for pid in ended {
            self.ends.remove(&pid);
        }
        if let Some(bell) = &self.bell {
            let mut events = [0; 1024];
            while rustix::io::read(bell, &mut events).is_ok_and(|count| count > 0) {}
        }
        Ok(())
    }
}

/// Touches the file, so that a process that listens to it wakes.
///
/// # Errors
/// When its times cannot be changed.
pub fn ring(bell: &File) -> io::Result<()> {
    let times = rustix::fs::Timestamps {
        last_access: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
        last_modification: rustix::fs::Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW },
    };
    rustix::fs::futimens(bell, &times).map_err(io::Error::from)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn the_end_of_another_process_and_a_touched_file_end_the_wait() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("bell");
        let bell = File::create(&path).expect("a file");
        let mut others = Others::default();
        others.listen(&path);
        let mut child = Command::new("sleep").arg("600").spawn().expect("sleep starts");
        assert_eq!(others.watch(&BTreeSet::from([child.id()])), Watched::All);
        ring(&bell).expect("touched");
        others.wait(LONG).expect("it waits");
        let begun = now();
        others.wait(Duration::from_millis(50)).expect("it waits");
        assert!(now().duration_since(begun) >= Duration::from_millis(50), "the bell has been heard");
        child.kill().expect("it is killed");
        others.wait(LONG).expect("it waits");
        assert!(others.ends.is_empty(), "it has ended");
        child.wait().expect("it has ended");
        assert_eq!(others.watch(&BTreeSet::from([child.id()])), Watched::OneIsGone);
        assert_eq!(others.watch(&BTreeSet::from([u32::MAX])), Watched::NotAll, "no pid");
    }

    #[test]
    fn this_test_is_not_below_a_ccc_of_its_name() {
        assert!(!is_below_ccc());
    }
}
