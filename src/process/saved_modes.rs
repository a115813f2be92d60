//! Saves the modes of the user's terminal before another program takes it over, and restores them afterwards.

use std::os::fd::OwnedFd;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr, tcsetpgrp};

use super::signal::ignore;

/// The terminal's modes from before. Dropping it gives them back, also by a panic.
#[derive(Debug)]
pub struct SavedModes(Option<(OwnedFd, Termios)>);

impl SavedModes {
    /// That of stdin; without one there is nothing to give back.
    #[must_use]
    pub fn of_stdin() -> SavedModes {
        let keys = isatty(rustix::stdio::stdin()).then(|| rustix::stdio::stdin().try_clone_to_owned().ok()).flatten();
        SavedModes(keys.and_then(|keys| tcgetattr(&keys).ok().map(|modes| (keys, modes))))
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        let Some((keys, modes)) = &self.0 else { return };
        // The program may have made another process group the terminal's foreground:
        // then these calls raise SIGTTOU.
        ignore(rustix::process::Signal::TTOU.as_raw());
        let _ = tcsetpgrp(keys, rustix::process::getpgrp());
        let _ = tcsetattr(keys, OptionalActions::Drain, modes);
    }
}
