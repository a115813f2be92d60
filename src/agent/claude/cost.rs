use crate::stream::message::TurnResult;

/// What one process has cost. 2.1.329 counts on from the session's cost on resume *and fork*, so its `total_cost_usd` is not the
/// process's (measured); there, the sums since the last result are added up.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cost {
    process_usd: f64,
    by_parts: bool,
}

impl Cost {
    /// A result came. Returns the new sum when it grew.
    pub(super) fn count(&mut self, result: &TurnResult<'_>) -> Option<f64> {
        let before = self.process_usd;
        if let Some(parts) = result.model_usage_since_last_result {
            let sum: f64 = parts.members().filter_map(|(_, usage)| usage.member("costUSD")?.f64()).sum();
            self.process_usd = if self.by_parts { before + sum } else { sum };
            self.by_parts = true;
        } else if let Some(total) = result.total_cost_usd
            && !self.by_parts
        {
            self.process_usd = total;
        }
        (self.process_usd > before).then_some(self.process_usd)
    }
}
