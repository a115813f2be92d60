//! The thread that writes to the terminal. It writes one paint at a time; changes meanwhile are collected for the next.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::process::UserTerminal;
use crate::ui::ScreenModes;

const STACK_BYTES: usize = 256 * 1024;
/// Bracketed paste, and unambiguous keys (the first level of kitty's protocol).
const MODES_ON: &str = "\x1b[?2004h\x1b[>1u";

/// What is switched on when the screen is taken, and off when it is given back, besides [`ScreenModes::ALL_OFF`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScreenSwitch {
    pub(crate) on: &'static str,
    pub(crate) off: &'static str,
}

impl ScreenSwitch {
    /// For rows that stay in the terminal's scrollback.
    pub(super) const IN_SCROLLBACK: ScreenSwitch = ScreenSwitch { on: MODES_ON, off: "" };
}

/// The screen of the terminal.
#[derive(Debug)]
pub(crate) struct Screen {
    terminal: UserTerminal,
    switch: ScreenSwitch,
    paints: Option<SyncSender<Vec<u8>>>,
    thread: Option<JoinHandle<()>>,
    is_busy: bool,
}

impl Screen {
    /// Sets raw mode, and starts the thread that writes to the terminal. It calls `written` after each paint, and ends when that
    /// returns `false`.
    pub(crate) fn open(
        terminal: &UserTerminal,
        switch: ScreenSwitch,
        written: impl FnMut() -> bool + Send + 'static,
    ) -> std::io::Result<Screen> {
        let (paints, taken) = sync_channel(1);
        let theirs = terminal.clone();
        let thread = thread::Builder::new()
            .name("screen".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || write(&theirs, &taken, written))?;
        let (paints, thread) = (Some(paints), Some(thread));
        let screen = Screen { terminal: terminal.clone(), switch, paints, thread, is_busy: false };
        screen.enter()?;
        Ok(screen)
    }

    /// Sets raw mode and the modes that we use.
    pub(crate) fn enter(&self) -> std::io::Result<()> {
        self.terminal.make_raw()?;
        self.terminal.write(self.switch.on.as_bytes())
    }

    /// The process continues after a stop that it did not make itself: the shell has set the terminal's modes meanwhile.
    pub(crate) fn enter_again(&self) -> std::io::Result<()> {
        self.terminal.restore();
        self.terminal.make_raw()?;
        self.terminal.write(format!("\x1b[<u{}", self.switch.on).as_bytes())
    }

    /// Writes the last bytes, and switches off the modes that were set.
    pub(crate) fn last(&mut self, mut bytes: Vec<u8>) {
        if self.terminal.is_raw() {
            bytes.extend(self.switch.off.as_bytes());
            bytes.extend(ScreenModes::ALL_OFF.as_bytes());
            self.paint(bytes);
        }
    }

    /// Restores the user's modes.
    pub(crate) fn restore(&self) {
        self.terminal.restore();
    }

    /// Whether a paint is being written.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_busy
    }

    /// Writes a paint, unless one is being written.
    pub(crate) fn paint(&mut self, bytes: Vec<u8>) {
        let Some(paints) = &self.paints else { return };
        match paints.try_send(bytes) {
            Ok(()) => self.is_busy = true,
            // One paint is sent at a time, so there is room; a thread that has ended has lost its terminal.
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }

    /// The paint was written.
    pub(crate) fn written(&mut self) {
        self.is_busy = false;
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Only after a panic: erases from the cursor's row down, and restores the modes.
        if self.terminal.is_raw() {
            let _ = self.terminal.write(b"\r\x1b[J");
            let _ = self.terminal.write(self.switch.off.as_bytes());
            let _ = self.terminal.write(ScreenModes::ALL_OFF.as_bytes());
        }
        self.restore();
        self.paints = None;
        // Not joined: the terminal may be blocked.
        drop(self.thread.take());
    }
}

fn write(terminal: &UserTerminal, paints: &Receiver<Vec<u8>>, mut written: impl FnMut() -> bool) {
    while let Ok(bytes) = paints.recv() {
        let is_gone = terminal.write(&bytes).is_err();
        if !written() || is_gone {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::process::UserTerminal;

    #[test]
    fn a_panic_in_the_conversation_gives_the_terminal_back_as_it_was() {
        let (terminal, mut seen, modes) = UserTerminal::of_test();
        let before = modes();
        let unwound = catch_unwind(AssertUnwindSafe(|| {
            let _guard = terminal.guard();
            let mut screen = Screen::open(&terminal, ScreenSwitch::IN_SCROLLBACK, || true).expect("a screen");
            assert_ne!(modes(), before, "it is raw");
            screen.paint(b"\x1b[?25l> draft".to_vec());
            panic!("in the middle of a paint");
        }));
        assert!(unwound.is_err() && !terminal.is_raw());
        assert_eq!(modes(), before);
        drop(terminal);
        let mut written = Vec::new();
        // A terminal whose last program has exited ends with an error.
        let _ = seen.read_to_end(&mut written);
        let written = String::from_utf8_lossy(&written).into_owned();
        let off = written.rfind(ScreenModes::ALL_OFF).expect("all is switched off");
        assert!(written.rfind(MODES_ON).is_some_and(|on| on < off) && written.contains("\r\x1b[J"), "{written:?}");
    }
}
