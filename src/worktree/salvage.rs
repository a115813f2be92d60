//! Keeps what is in a working tree and in no branch.

use std::fs;
use std::path::Path;

use super::admin;
use super::error::WorktreeError;
use super::record::Worktree;
use super::submodules;
use crate::checkpoint::{Expected, TreeRequest, WrittenTree, commit_tree, next_reference, set_reference, write_tree};
use crate::config::GitDirs;
use crate::git::{Call, Git, Place, Repository};

/// Below this, and the agent's id, lies what was kept.
pub const SALVAGE: &str = "refs/ccc/salvage";

/// What was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Salvage {
    /// The reference.
    pub reference: String,
    /// Its commit.
    pub commit: String,
}

/// The tree of an agent, as git is to see it.
struct Tree<'a> {
    git: &'a Git,
    record: &'a Worktree,
    repository: Repository,
    head: Option<String>,
    index: bool,
}

/// Keeps the files of the tree that no commit has, and the commits that no branch has. Returns also what a commit cannot hold,
/// in words.
pub(super) fn of_tree(
    git: &Git,
    record: &Worktree,
    file_limit_bytes: u64,
) -> Result<(Option<Salvage>, Vec<String>), WorktreeError> {
    let tree = Tree::new(git, record)?;
    let request = TreeRequest {
        repository: tree.repository.clone(),
        head: tree.head.clone(),
        index: tree.index.then(|| tree.repository.dirs.own.join("index")),
        file_limit_bytes,
        untracked_limit_bytes: u64::MAX,
        verbatim: true,
    };
    let WrittenTree { tree: written, left_out } = write_tree(git, &request)?;
    // What git would commit tells whether anything is not committed. It may fail to, for example because of an encoding.
    let as_committed = write_tree(git, &TreeRequest { verbatim: false, ..request });
    let as_committed = as_committed.map_or_else(|_| written.clone(), |as_committed| as_committed.tree);
    let mut lost: Vec<String> =
        left_out.iter().filter(|left| left.why.has_content()).map(ToString::to_string).collect();
    lost.extend(submodules::own_work(git, &tree.repository, record, &written)?);
    let committed = match &tree.head {
        Some(head) => tree.repository.tree_of(git, head)?,
        None => None,
    };
    let empty = tree.head.is_none() && is_empty(git, &tree.repository, &written)?;
    let is_committed = committed.as_ref() == Some(&as_committed) || empty;
    if is_committed && tree.is_in_a_branch()? {
        return Ok((None, lost));
    }
    let kept = keep(git, record, &tree.repository, &written, tree.head.as_deref())?;
    Ok((Some(kept), lost))
}

/// Keeps the commit that was checked out in a tree that is gone, if no branch has it.
pub(super) fn of_gone_tree(git: &Git, record: &Worktree) -> Result<Option<Salvage>, WorktreeError> {
    let Some(own) = admin::of(&record.common, &record.path) else { return Ok(None) };
    let place = Place::repository(&own);
    let head = git.ask(&place, &Call::new(["rev-parse", "-q", "--verify", "HEAD^{commit}"]))?;
    if head.code != 0 {
        return Ok(None);
    }
    let head = head.text();
    let dirs = GitDirs { own, common: record.common.clone() };
    let repository = Repository { top: None, dirs };
    let tree = Tree { git, record, head: Some(head.clone()), repository, index: false };
    if tree.is_in_a_branch()? {
        return Ok(None);
    }
    let Some(written) = tree.repository.tree_of(git, &head)? else { return Ok(None) };
    keep(git, record, &tree.repository, &written, Some(&head)).map(Some)
}

impl<'a> Tree<'a> {
    fn new(git: &'a Git, record: &'a Worktree) -> Result<Self, WorktreeError> {
        let top = Some(record.path.clone());
        admin::check(&record.common, &record.path, &record.branch)?;
        let own = admin::of(&record.common, &record.path);
        // If git has forgotten the tree, its files are compared with the branch.
        let index = own.is_some();
        let dirs = GitDirs { own: own.unwrap_or_else(|| record.common.clone()), common: record.common.clone() };
        let repository = Repository { top, dirs };
        let head = if index { "HEAD".to_owned() } else { record.branch_reference() };
        let head = repository.commit(git, &head)?;
        Ok(Self { git, record, repository, head, index })
    }

    /// Whether a branch has the commit that is checked out.
    fn is_in_a_branch(&self) -> Result<bool, WorktreeError> {
        let Some(head) = &self.head else { return Ok(true) };
        if *head == self.record.base {
            return Ok(true);
        }
        let call = Call::new(["for-each-ref", "--count=1", "--contains", head, "refs/heads/"]);
        Ok(!self.git.run(&self.repository.shared(), &call)?.is_empty())
    }
}

fn is_empty(git: &Git, repository: &Repository, tree: &str) -> Result<bool, WorktreeError> {
    Ok(git.run(&repository.place(), &Call::new(["ls-tree", tree]))?.is_empty())
}

/// Makes the commit and its reference, unless the same was kept before: the removal may have been interrupted after that.
fn keep(
    git: &Git,
    record: &Worktree,
    repository: &Repository,
    tree: &str,
    parent: Option<&str>,
) -> Result<Salvage, WorktreeError> {
    let place = repository.shared();
    let prefix = format!("{SALVAGE}/{}", record.id);
    let format = "--format=%(refname) %(objectname) %(tree) %(parent)";
    let list = git.text(&place, &Call::new(["for-each-ref", format, &format!("{prefix}/")]))?;
    for line in list.lines() {
        let mut words = line.split(' ');
        let (reference, commit, its_tree) = (words.next(), words.next(), words.next());
        let its_parent = words.next().filter(|parent| !parent.is_empty());
        if let (Some(reference), Some(commit)) = (reference, commit)
            && its_tree == Some(tree)
            && its_parent == parent
        {
            return Ok(Salvage { reference: reference.to_owned(), commit: commit.to_owned() });
        }
    }
    let message = format!("What the worktree of agent {} held when it was removed", record.id);
    let commit = commit_tree(git, repository, tree, parent, &message)?;
    let reference = next_reference(git, &place, &prefix)?;
    set_reference(git, &place, &reference, &commit, Expected::Absent)?;
    Ok(Salvage { reference, commit })
}

/// Whether this is a directory, and no link to one.
pub(super) fn is_real_dir(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_dir())
}
