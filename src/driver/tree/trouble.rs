//! Why a tree was not measured.

use crate::core::TreeFault;
use crate::git::{GitError, GitFault};

/// Why a tree was not measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trouble {
    pub(super) fault: TreeFault,
    pub(super) text: String,
}

impl Trouble {
    pub(super) fn failed(text: String) -> Self {
        Self { fault: TreeFault::Failed, text }
    }

    pub(super) fn too_large(text: String) -> Self {
        Self { fault: TreeFault::TooLarge, text }
    }
}

impl From<GitError> for Trouble {
    fn from(error: GitError) -> Self {
        let fault = match error.fault {
            GitFault::Failed | GitFault::GivenUp => TreeFault::Failed,
            GitFault::Hung => TreeFault::Hung,
            GitFault::TooLarge => TreeFault::TooLarge,
        };
        Self { fault, text: error.text }
    }
}
