//! A command of ccc in the foreground of the same terminal, while this process waits for it.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A command of this ccc that has its terminal, its job and its environment.
#[derive(Debug)]
pub struct Foreground(Child);

impl Foreground {
    /// Starts the command of this program.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> io::Result<Foreground> {
        Command::new(std::env::current_exe()?).args(args).spawn().map(Foreground)
    }

    /// Starts the command in this directory and without the terminal's keys, so that it asks nobody. It stays in this job, so that
    /// Ctrl-C and Ctrl-Z reach it.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start_unattended<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, cwd: &Path) -> io::Result<Foreground> {
        let program = std::env::current_exe()?;
        Command::new(program).args(args).current_dir(cwd).stdin(Stdio::null()).spawn().map(Foreground)
    }

    /// Its pid.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// The system's error.
    pub fn wait(mut self) -> io::Result<ExitStatus> {
        self.0.wait()
    }

    /// Ends the command with this pid, which is not waited for yet.
    pub fn end(pid: u32) {
        if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}
