//! A run in a separate process, which outlives the terminal that it was started from.
//!
//! The starter executes this program again. The new process, the host, prepares the run at the terminal like any other: it
//! asks, warns and refuses there, and Ctrl-C ends both. When the run is about to begin, the host detaches from the terminal: it
//! gets its own session, and no descriptor of the terminal. Its stdout is a pipe to the starter, over which it reports that the
//! run is reachable.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Mode, OFlags};

use super::apart::apart;
use super::signal::ignore;

/// The size limit of a host's log; a full log is emptied.
const LOG_BYTES: u64 = 1024 * 1024;
/// This process has detached: its stderr is the host's log.
static HAS_LEFT: AtomicBool = AtomicBool::new(false);

/// Makes room for `more` bytes on stderr, if it is the log of a host.
///
/// # Errors
/// The system's error.
pub fn bound_host_log(more: usize) -> io::Result<()> {
    if HAS_LEFT.load(Ordering::Relaxed) { begin_anew(rustix::stdio::stderr(), more, LOG_BYTES) } else { Ok(()) }
}

/// Empties the log if `more` bytes would exceed the limit. It is opened for appending, so writing continues at its start.
fn begin_anew(log: impl AsFd, more: usize, limit: u64) -> io::Result<()> {
    let held = u64::try_from(rustix::fs::fstat(&log)?.st_size).unwrap_or(0);
    if held.saturating_add(more as u64) > limit {
        rustix::fs::ftruncate(&log, 0)?;
    }
    Ok(())
}

/// The longest line by which a host reports that it is ready, in bytes.
const READY_BYTES: u64 = 16 * 1024;

/// A host that is being started.
#[derive(Debug)]
pub struct Host {
    child: Child,
    ready: ChildStdout,
}

impl Host {
    /// Executes this program again with these arguments and our stdin and stderr.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(args: &[OsString]) -> io::Result<Host> {
        Self::of(Command::new(std::env::current_exe()?).args(args))
    }

    /// The same for a process that belongs to no run, in this directory and with these variables besides.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_apart(args: &[OsString], env: &[(&str, &OsStr)], cwd: &Path) -> io::Result<Host> {
        Self::of(&mut apart(args, env, cwd)?)
    }

    fn of(command: &mut Command) -> io::Result<Host> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let ready = child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?;
        Ok(Host { child, ready })
    }

    /// Waits until the host is ready and returns its line, or its exit code when it ends before. It has reported the reason on
    /// stderr.
    ///
    /// # Errors
    /// When a system call fails.
    pub fn ready(mut self) -> io::Result<Result<String, i32>> {
        let mut line = String::new();
        BufReader::new((&mut self.ready).take(READY_BYTES)).read_line(&mut line)?;
        if line.ends_with('\n') {
            return Ok(Ok(line));
        }
        Ok(Err(self.child.wait()?.code().unwrap_or(1)))
    }
}

/// A host that has detached from the terminal.
#[derive(Debug)]
pub struct Detached(File);

/// Detaches from the terminal: a separate session, no input, and only this log for output.
///
/// # Errors
/// When a system call fails.
pub fn detach(log: &File) -> io::Result<Detached> {
    let starter: OwnedFd = rustix::stdio::stdout().try_clone_to_owned()?;
    rustix::process::setsid()?;
    // The host must survive the end of the terminal.
    ignore(rustix::process::Signal::HUP.as_raw());
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(log)?;
    HAS_LEFT.store(true, Ordering::Relaxed);
    Ok(Detached(File::from(starter)))
}

impl Detached {
    /// Reports to the starter that the run is reachable. A starter that has exited does not get it.
    pub fn ready(mut self, line: &str) {
        let _ = writeln!(self.0, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;

    use super::begin_anew;

    #[test]
    fn a_log_is_never_longer_than_its_limit_and_holds_the_latest() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("host.log");
        let mut log = OpenOptions::new().append(true).create(true).open(&path).expect("a log");
        for n in 0..100 {
            let line = format!("line {n}\n");
            begin_anew(&log, line.len(), 64).expect("looked at");
            log.write_all(line.as_bytes()).expect("written");
            let text = std::fs::read_to_string(&path).expect("read");
            assert!(text.len() <= 64 && text.ends_with(&line) && text.starts_with("line "), "{text}");
        }
    }
}
