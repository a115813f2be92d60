//! Signals to ccc itself.

use std::sync::mpsc::sync_channel;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::process::{end_by_interrupt, is_ignored};

/// SIGXFSZ on Linux and macOS: a file exceeded the limit that the shell set (`ulimit -f`).
const SIGXFSZ: i32 = 25;
/// SIGTSTP and SIGCONT have different numbers outside Linux.
const SIGTSTP: i32 = rustix::process::Signal::TSTP.as_raw();
const SIGCONT: i32 = rustix::process::Signal::CONT.as_raw();
const SIGHUP: i32 = 1;

/// Calls `then` at the first Ctrl-C after this call; the second ends the process.
pub fn at_interrupt(then: impl FnOnce() + Send + 'static) {
    let (listens, begun) = sync_channel(1);
    let wait = move || {
        let waits = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let Ok(waits) = waits else { return };
        let heard = waits.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt()).ok()?;
            let _ = listens.send(());
            interrupt.recv().await
        });
        if heard.is_some() {
            end_by_interrupt();
            then();
        }
    };
    // Without the thread Ctrl-C ends the process, as it does by default.
    if thread::Builder::new().name("interrupt".to_owned()).spawn(wait).is_ok() {
        let _ = begun.recv();
    }
}

/// Calls `then` at each Ctrl-C, Ctrl-\, SIGTERM and SIGHUP from now on; none of them ends this process any more.
///
/// # Errors
/// When the signals cannot be listened to.
pub fn at_each_end(mut then: impl FnMut() + Send + 'static) -> std::io::Result<()> {
    let (listens, begun) = sync_channel(1);
    let wait = move || {
        let waits = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(waits) => waits,
            Err(error) => return drop(listens.send(Err(error))),
        };
        waits.block_on(async {
            let kinds = [SignalKind::interrupt(), SignalKind::quit(), SignalKind::terminate()];
            let heard: std::io::Result<Vec<Signal>> = kinds.into_iter().map(signal).collect();
            let (mut heard, mut hangup) = match heard.and_then(|heard| Ok((heard, Hangup::listen()?))) {
                Ok(listening) => listening,
                Err(error) => return drop(listens.send(Err(error))),
            };
            let _ = listens.send(Ok(()));
            let [interrupt, quit, terminate] = heard.as_mut_slice() else { return };
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = quit.recv() => {}
                    _ = terminate.recv() => {}
                    () = hangup.heard() => {}
                }
                then();
            }
        });
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait)?;
    begun.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()))
}

/// What a signal means to the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SignalEvent {
    /// Ctrl-C.
    Interrupt,
    /// ccc is to end, for this reason.
    End(&'static str),
    /// A child has ended.
    ChildEnded,
    /// The terminal was resized.
    Resized,
    /// Ctrl-Z.
    Suspend,
    /// ccc continues after a stop.
    Continued,
}

/// The signals that a host handles during a run.
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
    /// Never awaited: the handler keeps SIGXFSZ from killing ccc, and the failed write reports the error.
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

    /// The next signal; those that end the run come first.
    pub(super) async fn next(&mut self) -> SignalEvent {
        tokio::select! {
            biased;
            _ = self.terminate.recv() => SignalEvent::End("ccc was asked to terminate (SIGTERM)"),
            () = self.hangup.heard() => SignalEvent::End("the terminal was closed (SIGHUP)"),
            _ = self.quit.recv() => SignalEvent::End("Ctrl-\\"),
            _ = self.interrupt.recv() => SignalEvent::Interrupt,
            _ = self.continued.recv() => SignalEvent::Continued,
            _ = self.suspend.recv() => SignalEvent::Suspend,
            _ = self.child.recv() => SignalEvent::ChildEnded,
            _ = self.resized.recv() => SignalEvent::Resized,
        }
    }
}

/// SIGHUP. Ignored when ccc was started under `nohup`.
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
