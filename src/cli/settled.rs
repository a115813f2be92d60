//! The bounds of a run's plan: with moments instead of times of day.

use crate::config::BudgetsLayer;
use crate::core::Budgets;
use crate::driver;

/// The bounds, overridden by those of the layer.
pub(super) fn overlaid(under: &Budgets, given: &BudgetsLayer) -> Budgets {
    given.over_bounds(under, |until| until.unix_ms(driver::unix_ms(), &super::zone::of_process()))
}
