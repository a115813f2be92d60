//! The connection to the run: a thread that receives, and a sender of requests.

use std::thread;

use tokio::sync::mpsc::Sender;

use super::message::Message;
use crate::control::protocol::{Code, Hello, Reply, Request, Welcome};
use crate::control::{Client, ClientError, EventReceiver, RequestSender};
use crate::journal::RunDir;
use crate::ui::conversation::Done;

/// The client's name in its hello.
const NAME: &str = "attach";
/// How many recent events are sent on connect; earlier ones are in the journal.
const TAIL: u64 = 400;

/// The connection.
#[derive(Debug)]
pub(super) struct Link {
    requests: RequestSender,
    /// The number of the `follow` request.
    pub(super) following: u64,
    /// The number of this connection; messages of earlier connections are ignored.
    pub(super) number: u32,
}

impl Link {
    /// Connects and subscribes to events: all after the journal number `since`, or the latest.
    pub(super) fn open(
        run: &RunDir,
        read_only: bool,
        since: Option<u64>,
        number: u32,
        messages: Sender<Message>,
    ) -> Result<(Link, Welcome), ClientError> {
        let client = Client::connect(run, &Hello::new(NAME, !read_only))?;
        let welcome = client.welcome().clone();
        let (mut requests, listener, _) = client.split();
        let tail = if since.is_none() { Some(TAIL) } else { None };
        let lost = |why: std::io::Error| ClientError::Lost { run: run.id().to_owned(), why: why.to_string() };
        let following = requests.ask(&Request::Follow { tail, since, words: true }).map_err(lost)?;
        thread::Builder::new()
            .name("link".to_owned())
            .spawn(move || receive(listener, number, &messages))
            .map_err(lost)?;
        Ok((Link { requests, following, number }, welcome))
    }

    /// Sends a request; returns the number of its reply. `None`: it cannot be sent.
    pub(super) fn ask(&mut self, request: &Request) -> Option<u64> {
        self.requests.ask(request).ok()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.requests.close();
    }
}

fn receive(mut listener: EventReceiver, link: u32, messages: &Sender<Message>) {
    loop {
        let next = listener.next();
        let is_over = !matches!(next, Ok(Some(_)));
        let said = match next {
            Ok(Some(said)) => Message::Run { link, said: Box::new(said) },
            Ok(None) => Message::Closed { link, why: None },
            Err(error) => Message::Closed { link, why: Some(error.to_string()) },
        };
        if messages.blocking_send(said).is_err() || is_over {
            return;
        }
    }
}

/// The result of an order.
pub(crate) fn answer(reply: Reply) -> Result<Done, String> {
    match reply {
        Reply::Done | Reply::Following { .. } | Reply::Status(_) | Reply::Output(_) | Reply::Started { .. } => {
            Ok(Done::Done)
        }
        Reply::Queued { ahead } => Ok(Done::Queued(ahead)),
        Reply::Already => Ok(Done::Already),
        // The run reports separately that its journal cannot be written.
        Reply::Fault(fault) if fault.code == Code::NotSafe => Ok(Done::Done),
        Reply::Fault(fault) => Err(fault.message),
    }
}
