//! The run's own time, which does not depend on the wall clock.

use serde::{Deserialize, Serialize};

/// A moment of the run: microseconds since it began, counted only while ccc is alive and the machine is awake.
///
/// A resumed run continues from the last tick of its journal, so deadlines and budgets count running time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tick(pub u64);

impl Tick {
    /// The beginning of the run.
    pub const ZERO: Tick = Tick(0);

    /// The moment `ms` milliseconds after this one; saturates.
    #[must_use]
    pub fn plus_ms(self, ms: u64) -> Tick {
        Tick(self.0.saturating_add(ms.saturating_mul(1_000)))
    }

    /// Milliseconds from `earlier` to this moment; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn ms_since(self, earlier: Tick) -> u64 {
        self.us_since(earlier) / 1_000
    }

    /// Microseconds from `earlier` to this moment; 0 when `earlier` is not earlier.
    #[must_use]
    pub fn us_since(self, earlier: Tick) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole milliseconds since the run began.
    #[must_use]
    pub fn as_ms(self) -> u64 {
        self.0 / 1_000
    }
}
