//! The checkpoints of one run: `refs/ccc/<run>/<n>`, numbered from 1.

use std::collections::BTreeMap;
use std::path::Path;

use super::error::CheckpointError;
use super::left_out::LeftOut;
use super::reference::{Expected, REFERENCES, delete_references, set_reference};
use super::take::{TreeRequest, WrittenTree, commit_tree, write_tree};
use crate::files::{self, FileKind};
use crate::git::{Call, Git, GitError, Place, Repository};
use crate::order::map_of;
use crate::order::sort_by_key;

/// The most that untracked files may have in all. Each checkpoint reads them, and the first one copies them into git's objects.
pub const UNTRACKED_LIMIT_BYTES: u64 = 1024 * 1024 * 1024;
/// Why a run's first checkpoint is taken.
pub const BEFORE_START: &str = "before the agent began";
/// Why one is taken at the end of a turn of the agent.
pub const AT_STOP: &str = "the agent stopped";
/// Why one is taken before a later process of the agent.
pub const BEFORE_PROCESS: &str = "before the agent's process started";
/// Why one is taken when a run that had ended goes on: what is new in it is not the run's work.
pub const BEFORE_GOING_ON: &str = "before the run went on";
/// Why one is taken when a run ends while its agent works.
pub const AT_END: &str = "the run ended";
/// How often another number is tried when another process takes the same one.
const TRIES: usize = 4;
/// A reference as git writes it into a file of its own.
const LOOSE: FileKind = FileKind { name: "reference", limit_bytes: 4 * 1024 };
/// What a subject begins with; the reason follows.
const SUBJECT: &str = "ccc: ";

/// A checkpoint of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its number.
    pub number: u64,
    /// The commit that has the tree.
    pub commit: String,
    /// The tree.
    pub tree: String,
    /// `HEAD` at that time; `None` before the first commit.
    pub parent: Option<String>,
    /// When it was taken, in unix seconds.
    pub unix_s: i64,
    /// Why it was taken, in words.
    pub why: String,
}

impl Entry {
    /// Whether what is new in it is the run's work. The user may have written what a restore has kept, and what was there when a run
    /// that had ended went on.
    #[must_use]
    pub fn has_work(&self) -> bool {
        [AT_STOP, BEFORE_PROCESS, AT_END].contains(&self.why.as_str())
    }
}

/// The result of [`keep`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The number of the checkpoint that has the tree as it is now.
    pub number: u64,
    /// Its commit.
    pub commit: String,
    /// Its tree.
    pub tree: String,
    /// `HEAD` at this time; `None` before the first commit.
    pub parent: Option<String>,
    /// Whether it was made now. If not, neither the tree nor `HEAD` had changed since the last checkpoint.
    pub is_new: bool,
    /// What is not in it.
    pub left_out: Vec<LeftOut>,
}

/// Keeps the working tree that `dir` lies in as the next checkpoint of this run, unless the last one has it already. `before` is
/// the last one as far as the caller knows: with it git is asked for the others only when nothing seems to have changed, or when
/// another process has taken the next number.
///
/// # Errors
/// See [`CheckpointError`]. Then the checkpoints are as they were.
pub fn keep(git: &Git, dir: &Path, run_id: &str, why: &str, before: Option<&Kept>) -> Result<Kept, CheckpointError> {
    let of = TreeRequest { untracked_limit_bytes: UNTRACKED_LIMIT_BYTES, verbatim: true, ..TreeRequest::of(git, dir)? };
    let place = of.repository.place();
    let WrittenTree { tree, left_out } = write_tree(git, &of)?;
    let mut known = before.filter(|before| before.tree != tree || before.parent != of.head).map(|before| before.number);
    // What the caller knows may be old, which is no lost race.
    let mut tries = usize::from(known.is_none());
    loop {
        let last = match known.take() {
            Some(number) => number,
            None => {
                let last = list(git, &place, run_id)?.pop();
                if let Some(last) = last.as_ref().filter(|last| last.tree == tree && last.parent == of.head) {
                    let (number, commit) = (last.number, last.commit.clone());
                    return Ok(Kept { number, commit, tree, parent: of.head, is_new: false, left_out });
                }
                last.map_or(0, |last| last.number)
            }
        };
        let number = last.saturating_add(1);
        let message = format!("{SUBJECT}{why}\n\nCheckpoint {number} of run {run_id}.\n");
        let commit = commit_tree(git, &of.repository, &tree, of.head.as_deref(), &message)?;
        match set_reference(git, &place, &reference(run_id, number), &commit, Expected::Absent) {
            Ok(()) => return Ok(Kept { number, commit, tree, parent: of.head, is_new: true, left_out }),
            Err(CheckpointError::ReferenceMoved { .. }) if tries < TRIES => tries += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Sets the references of these checkpoints (numbers and commits) again that are not as they were made: an agent can write the
/// references of its repository, and they are the user's way back. Gives how many were.
///
/// # Errors
/// When git fails.
pub fn set_again(git: &Git, dir: &Path, run_id: &str, made: &BTreeMap<u64, String>) -> Result<u64, CheckpointError> {
    let Some(repository) = Repository::find(dir) else { return Ok(0) };
    let file = |number: u64| repository.dirs.common.join(reference(run_id, number));
    let is_as_made = |(number, commit): (&u64, &String)| {
        files::read(&file(*number), LOOSE).is_ok_and(|found| found.trim_ascii_end() == commit.as_bytes())
    };
    // Git is asked only where the file does not say it: references can be packed.
    if made.iter().all(is_as_made) {
        return Ok(0);
    }
    let place = repository.place();
    let now: BTreeMap<u64, String> =
        map_of(list(git, &place, run_id)?.into_iter().map(|entry| (entry.number, entry.commit)));
    let mut count = 0;
    for (number, commit) in made.iter().filter(|(number, commit)| now.get(number) != Some(commit)) {
        set_reference(git, &place, &reference(run_id, *number), commit, Expected::Anything)?;
        count += 1;
    }
    Ok(count)
}

/// The checkpoints of a run, the oldest first.
///
/// # Errors
/// When git fails.
pub fn list(git: &Git, place: &Place, run_id: &str) -> Result<Vec<Entry>, GitError> {
    const FORMAT: &str =
        "--format=%(refname)%00%(objectname)%00%(tree)%00%(parent)%00%(committerdate:unix)%00%(contents:subject)";
    let listed = git.text(place, &Call::new(["for-each-ref", FORMAT, &prefix(run_id)]))?;
    let mut entries: Vec<Entry> = listed.lines().filter_map(entry).collect();
    sort_by_key(&mut entries, |entry| entry.number);
    Ok(entries)
}

fn entry(line: &str) -> Option<Entry> {
    let mut fields = line.split('\0');
    let mut next = || fields.next();
    let (name, commit, tree, parent, unix_s, subject) = (next()?, next()?, next()?, next()?, next()?, next()?);
    Some(Entry {
        number: name.rsplit('/').next()?.parse().ok()?,
        commit: commit.to_owned(),
        tree: tree.to_owned(),
        parent: (!parent.is_empty()).then(|| parent.to_owned()),
        unix_s: unix_s.parse().ok()?,
        why: subject.strip_prefix(SUBJECT).unwrap_or(subject).to_owned(),
    })
}

/// Removes the checkpoints of a run, all or none of them. Git collects what only they have kept, when it next collects.
///
/// # Errors
/// When git fails; then all are there.
pub fn remove_all(git: &Git, repository: &Repository, run_id: &str) -> Result<usize, CheckpointError> {
    let place = repository.shared();
    let listed =
        git.text(&place, &Call::new(["for-each-ref", "--format=%(objectname) %(refname)", &prefix(run_id)]))?;
    let references: Vec<(&str, &str)> = listed.lines().filter_map(|line| line.split_once(' ')).collect();
    delete_references(git, &place, references.iter().map(|(commit, reference)| (*reference, *commit)))?;
    Ok(references.len())
}

fn prefix(run_id: &str) -> String {
    format!("{REFERENCES}{run_id}/")
}

/// The reference of this checkpoint.
#[must_use]
pub fn reference(run_id: &str, number: u64) -> String {
    format!("{REFERENCES}{run_id}/{number}")
}
