//! A scope of systemd for each process of an agent: a control group of its own, with a limit on memory.
//!
//! `systemd-run --scope` asks systemd for the scope, and then executes the program in its own place: the process id, the session and
//! the descriptors stay those that ccc has made. What the program starts is in the scope, too. ccc itself and its checks are not.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// How an agent's processes get a scope with a limit on memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    pub(super) program: PathBuf,
    pub(super) options: Vec<OsString>,
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
