//! A program that behaves as if it had been started directly: on a separate terminal with the modes of the user's terminal, or
//! with the descriptors of ccc.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use rustix::fs::{OFlags, fcntl_setfl};
use rustix::termios::{LocalModes, SpecialCodeIndex, Termios, Winsize, isatty, tcgetattr, tcsetwinsize};

use super::child::{Exit, abandon, thread_of};
use super::error::SpawnError;
use super::launch::{Order, Stdios, Watched, launch};
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
/// The byte that a terminal sends for Ctrl-Z.
pub const CTRL_Z: u8 = 0x1a;
/// The byte that a terminal sends for Ctrl-\.
pub const CTRL_BACKSLASH: u8 = 0x1c;

/// Receives the program's output and its end; see [`super::ChildSink`] for the rules of the calls.
pub trait InteractiveSink: Send + Clone + 'static {
    /// Output of the program to its terminal, in order. Never called without a separate terminal.
    fn output(&self, chunk: &[u8]);
    /// The program was stopped by this signal.
    fn stopped(&self, signal: i32);
    /// The program has ended, is reaped and swept. The last call, and there is always one.
    fn exited(&self, exit: Exit);
}

/// The properties of the terminal that is created for the program.
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

/// ccc's side of the program's terminal.
#[derive(Debug, Clone)]
pub struct InteractiveTerminal(pub(super) Arc<OwnedFd>);

impl InteractiveTerminal {
    /// Changes the size; the program gets SIGWINCH.
    pub fn resize(&self, size: Winsize) {
        // Fails only for a terminal that no longer exists.
        let _ = tcsetwinsize(&*self.0, size);
    }

    /// Types these keys, as far as the program's terminal accepts them now.
    pub fn type_in(&self, keys: &[u8]) {
        let _ = rustix::io::write(&*self.0, keys);
    }

    /// Whether Ctrl-C raises a signal in the program now, or is only a key.
    #[must_use]
    pub fn ctrl_c_is_a_signal(&self) -> bool {
        self.modes().is_some_and(|modes| {
            modes.local_modes.contains(LocalModes::ISIG) && modes.special_codes[SpecialCodeIndex::VINTR] == CTRL_C
        })
    }

    /// Whether the program reads whole lines. It does not while it draws a screen.
    #[must_use]
    pub fn reads_lines(&self) -> bool {
        self.modes().is_none_or(|modes| modes.local_modes.contains(LocalModes::ICANON))
    }

    /// The slave's modes. On Linux the master reports them; elsewhere they are unknown.
    fn modes(&self) -> Option<Termios> {
        tcgetattr(&*self.0).ok()
    }
}

impl InteractiveChild {
    /// The process id of the session's leader, which ends as the program does.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.registered.number()
    }

    /// ccc's side of the program's terminal, if it has a separate one.
    #[must_use]
    pub fn terminal(&self) -> Option<&InteractiveTerminal> {
        self.terminal.as_ref()
    }

    /// Sends a signal to the program and its process group, as a terminal does.
    pub fn signal(&self, signal: Signal) {
        registry::observe(&self.registered);
        let Some(program) = *lock(&self.program) else { return };
        // A pid that was reused by another process is not in the program's session. Without a process table this is not
        // checked.
        let gone = system::look_up(program).is_none_or(|process| process.session != self.registered.number());
        if system::HAS_TABLE && gone {
            return;
        }
        if let Some(group) = i32::try_from(program).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process_group(group, signal.raw());
        }
    }

    /// Stops the program and all its descendants, until [`InteractiveChild::resume`].
    pub fn hold(&self) {
        if !system::HAS_TABLE {
            self.signal(Signal::Stop);
        }
        let held = suspend::hold(&self.registered);
        lock(&self.held).absorb(held);
    }

    /// Continues what [`InteractiveChild::hold`] has stopped.
    pub fn resume(&self) {
        lock(&self.held).resume();
        if !system::HAS_TABLE {
            self.signal(Signal::Continue);
        }
    }

    /// Kills the program and all its descendants. Returns at once; see [`super::Child::kill_tree`].
    pub fn kill_tree(&self) {
        sweep::kill_tree(&self.registered);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts the program. With a likeness, a separate terminal replaces each of ccc's three descriptors that is a terminal; the
/// other descriptors, or all without a likeness, are inherited.
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
    let stream = |ours: BorrowedFd<'_>, is_terminal: bool| match &pair {
        Some(pair) if is_terminal => pair.slave.try_clone(),
        Some(_) | None => ours.try_clone_to_owned(),
    };
    let (stdin, stderr) = (rustix::stdio::stdin(), rustix::stdio::stderr());
    let stdios = Stdios {
        stdin: stream(stdin, isatty(stdin)).map_err(no_descriptors)?,
        // This descriptor makes the terminal the session's controlling one.
        stdout: stream(rustix::stdio::stdout(), true).map_err(no_descriptors)?,
        stderr: stream(stderr, isatty(stderr)).map_err(no_descriptors)?,
        controlling: pair.is_some(),
        reports: Some(reports_write.into()),
        watched: Watched::Not,
        marks: pair.iter().map(|pair| pair.name.clone().into_os_string()).collect(),
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
    let registered = launch(&order, stdios)?;
    let terminal = pair.map(|pair| InteractiveTerminal(Arc::new(pair.master)));
    let program = Arc::new(Mutex::new(None));
    let reports: OwnedFd = reports.into();
    // Wait for the first report, which names the pid, so that no signal is sent before the pid is known.
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
        // The thread that writes keys to it must never wait for the program.
        fcntl_setfl(&*terminal.0, OFlags::NONBLOCK)?;
    }
    // As with a child, the end is reported last, but its thread is started first.
    let (hand_over, handles) = std::sync::mpsc::sync_channel::<Vec<JoinHandle<()>>>(1);
    {
        let (registered, ended, sink) = (registered.clone(), Arc::clone(&ended), sink.clone());
        // The master stays open until the program is reaped: closing it would send the program SIGHUP.
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
            sink.exited(Exit::new(status, swept));
        })?;
    }
    let mut handles = Vec::with_capacity(2);
    if let Some(terminal) = terminal {
        let (terminal, ended, sink) = (terminal.clone(), Arc::clone(&ended), sink.clone());
        handles.push(thread_of("terminal of", registered, move || {
            pump(terminal.0.as_fd(), &ended, STDOUT_BUFFER_BYTES, &mut Output(&sink));
        })?);
    }
    handles.push(thread_of("job of", registered, move || {
        // The loop ends with the monitor, which alone holds the other end.
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
