//! One task of a list, and what becomes of it.

use serde::{Deserialize, Serialize};

use super::{MOST_TRIES, TRY_AGAIN_MS, TaskKey};
use crate::core::Outcome;

/// A task as the list has it now.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Which one it is.
    pub key: TaskKey,
    /// One line that names it.
    pub title: String,
    /// What its run may cost.
    pub max_cost_usd: Option<f64>,
    /// The user has ticked it.
    pub done: bool,
}

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// It has no run yet.
    Queued,
    /// Its run is at work, or was when this was written.
    Running,
    /// The ccc of its run died: the run is continued.
    Broken,
    /// Its run was interrupted: the next start of the list continues it.
    Interrupted,
    /// Its run is completed.
    Completed,
    /// Its run ended in another way.
    Failed,
    /// Its run did not begin: the next start of the list tries again.
    NotStarted,
}

impl Stage {
    /// The word for users and for JSON.
    #[must_use]
    pub fn in_words(self) -> &'static str {
        match self {
            Stage::Queued => "queued",
            Stage::Running => "running",
            Stage::Broken => "broken",
            Stage::Interrupted => "interrupted",
            Stage::Completed => "completed",
            Stage::Failed => "failed",
            Stage::NotStarted => "not started",
        }
    }
}

/// What a task's run is found to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Found {
    /// Its ccc lives.
    AtWork,
    /// It did not begin, or was not continued.
    NotBegun {
        /// Whether there is a run, from an earlier start.
        exists: bool,
        /// Why, as far as that is known.
        why: String,
    },
    /// It has no end, and no ccc works on it.
    Died {
        /// What it has cost.
        cost_usd: Option<f64>,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// Why.
        reason: Option<String>,
        /// What it has cost.
        cost_usd: Option<f64>,
    },
}

/// A task, as it is remembered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// Which one it is.
    pub key: TaskKey,
    /// One line that names it, without secrets.
    #[serde(default)]
    pub title: String,
    /// Whether it is in the list.
    #[serde(default)]
    pub listed: bool,
    /// How far it is.
    pub stage: Stage,
    /// Its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<String>,
    /// The outcome of its run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// Why it is not completed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// What its run may cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_cost_usd: Option<f64>,
    /// What its run has cost; `None` while unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_usd: Option<f64>,
    /// What it had cost when the night began.
    #[serde(default)]
    pub cost_before_usd: f64,
    /// How often in a row its run did not begin, or died.
    #[serde(default)]
    pub tries: u32,
    /// It is not tried again before this time.
    #[serde(default)]
    pub again_unix_ms: i64,
    /// Its run was asked to end, because the rest of the usage is kept for the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_way: Option<GaveWay>,
}

/// A run that was asked to end, because the rest of the usage is kept for the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GaveWay {
    /// When it is expected to be continued, unix milliseconds; `None` while no reset is known.
    #[serde(default)]
    pub again_unix_ms: Option<i64>,
}

impl Task {
    /// A task that waits.
    #[must_use]
    pub fn new(key: TaskKey) -> Task {
        Task {
            key,
            title: String::new(),
            listed: true,
            stage: Stage::Queued,
            run: None,
            outcome: None,
            why: None,
            max_cost_usd: None,
            cost_usd: None,
            cost_before_usd: 0.0,
            tries: 0,
            again_unix_ms: 0,
            gave_way: None,
        }
    }

    /// What its run has cost in this night, as far as that is known.
    #[must_use]
    pub fn spent_usd(&self) -> f64 {
        (self.cost_usd.unwrap_or(0.0) - self.cost_before_usd).max(0.0)
    }

    /// Work on the list begins: what was put off is due again.
    pub(super) fn begin(&mut self) {
        (self.tries, self.again_unix_ms) = (0, 0);
        self.stage = match self.stage {
            Stage::Interrupted => Stage::Broken,
            Stage::NotStarted => Stage::Queued,
            stage @ (Stage::Queued | Stage::Running | Stage::Broken | Stage::Completed | Stage::Failed) => stage,
        };
    }

    pub(super) fn completed(&mut self) {
        (self.stage, self.outcome, self.why) = (Stage::Completed, Some(Outcome::Completed), None);
        (self.tries, self.gave_way) = (0, None);
    }

    pub(super) fn failed(&mut self, outcome: Outcome, reason: Option<&str>) {
        self.stage = Stage::Failed;
        self.outcome = Some(outcome);
        self.why = reason.map(str::to_owned);
        (self.tries, self.gave_way) = (0, None);
    }

    pub(super) fn interrupted(&mut self, outcome: Outcome, reason: Option<&str>) {
        self.failed(outcome, reason);
        self.stage = Stage::Interrupted;
    }

    /// Its run has ended as it was asked to.
    pub(super) fn has_given_way(&mut self) {
        (self.stage, self.outcome) = (Stage::Broken, None);
        self.why = Some("it gave way, because the rest of the usage is kept for you".to_owned());
        self.tries = 0;
    }

    /// Returns whether the task is given up.
    pub(super) fn died(&mut self) -> bool {
        self.tries = self.tries.saturating_add(1);
        self.outcome = None;
        if self.tries < MOST_TRIES {
            self.stage = Stage::Broken;
            return false;
        }
        self.stage = Stage::Interrupted;
        self.why = Some(format!("its ccc died {MOST_TRIES} times"));
        true
    }

    /// Returns whether the task is given up.
    pub(super) fn not_begun(&mut self, exists: bool, why: &str, now_unix_ms: i64) -> bool {
        self.tries = self.tries.saturating_add(1);
        self.why = Some(why.to_owned());
        if !exists {
            self.run = None;
        }
        self.stage = match (exists, self.tries < MOST_TRIES) {
            (true, true) => Stage::Broken,
            (true, false) => Stage::Interrupted,
            (false, true) => Stage::Queued,
            (false, false) => Stage::NotStarted,
        };
        self.again_unix_ms = now_unix_ms.saturating_add(TRY_AGAIN_MS);
        self.tries >= MOST_TRIES
    }

    /// How it stands, as an outcome.
    pub(super) fn as_outcome(&self) -> Outcome {
        match self.stage {
            Stage::Completed => Outcome::Completed,
            Stage::Failed => self.outcome.unwrap_or(Outcome::Failed),
            Stage::Interrupted | Stage::Running | Stage::Broken => self.outcome.unwrap_or(Outcome::Interrupted),
            Stage::Queued | Stage::NotStarted => Outcome::Failed,
        }
    }
}
