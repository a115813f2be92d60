//! The process between ccc and the program. It leads the program's session and does the job control of a shell.
//!
//! Ctrl-Z cannot stop a program that leads a session, because its process group is orphaned and the kernel discards SIGTSTP
//! there. So the session's leader is a fork of ccc that executes nothing, has closed all files and only waits. It puts the
//! program into its own group, in the foreground of the terminal, reports its stops to ccc ([`Report`]), and ends with the
//! program's status.

use std::ffi::c_int;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::process::{Pid, Resource, Rlimit, Signal as RawSignal, WaitId, WaitIdOptions, waitid};

use super::descriptors::close_from;
use super::signal::{ignore, reset_disposition};
use super::system::end_with_parent;

/// Length of one report, in bytes: two numbers. Below `PIPE_BUF`, so writes are atomic.
const REPORT_BYTES: usize = 8;
const STARTED: i32 = 1;
const STOPPED: i32 = 2;
/// The only descriptor that the monitor keeps.
const KEPT: RawFd = 3;

/// A report of the monitor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Report {
    /// The program's process id, which is also its group's.
    Started(u32),
    /// The program was stopped by this signal.
    Stopped(i32),
}

impl Report {
    /// Reads the next report; `None` when the monitor has ended.
    pub(super) fn read(from: &OwnedFd) -> Option<Self> {
        loop {
            let mut bytes = [0; REPORT_BYTES];
            match rustix::io::read(from, &mut bytes) {
                Ok(REPORT_BYTES) => {
                    let [kind, value] = [0, 4].map(|at| {
                        let mut number = [0; 4];
                        number.copy_from_slice(&bytes[at..at + 4]);
                        i32::from_ne_bytes(number)
                    });
                    match kind {
                        STARTED => return u32::try_from(value).ok().map(Self::Started),
                        STOPPED => return Some(Self::Stopped(value)),
                        _ => {}
                    }
                }
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => return None,
            }
        }
    }
}

/// Called between fork and exec, in the leader of a new session. It returns in a new child of the leader, which then executes
/// the program; the leader itself never returns. `terminal`: descriptor 1 is the session's terminal.
///
/// # Errors
/// When no further process can be created; there is then no monitor.
pub(super) fn split(reports: RawFd, terminal: bool) -> io::Result<()> {
    if let Some(program) = split_off()? {
        monitor(program, reports)
    }
    // A background process that takes the foreground gets SIGTTOU, which would stop it. With the signal ignored the call
    // succeeds.
    rustix::process::setpgid(None, None)?;
    if terminal {
        ignore(RawSignal::TTOU.as_raw());
        #[allow(unsafe_code, reason = "a descriptor known by its number only")]
        // SAFETY: the standard library has just made it the child's stdout.
        let stdout = unsafe { BorrowedFd::borrow_raw(1) };
        rustix::termios::tcsetpgrp(stdout, rustix::process::getpid())?;
        reset_disposition(RawSignal::TTOU.as_raw());
    }
    // Without this, a program without a terminal would outlive ccc.
    end_with_parent();
    Ok(())
}

/// Forks in a process that was itself just forked. Returns the child's pid, and `None` in the child.
pub(super) fn split_off() -> io::Result<Option<Pid>> {
    #[allow(unsafe_code, reason = "rustix wraps no fork")]
    // SAFETY: we are the only thread of a process that was just forked; both sides make system calls only.
    let child = unsafe { libc::fork() };
    if child < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(Pid::from_raw(child))
}

/// The body of the monitor.
fn monitor(program: Pid, reports: RawFd) -> ! {
    // Both processes make this call, and the first one takes effect, so the program is never in the monitor's group.
    let _ = rustix::process::setpgid(Some(program), Some(program));
    end_with_parent();
    keep_only(reports);
    report(STARTED, program.as_raw_nonzero().get());
    loop {
        match waitid(WaitId::Pid(program), WaitIdOptions::EXITED | WaitIdOptions::STOPPED) {
            Ok(Some(status)) => {
                if let Some(signal) = status.stopping_signal() {
                    report(STOPPED, signal);
                } else if let Some(code) = status.exit_status() {
                    exit_at_once(code)
                } else if let Some(signal) = status.terminating_signal() {
                    die_by(signal)
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(_) => exit_at_once(c_int::from(u8::MAX)),
        }
    }
}

/// Closes everything but this descriptor, because a reader that waits for the end of the program's output must not wait for the
/// monitor.
fn keep_only(reports: RawFd) {
    #[allow(unsafe_code, reason = "descriptors known by their numbers only")]
    // SAFETY: nothing in this process uses any of them any more.
    unsafe {
        libc::dup2(reports, KEPT);
        for fd in 0..KEPT {
            libc::close(fd);
        }
    }
    close_from(KEPT + 1);
}

fn report(kind: i32, value: i32) {
    let mut bytes = [0; REPORT_BYTES];
    bytes[..4].copy_from_slice(&kind.to_ne_bytes());
    bytes[4..].copy_from_slice(&value.to_ne_bytes());
    #[allow(unsafe_code, reason = "a descriptor known by its number only")]
    // SAFETY: `keep_only` has put it there.
    let to = unsafe { BorrowedFd::borrow_raw(KEPT) };
    // If ccc has ended, the write fails, and the monitor ends as well.
    let _ = rustix::io::write(to, &bytes);
}

/// Ends by the same signal, without a second core dump.
pub(super) fn die_by(signal: i32) -> ! {
    reset_disposition(signal);
    let _ = rustix::process::setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    if let Some(signal) = RawSignal::from_named_raw(signal) {
        let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
    }
    exit_at_once(128 + signal)
}

pub(super) fn exit_at_once(code: c_int) -> ! {
    #[allow(unsafe_code, reason = "the standard library's exit runs handlers that are not ours to run")]
    // SAFETY: ends the process and runs nothing.
    unsafe {
        libc::_exit(code)
    }
}
