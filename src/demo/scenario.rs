//! The script of `ccc demo`: an example of what ccc does, in about twenty seconds.
//!
//! The first token reaches its limit, and ccc changes to the second. The agent says "done" too early, and a check fails. The
//! provider fails once. The critic asks for more. The agent is killed during a tool call and resumed, then it hangs and is
//! restarted. The second token reaches its limit, and ccc waits for the reset. Finally the critic agrees. The files and the
//! checks are real.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use thiserror::Error;

use super::scripted::Script;

/// Names the script's file. By default the script of `ccc demo` is played.
pub const SCRIPT_VARIABLE: &str = "CCC_SCRIPT";
/// Names the directory of the transcripts; by default one per working directory in the system's temporary directory.
pub const HOME_VARIABLE: &str = "CCC_SCRIPTED_HOME";

const NIGHT: &str = include_str!("scenario.json");
const TASK: &str =
    "Write wordcount.sh, a small program that prints the number of words in a file, with a test in test.sh.";
const CHECK: &str = "sh test.sh";
const README: &str = "# wordcount\n\nA small program that counts the words of a file.\n";

/// A demonstration that is ready to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// The project, a git repository with one commit; the run's working directory.
    pub project: PathBuf,
    /// The task.
    pub task: String,
    /// The commands that check each stop.
    pub checks: Vec<String>,
    /// The script's file.
    pub script_path: PathBuf,
    /// Where the scripted agent keeps its transcripts.
    pub home: PathBuf,
}

impl Scenario {
    /// The additional variables of the agent's environment.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, String)> {
        let path = |path: &Path| path.to_string_lossy().into_owned();
        vec![(SCRIPT_VARIABLE.to_owned(), path(&self.script_path)), (HOME_VARIABLE.to_owned(), path(&self.home))]
    }
}

/// Why the demonstration could not be prepared.
#[derive(Debug, Error)]
pub enum ScenarioError {
    /// A file or directory could not be written.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// The path.
        path: PathBuf,
        /// The error.
        source: io::Error,
    },
    /// git could not be run.
    #[error("git cannot be run: {0}")]
    NoGit(io::Error),
    /// git failed.
    #[error("`git {arguments}` failed in {directory}: {said}")]
    Git {
        /// Its arguments.
        arguments: String,
        /// The directory.
        directory: PathBuf,
        /// What it wrote to stderr.
        said: String,
    },
}

/// The script of the demonstration.
#[must_use]
pub fn script() -> Script {
    // A test reads the script, so it is valid. With an empty one the agent would say that the script has no further turn.
    Script::read(NIGHT).unwrap_or_default()
}

/// Prepares the demonstration in `dir`: a project under git, and the script beside it.
///
/// # Errors
/// When a file cannot be written or git fails.
pub fn prepare(dir: &Path) -> Result<Scenario, ScenarioError> {
    let (project, home) = (dir.join("wordcount"), dir.join("sessions"));
    for path in [&project, &home] {
        fs::create_dir_all(path).map_err(|source| ScenarioError::Write { path: path.clone(), source })?;
    }
    let script_path = dir.join("scenario.json");
    for (path, text) in [(script_path.clone(), NIGHT), (project.join("README.md"), README)] {
        fs::write(&path, text).map_err(|source| ScenarioError::Write { path, source })?;
    }
    git(&project, &["init", "--quiet"])?;
    git(&project, &["add", "--all"])?;
    git(
        &project,
        &["-c", "user.name=ccc", "-c", "user.email=ccc@localhost", "commit", "--quiet", "--no-gpg-sign", "-m", "Begin"],
    )?;
    Ok(Scenario { project, task: TASK.to_owned(), checks: vec![CHECK.to_owned()], script_path, home })
}

fn git(directory: &Path, arguments: &[&str]) -> Result<(), ScenarioError> {
    let output = Command::new("git")
        // Automatic maintenance would run in a background process that outlives the command.
        .args(["-c", "maintenance.auto=false", "-c", "gc.auto=0"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .map_err(ScenarioError::NoGit)?;
    if output.status.success() {
        return Ok(());
    }
    Err(ScenarioError::Git {
        arguments: arguments.join(" "),
        directory: directory.to_owned(),
        said: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}
