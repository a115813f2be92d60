use std::collections::BTreeSet;

use crate::agent::Denial;

/// Denials that one turn's end lists; more are told as they happen only.
const MAX_DENIALS: usize = 1_024;

/// What was denied in the turn. A denial is said when it happens (2.1.329) and again on the result (both): it counts once.
#[derive(Debug, Clone, Default)]
pub(super) struct Denials {
    denials: Vec<Denial>,
    calls: BTreeSet<String>,
}

impl Denials {
    /// Adds the denial of a tool call. `None` when it was said before.
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

    /// The turn is over.
    pub(super) fn take(&mut self) -> Vec<Denial> {
        self.calls.clear();
        std::mem::take(&mut self.denials)
    }
}
