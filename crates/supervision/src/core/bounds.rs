//! The bounds of a run: the name and the unit of each, which is spent, which moment ends the run, and which waits would pass
//! one. All texts of a bound stand in its row; the banner, JSON and the advice are made from the rows.
//!
//! A completion takes precedence over a spent bound. A wait for a reset that would pass a bound is not begun, because the run
//! would end at that bound without having done anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Pause;
use super::{Core, Tick};

/// The bounds that the user sets. `None` is no bound; iterations are always bounded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// Judged stops.
    pub max_iterations: u32,
    /// Time in which ccc runs. Waits count; time in which ccc or the machine is stopped does not.
    pub max_duration_ms: Option<u64>,
    /// Money, as the agent reports it.
    pub max_cost_usd: Option<f64>,
    /// Input and output tokens of agent and critics, cached ones included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Consecutive starts of the agent without a finished turn, within an hour.
    pub max_restarts: u32,
    /// Repetitions of a feedback on an unchanged tree before the run is `stuck`.
    pub max_repeats: u32,
    /// The longest wait for a reset. A wait that is known to be longer ends the run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// The wall time at which the run ends, unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<i64>,
}

impl Budgets {
    /// The defaults.
    pub const DEFAULT: Budgets = Budgets {
        max_iterations: 20,
        max_duration_ms: None,
        max_cost_usd: None,
        max_tokens: None,
        max_restarts: 5,
        max_repeats: 3,
        max_wait_ms: None,
        until_unix_ms: None,
    };
}

impl Default for Budgets {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// An amount of what a bound counts.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    /// A number of things.
    Count(u64),
    /// A time, in milliseconds.
    Ms(u64),
    /// Money, in US dollars.
    Usd(f64),
    /// A moment, in unix milliseconds.
    UnixMs(i64),
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Count(count) => count.fmt(f),
            Amount::Ms(ms) => f.write_str(&bound_in_words(*ms)),
            Amount::Usd(usd) => f.write_str(&dollars(*usd)),
            Amount::UnixMs(ms) => ms.fmt(f),
        }
    }
}

/// A bound of [`Budgets`] that is shown at the start of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Judged stops.
    Iterations,
    /// Time in which ccc runs.
    Duration,
    /// Wall time.
    Until,
    /// The length of one wait for a reset. A longer wait is not begun.
    Wait,
    /// Money.
    Cost,
    /// Tokens.
    Tokens,
    /// Consecutive starts of the agent. Exceeding the bound is a failure.
    Restarts,
}

/// The description of a bound.
#[derive(Debug, Clone, Copy)]
pub struct BoundRow {
    /// The option that sets it.
    pub option: &'static str,
    /// Its name among the fields of [`Budgets`], and in JSON.
    pub key: &'static str,
    /// How much may be used; `None` is no bound.
    pub limit: fn(&Budgets) -> Option<Amount>,
    /// The unit, in the singular; empty for time and money.
    pub noun: &'static str,
    /// The text at the start of a run; `{}` stands for the limit.
    pub shown: &'static str,
    /// The text at the start if there is no bound.
    pub without: fn(&Budgets) -> Option<&'static str>,
    /// The reason when it is spent, with `{used}` and `{limit}`; empty if this bound does not end the run.
    spent: &'static str,
}

/// The defaults of a row.
const ROW: BoundRow =
    BoundRow { option: "", key: "", limit: |_| None, noun: "", shown: "{}", without: |_| None, spent: "" };

impl Bound {
    /// All bounds, in the order in which they are shown.
    pub const ALL: [Bound; 7] =
        [Bound::Iterations, Bound::Duration, Bound::Until, Bound::Wait, Bound::Cost, Bound::Tokens, Bound::Restarts];

    /// Its description.
    #[must_use]
    pub const fn row(self) -> BoundRow {
        match self {
            Bound::Iterations => BoundRow {
                option: "--max-iterations",
                key: "max_iterations",
                limit: |budgets| Some(Amount::Count(budgets.max_iterations as u64)),
                noun: "iteration",
                spent: "{used} of {limit} iterations are spent",
                ..ROW
            },
            Bound::Duration => BoundRow {
                option: "--max-duration",
                key: "max_duration_ms",
                limit: |budgets| budgets.max_duration_ms.map(Amount::Ms),
                shown: "{} including waits",
                spent: "the {limit} of --max-duration have passed",
                ..ROW
            },
            Bound::Until => BoundRow {
                option: "--until",
                key: "until_unix_ms",
                limit: |budgets| budgets.until_unix_ms.map(Amount::UnixMs),
                shown: "until {}",
                without: |budgets| budgets.max_duration_ms.is_none().then_some("no bound on time"),
                spent: "the time given by --until has come",
                ..ROW
            },
            Bound::Wait => BoundRow {
                option: "--max-wait",
                key: "max_wait_ms",
                limit: |budgets| budgets.max_wait_ms.map(Amount::Ms),
                shown: "{} for a reset",
                ..ROW
            },
            Bound::Cost => BoundRow {
                option: "--max-cost-usd",
                key: "max_cost_usd",
                limit: |budgets| budgets.max_cost_usd.map(Amount::Usd),
                shown: "{} at most",
                without: |_| Some("no bound on cost"),
                spent: "{used} of {limit} are spent",
                ..ROW
            },
            Bound::Tokens => BoundRow {
                option: "--max-tokens",
                key: "max_tokens",
                limit: |budgets| budgets.max_tokens.map(Amount::Count),
                noun: "token",
                shown: "{} at most",
                spent: "{used} of {limit} tokens are spent",
                ..ROW
            },
            Bound::Restarts => BoundRow {
                option: "--max-restarts",
                key: "max_restarts",
                limit: |budgets| Some(Amount::Count(budgets.max_restarts as u64)),
                noun: "restart",
                shown: "{} in a row",
                ..ROW
            },
        }
    }
}

/// A bound and the used amount.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpentBound {
    /// The bound.
    pub bound: Bound,
    /// The used amount.
    pub used: Amount,
    /// The allowed amount.
    pub limit: Amount,
}

impl SpentBound {
    pub(super) fn in_words(&self) -> String {
        if (self.bound, self.limit) == (Bound::Iterations, Amount::Count(1)) {
            return "the only iteration is spent".to_owned();
        }
        let words = self.bound.row().spent;
        words.replace("{used}", &self.used.to_string()).replace("{limit}", &self.limit.to_string())
    }
}

impl Core {
    /// The tick at which a bound on time ends the run: `max_duration_ms` of running time, or the wall time `until_unix_ms`.
    pub(super) fn time_deadline(&self) -> Option<Tick> {
        let budgets = &self.plan.budgets;
        let duration = budgets.max_duration_ms.map(|ms| self.working_time(ms));
        let until = budgets.until_unix_ms.map(|until| self.now().plus_ms(self.ms_until(until)));
        duration.into_iter().chain(until).min()
    }

    /// The tick at which the run has worked for `ms`. Rests do not count.
    fn working_time(&self, ms: u64) -> Tick {
        Tick::ZERO.plus_ms(ms.saturating_add(self.tally.rested_ms()))
    }

    /// The bound on time that is spent, and the reason in words.
    pub(super) fn time_spent(&self) -> (Bound, String) {
        let is_duration = self.plan.budgets.max_duration_ms.is_some() && !self.is_spent(Bound::Until);
        let bound = if is_duration { Bound::Duration } else { Bound::Until };
        (bound, self.of_bound(bound).map(|spent| spent.in_words()).unwrap_or_default())
    }

    /// How far an unjudged stop had got.
    pub(super) fn unjudged(&self) -> String {
        match self.running_check() {
            Some(command) => format!("while the check `{command}` was running"),
            None => "before the stop was judged".to_owned(),
        }
    }

    /// The used amount of a bound; `None` if it is unknown, or this bound does not end the run. Counters are in
    /// [`super::tally::Tally::counted`].
    fn used(&self, bound: Bound) -> Option<Amount> {
        match bound {
            Bound::Iterations => Some(Amount::Count(self.iteration().into())),
            Bound::Duration => Some(Amount::Ms(self.now().as_ms().saturating_sub(self.tally.rested_ms()))),
            Bound::Until => Some(Amount::UnixMs(self.unix_ms())),
            Bound::Cost => self.tally.cost_usd().map(Amount::Usd),
            Bound::Tokens => Some(Amount::Count(self.tokens_used().total())),
            // Only consecutive restarts count, and too many of them are a failure.
            Bound::Wait | Bound::Restarts => None,
        }
    }

    /// A bound and its used amount; `None` if the bound is not set.
    pub(super) fn of_bound(&self, bound: Bound) -> Option<SpentBound> {
        Some(SpentBound { bound, used: self.used(bound)?, limit: (bound.row().limit)(&self.plan.budgets)? })
    }

    fn is_spent(&self, bound: Bound) -> bool {
        self.of_bound(bound).is_some_and(|of| of.used >= of.limit)
    }

    /// The spent bound, if any, and the reason in words. Called only after a verdict, because a completion takes precedence.
    /// Time, and the cost of a running turn ([`super::spending`]), are also checked elsewhere.
    pub(super) fn spent_budget(&self) -> Option<(Bound, String)> {
        // Name the wall time only if no other bound is spent.
        let bound =
            Bound::ALL.into_iter().filter(|bound| self.is_spent(*bound)).min_by_key(|bound| *bound == Bound::Until)?;
        if bound == Bound::Duration {
            return Some(self.time_spent());
        }
        Some((bound, self.of_bound(bound)?.in_words()))
    }

    /// Why the run ends instead of waiting for a token; `None` if it may wait. A pause after a failure of the provider is not
    /// compared with the bounds, because it is short and has no known end. Only a wait for an announced reset is compared with
    /// the end of the run.
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
        } else if announced && budgets.max_duration_ms.is_some_and(|ms| wake >= self.working_time(ms)) {
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

/// Money to the cent. A sum below a cent has as many digits as it needs, so that it does not read as zero.
pub fn dollars(usd: f64) -> String {
    if usd == 0.0 {
        // Also of the sum of nothing, which is -0.
        return "$0.00".to_owned();
    }
    if !(0.0..0.01).contains(&usd) {
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
