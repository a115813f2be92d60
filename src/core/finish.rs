//! What a run adds up to: counters, money, denials, and the sentence that tells why it ended.

use std::collections::BTreeMap;

use super::ProcId;
use crate::agent::Denial;

/// How many denied tools the reason of an outcome names.
const NAMED_DENIALS: usize = 3;

/// The counters of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) restarts: u32,
    pub(super) rotations: u32,
    pub(super) waited_ms: u64,
    cost_usd: BTreeMap<ProcId, f64>,
    denials: BTreeMap<Denial, u32>,
    denials_since_review: BTreeMap<Denial, u32>,
}

impl Tally {
    /// Notes what a process has cost so far; true when the sum changed.
    pub(super) fn cost(&mut self, proc: ProcId, usd: f64) -> bool {
        if !usd.is_finite() || usd < 0.0 {
            return false;
        }
        self.cost_usd.insert(proc, usd) != Some(usd)
    }

    /// The sum over all processes; `None` while no process has said anything.
    pub(super) fn cost_usd(&self) -> Option<f64> {
        // A millionth of a dollar is as fine as anybody's bill; the sum of binary fractions would say 0.13999999999999999.
        (!self.cost_usd.is_empty()).then(|| (self.cost_usd.values().sum::<f64>() * 1e6).round() / 1e6)
    }

    pub(super) fn denied(&mut self, denial: Denial) {
        *self.denials.entry(denial.clone()).or_default() += 1;
        *self.denials_since_review.entry(denial).or_default() += 1;
    }

    /// The denials since the last review, most frequent first.
    pub(super) fn denials_for_review(&self) -> Vec<(Denial, u32)> {
        most_frequent(&self.denials_since_review)
    }

    pub(super) fn reviewed(&mut self) {
        self.denials_since_review.clear();
    }

    /// What to add to a reason for not having completed, when permissions were missing.
    pub(super) fn missing_permissions(&self) -> Option<String> {
        let named: Vec<String> = most_frequent(&self.denials)
            .into_iter()
            .take(NAMED_DENIALS)
            .map(|(denial, times)| format!("{} {} ({times}x)", denial.tool, denial.target))
            .collect();
        (!named.is_empty()).then(|| format!("permissions were missing for: {} (allow them to the agent, for example by `-- --permission-mode acceptEdits`)", named.join(", ")))
    }
}

fn most_frequent(denials: &BTreeMap<Denial, u32>) -> Vec<(Denial, u32)> {
    let mut list: Vec<(Denial, u32)> = denials.iter().map(|(denial, times)| (denial.clone(), *times)).collect();
    list.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    list
}

#[cfg(test)]
mod tests {
    use super::Tally;
    use crate::agent::Denial;
    use crate::core::ProcId;

    #[test]
    fn cost_is_the_last_word_of_each_process_summed_and_unknown_until_the_first() {
        let mut tally = Tally::default();
        assert_eq!(tally.cost_usd(), None);
        assert!(tally.cost(ProcId(1), 0.5));
        assert!(!tally.cost(ProcId(1), 0.5));
        assert!(tally.cost(ProcId(1), 0.75));
        assert!(tally.cost(ProcId(2), 0.25));
        assert!(!tally.cost(ProcId(3), f64::NAN));
        assert_eq!(tally.cost_usd(), Some(1.0));
    }

    #[test]
    fn missing_permissions_are_named_most_frequent_first() {
        let mut tally = Tally::default();
        assert_eq!(tally.missing_permissions(), None);
        for tool in ["Write", "Bash", "Bash"] {
            tally.denied(Denial { tool: tool.to_owned(), target: "x".to_owned() });
        }
        assert_eq!(
            tally.missing_permissions().as_deref(),
            Some(
                "permissions were missing for: Bash x (2x), Write x (1x) (allow them to the agent, for example by `-- --permission-mode acceptEdits`)"
            )
        );
        tally.reviewed();
        assert!(tally.denials_for_review().is_empty());
        assert!(tally.missing_permissions().is_some());
    }
}
