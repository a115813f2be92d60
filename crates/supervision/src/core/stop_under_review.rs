//! The review of one stop: its critic, the tree before and after, and the answer.

use super::policy::Pause;
use super::{CheckResult, MeasureId, ProcId, Tick, TreeFact, Verdict};

/// The most turns that a critic may begin by itself.
const MAX_CRITICS_OWN_TURNS: u32 = 3;

/// A stop under review.
#[derive(Debug, Clone)]
pub(super) struct StopUnderReview {
    checks: Vec<(String, CheckResult)>,
    /// The live critic; `None` while waiting to start one.
    critic: Option<Critic>,
    /// The measurement before the critic could do anything.
    before: Look,
    answer: Option<Answer>,
    /// Consecutive failures of the critic itself.
    failures: u32,
    /// The pause before the next critic.
    pause: Option<Pause>,
    /// The last answer that was no verdict, and why; given to the next critic.
    unusable: Option<(String, String)>,
    /// The last answer exceeded the maximum length.
    too_long: bool,
    /// The cost of the run when the review began.
    cost_before: f64,
}

#[derive(Debug, Clone, Copy)]
struct Critic {
    proc: ProcId,
    began: Tick,
    briefed: bool,
    /// Turns that the critic began by itself.
    own_turns: u32,
}

#[derive(Debug, Clone)]
struct Look {
    measure: MeasureId,
    tree: Option<TreeFact>,
    /// It is the second one, which finds files that change by themselves.
    again: bool,
}

#[derive(Debug, Clone)]
struct Answer {
    text: String,
    /// The offset of its last text block.
    last_block: usize,
    /// The critic ran a command, or another tool that can write.
    could_write: bool,
    /// The measurement after the answer.
    after: MeasureId,
}

impl StopUnderReview {
    /// A review after these checks. `cost_before` is the cost of the run by then.
    pub(super) fn new(checks: Vec<(String, CheckResult)>, cost_before: f64) -> StopUnderReview {
        StopUnderReview {
            checks,
            critic: None,
            before: Look { measure: MeasureId(0), tree: None, again: false },
            answer: None,
            failures: 0,
            pause: None,
            unusable: None,
            too_long: false,
            cost_before,
        }
    }

    pub(super) fn checks(&self) -> &[(String, CheckResult)] {
        &self.checks
    }

    pub(super) fn cost_before(&self) -> f64 {
        self.cost_before
    }

    /// The critic's process, if there is one.
    pub(super) fn critic(&self) -> Option<ProcId> {
        self.critic.map(|critic| critic.proc)
    }

    pub(super) fn pause(&self) -> Option<Pause> {
        self.pause
    }

    /// Whether a critic may be started: there is none, and no pause before the next one.
    pub(super) fn wants_critic(&self) -> bool {
        self.critic.is_none() && self.pause.is_none()
    }

    /// A critic was started, and the tree is measured meanwhile.
    pub(super) fn starts(&mut self, proc: ProcId, before: MeasureId, now: Tick) {
        self.critic = Some(Critic { proc, began: now, briefed: false, own_turns: 0 });
        self.before = Look { measure: before, tree: None, again: false };
        (self.answer, self.pause) = (None, None);
    }

    /// The critic is not used any more.
    pub(super) fn gives_up_critic(&mut self) {
        self.critic = None;
    }

    /// The next critic is started after this pause.
    pub(super) fn pauses(&mut self, pause: Pause) {
        (self.critic, self.pause) = (None, Some(pause));
    }

    pub(super) fn pause_is_over(&mut self) {
        self.pause = None;
    }

    /// The measurement before the critic.
    pub(super) fn before(&self) -> MeasureId {
        self.before.measure
    }

    /// Whether this is the measurement before the critic.
    pub(super) fn is_before(&self, measure: MeasureId) -> bool {
        self.before.measure == measure
    }

    /// The tree was measured before the critic.
    pub(super) fn looked(&mut self, tree: TreeFact) {
        self.before.tree = Some(tree);
    }

    /// When the tree is measured a second time before the brief, and the first measurement to compare with; `None` if it was
    /// measured again, or cannot be.
    pub(super) fn looks_again_at(&self, watch_ms: u64) -> Option<(MeasureId, Tick)> {
        let critic = self.critic.filter(|critic| !critic.briefed && !self.before.again && watch_ms > 0)?;
        self.before_tree()?.fingerprint.as_ref()?;
        Some((self.before.measure, critic.began.plus_ms(watch_ms)))
    }

    /// The second measurement begins.
    pub(super) fn looks_again(&mut self, measure: MeasureId) {
        self.before = Look { measure, tree: None, again: true };
    }

    pub(super) fn before_tree(&self) -> Option<&TreeFact> {
        self.before.tree.as_ref()
    }

    /// The critic that may be briefed as soon as it is ready.
    pub(super) fn awaits_brief(&self) -> Option<ProcId> {
        let critic = self.critic.filter(|critic| !critic.briefed)?;
        self.before.tree.as_ref().map(|_| critic.proc)
    }

    pub(super) fn is_briefed(&mut self) {
        if let Some(critic) = &mut self.critic {
            critic.briefed = true;
        }
    }

    /// The timeout of the critic.
    pub(super) fn critic_deadline(&self, timeout_ms: u64) -> Option<Tick> {
        self.critic.map(|critic| critic.began.plus_ms(timeout_ms))
    }

    /// The critic has begun a turn by itself; false if it did so too often.
    pub(super) fn worked_by_itself(&mut self) -> bool {
        self.critic.as_mut().is_some_and(|critic| {
            critic.own_turns += 1;
            critic.own_turns <= MAX_CRITICS_OWN_TURNS
        })
    }

    /// Whether this process is the critic and has not answered yet.
    pub(super) fn awaits_answer_of(&self, proc: ProcId) -> bool {
        self.critic() == Some(proc) && self.answer.is_none()
    }

    /// The critic has answered, and the tree is measured again.
    pub(super) fn answered(&mut self, text: String, last_block: usize, could_write: bool, after: MeasureId) {
        self.answer = Some(Answer { text, last_block, could_write, after });
    }

    /// Whether this is the measurement after the critic.
    pub(super) fn is_after(&self, measure: MeasureId) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.after == measure)
    }

    /// The verdict; `None` while there is no answer.
    pub(super) fn verdict(&self) -> Option<Verdict> {
        self.answer.as_ref().map(|answer| Verdict::read_blocks(&answer.text, answer.last_block))
    }

    /// Whether the critic could have written.
    pub(super) fn could_write(&self) -> bool {
        self.answer.as_ref().is_some_and(|answer| answer.could_write)
    }

    /// The answer is no verdict; the next critic is told why.
    pub(super) fn is_unusable(&mut self, why: &str) {
        if let Some(answer) = self.answer.as_ref().filter(|answer| !answer.text.trim().is_empty()) {
            self.unusable = Some((answer.text.clone(), why.to_owned()));
        }
    }

    pub(super) fn unusable(&self) -> Option<(&str, &str)> {
        self.unusable.as_ref().map(|(answer, why)| (answer.as_str(), why.as_str()))
    }

    /// The answer exceeded the maximum length; the next critic is told.
    pub(super) fn was_too_long(&mut self) {
        self.too_long = true;
    }

    pub(super) fn is_too_long(&self) -> bool {
        self.too_long
    }

    /// The critic itself failed. Gives the number of consecutive failures.
    pub(super) fn failed(&mut self) -> u32 {
        (self.critic, self.answer) = (None, None);
        self.failures += 1;
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::StopUnderReview;
    use crate::core::{MeasureId, ProcId, Tick, TreeFact, Verdict};

    fn measured() -> TreeFact {
        TreeFact { fingerprint: Some("t".to_owned()), ..TreeFact::default() }
    }

    #[test]
    fn a_critic_is_briefed_after_both_looks_and_judged_after_the_third() {
        let (critic, watch_ms) = (ProcId(7), 500);
        let mut review = StopUnderReview::new(Vec::new(), 1.5);
        assert!(review.wants_critic());
        review.starts(critic, MeasureId(1), Tick::ZERO);
        assert_eq!((review.awaits_brief(), review.looks_again_at(watch_ms)), (None, None), "nothing is measured yet");
        assert!(review.is_before(MeasureId(1)) && !review.is_after(MeasureId(1)));
        review.looked(measured());
        assert_eq!(review.looks_again_at(0), None, "it was not wanted");
        assert_eq!(review.looks_again_at(watch_ms), Some((MeasureId(1), Tick::ZERO.plus_ms(watch_ms))));
        review.looks_again(MeasureId(2));
        assert_eq!(review.awaits_brief(), None);
        review.looked(measured());
        assert_eq!((review.awaits_brief(), review.looks_again_at(watch_ms)), (Some(critic), None));
        review.is_briefed();
        assert_eq!(review.awaits_brief(), None);
        assert!(review.awaits_answer_of(critic) && !review.awaits_answer_of(ProcId(8)));
        review.answered("[TASK_COMPLETED]".to_owned(), 0, true, MeasureId(3));
        assert!(!review.awaits_answer_of(critic) && review.is_after(MeasureId(3)));
        let verdict = review.verdict().expect("an answer");
        assert!(matches!(verdict, Verdict::Completed(_)), "{verdict:?}");
        assert!(review.could_write() && review.before_tree() == Some(&measured()));
    }

    #[test]
    fn a_critic_that_failed_leaves_only_what_the_next_one_is_told() {
        let mut review = StopUnderReview::new(Vec::new(), 0.0);
        review.starts(ProcId(1), MeasureId(1), Tick::ZERO);
        review.answered("I cannot say".to_owned(), 0, false, MeasureId(2));
        review.is_unusable("it is no verdict");
        assert_eq!(review.failed(), 1);
        assert!(review.wants_critic() && review.verdict().is_none() && !review.is_after(MeasureId(2)));
        review.starts(ProcId(2), MeasureId(3), Tick::ZERO);
        assert_eq!(review.unusable(), Some(("I cannot say", "it is no verdict")));
        assert_eq!([(); 4].map(|()| review.worked_by_itself()), [true, true, true, false]);
        review.answered(" ".to_owned(), 0, false, MeasureId(4));
        review.is_unusable("it is empty");
        assert_eq!(review.unusable().map(|(answer, _)| answer), Some("I cannot say"), "an empty one tells nothing");
        assert_eq!(review.failed(), 2);
    }
}
