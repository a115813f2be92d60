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
        Apart::start_with(args, cwd, without, &[])
    }

    /// The same, with these variables.
    fn start_with(args: &[OsString], cwd: &Path, without: &[&str], with: &[(&str, &str)]) -> io::Result<Apart> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(args).current_dir(cwd).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        for name in without {
            command.env_remove(name);
        }
        command.envs(with.iter().copied());
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

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::ffi::OsString;
    use std::path::Path;
    use std::sync::mpsc::channel;
    use std::time::{Duration, Instant};

    use rustix::process::{Pid, Signal, kill_process, setsid};

    use super::Apart;
    use crate::process::{ids, registry};

    const DEADLINE: Duration = Duration::from_secs(60);

    /// Waits for what becomes true.
    #[allow(clippy::disallowed_methods, reason = "a test waits in the time of the real world")]
    fn until(what: &str, is_so: impl Fn() -> bool) {
        let (_silent, never) = channel::<()>();
        let end = Instant::now() + DEADLINE;
        while !is_so() {
            assert!(Instant::now() < end, "{what}");
            let _ = never.recv_timeout(Duration::from_millis(5));
        }
    }

    /// The other process of the test below: it leaves the session, as a host does, and lives until it is killed.
    #[test]
    #[ignore = "it is the other process of another test"]
    fn a_host_that_stays() {
        if std::env::var_os("CCC_TEST_STAYS").is_none() {
            return;
        }
        setsid().expect("a session");
        let (_silent, never) = channel::<()>();
        let _ = never.recv_timeout(DEADLINE);
    }

    #[test]
    fn a_host_that_a_run_has_started_is_no_orphan_of_it_while_it_lives() {
        let args = ["--exact", "process::other_host::tests::a_host_that_stays", "--ignored", "--nocapture"];
        let args: Vec<OsString> = args.into_iter().map(OsString::from).collect();
        // The test's harness writes a line before it runs the test.
        let mut command = Apart::start_with(&args, Path::new("/"), &[], &[("CCC_TEST_STAYS", "1")]).expect("started");
        let pid = command.pid();
        let process = Pid::from_raw(pid.cast_signed()).expect("a pid");
        until("it leaves the session", || ids::session_of(Some(process)) == Some(process));
        assert!(registry::lock().apart().any(|apart| apart == pid));
        assert!(registry::lock().orphans_among(vec![pid]).is_empty(), "it would be killed");
        kill_process(process, Signal::KILL).expect("killed");
        until("it is taken for an orphan that can be reaped", || {
            registry::lock().orphans_among(vec![pid]).iter().any(|orphan| orphan.zombie)
        });
        let _ = command.0.wait();
        assert!(registry::lock().apart().all(|apart| apart != pid));
    }
}
