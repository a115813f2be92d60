//! Signals to a ccc that stands in for a program at the user's terminal.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::driver::signals::{Hangup, SIGCONT, SIGTSTP, SIGXFSZ};

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Ctrl-C reached ccc itself.
    Interrupt,
    /// ccc is to end; and why.
    End(&'static str),
    /// Ctrl-Z reached ccc itself.
    Suspend,
    /// ccc goes on after a stop.
    Continued,
    /// Some child has ended.
    ChildEnded,
    /// The terminal has another size.
    Resized,
}

/// The signals that ccc listens to while a command runs.
#[derive(Debug)]
pub(super) struct JobSignals {
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
    hangup: Hangup,
    suspend: Signal,
    continued: Signal,
    child: Signal,
    resized: Signal,
    /// As for a run: that it is listened to keeps a full disk quota from killing us.
    _file_size: Signal,
}

impl JobSignals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: Hangup::listen()?,
            suspend: signal(SignalKind::from_raw(SIGTSTP))?,
            continued: signal(SignalKind::from_raw(SIGCONT))?,
            child: signal(SignalKind::child())?,
            resized: signal(SignalKind::window_change())?,
            _file_size: signal(SignalKind::from_raw(SIGXFSZ))?,
        })
    }

    /// The next signal. Ends come first.
    pub(super) async fn next(&mut self) -> Heard {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => Heard::End("ccc was asked to terminate (SIGTERM)"),
            () = self.hangup.heard() => Heard::End("the terminal was closed (SIGHUP)"),
            _ = self.quit.recv() => Heard::End("Ctrl-\\"),
            _ = self.interrupt.recv() => Heard::Interrupt,
            _ = self.continued.recv() => Heard::Continued,
            _ = self.suspend.recv() => Heard::Suspend,
            _ = self.child.recv() => Heard::ChildEnded,
            _ = self.resized.recv() => Heard::Resized,
        }
    }
}
