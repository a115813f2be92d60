//! What the sandbox of the agent's CLI needs of this system. Without it the CLI does not start, or no command of its agent runs.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::process::{Cancel, CommandSpec, run_command};
use crate::ui::clean;

/// The programs that it uses on Linux.
const HELPERS: [&str; 2] = ["bwrap", "socat"];
/// How long the trial may take.
const TRIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// The sandbox cannot work here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoSandbox {
    /// Programs are missing.
    #[error("{} not on PATH, which the sandbox of the agent's CLI needs", are(.0))]
    Missing(Vec<&'static str>),
    /// This system does not let it separate a process.
    #[error("`bwrap` cannot separate a process here: {0}")]
    Refused(String),
}

impl NoSandbox {
    /// What to do.
    #[must_use]
    pub fn advice(&self) -> &'static str {
        match self {
            NoSandbox::Missing(_) => "install them, for example: apt install bubblewrap socat",
            NoSandbox::Refused(_) => {
                "you may make no user namespaces here; on Ubuntu, see `sysctl kernel.apparmor_restrict_unprivileged_userns`"
            }
        }
    }
}

fn are(programs: &[&str]) -> String {
    let named: Vec<String> = programs.iter().map(|program| format!("`{program}`")).collect();
    format!("{} {}", named.join(" and "), if named.len() == 1 { "is" } else { "are" })
}

/// Whether the sandbox of the agent's CLI can work in this environment, found out by separating a process as it does. On macOS it
/// needs nothing.
///
/// # Errors
/// Why it cannot.
pub fn find_sandbox(env: &[(OsString, OsString)], cwd: &Path) -> Result<(), NoSandbox> {
    if cfg!(target_os = "macos") {
        return Ok(());
    }
    let path = env.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.as_os_str());
    let found = |program: &str| {
        std::env::split_paths(path.unwrap_or(OsStr::new("")))
            .map(|dir| cwd.join(dir).join(program))
            .find(|it| it.is_file())
    };
    let missing: Vec<&'static str> = HELPERS.into_iter().filter(|program| found(program).is_none()).collect();
    let Some(program) = found("bwrap").filter(|_| missing.is_empty()) else { return Err(NoSandbox::Missing(missing)) };
    separate(program, env, cwd).map_err(NoSandbox::Refused)
}

fn separate(program: PathBuf, env: &[(OsString, OsString)], cwd: &Path) -> Result<(), String> {
    let args = ["--unshare-net", "--ro-bind", "/", "/", "--dev", "/dev", "--", "sh", "-c", ":"];
    let spec = CommandSpec {
        program,
        args: args.map(OsString::from).to_vec(),
        env: env.to_vec(),
        timeout: TRIAL_TIMEOUT,
        ..CommandSpec::shell("", cwd.to_owned())
    };
    let cancel = Cancel::new().map_err(|error| error.to_string())?;
    let result = run_command(&spec, &cancel).map_err(|error| error.to_string())?;
    if result.exit.code == Some(0) {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&result.tail);
    let said = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it gives no reason");
    Err(clean::one_line(said, 200))
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::ffi::OsString;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    use super::{NoSandbox, find_sandbox};

    fn program(dir: &Path, name: &str, body: &str) {
        let file = dir.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{body}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn the_clis_own_sandbox_needs_both_programs_and_a_system_that_lets_them_work() {
        let dir = tempfile::tempdir().unwrap();
        let env: Vec<(OsString, OsString)> = vec![("PATH".into(), dir.path().into())];
        let found = || find_sandbox(&env, dir.path());
        assert_eq!(found(), Err(NoSandbox::Missing(vec!["bwrap", "socat"])));
        program(dir.path(), "bwrap", "echo 'bwrap: No permissions to create a new namespace' >&2; exit 1");
        let missing = found().unwrap_err();
        assert_eq!(missing.to_string(), "`socat` is not on PATH, which the sandbox of the agent's CLI needs");
        assert!(missing.advice().contains("apt install bubblewrap socat"));
        program(dir.path(), "socat", "");
        let refused = NoSandbox::Refused("bwrap: No permissions to create a new namespace".to_owned());
        assert_eq!(found(), Err(refused));
        program(dir.path(), "bwrap", "exit 0");
        assert_eq!(found(), Ok(()));
    }
}
