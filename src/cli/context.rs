use std::ffi::OsString;
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::CliError;
use super::printer::Printer;
use crate::config::env::{NO_COLOR, PATH};
use crate::config::{Consents, Dirs, Env, Flags, Project, Resolved, agent, resolve};
use crate::control::SOCKETS_DIR;
use crate::core::Plan;
use crate::files::{DirFault, private_dir_fault, private_subdir_fault};
use crate::guard::ConsentStore;
use crate::keeper::KEEPER_DIR;
use crate::tasks::NIGHTS_DIR;
use crate::tokens::without_credentials;
use crate::ui::Style;

/// Everything that a command takes from its process. Tests pass their own, so commands use no global state.
pub struct Context {
    /// The environment.
    pub env: Env,
    /// Where to write.
    pub printer: Printer,
    /// Standard input; it can be read once.
    pub stdin: Stdin,
    cwd: Option<PathBuf>,
    dirs: Option<Dirs>,
}

impl Context {
    /// The environment, directory and streams of this process. Nothing is opened or read.
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

    /// A context made of these parts.
    #[must_use]
    pub fn new(env: Env, dirs: Dirs, cwd: PathBuf, printer: Printer, stdin: Stdin) -> Self {
        Self { env, printer, stdin, cwd: Some(cwd), dirs: Some(dirs) }
    }

    /// This context in another directory, without input and output.
    #[must_use]
    pub fn at(&self, cwd: &Path) -> Context {
        let printer = Printer::to(Box::new(io::sink()), Box::new(io::sink()));
        Context {
            env: self.env.clone(),
            printer,
            stdin: Stdin::of(io::empty()),
            cwd: Some(cwd.to_owned()),
            dirs: self.dirs.clone(),
        }
    }

    /// This context in another directory, without input.
    #[must_use]
    pub fn in_directory(&self, cwd: &Path) -> Context {
        let printer = Printer::of_process(&self.env);
        if let Some(warned) = self.printer.warned() {
            printer.warn_once_by(warned.to_owned());
        }
        Context { printer, ..self.at(cwd) }
    }

    /// The current directory.
    ///
    /// # Errors
    /// When it was deleted or cannot be entered.
    pub fn cwd(&self) -> Result<&Path, CliError> {
        self.cwd.as_deref().ok_or_else(|| {
            CliError::environment("the current directory does not exist any more or cannot be read")
                .hint("change to a directory that exists")
        })
    }

    /// The user's directories.
    ///
    /// # Errors
    /// When the user has no home directory.
    pub fn dirs(&self) -> Result<&Dirs, CliError> {
        self.dirs
            .as_ref()
            .ok_or_else(|| CliError::environment("there is no home directory").hint("set HOME to your home directory"))
    }

    /// The project around the current directory.
    ///
    /// # Errors
    /// When there is no current directory.
    pub fn project(&self) -> Result<Project, CliError> {
        Ok(Project::find(self.cwd()?))
    }

    /// Checks that the state directory and the directories in it belong to the user and nobody else can write to them.
    ///
    /// # Errors
    /// When it belongs to somebody else, or others can write to it.
    pub fn private_state(&self) -> Result<(), CliError> {
        // Without a home directory another error follows, at the place where the state is needed.
        let Some(dirs) = &self.dirs else { return Ok(()) };
        match state_fault(&dirs.state) {
            None => Ok(()),
            Some((dir, fault)) => {
                let message = format!("the state directory {} {fault}", dir.display());
                let hint = format!("set CCC_STATE_DIR to another directory, or type: {}", fault.remedy(&dir));
                Err(CliError::environment(message).hint(hint))
            }
        }
    }

    /// The style of text for people on this stream.
    #[must_use]
    pub fn style(&self, stream: &impl IsTerminal) -> Style {
        let text = |name: &str| self.env.get(name).and_then(|value| value.to_str());
        Style::decide(stream.is_terminal(), text(NO_COLOR), text("TERM"), crate::driver::terminal_columns())
    }

    /// What the user has agreed to, out of what the files of this project ask for.
    ///
    /// # Errors
    /// When there is no home directory.
    pub fn consents(&self, project: &Project) -> Result<Consents, CliError> {
        Ok(ConsentStore::new(&self.dirs()?.state).of(project.root()))
    }

    /// The settings, overridden by these flags; warnings go to stderr. Settings of the project's file that lack the
    /// user's agreement are left out.
    ///
    /// # Errors
    /// When the configuration cannot be understood.
    pub fn settings(&self, flags: Flags) -> Result<Resolved, CliError> {
        let resolved = self.settings_of(&self.project()?, flags)?;
        for warning in &resolved.warnings {
            self.printer.warn_of_settings(warning);
        }
        Ok(resolved)
    }

    /// As [`Self::settings`], of another project and without the warnings.
    ///
    /// # Errors
    /// As [`Self::settings`].
    pub fn settings_of(&self, project: &Project, flags: Flags) -> Result<Resolved, CliError> {
        Ok(resolve(self.dirs()?, project, &self.env, &self.consents(project)?, flags)?)
    }

    /// The agent's program as a person types it, to continue the session of this run; empty for a demonstration, whose session
    /// exists only in its scripted agent.
    #[must_use]
    pub fn typed_agent(&self, plan: &Plan) -> String {
        self.typed_agents().of(plan)
    }

    /// As [`Self::typed_agent`], for later.
    #[must_use]
    pub fn typed_agents(&self) -> TypedAgent {
        TypedAgent { path: self.env.get(PATH).map(ToOwned::to_owned) }
    }

    /// The environment for programs of the system and of the user: without any provider's credential.
    #[must_use]
    pub fn bare_env(&self) -> Vec<(OsString, OsString)> {
        without_credentials(&self.env, &[]).pairs().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }
}

/// How the agent's programs are typed where PATH is this.
#[derive(Debug, Clone)]
pub struct TypedAgent {
    path: Option<OsString>,
}

impl TypedAgent {
    /// The program of this run; empty for a demonstration.
    #[must_use]
    pub fn of(&self, plan: &Plan) -> String {
        if !plan.agent_first_args.is_empty() {
            return String::new();
        }
        agent::typed(plan.agent, Path::new(&plan.agent_program), self.path.as_deref())
    }
}

/// The directories that ccc creates in its state directory.
const IN_STATE: [&str; 10] =
    ["runs", "sessions", "trees", "trust", "prompts", "usage", "providers", SOCKETS_DIR, KEEPER_DIR, NIGHTS_DIR];

/// The first of the state directory and its directories that other users could have written to. A directory that cannot be
/// examined is skipped here; the error follows where the directory is used.
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
    /// Standard input of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self { terminal: io::stdin().is_terminal(), from: Mutex::new(Box::new(io::stdin())) }
    }

    /// Another source, not a terminal.
    #[must_use]
    pub fn of(from: impl Read + Send + 'static) -> Self {
        Self { from: Mutex::new(Box::new(from)), terminal: false }
    }

    /// Whether it is a terminal.
    #[must_use]
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Reads a line of at most this many bytes. On an error, returns what was read before it.
    #[must_use]
    pub fn read_line(&self, limit_bytes: u64) -> String {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut line, mut byte) = (Vec::new(), [0]);
        // Read byte by byte, so that nothing after the line is consumed. The process's stdin is buffered, so this is
        // cheap.
        while (line.len() as u64) < limit_bytes && from.read_exact(&mut byte).is_ok() && byte != *b"\n" {
            line.extend_from_slice(&byte);
        }
        String::from_utf8_lossy(&line).trim().to_owned()
    }

    /// Reads to the end, at most `limit_bytes`.
    ///
    /// # Errors
    /// The system's error.
    pub fn read_up_to(&self, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let mut from = self.from.lock().unwrap_or_else(PoisonError::into_inner);
        let mut bytes = Vec::new();
        (&mut *from).take(limit_bytes).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
