//! A scope of systemd for each process of an agent: a control group of its own, with limits on memory and processes.
//!
//! `systemd-run --scope` asks systemd for the scope, and then executes the program in its own place: the process id, the session and
//! the descriptors stay those that ccc has made. What the program starts is in the scope, too. ccc itself and its checks are not.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How an agent's processes get a scope with limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub(super) program: PathBuf,
    pub(super) options: Vec<OsString>,
    /// The control group in which systemd makes the scopes, where it can be told.
    pub(super) around: Option<String>,
    /// When the kernel kills one process of a scope for its memory, systemd asks all others of it to end (before 253).
    pub(super) ends_whole: bool,
}

/// What all processes of one scope may use together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScopeLimits {
    /// How much memory, in bytes.
    pub memory_max_bytes: Option<u64>,
    /// How many processes and threads.
    pub tasks_max: Option<u32>,
}

impl ScopeLimits {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::default()
    }
}

/// The scope of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scoped {
    /// How it is made.
    pub scope: Scope,
    /// Its name, which nothing else has.
    pub unit: String,
}

/// Why there are no scopes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoScope {
    /// The program is not there.
    #[error("there is no systemd-run")]
    NoProgram,
    /// It does not work, for example because systemd is not the init of this system.
    #[error("systemd-run makes no scope: {said}")]
    Refused {
        /// What it said, in one line.
        said: String,
    },
}

impl Scope {
    /// The command that executes this program in a scope of this name.
    pub(super) fn around(&self, unit: &str, program: &Path, args: &[OsString]) -> (PathBuf, Vec<OsString>) {
        let own = self.options.iter().cloned().chain([format!("--unit={unit}").into(), "--".into()]);
        (self.program.clone(), own.chain([program.as_os_str().to_owned()]).chain(args.iter().cloned()).collect())
    }
}

impl Scoped {
    /// The command that executes this program in the scope. `None` for a program that is not there: then the system says so itself.
    pub(super) fn around(&self, program: &Path, args: &[OsString], cwd: &Path) -> Option<(PathBuf, Vec<OsString>)> {
        let is_there = program.components().count() == 1 || cwd.join(program).exists();
        is_there.then(|| self.scope.around(&self.unit, program, args))
    }
}
