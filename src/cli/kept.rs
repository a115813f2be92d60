//! The checkpoints of a run, for the commands that list, compare and restore them.

use std::path::{Component, Path, PathBuf};

use super::{CliError, Context, agent_tree, dead_run, steer};
use crate::checkpoint::{self, Entry, TreeRequest};
use crate::fleet::AgentRecord;
use crate::git::{Git, Repository};
use crate::journal::{FileLock, RunDir};
use crate::ui::clean;
use crate::worktree::WorktreeError;

/// Which two states of a run's files are compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Range {
    /// From this checkpoint to the files as they are now.
    Since(u64),
    /// From one checkpoint to another.
    Between(u64, u64),
}

impl std::str::FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Range, String> {
        let number = |text: &str| text.parse::<u64>().ok();
        let parsed = match text.split_once("..") {
            None => number(text).map(Range::Since),
            Some((from, to)) => number(from).zip(number(to)).map(|(from, to)| Range::Between(from, to)),
        };
        parsed.ok_or_else(|| {
            "a number of a checkpoint, such as 2, or two of them, such as 1..3; files follow `--`".to_owned()
        })
    }
}

/// A run with its repository.
pub(super) struct KeptRun {
    pub(super) dir: RunDir,
    pub(super) git: Git,
    /// The repository: of the agent's own worktree while that is there, else of the project.
    pub(super) repository: Repository,
    /// Where the run's files lie; `None` if its worktree was removed.
    pub(super) tree: Option<PathBuf>,
    /// The checkpoints, the oldest first.
    pub(super) entries: Vec<Entry>,
}

impl KeptRun {
    /// The run of this name or id.
    ///
    /// # Errors
    /// When there is no such run, or its directory is in no repository.
    pub(super) fn find(named: &str, context: &Context) -> Result<KeptRun, CliError> {
        KeptRun::of(steer::find_begun(named, context)?, context)
    }

    /// This run.
    ///
    /// # Errors
    /// When its directory is in no repository.
    pub(super) fn of(dir: RunDir, context: &Context) -> Result<KeptRun, CliError> {
        dead_run::put_files_back(&dir, context)?;
        let git = agent_tree::git(dir.id(), context)?;
        let record = AgentRecord::read(&dir).ok().flatten();
        let tree = record.as_ref().and_then(|record| record.tree.as_ref());
        if let Some(tree) = tree.filter(|tree| tree.path.is_dir()) {
            agent_tree::check(tree)?;
        }
        let own = tree.map(|tree| tree.path.clone());
        let project = match record {
            Some(record) => record.project,
            None => steer::cwd_of(&dir)?,
        };
        let is_own = own.is_some();
        let tree = own.map_or_else(|| Some(project.clone()), |own| own.is_dir().then_some(own));
        let at = tree.as_deref().unwrap_or(&project);
        let repository = Repository::find(at).ok_or_else(|| {
            if is_own {
                return agent_tree::error_of(&WorktreeError::Forgotten { dir: at.to_owned() });
            }
            CliError::usage(format!("run {} has no checkpoints: {} is in no git repository", dir.id(), at.display()))
                .hint(format!("to have checkpoints of later runs: git init {}", at.display()))
        })?;
        let entries = checkpoint::list(&git, &repository.shared(), dir.id()).map_err(CliError::failed)?;
        Ok(KeptRun { dir, git, repository, tree, entries })
    }

    /// The checkpoint of this number.
    ///
    /// # Errors
    /// When there is none.
    pub(super) fn entry(&self, number: u64) -> Result<&Entry, CliError> {
        self.entries.iter().find(|entry| entry.number == number).ok_or_else(|| {
            let id = self.dir.id();
            let error = match (self.entries.first(), self.entries.last()) {
                (Some(first), Some(last)) => {
                    format!("run {id} has no checkpoint {number}: it has {} to {}", first.number, last.number)
                }
                _ => format!("run {id} has no checkpoints"),
            };
            CliError::usage(error).hint(format!("to list them: ccc checkpoints {id}"))
        })
    }

    /// The files as they are now, as a tree that no reference keeps.
    ///
    /// # Errors
    /// When the working tree is gone, or git fails.
    pub(super) fn now(&self) -> Result<String, CliError> {
        let Some(tree) = &self.tree else { return Err(self.without_tree()) };
        let request = TreeRequest::of(&self.git, tree).map_err(CliError::failed)?;
        let request = TreeRequest { verbatim: true, ..request };
        checkpoint::write_tree(&self.git, &request).map(|written| written.tree).map_err(CliError::failed)
    }

    /// Says that these files as they are now have more than the run has done, if it has ended: the user may have gone on since. Who
    /// names the last checkpoint, as `from`, means just that.
    pub(super) fn tell_of_later(&self, now: &str, from: Option<u64>, context: &Context) {
        let last = self.entries.last().filter(|last| last.tree != now && from != Some(last.number));
        let Some(last) = last else { return };
        if matches!(FileLock::holder(&self.dir.lock()), Ok(None)) {
            context.printer.talk(format_args!(
                "files were changed after the run's last checkpoint ({0}), and that is included; to see what: ccc diff {1} {0}",
                last.number,
                self.dir.id()
            ));
        }
    }

    /// The two trees or commits of this range. Without one: from the first checkpoint to now.
    ///
    /// # Errors
    /// When there is no such checkpoint, or git fails.
    pub(super) fn ends(&self, range: Option<&Range>) -> Result<(String, String), CliError> {
        let tree = |number: u64| self.entry(number).map(|entry| entry.tree.clone());
        match range {
            Some(Range::Between(from, to)) => Ok((tree(*from)?, tree(*to)?)),
            Some(Range::Since(from)) => Ok((tree(*from)?, self.now()?)),
            None => Ok((tree(self.entries.first().map_or(1, |first| first.number))?, self.now()?)),
        }
    }

    /// Refuses a path that leads out of the run's files: git's own error would not say which paths are meant.
    ///
    /// # Errors
    /// When there is one.
    pub(super) fn refuse_outside(&self, option: &str, paths: &[PathBuf]) -> Result<(), CliError> {
        let top = self.repository.top.clone().unwrap_or_else(|| self.repository.dirs.own.clone());
        refuse_outside(option, paths, &top)
    }

    /// The error for a run whose working tree was removed.
    pub(super) fn without_tree(&self) -> CliError {
        let id = self.dir.id();
        let error = CliError::usage(format!("the worktree of {id} was removed"));
        match self.entries.last() {
            Some(last) => error.hint(format!(
                "its last checkpoint is commit {0}; to look at it: git show {0}",
                last.commit.get(..12).unwrap_or(&last.commit)
            )),
            None => error,
        }
    }
}

/// Refuses a path that leads out of the directory `top`.
///
/// # Errors
/// When there is one.
pub(super) fn refuse_outside(option: &str, paths: &[PathBuf], top: &Path) -> Result<(), CliError> {
    let Some(path) = paths.iter().find(|path| leads_out(path)) else { return Ok(()) };
    let (path, top) = (path.display().to_string(), top.display());
    let path = clean::one_line(&path, 200);
    Err(CliError::usage(format!("{option}{path} does not name a file below {top}"))
        .hint(format!("give files and directories relative to {top}, such as src/a.rs, from wherever you are")))
}

/// Whether a path is no relative one that stays below where it begins.
fn leads_out(path: &Path) -> bool {
    let mut depth = 0_usize;
    for part in path.components() {
        match part {
            Component::Normal(_) => depth += 1,
            Component::CurDir => {}
            Component::ParentDir if depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return true,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_leads_out_is_refused_with_the_directory_that_is_meant() {
        for (path, is_out) in [
            ("src/a.rs", false),
            ("./src/../b", false),
            ("a..b", false),
            ("../x", true),
            ("src/../../x", true),
            ("/etc/passwd", true),
        ] {
            let refused =
                refuse_outside("--path ", &[PathBuf::from("ok"), PathBuf::from(path)], Path::new("/srv/shop"));
            assert_eq!(refused.is_err(), is_out, "{path}");
            if let Err(error) = refused {
                assert_eq!(error.message, format!("--path {path} does not name a file below /srv/shop"));
                assert!(error.hint.is_some_and(|hint| hint.contains("relative to /srv/shop")));
            }
        }
    }
}
