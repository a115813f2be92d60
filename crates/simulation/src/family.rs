//! The workers of the simulated agent, and the setup of its tree: what the seed draws of them, and the laws about both.
//!
//! They have separate dice, so that a night without them is the same as before they existed.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::law::{Broken, Law};
use super::world::{Event, World};
use supervision::agent::Role;
use supervision::core::{CheckEnd, CheckId, Input, OperatorInput, Plan, SetupPlan, Taken};

/// Separates these dice from the night's own.
const DICE: u64 = 0x66_616d_696c_79;
/// How many of 100 nights have workers.
const NIGHTS_WITH_WORKERS: u64 = 25;
/// How many of 100 nights have a setup.
const NIGHTS_WITH_SETUP: u64 = 20;
/// The most workers of a night.
const MOST_WORKERS: u64 = 6;
/// The longest time after the beginning at which a worker is started, in milliseconds.
const STARTED_WITHIN_MS: u64 = 2 * 3_600_000;
/// The longest life of a worker, in milliseconds. Longer than a run waits for it.
const LONGEST_MS: u64 = 30 * 3_600_000;
/// The core's decision to wait no longer.
const LOST: &str = "wait no longer for the workers";

/// The workers and the setup of a night.
#[derive(Debug)]
pub(super) struct Family {
    dice: Dice,
    /// How long each worker lives, by its number, in milliseconds.
    lives_ms: Vec<u64>,
    started: BTreeSet<usize>,
    ended: BTreeSet<usize>,
    /// The workers that the run must wait for.
    running: BTreeSet<usize>,
    /// The workers that the run was told of.
    known: BTreeSet<usize>,
    /// The commands of the setup, and the running ones by their numbers.
    setup: Vec<String>,
    commands: BTreeMap<CheckId, String>,
    passed: BTreeSet<String>,
}

impl Family {
    /// `alone`: a night without any of it.
    pub(super) fn draw(seed: u64, alone: bool, plan: &mut Plan) -> Family {
        let mut dice = Dice::new(seed ^ DICE);
        if dice.percent(NIGHTS_WITH_SETUP) && !alone {
            let commands = dice.between(1, 2);
            plan.setup =
                (0..commands).map(|at| SetupPlan { command: format!("setup {at}"), timeout_ms: 600_000 }).collect();
        }
        let count = if dice.percent(NIGHTS_WITH_WORKERS) && !alone { dice.between(1, MOST_WORKERS) } else { 0 };
        let lives_ms = (0..count)
            .map(|_| if dice.percent(80) { dice.between(1, 3_600_000) } else { dice.between(1, LONGEST_MS) })
            .collect();
        Family {
            dice,
            lives_ms,
            started: BTreeSet::new(),
            ended: BTreeSet::new(),
            running: BTreeSet::new(),
            known: BTreeSet::new(),
            setup: plan.setup.iter().map(|setup| setup.command.clone()).collect(),
            commands: BTreeMap::new(),
            passed: BTreeSet::new(),
        }
    }

    /// A command of the setup or a check is started. True if it is of the setup.
    pub(super) fn runs(&mut self, check: CheckId, command: &str) -> Result<bool, Broken> {
        if self.setup.iter().any(|of| of == command) {
            self.commands.insert(check, command.to_owned());
            return Ok(true);
        }
        self.judges()?;
        Ok(false)
    }

    /// The core learns of the end of a command.
    pub(super) fn command_ended(&mut self, check: CheckId, end: &CheckEnd) {
        if let Some(command) = self.commands.get(&check).filter(|_| *end == CheckEnd::Exited(0)) {
            self.passed.insert(command.clone());
        }
    }

    /// Checks the start of a process.
    pub(super) fn spawns(&self, role: Role) -> Result<(), Broken> {
        if let Some(left) = self.setup.iter().find(|command| !self.passed.contains(*command)) {
            return Err(Law::SetUpFirst.broken(format!("{role:?} is started, and `{left}` has not passed")));
        }
        if role == Role::Critic { self.judges() } else { Ok(()) }
    }

    fn judges(&self) -> Result<(), Broken> {
        match self.running.first() {
            Some(worker) => Err(Law::WorkersFirst.broken(format!("a stop is judged while worker {worker} runs"))),
            None => Ok(()),
        }
    }

    /// Records a decision of the core.
    pub(super) fn decided(&mut self, what: &str) {
        if what == LOST {
            self.running.clear();
        }
    }
}

fn started(worker: usize) -> OperatorInput {
    OperatorInput::WorkerStarted { id: worker.to_string(), name: format!("worker-{worker}") }
}

fn ended(worker: usize) -> OperatorInput {
    let text = format!("Your worker number {worker} has ended: completed.");
    OperatorInput::WorkerEnded { id: worker.to_string(), name: format!("worker-{worker}"), text }
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
