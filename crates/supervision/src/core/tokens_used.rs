//! The token usage of the run, and the bound on it.

use std::collections::BTreeMap;

use super::machine::Stage;
use super::{Bound, Core, ProcId};
use crate::agent::{Role, TokenCount};

/// The usage of each process.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    by_process: BTreeMap<ProcId, TokenCount>,
    /// The total usage when agent or critic was last given something new to do.
    from: u64,
}

impl Usage {
    /// Records the usage of a process so far.
    fn told(&mut self, proc: ProcId, count: TokenCount) {
        self.by_process.insert(proc, count);
    }

    /// Agent or critic is given something new to do.
    pub(super) fn asked(&mut self) {
        self.from = self.sum().total();
    }

    pub(super) fn sum(&self) -> TokenCount {
        self.by_process.values().copied().fold(TokenCount::default(), TokenCount::plus)
    }

    /// The reason if the work since [`Usage::asked`] has passed the bound. If the bound had been passed before, and a verdict
    /// or an answer to the user was needed anyway, that work may use as much as the bound once more.
    pub(super) fn overspent(&self, bound: Option<u64>) -> Option<(Bound, String)> {
        let (bound, used) = (bound?, self.sum().total());
        let passed = used >= bound && (self.from < bound || used - self.from >= bound);
        passed.then(|| (Bound::Tokens, format!("{used} of {bound} tokens are spent")))
    }
}

impl Core {
    /// The token usage of all processes of the run, as far as they report it.
    #[must_use]
    pub fn tokens_used(&self) -> TokenCount {
        self.usage.sum()
    }

    /// The token usage of each process, as far as it reports it.
    #[must_use]
    pub fn tokens_by_process(&self) -> &BTreeMap<ProcId, TokenCount> {
        &self.usage.by_process
    }

    /// A process has reported its usage.
    pub(super) fn usage_told(&mut self, proc: ProcId, count: TokenCount) {
        self.usage.told(proc, count);
    }

    /// A call begins, so the turn continues: ends it if it has passed the bound.
    pub(super) fn end_turn_over_tokens(&mut self, proc: ProcId, role: Role) {
        let Some((bound, spent)) = self.usage.overspent(self.plan.budgets.max_tokens) else { return };
        if role == Role::Critic && self.is_briefed(proc) {
            self.leave_unjudged();
            self.close_spent(bound, &format!("{spent}, before the stop was judged"));
        } else if role == Role::Agent && matches!(self.stage(), Stage::Working) {
            self.close_spent(bound, &format!("{spent}; the turn was ended in its middle"));
        }
    }
}
