//! Which runs are listed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::cli::{CliError, Context};
use crate::core::Outcome;
use crate::fleet::{AgentRecord, State};
use crate::git::Repository;
use crate::journal::{RunDir, RunSummary, Word};

/// The word for a run that has not ended, and on which no ccc works.
const DIED: &str = "died";

/// The names by which runs can be listed.
fn known() -> impl Iterator<Item = &'static str> {
    Outcome::ALL.iter().map(|outcome| outcome.as_str()).chain([DIED])
}

/// The outcomes that are listed.
#[derive(Debug)]
pub(in crate::cli) struct Outcomes(BTreeSet<String>);

impl Outcomes {
    /// All names.
    pub(in crate::cli) fn names() -> Vec<String> {
        known().map(str::to_owned).collect()
    }

    /// Those with these names; all for none. An outcome of a newer ccc counts if a run has it.
    ///
    /// # Errors
    /// When one is no outcome.
    pub(super) fn named(names: &[String], runs: &[(RunDir, RunSummary)]) -> Result<Outcomes, CliError> {
        let newer = runs.iter().filter_map(|(_, run)| match &run.outcome {
            Some(Word::Other(word)) => Some(word.as_str()),
            Some(Word::Known(_)) | None => None,
        });
        let known: Vec<&str> = known().collect();
        let newer: BTreeSet<&str> = newer.collect();
        let mut wanted = BTreeSet::new();
        for name in names {
            let plain = name.trim().to_lowercase().replace([' ', '-'], "_");
            let shown = Outcome::ALL.iter().find(|outcome| outcome.in_words().replace(' ', "_") == plain);
            let word = shown.map(|outcome| outcome.as_str()).or_else(|| known.iter().copied().find(|it| *it == plain));
            match word.or_else(|| newer.iter().copied().find(|word| *word == name)) {
                Some(word) => wanted.insert(word.to_owned()),
                None => {
                    let all: Vec<&str> = known.iter().chain(&newer).copied().collect();
                    return Err(CliError::usage(format!("`{name}` is no outcome of a run"))
                        .hint(format!("the outcomes are: {}", all.join(", "))));
                }
            };
        }
        Ok(Outcomes(wanted))
    }

    /// Whether the run has one of them.
    pub(super) fn have(&self, dir: &RunDir, run: &RunSummary) -> bool {
        if self.0.is_empty() {
            return true;
        }
        match &run.outcome {
            Some(Word::Known(outcome)) => self.0.contains(outcome.as_str()),
            Some(Word::Other(word)) => self.0.contains(word),
            None => self.0.contains(DIED) && State::of(dir, Some(run)) == State::Died,
        }
    }
}

/// The place whose runs are listed: all working trees of a repository, or without one a directory and all below it.
#[derive(Debug)]
pub(super) struct Here {
    top: PathBuf,
    common: Option<PathBuf>,
    /// The directories that were looked at, because many runs have the same.
    seen: BTreeMap<PathBuf, bool>,
}

impl Here {
    /// That of the current directory.
    ///
    /// # Errors
    /// When there is no current directory.
    pub(super) fn of(context: &Context) -> Result<Here, CliError> {
        let cwd = context.cwd()?;
        let cwd = cwd.canonicalize().unwrap_or_else(|_| cwd.to_owned());
        Ok(match Repository::find(&cwd) {
            Some(found) => {
                Here { top: found.top.unwrap_or(cwd), common: Some(found.dirs.common), seen: BTreeMap::new() }
            }
            None => Here { top: cwd, common: None, seen: BTreeMap::new() },
        })
    }

    /// Whether the run worked here. The project of an agent counts, too: its own working tree may be gone.
    pub(super) fn has(&mut self, dir: &RunDir, run: &RunSummary) -> bool {
        let project = AgentRecord::read(dir).ok().flatten().map(|record| record.project);
        self.covers(Path::new(&run.cwd)) || project.is_some_and(|project| self.covers(&project))
    }

    fn covers(&mut self, dir: &Path) -> bool {
        if let Some(known) = self.seen.get(dir) {
            return *known;
        }
        let covers = match (&self.common, Repository::find(dir)) {
            (Some(common), Some(found)) => *common == found.dirs.common,
            (Some(_), None) | (None, None) => {
                dir.canonicalize().unwrap_or_else(|_| dir.to_owned()).starts_with(&self.top)
            }
            (None, Some(_)) => dir.canonicalize().is_ok_and(|dir| dir.starts_with(&self.top)),
        };
        self.seen.insert(dir.to_owned(), covers);
        covers
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;

    fn run(state: &Path, id: &str, cwd: &Path, outcome: Option<&str>) -> (RunDir, RunSummary) {
        let dir = RunDir::create(state, id).expect("a run");
        let json = serde_json::json!({
            "version": 1, "id": id, "task": "", "cwd": cwd, "pid": 1, "started_unix_ms": 1, "updated_unix_ms": 1,
            "phase": "working", "iteration": 0, "restarts": 0, "rotations": 0, "waited_ms": 0, "outcome": outcome,
        });
        std::fs::write(dir.summary(), json.to_string()).expect("written");
        let summary = RunSummary::read(&dir.summary()).expect("read");
        (dir, summary)
    }

    #[test]
    fn an_outcome_is_named_as_it_is_written_or_shown_and_one_of_a_newer_ccc_if_a_run_has_it() {
        let state = tempfile::tempdir().expect("a directory");
        let runs: Vec<_> = [Some("completed"), Some("needs_user"), Some("dreamt"), None]
            .into_iter()
            .enumerate()
            .map(|(n, outcome)| run(state.path(), &format!("20261120-19182{n}-aaaa"), state.path(), outcome))
            .collect();
        let having = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let outcomes = Outcomes::named(&names, &runs).map_err(|error| format!("{error:?}"))?;
            let kept = |(at, (dir, run)): (usize, &(RunDir, RunSummary))| outcomes.have(dir, run).then_some(at);
            Ok::<Vec<usize>, String>(runs.iter().enumerate().filter_map(kept).collect())
        };
        assert_eq!(having(&[]), Ok(vec![0, 1, 2, 3]));
        assert_eq!(having(&["completed", "dreamt"]), Ok(vec![0, 2]));
        for name in ["needs_user", "needs-user", "needs you", "Needs_User"] {
            assert_eq!(having(&[name]), Ok(vec![1]), "{name}");
        }
        assert_eq!(having(&["died"]), Ok(vec![3]));
        let refused = having(&["fixed"]).expect_err("no outcome");
        assert!(
            refused.contains("`fixed` is no outcome") && refused.contains("interrupted, died, dreamt"),
            "{refused}"
        );
    }

    #[test]
    fn here_are_all_working_trees_of_the_repository_and_without_one_the_directories_below() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path().canonicalize().expect("a path");
        let place = |name: &str| {
            let dir = root.join(name);
            std::fs::create_dir_all(&dir).expect("made");
            dir
        };
        // A repository, a linked working tree of it elsewhere, and another repository inside of the first.
        for repository in ["shop/.git", "shop/vendor/.git"] {
            for part in ["objects", "refs", "worktrees/w"] {
                place(&format!("{repository}/{part}"));
            }
            std::fs::write(root.join(repository).join("HEAD"), "ref: refs/heads/main\n").expect("written");
        }
        let linked = place("state/w");
        let admin = root.join("shop/.git/worktrees/w");
        std::fs::write(linked.join(".git"), format!("gitdir: {}\n", admin.display())).expect("written");
        std::fs::write(admin.join("commondir"), "../..\n").expect("written");
        let state = place("state");
        let covered = |cwd: &Path, dir: &Path| {
            let id = format!(
                "20261120-191822-{}",
                crate::journal::sha256_hex(dir.as_os_str().as_encoded_bytes())[..8].to_owned()
            );
            let _ = std::fs::remove_dir_all(state.join("runs").join(&id));
            let (dir, summary) = run(&state, &id, dir, None);
            let seen = Captured::default();
            Here::of(&seen.context(cwd, None)).expect("a place").has(&dir, &summary)
        };
        let (shop, deep, other) = (place("shop"), place("shop/src"), place("other"));
        for dir in [&shop, &deep, &linked, &shop.join("gone")] {
            assert!(covered(&deep, dir), "{}", dir.display());
        }
        for dir in [&other, &place("shop/vendor"), &root] {
            assert!(!covered(&shop, dir), "{}", dir.display());
        }
        assert!(covered(&other, &place("other/deep")) && !covered(&other, &shop));
        assert!(covered(&root, &shop), "below a directory without a repository");
    }
}
