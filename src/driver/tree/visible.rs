//! Whether git lists any of a project's files.

use std::fs;
use std::path::Path;

use super::git_root;
use crate::config::GitDirs;
use crate::driver::ChildEnv;
use crate::files;
use crate::git::Git;
use crate::process::Cancel;

/// Which changes in a directory ccc can see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// The files that git tracks or does not ignore.
    Repository,
    /// All files: the directory is in no repository.
    EveryFile,
    /// None: the repository tracks no file and ignores all of them.
    Nothing,
}

impl Visibility {
    /// The visibility of `dir`. Git is called only if the index is empty, so an ordinary run starts without delay.
    #[must_use]
    pub fn of(dir: &Path, env: &ChildEnv, run_id: &str) -> Self {
        let Some(top) = git_root(dir) else { return Self::EveryFile };
        if tracked_files(&top) != 0 || !has_files(&top) {
            return Self::Repository;
        }
        let Ok(cancel) = Cancel::new() else { return Self::Repository };
        let args = ["ls-files", "-o", "-z", "--directory", "--no-empty-directory", "--exclude-standard"];
        match Git::new(&env.0, run_id, cancel).output(&top, &args) {
            Ok(shown) if shown.is_empty() => Self::Nothing,
            Ok(_) | Err(_) => Self::Repository,
        }
    }
}

fn has_files(top: &Path) -> bool {
    let names = fs::read_dir(top).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.into_iter().any(|name| name != ".git" && name != ".gitignore")
}

/// The number of entries in the header of git's index; 0 without an index.
fn tracked_files(top: &Path) -> u32 {
    let index = GitDirs::of(top).own.join("index");
    match files::read_if_there(&index, files::GIT_STATE) {
        Ok(None) => 0,
        Ok(Some(bytes)) => bytes.get(8..12).and_then(|count| count.try_into().ok()).map_or(0, u32::from_be_bytes),
        // An index that is too large to read is not empty.
        Err(_) => u32::MAX,
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::Visibility;
    use crate::driver::ChildEnv;

    #[test]
    fn a_directory_without_git_and_a_repository_that_ignores_everything_are_told_apart() {
        let dir = tempfile::tempdir().expect("a directory");
        let env = ChildEnv(std::env::vars_os().filter(|(name, _)| name == "PATH").collect());
        let seen = || Visibility::of(dir.path(), &env, "run");
        assert_eq!(seen(), Visibility::EveryFile);
        let git = |args: &[&str]| {
            let status = Command::new("git").args(args).current_dir(dir.path()).status();
            assert!(status.expect("git").success());
        };
        git(&["init", "-q"]);
        assert_eq!(seen(), Visibility::Repository, "it is empty");
        fs::write(dir.path().join("code.rs"), "fn main() {}").expect("written");
        assert_eq!(seen(), Visibility::Repository, "not tracked and not ignored");
        fs::write(dir.path().join(".gitignore"), "*\n").expect("written");
        assert_eq!(seen(), Visibility::Nothing);
        git(&["add", "-f", "code.rs"]);
        assert_eq!(seen(), Visibility::Repository, "one file is tracked");
    }
}
