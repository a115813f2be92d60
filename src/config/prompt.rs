//! Which SUPERVISOR.md is in force, and why.

use std::fmt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Dirs, Project};
use crate::files::{self, PROMPT, ReadFault};

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

    /// The file in words: its path, or that it is built in.
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
    /// It is there and cannot be read: it is no regular file, too large, leads out of the project, or is not allowed.
    #[error("{}: the prompt file {fault}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: ReadFault,
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

/// A prompt's file that is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPrompt {
    /// The file.
    pub path: PathBuf,
    /// The directory that it may not lead out of: the project, when a file of the project names it. The agent's provider
    /// gets to read it, so a repository must not choose among the user's files.
    pub within: Option<PathBuf>,
}

/// Finds the prompt in force: the named file, else that of the project, else that of the user, else the built-in one.
///
/// # Errors
/// When the file in force is missing, unreadable, no text or empty.
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
        // In the home directory the project's file is the user's own, who may link it from anywhere.
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

/// Reads a prompt; `None` when there is no such file. A link may not lead out of `within`.
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
