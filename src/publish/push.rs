//! The user's `git push`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::said;
use super::target::Target;
use crate::config::Env;
use crate::process::{
    Cancel, CommandEnding, CommandErrors, CommandResult, CommandSpec, Cookie, EndedWithCcc, run_command,
};

/// How long a push may take, with the user's hooks.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// How much of the output is kept, from its end, in bytes.
const OUTPUT_LIMIT_BYTES: usize = 64 * 1024;
/// Variables with which git would work on another repository.
const OF_ANOTHER_REPOSITORY: &[&str] = &[
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_NAMESPACE",
    "GIT_PREFIX",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
];

/// What a push has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The remote had it before.
    pub was_there: bool,
    /// What the remote said, for the user.
    pub said: String,
}

/// Why nothing was pushed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{words}")]
pub struct Rejected {
    /// The remote has commits that the branch lacks.
    pub has_moved: bool,
    /// In git's words.
    pub words: String,
}

/// Pushes branches of one repository.
#[derive(Debug)]
pub struct Pusher {
    env: Vec<(OsString, OsString)>,
    dir: PathBuf,
}

impl Pusher {
    /// Pushes from this working tree or repository, with this environment.
    #[must_use]
    pub fn new(env: &Env, dir: &Path) -> Pusher {
        Pusher { env: environment(env), dir: dir.to_owned() }
    }

    /// Asks the remote whether it would take the branch. Nothing changes, and no hook runs.
    ///
    /// # Errors
    /// When the remote cannot be reached, or would reject the branch.
    pub fn try_out(&self, branch: &str, target: &Target) -> Result<(), Rejected> {
        self.run(&["--dry-run", "--no-verify"], branch, target).map(drop)
    }

    /// Pushes the branch.
    ///
    /// # Errors
    /// When the remote cannot be reached, or it or a hook rejects the branch.
    pub fn push(&self, branch: &str, target: &Target) -> Result<Pushed, Rejected> {
        self.run(&[], branch, target)
    }

    fn run(&self, options: &[&str], branch: &str, target: &Target) -> Result<Pushed, Rejected> {
        let refspec = format!("refs/heads/{branch}:{}", target.reference);
        let always = ["--porcelain", "--no-progress", "--no-follow-tags", "--recurse-submodules=check"];
        let to = ["--", &target.remote, &refspec];
        let args = ["push"].iter().chain(&always).chain(options).chain(&to).map(OsString::from).collect();
        let result = run("git", args, &self.env, &self.dir, LIMIT)
            .map_err(|words| Rejected { has_moved: false, words: format!("git push {words}") })?;
        outcome(&result)
    }
}

/// The environment of a command that the user could have typed. It asks nothing on a terminal.
pub(super) fn environment(env: &Env) -> Vec<(OsString, OsString)> {
    let pairs = env.pairs().filter(|(name, _)| !OF_ANOTHER_REPOSITORY.iter().any(|other| name == other));
    let mut env: Vec<(OsString, OsString)> = pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let quiet = [("GIT_TERMINAL_PROMPT", "0"), ("LC_ALL", "C"), ("GH_PROMPT_DISABLED", "1"), ("NO_COLOR", "1")];
    env.retain(|(name, _)| !quiet.iter().any(|(quiet, _)| name == quiet));
    env.extend(quiet.map(|(name, value)| (name.into(), value.into())));
    env
}

/// Runs a command to its end. The error says why it could not be, after the command's name.
pub(super) fn run(
    program: &str,
    args: Vec<OsString>,
    env: &[(OsString, OsString)],
    dir: &Path,
    timeout: Duration,
) -> Result<CommandResult, String> {
    let spec = CommandSpec {
        program: program.into(),
        args,
        env: env.to_vec(),
        cwd: dir.to_owned(),
        input: Vec::new(),
        timeout,
        grace: Duration::from_secs(5),
        output_tail_limit_bytes: OUTPUT_LIMIT_BYTES,
        errors: CommandErrors::Apart { tail_limit_bytes: OUTPUT_LIMIT_BYTES },
        cookie: Cookie { run_id: String::new(), attempt: 0 },
        walls: None,
        ended_with_ccc: EndedWithCcc::Tree,
    };
    let cancel = Cancel::new().map_err(|error| format!("cannot be run: {error}"))?;
    let result = run_command(&spec, &cancel).map_err(|error| format!("cannot be run: {error}"))?;
    match result.ending {
        CommandEnding::Exited => Ok(result),
        CommandEnding::TimedOut => Err(format!("did not end within {}s and was ended", timeout.as_secs())),
        CommandEnding::Cancelled => Err("was given up".to_owned()),
    }
}

/// `--porcelain` prints one line for the branch: a flag, a tab, both names, a tab, and a summary.
fn outcome(result: &CommandResult) -> Result<Pushed, Rejected> {
    let output = String::from_utf8_lossy(&result.tail);
    let record = |line: &'_ str| {
        let mut parts = line.splitn(3, '\t');
        Some((parts.next()?.to_owned(), parts.next()?.to_owned(), parts.next()?.to_owned()))
    };
    let line = output.lines().find_map(record);
    let words = said::words(&result.errors);
    if result.exit.code == Some(0) {
        let remote: Vec<&str> = words.lines().filter_map(|line| line.strip_prefix("remote: ")).map(str::trim).collect();
        return Ok(Pushed { was_there: line.is_some_and(|(flag, _, _)| flag == "="), said: remote.join("\n") });
    }
    let summary = line.map(|(_, _, summary)| summary).filter(|summary| summary.starts_with('['));
    let has_moved =
        summary.as_ref().is_some_and(|text| text.contains("(fetch first)") || text.contains("(non-fast-forward)"));
    // The user's hooks write between git's own lines.
    let of_git = |line: &&str| record(line).is_some() || line.starts_with("To ") || *line == "Done";
    let mut all: Vec<&str> = summary.as_deref().into_iter().collect();
    all.extend(output.lines().filter(|line| !of_git(line)));
    let failed = "error: failed to push some refs";
    all.extend(words.lines().filter(|line| !line.starts_with(failed)));
    let all = if all.is_empty() { "git push failed and said nothing".to_owned() } else { all.join("\n") };
    Err(Rejected { has_moved, words: said::words(all.as_bytes()) })
}
