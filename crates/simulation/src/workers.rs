//! The workers of the simulated agent in the world: they start, end, and are told of.

use super::family::STARTED_WITHIN_MS;
use super::law::{Broken, Law};
use super::world::{Event, World};
use supervision::core::{Input, OperatorInput, Taken};

fn started(worker: usize) -> OperatorInput {
    OperatorInput::WorkerStarted { id: worker.to_string(), name: format!("worker-{worker}"), again: false }
}

fn ended(worker: usize) -> OperatorInput {
    let text = format!("Your worker number {worker} has ended: completed.");
    OperatorInput::WorkerEnded { id: worker.to_string(), name: format!("worker-{worker}"), text, at_unix_ms: Some(1) }
}

impl World {
    /// Schedules the starts of the workers.
    pub(super) fn family_comes(&mut self) {
        for worker in 0..self.family.lives_ms.len() {
            let ms = self.family.dice.between(1, STARTED_WITHIN_MS);
            self.schedule(ms, Event::WorkerStarts(worker));
        }
    }

    pub(super) fn worker_starts(&mut self, worker: usize) -> Result<(), Broken> {
        self.counts.add("worker started");
        self.family.started.insert(worker);
        let ms = self.family.lives_ms.get(worker).copied().unwrap_or(1);
        self.schedule(ms, Event::WorkerEnds(worker));
        self.feed_maybe_twice(Input::Operator(started(worker)))
    }

    /// The run has started an agent of the fleet as its worker.
    pub(super) fn worker_is_new(&mut self, worker: usize) -> Result<(), Broken> {
        self.counts.add("worker started");
        self.family.started.insert(worker);
        self.feed_maybe_twice(Input::Operator(started(worker)))
    }

    pub(super) fn worker_ends(&mut self, worker: usize) -> Result<(), Broken> {
        self.counts.add("worker ended");
        self.family.ended.insert(worker);
        self.feed_maybe_twice(Input::Operator(ended(worker)))
    }

    /// A resumed run is told of all workers that are known from elsewhere, before it begins.
    pub(super) fn tells_of_family(&mut self) -> Result<(), Broken> {
        let (all, over) = (self.family.started.clone(), self.family.ended.clone());
        for worker in all {
            self.feed_plainly(Input::Operator(started(worker)))?;
            if over.contains(&worker) {
                self.feed_plainly(Input::Operator(ended(worker)))?;
            }
        }
        Ok(())
    }

    /// Informs the laws of what the run was told about a worker.
    pub(super) fn family_did(&mut self, input: &OperatorInput, taken: &Taken) -> Result<(), Broken> {
        let family = &mut self.family;
        if let OperatorInput::WorkerStarted { id, .. } = input
            && let Ok(worker) = id.parse()
        {
            let is_new = family.known.insert(worker);
            if *taken == Taken::Done || is_new && !family.ended.contains(&worker) {
                family.running.insert(worker);
            }
        } else if let OperatorInput::WorkerEnded { id, text, .. } = input
            && let Ok(worker) = id.parse()
        {
            family.running.remove(&worker);
            match taken {
                Taken::Done if self.core.phase() != "ending" => self.laws.said(text.clone()),
                Taken::Done | Taken::Already => {}
                Taken::Queued { .. } | Taken::Refused(_) => {
                    return Err(Law::Sense.broken(format!("the end of a worker: {taken:?}")));
                }
            }
        }
        Ok(())
    }
}
