//! The user's terminal in raw mode for an interactive program. Its modes are restored on every way out.

use std::fs::OpenOptions;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::event::PollFlags;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::termios::{OptionalActions, Termios, Winsize, isatty, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

use super::interactive::Likeness;
use super::signal::ignore;
use super::system;
use super::wake::poll;

/// The terminal that ccc was started on. Clones are the same.
#[derive(Debug, Clone)]
pub struct UserTerminal(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    keys: OwnedFd,
    screen: OwnedFd,
    /// The user's modes, while ours are in force.
    saved: Mutex<Option<Termios>>,
}

/// Gives the terminal back when it is dropped, also by a panic.
#[derive(Debug)]
pub struct TerminalGuard(UserTerminal);

impl UserTerminal {
    /// The terminal that is our stdout, when keys can be read there, too; in a pipeline (`cat x | ccc …`) they come from
    /// the controlling terminal. None when stdout is no terminal.
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

    fn saved(&self) -> MutexGuard<'_, Option<Termios>> {
        self.0.saved.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where keys come from.
    pub(super) fn keys(&self) -> &OwnedFd {
        &self.0.keys
    }

    /// Whether it is ours to read from and to set: the shell gives it to one job at a time. A terminal that does not say,
    /// since it is not our controlling one, has no jobs.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        tcgetpgrp(&self.0.keys).map_or(true, |group| group == rustix::process::getpgrp())
    }

    /// Its size.
    #[must_use]
    pub fn size(&self) -> Option<Winsize> {
        tcgetwinsize(&self.0.screen).ok()
    }

    /// What the program's terminal must look like to be like this one.
    #[must_use]
    pub fn likeness(&self) -> Option<Likeness> {
        let modes = self.saved().clone().or_else(|| tcgetattr(&self.0.keys).ok())?;
        Some(Likeness { modes, size: self.size()? })
    }

    /// Passes every key on as it is, and every byte to the screen. Does nothing while the terminal is another job's.
    ///
    /// # Errors
    /// What the system says.
    pub fn make_raw(&self) -> io::Result<()> {
        let mut saved = self.saved();
        if saved.is_some() || !self.is_ours() {
            return Ok(());
        }
        let modes = tcgetattr(&self.0.keys)?;
        let mut raw = modes.clone();
        raw.make_raw();
        // What was typed before we came is for the program: nothing is flushed.
        tcsetattr(&self.0.keys, OptionalActions::Now, &raw)?;
        *saved = Some(modes);
        Ok(())
    }

    /// Whether [`UserTerminal::make_raw`] is in force.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.saved().is_some()
    }

    /// Gives the user's modes back. While the terminal is another job's, its modes are that one's affair.
    pub fn restore(&self) {
        if let Some(modes) = self.saved().take()
            && self.is_ours()
        {
            let _ = tcsetattr(&self.0.keys, OptionalActions::Now, &modes);
        }
    }

    /// Writes to the screen, all of it. Waits for a screen that is slow, as any program does.
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

    /// A guard that restores the terminal when it is dropped. From now on ccc is not stopped
    /// for setting or writing to a terminal that is another job's at the moment.
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

/// Stops ccc and the rest of its job, as Ctrl-Z does; returns when it goes on, or a moment before it is stopped. False,
/// and nothing is stopped, when there is nobody who could let it go on: the kernel discards a Ctrl-Z then, too.
#[must_use]
pub fn stop_own_job() -> bool {
    own_job_can_stop() && rustix::process::kill_current_process_group(rustix::process::Signal::STOP).is_ok()
}

/// Whether there is somebody who could let ccc go on after a stop: a shell with job control, so a terminal, too. Without one
/// (cron, CI, a script's `timeout`) the stop would last for ever, and would stop what watches over ccc in its group.
#[must_use]
pub fn own_job_can_stop() -> bool {
    has_controlling_terminal() && !is_orphaned()
}

/// `/dev/tty` is there for every process, and opens only where the session has a terminal (`tty(4)`).
fn has_controlling_terminal() -> bool {
    rustix::fs::open("/dev/tty", OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, rustix::fs::Mode::empty()).is_ok()
}

/// Whether no process of our group has a parent outside of it in our session: a shell that would notice its job's stop.
fn is_orphaned() -> bool {
    let table = system::read_table();
    let Some(us) = table.processes.get(&std::process::id()) else {
        // Without a process table the parent alone is asked.
        let parent = rustix::process::getppid();
        let session = |pid| rustix::process::getsid(pid).ok();
        return parent.is_none_or(|parent| session(Some(parent)) != session(None));
    };
    let watched = |pid: u32| {
        table.processes.get(&pid).is_some_and(|parent| parent.session == us.session && parent.group != us.group)
    };
    !table.iter().any(|member| member.group == us.group && !member.zombie && watched(member.parent))
}
