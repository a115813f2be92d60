//! The bounds of a run: which is spent, which moment ends it, and which waits are known to pass one.
//!
//! A completion always comes before a spent bound. A wait for a reset that is known to pass a bound is not begun: the user
//! would find in the morning a run that had waited for nothing.

use super::machine::Pause;
use super::{Bound, Core, Tick};

impl Core {
    /// The tick at which time ends the run: `max_duration_ms` of its own time, or the wall time `until_unix_ms`.
    pub(super) fn time_deadline(&self) -> Option<Tick> {
        let budgets = &self.plan.budgets;
        let duration = budgets.max_duration_ms.map(|ms| Tick::ZERO.plus_ms(ms));
        let until = budgets.until_unix_ms.map(|until| self.now.plus_ms(self.ms_until(until)));
        duration.into_iter().chain(until).min()
    }

    /// Which bound on time is spent, in words.
    pub(super) fn time_spent(&self) -> &'static str {
        if self.is_past_until() { "the time given by --until has come" } else { "the time bound of the run is spent" }
    }

    fn is_past_until(&self) -> bool {
        self.plan.budgets.until_unix_ms.is_some_and(|until| self.ms_until(until) == 0)
    }

    /// The bound that is spent, when one is. Looked at only after a verdict: a completion always comes first. Time, and the cost of
    /// a turn that goes on ([`super::spending`]), are looked at besides.
    pub(super) fn spent_budget(&self) -> Option<String> {
        let (budgets, cost_usd) = (&self.plan.budgets, self.tally.cost_usd());
        Some(match budgets.spent(self.iteration, self.now.as_ms(), cost_usd) {
            Some(Bound::Iterations) => format!("{} of {} iterations are spent", self.iteration, budgets.max_iterations),
            Some(Bound::Duration) => self.time_spent().to_owned(),
            Some(Bound::Cost) => {
                let (spent, bound) = (cost_usd.unwrap_or_default(), budgets.max_cost_usd.unwrap_or_default());
                format!("${spent:.2} of ${bound:.2} are spent")
            }
            None if self.is_past_until() => self.time_spent().to_owned(),
            None => return None,
        })
    }

    /// Why the run ends instead of waiting for a token; `None` when it may wait. A pause after a failure of the provider is
    /// no such wait: it is short, and nobody knows when it helps. Whether a wait passes the end of the run is asked of
    /// announced resets only.
    pub(super) fn passes_a_bound(&self, pause: &Pause) -> Option<String> {
        if !pause.for_limit && pause.until_unix_ms.is_none() {
            return None;
        }
        let wake = pause.until_unix_ms.map_or(pause.due, |until| self.now.plus_ms(self.ms_until(until)));
        let (budgets, announced) = (&self.plan.budgets, pause.until_unix_ms.is_some());
        let bound = if budgets.max_wait_ms.is_some_and(|most| wake.ms_since(pause.since) > most) {
            "longer than --max-wait allows"
        } else if announced
            && budgets.until_unix_ms.is_some_and(|until| self.ms_until(until) <= wake.ms_since(self.now))
        {
            "past the time given by --until"
        } else if announced && budgets.max_duration_ms.is_some_and(|ms| wake >= Tick::ZERO.plus_ms(ms)) {
            "past the time that --max-duration leaves"
        } else {
            return None;
        };
        Some(format!("the wait for a token would go on {bound}"))
    }
}
