//! Whether the user's terminal shows what is typed, while nothing reads it.

use std::fs::OpenOptions;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;
use rustix::termios::{
    LocalModes, OptionalActions, QueueSelector, Termios, isatty, tcflush, tcgetattr, tcgetpgrp, tcsetattr,
};

/// The terminal that keys come from. Dropping it gives the user's modes back, also by a panic.
#[derive(Debug)]
pub struct TypedEcho {
    keys: Option<OwnedFd>,
    /// The user's modes, while nothing is shown.
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

    /// From now on nothing of what is typed is shown. Ctrl-C and Ctrl-Z go on being signals. While the terminal is another
    /// job's, nothing is changed.
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

    /// Gives the user's modes back. What was typed unseen is dropped: it was meant for nobody who comes next.
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

/// Whether the shell has given the terminal to our job.
fn is_ours(keys: &OwnedFd) -> bool {
    tcgetpgrp(keys).map_or(true, |group| group == rustix::process::getpgrp())
}
