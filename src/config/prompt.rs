//! Which SUPERVISOR.md is in force, and why.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Dirs, Project};

/// The built-in prompt, part of the program.
pub const BUILT_IN: &str = include_str!("../../prompts/SUPERVISOR.md");

/// The name of the file that is looked for.
pub const FILE_NAME: &str = "SUPERVISOR.md";

/// The critic's prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// What the critic is told.
    pub text: String,
    /// Where it was found.
    pub origin: PromptOrigin,
    /// The SHA-256 of the text, in hex: it stands in the journal's header.
    pub sha256: String,
}

/// Where a prompt was found. Its `Display` is the reason why this one is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptOrigin {
    /// The user named it, by option, variable or setting.
    Named(PathBuf),
    /// It lies in the project.
    Project(PathBuf),
    /// It lies in the project's `.claude` directory.
    ProjectClaude(PathBuf),
    /// It lies in the user's `.claude` directory.
    User(PathBuf),
    /// There is none, so it is the built-in one.
    BuiltIn,
}

impl PromptOrigin {
    /// The file, unless it is built in.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            PromptOrigin::Named(path)
            | PromptOrigin::Project(path)
            | PromptOrigin::ProjectClaude(path)
            | PromptOrigin::User(path) => Some(path),
            PromptOrigin::BuiltIn => None,
        }
    }

    /// One word for JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            PromptOrigin::Named(_) => "named",
            PromptOrigin::Project(_) => "project",
            PromptOrigin::ProjectClaude(_) => "project_claude",
            PromptOrigin::User(_) => "user",
            PromptOrigin::BuiltIn => "built_in",
        }
    }
}

impl fmt::Display for PromptOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            PromptOrigin::Named(_) => "it is named by an option, a variable or a setting",
            PromptOrigin::Project(_) => "the project has a SUPERVISOR.md",
            PromptOrigin::ProjectClaude(_) => "the project has a .claude/SUPERVISOR.md and no SUPERVISOR.md",
            PromptOrigin::User(_) => "you have a ~/.claude/SUPERVISOR.md and the project has none",
            PromptOrigin::BuiltIn => "neither the project nor your ~/.claude has a SUPERVISOR.md",
        })
    }
}

/// Why a prompt that is in force cannot be used. Another one is not taken in its place: a critic with other
/// instructions than the user's would judge wrongly in silence.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The file that the user named is not there.
    #[error("{}: there is no such prompt file", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It is there and cannot be read; a directory is among these.
    #[error("{}: the prompt file cannot be read: {error}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// It is no text.
    #[error("{}: the prompt file is not valid UTF-8 at byte {offset}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first bad byte, counted from 0.
        offset: usize,
    },
    /// Nothing but white space.
    #[error("{}: the prompt file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// Finds the prompt in force: the named file, else that of the project, else that of the user, else the built-in one.
///
/// # Errors
/// When the file in force is missing, unreadable, no text or empty.
pub fn find(named: Option<&Path>, project: &Project, dirs: &Dirs) -> Result<Prompt, PromptError> {
    if let Some(path) = named {
        let origin = PromptOrigin::Named(path.to_path_buf());
        return read(path, origin)?.ok_or_else(|| PromptError::Missing { path: path.to_path_buf() });
    }
    for place in project.places() {
        let plain = place.join(FILE_NAME);
        if let Some(prompt) = read(&plain, PromptOrigin::Project(plain.clone()))? {
            return Ok(prompt);
        }
        let claude = place.join(".claude").join(FILE_NAME);
        if let Some(prompt) = read(&claude, PromptOrigin::ProjectClaude(claude.clone()))? {
            return Ok(prompt);
        }
    }
    let user = dirs.home.join(".claude").join(FILE_NAME);
    if let Some(prompt) = read(&user, PromptOrigin::User(user.clone()))? {
        return Ok(prompt);
    }
    Ok(prompt(BUILT_IN.to_owned(), PromptOrigin::BuiltIn))
}

/// Reads a prompt; `None` when there is no such file.
fn read(path: &Path, origin: PromptOrigin) -> Result<Option<Prompt>, PromptError> {
    let path_buf = || path.to_path_buf();
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(None);
        }
        Err(error) => {
            return Err(PromptError::Unreadable { path: path_buf(), error });
        }
    };
    let text = String::from_utf8(bytes)
        .map_err(|error| PromptError::NotUtf8 { path: path_buf(), offset: error.utf8_error().valid_up_to() })?;
    if text.trim().is_empty() {
        return Err(PromptError::Empty { path: path_buf() });
    }
    Ok(Some(prompt(text, origin)))
}

fn prompt(text: String, origin: PromptOrigin) -> Prompt {
    let hash = Sha256::digest(text.as_bytes());
    Prompt { sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(), text, origin }
}
