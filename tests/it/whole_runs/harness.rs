//! One temporary project, one built `ccc` in it, and everything that can be seen of it afterwards.
//!
//! [`Ground`] is the world (home, project, state directory), [`Running`] a live ccc, [`Ended`] what it left. Whatever
//! a test looks at, [`Running::end`] also asserts what must hold for every run: nothing of the run is alive any more,
//! no file of the state directory and no output holds the key, and a replay of each journal decides the same.
//!
//! Must not: know a scenario, or wait without a deadline.

#![allow(dead_code, reason = "each user takes a part of it")]

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::real_cli::{CleanHome, RealCli};
use crate::scripted_api::{Reply, Rule, Script, Times, When};

/// Longer than anything here takes on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(90);
/// Between two looks at something that announces itself to nobody (a file, a process of `/proc`).
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Words of every critic's brief, by which its requests are told from the agent's.
pub(crate) const BRIEF: &str = "# Facts of this review";

/// A home, a project, a state directory, and the environment of the `ccc` that runs in them.
pub(crate) struct Ground {
    home: CleanHome,
    env: Vec<(OsString, OsString)>,
}

impl Ground {
    /// With a git repository of one commit as the project.
    pub(crate) fn new() -> Self {
        Self::without_git().with_git()
    }

    /// As [`Ground::new`], below this directory.
    pub(crate) fn below(dir: &Path) -> Self {
        Self::of(CleanHome::below(dir).expect("a temporary home")).with_git()
    }

    fn with_git(self) -> Self {
        let ground = self;
        ground.write("README.md", "A project.\n");
        ground.git(&["init", "-q", "-b", "main"]);
        ground.git(&["add", "."]);
        ground.git(&["commit", "-q", "-m", "Begin"]);
        ground
    }

    /// With an empty directory as the project.
    pub(crate) fn without_git() -> Self {
        Self::of(CleanHome::new().expect("a temporary home"))
    }

    fn of(home: CleanHome) -> Self {
        home.trust_project().expect("the project is trusted");
        Self { home, env: Vec::new() }
    }

    /// One more variable for ccc, and through it for agents and checks.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// The project's directory, without symbolic links.
    pub(crate) fn project(&self) -> PathBuf {
        self.home.project().canonicalize().expect("the project is there")
    }

    /// The home directory.
    pub(crate) fn home(&self) -> PathBuf {
        self.home.home()
    }

    /// What `CCC_STATE_DIR` is.
    pub(crate) fn state(&self) -> PathBuf {
        self.home().join("ccc-state")
    }

    /// Writes a file of the project.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        write(&self.project().join(name), text)
    }

    /// Agrees to all that the project's files ask for.
    #[track_caller]
    pub(crate) fn trust(&self) {
        let output = self.command("http://127.0.0.1:9", ["trust", "--yes"]).output().expect("ccc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Reads a file of the project.
    pub(crate) fn read(&self, name: &str) -> String {
        let path = self.project().join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Writes an executable script outside the project.
    pub(crate) fn script(&self, name: &str, body: &str) -> PathBuf {
        let path = write(&self.home().join("bin").join(name), &format!("#!/bin/sh\n{body}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("chmod");
        path
    }

    /// Writes settings of the real CLI for this user.
    pub(crate) fn user_settings(&self, settings: &Value) {
        write(&self.home().join(".claude/settings.json"), &settings.to_string());
    }

    /// Writes the user's configuration of ccc.
    pub(crate) fn user_config(&self, config: &Value) {
        write(&self.home().join("ccc-config/ccc.json"), &config.to_string());
    }

    /// A program that plays this script as the agent and as its critics; `--agent` takes it.
    pub(crate) fn scripted_agent(&self, script: &Value) -> PathBuf {
        let file = write(&self.home().join("script.json"), &script.to_string());
        let body = format!(
            "export CCC_SCRIPT='{}' CCC_SCRIPTED_HOME='{}'\nexec '{}' scripted-agent \"$@\"",
            file.display(),
            self.home().join("scripted").display(),
            crate::program::ccc(),
        );
        self.script("agent", &body)
    }

    /// A git command in the project.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=T", "-c", "user.email=t@example.invalid"])
            // Git would tidy up in the background, in a process that outlives the command.
            .args(["-c", "maintenance.auto=false", "-c", "gc.auto=0"])
            .args(args)
            .current_dir(self.project())
            .env("HOME", self.home())
            .output()
            .expect("git runs");
        assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// ccc with these arguments in the project, in an environment of its own.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, base_url: &str, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = self.at_home(base_url, crate::program::ccc());
        command.args(args);
        command
    }

    /// A line that ccc has printed, typed into a shell in which `ccc` is a command.
    pub(crate) fn typed(&self, base_url: &str, line: &str) -> Command {
        let mut shell = self.at_home(base_url, "/bin/sh");
        let bin = Path::new(crate::program::ccc()).parent().expect("a directory").to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let places = std::iter::once(bin).chain(std::env::split_paths(&path));
        shell.env("PATH", std::env::join_paths(places).expect("a PATH")).args(["-c", line]);
        shell
    }

    fn at_home(&self, base_url: &str, program: &str) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .envs(self.home.environment(base_url))
            .env("CCC_STATE_DIR", self.state())
            .env("CCC_CONFIG_DIR", self.home().join("ccc-config"))
            // What a critic that writes does is seen only without walls. The tests of the walls switch them on.
            .env("CCC_GUARD", std::env::var_os(GUARD).unwrap_or("off".into()))
            // Agents start whatever else this machine does.
            .envs(
                ["MIN_AVAILABLE_MEMORY", "MAX_MEMORY_PRESSURE", "MAX_CPU_PRESSURE"]
                    .map(|of| (format!("CCC_ADMISSION_{of}"), "0")),
            )
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.project())
            .stdin(Stdio::null());
        command
    }

    /// Starts ccc with these arguments, whatever they are.
    pub(crate) fn start<S: AsRef<OsStr>>(&self, base_url: &str, args: impl IntoIterator<Item = S>) -> Running<'_> {
        Running::spawn(self, &mut self.command(base_url, args))
    }

    /// Starts a supervised run of a real CLI that prints its events; what `args` has after `--` goes to the agent.
    pub(crate) fn supervise(&self, base_url: &str, agent: &Path, args: &[&str]) -> Running<'_> {
        let fixed = ["--supervisor", "--output-format", "stream-json", "--agent"];
        let all = fixed.iter().map(OsStr::new).chain([agent.as_os_str()]).chain(args.iter().map(OsStr::new));
        self.start(base_url, all)
    }

    /// The run directories, oldest first.
    pub(crate) fn runs(&self) -> Vec<PathBuf> {
        let Ok(entries) = fs::read_dir(self.state().join("runs")) else { return Vec::new() };
        let mut runs: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
        runs.sort();
        runs
    }

    /// Live processes whose environment names this home, except the one given.
    pub(crate) fn alive(&self, except: u32) -> Vec<(u32, String)> {
        let mark = format!("HOME={}\0", self.home().display());
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        entries
            .flatten()
            .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
            .filter(|&pid| pid != except && pid != std::process::id())
            .filter(|pid| {
                let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
                environ.windows(mark.len()).any(|part| part == mark.as_bytes())
            })
            .map(|pid| (pid, command_line(pid)))
            // The keeper belongs to no run, and outlives the last agent by a minute.
            .filter(|(pid, _)| self.keeper() != Some(*pid))
            .collect()
    }

    /// The keeper of the agents, if one works.
    pub(crate) fn keeper(&self) -> Option<u32> {
        ccc::keeper::holder(&self.state()).ok().flatten().map(|holder| holder.pid)
    }

    /// Asserts that a copy of the run without its texts is decided alike; the export itself compares them.
    fn assert_can_be_scrubbed(&self, run: &Path) {
        let copies = tempfile::tempdir().expect("a directory");
        let copy = copies.path().join("copy");
        let args =
            [OsStr::new("export"), run.as_os_str(), OsStr::new("--format"), OsStr::new("fixture"), OsStr::new("-o")];
        let output = self.command("http://127.0.0.1:9", args).arg(&copy).output().expect("ccc export runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{} cannot be scrubbed:\n{said}", run.display());
    }

    /// Asserts what holds after every run, however it ended.
    pub(crate) fn assert_sound(&self) {
        for run in self.runs() {
            let output = self
                .command("http://127.0.0.1:9", [OsStr::new("replay"), OsStr::new("--check"), run.as_os_str()])
                .output()
                .expect("ccc replay runs");
            assert!(
                output.status.success(),
                "{} is not replayed alike:\n{}{}",
                run.display(),
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            );
            self.assert_can_be_scrubbed(&run);
        }
        for file in files(&self.state()) {
            let bytes = fs::read(&file).unwrap_or_default();
            assert!(!holds_key(&bytes), "the key stands in {}", file.display());
        }
    }
}

/// Where set, what `CCC_GUARD` is for ccc: `CCC_TEST_GUARD=auto` runs all tests behind walls.
const GUARD: &str = "CCC_TEST_GUARD";

/// Where set, each run that a test recorded is copied into this directory, so that another build can replay it:
/// `CCC_KEEP_RUNS=DIR scripts/test tests night:: ownfaults::`, then `ccc replay --check DIR/*`.
const KEEP_RUNS: &str = "CCC_KEEP_RUNS";

impl Drop for Ground {
    /// A test that failed leaves processes: they are ended, each by its id.
    fn drop(&mut self) {
        for (pid, _) in self.alive(0) {
            send(pid, rustix::process::Signal::KILL);
        }
        let Some(kept) = std::env::var_os(KEEP_RUNS) else { return };
        for run in self.runs() {
            // Ids repeat between tests that run at the same time.
            let name = format!("{}-{}", run.file_name().unwrap_or_default().display(), std::process::id());
            let copied = Command::new("cp").arg("-a").arg(&run).arg(Path::new(&kept).join(name)).status();
            let kept = copied.is_ok_and(|status| status.success());
            assert!(kept || std::thread::panicking(), "{} was not kept", run.display());
        }
    }
}

/// A live ccc; dropping it kills it.
pub(crate) struct Running<'a> {
    ground: &'a Ground,
    child: Option<Child>,
    pid: u32,
    lines: Receiver<Heard>,
    stdout: String,
    stderr: String,
    streams: Vec<JoinHandle<()>>,
}

enum Heard {
    Out(String),
    Err(String),
}

impl<'a> Running<'a> {
    /// Spawns the command with its outputs read.
    pub(crate) fn spawn(ground: &'a Ground, command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ccc starts");
        let (sender, lines) = channel();
        let streams = vec![
            read_lines(child.stdout.take().expect("stdout"), sender.clone(), Heard::Out),
            read_lines(child.stderr.take().expect("stderr"), sender, Heard::Err),
        ];
        let pid = child.id();
        Self { ground, child: Some(child), pid, lines, stdout: String::new(), stderr: String::new(), streams }
    }

    /// ccc's process id.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends ccc a signal.
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        send(self.pid, signal);
    }

    /// Reads stdout until an event of `stream-json` passes, and returns it.
    pub(crate) fn until(&mut self, what: &str, pass: impl Fn(&Value) -> bool) -> Value {
        self.until_line(what, |heard| match heard {
            Heard::Out(line) => serde_json::from_str::<Value>(line).ok().filter(|event| pass(event)),
            Heard::Err(_) => None,
        })
    }

    /// Reads stderr until a line contains this.
    pub(crate) fn until_stderr(&mut self, part: &str) -> String {
        self.until_line(part, |heard| match heard {
            Heard::Err(line) if line.contains(part) => Some(line.clone()),
            Heard::Err(_) | Heard::Out(_) => None,
        })
    }

    fn until_line<T>(&mut self, what: &str, pass: impl Fn(&Heard) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(heard) => {
                    let found = pass(&heard);
                    self.keep(heard);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(error) => {
                    panic!("no {what} ({error})\n--- stdout\n{}\n--- stderr\n{}", self.stdout, self.stderr)
                }
            }
        }
    }

    fn keep(&mut self, heard: Heard) {
        let (to, line) = match heard {
            Heard::Out(line) => (&mut self.stdout, line),
            Heard::Err(line) => (&mut self.stderr, line),
        };
        to.push_str(&line);
        to.push('\n');
    }

    /// The process id of the agent (`role` "agent") or critic that was started last, once its start is journalled.
    pub(crate) fn child_pid(&self, role: &str) -> u32 {
        look_until(&format!("the start of the {role}"), || {
            let run = self.ground.runs().pop()?;
            let entries = journal(&run);
            let proc = entries.iter().rev().find_map(|entry| {
                let spawn = action(entry, "spawn")?;
                (spawn["role"] == role).then(|| spawn["proc"].clone())
            })?;
            entries.iter().find_map(|entry| {
                let spawned = input(entry, "spawned")?;
                (spawned["proc"] == proc).then(|| spawned["pid"].as_u64())?
            })
        }) as u32
    }

    /// Waits for the end, and asserts nothing.
    pub(crate) fn wait(mut self) -> Ended<'a> {
        let end = Instant::now() + DEADLINE;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(heard) => self.keep(heard),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!(
                    "ccc has not ended in {DEADLINE:?}\n--- stdout\n{}\n--- stderr\n{}\n--- processes\n{:#?}",
                    self.stdout,
                    self.stderr,
                    self.ground.alive(0)
                ),
            }
        }
        let status = self.child.take().expect("it is waited for once").wait().expect("ccc is our child");
        for stream in self.streams.drain(..) {
            stream.join().expect("a reader of ccc's output");
        }
        Ended {
            ground: self.ground,
            status,
            stdout: std::mem::take(&mut self.stdout),
            stderr: std::mem::take(&mut self.stderr),
        }
    }

    /// Waits for the end and asserts what must hold for every run.
    pub(crate) fn end(self) -> Ended<'a> {
        let pid = self.pid;
        let ended = self.wait();
        let left = ended.ground.alive(pid);
        assert!(left.is_empty(), "processes of the run are alive after its end: {left:#?}");
        assert!(!holds_key(ended.stdout.as_bytes()), "the key stands in stdout: {}", ended.stdout);
        assert!(!holds_key(ended.stderr.as_bytes()), "the key stands in stderr: {}", ended.stderr);
        ended.ground.assert_sound();
        ended
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

/// What is left of a ccc.
pub(crate) struct Ended<'a> {
    pub(crate) ground: &'a Ground,
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended<'_> {
    /// Asserts the exit code, and shows all output where it is another.
    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(
            self.status.code(),
            Some(code),
            "--- stdout\n{}\n--- stderr\n{}\n--- decisions\n{}",
            self.stdout,
            self.stderr,
            self.decisions().join("\n")
        );
    }

    /// stdout as `stream-json`.
    pub(crate) fn events(&self) -> Vec<Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line:?}"));
        self.stdout.lines().map(parse).collect()
    }

    /// The events of one type.
    pub(crate) fn of_type(&self, kind: &str) -> Vec<Value> {
        self.events().into_iter().filter(|event| event["type"] == kind).collect()
    }

    /// The object that `stream-json` ends with.
    pub(crate) fn result(&self) -> Value {
        self.events().pop().filter(|event| event["type"] == "result").expect("the last event is the result")
    }

    /// The outcome's reason.
    pub(crate) fn reason(&self) -> String {
        text(&self.result()["reason"])
    }

    /// The words of all verdicts, in order.
    pub(crate) fn verdicts(&self) -> Vec<String> {
        self.of_type("verdict").iter().map(|event| text(&event["verdict"])).collect()
    }

    /// The directory of the last run.
    pub(crate) fn run_dir(&self) -> PathBuf {
        self.ground.runs().pop().expect("there was a run")
    }

    /// The journal of the last run.
    pub(crate) fn journal(&self) -> Vec<Value> {
        self.ground.runs().pop().map(|run| journal(&run)).unwrap_or_default()
    }

    /// Every decision of the last run with its reason.
    pub(crate) fn decisions(&self) -> Vec<String> {
        let journal = self.journal();
        let decided = journal.iter().filter_map(|entry| action(entry, "decide"));
        decided.map(|decision| format!("{}: {}", text(&decision["what"]), text(&decision["why"]))).collect()
    }
}

/// A script of replies: the agent's in order, and the critics' in order.
pub(crate) fn script(agent: Vec<Reply>, critic: Vec<Reply>) -> Script {
    let rule = |when: When, reply: Reply| Rule { when, times: Times::Once, reply };
    let agent = agent.into_iter().map(|reply| rule(When::no_user_text(BRIEF), reply));
    let critic = critic.into_iter().map(|reply| rule(When::any_user_text(BRIEF), reply));
    agent.chain(critic).fold(Script::new(), Script::rule)
}

/// A verdict of the critic.
pub(crate) fn approval() -> Reply {
    Reply::text("I looked at the files.\n\n[TASK_COMPLETED]")
}

/// A Bash call.
pub(crate) fn bash(command: &str) -> Reply {
    Reply::tool("Bash", json!({"command": command, "description": "a step"}))
}

/// The installed CLI of this label; `None` where it is not installed, which was said loudly then.
pub(crate) fn cli(label: &str) -> Option<RealCli> {
    RealCli::all().into_iter().find(|cli| cli.label == label || (label == "current" && cli.label == "override"))
}

/// Looks until there is something, for things that nobody announces.
#[track_caller]
pub(crate) fn look_until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let (_never, silent) = channel::<()>();
    let end = Instant::now() + DEADLINE;
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        let _ = silent.recv_timeout(LOOK_AGAIN);
    }
    panic!("no {what} in {DEADLINE:?}");
}

/// The entries of a run's journal; what is being written at its end is left out.
pub(crate) fn journal(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("journal.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The content of this kind of action, if the journal's entry is one.
pub(crate) fn action<'v>(entry: &'v Value, kind: &str) -> Option<&'v Value> {
    entry.get("act")?.get(kind)
}

/// The content of this kind of input, if the journal's entry is one.
pub(crate) fn input<'v>(entry: &'v Value, kind: &str) -> Option<&'v Value> {
    entry.get("in")?.get(kind)
}

/// A string of JSON.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Whether a process is alive and no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit(')').next().and_then(|rest| rest.trim_start().chars().next());
    !matches!(state, Some('Z' | 'X') | None)
}

/// Sends a process a signal; one that is gone has had it.
pub(crate) fn send(pid: u32, signal: rustix::process::Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn holds_key(bytes: &[u8]) -> bool {
    let key = CleanHome::KEY.as_bytes();
    bytes.windows(key.len()).any(|part| part == key)
}

pub(crate) fn files(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else { return Vec::new() };
    entries
        .flatten()
        .flat_map(|entry| if entry.path().is_dir() { files(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

fn write(path: &Path, text: &str) -> PathBuf {
    fs::create_dir_all(path.parent().expect("a parent")).expect("mkdir");
    fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path.to_owned()
}

fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let line = String::from_utf8_lossy(&bytes).replace('\0', " ");
    line.chars().take(200).collect()
}

fn read_lines(stream: impl Read + Send + 'static, to: Sender<Heard>, heard: fn(String) -> Heard) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream);
        let mut bytes = Vec::new();
        while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
            let line = String::from_utf8_lossy(&bytes).trim_end_matches('\n').to_owned();
            if to.send(heard(line)).is_err() {
                return;
            }
            bytes.clear();
        }
    })
}
