//! A program that behaves as if it had been started directly: on its own terminal with the modes of the user's, or with the
//! descriptors that ccc was given.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcsetwinsize};

use super::child::{Exit, abandon, thread_of};
use super::error::SpawnError;
use super::launch::{Order, Stdios, launch};
use super::monitor::Report;
use super::output::{Reader, STDOUT_BUFFER_BYTES, pump};
use super::pty::{Ptys, open_like};
use super::registry::{self, Registered};
use super::signal::Signal;
use super::spec::InteractiveSpec;
use super::suspend::{self, Held};
use super::wake::Wake;
use super::{sweep, system};

/// The byte that a terminal sends for Ctrl-C.
pub const CTRL_C: u8 = 0x03;

/// Where the program's words and end go; see [`super::ChildSink`] for what holds of the calls.
pub trait InteractiveSink: Send + Clone + 'static {
    /// What the program wrote to its terminal, in order. Never called without a terminal of its own.
    fn output(&self, chunk: &[u8]);
    /// The program was stopped by this signal.
    fn stopped(&self, signal: i32);
    /// The program has ended, is reaped and swept. The last call, and there is always one.
    fn exited(&self, exit: Exit);
}

/// How a terminal that is made for the program looks.
#[derive(Debug, Clone)]
pub struct Likeness {
    /// Its modes.
    pub modes: Termios,
    /// Its size.
    pub size: Winsize,
}

/// A running program. Dropping it neither kills nor forgets it.
#[derive(Debug)]
pub struct InteractiveChild {
    registered: Registered,
    terminal: Option<InteractiveTerminal>,
    /// The program's process id, below the monitor that is our child.
    program: Arc<Mutex<Option<u32>>>,
    held: Mutex<Held>,
}

/// Our side of the program's terminal.
#[derive(Debug, Clone)]
pub struct InteractiveTerminal(pub(super) Arc<OwnedFd>);

impl InteractiveTerminal {
    /// Gives it another size; the program hears of it by SIGWINCH.
    pub fn resize(&self, size: Winsize) {
        // Fails for a terminal that is gone only.
        let _ = tcsetwinsize(&*self.0, size);
    }

    /// Whether Ctrl-C is a signal to the program now, and not just a key.
    #[must_use]
    pub fn ctrl_c_is_a_signal(&self) -> bool {
        self.modes().is_some_and(|modes| {
            modes.local_modes.contains(LocalModes::ISIG) && modes.special_codes[SpecialCodeIndex::VINTR] == CTRL_C
        })
    }

    /// Whether the program reads lines, which it does not while it paints a screen.
    #[must_use]
    pub fn reads_lines(&self) -> bool {
        self.modes().is_none_or(|modes| modes.local_modes.contains(LocalModes::ICANON))
    }

    /// On Linux a master tells its slave's modes; elsewhere nothing is known.
    fn modes(&self) -> Option<Termios> {
        tcgetattr(&*self.0).ok()
    }
}

impl InteractiveChild {
    /// Its process id: that of the session's leader, which ends as the program does.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.registered.number()
    }

    /// Our side of its terminal, when it has one of its own.
    #[must_use]
    pub fn terminal(&self) -> Option<&InteractiveTerminal> {
        self.terminal.as_ref()
    }

    /// Sends a signal to the program and its process group, as a terminal does.
    pub fn signal(&self, signal: Signal) {
        registry::observe(&self.registered);
        let Some(program) = *lock(&self.program) else { return };
        // A pid that is another's now is not in the program's session. Without a process table it is not asked.
        let gone = system::look_up(program).is_none_or(|process| process.session != self.registered.number());
        if system::HAS_TABLE && gone {
            return;
        }
        if let Some(group) = i32::try_from(program).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, signal.raw());
        }
    }

    /// Makes the program and all that it has started stand still, until [`InteractiveChild::let_go`].
    pub fn hold(&self) {
        if !system::HAS_TABLE {
            self.signal(Signal::Stop);
        }
        let held = suspend::hold(&self.registered);
        lock(&self.held).absorb(held);
    }

    /// Lets go on what [`InteractiveChild::hold`] has stopped.
    pub fn let_go(&self) {
        lock(&self.held).let_go();
        if !system::HAS_TABLE {
            self.signal(Signal::Continue);
        }
    }

    /// Kills the program and everything below it. Returns at once; see [`super::Child::kill_tree`].
    pub fn kill_tree(&self) {
        sweep::kill_tree(&self.registered);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the program. With a likeness it gets a terminal of its own in place of each of our three descriptors that is a
/// terminal, and ours for the others; without one it gets ours.
///
/// # Errors
/// See [`SpawnError`]. Nothing is running then, and the sink is not called.
pub fn spawn_interactive(
    spec: &InteractiveSpec,
    likeness: Option<&Likeness>,
    sink: impl InteractiveSink,
    ptys: &dyn Ptys,
) -> Result<InteractiveChild, SpawnError> {
    let no_descriptors = |error: io::Error| SpawnError::of(&spec.program, &error);
    let (reports, reports_write) = io::pipe().map_err(no_descriptors)?;
    let ended = Wake::new().map_err(no_descriptors)?;
    let pair = likeness.map(|likeness| open_like(ptys, &likeness.modes, likeness.size)).transpose()?;
    let stream = |ours_is_terminal: bool| match &pair {
        Some(pair) if ours_is_terminal => pair.slave.try_clone().map(Stdio::from),
        Some(_) | None => Ok(Stdio::inherit()),
    };
    let stdios = Stdios {
        stdin: stream(isatty(rustix::stdio::stdin())).map_err(no_descriptors)?,
        // By this one the terminal becomes the session's.
        stdout: stream(true).map_err(no_descriptors)?,
        stderr: stream(isatty(rustix::stdio::stderr())).map_err(no_descriptors)?,
        controlling: pair.is_some(),
        reports: Some(reports_write.into()),
        kept: false,
        marks: pair.iter().map(|pair| pair.name.clone().into_os_string()).collect(),
    };
    let order =
        Order { program: &spec.program, args: &spec.args, env: &spec.env, cwd: &spec.cwd, cookie: &spec.cookie };
    let registered = launch(&order, stdios)?;
    let terminal = pair.map(|pair| InteractiveTerminal(Arc::new(pair.master)));
    let program = Arc::new(Mutex::new(None));
    let reports: OwnedFd = reports.into();
    // The first report is there before the program executes, or a moment later: nobody shall signal it before we know it.
    if let Some(Report::Started(pid)) = Report::read(&reports) {
        *lock(&program) = Some(pid);
    }
    match start_threads(&registered, terminal.as_ref(), reports, ended, sink) {
        Ok(()) => Ok(InteractiveChild { registered, terminal, program, held: Mutex::default() }),
        Err(error) => {
            abandon(&registered);
            Err(no_descriptors(error))
        }
    }
}

fn start_threads(
    registered: &Registered,
    terminal: Option<&InteractiveTerminal>,
    reports: OwnedFd,
    ended: Wake,
    sink: impl InteractiveSink,
) -> io::Result<()> {
    let ended = Arc::new(ended);
    if let Some(terminal) = terminal {
        // Keys are written to it by a thread that must never wait for the program.
        fcntl_setfl(&*terminal.0, OFlags::NONBLOCK)?;
    }
    // As with a child: the end is heard last, but its thread is started first.
    let (hand_over, handles) = std::sync::mpsc::sync_channel::<Vec<JoinHandle<()>>>(1);
    {
        let (registered, ended, sink) = (registered.clone(), Arc::clone(&ended), sink.clone());
        // The master stays open until the program is reaped: closing it would hang the program up.
        let terminal = terminal.cloned();
        thread_of("end of", &registered.clone(), move || {
            let Ok(handles) = handles.recv() else { return };
            let status = registry::wait_unreaped(&registered);
            let swept = sweep::sweep_child(&registered);
            ended.wake();
            for handle in handles {
                let _ = handle.join();
            }
            registry::reap(&registered);
            drop(terminal);
            sink.exited(Exit::new(status.as_ref(), swept));
        })?;
    }
    let mut handles = Vec::with_capacity(2);
    if let Some(terminal) = terminal {
        let (terminal, ended, sink) = (terminal.clone(), Arc::clone(&ended), sink.clone());
        handles.push(thread_of("terminal of", registered, move || {
            let mut buffer = vec![0; STDOUT_BUFFER_BYTES];
            pump(terminal.0.as_fd(), &ended, &mut buffer, &mut Output(&sink));
        })?);
    }
    handles.push(thread_of("job of", registered, move || {
        // Ends with the monitor, which alone has the other end.
        while let Some(report) = Report::read(&reports) {
            match report {
                Report::Stopped(signal) => sink.stopped(signal),
                Report::Started(_) => {}
            }
        }
    })?);
    hand_over.send(handles).map_err(|_| io::Error::from_raw_os_error(rustix::io::Errno::CHILD.raw_os_error()))
}

struct Output<'a, S>(&'a S);

impl<S: InteractiveSink> Reader for Output<'_, S> {
    fn chunk(&mut self, bytes: &[u8]) {
        self.0.output(bytes);
    }
}
