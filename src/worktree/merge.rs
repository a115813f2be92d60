//! Merges an agent's branch into its base: computed and checked aside, and then set in one step.
//!
//! The result is made in a scratch tree, so the user's tree and the branch stay as they are until it has been checked. Then
//! the branch is set, if it is still where the merge began. A tree that has the branch checked out is brought along; it must
//! have no uncommitted changes. A merge that was killed is finished or taken back by the next one ([`recover`]): until the
//! checks have passed nothing of the user's has changed, and after that the record says what was to be set.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::checked_out::{self, Occupied};
use super::error::WorktreeError;
use super::merged_tree::{self, Computed, Strategy};
use super::record::{Worktree, Worktrees};
use super::submodules::{self, Unshared};
use super::take_back::{forget_in_git, value};
use crate::checkpoint::{Expected, set_reference};
use crate::files::{WORKTREE_RECORD, make_private_dir, read_private, replace_json, trash};
use crate::git::{Call, Git, Place, Repository, contains, settings_without_programs};
use crate::journal::{FileLock, Holder};
use crate::json::from_json;

/// The scratch tree, in the repository's directory of worktrees.
const SCRATCH: &str = ".merge";
/// The record of a merge.
const RECORD: &str = ".merge.json";
/// How long another merge in the repository is waited for: its checks may take that long.
const WAIT: Duration = Duration::from_secs(60 * 60);
/// Below this lies the result of a merge that the user has to finish.
const RESULTS: &str = "refs/ccc/merge";

/// A branch to be merged.
#[derive(Debug, Clone, Copy)]
pub struct MergeRequest<'a> {
    /// The state directory.
    pub state_dir: &'a Path,
    /// The agent's id.
    pub id: &'a str,
    /// The branch to merge into, without `refs/heads/`; `None` for the one that the agent started from.
    pub into: Option<&'a str>,
    /// How.
    pub strategy: Strategy,
    /// The message of a commit with two parents.
    pub message: &'a str,
    /// Who merges, for the locks.
    pub holder: &'a Holder,
}

/// What a merge has come to. Except for [`MergeOutcome::Merged`], nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// The branch has the agent's commits.
    Merged(Merged),
    /// It had them before.
    NothingToMerge,
    /// Both sides have changed the same.
    Conflict {
        /// Where.
        files: Vec<PathBuf>,
    },
    /// The checks on the result have failed.
    ChecksFailed {
        /// What they said.
        why: String,
    },
    /// The user has to do something first.
    Refused(Refusal),
}

/// The result of a merge before the branch has it.
#[derive(Debug, Clone, Copy)]
pub struct Unlanded<'a> {
    /// The scratch tree that has the result. What is changed there is not merged.
    pub tree: &'a Path,
    /// The branch, as `refs/heads/main`.
    pub into: &'a str,
    /// Its commit before.
    pub before: &'a str,
}

/// A merge that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The branch, as `refs/heads/main`.
    pub into: String,
    /// Its commit before.
    pub before: String,
    /// Its commit now.
    pub commit: String,
    /// The working tree that was brought along.
    pub tree: Option<PathBuf>,
}

/// Why a merge was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No branch is named, and the agent started from none.
    #[error("the agent started from no branch; name the one to merge into")]
    NoBranch,
    /// The branch to merge into, or the agent's, does not exist.
    #[error("there is no branch {branch}")]
    BranchGone {
        /// The branch.
        branch: String,
    },
    /// A tree that has the branch checked out has uncommitted changes.
    #[error("{} has uncommitted changes; type `git -C {} stash` or commit them, then merge again", tree.display(), tree.display())]
    NotClean {
        /// The tree.
        tree: PathBuf,
    },
    /// A tree that has the branch checked out is in the middle of an operation.
    #[error("a {what} is going on in {}; finish it, then merge again", tree.display())]
    Unfinished {
        /// The tree.
        tree: PathBuf,
        /// The operation.
        what: &'static str,
    },
    /// Several trees have the branch checked out.
    #[error("{branch} is checked out in several working trees; leave one, then merge again")]
    CheckedOutTwice {
        /// The branch.
        branch: String,
    },
    /// A file that git does not track is in the way, or a file was changed meanwhile.
    #[error("files of {} are in the way: {why}", tree.display())]
    InTheWay {
        /// The tree.
        tree: PathBuf,
        /// What git says.
        why: String,
    },
    /// Changed files have filters, which are programs that ccc does not run.
    #[error("changed files have filters that ccc does not run ({}); type `git -C {} merge --ff-only {reference}`", filters.join(", "), tree.display())]
    Filters {
        /// The filters.
        filters: Vec<String>,
        /// The tree.
        tree: PathBuf,
        /// Where the result lies.
        reference: String,
    },
    /// The branch was changed while the result was checked.
    #[error("{branch} was changed meanwhile; merge again")]
    BranchMoved {
        /// The branch.
        branch: String,
    },
    /// The result would name commits that only the agent's worktree has.
    #[error("{}", unshared_in_words(unshared))]
    Unshared {
        /// The submodules, never none.
        unshared: Vec<Unshared>,
    },
    /// An earlier merge was interrupted while it wrote files, and it is not known which.
    #[error("an earlier merge was interrupted while it wrote the files of {}; to put them aside, type `{}git -C {} stash -u`, then merge again", tree.display(), unlock.as_ref().map(|lock| format!("rm -f {} && ", lock.display())).unwrap_or_default(), tree.display())]
    HalfWritten {
        /// The tree.
        tree: PathBuf,
        /// The lock that the interrupted git has left.
        unlock: Option<PathBuf>,
    },
}

/// Which commits would be lost, and how the user gets them.
pub fn unshared_in_words(unshared: &[Unshared]) -> String {
    let each = unshared.iter().map(|Unshared { path, commit, command }| {
        let (path, commit) = (path.display(), commit.get(..12).unwrap_or(commit));
        let nested = format!("{path} is a repository of its own");
        match command {
            Some(command) => format!(
                "{nested}, and only the agent's worktree has its commit {commit}; to have the commit outside of it, type \
                 `{command}`, then merge again"
            ),
            None => format!(
                "{nested}, and its commit {commit} can be had from nowhere; the agent has to commit the files of {path} \
                 instead, or another commit of it"
            ),
        }
    });
    each.collect::<Vec<_>>().join("\n")
}

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MergeStep {
    Recorded,
    ScratchMade,
    Computed,
    Checked,
    Landing,
    TreeWritten,
    BranchSet,
    Cleaned,
}

/// The record of a merge, format 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    id: String,
    common: PathBuf,
    /// Set when the checks have passed.
    landing: Option<Landing>,
}

/// What is to be set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Landing {
    into: String,
    before: String,
    commit: String,
    tree: Option<PathBuf>,
}

/// Merges an agent's branch. `check` gets the result, and says why it is not good.
///
/// # Errors
/// See [`WorktreeError`]. The merge can be repeated.
pub fn merge(
    git: &Git,
    request: &MergeRequest<'_>,
    check: &mut dyn FnMut(&Unlanded<'_>) -> Result<(), String>,
) -> Result<MergeOutcome, WorktreeError> {
    merge_with(git, request, check, &mut |_| Ok(()))
}

/// As [`merge`]; `after` is called after each step.
pub(super) fn merge_with(
    git: &Git,
    request: &MergeRequest<'_>,
    check: &mut dyn FnMut(&Unlanded<'_>) -> Result<(), String>,
    after: &mut dyn FnMut(MergeStep) -> Result<(), WorktreeError>,
) -> Result<MergeOutcome, WorktreeError> {
    let trees = Worktrees::new(request.state_dir)?;
    let worktree = trees.find(request.id)?;
    let merging = Merging { git, trees: &trees, request, worktree: &worktree, dir: trees.dir_of(&worktree.common) };
    let _lock = lock(&merging.dir, &worktree.common, request.holder, WAIT)?;
    if let Some(refusal) = recover_locked(git, &trees, &merging.dir, request.holder)? {
        return Ok(MergeOutcome::Refused(refusal));
    }
    let outcome = merging.run(check, after);
    if outcome.is_err() && read(&merging.dir).is_some_and(|record| record.landing.is_some()) {
        // The record says what was to be set; the next merge finishes it.
        return outcome;
    }
    // Whatever it has come to, the scratch tree goes; after a failure the error of the merge is the one that counts.
    let cleaned = clean(git, &trees, &merging.dir, &worktree.common, request.holder);
    let outcome = outcome?;
    cleaned?;
    after(MergeStep::Cleaned)?;
    Ok(outcome)
}

/// Finishes or takes back a merge that was killed, if there is one and nobody merges at the moment.
///
/// # Errors
/// When git fails.
pub(super) fn recover(git: &Git, trees: &Worktrees, dir: &Path, holder: &Holder) -> Result<(), WorktreeError> {
    let Some(record) = read(dir) else { return Ok(()) };
    match lock(dir, &record.common, holder, Duration::ZERO) {
        Ok(_lock) => recover_locked(git, trees, dir, holder).map(drop),
        Err(_) => Ok(()),
    }
}

fn lock(dir: &Path, common: &Path, holder: &Holder, wait: Duration) -> Result<FileLock, WorktreeError> {
    make_private_dir(dir).map_err(WorktreeError::io(dir))?;
    let what = format!("the merge queue of {}", common.display());
    Ok(FileLock::wait(&dir.join(".merge.lock"), &what, holder, wait)?)
}

fn recover_locked(git: &Git, trees: &Worktrees, dir: &Path, holder: &Holder) -> Result<Option<Refusal>, WorktreeError> {
    let Some(record) = read(dir) else { return Ok(None) };
    if let Some(landing) = &record.landing {
        let place = Place::repository(&record.common);
        let is_before = value(git, &place, &landing.into)?.as_ref() == Some(&landing.before);
        if let Some(tree) = landing.tree.as_ref().filter(|_| is_before) {
            // The index is written last: it says whether all files were written.
            let at = |commit: &str| checked_out::index_is(git, tree, commit);
            if at(&landing.commit)? {
                set_branch(git, &place, landing, &record.id)?;
            } else {
                let unlock = checked_out::left_lock(tree);
                let is_as_before = unlock.is_none()
                    && at(&landing.before)?
                    && checked_out::is_clean(git, tree)?
                    && !checked_out::has_any_that_is_new(git, tree, &landing.before, &landing.commit)?;
                if !is_as_before {
                    // The record stays until the files are in order: until then each merge says how to get there.
                    return Ok(Some(Refusal::HalfWritten { tree: tree.clone(), unlock }));
                }
            }
        }
    }
    clean(git, trees, dir, &record.common, holder)?;
    Ok(None)
}

/// Removes the scratch tree and the record.
fn clean(git: &Git, trees: &Worktrees, dir: &Path, common: &Path, holder: &Holder) -> Result<(), WorktreeError> {
    let scratch = dir.join(SCRATCH);
    {
        let _lock = trees.lock_repository(common, holder)?;
        if fs::symlink_metadata(&scratch).is_ok() {
            trash::throw(&scratch)?;
        }
        forget_in_git(git, common, &scratch, true)?;
    }
    trash::empty(dir, SCRATCH)?;
    let record = dir.join(RECORD);
    match fs::remove_file(&record) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(WorktreeError::io(record)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn read(dir: &Path) -> Option<Record> {
    let record: Record = from_json(&read_private(&dir.join(RECORD), WORKTREE_RECORD).ok()??).ok()?;
    (record.version == 1).then_some(record)
}

fn set_branch(git: &Git, place: &Place, landing: &Landing, id: &str) -> Result<bool, WorktreeError> {
    let reason = format!("ccc: merge of agent {id}");
    let call = Call::update_ref(["-m", &reason, &landing.into, &landing.commit, &landing.before]);
    Ok(git.ask(place, &call)?.code == 0)
}

/// One merge.
struct Merging<'a> {
    git: &'a Git,
    trees: &'a Worktrees,
    request: &'a MergeRequest<'a>,
    worktree: &'a Worktree,
    dir: PathBuf,
}

impl Merging<'_> {
    fn run(
        &self,
        check: &mut dyn FnMut(&Unlanded<'_>) -> Result<(), String>,
        after: &mut dyn FnMut(MergeStep) -> Result<(), WorktreeError>,
    ) -> Result<MergeOutcome, WorktreeError> {
        let (git, common) = (self.git, &self.worktree.common);
        let shared = Place::repository(common);
        let named = self.request.into.map(|branch| format!("refs/heads/{branch}"));
        let Some(into) = named.or_else(|| self.worktree.base_branch.clone()) else {
            return Ok(MergeOutcome::Refused(Refusal::NoBranch));
        };
        let reference = self.worktree.branch_reference();
        let (before, branch) = match (value(git, &shared, &into)?, value(git, &shared, &reference)?) {
            (Some(before), Some(branch)) => (before, branch),
            (None, _) => return Ok(MergeOutcome::Refused(Refusal::BranchGone { branch: into })),
            (_, None) => return Ok(MergeOutcome::Refused(Refusal::BranchGone { branch: reference })),
        };
        if contains(git, &shared, &before, &branch)? {
            return Ok(MergeOutcome::NothingToMerge);
        }
        // Asked before the checks, which take long, and again after them.
        if let Err(refusal) = self.occupied(&into)? {
            return Ok(MergeOutcome::Refused(refusal));
        }
        let mut record = Record { version: 1, id: self.worktree.id.clone(), common: common.clone(), landing: None };
        self.write(&record)?;
        after(MergeStep::Recorded)?;
        let scratch = self.scratch(&before)?;
        after(MergeStep::ScratchMade)?;
        let computed =
            merged_tree::compute(git, &scratch, [&before, &branch], self.request.strategy, self.request.message)?;
        let commit = match computed {
            Computed::Commit(commit) => commit,
            Computed::Conflict(files) => return Ok(MergeOutcome::Conflict { files }),
        };
        if commit == before {
            return Ok(MergeOutcome::NothingToMerge);
        }
        let unshared = submodules::unshared(git, self.worktree, &before, &commit)?;
        if !unshared.is_empty() {
            return Ok(MergeOutcome::Refused(Refusal::Unshared { unshared }));
        }
        let settings = settings_without_programs(git, &scratch)?;
        git.run(&scratch, &Call::update_ref(["--no-deref", "HEAD", &commit]))?;
        checked_out::overwrite(git, &scratch, &commit, &settings)?;
        after(MergeStep::Computed)?;
        let unlanded = Unlanded { tree: &self.dir.join(SCRATCH), into: &into, before: &before };
        if let Err(why) = check(&unlanded) {
            return Ok(MergeOutcome::ChecksFailed { why });
        }
        after(MergeStep::Checked)?;
        let tree = match self.occupied(&into)? {
            Ok(tree) => tree,
            Err(refusal) => return Ok(MergeOutcome::Refused(refusal)),
        };
        if let Some(tree) = &tree {
            let filters = merged_tree::filters_between(git, &scratch, tree, &before, &commit)?;
            if !filters.is_empty() {
                let reference = format!("{RESULTS}/{}", self.worktree.id);
                set_reference(git, &shared, &reference, &commit, Expected::Anything)?;
                return Ok(MergeOutcome::Refused(Refusal::Filters { filters, tree: tree.clone(), reference }));
            }
        }
        let landing = Landing { into, before, commit, tree };
        record.landing = Some(landing.clone());
        self.write(&record)?;
        after(MergeStep::Landing)?;
        self.land(landing, &shared, after)
    }

    /// Sets the branch, with the tree that has it checked out.
    fn land(
        &self,
        landing: Landing,
        shared: &Place,
        after: &mut dyn FnMut(MergeStep) -> Result<(), WorktreeError>,
    ) -> Result<MergeOutcome, WorktreeError> {
        let git = self.git;
        let refused = |branch: &str| Ok(MergeOutcome::Refused(Refusal::BranchMoved { branch: branch.to_owned() }));
        if value(git, shared, &landing.into)?.as_ref() != Some(&landing.before) {
            return refused(&landing.into);
        }
        if let Some(tree) = &landing.tree
            && let Err(why) = checked_out::write(git, tree, &landing.before, &landing.commit)?
        {
            return Ok(MergeOutcome::Refused(Refusal::InTheWay { tree: tree.clone(), why }));
        }
        after(MergeStep::TreeWritten)?;
        if !set_branch(git, shared, &landing, &self.worktree.id)? {
            if let Some(tree) = &landing.tree {
                // Back to what the tree had; the branch that was set meanwhile is somebody else's.
                let _ = checked_out::write(git, tree, &landing.commit, &landing.before)?;
            }
            return refused(&landing.into);
        }
        after(MergeStep::BranchSet)?;
        let Landing { into, before, commit, tree } = landing;
        Ok(MergeOutcome::Merged(Merged { into, before, commit, tree }))
    }

    /// The tree that has the branch checked out, and must be brought along.
    fn occupied(&self, into: &str) -> Result<Result<Option<PathBuf>, Refusal>, WorktreeError> {
        let found = match checked_out::of_branch(self.git, &self.worktree.common, into)?.as_slice() {
            [] => return Ok(Ok(None)),
            [tree] => tree.clone(),
            [_, ..] => return Ok(Err(Refusal::CheckedOutTwice { branch: into.to_owned() })),
        };
        Ok(match checked_out::occupied(self.git, &found)? {
            None => Ok(Some(found)),
            Some(Occupied::Changed) => Err(Refusal::NotClean { tree: found }),
            Some(Occupied::Unfinished(what)) => Err(Refusal::Unfinished { tree: found, what }),
        })
    }

    /// Makes the scratch tree, at this commit.
    fn scratch(&self, commit: &str) -> Result<Place, WorktreeError> {
        let (git, path) = (self.git, self.dir.join(SCRATCH));
        {
            let _lock = self.trees.lock_repository(&self.worktree.common, self.request.holder)?;
            let place = Place::repository(&self.worktree.common);
            let settings = settings_without_programs(git, &place)?;
            let call = Call::new(["-c", "worktree.useRelativePaths=false", "worktree", "add", "--detach"]);
            let call =
                call.args(["--no-checkout", "--lock", "--reason", "a merge of ccc", "--"]).arg(&path).arg(commit);
            git.run(&place, &call.settings(&settings))?;
        }
        let place = Place::tree(&path);
        let settings = settings_without_programs(git, &place)?;
        checked_out::overwrite(git, &place, commit, &settings)?;
        Ok(place)
    }

    fn write(&self, record: &Record) -> Result<(), WorktreeError> {
        let path = self.dir.join(RECORD);
        replace_json(&path, record, true).map_err(WorktreeError::io(path))
    }
}

/// The files of a working tree that have uncommitted changes: those are in no merge.
///
/// # Errors
/// When git does not know the tree, and when git fails.
pub fn uncommitted(git: &Git, dir: &Path) -> Result<Vec<PathBuf>, WorktreeError> {
    let repository = Repository::find(dir);
    let repository = repository.ok_or_else(|| WorktreeError::Forgotten { dir: dir.to_owned() })?;
    Ok(super::base::uncommitted(git, &repository)?)
}
