//! Limits on what each process of an agent uses, with all that it starts.
//!
//! The best one is a scope of systemd, a control group of its own: `systemd-run --scope` asks systemd for it, and then executes the
//! program in its own place. The process id, the session and the descriptors stay those that ccc has made. What the program starts is
//! in the scope, too. ccc itself and its checks are not. Where systemd makes none, ccc makes the control group itself, where it may;
//! and where it may not, the kernel limits each process by itself.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use super::system::{EachLimits, GroupPlace, OwnGroup};

/// How an agent's processes are limited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limiter(pub(super) By);

/// By what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    /// A scope of systemd for each.
    Scope(Scope),
    /// A control group for each, made by ccc.
    Group(GroupPlace),
    /// The kernel's limits of a process.
    Each(EachLimits),
}

impl Limiter {
    /// What limits, as the subject of a sentence.
    #[must_use]
    pub fn subject(&self) -> &'static str {
        match &self.0 {
            By::Scope(_) => "systemd",
            By::Group(_) => "a control group of ccc's own",
            By::Each(_) => "the kernel",
        }
    }

    /// Whether it limits the memory of each process by itself only, so that one that has used it up is not killed: its allocations
    /// fail.
    #[must_use]
    pub fn fails_allocations(&self) -> bool {
        matches!(&self.0, By::Each(limits) if limits.data_bytes.is_some())
    }
}

/// What one child is put into, or gets, between fork and exec.
#[derive(Debug)]
pub(super) enum Inside {
    Group(OwnGroup),
    Each(EachLimits),
}

impl Inside {
    /// Whether the number of processes is limited, so that they must be counted apart from the user's others.
    pub(super) fn is_counted(&self) -> bool {
        matches!(self, Inside::Each(limits) if limits.tasks.is_some())
    }

    /// The first step, so that all others are within.
    pub(super) fn enter(&self) -> io::Result<()> {
        match self {
            Inside::Group(group) => group.enter(),
            Inside::Each(_) => Ok(()),
        }
    }

    /// Behind the walls: only there processes are counted by themselves.
    pub(super) fn limit(&self) -> io::Result<()> {
        match self {
            Inside::Group(_) => Ok(()),
            Inside::Each(limits) => limits.set(),
        }
    }
}

/// How systemd makes scopes with limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
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

/// The limits of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limited {
    /// How it is limited.
    pub by: Limiter,
    /// The name of its group, which nothing else has: it ends in the pid of ccc and a number, with `-` before each.
    pub name: String,
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

impl Limited {
    /// The name of its scope.
    pub(super) fn unit(&self) -> String {
        format!("ccc-{}.scope", self.name)
    }

    /// The scope and the command that executes this program in it. `None` without a scope, and for a program that is not there:
    /// then the system says so itself.
    pub(super) fn around(
        &self,
        program: &Path,
        args: &[OsString],
        cwd: &Path,
    ) -> Option<(&Scope, (PathBuf, Vec<OsString>))> {
        let By::Scope(scope) = &self.by.0 else { return None };
        let is_there = program.components().count() == 1 || cwd.join(program).exists();
        is_there.then(|| (scope, scope.around(&self.unit(), program, args)))
    }

    /// What the child is put into, or gets. `None` for what a scope holds. Without walls its processes are not counted apart, so
    /// there is no limit on their number.
    pub(super) fn inside(&self, has_walls: bool) -> io::Result<Option<Inside>> {
        match &self.by.0 {
            By::Scope(_) => Ok(None),
            By::Group(place) => place.make(&self.name).map(Inside::Group).map(Some),
            By::Each(limits) => {
                let tasks = limits.tasks.filter(|_| has_walls);
                Ok(Some(Inside::Each(EachLimits { tasks, ..*limits })))
            }
        }
    }
}
