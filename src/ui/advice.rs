//! The command that goes on with a run. It is typed as it stands, so it is complete: the run's name, and of a spent
//! bound its own option with a value that leaves room.

use super::format::bound;
use crate::core::{Bound, Budgets, Outcome};

/// An hour: a bound on time is raised by at least one.
const HOUR_MS: u64 = 3_600_000;

/// What `ccc resume` is given besides the run; empty when nothing is needed.
pub(super) fn more(outcome: Outcome, budgets: &Budgets, spent: Spent) -> String {
    match outcome {
        Outcome::NeedsUser => " -p \"your answer\"".to_owned(),
        Outcome::Stuck => " -p \"what to do differently\"".to_owned(),
        Outcome::Budget => match budgets.spent(spent.iterations, spent.elapsed_ms, spent.cost_usd) {
            Some(Bound::Iterations) => {
                let iterations = spent.iterations.max(budgets.max_iterations);
                format!(" --max-iterations {}", iterations.saturating_mul(2).max(1))
            }
            Some(Bound::Duration) => format!(" --max-duration {}", bound(longer(budgets, spent.elapsed_ms))),
            Some(Bound::Cost) => format!(" --max-cost-usd {}", dearer(budgets, spent.cost_usd)),
            // The rest is told by what is left: the wall clock is not known here.
            None if budgets.until_unix_ms.is_some() => " --until +8h".to_owned(),
            None => String::new(),
        },
        // The bound that the wait would have passed is not told apart here: what is set is raised.
        Outcome::Limits => {
            let until = budgets.until_unix_ms.map_or("", |_| " --until +8h");
            let wait = budgets
                .max_wait_ms
                .map_or_else(String::new, |ms| format!(" --max-wait {}", bound(ms.saturating_mul(2))));
            let duration = budgets
                .max_duration_ms
                .map_or_else(String::new, |_| format!(" --max-duration {}", bound(longer(budgets, spent.elapsed_ms))));
            format!("{until}{wait}{duration}")
        }
        Outcome::Completed | Outcome::Failed | Outcome::Interrupted => String::new(),
    }
}

/// What a run has spent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spent {
    pub(super) iterations: u32,
    pub(super) elapsed_ms: u64,
    pub(super) cost_usd: Option<f64>,
}

/// Twice the time, and at least an hour beyond what has passed, in whole hours.
fn longer(budgets: &Budgets, elapsed_ms: u64) -> u64 {
    let bound_ms = budgets.max_duration_ms.unwrap_or_default();
    let at_least = elapsed_ms.div_ceil(HOUR_MS).saturating_add(1);
    bound_ms.saturating_mul(2).div_ceil(HOUR_MS).max(at_least).saturating_mul(HOUR_MS)
}

/// Twice the money, in whole dollars.
fn dearer(budgets: &Budgets, spent_usd: Option<f64>) -> f64 {
    (2.0 * budgets.max_cost_usd.unwrap_or_default().max(spent_usd.unwrap_or_default())).ceil().max(1.0)
}

#[cfg(test)]
mod tests {
    use super::{Spent, more};
    use crate::core::{Budgets, Outcome};

    const BUDGETS: Budgets = Budgets {
        max_iterations: 20,
        max_duration_ms: None,
        max_cost_usd: None,
        max_restarts: 5,
        max_repeats: 3,
        max_wait_ms: None,
        until_unix_ms: None,
    };

    #[test]
    fn a_spent_bound_names_its_own_option_with_a_value_that_leaves_room() {
        let hours = |ms| Budgets { max_duration_ms: Some(ms), ..BUDGETS };
        let rows = [
            (BUDGETS, 20, 5_000, None, " --max-iterations 40"),
            (hours(1_000), 0, 1_200, None, " --max-duration 2h"),
            (hours(8 * 3_600_000), 7, 8 * 3_600_000, None, " --max-duration 16h"),
            (hours(90_000), 1, 7 * 3_600_000, None, " --max-duration 8h"),
            (Budgets { max_cost_usd: Some(5.0), ..BUDGETS }, 3, 5_000, Some(5.31), " --max-cost-usd 11"),
            (Budgets { max_cost_usd: Some(0.02), ..BUDGETS }, 3, 5_000, Some(0.02), " --max-cost-usd 1"),
            (BUDGETS, 3, 5_000, Some(1.0), ""),
        ];
        for (budgets, iterations, elapsed_ms, cost_usd, advice) in rows {
            let spent = Spent { iterations, elapsed_ms, cost_usd };
            assert_eq!(more(Outcome::Budget, &budgets, spent), advice);
        }
    }
}
