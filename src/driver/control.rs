//! The messages between a run and its host.
//!
//! A run is hosted by the process that it lives in: the foreground command, a detached process, a test. Signals, the reaping
//! of children, the terminal, the wall clock and the stopping of the process concern the whole process, so they are the host's. The
//! run hears of them here and nowhere else.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::core::OperatorInput;

/// What a host, or another source of control, tells a run.
#[derive(Debug, Clone, PartialEq)]
pub enum Control {
    /// The user typed Ctrl-C.
    Interrupt,
    /// The user, or the system, wants the end; and in which words.
    End(String),
    /// Ctrl-Z: the process is to be suspended as soon as the run asks for it.
    Suspend,
    /// The process goes on after a stop, or need not stop.
    Continued,
    /// The terminal has another size; its columns, when it has some.
    Resized(Option<u16>),
    /// The user did something that is not the host's business: said words, answered a question. It is journalled and handled as
    /// such; what only an agent understands, the run of a command passes over.
    Operator(OperatorInput),
}

/// What a run asks of its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Ctrl-Z: the run is ready. The process and all its children are to be suspended; [`Control::Continued`] tells of the end.
    Suspend,
    /// The same for a process whose children are suspended already.
    StopJob,
}

/// The host's end. Clones are the same: each source of control has one.
#[derive(Debug, Clone)]
pub struct Controller(mpsc::UnboundedSender<Control>);

impl Controller {
    /// Tells the run, unless it is over.
    pub fn tell(&self, control: Control) {
        let _ = self.0.send(control);
    }
}

/// The run's end.
#[derive(Debug)]
pub struct Controls {
    told: mpsc::UnboundedReceiver<Control>,
    /// Taken already, and not heard yet.
    waiting: VecDeque<Control>,
    host: HostLink,
    wall_clock: fn() -> i64,
}

/// Asks something of the host.
#[derive(Debug, Clone)]
pub(super) struct HostLink(mpsc::UnboundedSender<Request>);

impl HostLink {
    /// False when there is no host that could do it.
    pub(super) fn ask(&self, request: Request) -> bool {
        self.0.send(request).is_ok()
    }
}

/// Joins a host and a run. `wall_clock` gives unix milliseconds. If nobody takes the requests, the
/// run is never stopped by Ctrl-Z.
#[must_use]
pub fn controls(wall_clock: fn() -> i64) -> (Controller, Controls, mpsc::UnboundedReceiver<Request>) {
    let (controller, told) = mpsc::unbounded_channel();
    let (host, requests) = mpsc::unbounded_channel();
    let controls = Controls { told, waiting: VecDeque::new(), host: HostLink(host), wall_clock };
    (Controller(controller), controls, requests)
}

impl Controls {
    /// The next thing that the host tells; never when there is no host any more. Nothing is lost when it is given up.
    pub(super) async fn next(&mut self) -> Control {
        if let Some(control) = self.waiting.pop_front() {
            return control;
        }
        match self.told.recv().await {
            Some(control) => control,
            None => std::future::pending().await,
        }
    }

    /// Waits until the process has been suspended and goes on. What was told meanwhile is heard afterwards.
    pub(super) async fn suspend(&mut self) {
        if !self.host.ask(Request::Suspend) {
            return;
        }
        let mut meanwhile = VecDeque::new();
        loop {
            match self.next().await {
                Control::Continued => break,
                other @ (Control::Interrupt
                | Control::End(_)
                | Control::Suspend
                | Control::Resized(_)
                | Control::Operator(_)) => {
                    meanwhile.push_back(other);
                }
            }
        }
        self.waiting = meanwhile;
    }

    pub(super) fn host(&self) -> HostLink {
        self.host.clone()
    }

    pub(super) fn wall_clock(&self) -> fn() -> i64 {
        self.wall_clock
    }
}

#[cfg(test)]
mod tests {
    use super::{Control, Request, controls};

    #[tokio::test]
    async fn what_is_told_while_the_process_stands_still_is_heard_afterwards() {
        let (host, mut run, mut requests) = controls(|| 0);
        host.tell(Control::End("SIGTERM".to_owned()));
        host.tell(Control::Continued);
        run.suspend().await;
        assert_eq!(requests.recv().await, Some(Request::Suspend));
        assert_eq!(run.next().await, Control::End("SIGTERM".to_owned()));
    }

    #[tokio::test]
    async fn without_a_host_that_takes_requests_nothing_stands_still() {
        let (host, mut run, requests) = controls(|| 0);
        drop(requests);
        run.suspend().await;
        host.tell(Control::Interrupt);
        assert_eq!(run.next().await, Control::Interrupt);
    }
}
