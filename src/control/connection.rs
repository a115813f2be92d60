//! The client side of the socket for a thread that holds the connections to many runs.

use std::io;

use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::client::{ClientError, GREETING_TIMEOUT, NO_SOCKET, unreachable};
use super::place::recorded;
use super::protocol::{
    EVENT_BYTES, FromRun, Hello, LineBuffer, PROTOCOL, Request, Welcome, decode, encode_hello, encode_request,
};
use crate::journal::RunDir;

/// The size of one read. Small, because there may be hundreds of connections.
const CHUNK_BYTES: usize = 8 * 1024;

/// A connection to a run, after its welcome.
#[derive(Debug)]
pub struct Connection {
    run: String,
    stream: UnixStream,
    lines: LineBuffer,
    last: u64,
}

impl Connection {
    /// Connects to a run.
    ///
    /// # Errors
    /// When no ccc runs it, it cannot be reached, or it refuses.
    pub async fn open(run: &RunDir, hello: &Hello) -> Result<(Connection, Welcome), ClientError> {
        let Some(record) = recorded(run) else { return Err(unreachable(run, NO_SOCKET.to_owned())) };
        let stream = match UnixStream::connect(&record.path).await {
            Ok(stream) => stream,
            Err(error) => return Err(unreachable(run, format!("{}: {error}", record.path.display()))),
        };
        let mut connection =
            Connection { run: run.id().to_owned(), stream, lines: LineBuffer::new(EVENT_BYTES), last: 0 };
        let greeted = timeout(GREETING_TIMEOUT, connection.greet(hello)).await;
        let welcome = greeted.unwrap_or_else(|_| Err(connection.lost("it does not answer")));
        // A ccc that has just died resets connections that it had not accepted: it counts as not running.
        match welcome {
            Ok(welcome) => Ok((connection, welcome)),
            Err(ClientError::Lost { why, .. }) if UnixStream::connect(&record.path).await.is_err() => {
                Err(unreachable(run, why))
            }
            Err(error) => Err(error),
        }
    }

    async fn greet(&mut self, hello: &Hello) -> Result<Welcome, ClientError> {
        let greeting = match self.next().await? {
            Some(FromRun::Greeting(greeting)) => greeting,
            Some(FromRun::Fault(fault)) => return Err(ClientError::Refused { run: self.run.clone(), fault }),
            Some(FromRun::Welcome(_) | FromRun::Reply { .. } | FromRun::Event(_)) => {
                return Err(self.lost("it did not send a greeting"));
            }
            None => return Err(self.lost("its ccc process closed the connection")),
        };
        if greeting.protocol.major != PROTOCOL.major {
            return Err(ClientError::OtherVersion {
                run: self.run.clone(),
                theirs: greeting.protocol.major,
                ours: PROTOCOL.major,
                version: greeting.version,
            });
        }
        self.stream.write_all(&encode_hello(hello)).await.map_err(|error| self.lost(&error.to_string()))?;
        match self.next().await? {
            Some(FromRun::Welcome(welcome)) => Ok(*welcome),
            Some(FromRun::Fault(fault)) => Err(ClientError::Refused { run: self.run.clone(), fault }),
            Some(FromRun::Greeting(_) | FromRun::Reply { .. } | FromRun::Event(_)) => {
                Err(self.lost("it did not send its state"))
            }
            None => Err(self.lost("its ccc process closed the connection")),
        }
    }

    /// The next line of the run; `None` when the run has closed the connection. Nothing is lost when this is dropped while it
    /// waits.
    ///
    /// # Errors
    /// When the connection breaks, or the line cannot be decoded.
    pub async fn next(&mut self) -> Result<Option<FromRun>, ClientError> {
        loop {
            let line = self.lines.next_line().map_err(|error| self.lost(&error.to_string()))?;
            if let Some(line) = line {
                return decode(&line).map(Some).map_err(|error| self.lost(&error.to_string()));
            }
            self.stream.readable().await.map_err(|error| self.lost(&error.to_string()))?;
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Reads what is there; `false` when the run has closed the connection.
    fn read(&mut self) -> Result<bool, ClientError> {
        let mut chunk = [0; CHUNK_BYTES];
        match self.stream.try_read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.lines.push(chunk.get(..count).unwrap_or_default());
                Ok(true)
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(false),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(true),
            Err(error) => Err(self.lost(&error.to_string())),
        }
    }

    /// Sends a request; returns the number that its reply will carry.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub async fn ask(&mut self, request: &Request) -> io::Result<u64> {
        self.last += 1;
        self.stream.write_all(&encode_request(self.last, request)).await?;
        Ok(self.last)
    }

    fn lost(&self, why: &str) -> ClientError {
        ClientError::Lost { run: self.run.clone(), why: why.to_owned() }
    }
}
