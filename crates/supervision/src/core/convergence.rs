//! Detects feedback that no longer helps: the same text again while nothing changed.

use super::likeness::same;

/// The compared length of a feedback, in bytes: the comparison is quadratic in the worst case.
const COMPARED_BYTES: usize = 8 * 1024;
/// The number of earlier feedbacks to compare with.
const KEPT: usize = 16;

/// The fingerprints of the tree when the agent stopped and when the verdict came, as far as they could be measured. A change
/// between the two was made by a critic or a check and is no progress of the agent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trees<'a> {
    pub(super) before: Option<&'a str>,
    pub(super) after: Option<&'a str>,
}

/// The feedbacks so far, each with the trees of its stop.
#[derive(Debug, Clone, Default)]
pub(super) struct Convergence {
    given: Vec<Given>,
    repeats: u32,
}

#[derive(Debug, Clone)]
struct Given {
    text: String,
    before: Option<String>,
    after: Option<String>,
}

impl Given {
    /// Whether the agent reached the tree `now` from this stop without changing anything.
    fn stands_still(&self, now: &str) -> bool {
        [&self.before, &self.after].into_iter().any(|tree| tree.as_deref() == Some(now))
    }
}

impl Convergence {
    /// Records a feedback and the trees of its stop. Gives how often in a row the same was said without progress; 0 for a new
    /// feedback. A tree that could not be measured counts as changed, because a heuristic without data must not end honest work
    /// (lessons, "Loops"). `progressed`: since the last stop the agent did something that the tree may not show.
    pub(super) fn note(&mut self, feedback: &str, trees: Trees<'_>, progressed: bool) -> u32 {
        let text = head(feedback);
        let still = |now| self.given.iter().any(|earlier| earlier.stands_still(now) && same(&earlier.text, text));
        let repeated = !progressed && trees.before.is_some_and(still);
        self.repeats = if repeated { self.repeats + 1 } else { 0 };
        if self.given.len() == KEPT {
            self.given.remove(0);
        }
        let owned = |tree: Option<&str>| tree.map(str::to_owned);
        self.given.push(Given { text: text.to_owned(), before: owned(trees.before), after: owned(trees.after) });
        self.repeats
    }

    /// Clears the record after a new message of the user.
    pub(super) fn forget(&mut self) {
        self.given.clear();
        self.repeats = 0;
    }
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(COMPARED_BYTES)]
}

#[cfg(test)]
mod tests {
    use super::{Convergence, Trees};

    fn still(tree: &str) -> Trees<'_> {
        Trees { before: Some(tree), after: Some(tree) }
    }

    #[test]
    fn repeats_count_only_while_feedback_and_tree_stand_still() {
        let mut seen = Convergence::default();
        let text = "The function parse_all is missing a test for empty input. Add one.";
        let near = "The function parse_all is missing a test for empty input. Add it.";
        assert_eq!(seen.note(text, still("t1"), false), 0);
        assert_eq!(seen.note(text, still("t1"), false), 1);
        assert_eq!(seen.note(text, still("t1"), false), 2);
        assert_eq!(seen.note(text, still("t2"), false), 0, "the tree changed: there was progress");
        assert_eq!(seen.note("Something else entirely is wrong with the documentation.", still("t2"), false), 0);
        assert_eq!(seen.note(text, Trees::default(), false), 0, "an unmeasured tree never counts as still");
        assert_eq!(seen.note(text, Trees::default(), false), 0);
        assert_eq!(seen.note(near, still("t2"), false), 0, "\"one\" is a count");
    }

    #[test]
    fn what_the_agent_did_outside_of_what_is_measured_is_progress() {
        let mut seen = Convergence::default();
        assert_eq!(seen.note("same words", still("t"), false), 0);
        assert_eq!(seen.note("same words", still("t"), true), 0);
        assert_eq!(seen.note("same words", still("t"), false), 1);
    }

    #[test]
    fn what_the_review_itself_leaves_in_the_tree_is_no_progress() {
        let mut seen = Convergence::default();
        for (round, (before, after)) in [("a", "b"), ("b", "c"), ("c", "d")].into_iter().enumerate() {
            let trees = Trees { before: Some(before), after: Some(after) };
            assert_eq!(seen.note("same words", trees, false), u32::try_from(round).expect("a number"), "{round}");
        }
        assert_eq!(seen.note("same words", still("e"), false), 0, "the agent changed something");
    }

    #[test]
    fn alternating_feedback_on_a_still_tree_is_a_repeat_too() {
        let mut seen = Convergence::default();
        let (a, b) =
            ("Use tabs for the indentation of the whole file.", "Rename every variable to snake case, please.");
        assert_eq!(seen.note(a, still("t"), false), 0);
        assert_eq!(seen.note(b, still("t"), false), 0);
        assert_eq!(seen.note(a, still("t"), false), 1);
        assert_eq!(seen.note(b, still("t"), false), 2);
    }

    #[test]
    fn the_user_saying_something_new_starts_over() {
        let mut seen = Convergence::default();
        seen.note("same words", still("t"), false);
        seen.note("same words", still("t"), false);
        seen.forget();
        assert_eq!(seen.note("same words", still("t"), false), 0);
    }

    #[test]
    fn long_feedback_with_wide_characters_is_cut_at_a_character() {
        let mut seen = Convergence::default();
        let long = "漢".repeat(10_000);
        assert_eq!(seen.note(&long, still("t"), false), 0);
        assert_eq!(seen.note(&long, still("t"), false), 1);
    }
}
