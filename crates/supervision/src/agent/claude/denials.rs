use std::collections::BTreeSet;

use crate::agent::Denial;

/// How many denials the end of one turn lists; further ones are only reported as they happen.
const MAX_DENIALS: usize = 1_024;

/// The denials of a turn. A denial is reported when it happens (2.1.329) and again on the result (both), but counts
/// once.
#[derive(Debug, Clone, Default)]
pub(super) struct Denials {
    denials: Vec<Denial>,
    calls: BTreeSet<String>,
}

impl Denials {
    /// Adds the denial of a tool call. `None` when it was reported before.
    pub(super) fn add(&mut self, call: Option<&str>, denial: Denial) -> Option<Denial> {
        if call.is_some_and(|call| self.calls.contains(call)) {
            return None;
        }
        if self.denials.len() < MAX_DENIALS {
            self.calls.extend(call.map(str::to_owned));
            self.denials.push(denial.clone());
        }
        Some(denial)
    }

    /// Takes all denials: the turn is over.
    pub(super) fn take(&mut self) -> Vec<Denial> {
        self.calls.clear();
        std::mem::take(&mut self.denials)
    }
}
