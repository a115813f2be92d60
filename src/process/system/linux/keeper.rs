//! The process between ccc and a command. It kills the command and all its descendants when ccc is killed.
//!
//! An agent gets SIGHUP from its terminal when ccc dies. A check or a helper program has no terminal and would keep running
//! until the run is resumed. So a forked copy of ccc runs between ccc and the command. It executes nothing, has closed all
//! files, and waits for the end of either. Orphans below it become its children, whatever their session or environment, so it
//! only has to kill its own children until none is left. When the command ends, the keeper ends with the same status, which ccc
//! then sees.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal as RawSignal, WaitOptions, WaitStatus, getpid, getppid, kill_process, pidfd_open,
    set_child_subreaper, wait, waitpid,
};

use crate::process::descriptors::close_from;
use crate::process::monitor::{die_by, exit_at_once, split_off};
use crate::process::signal::ignore;

/// How often orphans that have exited are reaped.
const REAP_EVERY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
/// The pause between two passes of killing.
const KILL_AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };
/// The most passes. A process that is still alive then is stuck in the kernel.
const KILL_PASSES: u32 = 1_000;
/// The signals with a default action. SIGKILL and SIGSTOP cannot be ignored, and SIGCHLD must not be.
const STANDARD_SIGNALS: std::ops::RangeInclusive<i32> = 1..=31;

/// Called between fork and exec, in the leader of a new session. It returns in a child of the leader, which then executes the
/// command; the leader itself never returns. The leader is in the command's group and ignores signals to the group.
///
/// # Errors
/// When no further process can be created; there is then no keeper.
pub(in crate::process) fn split(ccc: u32) -> io::Result<()> {
    // Linux has had it since 3.4. An emulation of it may not (qemu-user): there orphans are found by their mark only.
    let _ = set_child_subreaper(Some(getpid()));
    match split_off()? {
        None => Ok(()),
        Some(command) => keep(ccc, command),
    }
}

/// The body of the keeper.
fn keep(ccc: u32, command: Pid) -> ! {
    for number in STANDARD_SIGNALS.filter(|number| *number != RawSignal::CHILD.as_raw()) {
        ignore(number);
    }
    close_from(0);
    let watched = watch(ccc).zip(pidfd_open(command, PidfdFlags::empty()).ok());
    if let Some((ccc, ended)) = watched {
        loop {
            reap(command);
            let mut fds = [PollFd::new(&ccc, PollFlags::IN), PollFd::new(&ended, PollFlags::IN)];
            let _ = poll(&mut fds, Some(&REAP_EVERY));
            if fds.first().is_some_and(|ccc| !ccc.revents().is_empty()) {
                kill_all();
            }
        }
    }
    // On a kernel before 5.3 the keeper can wait only for the command's end.
    loop {
        match waitpid(Some(command), WaitOptions::empty()) {
            Ok(Some((_, status))) => end_like(status),
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => exit_at_once(i32::from(u8::MAX)),
        }
    }
}

/// A descriptor that becomes readable when ccc has ended; `None` if the system has none. If ccc has ended already, kills
/// everything at once.
fn watch(ccc: u32) -> Option<OwnedFd> {
    let ccc = Pid::from_raw(i32::try_from(ccc).ok()?)?;
    let fd = pidfd_open(ccc, PidfdFlags::empty()).ok()?;
    // ccc is still the parent, so its pid cannot have been reused.
    if getppid() == Some(ccc) { Some(fd) } else { kill_all() }
}

/// Reaps exited processes, and ends when the command has ended.
fn reap(command: Pid) {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == command => end_like(status),
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) => return,
            Err(_) => exit_at_once(i32::from(u8::MAX)),
        }
    }
}

/// ccc has ended: kills every child, and the orphans that become children by that, until none is left.
fn kill_all() -> ! {
    for _ in 0..KILL_PASSES {
        kill_children();
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some(_)) | Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(_) => exit_at_once(i32::from(u8::MAX)),
            }
        }
        let _ = poll(&mut [], Some(&KILL_AGAIN));
    }
    exit_at_once(i32::from(u8::MAX))
}

/// Kills all children. Allocates nothing, because the keeper was forked from one thread of many.
fn kill_children() {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let Ok(list) = openat(CWD, c"/proc/thread-self/children", flags, Mode::empty()) else { return };
    let mut buffer = [0u8; 4096];
    let Ok(count) = rustix::io::read(list.as_fd(), &mut buffer) else { return };
    let mut number: i32 = 0;
    for byte in buffer.iter().take(count) {
        if byte.is_ascii_digit() {
            number = number.saturating_mul(10).saturating_add(i32::from(byte - b'0'));
        } else {
            // Only a number followed by a blank is complete; the last one in the buffer may be cut off.
            if let Some(child) = Pid::from_raw(number) {
                let _ = kill_process(child, RawSignal::KILL);
            }
            number = 0;
        }
    }
}

fn end_like(status: WaitStatus) -> ! {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => exit_at_once(code),
        (None, Some(signal)) => die_by(signal),
        (None, None) => exit_at_once(i32::from(u8::MAX)),
    }
}
