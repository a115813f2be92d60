//! The names of usage windows, and their reported state.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::WindowFact;

/// The window whose limit is usually reached first.
pub const FIVE_HOUR: &str = "five_hour";
/// The weekly window.
pub const SEVEN_DAY: &str = "seven_day";

/// A usage window as users and the cache file see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// Its name, for example `five_hour`.
    pub name: String,
    /// The usage in percent; it may exceed 100. `None` is unknown, which is not 0.
    pub utilization: Option<f64>,
    /// When it resets, RFC 3339.
    pub resets_at: Option<String>,
    /// The same in unix seconds.
    pub resets_at_epoch: Option<i64>,
}

/// Usage beyond the subscription, which is paid for separately.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtraUsage {
    /// Whether the account allows it.
    pub is_enabled: bool,
    /// The monthly limit, in the endpoint's unit; `None` when there is none.
    pub monthly_limit: Option<f64>,
    /// The cost of this month, in the same unit.
    pub used_credits: Option<f64>,
    /// The used part of the limit, in percent.
    pub utilization: Option<f64>,
    /// The currency's code.
    pub currency: Option<String>,
}

impl UsageWindow {
    /// A window, with its reset in both forms.
    #[must_use]
    pub fn new(name: String, utilization: Option<f64>, resets_at_unix_s: Option<i64>) -> Self {
        let resets_at = resets_at_unix_s.and_then(|at| Timestamp::from_second(at).ok()).map(|at| at.to_string());
        Self { name, utilization, resets_at, resets_at_epoch: resets_at_unix_s }
    }

    /// The core's form of it.
    #[must_use]
    pub fn fact(&self) -> WindowFact {
        WindowFact {
            name: self.name.clone(),
            utilization: self.utilization.map(|percent| percent / 100.0),
            resets_at_unix_s: self.resets_at_epoch,
        }
    }

    /// The window at this time: after its reset the usage of the new one is unknown.
    #[must_use]
    pub fn at(&self, now_unix_ms: i64) -> Self {
        match self.resets_at_epoch {
            Some(at) if at <= now_unix_ms.div_euclid(1_000) => Self::new(self.name.clone(), None, None),
            Some(_) | None => self.clone(),
        }
    }
}

impl From<&WindowFact> for UsageWindow {
    fn from(fact: &WindowFact) -> Self {
        // Rounded to a thousandth of a percent, so that 0.29 is exactly 29 %.
        let percent = fact.utilization.map(|used| (used * 100_000.0).round() / 1_000.0);
        Self::new(fact.name.clone(), percent, fact.resets_at_unix_s)
    }
}
