use std::path::{Path, PathBuf};

use crate::files::{self, GIT_STATE};

/// Where git keeps what belongs to one working tree, and what all trees of a repository share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitDirs {
    /// The tree's own: `.git`, or what the file of that name points to in a worktree and in a submodule.
    pub own: PathBuf,
    /// What all trees share.
    pub common: PathBuf,
}

impl GitDirs {
    /// Those of the working tree with this top. They are only looked for in files: git is not asked.
    #[must_use]
    pub fn of(top: &Path) -> Self {
        let dot_git = top.join(".git");
        let pointer = read(&dot_git);
        let named = pointer.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(str::trim);
        let own = named.map_or(dot_git, |named| top.join(named));
        let common = read(&own.join("commondir")).map_or_else(|| own.clone(), |named| own.join(named.trim()));
        Self { own, common }
    }
}

fn read(path: &Path) -> Option<String> {
    files::read(path, GIT_STATE).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
