//! The user's screen, shared by the program and ccc.
//!
//! The program's output passes through byte for byte. ccc writes on separate lines. While a full-screen program is stopped, ccc
//! writes on a separate page, which it removes afterwards. After the program's end ccc resets the terminal modes that the
//! program left on.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::process::UserTerminal;
use crate::ui::ScreenModes;

/// Stack of the thread that writes ccc's messages.
const STACK_BYTES: usize = 256 * 1024;
/// How much output of a stopped program is kept while ccc's page is open, in bytes: more than a terminal buffers.
const BEHIND_LIMIT_BYTES: usize = 1024 * 1024;

/// The screen; clones share it.
#[derive(Debug, Clone)]
pub(in crate::driver) struct Console {
    shared: Arc<Shared>,
    /// ccc's messages are queued here, so that ccc does not wait for a slow screen.
    orders: Sender<Order>,
}

#[derive(Debug)]
struct Shared {
    terminal: UserTerminal,
    screen: Mutex<Screen>,
    written_bytes: AtomicU64,
}

#[derive(Debug, Default)]
struct Screen {
    modes: ScreenModes,
    page: Option<Page>,
    /// The last byte was a line end, or nothing was written yet.
    at_line_start: bool,
}

/// ccc's own page.
#[derive(Debug)]
struct Page {
    /// Output of the program while the page is open.
    behind: Vec<u8>,
}

#[derive(Debug)]
enum Order {
    Say(String),
    Open,
    Close,
    Done(std::sync::mpsc::SyncSender<()>),
}

impl Console {
    /// The screen of this terminal.
    pub(super) fn on(terminal: UserTerminal) -> std::io::Result<Self> {
        let screen = Mutex::new(Screen { at_line_start: true, ..Screen::default() });
        let shared = Arc::new(Shared { terminal, screen, written_bytes: AtomicU64::new(0) });
        let (orders, taken) = channel();
        let theirs = Arc::clone(&shared);
        thread::Builder::new()
            .name("console".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || theirs.perform(&taken))?;
        Ok(Self { shared, orders })
    }

    /// Passes the program's output on to the screen, or keeps it while the page is open.
    pub(super) fn program_wrote(&self, bytes: &[u8]) {
        self.shared.written_bytes.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        let mut screen = self.shared.screen();
        screen.modes.follow(bytes);
        screen.at_line_start = bytes.last() == Some(&b'\n');
        if let Some(page) = &mut screen.page {
            let room = BEHIND_LIMIT_BYTES.saturating_sub(page.behind.len());
            page.behind.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            return;
        }
        // A terminal that is gone sends SIGHUP; there is nothing else to do here.
        let _ = self.shared.terminal.write(bytes);
    }

    /// How much the program has written since the last call.
    pub(super) fn take_written_bytes(&self) -> u64 {
        self.shared.written_bytes.swap(0, Ordering::Relaxed)
    }

    /// Whether the program uses the alternate screen.
    pub(super) fn is_alternate(&self) -> bool {
        self.shared.screen().modes.is_alternate()
    }

    /// Shows whole lines from ccc.
    pub(super) fn say(&self, text: String) {
        self.order(Order::Say(text));
    }

    /// Opens ccc's page; later messages appear on it.
    pub(super) fn open_page(&self) {
        self.order(Order::Open);
    }

    /// Closes ccc's page and shows the program's screen again.
    pub(super) fn close_page(&self) {
        self.order(Order::Close);
    }

    /// Resets the modes that the program left on, after its end. Waits for the screen, as the program's output does; called by
    /// the thread that passes that output on.
    pub(super) fn tidy(&self) {
        let mut screen = self.shared.screen();
        let mut bytes = screen.close_page();
        bytes.extend(screen.modes.undo().into_bytes());
        let _ = self.shared.terminal.write(&bytes);
    }

    /// Waits until all messages are on the screen, at most `wait`. False on timeout.
    pub(super) fn finish(&self, wait: Duration) -> bool {
        let (sender, receiver) = sync_channel(1);
        self.order(Order::Done(sender));
        match receiver.recv_timeout(wait) {
            Ok(()) => true,
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => false,
        }
    }

    fn order(&self, order: Order) {
        // The thread runs as long as there is a sender.
        let _ = self.orders.send(order);
    }
}

impl Shared {
    fn screen(&self) -> MutexGuard<'_, Screen> {
        self.screen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn perform(&self, orders: &Receiver<Order>) {
        while let Ok(order) = orders.recv() {
            let mut screen = self.screen();
            let bytes = match order {
                Order::Say(text) => screen.say(&text),
                Order::Open => screen.open_page(),
                Order::Close => screen.close_page(),
                Order::Done(sender) => {
                    let _ = sender.send(());
                    continue;
                }
            };
            let _ = self.terminal.write(&bytes);
        }
    }
}

impl Screen {
    /// The terminal is in raw mode: LF alone does not return the cursor.
    fn say(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        if !std::mem::replace(&mut self.at_line_start, true) && self.page.is_none() {
            bytes.extend(b"\r\n");
        }
        for line in text.lines() {
            bytes.extend(b"\r\x1b[K");
            bytes.extend(line.as_bytes());
            bytes.extend(b"\r\n");
        }
        bytes
    }

    fn open_page(&mut self) -> Vec<u8> {
        if self.page.is_some() {
            return Vec::new();
        }
        self.page = Some(Page { behind: Vec::new() });
        // There is no second alternate screen; the program is asked to repaint it later.
        let enter: &[u8] = if self.modes.is_alternate() { b"\x1b7" } else { b"\x1b[?1049h" };
        [enter, b"\x1b[0m\x1b[2J\x1b[H\x1b[?25h"].concat()
    }

    fn close_page(&mut self) -> Vec<u8> {
        let Some(page) = self.page.take() else { return Vec::new() };
        let cursor: &[u8] = if self.modes.hides_cursor() { b"\x1b[?25l" } else { b"" };
        let leave: &[u8] = if self.modes.is_alternate() { b"\x1b[2J\x1b8" } else { b"\x1b[?1049l" };
        [leave, cursor, page.behind.as_slice()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::Screen;

    fn shown(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).replace('\x1b', "^")
    }

    #[test]
    fn what_ccc_says_stands_on_lines_of_its_own() {
        let mut screen = Screen { at_line_start: true, ..Screen::default() };
        assert_eq!(shown(&screen.say("one\ntwo\n")), "\r^[Kone\r\n\r^[Ktwo\r\n");
        screen.at_line_start = false;
        assert_eq!(shown(&screen.say("three")), "\r\n\r^[Kthree\r\n");
    }

    #[test]
    fn a_page_hides_a_painted_screen_and_gives_it_back() {
        let mut screen = Screen::default();
        screen.modes.follow(b"\x1b[?25l");
        assert_eq!(shown(&screen.open_page()), "^[?1049h^[0m^[2J^[H^[?25h");
        assert_eq!(shown(&screen.open_page()), "", "it is open");
        screen.page.as_mut().unwrap().behind.extend(b"late");
        assert_eq!(shown(&screen.close_page()), "^[?1049l^[?25llate");
        assert_eq!(shown(&screen.close_page()), "");
        screen.modes.follow(b"\x1b[?1049h");
        assert_eq!(shown(&screen.open_page()), "^7^[0m^[2J^[H^[?25h", "it must not leave the program's screen");
    }
}
