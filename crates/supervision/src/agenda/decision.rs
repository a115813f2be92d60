//! What is done next with a list, or why it ends.

use serde::{Deserialize, Serialize};

use super::{Agenda, MOST_UNBEGUN, Stage};
use crate::upkeep::Full;

/// How long a full window is believed: it may be reset early, and others use it, too.
const ASK_AGAIN_MS: i64 = 10 * 60_000;

/// How much room the usage leaves.
#[derive(Debug, Clone, PartialEq)]
pub enum Headroom {
    /// There is some, or nothing is known.
    Free,
    /// What is left is kept for the user.
    Reserved {
        /// The window of a token.
        full: Full,
        /// When a token may have room again; `None` if that is unknown.
        again_unix_ms: Option<i64>,
    },
}

/// The present facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// The present time, unix milliseconds.
    pub now_unix_ms: i64,
    /// How much room the usage leaves.
    pub headroom: &'a Headroom,
    /// The user, or the system, wants an end.
    pub interrupted: bool,
}

/// A decision. `task` is the place in [`Agenda::tasks`].
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Start a run for this task.
    Start {
        /// The task.
        task: usize,
        /// What the run may cost.
        max_cost_usd: Option<f64>,
    },
    /// Continue the run of this task.
    Resume {
        /// The task.
        task: usize,
        /// Its run.
        run: String,
        /// What the run may cost as a whole.
        max_cost_usd: Option<f64>,
    },
    /// The run of this task was at work when this was written: look at it, and wait while it still is.
    Await {
        /// The task.
        task: usize,
        /// Its run.
        run: String,
    },
    /// Wait until then, and decide again.
    Wait {
        /// Until when.
        until_unix_ms: i64,
        /// What for.
        why: WaitWhy,
    },
    /// It ends.
    End(EndWhy),
}

/// What is waited for.
#[derive(Debug, Clone, PartialEq)]
pub enum WaitWhy {
    /// A run that did not begin is tried again.
    TryAgain,
    /// A window resets, whose rest is kept for the user.
    Reset(Full),
}

/// The end of the work on a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct End {
    /// Why.
    pub why: EndWhy,
    /// When.
    pub at_unix_ms: i64,
}

/// Why the work on a list ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndWhy {
    /// No task is left.
    Done,
    /// A task failed, and the user wants to stop then.
    Failure,
    /// The runs of several tasks in a row did not begin.
    NothingBegins,
    /// All tokens are limited, and a run does not wait.
    Limited,
    /// The time is over.
    Time,
    /// The money is spent.
    Money,
    /// What is left of the usage is kept for the user, and no reset comes in time.
    Reserve {
        /// The window.
        full: Full,
    },
    /// The user, or the system, wanted it.
    Interrupted,
}

impl Agenda {
    /// Decides what is done next, while nothing of this list is at work that the caller knows of.
    #[must_use]
    pub fn decide(&self, facts: &Facts<'_>) -> Step {
        let now = facts.now_unix_ms;
        if facts.interrupted {
            return Step::End(EndWhy::Interrupted);
        }
        let running = self.tasks.iter().enumerate().find(|(_, task)| task.stage == Stage::Running);
        if let Some((task, run)) = running.and_then(|(at, task)| Some((at, task.run.clone()?))) {
            return Step::Await { task, run };
        }
        let first = |stage: Stage| self.tasks.iter().enumerate().find(|(_, task)| task.listed && task.stage == stage);
        // What was begun comes first: the tree has one half of it.
        let next = first(Stage::Broken).or_else(|| first(Stage::Queued));
        if self.failed.is_some() {
            return Step::End(EndWhy::Failure);
        }
        let Some((at, task)) = next else { return Step::End(EndWhy::Done) };
        if self.unbegun_in_a_row >= MOST_UNBEGUN {
            return Step::End(EndWhy::NothingBegins);
        }
        if self.limited {
            return Step::End(EndWhy::Limited);
        }
        if self.is_late(now) {
            return Step::End(EndWhy::Time);
        }
        let left = self.left_usd();
        if self.is_money_spent() {
            return Step::End(EndWhy::Money);
        }
        // Nothing is waited for past the end.
        let at_most = |moment: i64| self.bounds.until_unix_ms.map_or(moment, |until| moment.min(until));
        if task.again_unix_ms > now {
            return Step::Wait { until_unix_ms: at_most(task.again_unix_ms), why: WaitWhy::TryAgain };
        }
        if let Headroom::Reserved { full, again_unix_ms } = facts.headroom {
            let in_time = |again: &i64| self.bounds.until_unix_ms.is_none_or(|until| *again < until);
            let Some(again) = again_unix_ms.filter(in_time) else {
                return Step::End(EndWhy::Reserve { full: full.clone() });
            };
            let until_unix_ms = at_most(again.min(now.saturating_add(ASK_AGAIN_MS)));
            return Step::Wait { until_unix_ms, why: WaitWhy::Reset(full.clone()) };
        }
        let has_cost = task.cost_usd.unwrap_or(0.0);
        // The bound of a run is on all that it has ever cost.
        let by_list = left.map(|left| has_cost + left);
        let max_cost_usd = task.max_cost_usd.into_iter().chain(by_list).min_by(f64::total_cmp);
        match (&task.run, task.stage) {
            (Some(run), Stage::Broken) => Step::Resume { task: at, run: run.clone(), max_cost_usd },
            (
                Some(_) | None,
                Stage::Queued
                | Stage::Broken
                | Stage::Running
                | Stage::Interrupted
                | Stage::Completed
                | Stage::Failed
                | Stage::NotStarted,
            ) => Step::Start { task: at, max_cost_usd },
        }
    }
}
