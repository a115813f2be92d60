//! The foreground command as the host of one run: signals, reaping, suspension.

use std::io;

use tokio::sync::mpsc::UnboundedReceiver;

use super::clock::unix_ms;
use super::control::{Control, Controller, Controls, Request, controls};
use super::signals::{SignalEvent, Signals};
use crate::process::{Stopped, reap_orphans, stop_children, stop_own_job};

/// Hosts one run on this thread until it is over. `run` returns the run, driven by these controls; further sources of control
/// may clone the controller.
pub(super) fn in_foreground<F: Future>(
    run: impl FnOnce(&Controller, Controls) -> io::Result<F>,
) -> io::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    runtime.block_on(async {
        let signals = Signals::listen()?;
        let (run_control, run_controls, requests) = controls(unix_ms);
        let run = run(&run_control, run_controls)?;
        // A separate task, so that waking the run does not poll the signals, and vice versa.
        tokio::spawn(Host { signals, run: run_control, requests }.serve());
        Ok(run.await)
    })
}

struct Host {
    signals: Signals,
    run: Controller,
    requests: UnboundedReceiver<Request>,
}

impl Host {
    async fn serve(mut self) {
        loop {
            tokio::select! {
                biased;
                heard = self.signals.next() => self.heard(heard),
                request = self.requests.recv() => match request {
                    Some(Request::Suspend) => self.suspend(true).await,
                    Some(Request::StopJob) => self.suspend(false).await,
                    Some(Request::CtrlZ) => self.run.tell(Control::Suspend),
                    // The run is over.
                    None => return,
                },
            }
        }
    }

    fn heard(&self, heard: SignalEvent) {
        self.run.tell(match heard {
            SignalEvent::Interrupt => Control::Interrupt,
            SignalEvent::End(reason) => Control::End(reason.to_owned()),
            SignalEvent::Suspend => Control::Suspend,
            SignalEvent::Continued => Control::Continued,
            SignalEvent::Resized => Control::Resized(super::terminal_columns()),
            SignalEvent::ChildEnded => {
                reap_orphans();
                return;
            }
        });
    }

    /// Stops the process, and before it the children unless they are stopped already, until the shell continues them.
    async fn suspend(&mut self, with_children: bool) {
        let mut stopped = if with_children { stop_children() } else { Stopped::default() };
        let mut ending = None;
        if stop_own_job() {
            // The stop may take effect a moment after the request; a signal always marks the continuation.
            loop {
                match self.signals.next().await {
                    SignalEvent::Continued => break,
                    heard @ (SignalEvent::Interrupt | SignalEvent::End(_)) => {
                        ending = Some(heard);
                        break;
                    }
                    SignalEvent::Suspend | SignalEvent::ChildEnded | SignalEvent::Resized => {}
                }
            }
        }
        stopped.resume();
        self.run.tell(Control::Continued);
        if let Some(heard) = ending {
            self.heard(heard);
        }
    }
}
