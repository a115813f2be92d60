use std::path::{Path, PathBuf};

/// The project that ccc was started in: the current directory and, when it lies in a git repository, the top of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Project {
    /// The current directory, absolute.
    pub cwd: PathBuf,
    /// The top of the git repository that holds `cwd`.
    pub git_root: Option<PathBuf>,
}

impl Project {
    /// Looks upwards from `cwd` for `.git` (a directory, or the file that a worktree or submodule has).
    #[must_use]
    pub fn find(cwd: &Path) -> Self {
        Self {
            cwd: cwd.to_path_buf(),
            git_root: cwd.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_path_buf),
        }
    }

    /// Where the project's files are written: the top of the repository, else the current directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.git_root.as_deref().unwrap_or(&self.cwd)
    }

    /// Where the project's files are looked for, the first match wins: here, then at the top of the repository,
    /// so that a part of a large repository can have its own.
    pub fn places(&self) -> impl Iterator<Item = &Path> {
        let root = self.git_root.as_deref().filter(|root| *root != self.cwd);
        std::iter::once(self.cwd.as_path()).chain(root)
    }
}
