//! The working tree during the reviews of a run: its measurements, the files that change without agent or critic, and what
//! critics may have changed.

use std::collections::BTreeSet;

use super::doubt::{Altered, ReviewContext};
use super::{Action, MeasureId, Tick, TreeFact, TreeFault};

/// The timeout of a measurement: on a dead network file system git waits forever.
const MEASURE_LIMIT_MS: u64 = 60_000;
/// The most files that are kept as changing by themselves; in a project with more, everything changes.
const MAX_MOVING: usize = 1_000;

/// The state of the measurements.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    measured: u32,
    /// The pending measurement and its timeout.
    awaited: Option<(MeasureId, Tick)>,
    /// The user has been told that the tree cannot be measured.
    trouble_told: bool,
    /// Another critic was started because the tree could not be measured around the first approving one.
    asked_again: bool,
    /// Files that changed while no critic could write.
    moving: BTreeSet<String>,
    /// What critics may have changed.
    altered: Altered,
}

impl Tree {
    /// Begins a measurement, to be compared with `since`.
    pub(super) fn measure(&mut self, since: Option<MeasureId>, now: Tick) -> (MeasureId, Action) {
        self.measured += 1;
        let measure = MeasureId(self.measured);
        self.awaited = Some((measure, now.plus_ms(MEASURE_LIMIT_MS)));
        let moving = self.moving.iter().cloned().collect();
        (measure, Action::MeasureTree { measure, since, moving })
    }

    /// The pending measurement and its timeout.
    pub(super) fn awaited(&self) -> Option<(MeasureId, Tick)> {
        self.awaited
    }

    /// The pending measurement has ended. Gives why the tree cannot be measured, if the user has not been told.
    pub(super) fn told<'a>(&mut self, tree: &'a TreeFact) -> Option<&'a str> {
        self.awaited = None;
        let trouble = tree.trouble.as_deref().filter(|_| !self.trouble_told)?;
        self.trouble_told = true;
        Some(trouble)
    }

    /// These paths changed while no critic could write; later measurements leave them out.
    pub(super) fn moves_by_itself(&mut self, paths: Vec<String>) {
        let left = MAX_MOVING.saturating_sub(self.moving.len());
        self.moving.extend(paths.into_iter().take(left));
    }

    /// A measurement before a critic could do anything.
    pub(super) fn looked_at(&mut self, tree: &TreeFact) {
        self.altered.measured(tree.fingerprint.as_deref());
    }

    /// The measurements around a critic. Gives what the outcome must say of critics that may have written.
    pub(super) fn reviewed(&mut self, around: &ReviewContext<'_>) -> String {
        self.altered.note(around);
        self.altered.proviso()
    }

    /// Paths that only a critic can have changed, sorted.
    pub(super) fn altered(&self) -> Vec<String> {
        self.altered.paths()
    }

    /// The tree could not be measured around an approving critic; true if another one should be started.
    pub(super) fn is_worth_another_critic(&mut self) -> bool {
        !std::mem::replace(&mut self.asked_again, true)
    }

    /// The result of a measurement that timed out.
    pub(super) fn overdue() -> TreeFact {
        let seconds = MEASURE_LIMIT_MS / 1_000;
        TreeFact {
            trouble: Some(format!("git took more than {seconds} s")),
            fault: Some(TreeFault::Hung),
            ..TreeFact::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_MOVING, MEASURE_LIMIT_MS, Tree};
    use crate::core::{Action, MeasureId, Tick};

    #[test]
    fn each_measurement_has_its_number_and_its_time_and_leaves_out_what_moves() {
        let mut tree = Tree::default();
        let (first, _) = tree.measure(None, Tick::ZERO);
        assert_eq!(tree.awaited(), Some((first, Tick::ZERO.plus_ms(MEASURE_LIMIT_MS))));
        let hung = Tree::overdue();
        assert_eq!(tree.told(&hung), Some("git took more than 60 s"));
        assert_eq!((tree.awaited(), tree.told(&hung)), (None, None), "the user is told once");
        tree.moves_by_itself((0..=MAX_MOVING).map(|number| number.to_string()).collect());
        let (second, action) = tree.measure(Some(first), Tick::ZERO);
        let Action::MeasureTree { measure, since, moving } = action else { panic!("{action:?}") };
        assert_eq!((measure, since, moving.len()), (second, Some(MeasureId(1)), MAX_MOVING));
        assert_eq!([tree.is_worth_another_critic(), tree.is_worth_another_critic()], [true, false]);
    }
}
