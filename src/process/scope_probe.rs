//! Whether systemd makes scopes here, found out by making one.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::time::Duration;

use super::lookup::on_path;
use super::one_shot::{Cancel, CommandEnding, CommandSpec, run_command};
use super::scope::{NoScope, Scope};
use super::spec::Cookie;

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
    /// Finds out whether scopes with this limit can be made, by making one. Blocks until systemd has answered.
    ///
    /// # Errors
    /// When they cannot.
    pub fn find(memory_max_bytes: u64, env: &[(OsString, OsString)], cwd: &Path) -> Result<Scope, NoScope> {
        let path = env.iter().find(|(name, _)| name == "PATH").map_or(OsStr::new(""), |(_, path)| path);
        let program = on_path(OsStr::new(PROGRAM), path, cwd).ok_or(NoScope::NoProgram)?;
        // The system's manager has no scopes for other users than root, and root has no manager of its own as a rule.
        let manager = if rustix::process::geteuid().is_root() { "--system" } else { "--user" };
        let limit = format!("--property=MemoryMax={memory_max_bytes}");
        let of = |more: &[&str]| {
            let options = [manager, "--scope", "--collect", limit.as_str()];
            Scope { program: program.clone(), options: options.iter().chain(more).map(OsString::from).collect() }
        };
        let newer = of(&NEWER);
        if newer.works(env, cwd).is_ok() {
            return Ok(newer);
        }
        let older = of(&OLDER);
        older.works(env, cwd).map(|()| older)
    }

    fn works(&self, env: &[(OsString, OsString)], cwd: &Path) -> Result<(), NoScope> {
        let unit = format!("ccc-probe-{}-{}.scope", std::process::id(), self.options.len());
        let (program, args) = self.around(&unit, Path::new("true"), &[]);
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
            (CommandEnding::Exited, Some(0)) => Ok(()),
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
    use crate::process::Scoped;

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

    const EXECUTES: &str = r#"echo "$*" >> "$SAID"; while [ "$1" != -- ]; do shift; done; shift; exec "$@""#;

    #[test]
    fn a_scope_is_asked_for_with_the_limit_and_the_program_takes_its_place() {
        let (dir, env) = with(EXECUTES);
        let scope = Scope::find(4096, &env, dir.path()).expect("a scope");
        let said = fs::read_to_string(dir.path().join("said")).expect("called");
        for part in ["--scope", "--collect", "--property=MemoryMax=4096", "OOMPolicy=continue", "-- true"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        let scoped = Scoped { scope, unit: "ccc-x.scope".to_owned() };
        let (program, args) =
            scoped.around(Path::new("/bin/sh"), &["-c".into(), "exit 3".into()], dir.path()).expect("it is there");
        assert!(program.ends_with(PROGRAM) && args.contains(&"--unit=ccc-x.scope".into()));
        assert_eq!(args.iter().skip_while(|arg| *arg != "--").skip(1).collect::<Vec<_>>(), ["/bin/sh", "-c", "exit 3"]);
        assert_eq!(scoped.around(Path::new("/no/such/program"), &[], dir.path()), None);
    }

    #[test]
    fn an_older_systemd_is_asked_in_its_own_words() {
        let older =
            format!("case \"$*\" in *--expand-environment*) echo 'unrecognized option' >&2; exit 1;; esac; {EXECUTES}");
        let (dir, env) = with(&older);
        let scope = Scope::find(4096, &env, dir.path()).expect("a scope");
        assert!(!scope.options.iter().any(|option| option.to_string_lossy().contains("OOMPolicy")), "{scope:?}");
    }

    #[test]
    fn without_systemd_the_reason_is_what_it_says() {
        let (dir, env) = with("echo; echo 'System has not been booted with systemd as init system' >&2; exit 1");
        let error = Scope::find(4096, &env, dir.path()).expect_err("no scope");
        assert_eq!(
            error.to_string(),
            "systemd-run makes no scope: System has not been booted with systemd as init system"
        );
        let nowhere = [("PATH".into(), dir.path().join("none").into())];
        assert_eq!(Scope::find(4096, &nowhere, dir.path()), Err(NoScope::NoProgram));
    }
}
