//! A sink that remembers, and questions to `/proc`. Every wait has a deadline and waits for an event.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ccc::process::{ChildSink, ChildSpec, Cookie, Exit, StdinError, Transport};

pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
pub(crate) const PTY: Transport = Transport::Pty { cols: 132, rows: 43 };

/// Orphans are told apart by which children live, so tests that share a process (`cargo test`) take turns.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    ccc::process::become_subreaper();
    turn
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard {
    Stdout(Vec<u8>),
    StdoutClosed,
    Stderr(Vec<u8>),
    StdinError(StdinError),
    Exited(Exit),
}

#[derive(Clone)]
pub(crate) struct Sink(Sender<Heard>);

impl ChildSink for Sink {
    fn stdout(&self, chunk: &[u8]) {
        let _ = self.0.send(Heard::Stdout(chunk.to_vec()));
    }
    fn stdout_closed(&self) {
        let _ = self.0.send(Heard::StdoutClosed);
    }
    fn stderr(&self, chunk: &[u8]) {
        let _ = self.0.send(Heard::Stderr(chunk.to_vec()));
    }
    fn stdin_error(&self, error: StdinError) {
        let _ = self.0.send(Heard::StdinError(error));
    }
    fn exited(&self, exit: Exit) {
        let _ = self.0.send(Heard::Exited(exit));
    }
}

/// What a child said, in order.
pub(crate) struct OutputReader {
    heard: Receiver<Heard>,
    pub(crate) all: Vec<Heard>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

pub(crate) fn reader() -> (Sink, OutputReader) {
    let (send, heard) = channel();
    let reader = OutputReader { heard, all: Vec::new(), stdout: Vec::new(), stderr: Vec::new() };
    (Sink(send), reader)
}

impl OutputReader {
    pub(crate) fn next(&mut self) -> Heard {
        let heard = self.heard.recv_timeout(DEADLINE).unwrap_or_else(|error| {
            panic!(
                "{error}; stdout {:?}, stderr {:?}",
                String::from_utf8_lossy(&self.stdout),
                String::from_utf8_lossy(&self.stderr)
            )
        });
        match &heard {
            Heard::Stdout(chunk) => self.stdout.extend(chunk),
            Heard::Stderr(chunk) => self.stderr.extend(chunk),
            Heard::StdoutClosed | Heard::StdinError(_) | Heard::Exited(_) => {}
        }
        self.all.push(heard.clone());
        heard
    }

    /// Waits until stdout contains `text`, and returns all of stdout so far.
    pub(crate) fn until(&mut self, text: &str) -> String {
        while !String::from_utf8_lossy(&self.stdout).contains(text) {
            let heard = self.next();
            assert!(
                !matches!(heard, Heard::Exited(_)),
                "it ended without saying {text:?}; stdout {:?}, stderr {:?}",
                String::from_utf8_lossy(&self.stdout),
                String::from_utf8_lossy(&self.stderr)
            );
        }
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Waits until a loss on stdin is reported.
    pub(crate) fn until_stdin_error(&mut self) {
        while !matches!(self.next(), Heard::StdinError(_)) {}
    }

    /// Waits for the end.
    pub(crate) fn exit(&mut self) -> Exit {
        loop {
            if let Heard::Exited(exit) = self.next() {
                return exit;
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// A run id that nobody else on this machine uses.
pub(crate) fn run_id(name: &str) -> String {
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
    format!("test-{name}-{}-{}", std::process::id(), since.as_nanos())
}

pub(crate) fn shell(script: &str, transport: Transport) -> ChildSpec {
    ChildSpec {
        limited: None,
        program: "/bin/sh".into(),
        args: vec!["-c".into(), script.into()],
        env: vec![("PATH".into(), "/usr/bin:/bin:/usr/sbin:/sbin".into())],
        cwd: std::env::temp_dir(),
        transport,
        cookie: Cookie { run_id: run_id("child"), attempt: 3 },
        walls: None,
    }
}

/// Is there a process with this pid that has not exited?
pub(crate) fn alive(pid: u32) -> bool {
    state(pid).is_some_and(|state| state != 'Z')
}

pub(crate) fn state(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Our children that have exited and that nobody has reaped.
pub(crate) fn zombies() -> Vec<u32> {
    children().into_iter().filter(|pid| state(*pid) == Some('Z')).collect()
}

pub(crate) fn children() -> Vec<u32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap().flatten() {
        let line = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        found.extend(line.split_whitespace().map(|pid| pid.parse::<u32>().unwrap()));
    }
    found
}

/// The number after `key=` in `text`.
pub(crate) fn number(text: &str, key: &str) -> u32 {
    let start = text.find(&format!("{key}=")).unwrap_or_else(|| panic!("no {key} in {text:?}"));
    text[start + key.len() + 1..].chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Waits until the process is gone or a zombie.
pub(crate) fn wait_gone(pid: u32) {
    crate::whole_runs::harness::look_until(&format!("the end of process {pid}"), || (!alive(pid)).then_some(()));
}

/// A named pipe in a directory of its own: a process that a test does not own says through it that it got somewhere.
pub(crate) struct Fifo {
    _dir: tempfile::TempDir,
    pub(crate) path: PathBuf,
}

impl Fifo {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        crate::fifo::make_fifo(&path);
        Self { _dir: dir, path }
    }

    /// Waits for a line.
    pub(crate) fn line(&self) -> String {
        let (send, receive) = channel();
        let path = self.path.clone();
        std::thread::spawn(move || {
            let text = std::fs::read_to_string(path).unwrap();
            let _ = send.send(text);
        });
        receive.recv_timeout(DEADLINE).expect("nobody wrote to the named pipe").trim().to_owned()
    }
}

/// Runs `body` and asserts that it took less than `limit`.
pub(crate) fn within<T>(limit: Duration, body: impl FnOnce() -> T) -> T {
    #[expect(clippy::disallowed_methods, reason = "the test measures real time")]
    let now = Instant::now;
    let start = now();
    let value = body();
    let took = now().duration_since(start);
    assert!(took < limit, "took {took:?}, more than {limit:?}");
    value
}
