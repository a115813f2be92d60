//! A conversation with one process in stream-json mode, over pipes.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// One line of stdout.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "each user reads a part of it")]
pub(crate) struct Line {
    /// When it was read, since the process was spawned.
    pub(crate) at: Duration,
    /// Verbatim, without its end.
    pub(crate) raw: String,
    /// Parsed; null if it is no JSON.
    pub(crate) json: Value,
}

impl Line {
    /// Its type, with the subtype or state where it has one: `system/init`, `result/success`,
    /// `system/session_state_changed/idle`, `stream_event/message_stop`.
    pub(crate) fn kind(&self) -> String {
        let field = |name: &str| self.json.get(name).and_then(Value::as_str);
        let event = self.json.pointer("/event/type").and_then(Value::as_str);
        [field("type"), field("subtype"), field("state"), event].into_iter().flatten().collect::<Vec<_>>().join("/")
    }
}

/// How a process ended.
#[derive(Debug)]
#[allow(dead_code, reason = "each user reads a part of it")]
pub(crate) struct Exit {
    /// Its status.
    pub(crate) status: ExitStatus,
    /// All it wrote to stderr.
    pub(crate) stderr: String,
    /// All it wrote to stdout.
    pub(crate) lines: Vec<Line>,
}

/// A live process; dropping it kills it.
#[derive(Debug)]
pub(crate) struct Session {
    child: Child,
    started: Instant,
    stdin: Option<ChildStdin>,
    incoming: Receiver<Line>,
    seen: Vec<Line>,
    stderr: Option<JoinHandle<String>>,
}

#[allow(dead_code, reason = "the examples use a part of what the tests use")]
impl Session {
    /// Spawns the command with pipes.
    ///
    /// # Errors
    /// When it cannot be spawned.
    pub(crate) fn spawn(command: &mut Command) -> io::Result<Self> {
        let started = Instant::now();
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        let mut stderr = child.stderr.take().ok_or_else(|| io::Error::other("no stderr"))?;
        let (sender, incoming) = channel();
        std::thread::spawn(move || {
            for raw in BufReader::new(stdout).lines().map_while(Result::ok) {
                let at = started.elapsed();
                let json = serde_json::from_str(&raw).unwrap_or(Value::Null);
                if sender.send(Line { at, raw, json }).is_err() {
                    return;
                }
            }
        });
        let stderr = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            drop(stderr.read_to_end(&mut bytes));
            String::from_utf8_lossy(&bytes).into_owned()
        });
        let stdin = child.stdin.take();
        Ok(Self { child, started, stdin, incoming, seen: Vec::new(), stderr: Some(stderr) })
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// When it was spawned.
    pub(crate) fn started(&self) -> Instant {
        self.started
    }

    /// All lines that were waited past so far.
    pub(crate) fn seen(&self) -> &[Line] {
        &self.seen
    }

    /// Writes one line to its stdin.
    ///
    /// # Errors
    /// When stdin is closed, by us or by it.
    pub(crate) fn send(&mut self, message: &Value) -> io::Result<()> {
        let stdin = self.stdin.as_mut().ok_or_else(|| io::Error::other("stdin is closed"))?;
        stdin.write_all(format!("{message}\n").as_bytes())?;
        stdin.flush()
    }

    /// Sends a user turn under this uuid.
    ///
    /// # Errors
    /// When stdin is closed.
    pub(crate) fn say(&mut self, text: &str, uuid: &str) -> io::Result<()> {
        let content = json!([{"type": "text", "text": text}]);
        self.send(&json!({
            "type": "user", "uuid": uuid, "session_id": "", "parent_tool_use_id": null,
            "message": {"role": "user", "content": content},
        }))
    }

    /// Asks it to interrupt the turn.
    ///
    /// # Errors
    /// When stdin is closed.
    pub(crate) fn interrupt(&mut self, id: &str) -> io::Result<()> {
        self.send(&json!({"type": "control_request", "request_id": id, "request": {"subtype": "interrupt"}}))
    }

    /// Reads lines until one passes, and returns it.
    ///
    /// # Errors
    /// When the deadline passes or stdout ends first; the error names what was waited for and the last lines.
    pub(crate) fn until(&mut self, what: &str, deadline: Duration, pass: impl Fn(&Line) -> bool) -> io::Result<Line> {
        let end = Instant::now() + deadline;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.incoming.recv_timeout(left) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if pass(&line) {
                        return Ok(line);
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.failed(io::ErrorKind::TimedOut, &format!("no {what} in {deadline:?}")));
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(self.failed(io::ErrorKind::UnexpectedEof, &format!("stdout ended before {what}")));
                }
            }
        }
    }

    /// Reads until a `result` and then an idle state have come, and returns the result. A result that is of no
    /// turn (`num_turns` 0 before any idle) counts like any other: the caller knows what it asked.
    ///
    /// # Errors
    /// See [`Self::until`].
    pub(crate) fn turn_over(&mut self, deadline: Duration) -> io::Result<Line> {
        let result = self.until("result", deadline, |l| l.json.get("type") == Some(&json!("result")))?;
        self.until("idle", deadline, |l| l.kind() == "system/session_state_changed/idle")?;
        Ok(result)
    }

    /// Closes stdin and waits for the end.
    ///
    /// # Errors
    /// When it has not ended by the deadline.
    pub(crate) fn close(mut self, deadline: Duration) -> io::Result<Exit> {
        drop(self.stdin.take());
        self.wait(deadline)
    }

    /// Waits for the end without closing stdin.
    ///
    /// # Errors
    /// When it has not ended by the deadline.
    pub(crate) fn wait(&mut self, deadline: Duration) -> io::Result<Exit> {
        match self.until("end", deadline, |_| false) {
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {}
            Err(e) => return Err(e),
            Ok(line) => return Err(io::Error::other(format!("impossible line {}", line.raw))),
        }
        let status = self.child.wait()?;
        let stderr = self.stderr.take().and_then(|t| t.join().ok()).unwrap_or_default();
        Ok(Exit { status, stderr, lines: std::mem::take(&mut self.seen) })
    }

    /// Kills it at once.
    ///
    /// # Errors
    /// When it cannot be killed or does not end within ten seconds.
    pub(crate) fn kill(mut self) -> io::Result<Exit> {
        self.child.kill()?;
        self.wait(Duration::from_secs(10))
    }

    fn failed(&self, kind: io::ErrorKind, what: &str) -> io::Error {
        let last: Vec<&str> =
            self.seen.iter().rev().take(8).rev().map(|l| l.raw.get(..300).unwrap_or(&l.raw)).collect();
        io::Error::new(kind, format!("{what}; last lines: {last:#?}"))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
