//! The user's terminal in raw mode for an interactive program. Its modes are restored on every exit path.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

use super::ids;
use super::interactive::Likeness;
use super::signal::ignore;
use super::system;
use super::wake::poll;

/// The terminal on which ccc was started. Clones share it.
#[derive(Debug, Clone)]
pub struct UserTerminal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    keys: OwnedFd,
    screen: OwnedFd,
    /// The user's modes, while ccc's modes are set.
    saved: Mutex<Option<Termios>>,
}

/// Restores the terminal when it is dropped, even in a panic.
#[derive(Debug)]
pub struct TerminalGuard(UserTerminal);

impl UserTerminal {
    /// The terminal of stdout, if it can also be read. In a pipeline (`cat x | ccc …`) keys come from the controlling terminal.
    /// `None` when stdout is not a terminal.
    #[must_use]
    pub fn find() -> Option<Self> {
        if !isatty(rustix::stdio::stdout()) {
            return None;
        }
        let keys = if isatty(rustix::stdio::stdin()) {
            rustix::stdio::stdin().try_clone_to_owned().ok()?
        } else {
            let flags = OFlags::NOCTTY.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty").ok()?.into()
        };
        let screen = rustix::stdio::stdout().try_clone_to_owned().ok()?;
        Some(Self(Arc::new(Shared { keys, screen, saved: Mutex::new(None) })))
    }

    /// A separate terminal for a test, with a reader of its output and a function that formats its modes.
    #[cfg(test)]
    pub(crate) fn of_test() -> (Self, std::fs::File, impl Fn() -> String) {
        let pair = super::pty::open(&super::pty::SystemPtys, 80, 24).expect("a terminal");
        let screen = pair.slave.try_clone().expect("a descriptor");
        let shared = Arc::new(Shared { keys: pair.slave, screen, saved: Mutex::new(None) });
        let mut modes = tcgetattr(&shared.keys).expect("its modes");
        modes.local_modes.insert(rustix::termios::LocalModes::ECHO | rustix::termios::LocalModes::ICANON);
        tcsetattr(&shared.keys, OptionalActions::Now, &modes).expect("a user's modes");
        let master = pair.master.try_clone().expect("a descriptor");
        (Self(shared), std::fs::File::from(pair.master), move || {
            format!("{:?}", tcgetattr(&master).expect("its modes"))
        })
    }

    fn saved(&self) -> MutexGuard<'_, Option<Termios>> {
        self.0.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The descriptor that keys are read from.
    pub(super) fn keys(&self) -> &OwnedFd {
        &self.0.keys
    }

    /// Whether ccc may read from the terminal and set it, because the shell gives a terminal to one job at a time. A terminal
    /// that is not ccc's controlling one has no jobs, so ccc may.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        tcgetpgrp(&self.0.keys).map_or(true, |group| Some(group) == ids::own_group())
    }

    /// The size.
    #[must_use]
    pub fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.0.screen).ok()
    }

    /// The properties for a program's terminal that behaves like this one.
    #[must_use]
    pub fn likeness(&self) -> Option<Likeness> {
        let modes = self.saved().clone().or_else(|| tcgetattr(&self.0.keys).ok())?;
        Some(Likeness { modes, size: self.size()? })
    }

    /// Switches to raw mode: keys and output pass unchanged. Does nothing while the terminal belongs to another job.
    ///
    /// # Errors
    /// The system's error.
    pub fn make_raw(&self) -> io::Result<()> {
        let mut saved = self.saved();
        if saved.is_some() || !self.is_ours() {
            return Ok(());
        }
        let modes = tcgetattr(&self.0.keys)?;
        let mut raw = modes.clone();
        raw.make_raw();
        // Do not flush: keys that were typed before are meant for the program.
        tcsetattr(&self.0.keys, OptionalActions::Now, &raw)?;
        *saved = Some(modes);
        Ok(())
    }

    /// Whether raw mode is set.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.saved().is_some()
    }

    /// Restores the user's modes, unless the terminal belongs to another job.
    pub fn restore(&self) {
        if let Some(modes) = self.saved().take()
            && self.is_ours()
        {
            let _ = tcsetattr(&self.0.keys, OptionalActions::Now, &modes);
        }
    }

    /// Writes everything to the screen; blocks on a slow screen.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn write(&self, bytes: &[u8]) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            match rustix::io::write(&self.0.screen, rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    poll([Some((self.0.screen.as_fd(), PollFlags::OUT))], None)?;
                }
                Err(errno) => return Err(errno.into()),
            }
        }
        Ok(())
    }

    /// A guard that restores the terminal when it is dropped. From now on ccc is not stopped when it sets or writes to a
    /// terminal that belongs to another job.
    #[must_use]
    pub fn guard(&self) -> TerminalGuard {
        ignore(rustix::process::Signal::TTOU.as_raw());
        TerminalGuard(self.clone())
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        self.0.restore();
    }
}

/// Stops ccc and the rest of its job, as Ctrl-Z does. Returns when the job is continued, or a moment before it is stopped. If
/// no process could continue it, returns false and stops nothing; the kernel discards a Ctrl-Z in that case as well.
#[must_use]
pub fn stop_own_job() -> bool {
    own_job_can_stop() && rustix::process::kill_current_process_group(rustix::process::Signal::STOP).is_ok()
}

/// Whether a process could continue ccc after a stop: a shell with job control, which needs a terminal. Without one (cron, CI,
/// a script's `timeout`) the stop would last forever, and would also stop a program in the same group that supervises ccc.
#[must_use]
pub fn own_job_can_stop() -> bool {
    has_controlling_terminal() && !is_orphaned()
}

/// `/dev/tty` exists for every process, but can be opened only if the session has a terminal (`tty(4)`).
fn has_controlling_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).is_ok()
}

/// Whether no process of ccc's group has a parent outside the group in the same session, such as a shell that would notice the
/// stop of its job.
fn is_orphaned() -> bool {
    let table = system::read_table();
    let Some(us) = table.processes.get(&std::process::id()) else {
        // Without a process table only the parent can be checked.
        let parent = rustix::process::getppid();
        return parent.is_none_or(|parent| ids::session_of(Some(parent)) != ids::session_of(None));
    };
    let watched = |pid: u32| {
        table.processes.get(&pid).is_some_and(|parent| parent.session == us.session && parent.group != us.group)
    };
    !table.iter().any(|member| member.group == us.group && !member.zombie && watched(member.parent))
}
