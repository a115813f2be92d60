//! Reports from the hooks of the agent's own interface to a run: both sides.
//!
//! The agent waits for each of its hooks. A hook that only reports is answered before the run has handled the report; reports
//! reach the run in the order of the answers. A hook that waits is answered when the run has decided; if its process goes away
//! before, the run is told. A hook is a process of the agent, and authenticates with the run's key. The agent's tools know the
//! key as well: they can send false reports to the run, and nothing else.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, PoisonError, mpsc};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::bounds::{Bucket, Counted, Lines, write};
use super::protocol::{
    Code, EVENT_BYTES, Fault, FromRun, Hello, Reply, Request, decode, decode_request, encode, encode_hello,
    encode_request,
};
use crate::agent::HOOK_GONE;

/// The name that a hook gives in its hello.
pub(super) const HOOK: &str = "hook";
/// The most hooks at a time: an agent calls several tools at once, and each has a hook.
pub(super) const HOOKS: u32 = 64;
/// The longest report of a hook, in bytes.
pub const HOOK_BYTES: usize = 8 * 1024 * 1024;
/// The timeout for a hook to send its report, and for the reply to one that only reports.
const REPORT_TIMEOUT: Duration = Duration::from_secs(2);
/// The size of one read.
const CHUNK_BYTES: usize = 64 * 1024;

/// A report of a hook, which may wait for a reply.
#[derive(Debug)]
pub struct Hook {
    /// The process that the hook belongs to, by its number in the run.
    pub attempt: u32,
    /// The hook's input, on one line.
    pub json: String,
    /// Set if the hook waits for a reply. Without a reply the hook prints nothing.
    pub reply: Option<oneshot::Sender<String>>,
}

/// A key with which hooks authenticate to a run: 122 random bits.
#[must_use]
pub fn hook_key() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// Serves the hooks of a run.
pub(super) struct Hooks {
    count: AtomicU32,
    /// The rate limit of all hooks together.
    bucket: Mutex<Bucket>,
}

impl Default for Hooks {
    fn default() -> Hooks {
        Hooks { count: AtomicU32::new(0), bucket: Mutex::new(Bucket::new()) }
    }
}

impl Hooks {
    /// Serves one hook, from its hello to its end. No error here stops the agent.
    pub(super) async fn serve(
        &self,
        mut stream: UnixStream,
        lines: &mut Lines<'_>,
        key: &str,
        run: &(dyn Fn(Hook) + Send + Sync),
    ) {
        let Some(_counted) = Counted::up_to(&self.count, HOOKS) else { return };
        let said = tokio::time::timeout(REPORT_TIMEOUT, request(&mut stream, lines)).await;
        let (id, request) = match said {
            Ok(Ok(Some(request))) => request,
            Ok(Ok(None)) | Err(_) => return,
            Ok(Err(fault)) => {
                write(&mut stream, &encode(&FromRun::Fault(fault))).await;
                return;
            }
        };
        let reply = match self.told(&mut stream, request, key, run).await {
            Some(reply) => reply,
            None => return,
        };
        write(&mut stream, &encode(&FromRun::Reply { re: id, reply })).await;
    }

    /// Passes on a report. Returns the reply; `None` when the hook has gone away.
    async fn told(
        &self,
        stream: &mut UnixStream,
        request: Request,
        key: &str,
        run: &(dyn Fn(Hook) + Send + Sync),
    ) -> Option<Reply> {
        let Request::Hook { key: theirs, attempt, wait, input } = request else {
            return Some(Reply::Fault(Fault::new(Code::Refused, "a hook can only send `hook` requests")));
        };
        if theirs != key {
            return Some(Reply::Fault(Fault::new(Code::Inside, "this is not the key of the run's own hooks")));
        }
        let slowed = self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now());
        match slowed {
            Ok(slowed) if slowed.is_zero() => {}
            Ok(slowed) => tokio::time::sleep(slowed.min(REPORT_TIMEOUT)).await,
            // No working agent reports so much for so long.
            Err(fault) => return Some(Reply::Fault(fault)),
        }
        // A raw line end occurs in JSON only between tokens.
        let json = input.replace(['\n', '\r'], " ");
        if !wait {
            run(Hook { attempt, json, reply: None });
            return Some(Reply::Done);
        }
        let (reply, answer) = oneshot::channel();
        run(Hook { attempt, json, reply: Some(reply) });
        tokio::select! {
            biased;
            // If the Stop is not held any more, or the run is over, the agent may stop.
            output = answer => Some(output.map_or(Reply::Done, Reply::Output)),
            () = gone(stream) => {
                run(Hook { attempt, json: HOOK_GONE.to_owned(), reply: None });
                None
            }
        }
    }
}

/// The request of a hook and its number; `None` when it closed without one.
async fn request(stream: &mut UnixStream, lines: &mut Lines<'_>) -> Result<Option<(u64, Request)>, Fault> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        if let Some(line) = lines.next()? {
            return decode_request(&line).map(Some).map_err(|(_, fault)| fault);
        }
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(count) => lines.push(chunk.get(..count).unwrap_or_default())?,
        }
    }
}

/// Returns when the peer has gone away. Its further data is ignored.
async fn gone(stream: &mut UnixStream) {
    let mut chunk = [0; 64];
    while !matches!(stream.read(&mut chunk).await, Ok(0) | Err(_)) {}
}

/// In the hook's process: reports the hook's input to the run that listens on `socket`. Returns the hook's output; `None` when
/// there is none, or the run cannot be reached.
#[must_use]
pub fn tell(socket: &Path, key: String, attempt: u32, wait: bool, input: String) -> Option<String> {
    let socket = socket.to_owned();
    let (sender, receiver) = mpsc::channel();
    // A connect blocks without limit while the run is stopped, so a separate thread does it, which is not joined.
    std::thread::spawn(move || drop(sender.send(told(&socket, key, attempt, wait, input))));
    let told = if wait { receiver.recv().ok() } else { receiver.recv_timeout(REPORT_TIMEOUT).ok() };
    told?.ok()
}

fn told(socket: &Path, key: String, attempt: u32, wait: bool, input: String) -> io::Result<String> {
    let mut stream = BlockingStream::connect(socket)?;
    stream.set_write_timeout(Some(REPORT_TIMEOUT))?;
    // Send everything at once, without waiting for the run's greeting.
    let mut said = encode_hello(&Hello::new(HOOK, false));
    said.extend(encode_request(1, &Request::Hook { key, attempt, wait, input }));
    stream.write_all(&said)?;
    stream.set_read_timeout(Some(REPORT_TIMEOUT))?;
    let mut lines = BufReader::new(stream);
    loop {
        let mut line = Vec::new();
        let most = u64::try_from(EVENT_BYTES).unwrap_or(u64::MAX);
        if lines.by_ref().take(most).read_until(b'\n', &mut line)? == 0 {
            return Ok(String::new());
        }
        match decode(&line) {
            Ok(FromRun::Greeting(_)) if wait => lines.get_ref().set_read_timeout(None)?,
            Ok(FromRun::Greeting(_) | FromRun::Event(_) | FromRun::Welcome(_)) => {}
            Ok(FromRun::Reply { reply: Reply::Output(output), .. }) => return Ok(output),
            Ok(FromRun::Reply { .. } | FromRun::Fault(_)) | Err(_) => return Ok(String::new()),
        }
    }
}
