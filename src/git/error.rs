//! Why a git command gave no answer.

/// The kind of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GitFault {
    /// Git failed or could not be started.
    Failed,
    /// Git did not end within its timeout and was killed.
    Hung,
    /// Git's output exceeds its limit.
    TooLarge,
    /// The caller gave it up, see [`crate::process::Cancel`].
    GivenUp,
}

/// Why a git command gave no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct GitError {
    /// The kind of the failure.
    pub fault: GitFault,
    /// The command and what git said.
    pub text: String,
}

impl GitError {
    /// A failure of the kind [`GitFault::Failed`].
    #[must_use]
    pub fn failed(text: String) -> Self {
        Self { fault: GitFault::Failed, text }
    }

    /// A failure of the kind [`GitFault::TooLarge`].
    #[must_use]
    pub fn too_large(text: String) -> Self {
        Self { fault: GitFault::TooLarge, text }
    }
}
