//! What in git's directory makes git run programs, as it was when a run began. Where the walls cannot keep it from being written, a
//! change is named at the end of the run, because the user's own git would run it outside of all walls.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::files::{self, GIT_STATE};
use crate::journal::sha256_hex;
use crate::order::map_of;

/// How many hooks are looked at.
const MOST_HOOKS: usize = 200;
/// The files beside the hooks. `commondir` leads git to a configuration elsewhere.
const FILES: &[&str] = &["config", "config.worktree", COMMON];
/// The end of the names of the examples that git makes with each repository, and never runs.
const EXAMPLE: &str = ".sample";

/// A file of a linked working tree that leads to the repository. In the repository itself it would lead git to another configuration.
const COMMON: &str = "commondir";

/// A file that git follows, and that was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangedProgram {
    /// The file.
    pub file: PathBuf,
    /// It was not there before, no git writes it there, and it gives git another configuration.
    pub is_foreign: bool,
}

/// The contents, by their hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct GitPrograms {
    dirs: Vec<PathBuf>,
    hashes: BTreeMap<PathBuf, String>,
}

impl GitPrograms {
    /// Those of these directories of git, now.
    pub(super) fn of(dirs: &[PathBuf]) -> Self {
        let files =
            dirs.iter().flat_map(|dir| FILES.iter().map(|name| dir.join(name)).chain(hooks(&dir.join("hooks"))));
        let hashes = map_of(files.filter_map(|file| Some((file.clone(), hash(&file)?))));
        Self { dirs: dirs.to_vec(), hashes }
    }

    /// What was added, changed or removed since.
    pub(super) fn changed(&self) -> Vec<ChangedProgram> {
        let now = Self::of(&self.dirs).hashes;
        let differs = |file: &&PathBuf| now.get(*file) != self.hashes.get(*file);
        let mut changed: Vec<PathBuf> = now.keys().chain(self.hashes.keys()).filter(differs).cloned().collect();
        changed.sort();
        changed.dedup();
        let is_foreign = |file: &PathBuf| file.ends_with(COMMON) && !self.hashes.contains_key(file);
        changed.into_iter().map(|file| ChangedProgram { is_foreign: is_foreign(&file), file }).collect()
    }
}

fn hooks(dir: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| !entry.file_name().to_string_lossy().ends_with(EXAMPLE))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found.truncate(MOST_HOOKS);
    found
}

/// `None` for what is not there, and for an empty file, which says nothing: the sandbox of Claude Code leaves such ones. What cannot be
/// read counts as the reason, so that it differs from what could be read before.
fn hash(file: &Path) -> Option<String> {
    match std::fs::symlink_metadata(file) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Ok(meta) if meta.is_file() && meta.len() == 0 => None,
        Err(_) | Ok(_) => {
            Some(files::read(file, GIT_STATE).map_or_else(|fault| fault.to_string(), |bytes| sha256_hex(&bytes)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChangedProgram, GitPrograms};

    #[test]
    fn what_git_would_run_is_named_when_it_changes_and_an_example_is_not() {
        let git = tempfile::tempdir().unwrap();
        let path = |name: &str| git.path().join(name);
        std::fs::create_dir(path("hooks")).unwrap();
        for name in ["config", "hooks/pre-push", "hooks/post-merge"] {
            std::fs::write(path(name), "before").unwrap();
        }
        let before = GitPrograms::of(&[git.path().to_owned()]);
        assert!(before.changed().is_empty());
        std::fs::write(path("config"), "after").unwrap();
        std::fs::write(path("commondir"), "../elsewhere").unwrap();
        std::fs::write(path("hooks/pre-commit"), "new").unwrap();
        std::fs::write(path("hooks/update.sample"), "new").unwrap();
        std::fs::write(path("config.worktree"), "").unwrap();
        std::fs::remove_file(path("hooks/post-merge")).unwrap();
        let expected = ["commondir", "config", "hooks/post-merge", "hooks/pre-commit"];
        let expected = expected.map(|name| ChangedProgram { file: path(name), is_foreign: name == "commondir" });
        assert_eq!(before.changed(), expected);
        // That of a linked working tree is git's own.
        let linked = GitPrograms::of(&[git.path().to_owned()]);
        std::fs::write(path("commondir"), "../other").unwrap();
        assert_eq!(linked.changed(), [ChangedProgram { file: path("commondir"), is_foreign: false }]);
    }
}
