//! Signals by name, and default signal dispositions for a new child.

use std::ffi::c_int;
use std::mem::MaybeUninit;
use std::ptr::null;

use libc::{SIG_DFL, SIG_IGN};

/// The signals that ccc sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Signal {
    /// SIGINT: interrupt the work.
    Interrupt,
    /// SIGTERM: a request to end.
    Terminate,
    /// SIGKILL: cannot be ignored.
    Kill,
    /// SIGSTOP: stop; cannot be ignored.
    Stop,
    /// SIGCONT: continue.
    Continue,
    /// SIGTSTP: stop, as by Ctrl-Z.
    TerminalStop,
    /// SIGWINCH: the terminal's size has changed.
    WindowChange,
}

impl Signal {
    /// Its number on this system.
    #[must_use]
    pub fn number(self) -> i32 {
        self.raw().as_raw()
    }

    pub(super) fn raw(self) -> rustix::process::Signal {
        match self {
            Self::Interrupt => rustix::process::Signal::INT,
            Self::Terminate => rustix::process::Signal::TERM,
            Self::Kill => rustix::process::Signal::KILL,
            Self::Stop => rustix::process::Signal::STOP,
            Self::Continue => rustix::process::Signal::CONT,
            Self::TerminalStop => rustix::process::Signal::TSTP,
            Self::WindowChange => rustix::process::Signal::WINCH,
        }
    }
}

/// The highest signal number of Linux; macOS has fewer and rejects the others harmlessly.
const HIGHEST_SIGNAL: c_int = 64;

#[allow(unsafe_code, reason = "rustix wraps no signal(2)")]
fn set_disposition(number: c_int, handler: libc::sighandler_t) {
    debug_assert!([SIG_DFL, SIG_IGN].contains(&handler), "no other handler is no address");
    // SAFETY: signal(2) with SIG_DFL or SIG_IGN installs no code of ours, and is async-signal-safe.
    unsafe { libc::signal(number, handler) };
}

/// Whether ccc's parent has made it ignore this signal, as `nohup` does. Ask before a handler is installed for it.
#[must_use]
pub fn is_ignored(number: c_int) -> bool {
    let mut present = MaybeUninit::<libc::sigaction>::zeroed();
    #[allow(unsafe_code, reason = "rustix wraps no sigaction(2)")]
    // SAFETY: without a new action the call changes nothing and writes the present one, a structure that may be all zeros.
    unsafe {
        libc::sigaction(number, null(), present.as_mut_ptr()) == 0 && present.assume_init().sa_sigaction == SIG_IGN
    }
}

/// Resets every signal to its default action. `exec` removes handlers, but a signal that *ccc* ignores (the Rust runtime
/// ignores SIGPIPE, a `nohup` above ccc SIGHUP) would stay ignored in the agent and all its tools: they would survive a hangup,
/// and loop on EPIPE. Async-signal-safe, for the time between `fork` and `exec`. The standard library clears the signal mask.
pub(super) fn reset_dispositions() {
    for number in 1..=HIGHEST_SIGNAL {
        // This fails for SIGKILL and SIGSTOP, which cannot be ignored, and for the two signals that the C library reserves.
        set_disposition(number, SIG_DFL);
    }
}

/// Ignores a signal. Async-signal-safe.
pub(super) fn ignore(number: c_int) {
    set_disposition(number, SIG_IGN);
}

/// From now on a file that would exceed the limit of the shell (`ulimit -f`) is a failed write, and not the end of this process.
/// Children begin with the default again.
pub fn bear_file_limits() {
    set_disposition(libc::SIGXFSZ, SIG_IGN);
}

/// From now on Ctrl-C ends this process, also if a handler was installed for it.
pub fn end_by_interrupt() {
    set_disposition(libc::SIGINT, SIG_DFL);
}

/// Resets one signal to its default action. Async-signal-safe.
pub(super) fn reset_disposition(number: c_int) {
    set_disposition(number, SIG_DFL);
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use crate::process::{Cancel, CommandSpec, EndedWithCcc, run_command};

    // What a process ignores is read from /proc.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_child_ignores_and_blocks_no_signal_although_we_do() {
        const SIGXFSZ: c_int = 25;
        const SIGHUP: c_int = 1;
        set_disposition(SIGXFSZ, SIG_IGN);
        set_disposition(SIGHUP, SIG_IGN);
        let ours = std::fs::read_to_string("/proc/self/status").unwrap();
        let ours = ours.lines().find(|line| line.starts_with("SigIgn")).unwrap();
        assert_ne!(ours, "SigIgn:\t0000000000000000", "the test needs ignored signals in the parent");
        // Each is started in another way.
        for ended_with_ccc in [EndedWithCcc::Tree, EndedWithCcc::Command] {
            let mut spec = CommandSpec::shell("grep -E '^Sig(Blk|Ign)' /proc/self/status", "/".into());
            spec.env = vec![("PATH".into(), "/usr/bin:/bin".into())];
            spec.ended_with_ccc = ended_with_ccc;
            let result = run_command(&spec, &Cancel::new().unwrap()).unwrap();
            let text = String::from_utf8(result.tail).unwrap();
            let set = |name: &str| {
                let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                u64::from_str_radix(line.trim(), 16).unwrap()
            };
            // Signals from 32 on include those that the C library reserves.
            let standard = (1 << 31) - 1;
            assert_eq!(set("SigIgn:") & standard, 0, "{text}");
            assert_eq!(set("SigBlk:"), 0, "{text}");
        }
    }

    #[test]
    fn an_ignored_signal_is_told_from_one_with_its_default_action() {
        assert!(!is_ignored(libc::SIGUSR2));
        ignore(libc::SIGUSR2);
        assert!(is_ignored(libc::SIGUSR2));
        reset_disposition(libc::SIGUSR2);
        assert!(!is_ignored(libc::SIGUSR2));
        assert!(!is_ignored(0) && !is_ignored(i32::MAX), "these are no signals");
    }
}
