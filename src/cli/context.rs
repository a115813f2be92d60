use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::printer::Printer;
use super::{CliError, ErrorKind};
use crate::config::env::NO_COLOR;
use crate::config::{Consents, Dirs, Env, Flags, Project, Resolved, resolve};
use crate::files::{DirFault, private_dir_fault, private_subdir_fault};
use crate::guard::ConsentStore;
use crate::ui::Style;

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

    /// Looks whether the state directory, and what is in it, is the user's alone.
    ///
    /// # Errors
    /// When it belongs to somebody else, or others can write to it.
    pub fn private_state(&self) -> Result<(), CliError> {
        // Without a home directory there is another error to tell, where the state is needed.
        let Some(dirs) = &self.dirs else { return Ok(()) };
        match state_fault(&dirs.state) {
            None => Ok(()),
            Some((dir, fault)) => {
                let message = format!("the state directory {} {fault}", dir.display());
                let hint = format!("name another directory with CCC_STATE_DIR, or type: {}", fault.remedy(&dir));
                Err(CliError::new(ErrorKind::Environment, message).hint(hint))
            }
        }
    }

    /// How text for people is written to this stream.
    #[must_use]
    pub fn style(&self, stream: &impl IsTerminal) -> Style {
        let text = |name: &str| self.env.get(name).and_then(|value| value.to_str());
        Style::decide(stream.is_terminal(), text(NO_COLOR), text("TERM"), crate::driver::terminal_columns())
    }

    /// What the user has agreed to of what the project's files ask for.
    ///
    /// # Errors
    /// When there is no current directory or no home directory.
    pub fn consents(&self) -> Result<Consents, CliError> {
        Ok(ConsentStore::new(&self.dirs()?.state).of(self.project()?.root()))
    }

    /// The settings under these flags; warnings go to stderr. What the project's file asks for without the user's agreement
    /// does not count in them.
    ///
    /// # Errors
    /// When the configuration cannot be understood.
    pub fn settings(&self, flags: Flags) -> Result<Resolved, CliError> {
        let resolved = resolve(self.dirs()?, &self.project()?, &self.env, &self.consents()?, flags)?;
        for warning in &resolved.warnings {
            self.printer.warn(warning);
        }
        Ok(resolved)
    }
}

/// The directories that ccc makes in its state directory.
const IN_STATE: [&str; 6] = ["runs", "sessions", "trees", "trust", "prompts", "usage"];

/// The state directory, or one in it, that others could have put something into. One that cannot be looked at is told of
/// where it is used.
pub(super) fn state_fault(state: &Path) -> Option<(PathBuf, DirFault)> {
    if let Ok(Some(fault)) = private_dir_fault(state) {
        return Some((state.to_owned(), fault));
    }
    IN_STATE.into_iter().map(|name| state.join(name)).find_map(|dir| {
        let fault = private_subdir_fault(&dir).ok()??;
        Some((dir, fault))
    })
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

    /// Reads a line, but no more than this many bytes of it; what cannot be read is an empty one.
    #[must_use]
    pub fn read_line(&self, limit_bytes: u64) -> String {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut line, mut byte) = (Vec::new(), [0]);
        // Byte by byte, so that nothing after the line is taken; the process's own stdin is buffered.
        while (line.len() as u64) < limit_bytes && from.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            line.extend_from_slice(&byte);
        }
        String::from_utf8_lossy(&line).trim().to_owned()
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
