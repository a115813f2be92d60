use std::path::{Path, PathBuf};

use crate::files::{self, GIT_STATE};

/// Git's directory of one working tree, and the one that all trees of a repository share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitDirs {
    /// The tree's own: `.git`, or the directory that the file `.git` of a worktree or submodule names.
    pub own: PathBuf,
    /// The shared directory.
    pub common: PathBuf,
}

impl GitDirs {
    /// Those of the working tree with this top. Only files are read: git is not run.
    #[must_use]
    pub fn of(top: &Path) -> Self {
        let dot_git = top.join(".git");
        let pointer = read(&dot_git);
        let named = pointer.as_deref().and_then(|text| text.strip_prefix("gitdir:")).map(str::trim);
        let own = named.map_or(dot_git, |named| top.join(named));
        let common = read(&own.join("commondir")).map_or_else(|| own.clone(), |named| own.join(named.trim()));
        Self { own, common }
    }

    /// For a linked working tree, the main one of its repository; for that of a bare repository, the repository itself. A
    /// directory can name any repository as its own, so the repository must know it, too.
    #[must_use]
    pub fn main_tree(top: &Path) -> Option<PathBuf> {
        let top = top.canonicalize().ok()?;
        let dirs = Self::of(&top);
        let (own, common) = (dirs.own.canonicalize().ok()?, dirs.common.canonicalize().ok()?);
        let link = read(&own.join("gitdir"))?;
        let known = own.join(link.trim_end_matches('\n')).canonicalize().ok()?;
        if own.parent() != Some(&*common.join("worktrees")) || known != top.join(".git") {
            return None;
        }
        let main = common.parent().filter(|_| common.file_name().is_some_and(|name| name == ".git"));
        let main = main.filter(|main| main.join(".git").canonicalize().is_ok_and(|found| found == common));
        Some(main.map_or_else(|| common.clone(), Path::to_owned))
    }
}

fn read(path: &Path) -> Option<String> {
    files::read(path, GIT_STATE).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}
