//! Makes a working tree for an agent.

use std::fs;
use std::path::{Path, PathBuf};

use super::admin;
use super::base::{self, Base};
use super::branch;
use super::checked_out;
use super::clone;
use super::copy::Copier;
use super::error::WorktreeError;
use super::include;
use super::note::Note;
use super::record::{NewWorktree, Stage, Worktree, Worktrees, check_id};
use super::stored;
use super::submodules;
use super::take_back::{take_back, take_back_stale};
use crate::files::make_private_dir;
use crate::git::{Call, Git, GitError, Place, Repository, settings_without_programs};
use crate::journal::{Holder, LockError};

/// The branch that is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BranchWish<'a> {
    /// `agent/<name>`, or another free name like it.
    Of(&'a str),
    /// Exactly this one, which must not exist.
    Named(&'a str),
}

/// Which ignored directories are cloned.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CloneWish<'a> {
    /// Patterns in the syntax of `.gitignore`, such as `target/`.
    pub patterns: &'a [String],
    /// Whether they are copied byte by byte where the file system cannot share contents.
    pub by_bytes: bool,
}

/// A working tree to be made.
#[derive(Debug, Clone, Copy)]
pub struct AddRequest<'a> {
    /// The state directory.
    pub state_dir: &'a Path,
    /// A directory in the user's repository.
    pub repository: &'a Path,
    /// The agent's id: letters, digits, `-`, `_`, `.`.
    pub id: &'a str,
    /// The branch.
    pub branch: BranchWish<'a>,
    /// The commit to start from; `None` for what is checked out.
    pub base: Option<&'a str>,
    /// Patterns of ignored files that are copied; `None` for those of `.worktreeinclude`.
    pub include: Option<&'a [String]>,
    /// Ignored directories that are cloned.
    pub clone: CloneWish<'a>,
    /// Why git must not prune the tree, for `git worktree list`.
    pub reason: &'a str,
    /// Who makes it, for the locks.
    pub holder: &'a Holder,
}

/// A working tree that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Added {
    /// Its record.
    pub worktree: Worktree,
    /// What the user should know about it.
    pub notes: Vec<Note>,
}

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AddStep {
    Recorded,
    BranchMade,
    Registered,
    CheckedOut,
    Filled,
}

/// Makes a working tree, on a new branch, locked for git.
///
/// # Errors
/// See [`WorktreeError`]. Then nothing of it is left.
pub fn add(git: &Git, request: &AddRequest<'_>) -> Result<Added, WorktreeError> {
    add_with(git, request, &mut |_| Ok(()))
}

/// As [`add`]; `after` is called after each step, and its error is that of the step.
pub(super) fn add_with(
    git: &Git,
    request: &AddRequest<'_>,
    after: &mut dyn FnMut(AddStep) -> Result<(), WorktreeError>,
) -> Result<Added, WorktreeError> {
    check_id(request.id)?;
    let Some(repository) = Repository::find(request.repository) else {
        return Err(WorktreeError::NoRepository { dir: request.repository.to_owned() });
    };
    let common = repository.dirs.common.clone();
    let trees = Worktrees::new(request.state_dir)?;
    let dir = trees.dir_of(&common);
    make_private_dir(&dir).map_err(WorktreeError::io(&dir))?;
    let path = dir.join(request.id);
    let taken = || WorktreeError::Taken { path: path.clone() };
    let _tree_lock = match trees.lock_tree(&common, request.id, request.holder, false) {
        Err(LockError::Held { .. }) => return Err(taken()),
        locked_or_fault => locked_or_fault?,
    };
    let base = base::resolve(git, &repository, request.base)?;
    let making = Making { git, repository: &repository, trees: &trees, request };
    let record = making.register(&base, after, taken)?;
    making.or_take_back(&record, making.fill(&record, &base, after))
}

/// One attempt.
struct Making<'a> {
    git: &'a Git,
    repository: &'a Repository,
    trees: &'a Worktrees,
    request: &'a AddRequest<'a>,
}

impl Making<'_> {
    /// Makes git know the tree: what parallel attempts would disturb.
    fn register(
        &self,
        base: &Base,
        after: &mut dyn FnMut(AddStep) -> Result<(), WorktreeError>,
        taken: impl Fn() -> WorktreeError,
    ) -> Result<Worktree, WorktreeError> {
        let (git, request, place) = (self.git, self.request, self.repository.place());
        let common = &self.repository.dirs.common;
        let lock = self.trees.lock_repository(common, request.holder)?;
        take_back_stale(git, self.trees, common, request.holder)?;
        if let Some(stale) = self.trees.read(common, request.id) {
            if stale.stage != Stage::Adding {
                return Err(taken());
            }
            take_back(git, self.trees, &stale)?;
        }
        let branch = match request.branch {
            BranchWish::Of(name) => branch::for_agent(git, &place, name)?,
            BranchWish::Named(branch) => branch::named(git, &place, branch)?,
        };
        let mut record = self.trees.planned(NewWorktree {
            id: request.id,
            common: common.clone(),
            source: self.repository.top.clone(),
            branch,
            base: base.commit.clone(),
            base_branch: base.branch.clone(),
        });
        if fs::symlink_metadata(&record.path).is_ok() {
            return Err(taken());
        }
        self.trees.write(&record)?;
        let made = self.make(&mut record, after);
        let made = if made.is_err() {
            drop(lock);
            self.or_take_back(&record, made)
        } else {
            made
        };
        made.map(|()| record)
    }

    fn make(
        &self,
        record: &mut Worktree,
        after: &mut dyn FnMut(AddStep) -> Result<(), WorktreeError>,
    ) -> Result<(), WorktreeError> {
        let (git, place) = (self.git, self.repository.place());
        after(AddStep::Recorded)?;
        // The branch comes first and by itself: so it is known whether this attempt has made it. Nothing is written about what
        // it tracks.
        let reference = record.branch_reference();
        let reason = format!("ccc: made for agent {}", record.id);
        let call = Call::update_ref(["-m", &reason, &reference, &record.base, ""]);
        let made = git.change_own_reference(&place, &reference, &call)?;
        if made.code != 0 {
            return Err(GitError::failed(format!("`git update-ref` failed: {}", made.why())).into());
        }
        record.branch_made = true;
        self.trees.write(record)?;
        after(AddStep::BranchMade)?;
        let settings = settings_without_programs(git, &place)?;
        let call = Call::new(["-c", "worktree.useRelativePaths=false", "worktree", "add", "--no-checkout", "--lock"]);
        let call = call.args(["--reason", self.request.reason, "--"]).arg(&record.path).arg(&record.branch);
        git.run(&place, &call.settings(&settings))?;
        record.admin = admin::of(&record.common, &record.path);
        self.trees.write(record)?;
        after(AddStep::Registered)
    }

    /// Writes the files.
    fn fill(
        &self,
        record: &Worktree,
        base: &Base,
        after: &mut dyn FnMut(AddStep) -> Result<(), WorktreeError>,
    ) -> Result<Added, WorktreeError> {
        let git = self.git;
        let place = Place::tree(&record.path);
        // Filters may be configured for the new branch or directory, so they are looked for in the new tree.
        let settings = settings_without_programs(git, &place)?;
        checked_out::overwrite(git, &place, "HEAD", &settings).map_err(|error| self.explained(error, base))?;
        after(AddStep::CheckedOut)?;
        let mut notes = Vec::new();
        if base::is_checked_out(git, self.repository, base)? {
            let files = base::uncommitted(git, self.repository)?;
            notes.extend((!files.is_empty()).then_some(Note::NotInBase { files }));
        }
        let paths = submodules::check_out(git, record)?;
        let tree = record.path.clone();
        notes.extend((!paths.is_empty()).then_some(Note::SubmodulesMissing { paths, tree }));
        notes.extend(stored::fill(git, record)?);
        if let Some(source) = &record.source {
            notes.extend(self.bring_along(source, &record.path));
        }
        after(AddStep::Filled)?;
        let mut worktree = record.clone();
        worktree.stage = Stage::Ready;
        self.trees.write(&worktree)?;
        Ok(Added { worktree, notes })
    }

    /// A failed checkout of a partial clone has a reason that git's words do not tell.
    fn explained(&self, error: GitError, base: &Base) -> WorktreeError {
        let call = Call::new(["config", "--get-regexp", r"^(extensions\.partialclone|remote\..*\.promisor)$"]);
        let place = self.repository.place();
        match self.git.ask(&place, &call) {
            Ok(answer) if answer.code == 0 => {
                let dir = self.repository.top.clone().unwrap_or_else(|| self.repository.dirs.own.clone());
                WorktreeError::PartialClone { dir, base: base.commit.clone() }
            }
            Ok(_) | Err(_) => error.into(),
        }
    }

    /// Copies and clones ignored files. What does not come along is told; the agent can work without it.
    fn bring_along(&self, source: &Path, to: &Path) -> Vec<Note> {
        let (git, request) = (self.git, self.request);
        let mut copier = Copier::new(include::MAX_BYTES);
        let copied = include::patterns(source, request.include).and_then(|patterns| {
            include::copy(git, source, to, &patterns, &mut copier).map_err(|error| error.to_string())
        });
        let files = copied.unwrap_or_else(|why| vec![(PathBuf::from(include::INCLUDE_FILE), why)]);
        let mut copier = Copier::new(if request.clone.by_bytes { u64::MAX } else { 0 });
        let patterns = request.clone.patterns.join("\n");
        let cloned = clone::clone(git, source, to, patterns.as_bytes(), &mut copier);
        let dirs = cloned.unwrap_or_else(|error| vec![(PathBuf::from("worktree.clone"), error.to_string())]);
        let copied = (!files.is_empty()).then_some(Note::NotCopied { files });
        copied.into_iter().chain((!dirs.is_empty()).then_some(Note::NotCloned { dirs })).collect()
    }

    /// After a failure, takes back what this attempt has made.
    fn or_take_back<T>(&self, record: &Worktree, made: Result<T, WorktreeError>) -> Result<T, WorktreeError> {
        if made.is_err() {
            // The user may have given up git by a signal; what was made is taken back all the same. The first error is
            // told. What cannot be taken back now stays recorded, and the next call tries again.
            let git = crate::process::Cancel::new().map(|cancel| self.git.given_up_by(cancel));
            let git = git.as_ref().unwrap_or(self.git);
            if let Ok(_lock) = self.trees.lock_repository(&record.common, self.request.holder) {
                let _ = take_back(git, self.trees, record);
            }
        }
        made
    }
}
