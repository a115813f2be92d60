//! The bounds of a run: what each is called and counts, which is spent, which moment ends the run, and which waits are known
//! to pass one. All that is said of a bound stands in its row; the banner, JSON and the advice are made from the rows.
//!
//! A completion always counts before a spent bound. A wait for a reset that would pass a bound is not begun, because the run
//! would end at that bound without having done anything.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::policy::Pause;
use super::{Core, Tick};

/// When enough is enough. `None` is no bound; iterations always have one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Budgets {
    /// Stops judged.
    pub max_iterations: u32,
    /// Time in which ccc runs: waits are in it, time in which ccc or the machine is stopped is not.
    pub max_duration_ms: Option<u64>,
    /// Money, as the agent reports it.
    pub max_cost_usd: Option<f64>,
    /// Tokens read and written, from the cache or not, by agent and critics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u64>,
    /// Starts of the agent in a row without a finished turn, within an hour.
    pub max_restarts: u32,
    /// Repeated feedback on an unchanged tree before the run is `stuck`.
    pub max_repeats: u32,
    /// The longest wait for a reset. A wait that is known to be longer ends the run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_wait_ms: Option<u64>,
    /// The wall time at which the run ends, unix milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<i64>,
}

impl Budgets {
    /// Those of a run for which the user gives none.
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

/// So much of what a bound counts.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// Stops judged.
    Iterations,
    /// Time in which ccc runs.
    Duration,
    /// The wall time.
    Until,
    /// The time of one wait for a reset. A longer one is not begun.
    Wait,
    /// Money.
    Cost,
    /// Tokens.
    Tokens,
    /// Starts of the agent in a row. More of them are a failure.
    Restarts,
}

/// What is known of a bound.
#[derive(Debug, Clone, Copy)]
pub struct BoundRow {
    /// The option that gives it.
    pub option: &'static str,
    /// Its name among the fields of [`Budgets`], and in JSON.
    pub key: &'static str,
    /// How much may be used; `None` is no bound.
    pub limit: fn(&Budgets) -> Option<Amount>,
    /// What is counted, in the singular; empty for time and money.
    pub noun: &'static str,
    /// How it is shown at the start, with `{}` in the place of the limit.
    pub shown: &'static str,
    /// What is shown where there is none.
    pub without: fn(&Budgets) -> Option<&'static str>,
    /// How it is said that it is spent, with `{used}` and `{limit}`; empty where something else ends the run.
    spent: &'static str,
}

/// What most bounds have in common.
const ROW: BoundRow =
    BoundRow { option: "", key: "", limit: |_| None, noun: "", shown: "{}", without: |_| None, spent: "" };

impl Bound {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Bound; 7] =
        [Bound::Iterations, Bound::Duration, Bound::Until, Bound::Wait, Bound::Cost, Bound::Tokens, Bound::Restarts];

    /// All that is said of it.
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

/// A bound, and how much of it is used.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SpentBound {
    /// The bound.
    pub bound: Bound,
    /// How much is used.
    pub used: Amount,
    /// How much might be used.
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
    /// The tick at which time ends the run: `max_duration_ms` of its own time, or the wall time `until_unix_ms`.
    pub(super) fn time_deadline(&self) -> Option<Tick> {
        let budgets = &self.plan.budgets;
        let duration = budgets.max_duration_ms.map(|ms| Tick::ZERO.plus_ms(ms));
        let until = budgets.until_unix_ms.map(|until| self.now().plus_ms(self.ms_until(until)));
        duration.into_iter().chain(until).min()
    }

    /// Which bound on time is spent, and the words for it.
    pub(super) fn time_spent(&self) -> (Bound, String) {
        let is_duration = self.plan.budgets.max_duration_ms.is_some() && !self.is_spent(Bound::Until);
        let bound = if is_duration { Bound::Duration } else { Bound::Until };
        (bound, self.of_bound(bound).map(|spent| spent.in_words()).unwrap_or_default())
    }

    /// What was going on at a stop that was not judged.
    pub(super) fn unjudged(&self) -> String {
        match self.running_check() {
            Some(command) => format!("while the check `{command}` was running"),
            None => "before the stop was judged".to_owned(),
        }
    }

    /// How much of what a bound counts is used; `None` where it is not known, or something else ends the run.
    fn used(&self, bound: Bound) -> Option<Amount> {
        match bound {
            Bound::Iterations => Some(Amount::Count(self.iteration().into())),
            Bound::Duration => Some(Amount::Ms(self.now().as_ms())),
            Bound::Until => Some(Amount::UnixMs(self.unix_ms())),
            Bound::Cost => self.tally.cost_usd().map(Amount::Usd),
            Bound::Tokens => Some(Amount::Count(self.tokens_used().total())),
            Bound::Wait | Bound::Restarts => None,
        }
    }

    /// A bound that the user has set, and how much of it is used.
    pub(super) fn of_bound(&self, bound: Bound) -> Option<SpentBound> {
        Some(SpentBound { bound, used: self.used(bound)?, limit: (bound.row().limit)(&self.plan.budgets)? })
    }

    fn is_spent(&self, bound: Bound) -> bool {
        self.of_bound(bound).is_some_and(|of| of.used >= of.limit)
    }

    /// The bound that is spent, when one is, and the words for it. Looked at only after a verdict: a completion always comes first.
    /// Time, and the cost of a turn that is under way ([`super::spending`]), are checked elsewhere, too.
    pub(super) fn spent_budget(&self) -> Option<(Bound, String)> {
        // The wall time is named where nothing else is spent.
        let bound =
            Bound::ALL.into_iter().filter(|bound| self.is_spent(*bound)).min_by_key(|bound| *bound == Bound::Until)?;
        if bound == Bound::Duration {
            return Some(self.time_spent());
        }
        Some((bound, self.of_bound(bound)?.in_words()))
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
