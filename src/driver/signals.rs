//! Signals to ccc itself.

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::process::is_ignored;

/// SIGXFSZ on Linux and macOS: a file grew over the limit that the shell set (`ulimit -f`).
const SIGXFSZ: i32 = 25;
/// SIGTSTP and SIGCONT have other numbers on other systems than Linux.
const SIGTSTP: i32 = rustix::process::Signal::TSTP.as_raw();
const SIGCONT: i32 = rustix::process::Signal::CONT.as_raw();
/// SIGHUP.
const SIGHUP: i32 = 1;

/// What was heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Ctrl-C.
    Interrupt,
    /// ccc is to end; and why.
    End(&'static str),
    /// Some child has ended.
    ChildEnded,
    /// The terminal has another size.
    Resized,
    /// Ctrl-Z.
    Suspend,
    /// ccc goes on after a stop.
    Continued,
}

/// The signals that a host listens to while a run goes on.
#[derive(Debug)]
pub(super) struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Hangup,
    child: Signal,
    resized: Signal,
    quit: Signal,
    suspend: Signal,
    continued: Signal,
    /// Never awaited: that it is listened to keeps a full disk quota from killing us; the write's error says it all.
    _file_size: Signal,
}

impl Signals {
    pub(super) fn listen() -> std::io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: Hangup::listen()?,
            child: signal(SignalKind::child())?,
            resized: signal(SignalKind::window_change())?,
            quit: signal(SignalKind::quit())?,
            suspend: signal(SignalKind::from_raw(SIGTSTP))?,
            continued: signal(SignalKind::from_raw(SIGCONT))?,
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

/// The end of the terminal. Nothing to us when ccc was started under `nohup`.
#[derive(Debug)]
struct Hangup(Option<Signal>);

impl Hangup {
    fn listen() -> std::io::Result<Hangup> {
        Ok(Hangup(if is_ignored(SIGHUP) { None } else { Some(signal(SignalKind::hangup())?) }))
    }

    async fn heard(&mut self) {
        match &mut self.0 {
            Some(hangup) => drop(hangup.recv().await),
            None => std::future::pending().await,
        }
    }
}
