//! Forks and executes. A child inherits nothing from ccc but its three descriptors.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rustix::fs::Access;
use rustix::io::{Errno, fcntl_dupfd_cloexec};

use super::descriptors::close_others_on_exec;
use super::error::SpawnError;
use super::lookup::on_path;
use super::registry::{self, Registered};
use super::scope::Inside;
use super::signal::reset_dispositions;
use super::spec::{ATTEMPT_VARIABLE, Cookie, RUN_ID_VARIABLE, SPAWN_VARIABLE};
use super::system::Walls;
use super::{monitor, system};

/// The first descriptor that is none of the standard streams.
const FIRST_OTHER: RawFd = 3;

/// What to start, apart from the descriptors.
pub(super) struct Order<'a> {
    pub(super) program: &'a Path,
    pub(super) args: &'a [OsString],
    pub(super) env: &'a [(OsString, OsString)],
    pub(super) cwd: &'a Path,
    pub(super) cookie: &'a Cookie,
    pub(super) walls: Option<&'a Walls>,
    pub(super) inside: Option<Arc<Inside>>,
}

/// Who ends a program when ccc is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Watched {
    /// Nobody, or the monitor.
    Not,
    /// Nobody; but if ccc has been killed before the program begins, it does not begin: the next ccc would not know it by its
    /// environment, which is still that of ccc.
    BeforeItBegins,
    /// A keeper process between ccc and the program, with all descendants.
    ByKeeper,
    /// The kernel, as soon as the thread that has started the program is gone: it must wait for the end.
    ByKernel,
}

/// A child's first three descriptors.
pub(super) struct Stdios {
    pub(super) stdin: OwnedFd,
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
    /// stdout is a terminal and becomes the controlling one.
    pub(super) controlling: bool,
    /// The write end for the monitor's reports, if a monitor process runs between ccc and the program.
    pub(super) reports: Option<OwnedFd>,
    /// Who ends the program when ccc is killed.
    pub(super) watched: Watched,
    /// The names of the child's ends in `/proc/PID/fd`: a process that holds one of them belongs to this child.
    pub(super) marks: Vec<OsString>,
}

/// Called between fork and exec.
///
/// # Errors
/// `SRCH`: ccc has ended already.
fn is_child_of(ccc: u32) -> io::Result<()> {
    let parent = rustix::process::getppid().map(|parent| parent.as_raw_nonzero().get().unsigned_abs());
    if parent == Some(ccc) { Ok(()) } else { Err(Errno::SRCH.into()) }
}

/// Starts the child in its own session and registers it, so that no sweep treats it as an orphan.
pub(super) fn launch(order: &Order<'_>, stdios: Stdios) -> Result<Registered, SpawnError> {
    // Check the directory first, because the child reports a missing directory and a missing program with the same error
    // number.
    if !order.cwd.is_dir() || rustix::fs::access(order.cwd, Access::EXEC_OK).is_err() {
        return Err(SpawnError::BadCwd { path: order.cwd.to_owned() });
    }
    let counted_apart = order.inside.as_deref().is_some_and(Inside::is_counted);
    let apart = order.walls.filter(|_| counted_apart).map(|walls| Walls { counted_apart, ..walls.clone() });
    let walls = apart.as_ref().or(order.walls);
    let raise = match walls.map(|walls| system::Raise::prepare(walls, order.cwd)).transpose() {
        Ok(raise) => raise,
        Err(_) => return Err(SpawnError::NoWalls { program: order.program.to_owned() }),
    };
    let around = raise.as_ref().and_then(|raise| raise.command(order.program, order.args));
    if around.is_some() && !is_there(order) {
        // The program that raises the walls would say so in its own way.
        return Err(SpawnError::NotFound { program: order.program.to_owned() });
    }
    let (program, args) = around.as_ref().map_or((order.program, order.args), |(program, args)| (program, args));
    let mut command = Command::new(program);
    command
        .args(args)
        .current_dir(order.cwd)
        .env_clear()
        .envs(order.env.iter().map(|(name, value)| (name, value)))
        .env(RUN_ID_VARIABLE, &order.cookie.run_id)
        .env(ATTEMPT_VARIABLE, order.cookie.attempt.to_string());
    let streams = above_the_streams([stdios.stdin, stdios.stdout, stdios.stderr])
        .map_err(|error| classify(order.program, &error))?;
    let controlling = stdios.controlling;
    let watched = stdios.watched;
    let ccc = std::process::id();
    let inside = order.inside.clone();
    let reports = stdios.reports;
    let reports_fd = reports.as_ref().map(AsRawFd::as_raw_fd);
    // A process between ccc and the program stays what ccc is, so its memory must be a copy of ccc's.
    let has_another = reports.is_some() || watched == Watched::ByKeeper;
    let steps = move || {
        rustix::process::setsid()?;
        if controlling {
            #[allow(unsafe_code, reason = "a descriptor known by its number only")]
            // SAFETY: it has just been made the child's stdout.
            rustix::process::ioctl_tiocsctty(unsafe { BorrowedFd::borrow_raw(1) })?;
        }
        reset_dispositions();
        if let Some(reports) = reports_fd {
            monitor::split(reports, controlling)?;
        }
        match watched {
            Watched::Not => {}
            Watched::ByKeeper => system::split(ccc)?,
            Watched::BeforeItBegins => is_child_of(ccc)?,
            Watched::ByKernel => {
                system::end_with_the_forking_thread()?;
                is_child_of(ccc)?;
            }
        }
        inside.as_deref().map_or(Ok(()), Inside::enter)?;
        close_others_on_exec();
        raise.as_ref().map_or(Ok(()), system::Raise::raise)?;
        inside.as_deref().map_or(Ok(()), Inside::limit)
    };
    let registered = registry::register(&order.cookie.run_id, stdios.marks, |spawn_id| {
        command.env(SPAWN_VARIABLE, OsStr::new(spawn_id));
        if !has_another && let Some(pid) = system::start(&command, &streams, &steps)? {
            return Ok(pid);
        }
        let [stdin, stdout, stderr] = streams;
        command.stdin(stdin).stdout(stdout).stderr(stderr);
        #[allow(unsafe_code, reason = "a session and a controlling terminal must be made inside the child")]
        // SAFETY: the steps are made between fork and exec; they are system calls only, allocate nothing and take no lock.
        unsafe {
            command.pre_exec(steps);
        }
        command.spawn().map(|child| child.id())
    })
    .map_err(|error| classify(order.program, &error));
    // It stays open until the child has its copy.
    drop(reports);
    registered
}

/// The same descriptors, none of which the child loses when it makes them its standard streams one after the other.
fn above_the_streams(streams: [OwnedFd; 3]) -> io::Result<[OwnedFd; 3]> {
    let above = |stream: OwnedFd| match stream.as_raw_fd() {
        FIRST_OTHER.. => Ok(stream),
        _ => fcntl_dupfd_cloexec(&stream, FIRST_OTHER),
    };
    let [stdin, stdout, stderr] = streams;
    Ok([above(stdin)?, above(stdout)?, above(stderr)?])
}

/// Whether there is a file by the name of the program.
fn is_there(order: &Order<'_>) -> bool {
    if order.program.components().count() > 1 {
        return order.cwd.join(order.program).exists();
    }
    let path = order.env.iter().rfind(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, path)| path);
    on_path(order.program.as_os_str(), path, order.cwd).is_some()
}

fn classify(program: &Path, error: &io::Error) -> SpawnError {
    let program = program.to_owned();
    if error.raw_os_error() == Some(system::NOT_RAISED) {
        return SpawnError::NoWalls { program };
    }
    match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => SpawnError::NotFound { program },
        Some(rustix::io::Errno::ACCESS | rustix::io::Errno::PERM) => SpawnError::PermissionDenied { program },
        other => SpawnError::Other {
            program,
            // The standard library rejects arguments with a NUL byte without an error number.
            errno: other.unwrap_or(rustix::io::Errno::INVAL).raw_os_error(),
        },
    }
}
