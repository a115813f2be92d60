//! The client side of the socket, for commands of ccc and attached terminals. Blocking.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::event::PollFlags;

use super::place::recorded;
use super::protocol::{
    EVENT_BYTES, Event, FromRun, Greeting, Hello, LineBuffer, PROTOCOL, Reply, Request, Welcome, decode, encode_hello,
    encode_request,
};
use crate::journal::{FileLock, RunDir};
use crate::process::poll;

/// The timeout for the greeting and the welcome of a run.
pub(super) const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// The timeout for the reply to a request.
const REPLY_TIMEOUT: Duration = Duration::from_secs(30);
/// The size of one read.
const CHUNK_BYTES: usize = 64 * 1024;
/// How many events are kept while a reply is awaited.
const KEPT_EVENTS: usize = 16 * 1024;

/// Why a connection to a run failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No ccc runs it.
    #[error("run {run} is not running")]
    NotRunning {
        /// Its id.
        run: String,
    },
    /// Its ccc is alive, but no socket answers.
    #[error("run {run} is running (pid {pid}), but cannot be reached: {why}")]
    Unreachable {
        /// Its id.
        run: String,
        /// The pid of its ccc.
        pid: u32,
        /// The system's error.
        why: String,
    },
    /// The run refuses this client.
    #[error("run {run}: {fault}")]
    Refused {
        /// Its id.
        run: String,
        /// The reason it gave.
        fault: super::protocol::Fault,
    },
    /// It speaks another major version of the protocol.
    #[error(
        "run {run} uses version {theirs} of the control protocol, and this ccc version {ours}; use ccc {version}, which started it, or a newer one"
    )]
    OtherVersion {
        /// Its id.
        run: String,
        /// Its major version.
        theirs: u32,
        /// Ours.
        ours: u32,
        /// The version of its ccc.
        version: String,
    },
    /// The connection has ended, or the run sent something unexpected.
    #[error("run {run}: {why}")]
    Lost {
        /// Its id.
        run: String,
        /// Why.
        why: String,
    },
}

/// A connection to a run, after its welcome.
#[derive(Debug)]
pub struct Client {
    requests: RequestSender,
    listener: EventReceiver,
    greeting: Greeting,
    welcome: Welcome,
    /// Events that came while a reply was awaited.
    waiting: VecDeque<Event>,
}

/// The half that sends requests.
#[derive(Debug)]
pub struct RequestSender {
    stream: UnixStream,
    last: u64,
}

/// The half that receives.
#[derive(Debug)]
pub struct EventReceiver {
    run: String,
    stream: UnixStream,
    lines: LineBuffer,
    chunk: Vec<u8>,
    /// Events are of no use when this output has no reader.
    output: Option<OwnedFd>,
}

/// Whether nobody can read what is written here: a pipe without a reader, a terminal that is gone.
fn has_no_reader(output: BorrowedFd<'_>) -> bool {
    poll([Some((output, PollFlags::empty()))], Some(Duration::ZERO)).is_ok_and(|[gone]| gone)
}

impl Client {
    /// Ends the events when this output has no reader any more; otherwise that is noticed only at the next write to it.
    pub fn stops_without_reader_of(&mut self, output: OwnedFd) {
        self.listener.output = Some(output);
    }

    /// Whether that output has no reader any more.
    #[must_use]
    pub fn reader_has_gone(&self) -> bool {
        self.listener.output.as_ref().is_some_and(|output| has_no_reader(output.as_fd()))
    }

    /// Connects to a run.
    ///
    /// # Errors
    /// When no ccc runs it, it cannot be reached, or it refuses.
    pub fn connect(run: &RunDir, hello: &Hello) -> Result<Client, ClientError> {
        Client::connect_within(run, hello, GREETING_TIMEOUT)
    }

    /// The same with another timeout.
    ///
    /// # Errors
    /// As [`Client::connect`].
    pub fn connect_within(run: &RunDir, hello: &Hello, timeouts: Duration) -> Result<Client, ClientError> {
        let stream = reach(run)?;
        let lost = |error: &io::Error| ClientError::Lost { run: run.id().to_owned(), why: error.to_string() };
        // Connecting to a local socket blocks only on a full backlog; then the greeting does not come.
        let limits = stream.set_read_timeout(Some(timeouts)).and_then(|()| stream.set_write_timeout(Some(timeouts)));
        limits.map_err(|error| lost(&error))?;
        let other = stream.try_clone().map_err(|error| lost(&error))?;
        let mut requests = RequestSender { stream, last: 0 };
        let mut listener = EventReceiver {
            run: run.id().to_owned(),
            stream: other,
            lines: LineBuffer::new(EVENT_BYTES),
            chunk: vec![0; CHUNK_BYTES],
            output: None,
        };
        let greeting = match listener.first() {
            Ok(FromRun::Greeting(greeting)) if greeting.run == run.id() => greeting,
            Ok(FromRun::Greeting(_)) => return Err(of_dead(run, listener.lost("another run answers at its socket"))),
            Ok(FromRun::Welcome(_) | FromRun::Reply { .. } | FromRun::Event(_) | FromRun::Fault(_)) => {
                return Err(of_dead(run, listener.lost("it did not send a greeting")));
            }
            Err(refused @ ClientError::Refused { .. }) => return Err(refused),
            Err(error) => return Err(of_dead(run, error)),
        };
        if greeting.protocol.major != PROTOCOL.major {
            return Err(ClientError::OtherVersion {
                run: run.id().to_owned(),
                theirs: greeting.protocol.major,
                ours: PROTOCOL.major,
                version: greeting.version,
            });
        }
        requests.stream.write_all(&encode_hello(hello)).map_err(|error| lost(&error))?;
        let welcome = match listener.first()? {
            FromRun::Welcome(welcome) => *welcome,
            FromRun::Greeting(_) | FromRun::Reply { .. } | FromRun::Event(_) | FromRun::Fault(_) => {
                return Err(listener.lost("it did not send its state"));
            }
        };
        listener.wait(None).map_err(|error| lost(&error))?;
        Ok(Client { requests, listener, greeting, welcome, waiting: VecDeque::new() })
    }

    /// The run's greeting.
    #[must_use]
    pub fn greeting(&self) -> &Greeting {
        &self.greeting
    }

    /// The state of the run at that time.
    #[must_use]
    pub fn welcome(&self) -> &Welcome {
        &self.welcome
    }

    /// Sends a request and waits for its reply. Events that come before it are kept.
    ///
    /// # Errors
    /// When the connection ends, or no reply comes.
    pub fn call(&mut self, request: &Request) -> Result<Reply, ClientError> {
        self.call_within(request, REPLY_TIMEOUT)
    }

    /// The same with another timeout.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub fn call_within(&mut self, request: &Request, timeout: Duration) -> Result<Reply, ClientError> {
        let run = self.listener.run.clone();
        let lost = |error: io::Error| ClientError::Lost { run: run.clone(), why: error.to_string() };
        let id = self.requests.ask(request).map_err(lost)?;
        self.listener.wait(Some(timeout)).map_err(lost)?;
        loop {
            match self.listener.next()? {
                Some(FromRun::Reply { re, reply }) if re == id => {
                    self.listener.wait(None).map_err(lost)?;
                    return Ok(reply);
                }
                Some(FromRun::Event(event)) if self.waiting.len() < KEPT_EVENTS => self.waiting.push_back(event),
                Some(FromRun::Fault(fault)) => {
                    return Err(ClientError::Refused { run: self.listener.run.clone(), fault });
                }
                Some(FromRun::Event(_) | FromRun::Reply { .. } | FromRun::Greeting(_) | FromRun::Welcome(_)) => {}
                None => return Err(self.listener.lost("its ccc process ended before it answered")),
            }
        }
    }

    /// Subscribes to the run's events, see `follow` of the protocol. Returns the first fact whose events are all included.
    ///
    /// # Errors
    /// When the connection ends, or the run refuses.
    pub fn follow(&mut self, tail: Option<u64>, since: Option<u64>, words: bool) -> Result<u64, ClientError> {
        let reply = self.call(&Request::Follow { tail, since, words })?;
        let run = self.listener.run.clone();
        match reply {
            Reply::Following { from } => Ok(from),
            Reply::Fault(fault) => Err(ClientError::Refused { run, fault }),
            Reply::Done
            | Reply::Queued { .. }
            | Reply::Already
            | Reply::Status(_)
            | Reply::Output(_)
            | Reply::Started { .. } => {
                Err(ClientError::Lost { run, why: "its answer does not match the request".to_owned() })
            }
        }
    }

    /// The next event; `None` when the run has closed the connection.
    ///
    /// # Errors
    /// When the run disconnects this client, or sends something that cannot be decoded.
    pub fn next_event(&mut self) -> Result<Option<Event>, ClientError> {
        if let Some(event) = self.waiting.pop_front() {
            return Ok(Some(event));
        }
        loop {
            match self.listener.next()? {
                Some(FromRun::Event(event)) => return Ok(Some(event)),
                Some(FromRun::Fault(fault)) => {
                    return Err(ClientError::Refused { run: self.listener.run.clone(), fault });
                }
                Some(FromRun::Reply { .. } | FromRun::Greeting(_) | FromRun::Welcome(_)) => {}
                None => return Ok(None),
            }
        }
    }

    /// Splits into both halves, for two threads, and the events received so far.
    #[must_use]
    pub fn split(self) -> (RequestSender, EventReceiver, VecDeque<Event>) {
        (self.requests, self.listener, self.waiting)
    }
}

impl RequestSender {
    /// Sends a request; returns the number that its reply will carry.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn ask(&mut self, request: &Request) -> io::Result<u64> {
        self.last += 1;
        self.stream.write_all(&encode_request(self.last, request))?;
        Ok(self.last)
    }

    /// Closes the connection; the other half then sees its end.
    pub fn close(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl EventReceiver {
    /// The next line of the run; `None` when the run has closed the connection.
    ///
    /// # Errors
    /// When the connection breaks, or the line cannot be decoded.
    #[allow(
        clippy::should_implement_trait,
        reason = "a line may fail, and a connection that has failed gives no other"
    )]
    pub fn next(&mut self) -> Result<Option<FromRun>, ClientError> {
        loop {
            let line = self.lines.next_line().map_err(|error| self.lost(&error.to_string()))?;
            if let Some(line) = line {
                return decode(&line).map(Some).map_err(|error| self.lost(&error.to_string()));
            }
            if let Some(output) = &self.output {
                let wanted = [(self.stream.as_fd(), PollFlags::IN), (output.as_fd(), PollFlags::empty())];
                let [has_data, gone] = poll(wanted.map(Some), None).map_err(|error| self.lost(&error.to_string()))?;
                if gone {
                    return Ok(None);
                }
                if !has_data {
                    continue;
                }
            }
            match self.stream.read(&mut self.chunk) {
                Ok(0) => return Ok(None),
                Ok(count) => self.lines.push(self.chunk.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    return Err(self.lost("it does not answer"));
                }
                Err(error) => return Err(self.lost(&error.to_string())),
            }
        }
    }

    /// The first line or the welcome, which come soon.
    fn first(&mut self) -> Result<FromRun, ClientError> {
        match self.next()? {
            Some(FromRun::Fault(fault)) => Err(ClientError::Refused { run: self.run.clone(), fault }),
            Some(said) => Ok(said),
            None => Err(self.lost("its ccc process closed the connection")),
        }
    }

    /// Sets the timeout for a line.
    fn wait(&self, limit: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(limit)
    }

    fn lost(&self, why: &str) -> ClientError {
        ClientError::Lost { run: self.run.clone(), why: why.to_owned() }
    }
}

/// Connects to the socket of a run.
fn reach(run: &RunDir) -> Result<UnixStream, ClientError> {
    let connected = match recorded(run) {
        Some(record) => connected(&record.path).map_err(|error| format!("{}: {error}", record.path.display())),
        None => Err(NO_SOCKET.to_owned()),
    };
    connected.map_err(|why| unreachable(run, why))
}

/// Connects to a socket of this user; what a run is told is not said to anybody else.
fn connected(path: &Path) -> io::Result<UnixStream> {
    let owner = std::fs::symlink_metadata(path)?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("it belongs to another user (uid {owner})"),
        ));
    }
    UnixStream::connect(path)
}

/// The error of a connection that has failed. A ccc that has just died resets connections that it had not accepted, and where one
/// died long ago another process may listen: without a ccc the run is not running, whoever answers.
fn of_dead(run: &RunDir, error: ClientError) -> ClientError {
    match FileLock::holder(&run.lock()) {
        Ok(None) => ClientError::NotRunning { run: run.id().to_owned() },
        Ok(Some(_)) | Err(_) => error,
    }
}

/// Why a run without `control.json` cannot be reached.
pub(super) const NO_SOCKET: &str = "it has no control socket";

/// The error for a socket to which nobody can connect: the run may not be running at all.
pub(super) fn unreachable(run: &RunDir, why: String) -> ClientError {
    match FileLock::holder(&run.lock()) {
        Ok(Some(holder)) => ClientError::Unreachable { run: run.id().to_owned(), pid: holder.pid, why },
        Ok(None) | Err(_) => ClientError::NotRunning { run: run.id().to_owned() },
    }
}
