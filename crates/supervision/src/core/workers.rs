//! The workers of the agent: runs that it has started, of whose end it is told.
//!
//! A stop with running workers is not judged: the run rests until one of them ends. Each end is a turn of the agent, once,
//! whatever the run is doing when it becomes known, and also after ccc has died. A worker that is continued has another end.

use std::collections::BTreeMap;

use super::machine::Stage;
use super::resting::Rest;
use super::{Core, Refused, RestKind, Taken, Tick, bound_in_words};
use crate::agent::TurnKind;

/// The most workers that one run knows of, ended ones included.
const MAX_WORKERS: usize = 4_096;
/// The longest id and the longest name of a worker, in bytes.
const MAX_NAME_BYTES: usize = 256;
/// The longest text about the end of a worker, in bytes.
const MAX_TEXT_BYTES: usize = 64 * 1024;
/// How long a stop waits for workers of which none ends. Then they count as lost, because a worker whose ccc was killed with the
/// machine reports nothing.
const PATIENCE_MS: u64 = 24 * 3_600_000;

/// A worker.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Worker {
    /// It runs, and has this name.
    Running(String),
    /// It has not reported its end for too long. Its end is still told when it comes.
    Lost,
    /// The agent was told of its end, or will be. When it ended tells its ends apart; a ccc of an earlier version does not say it.
    Ended(Option<i64>),
}

/// The workers of the agent, by the ids of their runs.
#[derive(Debug, Clone, Default)]
pub(super) struct Workers(BTreeMap<String, Worker>);

impl Workers {
    /// How many are running.
    pub(super) fn running(&self) -> usize {
        self.0.values().filter(|worker| matches!(worker, Worker::Running(_))).count()
    }

    fn started(&mut self, id: String, name: String, again: bool) -> Taken {
        if id.is_empty() || id.len() > MAX_NAME_BYTES || name.len() > MAX_NAME_BYTES {
            return Taken::Refused(Refused::TooMuch);
        }
        match self.0.get(&id) {
            Some(Worker::Running(_)) => return Taken::Already,
            // The end of a short worker may come before the report of its start.
            Some(Worker::Lost | Worker::Ended(_)) if !again => return Taken::Already,
            Some(Worker::Lost | Worker::Ended(_)) | None => {}
        }
        if !self.0.contains_key(&id) && self.0.len() >= MAX_WORKERS {
            return Taken::Refused(Refused::TooMuch);
        }
        self.0.insert(id, Worker::Running(name));
        Taken::Done
    }

    /// Whether this end was told before.
    fn is_told(&self, id: &str, at_unix_ms: Option<i64>) -> bool {
        match self.0.get(id) {
            Some(Worker::Ended(told)) => told.is_none() || at_unix_ms.is_none() || *told == at_unix_ms,
            Some(Worker::Running(_) | Worker::Lost) | None => false,
        }
    }

    fn ended(&mut self, id: String, text: &str, at_unix_ms: Option<i64>) -> Taken {
        if self.is_told(&id, at_unix_ms) {
            return Taken::Already;
        }
        if text.trim().is_empty() {
            return Taken::Refused(Refused::Nothing);
        }
        let is_new = !self.0.contains_key(&id);
        let too_many = is_new && self.0.len() >= MAX_WORKERS;
        if id.is_empty() || id.len() > MAX_NAME_BYTES || text.len() > MAX_TEXT_BYTES || too_many {
            return Taken::Refused(Refused::TooMuch);
        }
        self.0.insert(id, Worker::Ended(at_unix_ms));
        Taken::Done
    }

    /// All running workers are lost. Gives their names.
    fn lose(&mut self) -> Vec<String> {
        let running = self.0.values_mut().filter_map(|worker| match std::mem::replace(worker, Worker::Lost) {
            Worker::Running(name) => Some(name),
            other @ (Worker::Lost | Worker::Ended(_)) => {
                *worker = other;
                None
            }
        });
        running.collect()
    }
}

impl Core {
    /// How many workers of the agent are running.
    #[must_use]
    pub fn workers_running(&self) -> usize {
        self.workers.running()
    }

    /// Whether the run was told of this worker.
    #[must_use]
    pub fn knows_worker(&self, id: &str) -> bool {
        self.workers.0.contains_key(id)
    }

    /// Whether this worker counts as running.
    #[must_use]
    pub fn counts_as_running(&self, id: &str) -> bool {
        matches!(self.workers.0.get(id), Some(Worker::Running(_)))
    }

    /// Whether the run was told of this end of this worker.
    #[must_use]
    pub fn is_told_of_end(&self, id: &str, at_unix_ms: Option<i64>) -> bool {
        self.workers.is_told(id, at_unix_ms)
    }

    /// A worker was started. What a stop under review means by it is decided with the next fact, because this one may reach a
    /// run whose ccc has ended.
    pub(super) fn worker_started(&mut self, id: String, name: String, again: bool) -> Taken {
        self.workers.started(id, name, again)
    }

    /// A worker has ended. The agent is told in a turn of its own.
    pub(super) fn worker_ended(&mut self, id: String, text: String, at_unix_ms: Option<i64>) -> Taken {
        let taken = self.workers.ended(id, &text, at_unix_ms);
        if taken == Taken::Done {
            // Feedback that was repeated in vain may help now.
            self.stops.starts_over();
            self.turns.queue(TurnKind::Worker, text);
        }
        taken
    }

    /// Rests at a stop while workers are running. True if it does.
    pub(super) fn waits_for_workers(&mut self) -> bool {
        if self.workers.running() == 0 {
            return false;
        }
        self.rest(Rest::of(RestKind::Workers));
        true
    }

    /// What the run waits for, as the detail of its phase.
    pub(super) fn for_workers(&self) -> String {
        match self.workers.running() {
            1 => "for 1 worker".to_owned(),
            count => format!("for {count} workers"),
        }
    }

    /// Whether a stop is judged although workers have been started since it began.
    pub(super) fn judges_beside_workers(&self) -> bool {
        matches!(self.stage(), Stage::Checking(_) | Stage::Reviewing(_)) && self.workers.running() > 0
    }

    /// Leaves the stop unjudged until the workers have ended.
    pub(super) fn judges_after_workers(&mut self) {
        self.decide("judge the stop after the workers", "the agent has started workers meanwhile");
        self.give_up_judging();
        self.enter(Stage::Working);
    }

    /// Whether the run rests for its workers.
    pub(super) fn waits_for_workers_now(&self) -> bool {
        matches!(self.stage(), Stage::Resting(resting) if resting.kind() == RestKind::Workers)
    }

    /// When the workers that a stop waits for count as lost.
    pub(super) fn workers_lost_at(&self) -> Option<Tick> {
        let Stage::Resting(resting) = self.stage() else { return None };
        (resting.kind() == RestKind::Workers).then(|| resting.since().plus_ms(PATIENCE_MS))
    }

    /// Tells the agent that its workers are lost, if none has ended for too long.
    pub(super) fn lose_workers_when_due(&mut self) {
        if self.turns.has_queued() || self.workers_lost_at().is_none_or(|due| self.now() < due) {
            return;
        }
        let names = self.workers.lose();
        let patience = bound_in_words(PATIENCE_MS);
        self.decide("wait no longer for the workers", &format!("none has reported its end for {patience}"));
        self.turns.queue(
            TurnKind::Worker,
            format!(
                "These workers of yours have not reported their end for {patience}: {}. `ccc list` shows how they stand. They are not \
                 waited for any longer.",
                names.join(", ")
            ),
        );
    }
}
