//! References of runs that are not there any more.

use std::collections::BTreeMap;
use std::path::Path;

use crate::checkpoint::{REFERENCES, delete_references};
use crate::git::{Call, Git, Place};
use crate::journal::RunDir;

/// The directories of runs in the state directory: those of `ccc runs`, and those that `ccc nuke` has put away.
const RUNS: [&str; 2] = ["runs", "archive"];
/// The characters of a run's id: `20261120-191822-k3f9`.
const ID_FORM: &str = "dddddddd-dddddd-";

/// The references of one run in one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The run that has had them.
    pub run: String,
    /// Each reference and its commit.
    pub references: Vec<(String, String)>,
}

impl Orphan {
    /// Removes the references, all or none.
    ///
    /// # Errors
    /// When git fails.
    pub fn remove(&self, git: &Git, place: &Place) -> Result<(), crate::checkpoint::CheckpointError> {
        delete_references(git, place, self.references.iter().map(|(name, commit)| (name.as_str(), commit.as_str())))
    }
}

/// The checkpoints and kept merges in this repository whose run is not in the state directory, and of which none is younger than
/// `before_unix_s`. What was saved for the user (`refs/ccc/salvage/`) is not among them.
///
/// # Errors
/// When git fails.
pub fn orphans(
    git: &Git,
    place: &Place,
    state_dir: &Path,
    before_unix_s: i64,
) -> Result<Vec<Orphan>, crate::git::GitError> {
    let format = "--format=%(creatordate:unix) %(objectname) %(refname)";
    let listed = git.text(place, &Call::new(["for-each-ref", format, REFERENCES]))?;
    let mut found: BTreeMap<String, (i64, Vec<(String, String)>)> = BTreeMap::new();
    for line in listed.lines() {
        let mut fields = line.splitn(3, ' ');
        let (Some(unix_s), Some(commit), Some(name)) = (fields.next(), fields.next(), fields.next()) else { continue };
        // A reference without a date is no commit of ours.
        let (Ok(unix_s), Some(run)) = (unix_s.parse::<i64>(), run_of(name)) else { continue };
        let (newest, references) = found.entry(run.to_owned()).or_insert((unix_s, Vec::new()));
        *newest = unix_s.max(*newest);
        references.push((name.to_owned(), commit.to_owned()));
    }
    let is_there = |run: &str| RUNS.iter().any(|dir| state_dir.join(dir).join(run).is_dir());
    let orphans = found.into_iter().filter(|(run, (newest, _))| *newest < before_unix_s && !is_there(run));
    Ok(orphans.map(|(run, (_, references))| Orphan { run, references }).collect())
}

/// The run of a checkpoint (`refs/ccc/<run>/<n>`) or of a kept merge (`refs/ccc/merge/<run>`).
fn run_of(reference: &str) -> Option<&str> {
    let parts: Vec<&str> = reference.strip_prefix(REFERENCES)?.split('/').collect();
    let run = match parts.as_slice() {
        ["merge", run] => *run,
        [run, number] if number.parse::<u64>().is_ok() => *run,
        [..] => return None,
    };
    let fits = |(c, form): (char, char)| if form == 'd' { c.is_ascii_digit() } else { c == form };
    let has_form = run.len() > ID_FORM.len() && run.chars().zip(ID_FORM.chars()).all(fits);
    (has_form && RunDir::at(Path::new("/"), run).is_ok()).then_some(run)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_checkpoints_and_kept_merges_name_a_run() {
        let run = "20261120-191822-k3f9";
        for reference in [format!("refs/ccc/{run}/12"), format!("refs/ccc/merge/{run}")] {
            assert_eq!(run_of(&reference), Some(run));
        }
        for reference in [
            format!("refs/ccc/salvage/{run}/1"),
            format!("refs/ccc/{run}/x"),
            format!("refs/ccc/{run}"),
            format!("refs/heads/{run}/1"),
            "refs/ccc/mine/1".to_owned(),
            "refs/ccc/merge/mine".to_owned(),
            "refs/ccc/20261120-191822-/1".to_owned(),
        ] {
            assert_eq!(run_of(&reference), None, "{reference}");
        }
    }
}
