//! Runs git on a repository that may be hostile.
//!
//! A repository's configuration and attributes name programs: filters, text conversions, an external diff, hooks, a file system
//! monitor, a pager, aliases, ssh and credential helpers. None of them is run: only commands that need no filter and no diff
//! are used (`ls-files`, `rev-parse`), everything that these could start is switched off, and no transport is allowed. A git
//! that hangs (a network file system, a FIFO in place of a file) is killed with all its descendants.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::core::TreeFault;
use crate::process::{Cancel, CommandEnding, CommandErrors, CommandSpec, Cookie, run_command};

use super::super::child_env::ChildEnv;

/// The timeout of one git command. A listing of 300,000 files on a cold disk takes far less.
const LIMIT: Duration = Duration::from_secs(20);
/// The timeout after a git command has hung in this run.
const LIMIT_AFTER_HANG: Duration = Duration::from_secs(3);
/// The time from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// The largest listing, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// How much of git's stderr is kept, in bytes.
const ERRORS_LIMIT_BYTES: usize = 1024;

/// Options that switch off what git could start, and the user's settings that change its output.
const OPTIONS: &[&str] = &[
    "--no-pager",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.untrackedCache=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "core.sshCommand=false",
    "-c",
    "credential.helper=",
    "-c",
    "submodule.recurse=false",
    "-c",
    "core.quotePath=false",
];
/// Variables that keep git from taking locks, fetching missing objects, and prompting.
const SETTINGS: &[(&str, &str)] = &[
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_TERMINAL_PROMPT", "0"),
    ("LC_ALL", "C"),
];
/// The `GIT_` variables that are passed on; the others could point git to another repository or make it run programs.
const PASSED_ON: &[&str] = &["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// Why a git command gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) fault: TreeFault,
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn failed(text: String) -> Self {
        Self { fault: TreeFault::Failed, text }
    }

    pub(super) fn too_large(text: String) -> Self {
        Self { fault: TreeFault::TooLarge, text }
    }
}

/// How one run calls git: environment, timeouts, cancellation.
#[derive(Debug)]
pub(super) struct Git {
    env: Vec<(OsString, OsString)>,
    cookie: Cookie,
    give_up: Cancel,
    has_hung: AtomicBool,
    limit: Duration,
}

impl Git {
    /// Uses this environment; `give_up` kills a running git.
    pub(super) fn new(env: &ChildEnv, run_id: &str, give_up: Cancel) -> Self {
        let is_passed_on = |name: &OsStr| {
            PASSED_ON.iter().any(|passed| name == *passed) || !name.as_encoded_bytes().starts_with(b"GIT_")
        };
        let mut env: Vec<(OsString, OsString)> =
            env.0.iter().filter(|(name, _)| is_passed_on(name) && name != "LC_ALL").cloned().collect();
        env.extend(SETTINGS.iter().map(|(name, value)| (name.into(), value.into())));
        let cookie = Cookie { run_id: run_id.to_owned(), attempt: 0 };
        Self { env, cookie, give_up, has_hung: AtomicBool::new(false), limit: LIMIT }
    }

    /// Sets another timeout; for tests of a git that hangs.
    #[cfg(test)]
    pub(super) fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// The output of git for the repository whose working tree is `root`. Both directories are set explicitly: a configuration
    /// may name another working tree, and from a broken repository git would search upwards.
    pub(super) fn output(&self, root: &Path, args: &[&str]) -> Result<Vec<u8>, Trouble> {
        let command = args.first().copied().unwrap_or_default();
        let limit = if self.has_hung.load(Ordering::Relaxed) { LIMIT_AFTER_HANG.min(self.limit) } else { self.limit };
        let mut env = self.env.clone();
        env.push(("GIT_DIR".into(), root.join(".git").into()));
        env.push(("GIT_WORK_TREE".into(), root.into()));
        let spec = CommandSpec {
            program: "git".into(),
            args: OPTIONS.iter().chain(args).map(OsString::from).collect(),
            env,
            cwd: root.to_owned(),
            timeout: limit,
            grace: GRACE,
            output_tail_limit_bytes: OUTPUT_LIMIT_BYTES,
            errors: CommandErrors::Apart { tail_limit_bytes: ERRORS_LIMIT_BYTES },
            cookie: self.cookie.clone(),
        };
        let result = run_command(&spec, &self.give_up).map_err(|error| Trouble::failed(error.to_string()))?;
        match (result.ending, result.exit.code) {
            (CommandEnding::Exited, Some(0)) if result.truncated_bytes > 0 => {
                Err(Trouble::too_large(format!("`git {command}` lists more than 256 MiB")))
            }
            (CommandEnding::Exited, Some(0)) => Ok(result.tail),
            (CommandEnding::Exited, _) => {
                let said = String::from_utf8_lossy(&result.errors);
                let said = said.lines().next().unwrap_or("it said nothing").to_owned();
                Err(Trouble::failed(format!("`git {command}` failed: {said}")))
            }
            (CommandEnding::TimedOut, _) => {
                self.has_hung.store(true, Ordering::Relaxed);
                let text = format!("`git {command}` did not end within {}s and was ended", limit.as_secs());
                Err(Trouble { fault: TreeFault::Hung, text })
            }
            (CommandEnding::Cancelled, _) => Err(Trouble::failed(format!("`git {command}` was given up"))),
        }
    }
}
