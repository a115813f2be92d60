//! When feedback stops helping: the same words again while nothing changed.

use similar::TextDiff;

/// From this likeness on two feedbacks say the same (0 to 1, over words). Reworded findings score lower, a test
/// run's differing times and counters stay above it.
const SAME_FEEDBACK_RATIO: f32 = 0.85;
/// How much of a feedback is compared, in bytes: likeness is quadratic in the worst case.
const COMPARED_BYTES: usize = 8 * 1024;
/// How many earlier feedbacks are kept to compare with.
const KEPT: usize = 16;

/// The feedbacks so far, each with the tree on which it was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Convergence {
    given: Vec<(String, Option<String>)>,
    repeats: u32,
}

impl Convergence {
    /// Notes a feedback and the tree's fingerprint at its stop; gives how often in a row the same was said
    /// while the tree stood still (0 for something new). A tree that could not be measured never counts as still:
    /// honest work must not be ended by a heuristic that knows nothing (lessons, "Loops").
    pub(super) fn note(&mut self, feedback: &str, tree: Option<&str>) -> u32 {
        let text = head(feedback);
        let repeated = tree.is_some()
            && self.given.iter().any(|(earlier, earlier_tree)| earlier_tree.as_deref() == tree && same(earlier, text));
        self.repeats = if repeated { self.repeats + 1 } else { 0 };
        if self.given.len() == KEPT {
            self.given.remove(0);
        }
        self.given.push((text.to_owned(), tree.map(str::to_owned)));
        self.repeats
    }

    /// Forgets all: the user has said something new.
    pub(super) fn forget(&mut self) {
        self.given.clear();
        self.repeats = 0;
    }
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMPARED_BYTES)]
}

fn same(a: &str, b: &str) -> bool {
    a == b || TextDiff::from_words(a, b).ratio() >= SAME_FEEDBACK_RATIO
}

#[cfg(test)]
mod tests {
    use super::Convergence;

    #[test]
    fn repeats_count_only_while_feedback_and_tree_stand_still() {
        let mut seen = Convergence::default();
        let text = "The function parse_all is missing a test for empty input. Add one.";
        assert_eq!(seen.note(text, Some("t1")), 0);
        assert_eq!(seen.note(text, Some("t1")), 1);
        assert_eq!(seen.note("The function parse_all is missing a test for empty input. Add it.", Some("t1")), 2);
        assert_eq!(seen.note(text, Some("t2")), 0, "the tree changed: there was progress");
        assert_eq!(seen.note("Something else entirely is wrong with the documentation.", Some("t2")), 0);
        assert_eq!(seen.note(text, None), 0, "an unmeasured tree never counts as still");
        assert_eq!(seen.note(text, None), 0);
    }

    #[test]
    fn alternating_feedback_on_a_still_tree_is_a_repeat_too() {
        let mut seen = Convergence::default();
        let (a, b) =
            ("Use tabs for the indentation of the whole file.", "Rename every variable to snake case, please.");
        assert_eq!(seen.note(a, Some("t")), 0);
        assert_eq!(seen.note(b, Some("t")), 0);
        assert_eq!(seen.note(a, Some("t")), 1);
        assert_eq!(seen.note(b, Some("t")), 2);
    }

    #[test]
    fn the_user_saying_something_new_starts_over() {
        let mut seen = Convergence::default();
        seen.note("same words", Some("t"));
        seen.note("same words", Some("t"));
        seen.forget();
        assert_eq!(seen.note("same words", Some("t")), 0);
    }

    #[test]
    fn long_feedback_with_wide_characters_is_cut_at_a_character() {
        let mut seen = Convergence::default();
        let long = "漢".repeat(10_000);
        assert_eq!(seen.note(&long, Some("t")), 0);
        assert_eq!(seen.note(&long, Some("t")), 1);
    }
}
