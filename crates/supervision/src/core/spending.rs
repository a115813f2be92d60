//! What the run has cost while a turn is under way, and the end of a turn that passes the bound.
//!
//! The CLI reports a turn's cost only when the turn is over. A turn may last for ever, and a process that dies in a turn reports
//! nothing. So if a bound on the cost is set, ccc asks each process: before its first turn, for the earlier cost of its session;
//! and when a call begins or returns, when work is sent back, and after a compaction, because a request to the model has then
//! been paid for. The last answer of each process is kept, so a death loses at most the cost after it.

use super::machine::Stage;
use super::{Action, Bound, Core, ProcId, Show, Tick};
use crate::agent::Role;

/// The shortest time between two questions to a process; an occasion in between is asked about at its end. So a death loses at
/// most the cost of this time. An answer takes the CLI a few milliseconds.
const ASK_EVERY_MS: u64 = 500;
/// After this long an answer is given up, and ccc asks again at the next occasion. Measured: 20 to 150 ms, and
/// a CLI that is busy answers later.
const ANSWER_MS: u64 = 30_000;

/// The questions to one process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CostQuestions {
    asked: u32,
    last: Option<Tick>,
    /// The last one has no answer.
    open: bool,
    /// Something has happened since that costs.
    owed: bool,
}

impl CostQuestions {
    /// Something has happened that costs.
    fn moved(&mut self) {
        self.owed = true;
    }

    /// A result has told the cost.
    fn settled(&mut self) {
        self.owed = false;
    }

    /// The last one was answered.
    fn answered(&mut self) {
        self.open = false;
    }

    /// When the next one is due.
    fn due(&self) -> Option<Tick> {
        let wait_ms = if self.open { ANSWER_MS } else { ASK_EVERY_MS };
        self.owed.then(|| self.last.map_or(Tick::ZERO, |last| last.plus_ms(wait_ms)))
    }

    /// The number of the one that is asked now.
    pub(super) fn ask(&mut self, now: Tick) -> u32 {
        self.asked += 1;
        (self.last, self.open, self.owed) = (Some(now), true, false);
        self.asked
    }
}

impl Core {
    fn bounds_cost(&self) -> bool {
        self.plan.budgets.max_cost_usd.is_some()
    }

    /// A process has begun: what its session had cost before is not this run's.
    pub(super) fn ask_first_cost(&mut self, proc: ProcId) {
        if self.bounds_cost() {
            self.order(proc, |process, now, _| Some(process.ask_cost(now)));
        }
    }

    /// Something has happened in this process that costs.
    pub(super) fn cost_moves(&mut self, proc: ProcId) {
        if !self.bounds_cost() {
            return;
        }
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().moved();
        }
        self.ask_costs_due();
    }

    /// A turn was answered, and its result has told the cost.
    pub(super) fn cost_is_settled(&mut self, proc: ProcId) {
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().settled();
        }
    }

    /// When a process is to be asked.
    pub(super) fn cost_deadline(&self) -> Option<Tick> {
        let lives = self.processes.iter().filter(|process| !process.is_ending());
        lives.filter_map(|process| process.cost_questions().due()).min()
    }

    pub(super) fn ask_costs_due(&mut self) {
        let now = self.now();
        let lives = self.processes.iter_mut().filter(|process| !process.is_ending());
        let due = lives.filter(|process| process.cost_questions().due().is_some_and(|due| now >= due));
        let asks: Vec<Action> = due.map(|process| process.ask_cost(now)).collect();
        for ask in asks {
            self.act(ask);
        }
    }

    /// The process has told what it has cost so far, or that it cannot tell.
    pub(super) fn cost_answered(&mut self, proc: ProcId, process_usd: Option<f64>) {
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().answered();
        }
        if let Some(process_usd) = process_usd {
            self.cost_told(proc, process_usd);
            self.end_overspent_turn(proc);
        }
    }

    /// The sum of what a process has cost is known.
    pub(super) fn cost_told(&mut self, proc: ProcId, process_usd: f64) {
        if self.tally.cost(proc, process_usd) {
            let usd = self.tally.cost_usd();
            self.show(Show::Cost { usd });
        }
    }

    /// What the run has cost, as far as it is known.
    pub(super) fn spent_usd(&self) -> f64 {
        self.tally.cost_usd().unwrap_or_default()
    }

    /// The words for it where the bound on the cost has been passed by what began when the run had cost `from_usd`. Where it had been passed
    /// before, and a verdict or words of the user's were to be had all the same, that may cost as much as the bound once more.
    pub(super) fn overspent_since(&self, from_usd: f64) -> Option<(Bound, String)> {
        let (bound, spent) = (self.plan.budgets.max_cost_usd?, self.tally.cost_usd()?);
        let passed = spent >= bound && (from_usd < bound || spent - from_usd >= bound);
        passed.then(|| (Bound::Cost, format!("${spent:.2} of ${bound:.2} are spent")))
    }

    /// Ends the run where the turn that is under way in this process has passed the bound.
    fn end_overspent_turn(&mut self, proc: ProcId) {
        let Some(process) = self.process_mut(proc) else { return };
        if process.is_ending() || process.is_idle() {
            return;
        }
        if process.role == Role::Critic {
            if self.is_briefed(proc) {
                self.end_overspent_review();
            }
        } else if matches!(self.stage(), Stage::Working)
            && let Some((bound, spent)) = self.overspent_since(self.turns.cost_before())
        {
            self.close_spent(bound, &format!("{spent}; the turn was ended in its middle"));
        }
    }

    /// Ends the run where the present review has passed the bound; true when it has.
    pub(super) fn end_overspent_review(&mut self) -> bool {
        let Stage::Reviewing(review) = self.stage() else { return false };
        let Some((bound, spent)) = self.overspent_since(review.cost_before()) else { return false };
        self.leave_unjudged();
        self.close_spent(bound, &format!("{spent}, before the stop was judged"));
        true
    }
}
