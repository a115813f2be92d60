//! Runs a command to its end: the user's checks, and other short programs.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fmt;
use std::io::{self, PipeReader, PipeWriter, Write as _};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::PollFlags;
use rustix::fs::{Mode, OFlags, fcntl_setfl, open};
use rustix::io::Errno;

use super::child::{Exit, abandon, pipe_mark, thread_of};
use super::error::SpawnError;
use super::launch::{Order, Stdios, Watched, launch};
use super::output::DRAIN_LIMIT_BYTES;
use super::registry::{self, Registered};
use super::signal::Signal;
use super::spec::{Cookie, Names};
use super::sweep;
use super::system::{self, Walls};
use super::wake::{Wake, now, poll};

/// The default grace period from SIGTERM to SIGKILL, in milliseconds.
const GRACE_MS: u64 = 5_000;
/// How long to wait for a killed command, in milliseconds. After that a command that is stuck in the kernel is reported as
/// leaked.
const KILL_WAIT_MS: u64 = 5_000;
/// The default amount of output that is kept, from its end, in bytes.
const OUTPUT_TAIL_LIMIT_BYTES: usize = 64 * 1024;
/// The default timeout of a command, in milliseconds.
const TIMEOUT_MS: u64 = 15 * 60 * 1000;
/// Size of the buffer for a command's output, in bytes.
const BUFFER_BYTES: usize = 16 * 1024;

/// Stack of the thread that writes a command's input.
const INPUT_STACK_BYTES: usize = 128 * 1024;

/// Where a command's stderr goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandErrors {
    /// Into the same stream as stdout, in the order of writing.
    WithOutput,
    /// Into a separate stream, whose end is kept.
    Apart {
        /// In bytes.
        tail_limit_bytes: usize,
    },
}

/// What is ended at once when ccc itself is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedWithCcc {
    /// The command and all its descendants, by a process of its own that watches over them.
    Tree,
    /// The command alone, by a SIGTERM that Linux sends, at which it may tidy up. It saves a fork, for a program that does not ignore
    /// the signal and starts no others, or only such as end by themselves when it has ended. Another system sends no signal.
    Command,
    /// Nothing: a command that takes a moment, and leaves half of a change when it is killed.
    Nothing,
}

/// A command with a timeout. Its stdin is empty by default, stdout and stderr are one stream by default, and it has its own session
/// without a terminal.
#[derive(Clone, PartialEq, Eq)]
pub struct CommandSpec {
    /// See [`super::ChildSpec::program`].
    pub program: PathBuf,
    /// Arguments without the program's own name.
    pub args: Vec<OsString>,
    /// The whole environment except for the cookies.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// What it reads from stdin. A command that does not read it is not hindered.
    pub input: Vec<u8>,
    /// From the start to SIGTERM. The time in which the machine sleeps does not count.
    pub timeout: Duration,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// How much of the output is kept, from its end, in bytes.
    pub output_tail_limit_bytes: usize,
    /// Where its stderr goes.
    pub errors: CommandErrors,
    /// Marks the command and all its descendants.
    pub cookie: Cookie,
    /// The walls around it, if there are any.
    pub walls: Option<Arc<Walls>>,
    /// What is ended when ccc is killed.
    pub ended_with_ccc: EndedWithCcc,
}

impl CommandSpec {
    /// A line for `/bin/sh -c`, with an empty environment, a timeout of 15 minutes, 5 s of grace and the last 64 KiB of output.
    pub fn shell(line: &str, cwd: PathBuf) -> Self {
        Self {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), line.into()],
            env: Vec::new(),
            cwd,
            input: Vec::new(),
            timeout: Duration::from_millis(TIMEOUT_MS),
            grace: Duration::from_millis(GRACE_MS),
            output_tail_limit_bytes: OUTPUT_TAIL_LIMIT_BYTES,
            errors: CommandErrors::WithOutput,
            cookie: Cookie { run_id: String::new(), attempt: 0 },
            walls: None,
            ended_with_ccc: EndedWithCcc::Tree,
        }
    }
}

impl fmt::Debug for CommandSpec {
    /// The environment's values are left out, because they hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &Names(&self.env))
            .field("cwd", &self.cwd)
            .field("input_bytes", &self.input.len())
            .field("timeout", &self.timeout)
            .field("grace", &self.grace)
            .field("output_tail_limit_bytes", &self.output_tail_limit_bytes)
            .field("errors", &self.errors)
            .field("cookie", &self.cookie)
            .field("walls", &self.walls)
            .field("ended_with_ccc", &self.ended_with_ccc)
            .finish()
    }
}

/// Why a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandEnding {
    /// By itself.
    Exited,
    /// It ran longer than [`CommandSpec::timeout`] and was ended.
    TimedOut,
    /// [`Cancel::cancel`] was called and it was ended.
    Cancelled,
}

/// The result of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandResult {
    /// Code or signal, and how many processes were left. Both are `None` only if not even SIGKILL ended the process.
    pub exit: Exit,
    /// Why it ended.
    pub ending: CommandEnding,
    /// From the start to the end of the sweep, in milliseconds.
    pub duration_ms: u64,
    /// The end of stdout, and of stderr unless that is a separate stream, in the order of writing.
    pub tail: Vec<u8>,
    /// How many bytes came before `tail`.
    pub truncated_bytes: u64,
    /// The end of stderr if it is a separate stream.
    pub errors: Vec<u8>,
}

/// Ends commands from another thread. One value may serve many commands; clones share its state.
#[derive(Debug, Clone)]
pub struct Cancel {
    shared: Arc<Orders>,
}

/// The orders to the commands of one [`Cancel`]. The pipes are never drained, so that every command sees an order.
#[derive(Debug)]
struct Orders {
    told: AtomicBool,
    end: Wake,
    kill: Wake,
}

impl Cancel {
    /// A value without orders.
    ///
    /// # Errors
    /// When the process has no descriptors left.
    pub fn new() -> io::Result<Self> {
        let orders = Orders { told: AtomicBool::new(false), end: Wake::new()?, kill: Wake::new()? };
        Ok(Self { shared: Arc::new(orders) })
    }

    /// Ends all commands with this value, with their grace period. Commands started later end at once as well.
    pub fn cancel(&self) {
        self.shared.told.store(true, Ordering::Release);
        self.shared.end.wake();
    }

    /// Kills all commands with this value, without grace. Commands started later are killed at once as well.
    pub fn kill(&self) {
        self.cancel();
        self.shared.kill.wake();
    }

    /// Whether [`Cancel::cancel`] or [`Cancel::kill`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.shared.told.load(Ordering::Acquire)
    }
}

/// Runs a command and returns when it and all its descendants have ended. Blocks, so call it on a separate thread.
///
/// # Errors
/// See [`SpawnError`]; never [`SpawnError::NoPty`].
pub fn run_command(spec: &CommandSpec, cancel: &Cancel) -> Result<CommandResult, SpawnError> {
    let failed = |error: io::Error| SpawnError::of(&spec.program, &error);
    let (mut output, write) = TailStream::new(spec.output_tail_limit_bytes).map_err(failed)?;
    let (mut errors, again) = match spec.errors {
        CommandErrors::WithOutput => (None, write.try_clone().map_err(failed)?),
        CommandErrors::Apart { tail_limit_bytes } => {
            let (errors, write) = TailStream::new(tail_limit_bytes).map_err(failed)?;
            (Some(errors), write)
        }
    };
    let order = Order {
        inside: None,
        program: &spec.program,
        args: &spec.args,
        env: &spec.env,
        cwd: &spec.cwd,
        cookie: &spec.cookie,
        walls: spec.walls.as_deref(),
    };
    let (stdin, input) = stdin(&spec.input).map_err(failed)?;
    let stdios = Stdios {
        stdin,
        marks: pipe_mark(&write).into_iter().chain(errors.as_ref().and_then(|_| pipe_mark(&again))).collect(),
        stdout: write.into(),
        stderr: again.into(),
        controlling: false,
        reports: None,
        watched: match spec.ended_with_ccc {
            EndedWithCcc::Tree => Watched::ByKeeper,
            EndedWithCcc::Command => Watched::ByKernel,
            EndedWithCcc::Nothing => Watched::BeforeItBegins,
        },
    };
    let started = now();
    let registered = launch(&order, stdios)?;
    if let Some(write) = input {
        give(write, spec.input.clone());
    }
    let end = match End::of(&registered) {
        Ok(end) => end,
        Err(error) => {
            abandon(&registered);
            return Err(failed(error));
        }
    };
    let mut watch = Watch {
        registered: &registered,
        grace: spec.grace,
        stage: Stage::Running(started.checked_add(spec.timeout)),
        ending: CommandEnding::Exited,
        paused: registry::paused(),
    };
    let over = watch.until_over(&mut output, errors.as_mut(), end.fd(), cancel);
    let exit = match over {
        Over::Exited => {
            let swept = sweep::sweep_child(&registered);
            output.drain();
            if let Some(errors) = &mut errors {
                errors.drain();
            }
            let status = end.status(&registered);
            registry::reap(&registered);
            Exit::new(status, swept)
        }
        Over::Unkillable => {
            let mut swept = sweep::sweep_child(&registered);
            swept.leaked += 1;
            // If it ends later, it is reaped as an orphan.
            registry::lock().forget(&registered.spawn_id);
            Exit::new(registry::Ended::default(), swept)
        }
    };
    let elapsed = now().duration_since(started).as_millis();
    Ok(CommandResult {
        exit,
        ending: watch.ending,
        duration_ms: u64::try_from(elapsed).unwrap_or(u64::MAX),
        truncated_bytes: output.truncated_bytes,
        tail: output.tail.into(),
        errors: errors.map(|errors| errors.tail.into()).unwrap_or_default(),
    })
}

/// The stdin for this input, and the end to which the input is written.
fn stdin(input: &[u8]) -> io::Result<(OwnedFd, Option<PipeWriter>)> {
    if input.is_empty() {
        return Ok((open("/dev/null", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?, None));
    }
    let (read, write) = io::pipe()?;
    Ok((read.into(), Some(write)))
}

/// Writes the input in a thread of its own: a command that does not read it fills the pipe, and ends the thread by its own end.
/// Without a thread the command reads nothing.
fn give(mut write: PipeWriter, input: Vec<u8>) {
    let body = move || drop(write.write_all(&input));
    let _ = std::thread::Builder::new().name("input".to_owned()).stack_size(INPUT_STACK_BYTES).spawn(body);
}

/// A descriptor that becomes readable when the command has exited.
enum End {
    /// The system's own.
    Pidfd(OwnedFd),
    /// On a system without one a thread waits.
    Thread { ended: Arc<Wake>, waiter: JoinHandle<registry::Ended> },
}

impl End {
    fn of(registered: &Registered) -> io::Result<Self> {
        // The command is unreaped, so its pid is still its own.
        if let Ok(Some(pidfd)) = system::open_pidfd(registered.pid) {
            return Ok(Self::Pidfd(pidfd));
        }
        let ended = Arc::new(Wake::new()?);
        let (waited_for, wake) = (registered.clone(), Arc::clone(&ended));
        let waiter = thread_of("end of", registered, move || {
            let status = registry::wait_unreaped(&waited_for);
            wake.wake();
            status
        })?;
        Ok(Self::Thread { ended, waiter })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Pidfd(pidfd) => pidfd.as_fd(),
            Self::Thread { ended, .. } => ended.fd(),
        }
    }

    /// How the command has exited.
    fn status(self, registered: &Registered) -> registry::Ended {
        match self {
            Self::Pidfd(_) => registry::wait_unreaped(registered),
            Self::Thread { waiter, .. } => waiter.join().unwrap_or_default(),
        }
    }
}

enum Over {
    Exited,
    Unkillable,
}

/// The stage of ending a command, with its deadline; `None` for a deadline beyond the range of the clock.
#[derive(Clone, Copy)]
enum Stage {
    Running(Option<Instant>),
    Asked(Option<Instant>),
    Killed(Option<Instant>),
}

impl Stage {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::Running(at) | Self::Asked(at) | Self::Killed(at) => at,
        }
    }

    fn may_be_killed(self) -> bool {
        match self {
            Self::Running(_) | Self::Asked(_) => true,
            Self::Killed(_) => false,
        }
    }

    /// The same stage with a later deadline.
    fn later(self, by: Duration) -> Self {
        let later = |at: Option<Instant>| at.and_then(|at| at.checked_add(by));
        match self {
            Self::Running(at) => Self::Running(later(at)),
            Self::Asked(at) => Self::Asked(later(at)),
            Self::Killed(at) => Self::Killed(later(at)),
        }
    }
}

struct Watch<'a> {
    registered: &'a Registered,
    grace: Duration,
    stage: Stage,
    ending: CommandEnding,
    /// How much of the time in which all children were stopped has been added to the deadline.
    paused: Duration,
}

impl Watch<'_> {
    /// Reads the output until the command has exited, and ends the command at its deadlines.
    fn until_over(
        &mut self,
        output: &mut TailStream,
        mut errors: Option<&mut TailStream>,
        ended: BorrowedFd<'_>,
        cancel: &Cancel,
    ) -> Over {
        loop {
            let left = self.stage.deadline().map(|at| at.saturating_duration_since(now()));
            let running = matches!(self.stage, Stage::Running(_));
            let wanted = [
                Some((ended, PollFlags::IN)),
                output.wanted(),
                errors.as_deref().and_then(TailStream::wanted),
                running.then(|| (cancel.shared.end.fd(), PollFlags::IN)),
                self.stage.may_be_killed().then(|| (cancel.shared.kill.fd(), PollFlags::IN)),
            ];
            let Ok([exited, output_readable, errors_readable, cancelled, killed]) = poll(wanted, left) else {
                return Over::Unkillable;
            };
            if exited {
                return Over::Exited;
            }
            let paused = registry::paused();
            self.stage = self.stage.later(paused.saturating_sub(self.paused));
            self.paused = paused;
            if output_readable {
                output.read();
            }
            if let Some(errors) = errors.as_deref_mut().filter(|_| errors_readable) {
                errors.read();
            }
            if killed {
                if running {
                    self.ending = CommandEnding::Cancelled;
                }
                self.kill();
            } else if cancelled {
                self.ask(CommandEnding::Cancelled);
            } else if self.stage.deadline().is_some_and(|at| now() >= at) {
                match self.stage {
                    Stage::Running(_) => self.ask(CommandEnding::TimedOut),
                    Stage::Asked(_) => self.kill(),
                    Stage::Killed(_) => return Over::Unkillable,
                }
            }
        }
    }

    fn ask(&mut self, ending: CommandEnding) {
        self.ending = ending;
        self.stage = Stage::Asked(now().checked_add(self.grace));
        registry::signal(self.registered, Signal::Terminate, true);
    }

    fn kill(&mut self) {
        sweep::kill_tree(self.registered);
        self.stage = Stage::Killed(now().checked_add(Duration::from_millis(KILL_WAIT_MS)));
    }
}

/// A stream of the command, and its last bytes.
struct TailStream {
    pipe: PipeReader,
    open: bool,
    tail: VecDeque<u8>,
    limit_bytes: usize,
    truncated_bytes: u64,
    buffer: Vec<u8>,
}

impl TailStream {
    /// A stream, and the end that the command writes to.
    fn new(limit_bytes: usize) -> io::Result<(Self, PipeWriter)> {
        let (pipe, write) = io::pipe()?;
        fcntl_setfl(&pipe, OFlags::NONBLOCK)?;
        let heard = Self {
            pipe,
            open: true,
            tail: VecDeque::new(),
            limit_bytes,
            truncated_bytes: 0,
            buffer: Vec::with_capacity(BUFFER_BYTES),
        };
        Ok((heard, write))
    }

    fn wanted(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.open.then(|| (self.pipe.as_fd(), PollFlags::IN))
    }

    /// Reads once; zero when nothing is available or the stream has ended.
    fn read(&mut self) -> usize {
        self.buffer.clear();
        match rustix::io::read(&self.pipe, spare_capacity(&mut self.buffer)) {
            Ok(count) if count > 0 => {
                self.tail.extend(&self.buffer);
                let surplus = self.tail.len().saturating_sub(self.limit_bytes);
                self.tail.drain(..surplus);
                self.truncated_bytes += surplus as u64;
                count
            }
            Err(Errno::INTR | Errno::AGAIN) => 0,
            Ok(_) | Err(_) => {
                self.open = false;
                0
            }
        }
    }

    /// Reads the buffered bytes, without waiting for a process that still holds the pipe.
    fn drain(&mut self) {
        let mut drained_bytes = 0;
        while self.open && drained_bytes < DRAIN_LIMIT_BYTES {
            match self.read() {
                0 => return,
                count => drained_bytes += count,
            }
        }
    }
}
