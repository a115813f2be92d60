//! Why a list of tasks cannot be used. The texts follow the list's name.

/// Why a list cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ListFault {
    /// It is no text.
    #[error("is not valid UTF-8 at byte {at}: it is no text file, or has another encoding")]
    NotUtf8 {
        /// How many bytes before it are valid.
        at: usize,
    },
    /// It has characters that no text has.
    #[error("has a NUL character in line {line}: it is no text file")]
    Binary {
        /// The line, from 1.
        line: usize,
    },
    /// There is no task in it.
    #[error("has no task")]
    Empty,
    /// There are too many.
    #[error("has {found} tasks; a list may have {limit}")]
    TooMany {
        /// How many there are.
        found: usize,
        /// How many there may be.
        limit: usize,
    },
    /// It is no JSON.
    #[error("is not valid JSON: {0}")]
    Json(String),
    /// An entry of a JSON list is wrong.
    #[error("entry {number}: {fault}")]
    Entry {
        /// The entry, from 1.
        number: usize,
        /// What is wrong with it.
        fault: EntryFault,
    },
}

/// What is wrong with an entry of a JSON list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryFault {
    /// It is neither a text nor an object.
    #[error("it must be a task in quotes, or an object with `task`")]
    Shape,
    /// It has no task.
    #[error("`task` is missing or empty")]
    NoTask,
    /// It has a key that has no meaning.
    #[error("unknown key `{key}`; the keys are {known}")]
    UnknownKey {
        /// The key.
        key: String,
        /// All keys, for the user.
        known: String,
    },
    /// A value is wrong.
    #[error("`{key}`: {why}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with its value.
        why: String,
    },
}
