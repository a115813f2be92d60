//! Finds the SUPERVISOR.md in force, and the reason.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Dirs, Project};
use crate::files::{self, PROMPT, ReadFault};

/// The built-in prompt, part of the program.
pub const BUILT_IN: &str = include_str!("../../prompts/SUPERVISOR.md");

/// The name of the file.
pub const FILE_NAME: &str = "SUPERVISOR.md";

/// The critic's prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// The text for the critic.
    pub text: String,
    /// Its source.
    pub origin: PromptOrigin,
    /// The SHA-256 of the text, in hex, as written to the journal's header.
    pub sha256: String,
}

/// The source of a prompt. Its `Display` is the reason why this prompt is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PromptOrigin {
    /// An option, a variable or a setting names it.
    Named(PathBuf),
    /// It is in the project.
    Project(PathBuf),
    /// It is in the project's `.claude` directory.
    ProjectClaude(PathBuf),
    /// It is in the user's `.claude` directory.
    User(PathBuf),
    /// No file exists, so the built-in prompt is used.
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

    /// The file as text: its path, or that it is built in.
    #[must_use]
    pub fn place(&self) -> String {
        self.path().map_or_else(|| "built-in".to_owned(), |path| path.display().to_string())
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

/// Why the prompt in force cannot be used. No other prompt replaces it, because a critic with other instructions than
/// the user's would silently judge wrongly.
#[derive(Debug, thiserror::Error)]
pub enum PromptError {
    /// The file that the user named does not exist.
    #[error("{}: the prompt file does not exist", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// It exists and cannot be read: it is not a regular file, too large, a link out of the project, or access is
    /// denied.
    #[error("{}: the prompt file {fault}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: ReadFault,
    },
    /// It is not text.
    #[error("{}: the prompt file is not valid UTF-8 at byte {offset}", path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// The first bad byte, counted from 0.
        offset: usize,
    },
    /// It contains only white space.
    #[error("{}: the prompt file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
}

/// A named prompt file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPrompt {
    /// The file.
    pub path: PathBuf,
    /// The directory that it must not leave: the project, if a file of the project names it. The agent's provider
    /// gets to read the prompt, so a repository must not choose among the user's files.
    pub within: Option<PathBuf>,
}

/// Finds the prompt in force: the named file, otherwise that of the project, of the user, or the built-in one.
///
/// # Errors
/// When the file in force is missing, unreadable, not text or empty.
pub fn find(named: Option<&NamedPrompt>, project: &Project, dirs: &Dirs) -> Result<Prompt, PromptError> {
    if let Some(NamedPrompt { path, within }) = named {
        let origin = PromptOrigin::Named(path.clone());
        return read(path, within.as_deref(), origin)?.ok_or_else(|| PromptError::Missing { path: path.clone() });
    }
    let user = dirs.home.join(".claude").join(FILE_NAME);
    let root = project.root();
    for place in project.places() {
        let plain = place.join(FILE_NAME);
        if let Some(prompt) = read(&plain, Some(root), PromptOrigin::Project(plain.clone()))? {
            return Ok(prompt);
        }
        let claude = place.join(".claude").join(FILE_NAME);
        // In the home directory the project's file is the user's own, which may link to any place.
        let within = (claude != user).then_some(root);
        if let Some(prompt) = read(&claude, within, PromptOrigin::ProjectClaude(claude.clone()))? {
            return Ok(prompt);
        }
    }
    if let Some(prompt) = read(&user, None, PromptOrigin::User(user.clone()))? {
        return Ok(prompt);
    }
    Ok(prompt(BUILT_IN.to_owned(), PromptOrigin::BuiltIn))
}

/// Reads a prompt; `None` when there is no such file. A link must not lead out of `within`.
fn read(path: &Path, within: Option<&Path>, origin: PromptOrigin) -> Result<Option<Prompt>, PromptError> {
    let path_buf = || path.to_path_buf();
    let read = match within {
        Some(dir) => files::read_within(dir, path, PROMPT),
        None => files::read_if_there(path, PROMPT),
    };
    let Some(bytes) = read.map_err(|fault| PromptError::Unreadable { path: path_buf(), fault })? else {
        return Ok(None);
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
