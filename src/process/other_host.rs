//! Processes that are started by this one and belong to none of its runs: another run's ccc, which a manager's ccc starts.
//!
//! It leads its own session and outlives its starter, so a search for orphans would take it for one. It is registered while no
//! search can run, and excluded until it has ended.

use std::ffi::OsString;
use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::registry;

/// The longest line by which a host reports that it is ready, in bytes.
const READY_BYTES: u64 = 16 * 1024;
/// How much of what a host that does not become ready says is read, in bytes.
const ERRORS_BYTES: u64 = 16 * 1024;

/// A host that was started by the ccc of another run.
#[derive(Debug)]
pub struct Apart(Child);

impl Apart {
    /// Executes this program with these arguments in this directory, with our environment without these variables.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(args: &[OsString], cwd: &Path, without: &[&str]) -> io::Result<Apart> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).current_dir(cwd).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in without {
            command.env_remove(name);
        }
        let mut registry = registry::lock();
        let child = command.spawn()?;
        registry.stands_apart(child.id());
        drop(registry);
        Ok(Apart(child))
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.id()
    }

    /// Waits until it is ready and returns its line; or, when it ends before, what it has said on stderr.
    ///
    /// # Errors
    /// When a system call fails.
    pub fn ready(mut self) -> io::Result<Result<String, String>> {
        let (out, errors) = (self.0.stdout.take(), self.0.stderr.take());
        let mut line = String::new();
        if let Some(out) = out {
            BufReader::new(out.take(READY_BYTES)).read_line(&mut line)?;
        }
        if line.ends_with('\n') {
            return Ok(Ok(line));
        }
        let mut said = Vec::new();
        if let Some(errors) = errors {
            errors.take(ERRORS_BYTES).read_to_end(&mut said)?;
        }
        self.0.wait()?;
        Ok(Err(String::from_utf8_lossy(&said).trim().to_owned()))
    }
}
