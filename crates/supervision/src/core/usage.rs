//! The tokens that the run has used, and the bound on them.

use std::collections::BTreeMap;

use super::machine::Stage;
use super::{Bound, Core, ProcId};
use crate::agent::{Role, TokenCount};

/// What the processes have used.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    by_process: BTreeMap<ProcId, TokenCount>,
    /// What all had used when agent or critic was last given something new to do.
    from: u64,
}

impl Usage {
    /// A process has used so much so far.
    fn told(&mut self, proc: ProcId, count: TokenCount) {
        self.by_process.insert(proc, count);
    }

    /// Something new is asked.
    pub(super) fn asked(&mut self) {
        self.from = self.sum().total();
    }

    pub(super) fn sum(&self) -> TokenCount {
        self.by_process.values().copied().fold(TokenCount::default(), TokenCount::plus)
    }

    /// The words for it where the bound was passed by what was asked last. Where it had been passed before, and a verdict or words of the user's
    /// were to be had all the same, that may use as much as the bound once more.
    pub(super) fn overspent(&self, bound: Option<u64>) -> Option<(Bound, String)> {
        let (bound, used) = (bound?, self.sum().total());
        let passed = used >= bound && (self.from < bound || used - self.from >= bound);
        passed.then(|| (Bound::Tokens, format!("{used} of {bound} tokens are spent")))
    }
}

impl Core {
    /// The tokens that all processes of the run have used, as far as they tell.
    #[must_use]
    pub fn tokens_used(&self) -> TokenCount {
        self.usage.sum()
    }

    /// A process has told what it has used.
    pub(super) fn usage_told(&mut self, proc: ProcId, count: TokenCount) {
        self.usage.told(proc, count);
    }

    /// A call begins, so the turn goes on: it is ended where it has passed the bound.
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
