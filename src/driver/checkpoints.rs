//! Performs checkpoints of the working tree.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use super::child_env::ChildEnv;
use crate::checkpoint::{self, CheckpointError, Kept};
use crate::core::{CheckpointAt, CheckpointFact};
use crate::git::Git;
use crate::process::Cancel;

/// How many files that are left out are named.
const NAMED: usize = 20;

/// The checkpoints that this process has made.
#[derive(Debug, Default)]
struct Made {
    last: Option<Kept>,
    /// Their commits by their numbers.
    commits: BTreeMap<u64, String>,
}

/// Where and how a run keeps its checkpoints.
#[derive(Debug)]
pub(super) struct Checkpoints {
    git: Git,
    run_id: String,
    /// The run had ended when this process began.
    goes_on: bool,
    /// Those of this process.
    made: Mutex<Made>,
}

impl Checkpoints {
    /// Those of this run, which goes on after its end, or not. `give_up` kills a running git.
    pub(super) fn of(run_id: &str, goes_on: bool, env: &ChildEnv, give_up: Cancel) -> Checkpoints {
        let env: &[(OsString, OsString)] = &env.0;
        Checkpoints { git: Git::new(env, run_id, give_up), run_id: run_id.to_owned(), goes_on, made: Mutex::default() }
    }

    /// Keeps the working tree that `dir` lies in.
    pub(super) fn keep(&self, dir: &Path, at: CheckpointAt) -> CheckpointFact {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        // A failure is that of the checkpoint, too.
        let set_again = checkpoint::set_again(&self.git, dir, &self.run_id, &made.commits).unwrap_or(0);
        let why = match at {
            CheckpointAt::Start => checkpoint::BEFORE_START,
            CheckpointAt::Stop => checkpoint::AT_STOP,
            CheckpointAt::Restart if self.goes_on && made.last.is_none() => checkpoint::BEFORE_GOING_ON,
            CheckpointAt::Restart => checkpoint::BEFORE_PROCESS,
        };
        match checkpoint::keep(&self.git, dir, &self.run_id, why, made.last.as_ref()) {
            Ok(kept) => {
                let fact = CheckpointFact {
                    number: Some(kept.number),
                    commit: Some(kept.commit.clone()),
                    is_new: kept.is_new,
                    more_left_out: kept.left_out.len().saturating_sub(NAMED) as u64,
                    left_out: kept.left_out.iter().take(NAMED).map(ToString::to_string).collect(),
                    set_again,
                    ..CheckpointFact::default()
                };
                made.commits.insert(kept.number, kept.commit.clone());
                made.last = Some(kept);
                fact
            }
            Err(CheckpointError::NoRepository { .. } | CheckpointError::Bare { .. }) => {
                CheckpointFact { none: true, ..CheckpointFact::default() }
            }
            Err(
                error @ (CheckpointError::WrongReference { .. }
                | CheckpointError::ReferenceMoved { .. }
                | CheckpointError::TooMuchUntracked { .. }
                | CheckpointError::InTheWay { .. }
                | CheckpointError::Io(_)
                | CheckpointError::Git(_)),
            ) => CheckpointFact { trouble: Some(error.to_string()), ..CheckpointFact::default() },
        }
    }
}
