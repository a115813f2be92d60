//! The names of usage windows, and what a report says of them.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::WindowFact;

/// The window that is spent first, mostly.
pub const FIVE_HOUR: &str = "five_hour";
/// The week's.
pub const SEVEN_DAY: &str = "seven_day";

/// A usage window as people and the cache file have it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageWindow {
    /// Its name, for example `five_hour`.
    pub name: String,
    /// How much of it is used, in percent; it may pass 100. `None` is unknown, which is not 0.
    pub utilization: Option<f64>,
    /// When it begins anew, RFC 3339.
    pub resets_at: Option<String>,
    /// The same in unix seconds.
    pub resets_at_epoch: Option<i64>,
}

/// Usage beyond the subscription, which is paid for apart.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ExtraUsage {
    /// Whether the account allows it.
    pub is_enabled: bool,
    /// What it may cost a month, in the endpoint's unit; `None` without a bound.
    pub monthly_limit: Option<f64>,
    /// What it has cost this month, in the same unit.
    pub used_credits: Option<f64>,
    /// How much of the limit that is, in percent.
    pub utilization: Option<f64>,
    /// The currency's code.
    pub currency: Option<String>,
}

impl UsageWindow {
    /// A window; its reset is told in both forms.
    #[must_use]
    pub fn new(name: String, utilization: Option<f64>, resets_at_unix_s: Option<i64>) -> Self {
        let resets_at = resets_at_unix_s.and_then(|at| Timestamp::from_second(at).ok()).map(|at| at.to_string());
        Self { name, utilization, resets_at, resets_at_epoch: resets_at_unix_s }
    }

    /// What the core knows of it.
    #[must_use]
    pub fn fact(&self) -> WindowFact {
        WindowFact {
            name: self.name.clone(),
            utilization: self.utilization.map(|percent| percent / 100.0),
            resets_at_unix_s: self.resets_at_epoch,
        }
    }

    /// The window as it is at a time: once its reset is past, nobody has said how much of the new one is used.
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
        // To a thousandth of a percent: 0.29 is 29 %, whatever the processor makes of it.
        let percent = fact.utilization.map(|used| (used * 100_000.0).round() / 1_000.0);
        Self::new(fact.name.clone(), percent, fact.resets_at_unix_s)
    }
}
