//! The cost of the run during a turn, and the end of a turn that passes the bound.
//!
//! The CLI reports a turn's cost only at its end. A turn may last forever, and a process that dies in a turn reports nothing.
//! So if the cost is bounded, ccc asks each process: before its first turn, for the earlier cost of its session; and when a
//! call begins or returns, when a hook sends the agent back, and after a compaction, because a request to the model has then
//! been paid for. The last answer of each process is kept, so a death loses at most the cost after it.

use super::machine::Stage;
use super::{Action, Bound, Core, ProcId, Show, Tick};
use crate::agent::Role;

/// The shortest time between two questions to a process; an earlier occasion is delayed to its end. So a death loses at most
/// the cost of this time. The CLI answers within a few milliseconds.
const ASK_EVERY_MS: u64 = 500;
/// The timeout of an answer, after which ccc asks again at the next occasion. Measured: 20 to 150 ms, and later from a busy CLI.
const ANSWER_MS: u64 = 30_000;

/// The questions to one process.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CostQuestions {
    asked: u32,
    last: Option<Tick>,
    /// The last one is unanswered.
    open: bool,
    /// A cost has arisen since.
    owed: bool,
}

impl CostQuestions {
    /// A cost has arisen.
    fn moved(&mut self) {
        self.owed = true;
    }

    /// A turn's result has reported the cost.
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

    /// Begins a question; gives its number.
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

    /// Asks a new process for the earlier cost of its session, which is not part of this run.
    pub(super) fn ask_first_cost(&mut self, proc: ProcId) {
        if self.bounds_cost() {
            self.order(proc, |process, now, _| Some(process.ask_cost(now)));
        }
    }

    /// A cost has arisen in this process.
    pub(super) fn cost_moves(&mut self, proc: ProcId) {
        if !self.bounds_cost() {
            return;
        }
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().moved();
        }
        self.ask_costs_due();
    }

    /// A turn's result has reported the cost.
    pub(super) fn cost_is_settled(&mut self, proc: ProcId) {
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().settled();
        }
    }

    /// When a question is due.
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

    /// The process has reported its cost so far, or that it cannot.
    pub(super) fn cost_answered(&mut self, proc: ProcId, process_usd: Option<f64>) {
        if let Some(process) = self.process_mut(proc) {
            process.cost_questions_mut().answered();
        }
        if let Some(process_usd) = process_usd {
            self.cost_told(proc, process_usd);
            self.end_overspent_turn(proc);
        }
    }

    /// Records the total cost of a process.
    pub(super) fn cost_told(&mut self, proc: ProcId, process_usd: f64) {
        if self.tally.cost(proc, process_usd) {
            let usd = self.tally.cost_usd();
            self.show(Show::Cost { usd });
        }
    }

    /// The known cost of the run.
    pub(super) fn spent_usd(&self) -> f64 {
        self.tally.cost_usd().unwrap_or_default()
    }

    /// The reason if work that began at the cost `from_usd` has passed the bound. If the bound had been passed before, and a
    /// verdict or an answer to the user was needed anyway, that work may cost as much as the bound once more.
    pub(super) fn overspent_since(&self, from_usd: f64) -> Option<(Bound, String)> {
        let (bound, spent) = (self.plan.budgets.max_cost_usd?, self.tally.cost_usd()?);
        let passed = spent >= bound && (from_usd < bound || spent - from_usd >= bound);
        passed.then(|| (Bound::Cost, format!("${spent:.2} of ${bound:.2} are spent")))
    }

    /// Ends the run if the running turn of this process has passed the bound.
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

    /// Ends the run if the current review has passed the bound; true if it has.
    pub(super) fn end_overspent_review(&mut self) -> bool {
        let Stage::Reviewing(review) = self.stage() else { return false };
        let Some((bound, spent)) = self.overspent_since(review.cost_before()) else { return false };
        self.leave_unjudged();
        self.close_spent(bound, &format!("{spent}, before the stop was judged"));
        true
    }
}
