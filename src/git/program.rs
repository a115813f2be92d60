//! Runs git with everything switched off that a repository could make it start.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::call::{Call, Place};
use super::error::{GitError, GitFault};
use crate::process::{Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, Cookie, run_command};

/// The timeout of a command that reads. A listing of 300,000 files on a cold disk takes far less.
const READ_LIMIT: Duration = Duration::from_secs(20);
/// The timeout after such a command has hung.
const LIMIT_AFTER_HANG: Duration = Duration::from_secs(3);
/// The time from SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_millis(500);
/// The largest output, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024 * 1024;
/// How much of git's stderr is kept, in bytes.
const ERRORS_LIMIT_BYTES: usize = 4 * 1024;

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
/// More of them, for commands that change something. `git gc` would run in the background, a split index would write a file
/// beside the user's index, and the others would ask, sign or refuse. A reference may be locked by another git, for milliseconds.
const OPTIONS_FOR_CHANGES: &[&str] = &[
    "-c",
    "core.filesRefLockTimeout=1000",
    "-c",
    "commit.gpgSign=false",
    "-c",
    "gc.auto=0",
    "-c",
    "maintenance.auto=false",
    "-c",
    "core.splitIndex=false",
    "-c",
    "core.safecrlf=false",
    "-c",
    "diff.ignoreSubmodules=dirty",
    "-c",
    "advice.addEmbeddedRepo=false",
    "-c",
    "advice.detachedHead=false",
];
/// Variables that keep git from taking locks, fetching missing objects, and prompting.
const SETTINGS: &[(&str, &str)] = &[
    ("GIT_OPTIONAL_LOCKS", "0"),
    ("GIT_NO_LAZY_FETCH", "1"),
    ("GIT_ALLOW_PROTOCOL", "none"),
    ("GIT_TERMINAL_PROMPT", "0"),
    // Git runs no editor of this name.
    ("GIT_EDITOR", ":"),
    ("GIT_SEQUENCE_EDITOR", ":"),
    ("LC_ALL", "C"),
];
/// The `GIT_` variables that are passed on; the others could point git to another repository or make it run programs.
const PASSED_ON: &[&str] = &["GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM", "GIT_CONFIG_NOSYSTEM", "GIT_EXEC_PATH"];

/// What git answered, whatever its exit code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its exit code.
    pub code: i32,
    /// Its stdout.
    pub output: Vec<u8>,
    /// The end of its stderr.
    pub errors: String,
}

impl Answer {
    /// The output as text, without line ends around it.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).trim().to_owned()
    }

    /// The line of stderr that says why it failed.
    #[must_use]
    pub fn why(&self) -> String {
        let says_why = |line: &&str| line.starts_with("fatal: ") || line.starts_with("error: ");
        let mut lines = self.errors.lines().filter(|line| !line.trim().is_empty());
        let first = lines.clone().next();
        lines.find(says_why).or(first).unwrap_or("it said nothing").trim().to_owned()
    }
}

/// How one run calls git: environment, timeouts, cancellation.
#[derive(Debug)]
pub struct Git {
    env: Vec<(OsString, OsString)>,
    cookie: Cookie,
    give_up: Cancel,
    has_hung: AtomicBool,
    read_limit: Duration,
}

impl Git {
    /// Uses this environment; `run_id` marks git's processes as those of a run, and `give_up` kills a running git.
    #[must_use]
    pub fn new(env: &[(OsString, OsString)], run_id: &str, give_up: Cancel) -> Self {
        let is_passed_on = |name: &OsStr| {
            PASSED_ON.iter().any(|passed| name == *passed) || !name.as_encoded_bytes().starts_with(b"GIT_")
        };
        let mut env: Vec<(OsString, OsString)> =
            env.iter().filter(|(name, _)| is_passed_on(name) && name != "LC_ALL").cloned().collect();
        env.extend(SETTINGS.iter().map(|(name, value)| (name.into(), value.into())));
        let cookie = Cookie { run_id: run_id.to_owned(), attempt: 0 };
        Self { env, cookie, give_up, has_hung: AtomicBool::new(false), read_limit: READ_LIMIT }
    }

    /// A variable of the environment in which git runs.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&OsStr> {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
    }

    /// The same git, which `give_up` ends instead: what was begun is taken back also after the user has given it up.
    #[must_use]
    pub fn given_up_by(&self, give_up: Cancel) -> Self {
        Self {
            env: self.env.clone(),
            cookie: self.cookie.clone(),
            give_up,
            has_hung: AtomicBool::new(false),
            read_limit: self.read_limit,
        }
    }

    /// Sets another timeout of commands that read; for tests of a git that hangs.
    #[cfg(test)]
    pub(crate) fn with_limit(mut self, limit: Duration) -> Self {
        self.read_limit = limit;
        self
    }

    /// Reads: the output of git for the repository whose working tree is `root`.
    ///
    /// # Errors
    /// When git fails, hangs or writes too much.
    pub fn output(&self, root: &Path, args: &[&str]) -> Result<Vec<u8>, GitError> {
        let has_hung = self.has_hung.load(Ordering::Relaxed);
        let limit = if has_hung { LIMIT_AFTER_HANG.min(self.read_limit) } else { self.read_limit };
        let call = Call::new(args).within(limit);
        // The name that the errors had before there were commands with two words.
        let name = args.first().copied().unwrap_or_default();
        let answer = self.start(&Place::tree(root), &call, name, &[]);
        if answer.as_ref().is_err_and(|error| error.fault == GitFault::Hung) {
            self.has_hung.store(true, Ordering::Relaxed);
        }
        succeeded(name, answer?)
    }

    /// Runs a command that may change something, and returns its output.
    ///
    /// # Errors
    /// When git does not exit with 0, hangs or writes too much.
    pub fn run(&self, place: &Place, call: &Call) -> Result<Vec<u8>, GitError> {
        succeeded(&call.name(), self.ask(place, call)?)
    }

    /// As [`Git::run`], without line ends around the output.
    ///
    /// # Errors
    /// As [`Git::run`].
    pub fn text(&self, place: &Place, call: &Call) -> Result<String, GitError> {
        Ok(String::from_utf8_lossy(&self.run(place, call)?).trim().to_owned())
    }

    /// Runs a command whose exit code is an answer.
    ///
    /// # Errors
    /// When git cannot be started, hangs, is killed or writes too much.
    pub fn ask(&self, place: &Place, call: &Call) -> Result<Answer, GitError> {
        self.start(place, call, &call.name(), OPTIONS_FOR_CHANGES)
    }

    fn start(&self, place: &Place, call: &Call, name: &str, options: &[&str]) -> Result<Answer, GitError> {
        let mut env = self.env.clone();
        env.push(("GIT_DIR".into(), place.git_dir.clone().into()));
        if let Some(top) = &place.work_tree {
            env.push(("GIT_WORK_TREE".into(), top.into()));
        }
        if !call.settings.is_empty() {
            env.push(("GIT_CONFIG_COUNT".into(), call.settings.len().to_string().into()));
        }
        for (at, (key, value)) in call.settings.iter().enumerate() {
            env.push((format!("GIT_CONFIG_KEY_{at}").into(), key.clone()));
            env.push((format!("GIT_CONFIG_VALUE_{at}").into(), value.clone()));
        }
        // The last value of a variable counts, for the child's environment is a map.
        env.extend(call.env.iter().cloned());
        let spec = CommandSpec {
            program: "git".into(),
            args: OPTIONS.iter().chain(options).map(OsString::from).chain(call.args.iter().cloned()).collect(),
            env,
            cwd: place.cwd().to_owned(),
            input: call.input.clone(),
            timeout: call.limit,
            grace: GRACE,
            output_tail_limit_bytes: OUTPUT_LIMIT_BYTES,
            errors: CommandErrors::Apart { tail_limit_bytes: ERRORS_LIMIT_BYTES },
            cookie: self.cookie.clone(),
            walls: None,
            ended_with_ccc: call.ended_with_ccc,
        };
        let result = run_command(&spec, &self.give_up).map_err(|error| GitError::failed(error.to_string()))?;
        answered(name, call.limit, result)
    }
}

fn answered(name: &str, limit: Duration, result: CommandResult) -> Result<Answer, GitError> {
    match (result.ending, result.exit.code) {
        (CommandEnding::Exited, Some(_)) if result.truncated_bytes > 0 => {
            Err(GitError::too_large(format!("`git {name}` lists more than 256 MiB")))
        }
        (CommandEnding::Exited, Some(code)) => {
            let errors = String::from_utf8_lossy(&result.errors).into_owned();
            Ok(Answer { code, output: result.tail, errors })
        }
        (CommandEnding::Exited, None) => Err(GitError::failed(format!("`git {name}` failed: a signal killed it"))),
        (CommandEnding::TimedOut, _) => {
            let text = format!("`git {name}` did not end within {}s and was ended", limit.as_secs());
            Err(GitError { fault: GitFault::Hung, text })
        }
        (CommandEnding::Cancelled, _) => {
            Err(GitError { fault: GitFault::GivenUp, text: format!("`git {name}` was given up") })
        }
    }
}

fn succeeded(name: &str, answer: Answer) -> Result<Vec<u8>, GitError> {
    if answer.code == 0 { Ok(answer.output) } else { Err(failure(name, &answer)) }
}

fn failure(name: &str, answer: &Answer) -> GitError {
    GitError::failed(format!("`git {name}` failed: {}", answer.why()))
}
