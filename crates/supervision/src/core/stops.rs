//! The stops of a run: how many were judged, what the agent said and left running at the last one, the last feedback, and
//! whether the agent has made progress since.

use super::convergence::{Convergence, Trees};
use super::writes::Writes;
use crate::agent::Edit;

/// The state of the stops.
#[derive(Debug, Clone, Default)]
pub(super) struct Stops {
    judged: u32,
    /// Stops judged before the current message of a conversation.
    judged_before: u32,
    last_answer: String,
    /// Background tasks left running by the turn that ended last.
    left_open: usize,
    last_feedback: Option<String>,
    convergence: Convergence,
    /// What the agent's tools have written.
    writes: Writes,
}

impl Stops {
    /// The number of judged stops, the current one included; in a conversation, since the user's last message.
    pub(super) fn judged(&self) -> u32 {
        self.judged
    }

    /// The number of judged stops in the whole run.
    pub(super) fn judged_in_all(&self) -> u32 {
        self.judged_before + self.judged
    }

    /// A new message in a conversation: the count of iterations starts again.
    pub(super) fn counts_anew(&mut self) {
        self.judged_before += std::mem::take(&mut self.judged);
    }

    /// A stop is going to be judged.
    pub(super) fn begin(&mut self) {
        self.judged += 1;
    }

    /// The stop is not judged: it counts when it is judged later, perhaps by a resumed run.
    pub(super) fn leave_unjudged(&mut self) {
        let of = if self.judged > 0 { &mut self.judged } else { &mut self.judged_before };
        *of = of.saturating_sub(1);
    }

    /// A turn of the agent was answered.
    pub(super) fn answered(&mut self, text: String, left_open: usize) {
        self.left_open = left_open;
        if !text.trim().is_empty() {
            self.last_answer = text;
        }
    }

    /// The critic's question to the user, which becomes the run's last answer.
    pub(super) fn asks_user(&mut self, text: &str) {
        text.clone_into(&mut self.last_answer);
    }

    pub(super) fn last_answer(&self) -> &str {
        &self.last_answer
    }

    pub(super) fn left_open(&self) -> usize {
        self.left_open
    }

    /// A call of the agent began that makes this edit.
    pub(super) fn edit_began(&mut self, call: &str, edit: &Edit) {
        self.writes.started(call, edit);
    }

    /// A call of the agent ended.
    pub(super) fn call_ended(&mut self, call: &str, failed: bool) {
        self.writes.ended(call, failed);
    }

    /// Records feedback for the stop with these trees. Gives how often in a row it was repeated without progress.
    pub(super) fn feedback(&mut self, text: &str, trees: Trees<'_>, ignored: Option<&str>) -> u32 {
        let progressed = self.writes.take_fresh(ignored);
        self.last_feedback = Some(text.to_owned());
        self.convergence.note(text, trees, progressed)
    }

    pub(super) fn last_feedback(&self) -> Option<&str> {
        self.last_feedback.as_deref()
    }

    /// There is a new message, or the agent has more permissions: repeated feedback may help now.
    pub(super) fn starts_over(&mut self) {
        self.convergence.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::{Stops, Trees};

    const SAME: Trees<'static> = Trees { before: Some("t"), after: Some("t") };

    #[test]
    fn a_stop_that_is_left_unjudged_does_not_count() {
        let mut stops = Stops::default();
        stops.begin();
        stops.begin();
        stops.leave_unjudged();
        assert_eq!(stops.judged(), 1);
        stops.leave_unjudged();
        stops.leave_unjudged();
        assert_eq!(stops.judged(), 0, "no fewer than none");
    }

    #[test]
    fn each_message_of_a_conversation_has_all_iterations_and_a_stop_given_up_for_it_does_not_count() {
        let mut stops = Stops::default();
        stops.begin();
        stops.begin();
        stops.counts_anew();
        assert_eq!((stops.judged(), stops.judged_in_all()), (0, 2));
        stops.leave_unjudged();
        assert_eq!((stops.judged(), stops.judged_in_all()), (0, 1), "the second was being judged when it was said");
        stops.begin();
        assert_eq!((stops.judged(), stops.judged_in_all()), (1, 2));
    }

    #[test]
    fn the_last_answer_is_the_last_that_says_something_and_the_critics_question_at_last() {
        let mut stops = Stops::default();
        stops.answered("Done.".to_owned(), 2);
        stops.answered(" \n".to_owned(), 0);
        assert_eq!((stops.last_answer(), stops.left_open()), ("Done.", 0), "tasks are those of the last turn");
        stops.asks_user("Which one?");
        assert_eq!(stops.last_answer(), "Which one?");
    }

    #[test]
    fn the_same_feedback_on_the_same_tree_is_counted_until_the_user_says_something() {
        let mut stops = Stops::default();
        assert_eq!(stops.last_feedback(), None);
        let counts: Vec<u32> = (0..3).map(|_| stops.feedback("Add tests.", SAME, None)).collect();
        assert_eq!(counts, [0, 1, 2]);
        assert_eq!(stops.last_feedback(), Some("Add tests."));
        stops.starts_over();
        assert_eq!(stops.feedback("Add tests.", SAME, None), 0);
        let moved = Trees { before: Some("u"), after: Some("u") };
        assert_eq!(stops.feedback("Add tests.", moved, None), 0, "the tree has moved");
    }
}
