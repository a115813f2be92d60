//! What is wrong with a configuration file or an option, and where.

use std::fmt;
use std::path::PathBuf;

use super::Origin;
use crate::files::ReadFault;

/// A place in a text file, counted from 1 as editors do.
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

/// Why there is no configuration. Nothing is started then.
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
    #[error("the environment variable {name} (`{key}`) does not fit: {message}")]
    Variable {
        /// Its name.
        name: &'static str,
        /// The setting it stands for.
        key: &'static str,
        /// What is wrong with it.
        message: String,
    },
    /// A value of the right type that makes no sense.
    #[error("`{key}` from {origin}: {message}")]
    Senseless {
        /// The setting.
        key: &'static str,
        /// Where it was set.
        origin: Origin,
        /// What is wrong with it.
        message: &'static str,
    },
}

/// What is wrong with a configuration file.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// It exists and cannot be read: it is no regular file, too large, or not allowed.
    #[error("{0}")]
    Unreadable(#[source] ReadFault),
    /// It is no text.
    #[error("is not valid UTF-8 at byte {offset}")]
    NotUtf8 {
        /// The first bad byte, counted from 0.
        offset: usize,
    },
    /// It is no JSON.
    #[error("is not valid JSON at {position}: {message}")]
    Syntax {
        /// Where.
        position: Position,
        /// What the parser says.
        message: String,
    },
    /// It is JSON in which a key stands twice.
    #[error("says a key twice, at {position}: {message}")]
    Twice {
        /// Where the second one stands, or the first when that one does not even fit.
        position: Position,
        /// What the parser says.
        message: String,
    },
    /// It is JSON of another kind.
    #[error("must hold a JSON object, not {found}")]
    NotAnObject {
        /// What it holds.
        found: &'static str,
    },
    /// An unknown key. Nothing is started, because nobody reads a warning of an unattended run.
    #[error("`{key}`{} is not a setting of ccc{}", At(*position), DidYouMean(*nearest))]
    Unknown {
        /// The key with its path.
        key: String,
        /// Where it ends, when it could be told.
        position: Option<Position>,
        /// The known key most like it.
        nearest: Option<&'static str>,
    },
    /// A key has a value of the wrong type.
    #[error("`{key}`{} does not fit: {message}", At(*position))]
    Key {
        /// The key with its path.
        key: String,
        /// Where its value ends, when it could be told.
        position: Option<Position>,
        /// What is wrong.
        message: String,
    },
}

/// `; did you mean …?`, or nothing.
struct DidYouMean(Option<&'static str>);

impl fmt::Display for DidYouMean {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(nearest) => write!(f, "; did you mean `{nearest}`?"),
            None => Ok(()),
        }
    }
}

/// ` at line 1, column 2`, or nothing.
struct At(Option<Position>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(position) => write!(f, " at {position}"),
            None => Ok(()),
        }
    }
}
