use std::path::{Path, PathBuf};

/// The project in which ccc was started: the current directory and, inside a git repository, the top of the
/// repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The current directory, absolute.
    pub cwd: PathBuf,
    /// The top of the git repository that holds `cwd`.
    pub git_root: Option<PathBuf>,
}

impl Project {
    /// Searches from `cwd` upwards for `.git` (a directory, or the file of a worktree or submodule).
    #[must_use]
    pub fn find(cwd: &Path) -> Self {
        Self {
            cwd: cwd.to_path_buf(),
            git_root: cwd.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_path_buf),
        }
    }

    /// Where the project's files are written: the top of the repository, otherwise the current directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.git_root.as_deref().unwrap_or(&self.cwd)
    }

    /// Where the project's files are searched, the first match wins: in the current directory, then at the top of the
    /// repository, so that a part of a large repository can have its own.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        let root = self.git_root.as_deref().filter(|root| *root != self.cwd);
        std::iter::once(self.cwd.as_path()).chain(root)
    }
}
