//! A terminal with a program of the test's on it, and somebody who types.

use std::io::{Read, Write};
use std::os::fd::BorrowedFd;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::termios::{LocalModes, OutputModes, Termios, tcgetattr};

use crate::whole_runs::harness::DEADLINE;

/// A terminal of 80 columns and 24 lines.
pub(crate) struct Tty {
    master: Box<dyn MasterPty + Send>,
    keys: Box<dyn Write + Send>,
    child: Box<dyn Child + Send + Sync>,
    chunks: Receiver<Vec<u8>>,
    /// Locked for each read of the terminal.
    reading: Arc<Mutex<()>>,
    pub(crate) seen: Vec<u8>,
    /// How much of `seen` was looked at by [`Tty::until`].
    looked_at: usize,
}

impl Tty {
    /// Starts this command as the leader of the terminal's session.
    pub(crate) fn start(command: &Command) -> Self {
        let pair = native_pty_system()
            .openpty(PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 })
            .expect("a terminal");
        let mut builder = CommandBuilder::new(command.get_program());
        builder.args(command.get_args());
        builder.env_clear();
        for (name, value) in command.get_envs() {
            builder.env(name, value.expect("nothing is taken away"));
        }
        builder.env("TERM", "xterm-256color");
        builder.cwd(command.get_current_dir().expect("a directory"));
        let child = pair.slave.spawn_command(builder).expect("it starts");
        drop(pair.slave);
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let (sender, chunks) = channel();
        let reading = Arc::new(Mutex::new(()));
        let may_read = Arc::clone(&reading);
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                drop(may_read.lock());
                if sender.send(buffer[..count].to_vec()).is_err() {
                    return;
                }
            }
        });
        let keys = pair.master.take_writer().expect("a writer");
        Self { master: pair.master, keys, child, chunks, reading, seen: Vec::new(), looked_at: 0 }
    }

    /// While this is locked, nothing is read from the terminal.
    pub(crate) fn reading(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.reading)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.process_id().expect("it runs")
    }

    pub(crate) fn type_in(&mut self, keys: &[u8]) {
        self.keys.write_all(keys).and_then(|()| self.keys.flush()).expect("the terminal takes keys");
    }

    pub(crate) fn resize(&self, cols: u16, rows: u16) {
        self.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 }).expect("another size");
    }

    /// Waits until this is on the terminal, after what was waited for before.
    #[track_caller]
    pub(crate) fn until(&mut self, part: &str) {
        let end = Instant::now() + DEADLINE;
        loop {
            let rest = &self.seen[self.looked_at..];
            if let Some(at) = rest.windows(part.len()).position(|window| window == part.as_bytes()) {
                self.looked_at += at + part.len();
                return;
            }
            match self.chunks.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(chunk) => self.seen.extend(chunk),
                Err(error) => panic!("no {part:?} ({error}) in\n{}", self.text()),
            }
        }
    }

    /// Waits for the end; the exit code, or 128 and the signal.
    #[track_caller]
    pub(crate) fn end(&mut self) -> u32 {
        let end = Instant::now() + DEADLINE;
        // The reader ends when nobody has the terminal any more.
        while let Ok(chunk) = self.chunks.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.seen.extend(chunk);
        }
        assert!(Instant::now() < end, "it has not ended:\n{}", self.text());
        self.child.wait().expect("our child").exit_code()
    }

    /// Whether what is typed is shown by the terminal.
    pub(crate) fn echoes(&self) -> bool {
        self.modes().local_modes.contains(LocalModes::ECHO)
    }

    /// Whether keys reach a program one by one, unprocessed.
    pub(crate) fn is_raw(&self) -> bool {
        let modes = self.modes();
        !modes.local_modes.contains(LocalModes::ICANON) && !modes.output_modes.contains(OutputModes::OPOST)
    }

    fn modes(&self) -> Termios {
        let raw = self.master.as_raw_fd().expect("a descriptor");
        // SAFETY: in a test; the master lives as long as `self`.
        #[allow(unsafe_code, reason = "portable-pty gives the master only as a number")]
        let fd = unsafe { BorrowedFd::borrow_raw(raw) };
        tcgetattr(fd).expect("its modes")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

impl Drop for Tty {
    fn drop(&mut self) {
        drop(self.child.kill());
    }
}
