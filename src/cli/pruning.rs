//! Which runs are old, for the commands that say so or remove them.

use std::collections::BTreeMap;

use super::start::state_error;
use super::{CliError, Context, agent_tree};
use crate::config::Settings;
use crate::driver;
use crate::git::Git;
use crate::order::map_of;
use crate::retention::{self, Because, NotRemoved, Removed, Rule, RunAge, Stays, Weighed};
use crate::ui::format;

/// What marks the processes of git that remove checkpoints.
const MARK: &str = "prune";

/// A run that goes.
pub(super) struct Goes {
    pub(super) run: RunAge,
    pub(super) why: Because,
    /// What it takes.
    pub(super) bytes: u64,
}

/// The runs by what becomes of them.
pub(super) struct Chosen {
    /// Those that go, the newest first.
    pub(super) go: Vec<Goes>,
    /// How many are not finished, by the reason.
    pub(super) unfinished: BTreeMap<Stays, usize>,
    /// How many are finished and stay.
    pub(super) kept: usize,
}

/// What the settings say.
pub(super) fn rule_of(settings: &Settings) -> Rule {
    Rule {
        older_than_ms: Some(settings.retention.max_age.as_ms()),
        keep: usize::try_from(settings.retention.keep).unwrap_or(usize::MAX),
        max_bytes: None,
    }
}

/// The runs that go by this rule.
///
/// # Errors
/// When the state directory cannot be read.
pub(super) fn choose(rule: &Rule, context: &Context) -> Result<Chosen, CliError> {
    let now_unix_ms = driver::unix_ms();
    let runs = retention::ages(&context.dirs()?.state, now_unix_ms).map_err(|error| state_error(&error))?;
    let weighed: Vec<Weighed> = runs
        .iter()
        .map(|run| Weighed {
            last_unix_ms: run.last_unix_ms,
            bytes: if rule.max_bytes.is_some() { retention::bytes_of(run.dir.path()) } else { 0 },
            is_finished: run.finished.is_ok(),
        })
        .collect();
    let why = map_of(rule.chosen(&weighed, now_unix_ms));
    let mut chosen = Chosen { go: Vec::new(), unfinished: BTreeMap::new(), kept: 0 };
    for (at, run) in runs.into_iter().enumerate() {
        match (why.get(&at), &run.finished) {
            (Some(why), _) => {
                let bytes = retention::bytes_of(run.dir.path());
                chosen.go.push(Goes { run, why: *why, bytes });
            }
            (None, Err(stays)) => *chosen.unfinished.entry(*stays).or_default() += 1,
            (None, Ok(_)) => chosen.kept += 1,
        }
    }
    Ok(chosen)
}

/// How many runs go by this rule, which has no size.
pub(super) fn count(rule: &Rule, context: &Context) -> usize {
    let now_unix_ms = driver::unix_ms();
    let Ok(dirs) = context.dirs() else { return 0 };
    let Ok(runs) = retention::ages(&dirs.state, now_unix_ms) else { return 0 };
    let weigh = |run: &RunAge| Weighed { last_unix_ms: run.last_unix_ms, bytes: 0, is_finished: run.finished.is_ok() };
    rule.chosen(&runs.iter().map(weigh).collect::<Vec<_>>(), now_unix_ms).len()
}

/// That runs are older than they are kept, and what removes them; `None` if none is.
pub(super) fn told(settings: &Settings, context: &Context) -> Option<String> {
    let number @ 1.. = count(&rule_of(settings), context) else { return None };
    let age = settings.retention.max_age;
    Some(format!("{} ended more than {age} ago; to remove them: ccc runs prune", format::count(number, "run")))
}

/// Git of ours for the removal of checkpoints.
///
/// # Errors
/// When the process has no descriptors left.
pub(super) fn git(context: &Context) -> Result<Git, CliError> {
    agent_tree::git(MARK, context)
}

/// What a person reads of a removed run.
pub(super) fn in_words(removed: &Removed) -> String {
    let checkpoints = match removed.checkpoints {
        0 => String::new(),
        some => format!(" and {}", format::count(some, "checkpoint")),
    };
    format!("removed run {} ({}){checkpoints}", removed.id, format::bytes(removed.bytes))
}

/// What is to be said of its checkpoints, if they were not found.
pub(super) fn note(removed: &Removed) -> Option<String> {
    let gone = removed.gone.as_ref()?;
    Some(format!(
        "{} is gone; if its repository was moved, `ccc gc` removes the checkpoints when it is typed there",
        gone.display()
    ))
}

/// The error for a user.
pub(super) fn error_of(error: &NotRemoved) -> CliError {
    let text = error.to_string();
    match error {
        NotRemoved::Busy | NotRemoved::Stays { .. } => CliError::failed(text),
        NotRemoved::Checkpoints { .. } | NotRemoved::Name(_) => CliError::failed(text).hint("to try it again: ccc gc"),
        NotRemoved::Trash(_) | NotRemoved::Io(_) => {
            CliError::io(text).hint("see who owns the file; then type the same command again")
        }
    }
}
