//! The working tree during the reviews of a run: its measurements, which files change without agent or critic, and what critics
//! may have changed.

use std::collections::BTreeSet;

use super::doubt::{Altered, Around};
use super::{Action, MeasureId, Tick, TreeFact, TreeFault};

/// How long a measurement of the tree may take; on a dead network file system git waits for ever.
const MEASURE_LIMIT_MS: u64 = 60_000;
/// Files that move by themselves and are remembered; a project with more is one where everything moves.
const MAX_MOVING: usize = 1_000;

/// What is known of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Tree {
    measured: u32,
    /// The measurement that was asked for last, until it is told or overdue.
    awaited: Option<(MeasureId, Tick)>,
    /// The user knows that the tree cannot be measured.
    trouble_told: bool,
    /// Another critic was asked because the tree could not be measured around the first that approved.
    asked_again: bool,
    /// Files that changed while no critic could have changed them.
    moving: BTreeSet<String>,
    /// What critics may have changed.
    altered: Altered,
}

impl Tree {
    /// Measures it, and compares it with the measurement `since`.
    pub(super) fn measure(&mut self, since: Option<MeasureId>, now: Tick) -> (MeasureId, Action) {
        self.measured += 1;
        let measure = MeasureId(self.measured);
        self.awaited = Some((measure, now.plus_ms(MEASURE_LIMIT_MS)));
        let moving = self.moving.iter().cloned().collect();
        (measure, Action::MeasureTree { measure, since, moving })
    }

    /// The measurement that is waited for, and until when.
    pub(super) fn awaited(&self) -> Option<(MeasureId, Tick)> {
        self.awaited
    }

    /// That measurement was told. Gives why the tree cannot be measured, where the user does not know that yet.
    pub(super) fn told<'a>(&mut self, tree: &'a TreeFact) -> Option<&'a str> {
        self.awaited = None;
        let trouble = tree.trouble.as_deref().filter(|_| !self.trouble_told)?;
        self.trouble_told = true;
        Some(trouble)
    }

    /// These paths changed while no critic could have changed them; later they are left out.
    pub(super) fn moves_by_itself(&mut self, paths: Vec<String>) {
        let left = MAX_MOVING.saturating_sub(self.moving.len());
        self.moving.extend(paths.into_iter().take(left));
    }

    /// It was measured before a critic could do anything.
    pub(super) fn looked_at(&mut self, tree: &TreeFact) {
        self.altered.measured(tree.fingerprint.as_deref());
    }

    /// It was measured before and after a critic. Gives what an outcome has to say of critics that may have written.
    pub(super) fn reviewed(&mut self, around: &Around<'_>) -> String {
        self.altered.note(around);
        self.altered.proviso()
    }

    /// What only a critic can have changed, sorted.
    pub(super) fn altered(&self) -> Vec<String> {
        self.altered.paths()
    }

    /// It could not be measured around a critic that approves; true when another one is to be asked, in case it can be then.
    pub(super) fn is_worth_another_critic(&mut self) -> bool {
        !std::mem::replace(&mut self.asked_again, true)
    }

    /// What stands for a measurement that has not come in its time.
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
