//! Specifications of the processes to start.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use super::scope::Limited;
use super::system::Walls;

/// Environment variable with the id of the run that a process belongs to; [`super::sweep_run`] searches for it.
pub const RUN_ID_VARIABLE: &str = "CCC_RUN_ID";
/// Environment variable with the number of the attempt.
pub const ATTEMPT_VARIABLE: &str = "CCC_ATTEMPT";
/// Environment variable with a value unique to each start, so that the tools of the agent and of the critic can be told apart
/// although both belong to the same run and attempt.
pub const SPAWN_VARIABLE: &str = "CCC_SPAWN";

/// Marks every descendant of a child through the inherited environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cookie {
    /// The run's id, the value of [`RUN_ID_VARIABLE`].
    pub run_id: String,
    /// The attempt's number, the value of [`ATTEMPT_VARIABLE`].
    pub attempt: u32,
}

/// How ccc reads the child's stdout. stdin and stderr are pipes in either case: the real CLI refuses a terminal on stdin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// The slave of a PTY in raw mode, which is the child's controlling terminal.
    Pty {
        /// Width, in characters.
        cols: u16,
        /// Height, in lines.
        rows: u16,
    },
    /// A pipe. When ccc dies, stdin is closed, but no signal is sent.
    Pipe,
}

/// What to start, and where.
#[derive(Clone, PartialEq, Eq)]
pub struct ChildSpec {
    /// The program: a path (a relative one is resolved in `cwd`), or a bare name that is looked up in the `PATH` of `env`.
    pub program: PathBuf,
    /// Arguments without the program's own name.
    pub args: Vec<OsString>,
    /// The child's whole environment except for the cookies; nothing is inherited.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// How ccc reads stdout.
    pub transport: Transport,
    /// Set as [`RUN_ID_VARIABLE`] and [`ATTEMPT_VARIABLE`]; takes precedence over `env`.
    pub cookie: Cookie,
    /// The limits on what it uses, if there are any.
    pub limited: Option<Limited>,
    /// The walls around it, if there are any.
    pub walls: Option<Arc<Walls>>,
}

impl fmt::Debug for ChildSpec {
    /// Omits the values of the environment, which hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &Names(&self.env))
            .field("cwd", &self.cwd)
            .field("transport", &self.transport)
            .field("cookie", &self.cookie)
            .field("limited", &self.limited)
            .field("walls", &self.walls)
            .finish()
    }
}

/// An interactive program to start. The user controls it, not ccc.
#[derive(Clone, PartialEq, Eq)]
pub struct InteractiveSpec {
    /// See [`ChildSpec::program`].
    pub program: PathBuf,
    /// Arguments without the program's own name.
    pub args: Vec<OsString>,
    /// The whole environment except for the cookies.
    pub env: Vec<(OsString, OsString)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Marks the program and all its descendants.
    pub cookie: Cookie,
    /// The walls around it, if there are any.
    pub walls: Option<Arc<Walls>>,
}

impl fmt::Debug for InteractiveSpec {
    /// Omits the values of the environment, which hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("InteractiveSpec")
            .field("program", &self.program)
            .field("args", &self.args)
            .field("env", &Names(&self.env))
            .field("cwd", &self.cwd)
            .field("cookie", &self.cookie)
            .field("walls", &self.walls)
            .finish()
    }
}

/// Shows the names of environment variables only.
pub(super) struct Names<'a>(pub(super) &'a [(OsString, OsString)]);

impl fmt::Debug for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}
