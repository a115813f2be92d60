//! Keeps the machine awake: a program of the system holds that while it runs.
//!
//! `systemd-inhibit` holds a lock while its command runs, here `cat` on a pipe. Only this process has the other end, so the
//! lock ends with it, however it ends. `caffeinate` (macOS) watches the process itself.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use super::lookup::on_path;
use super::spec::{ATTEMPT_VARIABLE, RUN_ID_VARIABLE, SPAWN_VARIABLE};

/// What is locked: idleness would suspend the machine as well.
const WHAT: &str = "--what=sleep:idle";
/// How long a release waits for the end of the program, which takes some milliseconds.
const RELEASE_WAIT: Duration = Duration::from_millis(200);
/// Stack of the thread that waits for it.
const STACK_BYTES: usize = 128 * 1024;

/// The program by which this system is kept awake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inhibitor {
    program: PathBuf,
    kind: Kind,
    /// The whole environment of the program.
    env: Vec<(OsString, OsString)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    SystemdInhibit,
    Caffeinate,
}

impl Inhibitor {
    /// The first of the programs that is on PATH; `None` if there is none.
    #[must_use]
    pub fn find(env: &[(OsString, OsString)]) -> Option<Inhibitor> {
        let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
        let known = [
            ("systemd-inhibit", Kind::SystemdInhibit),
            ("elogind-inhibit", Kind::SystemdInhibit),
            ("caffeinate", Kind::Caffeinate),
        ];
        known.into_iter().find_map(|(name, kind)| {
            // Relative directories of PATH would name another program in each directory.
            let program = on_path(OsStr::new(name), &path, Path::new("/"))?;
            Some(Inhibitor { program, kind, env: env.to_vec() })
        })
    }

    /// The program's name.
    #[must_use]
    pub fn name(&self) -> String {
        self.program.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// The command that shows whether the system lets this user keep it awake; `None` where nothing can refuse it.
    #[must_use]
    pub fn trial(&self) -> Option<(PathBuf, Vec<OsString>)> {
        match self.kind {
            Kind::SystemdInhibit => {
                let args = [WHAT, "--mode=block", "--who=ccc", "--why=ccc doctor", "true"];
                Some((self.program.clone(), args.map(OsString::from).to_vec()))
            }
            Kind::Caffeinate => None,
        }
    }

    /// Keeps the machine awake until the result is dropped, or this process has ended. `why` is shown to the user by the system.
    ///
    /// # Errors
    /// When the program cannot be started. A program that the system refuses ends by itself, which is not noticed.
    pub fn hold(&self, why: &str) -> io::Result<Awake> {
        let mut command = Command::new(&self.program);
        match self.kind {
            Kind::SystemdInhibit => {
                command.args([WHAT, "--mode=block", "--who=ccc"]).arg(format!("--why={why}")).arg("cat");
                command.stdin(Stdio::piped());
            }
            Kind::Caffeinate => {
                command.args(["-i", "-w"]).arg(std::process::id().to_string()).stdin(Stdio::null());
            }
        }
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        for mark in [RUN_ID_VARIABLE, ATTEMPT_VARIABLE, SPAWN_VARIABLE] {
            command.env_remove(mark);
        }
        let child = command.current_dir("/").stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        Ok(Awake(Some(child)))
    }
}

/// The machine is kept awake while this value lives.
#[derive(Debug)]
pub struct Awake(Option<Child>);

impl Drop for Awake {
    fn drop(&mut self) {
        let Some(mut child) = self.0.take() else { return };
        // The end of the pipe ends `cat`, and that its parent: a kill would leave `cat` to nobody who reaps it.
        if child.stdin.take().is_none() {
            let _ = child.kill();
        }
        let (done, ended) = channel();
        let body = move || {
            let _ = child.wait();
            let _ = done.send(());
        };
        if thread::Builder::new().name("awake".to_owned()).stack_size(STACK_BYTES).spawn(body).is_ok() {
            let _ = ended.recv_timeout(RELEASE_WAIT);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::process::wake::now;

    /// An inhibitor that writes its arguments into `DIR/asked` and runs the command as the real one does.
    fn inhibitor(dir: &Path, name: &str, body: &str) -> Option<Inhibitor> {
        let program = dir.join(name);
        std::fs::write(&program, format!("#!/bin/sh\n{body}\n")).expect("write");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("chmod");
        let path = format!("{}:/usr/bin:/bin", dir.display());
        let found = Inhibitor::find(&[("PATH".into(), path.into())]);
        found.filter(|found| found.program == program)
    }

    #[track_caller]
    fn until(what: &str, pass: impl Fn() -> bool) {
        let deadline = now() + Duration::from_secs(60);
        while !pass() {
            assert!(now() < deadline, "{what}");
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }

    #[test]
    fn the_lock_is_held_by_a_command_that_reads_until_the_end_of_ours() {
        let dir = tempfile::tempdir().expect("a directory");
        let (asked, over) = (dir.path().join("asked"), dir.path().join("over"));
        let body = format!(
            "echo \"$*\" > {0}.new; mv {0}.new {0}; for last; do :; done; \"$last\"; echo over > {1}",
            asked.display(),
            over.display()
        );
        let inhibitor = inhibitor(dir.path(), "systemd-inhibit", &body).expect("an inhibitor");
        assert_eq!(inhibitor.name(), "systemd-inhibit");
        let mut awake = inhibitor.hold("the run r1 works").expect("held");
        until("it is asked", || asked.exists());
        let asked = std::fs::read_to_string(&asked).expect("read");
        assert_eq!(asked, "--what=sleep:idle --mode=block --who=ccc --why=the run r1 works cat\n");
        assert!(!over.exists());
        // As the death of this process would.
        drop(awake.0.as_mut().and_then(|child| child.stdin.take()));
        until("its command ends with the pipe", || over.exists());
    }

    #[test]
    fn on_macos_a_program_watches_this_process() {
        let dir = tempfile::tempdir().expect("a directory");
        let asked = dir.path().join("asked");
        let body = format!("echo \"$*\" > {0}.new; mv {0}.new {0}; exec sleep 600", asked.display());
        // Where the other is, it comes first.
        let Some(inhibitor) = inhibitor(dir.path(), "caffeinate", &body) else { return };
        let awake = inhibitor.hold("the run r1 works").expect("held");
        until("it is asked", || asked.exists());
        assert_eq!(std::fs::read_to_string(&asked).expect("read"), format!("-i -w {}\n", std::process::id()));
        let pid = awake.0.as_ref().map_or(0, Child::id);
        drop(awake);
        assert!(
            rustix::process::Pid::from_raw(i32::try_from(pid).expect("a pid"))
                .is_some_and(|pid| { rustix::process::test_kill_process(pid).is_err() })
        );
    }

    #[test]
    fn without_a_program_there_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Inhibitor::find(&[("PATH".into(), dir.path().as_os_str().to_owned())]), None);
        assert_eq!(Inhibitor::find(&[]), None);
    }
}
