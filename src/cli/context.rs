use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::printer::Printer;
use super::{CliError, ErrorKind};
use crate::config::{Dirs, Env, Flags, Project, Resolved, resolve};

/// All that a command may take from the process it runs in. A test gives another one, so commands have no global state.
pub struct Context {
    /// The environment.
    pub env: Env,
    /// Where to write.
    pub printer: Printer,
    /// Where to read; read at most once.
    pub stdin: Stdin,
    cwd: Option<PathBuf>,
    dirs: Option<Dirs>,
}

impl Context {
    /// This process: its environment, directory and streams. Nothing is opened or read.
    #[must_use]
    pub fn of_process() -> Self {
        let env = Env::of_process();
        Self {
            printer: Printer::of_process(&env),
            stdin: Stdin::of_process(),
            cwd: std::env::current_dir().ok(),
            dirs: Dirs::of_process(&env),
            env,
        }
    }

    /// A context of given parts.
    #[must_use]
    pub fn new(env: Env, dirs: Dirs, cwd: PathBuf, printer: Printer, stdin: Stdin) -> Self {
        Self { env, printer, stdin, cwd: Some(cwd), dirs: Some(dirs) }
    }

    /// The current directory.
    ///
    /// # Errors
    /// When it was deleted or may not be entered.
    pub fn cwd(&self) -> Result<&Path, CliError> {
        self.cwd.as_deref().ok_or_else(|| {
            CliError::new(ErrorKind::Environment, "the current directory does not exist any more or cannot be read")
                .hint("change to a directory that exists")
        })
    }

    /// The user's directories.
    ///
    /// # Errors
    /// When the user has no home directory.
    pub fn dirs(&self) -> Result<&Dirs, CliError> {
        self.dirs.as_ref().ok_or_else(|| {
            CliError::new(ErrorKind::Environment, "there is no home directory").hint("set HOME to a directory of yours")
        })
    }

    /// The project around the current directory.
    ///
    /// # Errors
    /// When there is no current directory.
    pub fn project(&self) -> Result<Project, CliError> {
        Ok(Project::find(self.cwd()?))
    }

    /// The settings under these flags; warnings go to stderr.
    ///
    /// # Errors
    /// When the configuration cannot be understood.
    pub fn settings(&self, flags: Flags) -> Result<Resolved, CliError> {
        let resolved = resolve(self.dirs()?, &self.project()?, &self.env, flags)?;
        for warning in &resolved.warnings {
            self.printer.warn(warning);
        }
        Ok(resolved)
    }
}

/// Standard input.
pub struct Stdin {
    from: Mutex<Box<dyn Read + Send>>,
    terminal: bool,
}

impl Stdin {
    /// That of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { terminal: io::stdin().is_terminal(), from: Mutex::new(Box::new(io::stdin())) }
    }

    /// Another source, which is no terminal.
    #[must_use]
    pub fn of(from: impl Read + Send + 'static) -> Self {
        Self { from: Mutex::new(Box::new(from)), terminal: false }
    }

    /// Whether somebody types here.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Reads to the end, but no more than `limit_bytes`.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_up_to(&self, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        (&mut *from).take(limit_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
