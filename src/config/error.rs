//! What is wrong with a configuration file or an option, and where.

use std::fmt;
use std::path::PathBuf;

use super::Origin;
use crate::files::ReadFault;

/// A position in a text file, counted from 1 as in editors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The line.
    pub line: usize,
    /// The column, in bytes.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Why there is no valid configuration. Nothing is started then.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file.
    #[error("{}: {fault}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        fault: FileFault,
    },
    /// An environment variable.
    #[error("the environment variable {name} (`{key}`) cannot be used: {message}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// The setting that it sets.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A setting that a project's file must not set.
    #[error("`{key}` from {origin}: {why}")]
    NotTheProjects {
        /// The setting.
        key: &'static str,
        /// The project's file.
        origin: Origin,
        /// Why not.
        why: &'static str,
        /// The variable that the user can set instead.
        variable: Option<&'static str>,
        /// The user's own file, which may set it.
        users_file: PathBuf,
    },
    /// A value of the right type that makes no sense.
    #[error("`{key}` from {origin}: {message}")]
    Senseless {
        /// The setting.
        key: &'static str,
        /// The value's source.
        origin: Origin,
        /// What is wrong with it.
        message: &'static str,
    },
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It exists and cannot be read: it is not a regular file, too large, or access is denied.
    #[error("{0}")]
    Unreadable(#[source] ReadFault),
    /// It is not text.
    #[error("is not valid UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first bad byte, counted from 0.
        offset: usize,
    },
    /// It is not JSON.
    #[error("is not valid JSON at {position}: {message}")]
    Syntax {
        /// Where.
        position: Position,
        /// The parser's message.
        message: String,
    },
    /// It is JSON with a duplicate key.
    #[error("has the same key twice, at {position}: {message}")]
    Twice {
        /// The second occurrence, or the first if that is invalid itself.
        position: Position,
        /// The parser's message.
        message: String,
    },
    /// It is JSON, but no object.
    #[error("must contain a JSON object, not {found}")]
    NotAnObject {
        /// The kind of its value.
        found: &'static str,
    },
    /// An unknown key. Nothing is started, because nobody would read the warning of an unattended run.
    #[error("`{key}`{} is not a setting of ccc{}", at(*position), did_you_mean(*nearest))]
    Unknown {
        /// The key with its path.
        key: String,
        /// Where it ends, if known.
        position: Option<Position>,
        /// The most similar known key.
        nearest: Option<&'static str>,
    },
    /// A key has a value of the wrong type.
    #[error("`{key}`{} cannot be used: {message}", at(*position))]
    Key {
        /// The key with its path.
        key: String,
        /// Where its value ends, if known.
        position: Option<Position>,
        /// What is wrong.
        message: String,
    },
}

/// A hint at the most similar setting.
fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
}

fn at(position: Option<Position>) -> String {
    position.map(|position| format!(" at {position}")).unwrap_or_default()
}
