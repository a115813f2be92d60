//! The bounds of a run: which is spent, which moment ends it, and which waits are known to pass one.
//!
//! A completion always counts before a spent bound. A wait for a reset that would pass a bound is not begun, because the run
//! would end at that bound without having done anything.

use super::policy::Pause;
use super::{Bound, Core, Tick};

impl Core {
    /// The tick at which time ends the run: `max_duration_ms` of its own time, or the wall time `until_unix_ms`.
    pub(super) fn time_deadline(&self) -> Option<Tick> {
        let budgets = &self.plan.budgets;
        let duration = budgets.max_duration_ms.map(|ms| Tick::ZERO.plus_ms(ms));
        let until = budgets.until_unix_ms.map(|until| self.now().plus_ms(self.ms_until(until)));
        duration.into_iter().chain(until).min()
    }

    /// Which bound on time is spent, in words.
    pub(super) fn time_spent(&self) -> String {
        match self.plan.budgets.max_duration_ms {
            Some(ms) if !self.is_past_until() => format!("the {} of --max-duration have passed", bound_in_words(ms)),
            Some(_) | None => "the time given by --until has come".to_owned(),
        }
    }

    /// What was going on at a stop that was not judged.
    pub(super) fn unjudged(&self) -> String {
        match self.running_check() {
            Some(command) => format!("while the check `{command}` was running"),
            None => "before the stop was judged".to_owned(),
        }
    }

    fn is_past_until(&self) -> bool {
        self.plan.budgets.until_unix_ms.is_some_and(|until| self.ms_until(until) == 0)
    }

    /// The bound that is spent, when one is. Looked at only after a verdict: a completion always comes first. Time, and the cost of
    /// a turn that is under way ([`super::spending`]), are checked elsewhere, too.
    pub(super) fn spent_budget(&self) -> Option<String> {
        let (budgets, cost_usd) = (&self.plan.budgets, self.tally.cost_usd());
        let tokens = self.tokens_used().total();
        Some(match budgets.spent(self.iteration(), self.now().as_ms(), cost_usd, tokens) {
            Some(Bound::Iterations) if budgets.max_iterations == 1 => "the only iteration is spent".to_owned(),
            Some(Bound::Iterations) => {
                format!("{} of {} iterations are spent", self.iteration(), budgets.max_iterations)
            }
            Some(Bound::Duration) => self.time_spent(),
            Some(Bound::Cost) => {
                let (spent, bound) = (cost_usd.unwrap_or_default(), budgets.max_cost_usd.unwrap_or_default());
                format!("{} of {} are spent", dollars(spent), dollars(bound))
            }
            Some(Bound::Tokens) => super::usage::in_words(tokens, budgets.max_tokens.unwrap_or_default()),
            None if self.is_past_until() => self.time_spent(),
            None => return None,
        })
    }

    /// Why the run ends instead of waiting for a token; `None` when it may wait. A pause after a failure of the provider is
    /// not such a wait, because it is short and has no known end. Only a wait for an announced reset is compared with the end
    /// of the run.
    pub(super) fn passes_a_bound(&self, pause: &Pause) -> Option<String> {
        let announced = pause.until_unix_ms().is_some();
        if !pause.is_for_limit() && !announced {
            return None;
        }
        let (budgets, wake) = (&self.plan.budgets, pause.end(self.clock()));
        let bound = if budgets.max_wait_ms.is_some_and(|most| wake.ms_since(pause.since()) > most) {
            "longer than --max-wait allows"
        } else if announced
            && budgets.until_unix_ms.is_some_and(|until| self.ms_until(until) <= wake.ms_since(self.now()))
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

/// A bound on time as the user wrote it: `8h`, `15m`, `90s`, `500ms`.
pub fn bound_in_words(ms: u64) -> String {
    if ms == 0 || !ms.is_multiple_of(1_000) {
        return format!("{ms}ms");
    }
    let s = ms / 1_000;
    if s.is_multiple_of(3_600) {
        format!("{}h", s / 3_600)
    } else if s.is_multiple_of(60) && s > 60 {
        format!("{}m", s / 60)
    } else {
        format!("{s}s")
    }
}

/// Money to the cent. A sum below a cent is not nothing: it has as many digits as it needs.
pub fn dollars(usd: f64) -> String {
    if usd <= 0.0 || usd >= 0.01 {
        return format!("${usd:.2}");
    }
    if usd >= 0.0001 { format!("${usd:.4}") } else { format!("${usd}") }
}

#[cfg(test)]
mod tests {
    use super::{bound_in_words, dollars};

    #[test]
    fn a_bound_reads_as_the_user_wrote_it() {
        assert_eq!(
            [28_800_000, 900_000, 90_000, 60_000, 1_500].map(bound_in_words),
            ["8h", "15m", "90s", "60s", "1500ms"]
        );
    }

    #[test]
    fn a_small_sum_is_not_nothing() {
        let sums = [0.0, 0.01, 1.239, 0.0023, 0.005, 0.000_01, 0.000_000_2];
        assert_eq!(sums.map(dollars), ["$0.00", "$0.01", "$1.24", "$0.0023", "$0.0050", "$0.00001", "$0.0000002"]);
    }
}
