//! Whether systemd makes scopes here, found out by making one.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::lookup::on_path;
use super::one_shot::{Cancel, CommandEnding, CommandSpec, run_command};
use super::scope::{NoScope, Scope, ScopeLimits};
use super::spec::Cookie;
use super::system;

/// The program that makes scopes.
const PROGRAM: &str = "systemd-run";
/// How long systemd may take to answer when it is asked for the first time.
const ANSWER: Duration = Duration::from_secs(5);
/// How much of its error is kept, in bytes.
const SAID_BYTES: usize = 2 * 1024;
/// With the newer versions: the death of a tool ends no other process of the scope (253), and no argument is changed (254).
const NEWER: [&str; 3] = ["--property=OOMPolicy=continue", "--expand-environment=no", "--quiet"];
const OLDER: [&str; 1] = ["--quiet"];

impl Scope {
    /// Finds out whether scopes with these limits can be made, by making one. Blocks until systemd has answered.
    ///
    /// # Errors
    /// When they cannot.
    pub(super) fn find(limits: ScopeLimits, env: &[(OsString, OsString)], cwd: &Path) -> Result<Scope, NoScope> {
        let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, path)| path);
        let program = on_path(OsStr::new(PROGRAM), path, cwd).ok_or(NoScope::NoProgram)?;
        // The system's manager has no scopes for other users than root, and root has no manager of its own as a rule.
        let manager = if rustix::process::geteuid().is_root() { "--system" } else { "--user" };
        let memory = limits.memory_max_bytes.map(|bytes| format!("--property=MemoryMax={bytes}"));
        let tasks = limits.tasks_max.map(|tasks| format!("--property=TasksMax={tasks}"));
        let of = |more: &[&str], ends_whole: bool| {
            let options =
                [manager, "--scope", "--collect"].into_iter().chain(memory.as_deref()).chain(tasks.as_deref());
            let options = options.chain(more.iter().copied()).map(OsString::from).collect();
            Scope { program: program.clone(), options, around: None, ends_whole }
        };
        of(&NEWER, false).that_works(env, cwd).or_else(|_| of(&OLDER, true).that_works(env, cwd))
    }

    fn that_works(mut self, env: &[(OsString, OsString)], cwd: &Path) -> Result<Scope, NoScope> {
        let unit = format!("ccc-probe-{}-{}.scope", std::process::id(), self.options.len());
        let (program, args) = self.around(&unit, Path::new("cat"), &["/proc/self/cgroup".into()]);
        let spec = CommandSpec {
            program,
            args,
            env: env.to_vec(),
            timeout: ANSWER,
            output_tail_limit_bytes: SAID_BYTES,
            cookie: Cookie { run_id: String::new(), attempt: 0 },
            ..CommandSpec::shell("", cwd.to_owned())
        };
        let refused = |said: String| NoScope::Refused { said };
        let cancel = Cancel::new().map_err(|error| refused(error.to_string()))?;
        let result = run_command(&spec, &cancel).map_err(|error| refused(error.to_string()))?;
        match (result.ending, result.exit.code) {
            (CommandEnding::Exited, Some(0)) => {
                self.around = system::around_scope(&String::from_utf8_lossy(&result.tail), &unit);
                Ok(self)
            }
            (CommandEnding::TimedOut, _) => Err(refused(format!("it has not answered for {} s", ANSWER.as_secs()))),
            (CommandEnding::Exited | CommandEnding::Cancelled, _) => {
                let said = String::from_utf8_lossy(&result.tail);
                let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
                Err(refused(last.unwrap_or("it has failed without a word").to_owned()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::process::scope::{By, Limited, Limiter};

    /// A directory with a program in the place of systemd-run.
    fn with(script: &str) -> (tempfile::TempDir, Vec<(OsString, OsString)>) {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join(PROGRAM);
        fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("chmod");
        let path = format!("{}:/usr/bin:/bin", dir.path().display());
        let env = vec![("PATH".into(), path.into()), ("SAID".into(), dir.path().join("said").into())];
        (dir, env)
    }

    const MEMORY: ScopeLimits = ScopeLimits { memory_max_bytes: Some(4096), tasks_max: None };
    const EXECUTES: &str = r#"echo "$*" >> "$SAID"; while [ "$1" != -- ]; do shift; done; shift; exec "$@""#;

    #[test]
    fn a_scope_is_asked_for_with_the_limit_and_the_program_takes_its_place() {
        let (dir, env) = with(EXECUTES);
        let limits = ScopeLimits { tasks_max: Some(64), ..MEMORY };
        let scope = Scope::find(limits, &env, dir.path()).expect("a scope");
        let said = fs::read_to_string(dir.path().join("said")).expect("called");
        for part in [
            "--scope",
            "--collect",
            "--property=MemoryMax=4096",
            "--property=TasksMax=64",
            "OOMPolicy=continue",
            "-- cat /proc/self/cgroup",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!scope.ends_whole);
        let limited = Limited { by: Limiter(By::Scope(scope)), name: "x".to_owned() };
        let (_, (program, args)) =
            limited.around(Path::new("/bin/sh"), &["-c".into(), "exit 3".into()], dir.path()).expect("it is there");
        assert!(program.ends_with(PROGRAM) && args.contains(&"--unit=ccc-x.scope".into()));
        assert_eq!(args.iter().skip_while(|arg| *arg != "--").skip(1).collect::<Vec<_>>(), ["/bin/sh", "-c", "exit 3"]);
        assert_eq!(limited.around(Path::new("/no/such/program"), &[], dir.path()), None);
    }

    #[test]
    fn an_older_systemd_is_asked_in_its_own_words() {
        let older =
            format!("case \"$*\" in *--expand-environment*) echo 'unrecognized option' >&2; exit 1;; esac; {EXECUTES}");
        let (dir, env) = with(&older);
        let scope = Scope::find(MEMORY, &env, dir.path()).expect("a scope");
        assert!(!scope.options.iter().any(|option| option.to_string_lossy().contains("OOMPolicy")), "{scope:?}");
        assert!(scope.ends_whole);
    }

    #[test]
    fn without_systemd_the_reason_is_what_it_says() {
        let (dir, env) = with("echo; echo 'System has not been booted with systemd as init system' >&2; exit 1");
        let error = Scope::find(MEMORY, &env, dir.path()).expect_err("no scope");
        assert_eq!(
            error.to_string(),
            "systemd-run makes no scope: System has not been booted with systemd as init system"
        );
        let nowhere = [("PATH".into(), dir.path().join("none").into())];
        assert_eq!(Scope::find(MEMORY, &nowhere, dir.path()), Err(NoScope::NoProgram));
    }
}
