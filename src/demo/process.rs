//! The scripted agent as a process, with a real stdin, stdout, clock and shell.
//!
//! The program's hidden subcommand calls [`run`] with the arguments that Claude Code would get. Environment variables give the
//! rest: [`SCRIPT_VARIABLE`], [`HOME_VARIABLE`], [`VERSION_VARIABLE`], [`SPEED_VARIABLE`]. The script's delays are real delays;
//! nothing waits longer than the script says.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, PipeReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::scenario::{self, HOME_VARIABLE, SCRIPT_VARIABLE};
use super::scripted::{
    CliVersion, Effect, Moment, Open, Options, Parsed, Script, ScriptedAgent, Signalled, Transcript,
};
use crate::core::derive_uuid;

/// The version of the CLI to imitate: `2.1.197` or `2.1.332`.
pub const VERSION_VARIABLE: &str = "CCC_SCRIPTED_VERSION";
/// How many times faster the script's time runs, for tests of whole runs; 1 by default.
pub const SPEED_VARIABLE: &str = "CCC_SCRIPTED_SPEED";
/// Switches on session states, as with the real CLI (facts §1).
const STATES_VARIABLE: &str = "CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS";

/// The longest line read from stdin, in bytes. A longer line is split there.
const MAX_INPUT_LINE_BYTES: u64 = 64 * 1024 * 1024;
/// How much of a command's output is kept, in bytes.
const KEPT_OUTPUT_BYTES: u64 = 30_000;
/// How many events may be queued before a sender must wait.
const WAITING_EVENTS: usize = 64;

/// The settings of the process from its arguments and its environment.
#[derive(Debug, Clone)]
pub struct Surroundings {
    /// The script's file; `None` for the script of `ccc demo`.
    pub script: Option<PathBuf>,
    /// The directory of the transcripts.
    pub home: PathBuf,
    /// The version of the CLI to imitate.
    pub version: CliVersion,
    /// Whether session states are written.
    pub session_states: bool,
    /// How many times faster the script's time runs; at least 1.
    pub speed: u64,
    /// The working directory.
    pub cwd: PathBuf,
    /// Message uuids derive from this, so it must differ between two processes with the same home.
    pub nonce: String,
}

/// How the agent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// It exits with this code.
    Exited(u8),
    /// The process must die by this signal.
    Died(i32),
}

/// An event from outside the agent.
#[derive(Debug)]
pub enum Event {
    /// A line of stdin.
    Line(String),
    /// The end of stdin.
    InputEnded,
    /// A command ended: its output and its exit code; `None` when a signal ended it.
    CommandFinished(String, Option<i32>),
    /// A signal.
    Signal(Signalled),
}

/// Runs the agent in this process with the arguments that Claude Code would get, and returns the exit code.
#[must_use]
pub fn run(args: Vec<OsString>) -> u8 {
    let args: Vec<String> = args.into_iter().map(|arg| arg.to_string_lossy().into_owned()).collect();
    let (sender, events) = sync_channel(WAITING_EVENTS);
    listen_to_signals(sender.clone());
    let (stdout, terminal) = (io::stdout(), io::stdout().is_terminal());
    let end =
        converse(&args, &Surroundings::of_this_process(), io::stdin(), stdout.lock(), io::stderr(), (sender, events));
    match end {
        End::Exited(code) => {
            if terminal {
                // The newest version ends with this sequence on a terminal, without a line end (facts 2.1.329, B).
                let _ = stdout.lock().write_all(b"\x1b[?25h").and_then(|()| stdout.lock().flush());
            }
            code
        }
        End::Died(signal) => die(signal),
    }
}

impl Surroundings {
    fn of_this_process() -> Surroundings {
        let text = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
        let home = text(HOME_VARIABLE).map_or_else(
            || std::env::temp_dir().join("ccc-scripted").join(cwd.to_string_lossy().replace('/', "-")),
            PathBuf::from,
        );
        let version = text(VERSION_VARIABLE).map(|value| CliVersion::of(&value.to_string_lossy())).unwrap_or_default();
        let nonce = format!("{} {}", std::process::id(), unix_ms());
        Surroundings {
            script: text(SCRIPT_VARIABLE).map(PathBuf::from),
            home,
            version,
            speed: text(SPEED_VARIABLE).and_then(|value| value.to_string_lossy().parse().ok()).unwrap_or(1).max(1),
            session_states: text(STATES_VARIABLE).is_some_and(|value| value == "1"),
            cwd,
            nonce,
        }
    }

    fn transcript_path(&self, session_id: &str) -> PathBuf {
        self.home.join(format!("{session_id}.jsonl"))
    }

    fn critics_path(&self, session_id: &str) -> PathBuf {
        self.home.join(format!("{session_id}.critics"))
    }

    fn latest_session(&self) -> Option<String> {
        let sessions = fs::read_dir(&self.home)
            .ok()?
            .flatten()
            .filter(|entry| entry.path().extension().is_some_and(|e| e == "jsonl"));
        let latest =
            sessions.max_by_key(|entry| entry.metadata().and_then(|meta| meta.modified()).unwrap_or(UNIX_EPOCH))?;
        latest.path().file_stem().map(|stem| stem.to_string_lossy().into_owned())
    }

    fn script(&self) -> Result<Script, String> {
        let Some(path) = &self.script else { return Ok(scenario::script()) };
        let text = fs::read_to_string(path)
            .map_err(|error| format!("the script {} cannot be read: {error}", path.display()))?;
        Script::read(&text).map_err(|error| format!("the script {} is wrong: {error}", path.display()))
    }
}

/// Plays the agent on these streams until it ends. Events other than the lines of `stdin` come through `channel`.
pub fn converse<R, O, E>(
    args: &[String],
    around: &Surroundings,
    stdin: R,
    stdout: O,
    mut stderr: E,
    channel: (SyncSender<Event>, Receiver<Event>),
) -> End
where
    R: Read + Send + 'static,
    O: Write,
    E: Write,
{
    let mut stdout = BufWriter::new(stdout);
    let options = match Options::parse(args, around.version) {
        Parsed::Run(options) => *options,
        Parsed::Tell(text) => {
            let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
            return End::Exited(0);
        }
        Parsed::Refuse(text) => {
            let _ = writeln!(stderr, "{text}");
            return End::Exited(1);
        }
    };
    let script = match around.script() {
        Ok(script) => Arc::new(script),
        Err(why) => {
            let _ = writeln!(stderr, "scripted agent: {why}");
            return End::Exited(2);
        }
    };
    let (agent, files) = open_session(script, options, around);
    let reading = Arc::new(AtomicBool::new(true));
    read_lines(stdin, channel.0.clone(), Arc::clone(&reading));
    let clock = Clock::start(around.speed.max(1));
    let mut process =
        Process { agent, files, stdout, stderr, sender: channel.0, reading, cwd: around.cwd.clone(), command: None };
    process.agent.begin(clock.now());
    loop {
        if let Some(end) = process.perform() {
            return end;
        }
        let event = match process.agent.wake_at() {
            Some(at) => channel.1.recv_timeout(clock.until(at)),
            None => channel.1.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        let now = clock.now();
        match event {
            Ok(Event::Line(line)) => process.agent.line(now, &line),
            Ok(Event::InputEnded) => process.agent.input_ended(now),
            Ok(Event::CommandFinished(output, code)) => {
                process.command = None;
                process.agent.command_finished(now, &output, code);
            }
            Ok(Event::Signal(signal)) => process.agent.signal(now, signal),
            Err(RecvTimeoutError::Timeout) => process.agent.wake(now),
            Err(RecvTimeoutError::Disconnected) => return End::Exited(1),
        }
    }
}

/// The files of a session.
#[derive(Debug)]
struct Files {
    transcript: PathBuf,
    critics: PathBuf,
}

fn open_session(script: Arc<Script>, mut options: Options, around: &Surroundings) -> (ScriptedAgent, Files) {
    options.cwd = around.cwd.to_string_lossy().into_owned();
    options.nonce.clone_from(&around.nonce);
    options.session_states = around.session_states;
    if options.session_id.is_empty() {
        options.session_id = derive_uuid(&around.nonce, "session", 1);
    }
    let source = match &options.open {
        Open::New(id) | Open::Resume(id) | Open::Fork(id) => Some(id.clone()),
        Open::Latest => around.latest_session(),
        Open::Unnamed => None,
    };
    if let (Open::Latest, Some(id)) = (&options.open, &source) {
        options.open = Open::Resume(id.clone());
    }
    let read = |id: &String| fs::read(around.transcript_path(id)).ok();
    let transcript = source.as_ref().and_then(read).map(|bytes| Transcript::read(&String::from_utf8_lossy(&bytes)));
    let critics = around.critics_path(source.as_deref().unwrap_or(&options.session_id));
    let critics_ended = fs::read_to_string(&critics).map_or(0, |text| text.lines().count());
    let _ = fs::create_dir_all(&around.home);
    if let (Open::Fork(id), false) = (&options.open, options.ephemeral) {
        // A fork that persists copies the whole transcript (facts §2).
        let _ = fs::copy(around.transcript_path(id), around.transcript_path(&options.session_id));
    }
    let agent = ScriptedAgent::new(script, options, transcript, critics_ended);
    let transcript = around.transcript_path(agent.session_id());
    (agent, Files { transcript, critics })
}

struct Process<O: Write, E: Write> {
    agent: ScriptedAgent,
    files: Files,
    stdout: BufWriter<O>,
    stderr: E,
    sender: SyncSender<Event>,
    reading: Arc<AtomicBool>,
    cwd: PathBuf,
    /// The process group of the running command.
    command: Option<u32>,
}

impl<O: Write, E: Write> Process<O, E> {
    /// Performs the agent's effects; returns its end once it has ended. A closed stdout does not end it: the real CLI keeps
    /// running too (facts §6).
    fn perform(&mut self) -> Option<End> {
        while let Some(effect) = self.agent.poll_effect() {
            match effect {
                Effect::Line(line) => {
                    let _ = self.stdout.write_all(line.as_bytes()).and_then(|()| self.stdout.write_all(b"\n"));
                }
                Effect::Raw(bytes) => {
                    let _ = self.stdout.write_all(&bytes);
                }
                Effect::Stderr(line) => {
                    let _ = writeln!(self.stderr, "{line}");
                }
                Effect::Append(row) => {
                    if let Ok(json) = serde_json::to_string(&row) {
                        append_line(&self.files.transcript, &json);
                    }
                }
                Effect::CountCritic => append_line(&self.files.critics, "ended"),
                Effect::WriteFile { path, content } => {
                    if let Some(parent) = Path::new(&path).parent() {
                        let _ = fs::create_dir_all(parent);
                    }
                    let _ = fs::write(&path, content);
                }
                Effect::EditFile { path, old, new } => {
                    if let Ok(text) = fs::read_to_string(&path) {
                        let _ = fs::write(&path, text.replacen(&old, &new, 1));
                    }
                }
                Effect::Run { command } => self.run_command(&command),
                Effect::StopCommand => self.stop_command(),
                Effect::Orphan { ms, holds_stdout } => {
                    let mut command = Command::new("sleep");
                    command.arg(format!("{:.3}", ms as f64 / 1_000.0)).stdin(Stdio::null()).stderr(Stdio::null());
                    if !holds_stdout {
                        command.stdout(Stdio::null());
                    }
                    let _ = command.process_group(0).spawn();
                }
                Effect::StopReading => self.reading.store(false, Ordering::SeqCst),
                Effect::Exit(code) => {
                    let _ = self.stdout.flush();
                    return Some(End::Exited(code));
                }
                Effect::Die(signal) => {
                    let _ = self.stdout.flush();
                    return Some(End::Died(signal));
                }
            }
        }
        let _ = self.stdout.flush();
        None
    }

    fn run_command(&mut self, command: &str) {
        let sender = self.sender.clone();
        match self.spawn_shell(command) {
            Ok((mut child, output)) => {
                self.command = Some(child.id());
                thread::spawn(move || {
                    let mut text = Vec::new();
                    let _ = output.take(KEPT_OUTPUT_BYTES).read_to_end(&mut text);
                    let code = child.wait().ok().and_then(|status| status.code());
                    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                    let _ = sender.send(Event::CommandFinished(text, code));
                });
            }
            Err(error) => {
                thread::spawn(move || sender.send(Event::CommandFinished(error.to_string(), Some(127))));
            }
        }
    }

    /// Starts a shell as the real CLI's tools do: in its own process group, without stdin, with stdout and stderr in one pipe.
    fn spawn_shell(&self, command: &str) -> io::Result<(Child, PipeReader)> {
        let (output, writer) = io::pipe()?;
        let child = Command::new("/bin/sh")
            .args(["-c", command])
            .current_dir(&self.cwd)
            .env("CLAUDECODE", "1")
            .env("CLAUDE_CODE_SESSION_ID", self.agent.session_id())
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn()?;
        Ok((child, output))
    }

    fn stop_command(&mut self) {
        let group = self.command.take().and_then(|group| rustix::process::Pid::from_raw(i32::try_from(group).ok()?));
        if let Some(group) = group {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// Sends the lines of stdin until its end. While `reading` is false, nothing is sent: what a read that had begun before still brings,
/// be it the end, waits too.
fn read_lines<R: Read + Send + 'static>(stdin: R, sender: SyncSender<Event>, reading: Arc<AtomicBool>) {
    thread::spawn(move || {
        let mut reader = BufReader::new(stdin);
        let mut line = Vec::new();
        loop {
            line.clear();
            let read = (&mut reader).take(MAX_INPUT_LINE_BYTES).read_until(b'\n', &mut line);
            while !reading.load(Ordering::SeqCst) {
                thread::park();
            }
            match read {
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            }
            if sender.send(Event::Line(String::from_utf8_lossy(&line).into_owned())).is_err() {
                return;
            }
        }
        let _ = sender.send(Event::InputEnded);
    });
}

/// Forwards the signals on which the real CLI exits by itself (facts §3). The handlers are installed when this returns.
fn listen_to_signals(sender: SyncSender<Event>) {
    // The thread drops its sender when the handlers are installed or cannot be installed, which ends the wait below.
    let (setting_up, set_up) = sync_channel::<()>(0);
    thread::spawn(move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        runtime.block_on(async move {
            use tokio::signal::unix::{SignalKind, signal};
            let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
            let [Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)] = kinds.map(signal) else { return };
            drop(setting_up);
            loop {
                let signal = tokio::select! {
                    _ = interrupt.recv() => Signalled::Interrupt,
                    _ = terminate.recv() => Signalled::Terminate,
                    _ = hang_up.recv() => Signalled::HangUp,
                };
                if sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        });
    });
    let _ = set_up.recv();
}

fn append_line(path: &Path, line: &str) {
    // One write per row, so that a kill can tear only the last row.
    let open = OpenOptions::new().create(true).append(true).open(path);
    let _ = open.and_then(|mut file: File| file.write_all(format!("{line}\n").as_bytes()));
}

/// Ends this process by a signal. Returns an exit code only if the signal does not end it.
fn die(signal: i32) -> u8 {
    let this = rustix::process::getpid();
    if let Some(signal) = rustix::process::Signal::from_named_raw(signal) {
        let _ = rustix::process::kill_process(this, signal);
    }
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Reads the time, which the machine takes only as an argument.
struct Clock {
    start: Instant,
    speed: u64,
}

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this process is an edge; the machine gets time as an argument")]
    fn start(speed: u64) -> Clock {
        Clock { start: Instant::now(), speed }
    }

    fn now(&self) -> Moment {
        let us = u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX);
        Moment { ms: us.saturating_mul(self.speed) / 1_000, unix_ms: unix_ms() }
    }

    fn until(&self, at_ms: u64) -> Duration {
        Duration::from_micros(at_ms.saturating_sub(self.now().ms).saturating_mul(1_000) / self.speed)
    }
}

#[allow(clippy::disallowed_methods, reason = "this process is an edge; the machine gets time as an argument")]
fn unix_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
