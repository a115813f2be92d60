//! Switches off the echo of the user's terminal while nothing reads it.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, isatty, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};

/// The terminal that keys come from. Dropping it restores the user's modes, also in a panic.
#[derive(Debug)]
pub struct TypedEcho {
    keys: Option<OwnedFd>,
    /// The user's modes, while the echo is off.
    saved: Mutex<Option<Termios>>,
}

impl TypedEcho {
    /// No terminal: nothing is changed.
    #[must_use]
    pub fn none() -> TypedEcho {
        TypedEcho { keys: None, saved: Mutex::new(None) }
    }

    /// The terminal of stdin, else the controlling one; none when there is neither.
    #[must_use]
    pub fn find() -> TypedEcho {
        let keys = if isatty(rustix::stdio::stdin()) {
            rustix::stdio::stdin().try_clone_to_owned().ok()
        } else {
            let flags = OFlags::NOCTTY.bits().cast_signed();
            OpenOptions::new().read(true).custom_flags(flags).open("/dev/tty").ok().map(OwnedFd::from)
        };
        TypedEcho { keys, saved: Mutex::new(None) }
    }

    /// This terminal.
    #[cfg(test)]
    fn of(keys: OwnedFd) -> TypedEcho {
        TypedEcho { keys: Some(keys), saved: Mutex::new(None) }
    }

    /// Switches off the echo. Ctrl-C and Ctrl-Z still raise signals. Changes nothing while the terminal belongs to another job.
    pub fn quiet(&self) {
        let mut saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = self.keys.as_ref().filter(|_| saved.is_none()).filter(|keys| is_ours(keys)) else { return };
        let Ok(modes) = tcgetattr(keys) else { return };
        let mut quiet = modes.clone();
        quiet.local_modes.remove(LocalModes::ECHO | LocalModes::ECHONL);
        if tcsetattr(keys, OptionalActions::Now, &quiet).is_ok() {
            *saved = Some(modes);
        }
    }

    /// Restores the user's modes. Keys typed without echo are discarded, because they were not meant for the next program.
    pub fn restore(&self) {
        let saved = self.saved.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let (Some(modes), Some(keys)) = (saved, self.keys.as_ref().filter(|keys| is_ours(keys))) {
            let _ = tcflush(keys, QueueSelector::IFlush);
            let _ = tcsetattr(keys, OptionalActions::Now, &modes);
        }
    }
}

impl Drop for TypedEcho {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Whether the shell has given the terminal to ccc's job.
fn is_ours(keys: &OwnedFd) -> bool {
    tcgetpgrp(keys).map_or(true, |group| Some(group) == super::ids::own_group())
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};

    use super::TypedEcho;
    use crate::process::pty::{SystemPtys, open};

    #[test]
    fn a_panic_gives_the_terminal_back_as_it_was() {
        let pair = open(&SystemPtys, 80, 24).expect("a terminal");
        let modes = || tcgetattr(&pair.slave).expect("its modes");
        let mut users = modes();
        users.local_modes.insert(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(&pair.slave, OptionalActions::Now, &users).expect("modes of a user");
        let before = modes();
        assert!(before.local_modes.contains(LocalModes::ECHO));
        let typing = TypedEcho::of(pair.slave.try_clone().expect("a descriptor"));
        let unwound = catch_unwind(AssertUnwindSafe(move || {
            typing.quiet();
            assert!(!modes().local_modes.contains(LocalModes::ECHO), "nothing is shown");
            assert!(modes().local_modes.contains(LocalModes::ISIG), "Ctrl-C is a signal all the same");
            panic!("in the middle of a run");
        }));
        assert_eq!(unwound.expect_err("it panicked").downcast_ref(), Some(&"in the middle of a run"));
        let after = tcgetattr(&pair.slave).expect("its modes");
        assert_eq!(format!("{after:?}"), format!("{before:?}"));
    }
}
