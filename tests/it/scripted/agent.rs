//! A scripted agent as a child process, spoken to over pipes.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

pub(super) const SESSION: &str = "11111111-0000-4000-8000-000000000001";
/// Longer than anything here takes on a loaded machine.
const DEADLINE: Duration = Duration::from_secs(30);

/// A directory with a script, transcripts and a project.
pub(super) struct Place {
    dir: tempfile::TempDir,
    version: &'static str,
}

impl Place {
    pub(super) fn new(script: &str) -> Place {
        Place::speaking("2.1.332", script)
    }

    pub(super) fn speaking(version: &'static str, script: &str) -> Place {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::write(dir.path().join("script.json"), script).expect("a script");
        std::fs::create_dir(dir.path().join("project")).expect("a project");
        Place { dir, version }
    }

    pub(super) fn project(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    pub(super) fn home(&self) -> PathBuf {
        self.dir.path().join("home")
    }

    pub(super) fn files_at_home(&self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir(self.home()) else { return Vec::new() };
        let mut names: Vec<String> =
            entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    pub(super) fn start(&self, args: &[&str]) -> Agent {
        let mut child = Command::new(crate::program::ccc())
            .arg("scripted-agent")
            .args(["-p", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"])
            .arg("--replay-user-messages")
            .args(args)
            .current_dir(self.project())
            .env("CCC_SCRIPT", self.dir.path().join("script.json"))
            .env("CCC_SCRIPTED_HOME", self.home())
            .env("CCC_SCRIPTED_VERSION", self.version)
            .env("CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program");
        let (sender, lines) = channel();
        let stdout = child.stdout.take().expect("stdout");
        thread::spawn(move || {
            let mut reader = BufReader::new(stdout);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    return;
                }
                line.clear();
            }
        });
        Agent { stdin: child.stdin.take(), child, lines }
    }

    /// The first process of the session.
    pub(super) fn begin(&self) -> Agent {
        self.start(&["--session-id", SESSION])
    }

    pub(super) fn resume(&self) -> Agent {
        self.start(&["--resume", SESSION])
    }

    pub(super) fn critic(&self) -> Agent {
        let fork = ["--resume", SESSION, "--fork-session", "--no-session-persistence", "--permission-mode", "dontAsk"];
        self.start(&fork)
    }
}

pub(super) struct Agent {
    pub(super) child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

/// How a process ended and what was left of its output.
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    pub(super) rest: Vec<String>,
    pub(super) stderr: String,
}

impl Agent {
    pub(super) fn write(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("an open stdin");
        stdin.write_all(format!("{line}\n").as_bytes()).expect("a reader");
    }

    pub(super) fn turn(&mut self, uuid: &str, text: &str) {
        let content = serde_json::json!([{"type": "text", "text": text}]);
        let message = serde_json::json!({
            "type": "user", "message": {"role": "user", "content": content}, "uuid": uuid,
            "parent_tool_use_id": null, "session_id": ""
        });
        self.write(&message.to_string());
    }

    /// The next line as it is.
    pub(super) fn line(&mut self) -> String {
        self.lines.recv_timeout(DEADLINE).expect("a line in time")
    }

    /// All messages up to the first of this shape, that one included.
    pub(super) fn until(&mut self, shape: &str) -> Vec<Value> {
        let mut messages: Vec<Value> = Vec::new();
        loop {
            let line = self.line();
            let message: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
            let found = kind(&message) == shape;
            messages.push(message);
            if found {
                return messages;
            }
        }
    }

    /// All messages of a turn.
    pub(super) fn until_idle(&mut self) -> Vec<Value> {
        self.until("system/session_state_changed idle")
    }

    pub(super) fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, signal).expect("a process");
    }

    pub(super) fn close(&mut self) {
        self.stdin = None;
    }

    /// Waits for the end without closing its stdin: its stdout closes with it.
    pub(super) fn wait(mut self) -> Ended {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(DEADLINE) {
                Ok(line) => rest.push(line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it does not end"),
            }
        }
        let status = self.child.wait().expect("a child");
        let mut stderr = String::new();
        self.child.stderr.take().expect("stderr").read_to_string(&mut stderr).expect("text");
        Ended { status, rest, stderr }
    }

    /// Closes its stdin and waits for the end.
    pub(super) fn end(mut self) -> Ended {
        self.close();
        self.wait()
    }
}

/// `type/subtype state-or-status`, as far as there is any.
pub(super) fn kind(message: &Value) -> String {
    let text = |key: &str| message.get(key).and_then(Value::as_str);
    let mut kind = text("type").unwrap_or("?").to_owned();
    if let Some(subtype) = text("subtype") {
        kind.push('/');
        kind.push_str(subtype);
    }
    if let Some(state) = text("state").or(text("status")) {
        kind.push(' ');
        kind.push_str(state);
    }
    if message.get("isReplay").is_some() {
        kind.push_str(if message.get("timestamp").is_some() { " replay" } else { " replay of a duplicate" });
    }
    kind
}

pub(super) fn kinds(messages: &[Value]) -> Vec<String> {
    messages.iter().map(kind).collect()
}
