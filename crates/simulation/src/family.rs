//! The workers of the simulated agent, and the setup of its tree: what the seed draws of them, and the laws about both. What they do
//! in the world stands in `workers`.
//!
//! They have separate dice, so that a night without them is the same as before they existed.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::law::{Broken, Law};
use supervision::agent::Role;
use supervision::core::{CheckEnd, CheckId, Plan, SetupPlan};

/// Separates these dice from the night's own.
const DICE: u64 = 0x6661_6d69_6c79;
/// The same for those of the checkpoints.
const CHECKPOINT_DICE: u64 = 0x6b65_6570;
/// The same for those of the comparisons of tests.
const COMPARISON_DICE: u64 = 0x6265_6e74;
/// How many of 100 nights have workers.
const NIGHTS_WITH_WORKERS: u64 = 25;
/// How many of 100 nights have a setup.
const NIGHTS_WITH_SETUP: u64 = 20;
/// The most workers of a night.
const MOST_WORKERS: u64 = 6;
/// The longest time after the beginning at which a worker is started, in milliseconds.
pub(super) const STARTED_WITHIN_MS: u64 = 2 * 3_600_000;
/// The longest life of a worker, in milliseconds. Longer than a run waits for it.
const LONGEST_MS: u64 = 30 * 3_600_000;
/// The core's decision to wait no longer.
const LOST: &str = "wait no longer for the workers";

/// How many of 100 nights keep checkpoints.
const NIGHTS_WITH_CHECKPOINTS: u64 = 25;
/// How many of 100 of those protect files.
const NIGHTS_WITH_PROTECTION: u64 = 50;
const PROTECTION_DICE: u64 = 0x7072_6f74;
/// How many of 100 of those compare tests.
const NIGHTS_WITH_COMPARISONS: u64 = 75;

/// The workers, the setup and the checkpoints of a night.
#[derive(Debug)]
pub(super) struct Family {
    pub(super) dice: Dice,
    /// Those of the checkpoints.
    pub(super) checkpoint_dice: Dice,
    /// Those of the comparisons of tests.
    pub(super) comparison_dice: Dice,
    keeps: bool,
    /// A checkpoint was asked for since the last process of the agent or the setup started.
    kept: bool,
    /// The checks that may have files of the run's beginning in the tree.
    exchanged: BTreeSet<CheckId>,
    /// How many checkpoints are asked for and not answered: while one hangs, no other is asked for.
    pub(super) keeping: u32,
    /// How long each worker lives, by its number, in milliseconds.
    pub(super) lives_ms: Vec<u64>,
    pub(super) started: BTreeSet<usize>,
    pub(super) ended: BTreeSet<usize>,
    /// The workers that the run must wait for.
    pub(super) running: BTreeSet<usize>,
    /// The workers that the run was told of.
    pub(super) known: BTreeSet<usize>,
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
        let mut checkpoint_dice = Dice::new(seed ^ CHECKPOINT_DICE);
        plan.checkpoints = checkpoint_dice.percent(NIGHTS_WITH_CHECKPOINTS) && !alone;
        let mut comparison_dice = Dice::new(seed ^ COMPARISON_DICE);
        plan.tests_compared = plan.checkpoints && comparison_dice.percent(NIGHTS_WITH_COMPARISONS);
        if plan.checkpoints && Dice::new(seed ^ PROTECTION_DICE).percent(NIGHTS_WITH_PROTECTION) {
            plan.protect = vec!["tests/**".to_owned()];
        }
        Family {
            dice,
            checkpoint_dice,
            comparison_dice,
            keeps: plan.checkpoints,
            kept: false,
            exchanged: BTreeSet::new(),
            keeping: 0,
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
            if self.passed.is_empty() && self.commands.is_empty() {
                self.keeps_before("the setup")?;
            }
            self.commands.insert(check, command.to_owned());
            return Ok(true);
        }
        self.judges()?;
        Ok(false)
    }

    /// A check is run with files of the run's beginning in the tree.
    pub(super) fn exchanges(&mut self, check: CheckId) {
        self.exchanged.insert(check);
    }

    /// A ccc has died, and the next one has put the agent's versions back.
    pub(super) fn puts_back(&mut self) {
        self.exchanged.clear();
    }

    /// The agent is told something, or started.
    pub(super) fn finds_its_versions(&self, what: &str) -> Result<(), Broken> {
        match self.exchanged.first() {
            Some(check) => {
                Err(Law::OwnVersions.broken(format!("{what} before check {check:?} has put its files back")))
            }
            None => Ok(()),
        }
    }

    /// The core learns of the end of a command, or may have learnt of it.
    pub(super) fn command_ended(&mut self, check: CheckId, end: &CheckEnd) {
        self.exchanged.remove(&check);
        if let Some(command) = self.commands.get(&check).filter(|_| *end == CheckEnd::Exited(0)) {
            self.passed.insert(command.clone());
        }
    }

    /// A checkpoint is taken.
    pub(super) fn keeps(&mut self) {
        self.kept = true;
        self.keeping += 1;
    }

    fn keeps_before(&mut self, what: &str) -> Result<(), Broken> {
        Law::KeptFirst.broken_if(self.keeps && !std::mem::take(&mut self.kept) && self.keeping == 0, || {
            format!("{what} is started, and the tree was not kept before")
        })?;
        Ok(())
    }

    /// Checks the start of a process.
    pub(super) fn spawns(&mut self, role: Role) -> Result<(), Broken> {
        if let Some(left) = self.setup.iter().find(|command| !self.passed.contains(*command)) {
            return Err(Law::SetUpFirst.broken(format!("{role:?} is started, and `{left}` has not passed")));
        }
        match role {
            Role::Critic => self.judges(),
            Role::Agent => {
                self.finds_its_versions("the agent is started")?;
                self.keeps_before("a process of the agent")
            }
        }
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
