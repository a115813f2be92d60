//! The messages between a run and its host.
//!
//! A run is hosted by the process that it lives in: the foreground command, a detached process, a test. Signals, reaping, the
//! terminal, the wall clock and suspension concern the whole process, so the host handles them. The run learns of them only
//! through these messages.

use std::collections::VecDeque;

use tokio::sync::mpsc;

use crate::control::{Hook, Order, ToRun};
use crate::core::OperatorInput;

/// A message from the host, or from another source of control, to a run.
#[derive(Debug)]
pub enum Control {
    /// The user typed Ctrl-C.
    Interrupt,
    /// The user or the system wants the run to end; the text is the reason.
    End(String),
    /// Ctrl-Z: the process is to be suspended once the run asks for it.
    Suspend,
    /// The process was continued after a stop, or was not stopped.
    Continued,
    /// The terminal was resized; its columns, if known.
    Resized(Option<u16>),
    /// An input of the user that is not the host's business, for example a message or an answer. It is journalled and handled
    /// as such; the run of a command ignores what only an agent understands.
    Operator(OperatorInput),
    /// The same from a client of the control socket, who gets a reply.
    Order(Order),
    /// A call from a hook of the agent's own interface.
    Hook(Hook),
    /// How many clients of the control socket can answer a question now.
    Attending(u32),
    /// A remark for the user that is not part of the run. It is not journalled.
    Remark(String),
}

impl From<ToRun> for Control {
    fn from(to_run: ToRun) -> Control {
        match to_run {
            ToRun::Order(order) => Control::Order(order),
            ToRun::Hook(hook) => Control::Hook(hook),
            ToRun::Attending(clients) => Control::Attending(clients),
            ToRun::Remark(text) => Control::Remark(text),
        }
    }
}

/// A request from a run to its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// Ctrl-Z: the run is ready. The host suspends the process and all its children, and sends [`Control::Continued`]
    /// afterwards.
    Suspend,
    /// The same for a process whose children are suspended already.
    StopJob,
    /// Ctrl-Z went to the agent's own interface. The host sends [`Control::Suspend`], as for a Ctrl-Z of its own.
    CtrlZ,
}

/// The host's end of the channel. Clones are equal: each source of control has one. The channel is unbounded, because a signal
/// must never be lost; messages of clients are bounded at the socket (`ORDERS` of `control/server.rs`, with a refusal).
#[derive(Debug, Clone)]
pub struct Controller(mpsc::UnboundedSender<Control>);

impl Controller {
    /// Sends a message to the run, unless the run is over.
    pub fn tell(&self, control: Control) {
        let _ = self.0.send(control);
    }
}

/// The run's end of the channel.
#[derive(Debug)]
pub struct Controls {
    told: mpsc::UnboundedReceiver<Control>,
    /// Received already, not yet returned.
    waiting: VecDeque<Control>,
    host: HostLink,
    wall_clock: fn() -> i64,
}

/// Sends requests to the host.
#[derive(Debug, Clone)]
pub(super) struct HostLink(mpsc::UnboundedSender<Request>);

impl HostLink {
    /// Whether there is a host.
    pub(super) fn is_there(&self) -> bool {
        !self.0.is_closed()
    }

    /// False when there is no host.
    pub(super) fn ask(&self, request: Request) -> bool {
        self.0.send(request).is_ok()
    }
}

/// Joins a host and a run. `wall_clock` returns unix milliseconds. If the receiver of the requests is dropped, Ctrl-Z never
/// stops the run.
#[must_use]
pub fn controls(wall_clock: fn() -> i64) -> (Controller, Controls, mpsc::UnboundedReceiver<Request>) {
    let (controller, told) = mpsc::unbounded_channel();
    let (host, requests) = mpsc::unbounded_channel();
    let controls = Controls { told, waiting: VecDeque::new(), host: HostLink(host), wall_clock };
    (Controller(controller), controls, requests)
}

impl Controls {
    /// The next message from the host; pending forever once the host is gone. Cancel-safe.
    pub(super) async fn next(&mut self) -> Control {
        if let Some(control) = self.waiting.pop_front() {
            return control;
        }
        match self.told.recv().await {
            Some(control) => control,
            None => std::future::pending().await,
        }
    }

    /// Waits until the process has been suspended and continued. Messages that arrive meanwhile are returned afterwards.
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
                | Control::Operator(_)
                | Control::Order(_)
                | Control::Hook(_)
                | Control::Attending(_)
                | Control::Remark(_)) => {
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
        let next = run.next().await;
        assert!(matches!(&next, Control::End(reason) if reason == "SIGTERM"), "{next:?}");
    }

    #[tokio::test]
    async fn without_a_host_that_takes_requests_nothing_stands_still() {
        let (host, mut run, requests) = controls(|| 0);
        drop(requests);
        run.suspend().await;
        host.tell(Control::Interrupt);
        assert!(matches!(run.next().await, Control::Interrupt));
    }
}
