//! What has become of the tests since the run began: when they are compared with the run's first checkpoint, what was found,
//! and how long a critic's brief, or the end of the run, waits for that.
//!
//! No verdict depends on what was found: it is named to the critic and in the outcome.

use super::machine::Stage;
use super::{Action, CheckpointAt, CheckpointFact, CheckpointId, Core, Outcome, Tick, TouchedTests};

/// How long a brief, or the end of a completed run, waits for the comparison. It takes some 10 ms; without it the review goes on
/// and names nothing.
const WAITS_MS: u64 = 2_000;

/// The state of the comparisons.
#[derive(Debug, Clone, Default)]
pub(super) struct TestsCompared {
    /// The checkpoint before the run's first process, its number, and its commit.
    start: Option<CheckpointId>,
    base: Option<u64>,
    base_commit: Option<String>,
    /// The checkpoint of the last stop, while its comparison is not known.
    awaited: Option<CheckpointId>,
    /// The numbers that it was asked for with.
    asked_for: Option<[u64; 2]>,
    /// The commit of that checkpoint.
    commit: Option<String>,
    /// Until when something waits for that comparison.
    waits_until: Option<Tick>,
    found: TouchedTests,
}

impl TestsCompared {
    /// A ccc begins to work on the run: no answer comes any more to what an earlier one has asked for. Gives what is to be asked
    /// for again, because the stop of that checkpoint may not have been judged.
    fn begins_life(&mut self) -> Option<(CheckpointId, [u64; 2])> {
        self.waits_until = None;
        let again = self.awaited.zip(self.asked_for);
        if again.is_none() {
            self.awaited = None;
        }
        again
    }

    /// A checkpoint is asked for. What was found at an earlier stop may not be so any more.
    fn asked(&mut self, checkpoint: CheckpointId, at: CheckpointAt) {
        match at {
            CheckpointAt::Start => self.start = Some(checkpoint),
            CheckpointAt::Stop => {
                (self.awaited, self.asked_for, self.waits_until) = (Some(checkpoint), None, None);
                self.found = TouchedTests::default();
            }
            CheckpointAt::Restart => {}
        }
    }

    /// A checkpoint has ended. Gives the numbers of the two to compare, if it is that of the last stop and differs.
    fn kept(&mut self, checkpoint: CheckpointId, fact: &CheckpointFact) -> Option<[u64; 2]> {
        let CheckpointFact { number, commit, .. } = fact;
        if self.start == Some(checkpoint) {
            (self.base, self.base_commit) = (*number, commit.clone());
        }
        self.awaited.filter(|awaited| *awaited == checkpoint && self.asked_for.is_none())?;
        self.commit.clone_from(commit);
        let pair = self.base.zip(*number).filter(|(base, number)| base != number);
        self.asked_for = pair.map(|(base, number)| [base, number]);
        if self.asked_for.is_none() {
            self.awaited = None;
        }
        self.asked_for
    }

    /// The comparison of this checkpoint is known; false if nobody waits for it.
    fn compared(&mut self, checkpoint: CheckpointId, found: TouchedTests) -> bool {
        let is_awaited = self.awaited.take_if(|awaited| *awaited == checkpoint).is_some();
        if is_awaited {
            self.found = found;
        }
        is_awaited
    }

    /// Whether something waits for the comparison; the first call begins the wait.
    fn is_waited_for(&mut self, now: Tick) -> bool {
        self.awaited.is_some() && now < *self.waits_until.get_or_insert(now.plus_ms(WAITS_MS))
    }

    /// When the wait ends, unless it has.
    fn wait_ends(&self, now: Tick) -> Option<Tick> {
        self.awaited.and(self.waits_until).filter(|until| *until > now)
    }

    /// The number of the run's first checkpoint.
    pub(super) fn base(&self) -> Option<u64> {
        self.base
    }

    /// What was found at the last stop.
    pub(super) fn found(&self) -> &TouchedTests {
        &self.found
    }
}

impl Core {
    /// The files of tests and of checks that were not as at the run's beginning when the agent stopped last.
    #[must_use]
    pub fn touched_tests(&self) -> &TouchedTests {
        self.tests.found()
    }

    /// The commits of the run's first checkpoint and of that of the last stop. The agent can change the references of both.
    #[must_use]
    pub fn commits_to_compare(&self) -> Option<[&str; 2]> {
        Some([self.tests.base_commit.as_deref()?, self.tests.commit.as_deref()?])
    }

    /// A checkpoint is asked for.
    pub(super) fn compare_tests_at(&mut self, checkpoint: CheckpointId, at: CheckpointAt) {
        if self.plan.tests_compared {
            self.tests.asked(checkpoint, at);
        }
    }

    /// A ccc begins to work on the run.
    pub(super) fn compare_tests_again(&mut self) {
        if let Some((checkpoint, [from, to])) = self.tests.begins_life() {
            self.act(Action::CompareTests { checkpoint, from, to });
        }
    }

    /// A checkpoint has ended: that of a stop is compared with the run's first one.
    pub(super) fn compare_tests(&mut self, checkpoint: CheckpointId, fact: &CheckpointFact) {
        if let Some([from, to]) = self.tests.kept(checkpoint, fact) {
            self.act(Action::CompareTests { checkpoint, from, to });
        }
    }

    pub(super) fn tests_compared(&mut self, checkpoint: CheckpointId, found: TouchedTests, trouble: Option<&str>) {
        if matches!(self.stage(), Stage::Finished) || !self.tests.compared(checkpoint, found) {
            self.ignored("a comparison of the tests that nobody waits for any more");
        } else if let Some(trouble) = trouble {
            self.note("tests not compared", trouble);
        }
    }

    /// Whether the brief waits for the comparison.
    pub(super) fn brief_waits_for_tests(&mut self) -> bool {
        let now = self.now();
        self.tests.is_waited_for(now)
    }

    /// Whether the end with this outcome waits for the comparison. One that does not say that the work is done does not.
    pub(super) fn end_waits_for_tests(&mut self, outcome: Outcome) -> bool {
        let now = self.now();
        outcome == Outcome::Completed && self.tests.is_waited_for(now)
    }

    /// When that wait ends.
    pub(super) fn tests_deadline(&self) -> Option<Tick> {
        self.tests.wait_ends(self.now())
    }
}
