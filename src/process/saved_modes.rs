//! Saves the modes of the user's terminal before another program takes it over, and restores them afterwards.

use std::os::fd::OwnedFd;

use rustix::termios::{OptionalActions, Termios, isatty, tcgetattr, tcsetattr, tcsetpgrp};

use super::signal::ignore;

/// The terminal's earlier modes. Dropping it restores them, even in a panic.
#[derive(Debug)]
pub struct SavedModes(Option<(OwnedFd, Termios)>);

impl SavedModes {
    /// The modes of stdin's terminal. Without one there is nothing to restore.
    #[must_use]
    pub fn of_stdin() -> SavedModes {
        let keys = isatty(rustix::stdio::stdin()).then(|| rustix::stdio::stdin().try_clone_to_owned().ok()).flatten();
        SavedModes(keys.and_then(|keys| tcgetattr(&keys).ok().map(|modes| (keys, modes))))
    }
}

impl Drop for SavedModes {
    fn drop(&mut self) {
        let Some((keys, modes)) = &self.0 else { return };
        // The program may have put another process group into the foreground; these calls then raise SIGTTOU.
        ignore(rustix::process::Signal::TTOU.as_raw());
        if let Some(group) = super::ids::own_group() {
            let _ = tcsetpgrp(keys, group);
        }
        let _ = tcsetattr(keys, OptionalActions::Drain, modes);
    }
}
