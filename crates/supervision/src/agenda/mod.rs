//! A list of tasks that are worked through one after the other (`ccc night`): which task is next, when to wait, why it ends.
//!
//! [`Agenda`] is everything that is remembered about a list. It is written to the disk before a decision is performed, so whoever
//! is killed is continued by the next. [`Agenda::decide`] takes the present facts with the time and changes nothing; what became of
//! a decision comes back through [`Agenda::starts`], [`Agenda::found`] and [`Agenda::ended`]. Nothing here reads a clock, a list or
//! a run, and the same facts give the same decisions.

mod decision;
mod key;
mod task;

use serde::{Deserialize, Serialize};

pub use decision::{End, EndWhy, Facts, Headroom, Step, WaitWhy};
pub use key::TaskKey;
pub use task::{Found, GaveWay, Listed, Stage, Task};

use crate::core::Outcome;

/// How often a run is started that does not begin, and continued whose ccc died, before its task is given up.
pub const MOST_TRIES: u32 = 3;
/// The pause before a run that did not begin is tried again: another run may be at work in its directory.
pub const TRY_AGAIN_MS: i64 = 60_000;
/// After so many tasks in a row whose runs did not begin, the next one would not either.
pub const MOST_UNBEGUN: u32 = 2;
/// What is left of the money is spent below this amount: it could not even be shown.
pub const LEAST_USD: f64 = 0.01;

/// The bounds of a list.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct ListBounds {
    /// No task starts from this time on, and the one at work is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<i64>,
    /// All runs together cost at most this much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// The first task that is not completed ends the list.
    #[serde(default)]
    pub stops_at_failure: bool,
}

/// What is remembered about a list.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Agenda {
    /// The tasks in the order of the list; behind them those that are no longer in it.
    pub tasks: Vec<Task>,
    /// When the work on the list began.
    pub began_unix_ms: i64,
    /// How it ended; `None` while it is at work, or was killed or interrupted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end: Option<End>,
    /// The bounds in force.
    pub bounds: ListBounds,
    /// The task whose failure ends the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<TaskKey>,
    /// All tokens were limited, and a run did not wait.
    pub limited: bool,
    /// How many tasks in a row had a run that did not begin.
    pub unbegun_in_a_row: u32,
}

impl Agenda {
    /// Begins, or goes on after whoever was at work was killed or interrupted: then the money that was spent counts. After an end of
    /// its own a new night begins.
    pub fn begin(&mut self, bounds: ListBounds, now_unix_ms: i64) {
        let is_new = self.began_unix_ms == 0 || self.end.is_some();
        if is_new {
            self.began_unix_ms = now_unix_ms;
        }
        self.bounds = bounds;
        (self.end, self.failed, self.limited, self.unbegun_in_a_row) = (None, None, false, 0);
        for task in &mut self.tasks {
            if is_new {
                task.cost_before_usd = task.cost_usd.unwrap_or(0.0);
            }
            task.begin();
        }
    }

    /// Takes the list as it is now. Tasks that are new in it are queued. Tasks that are no longer in it are forgotten if they have
    /// no run; otherwise they stay, and are not continued. A task that the user has ticked counts as no longer in it.
    pub fn listed(&mut self, list: &[Listed]) {
        let mut before = std::mem::take(&mut self.tasks);
        for item in list.iter().filter(|item| !item.done) {
            let known = before.iter().position(|task| task.key == item.key);
            let mut task = known.map_or_else(|| Task::new(item.key.clone()), |at| before.remove(at));
            task.listed = true;
            task.title.clone_from(&item.title);
            task.max_cost_usd = item.max_cost_usd;
            self.tasks.push(task);
        }
        self.tasks
            .extend(before.into_iter().filter(|task| task.run.is_some()).map(|task| Task { listed: false, ..task }));
    }

    /// What the runs of this night have cost, as far as that is known.
    #[must_use]
    pub fn spent_usd(&self) -> f64 {
        // The sum of nothing is -0.
        self.tasks.iter().map(Task::spent_usd).sum::<f64>() + 0.0
    }

    /// Whether the money is spent. A bound below the least amount is spent once anything is.
    fn is_money_spent(&self) -> bool {
        let least = self.bounds.max_cost_usd.map_or(LEAST_USD, |most| most.min(LEAST_USD));
        self.left_usd().is_some_and(|left| left < least)
    }

    /// What may still be spent; `None` without a bound.
    fn left_usd(&self) -> Option<f64> {
        self.bounds.max_cost_usd.map(|most| most - self.spent_usd())
    }

    /// The time of the list is over.
    fn is_late(&self, now_unix_ms: i64) -> bool {
        self.bounds.until_unix_ms.is_some_and(|until| until <= now_unix_ms)
    }

    /// The run of this id is being started for a task.
    pub fn starts(&mut self, at: usize, run: &str) {
        if let Some(task) = self.tasks.get_mut(at) {
            task.stage = Stage::Running;
            task.run = Some(run.to_owned());
            (task.why, task.outcome, task.gave_way) = (None, None, None);
        }
    }

    /// What a task's run was found to be when the work on the list began again: the user may have continued it meanwhile.
    pub fn found(&mut self, at: usize, found: &Found) {
        let Some(task) = self.tasks.get_mut(at) else { return };
        match task.stage {
            // It is looked at when it is its turn.
            Stage::Queued | Stage::Running => return,
            Stage::Broken | Stage::Interrupted | Stage::Completed | Stage::Failed | Stage::NotStarted => {}
        }
        match found {
            Found::AtWork => task.stage = Stage::Running,
            Found::Ended { outcome, reason, cost_usd } => {
                let is_new = task.outcome != Some(*outcome);
                task.cost_usd = cost_usd.or(task.cost_usd);
                match outcome {
                    Outcome::Completed => task.completed(),
                    // As it was asked to.
                    Outcome::Interrupted if task.gave_way.is_some() => {}
                    Outcome::Interrupted | Outcome::Limits if is_new => task.interrupted(*outcome, reason.as_deref()),
                    Outcome::Failed | Outcome::NeedsUser | Outcome::Stuck | Outcome::Budget if is_new => {
                        task.failed(*outcome, reason.as_deref());
                    }
                    Outcome::Interrupted
                    | Outcome::Limits
                    | Outcome::Failed
                    | Outcome::NeedsUser
                    | Outcome::Stuck
                    | Outcome::Budget => {}
                }
            }
            Found::NotBegun { .. } | Found::Died { .. } => {}
        }
    }

    /// What became of the run that was started, continued or waited for.
    pub fn ended(&mut self, at: usize, found: &Found, now_unix_ms: i64) {
        let is_late = self.is_late(now_unix_ms);
        let Some(task) = self.tasks.get_mut(at) else { return };
        let was_begun = !matches!(found, Found::NotBegun { .. });
        let fails = match found {
            Found::AtWork => return,
            Found::NotBegun { exists, why } => task.not_begun(*exists, why, now_unix_ms),
            Found::Died { cost_usd } => {
                task.cost_usd = cost_usd.or(task.cost_usd);
                task.died()
            }
            Found::Ended { outcome, reason, cost_usd } => {
                task.cost_usd = cost_usd.or(task.cost_usd);
                let reason = reason.as_deref();
                match outcome {
                    Outcome::Completed => {
                        task.completed();
                        false
                    }
                    Outcome::Limits => {
                        self.limited = true;
                        task.interrupted(*outcome, reason);
                        false
                    }
                    // As it was asked to.
                    Outcome::Interrupted if task.gave_way.is_some() => {
                        task.has_given_way();
                        false
                    }
                    Outcome::Interrupted => {
                        task.interrupted(*outcome, reason);
                        true
                    }
                    Outcome::Budget => {
                        task.failed(*outcome, reason);
                        let is_cut = is_late || self.is_money_spent();
                        if is_cut && let Some(task) = self.tasks.get_mut(at) {
                            task.stage = Stage::Interrupted;
                        }
                        !is_cut
                    }
                    Outcome::Failed | Outcome::NeedsUser | Outcome::Stuck => {
                        task.failed(*outcome, reason);
                        true
                    }
                }
            }
        };
        let Some(task) = self.tasks.get(at) else { return };
        if was_begun {
            self.unbegun_in_a_row = 0;
        } else if fails {
            self.unbegun_in_a_row = self.unbegun_in_a_row.saturating_add(1);
        }
        if fails && self.bounds.stops_at_failure {
            self.failed = Some(task.key.clone());
        }
    }

    /// The run of this task is being asked to end, because the rest of the usage is kept for the user: it is continued when there
    /// is room again, and nothing has failed.
    pub fn gives_way(&mut self, at: usize, again_unix_ms: Option<i64>) {
        if let Some(task) = self.tasks.get_mut(at) {
            task.gave_way = Some(GaveWay { again_unix_ms });
        }
    }

    /// Notes how the work on the list ended. An interrupted one goes on with what it has spent.
    pub fn ends(&mut self, why: EndWhy, now_unix_ms: i64) {
        self.end = match why {
            EndWhy::Interrupted => None,
            EndWhy::Done
            | EndWhy::Failure
            | EndWhy::NothingBegins
            | EndWhy::Limited
            | EndWhy::Time
            | EndWhy::Money
            | EndWhy::Reserve { .. } => Some(End { why, at_unix_ms: now_unix_ms }),
        };
    }

    /// The outcome of the list as a whole, for its exit code: of what ended it, else of the first task in it that is not completed.
    #[must_use]
    pub fn outcome(&self, why: &EndWhy) -> Outcome {
        match why {
            EndWhy::Interrupted => Outcome::Interrupted,
            EndWhy::Limited | EndWhy::Reserve { .. } => Outcome::Limits,
            EndWhy::Time | EndWhy::Money => Outcome::Budget,
            EndWhy::NothingBegins => Outcome::Failed,
            EndWhy::Failure => {
                let failed = self.tasks.iter().find(|task| Some(&task.key) == self.failed.as_ref());
                failed.map_or(Outcome::Failed, Task::as_outcome)
            }
            EndWhy::Done => {
                let of_list = self.tasks.iter().filter(|task| task.listed);
                of_list
                    .map(Task::as_outcome)
                    .find(|outcome| *outcome != Outcome::Completed)
                    .unwrap_or(Outcome::Completed)
            }
        }
    }
}

#[cfg(test)]
mod tests;
