//! A child of ccc: an agent or a critic, with its threads.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::Signal as RawSignal;

use super::error::{SpawnError, StdinError};
use super::input::Input;
use super::launch::{Order, Stdios, Watched, launch};
use super::leftovers::LeftRunning;
use super::output::{Reader, STDERR_BUFFER_BYTES, STDOUT_BUFFER_BYTES, pump};
use super::pty::{Ptys, SystemPtys};
use super::registry::{self, Ended, Registered};
use super::scope::{Inside, Limited, Scope};
use super::signal::Signal;
use super::spec::{ChildSpec, Transport};
use super::wake::{Wake, now};
use super::{pty, sweep, system};

/// Stack of each of a child's threads, in bytes. They read into the heap and call the sink.
pub(super) const STACK_BYTES: usize = 256 * 1024;
/// The shortest time between two scans of a child's descendants while the child writes, in milliseconds.
const OBSERVE_INTERVAL_MS: u64 = 250;

/// Receives a child's output and its end. The methods are called from this module's threads, one clone of the sink per thread,
/// so calls for different streams may overlap. They must return soon, because the child blocks meanwhile.
pub trait ChildSink: Send + Clone + 'static {
    /// Bytes of stdout, in order, at most 64 KiB at once.
    fn stdout(&self, chunk: &[u8]);
    /// stdout has ended. Called once, before [`ChildSink::exited`].
    fn stdout_closed(&self);
    /// Bytes of stderr, in order.
    fn stderr(&self, chunk: &[u8]);
    /// Bytes that [`Child::write`] had accepted did not reach the child. Called at most once, before [`ChildSink::exited`].
    fn stdin_error(&self, error: StdinError);
    /// The child has ended, is reaped and swept. The last call, and there is always one.
    fn exited(&self, exit: Exit);
}

/// How a child ended, and how many processes it left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exit {
    /// The exit code, if it ended by itself.
    pub code: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Descendants that outlived it and were killed.
    pub swept: u32,
    /// Descendants that could not be killed within the limits and still live.
    pub leaked: u32,
    /// The system killed it because the memory of its control group was used up.
    pub out_of_memory: bool,
}

impl Exit {
    pub(super) fn new(ended: Ended, swept: sweep::Swept) -> Self {
        Self { code: ended.code, signal: ended.signal, swept: swept.killed, leaked: swept.leaked, out_of_memory: false }
    }
}

/// A view of the processes that a child has started.
#[derive(Debug, Clone)]
pub struct Below(Registered);

impl Below {
    /// The processes that the child has left running; none when it has ended.
    #[must_use]
    pub fn left_running(&self) -> LeftRunning {
        LeftRunning::of(&self.0.spawn_id)
    }
}

/// A running child. Dropping it closes stdin after the queued bytes, but neither kills nor forgets the child: the sink still
/// gets its end.
#[derive(Debug)]
pub struct Child {
    registered: Registered,
    input: Arc<Input>,
}

impl Child {
    /// The process id. Valid until the sink's `exited`.
    pub fn pid(&self) -> u32 {
        self.registered.number()
    }

    /// Queues bytes for stdin and returns at once. [`ChildSink::stdin_error`] reports a later loss.
    ///
    /// # Errors
    /// [`StdinError::QueueFull`] when the child does not read; [`StdinError::Closed`] after [`Child::close_stdin`], a write
    /// error, or the child's end.
    pub fn write(&self, bytes: Vec<u8>) -> Result<(), StdinError> {
        self.input.push(bytes, None)
    }

    /// As [`Child::write`], but the writer thread calls `wait` before the first byte. Later writes wait as well; the caller
    /// does not. `wait` must return within seconds.
    ///
    /// # Errors
    /// As [`Child::write`].
    pub fn write_after(&self, bytes: Vec<u8>, wait: impl FnOnce() + Send + 'static) -> Result<(), StdinError> {
        self.input.push(bytes, Some(Box::new(wait)))
    }

    /// Closes stdin after the queued bytes. For most children this is the request to end, so their descendants are recorded
    /// first.
    pub fn close_stdin(&self) {
        self.observe();
        self.input.close();
    }

    /// Sends a signal to the process, after recording its descendants. Does nothing once the child is reaped.
    pub fn signal(&self, signal: Signal) {
        registry::signal(&self.registered, signal, false);
    }

    /// Sends a signal to the process group, after recording the child's descendants. Does nothing once the child is reaped.
    pub fn signal_group(&self, signal: Signal) {
        registry::signal(&self.registered, signal, true);
    }

    /// A view of the child's descendants, usable from another thread.
    #[must_use]
    pub fn below(&self) -> Below {
        Below(self.registered.clone())
    }

    /// Kills the process, its group and all descendants. Returns at once; the sink's `exited` reports that nothing is left. A
    /// process that is stuck in the kernel cannot be killed and delays `exited` without limit, so the caller needs its own
    /// deadline.
    pub fn kill_tree(&self) {
        sweep::kill_tree(&self.registered);
    }

    /// Records the child's present descendants for the sweep at its end. This happens automatically while the child writes and
    /// before every request to end; call it when the child is about to end by itself.
    pub fn observe(&self) {
        registry::observe(&self.registered);
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.input.close();
    }
}

/// Starts a child.
///
/// # Errors
/// See [`SpawnError`]. Nothing is running then, and the sink is not called.
pub fn spawn(spec: &ChildSpec, sink: impl ChildSink) -> Result<Child, SpawnError> {
    spawn_on(spec, sink, &SystemPtys)
}

/// Starts a child, on a pipe if no PTY is available. The second value is then the reason, which the user must be told.
///
/// # Errors
/// See [`SpawnError`]; never [`SpawnError::NoPty`].
pub fn spawn_or_pipe(
    spec: &ChildSpec,
    sink: impl ChildSink,
    ptys: &dyn Ptys,
) -> Result<(Child, Option<SpawnError>), SpawnError> {
    match spawn_on(spec, sink.clone(), ptys) {
        Err(no_pty @ SpawnError::NoPty { .. }) => {
            let piped = ChildSpec { transport: Transport::Pipe, ..spec.clone() };
            Ok((spawn_on(&piped, sink, ptys)?, Some(no_pty)))
        }
        other => Ok((other?, None)),
    }
}

/// Starts a child on a PTY of the given system.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_on(spec: &ChildSpec, sink: impl ChildSink, ptys: &dyn Ptys) -> Result<Child, SpawnError> {
    let no_descriptors = |error: io::Error| SpawnError::of(&spec.program, &error);
    let (stdin_read, stdin_write) = io::pipe().map_err(no_descriptors)?;
    let (stderr_read, stderr_write) = io::pipe().map_err(no_descriptors)?;
    let mut marks = vec![pipe_mark(&stderr_write)];
    let stdout: OwnedFd;
    let child_stdout: OwnedFd;
    let controlling = match spec.transport {
        Transport::Pty { cols, rows } => {
            let pair = pty::open(ptys, cols, rows)?;
            marks.push(Some(pair.name.into_os_string()));
            stdout = pair.master;
            child_stdout = pair.slave;
            true
        }
        Transport::Pipe => {
            let (read, write) = io::pipe().map_err(no_descriptors)?;
            marks.push(pipe_mark(&write));
            stdout = read.into();
            child_stdout = write.into();
            false
        }
    };
    let input = Arc::new(Input::new().map_err(no_descriptors)?);
    let ended = Wake::new().map_err(no_descriptors)?;
    let limited = spec.limited.as_ref();
    let scoped = limited.and_then(|limited| Some((limited, limited.around(&spec.program, &spec.args, &spec.cwd)?)));
    let (program, args) = match &scoped {
        Some((_, (_, (program, args)))) => (program, args),
        None => (&spec.program, &spec.args),
    };
    let inside = limited
        .map(|limited| limited.inside(spec.walls.is_some()))
        .transpose()
        .map_err(no_descriptors)?
        .flatten()
        .map(Arc::new);
    let order = Order {
        program,
        args,
        env: &spec.env,
        cwd: &spec.cwd,
        cookie: &spec.cookie,
        walls: spec.walls.as_deref(),
        inside: inside.clone(),
    };
    let stdios = Stdios {
        stdin: stdin_read.into(),
        stdout: child_stdout,
        stderr: stderr_write.into(),
        controlling,
        reports: None,
        watched: Watched::Not,
        marks: marks.into_iter().flatten().collect(),
    };
    let group = match (&scoped, inside) {
        (Some((limited, (scope, _))), _) => Some(GroupOfChild::Scope(ScopeOfChild::of(limited, scope))),
        (None, Some(inside)) => Some(GroupOfChild::Own(inside)),
        (None, None) => None,
    };
    let registered = launch(&order, stdios)?;
    let ours = Ends { stdin: stdin_write.into(), stdout, stderr: stderr_read.into() };
    match start_threads(&registered, ours, &input, ended, group, sink) {
        Ok(()) => Ok(Child { registered, input }),
        Err(error) => {
            abandon(&registered);
            Err(no_descriptors(error))
        }
    }
}

/// A shell exits with this and the number of the signal that ended its command.
const SIGNALLED_CODE: i32 = 128;

/// The control group of a child.
enum GroupOfChild {
    Scope(ScopeOfChild),
    Own(Arc<Inside>),
}

impl GroupOfChild {
    /// Whether the child has ended because memory was used up: it was killed, or was asked to end after another process of the
    /// group was killed.
    fn is_out_of_memory(&self, child: &Registered, ended: &Ended) -> bool {
        match self {
            GroupOfChild::Scope(scope) => scope.is_out_of_memory(child, ended),
            GroupOfChild::Own(inside) => match &**inside {
                Inside::Group(group) => may_be_for_memory(ended, false) && group.has_run_out_of_memory(),
                // Nothing is killed. What the program said when an allocation failed is for its adapter to read.
                Inside::Each(_) => false,
            },
        }
    }
}

/// The scope of a child, and what the kernel had counted around it before.
struct ScopeOfChild {
    unit: String,
    around: Option<String>,
    kills_before: Option<u64>,
    ends_whole: bool,
}

impl ScopeOfChild {
    fn of(limited: &Limited, scope: &Scope) -> ScopeOfChild {
        let around = scope.around.clone();
        let kills_before = around.as_deref().and_then(system::out_of_memory_kills);
        ScopeOfChild { unit: limited.unit(), around, kills_before, ends_whole: scope.ends_whole }
    }

    fn is_out_of_memory(&self, child: &Registered, ended: &Ended) -> bool {
        may_be_for_memory(ended, self.ends_whole)
            && system::is_out_of_memory(child.number(), &self.unit, self.around.as_deref(), self.kills_before)
    }
}

/// Whether a process that the kernel, or systemd after it, has ended for its memory can have ended so.
fn may_be_for_memory(ended: &Ended, ends_whole: bool) -> bool {
    let is_by = |signal: RawSignal| {
        ended.signal == Some(signal.as_raw()) || ended.code == Some(SIGNALLED_CODE + signal.as_raw())
    };
    is_by(RawSignal::KILL) || (ends_whole && is_by(RawSignal::TERM))
}

/// ccc's ends of a child's descriptors.
struct Ends {
    stdin: OwnedFd,
    stdout: OwnedFd,
    stderr: OwnedFd,
}

/// The name of this pipe in `/proc/PID/fd`, the same for both ends.
pub(super) fn pipe_mark(end: &impl AsFd) -> Option<std::ffi::OsString> {
    let inode = rustix::fs::fstat(end).ok()?.st_ino;
    Some(format!("pipe:[{inode}]").into())
}

/// Ends a child whose threads could not be started.
pub(super) fn abandon(registered: &Registered) {
    sweep::kill_tree(registered);
    registry::wait_unreaped(registered);
    sweep::sweep_child(registered);
    registry::reap(registered);
}

pub(super) fn thread_of<T: Send + 'static>(
    what: &str,
    registered: &Registered,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    thread::Builder::new().name(format!("{what} {}", registered.number())).stack_size(STACK_BYTES).spawn(body)
}

fn start_threads(
    registered: &Registered,
    ends: Ends,
    input: &Arc<Input>,
    ended: Wake,
    group: Option<GroupOfChild>,
    sink: impl ChildSink,
) -> io::Result<()> {
    let ended = Arc::new(ended);
    // The master stays open until the child is reaped, even after an end of file: closing it would send the child SIGHUP.
    let stdout_fd = Arc::new(ends.stdout);
    // The end is reported last, but its thread starts first, because no other thread is running yet that a failure would leave
    // behind.
    let (hand_over, handles) = std::sync::mpsc::sync_channel::<Vec<JoinHandle<()>>>(1);
    {
        let (registered, input, ended, sink) =
            (registered.clone(), Arc::clone(input), Arc::clone(&ended), sink.clone());
        let stdout_fd = Arc::clone(&stdout_fd);
        thread_of("end of", &registered.clone(), move || {
            // If a later thread could not be started, no handles come, and the caller cleans up.
            let Ok(handles) = handles.recv() else { return };
            let status = registry::wait_unreaped(&registered);
            let out_of_memory = group.as_ref().is_some_and(|group| group.is_out_of_memory(&registered, &status));
            let swept = sweep::sweep_child(&registered);
            // An own group can be removed now, unless something is left that could not be killed.
            drop(group);
            ended.wake();
            input.abandon();
            for handle in handles {
                // A panic in the sink may have ended that thread; the child's end is reported nevertheless.
                let _ = handle.join();
            }
            registry::reap(&registered);
            drop(stdout_fd);
            sink.exited(Exit { out_of_memory, ..Exit::new(status, swept) });
        })?;
    }
    let mut handles = Vec::with_capacity(3);
    {
        let (registered, ended, sink) = (registered.clone(), Arc::clone(&ended), sink.clone());
        handles.push(thread_of("stdout of", &registered.clone(), move || {
            read_stdout(&registered, &stdout_fd, &ended, &sink);
        })?);
    }
    {
        let (ended, sink) = (Arc::clone(&ended), sink.clone());
        let stderr = ends.stderr;
        handles.push(thread_of("stderr of", registered, move || {
            pump(stderr.as_fd(), &ended, STDERR_BUFFER_BYTES, &mut Stderr(&sink));
        })?);
    }
    {
        let input = Arc::clone(input);
        let stdin = ends.stdin;
        handles.push(thread_of("stdin of", registered, move || {
            if let Err(error) = input.write_all(&stdin) {
                sink.stdin_error(error);
            }
        })?);
    }
    hand_over.send(handles).map_err(|_| io::Error::from_raw_os_error(rustix::io::Errno::CHILD.raw_os_error()))
}

/// The reader of stdout: passes the bytes on, and scans the child's descendants while the child writes.
struct Stdout<'a, S> {
    registered: &'a Registered,
    sink: &'a S,
    observed: Option<Instant>,
    /// Something was written since the last scan.
    stale: bool,
}

impl<S: ChildSink> Stdout<'_, S> {
    /// The time until the next scan; `None` when nothing was written since the last one.
    fn due(&self) -> Option<Duration> {
        let interval = Duration::from_millis(OBSERVE_INTERVAL_MS);
        self.stale.then(|| self.observed.map_or(Duration::ZERO, |at| interval.saturating_sub(now().duration_since(at))))
    }

    fn observe_if_due(&mut self) {
        if self.due().is_some_and(|left| left.is_zero()) {
            registry::observe(self.registered);
            self.observed = Some(now());
            self.stale = false;
        }
    }
}

impl<S: ChildSink> Reader for Stdout<'_, S> {
    fn chunk(&mut self, bytes: &[u8]) {
        // Scan first, so that a tool is in the table before the sink is told of it.
        self.stale = true;
        self.observe_if_due();
        self.sink.stdout(bytes);
    }

    // The agent announces a tool before it starts it, so the scan after the last output is the one that finds it.
    fn timeouts(&self) -> Option<Duration> {
        self.due()
    }

    fn idle(&mut self) {
        self.observe_if_due();
    }
}

/// The reader of stderr.
struct Stderr<'a, S>(&'a S);

impl<S: ChildSink> Reader for Stderr<'_, S> {
    fn chunk(&mut self, bytes: &[u8]) {
        self.0.stderr(bytes);
    }
}

fn read_stdout(registered: &Registered, stdout: &OwnedFd, ended: &Wake, sink: &impl ChildSink) {
    let mut reader = Stdout { registered, sink, observed: None, stale: false };
    pump(stdout.as_fd(), ended, STDOUT_BUFFER_BYTES, &mut reader);
    sink.stdout_closed();
}

#[cfg(test)]
mod tests {
    use super::{Ended, may_be_for_memory};

    #[test]
    fn who_runs_out_of_memory_is_killed_or_asked_to_end_with_its_whole_scope() {
        let signal = |signal| Ended { signal: Some(signal), code: None };
        let code = |code| Ended { signal: None, code: Some(code) };
        for (ended, alone, with_all) in [
            (signal(9), true, true),
            (code(137), true, true),
            (signal(15), false, true),
            (code(143), false, true),
            (signal(11), false, false),
            (code(1), false, false),
            (code(0), false, false),
            (Ended::default(), false, false),
        ] {
            assert_eq!(may_be_for_memory(&ended, false), alone, "{ended:?}");
            assert_eq!(may_be_for_memory(&ended, true), with_all, "{ended:?}");
        }
    }
}
