//! The protected files: while a check runs, they are in the tree as they were when the run began, and afterwards as the agent has
//! left them. The driver exchanges them; here stands when that may begin, and what waits until it is undone.
//!
//! The first check of a stop waits until the stop's checkpoint is taken and the tree is measured, so that both have the agent's
//! versions. A check that is given up is waited for, because the agent must find its own versions.

use super::machine::Stage;
use super::{
    Action, CheckId, CheckPlan, CheckResult, CheckpointFact, CheckpointId, Core, Outcome, ProtectedFiles, Tick,
};

/// How long the first check of a stop waits for the checkpoint. A measurement has the same time.
const WAITS_MS: u64 = 60_000;
/// How long the run waits for the agent's versions after a check was given up. The check's command has 2 s to end.
const PUT_BACK_MS: u64 = 60_000;
/// Why there is nothing that the checks could see instead.
const NO_REPOSITORY: &str = "the directory is in no git repository";
const NO_CHECKPOINTS: &str = "`checkpoints` is off";
const NO_BASE: &str = "there is no checkpoint of the files as they were when the run began";

/// The state of the protection.
#[derive(Debug, Clone, Default)]
pub(super) struct Protection {
    /// The checkpoint before the run's first process, its number, and its commit.
    start: Option<CheckpointId>,
    base: Option<(u64, String)>,
    /// The start is in no repository.
    no_repository: bool,
    /// The check for whose run files of the base may be in the tree.
    swapped: Option<CheckId>,
    /// Until when the run waits for the end of that check, which was given up.
    put_back_until: Option<Tick>,
    unmatched_told: bool,
    no_effect_told: bool,
    /// What the last check had.
    found: Option<ProtectedFiles>,
}

/// What is to be in the tree while a check runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Protected<'a> {
    /// The commit of the run's first checkpoint.
    pub base: &'a str,
    /// The patterns of the files.
    pub patterns: &'a [String],
}

impl Protection {
    /// A ccc begins to work on the run: the exchange of an earlier one has been undone before.
    pub(super) fn begins_life(&mut self) {
        (self.swapped, self.put_back_until) = (None, None);
    }

    /// The checkpoint before the run's first process is asked for.
    pub(super) fn start_asked(&mut self, checkpoint: CheckpointId) {
        self.start = Some(checkpoint);
    }

    /// A checkpoint has ended; true if it is the one before the run's first process.
    fn kept(&mut self, checkpoint: CheckpointId, fact: &CheckpointFact) -> bool {
        if self.start != Some(checkpoint) {
            return false;
        }
        self.base = fact.number.zip(fact.commit.clone());
        self.no_repository = fact.none;
        true
    }

    /// The patterns were changed.
    pub(super) fn patterns_changed(&mut self) {
        (self.unmatched_told, self.no_effect_told) = (false, false);
    }

    /// A stop begins.
    pub(super) fn stop_begins(&mut self) {
        self.found = None;
    }
}

impl Core {
    /// What is to be in the tree while a check runs; `None` if nothing is protected.
    #[must_use]
    pub fn protected(&self) -> Option<Protected<'_>> {
        let (_, base) = self.protection.base.as_ref()?;
        (!self.plan.protect.is_empty()).then_some(Protected { base, patterns: &self.plan.protect })
    }

    /// The checkpoint whose protected files the checks see.
    fn protected_base(&self) -> Option<u64> {
        let (number, _) = self.protection.base.as_ref().filter(|_| !self.plan.protect.is_empty())?;
        Some(*number)
    }

    /// Whether checks are to see protected files.
    fn protects(&self) -> bool {
        !self.plan.protect.is_empty() && !self.plan.checks.is_empty()
    }

    /// Why the checks see the agent's versions although files are protected.
    fn protection_without_effect(&self) -> Option<&'static str> {
        if !self.protects() || self.protection.base.is_some() {
            None
        } else if !self.plan.checkpoints {
            Some(NO_CHECKPOINTS)
        } else if self.protection.no_repository {
            Some(NO_REPOSITORY)
        } else {
            Some(NO_BASE)
        }
    }

    fn tell_of_no_effect(&mut self) {
        if let Some(why) = self.protection_without_effect().filter(|_| !self.protection.no_effect_told) {
            self.protection.no_effect_told = true;
            self.tell_user(format!(
                "`protect` has no effect: {why}, so the checks see the agent's versions of all files"
            ));
        }
    }

    /// A ccc begins to work on the run, and no checkpoint of its beginning comes any more.
    pub(super) fn protection_at_beginning(&mut self, resumed: bool) {
        if !self.plan.checkpoints || (resumed && self.protection.start.is_some()) {
            self.tell_of_no_effect();
        }
    }

    /// A checkpoint has ended.
    pub(super) fn protection_at_checkpoint(&mut self, checkpoint: CheckpointId, fact: &CheckpointFact) {
        if self.protection.kept(checkpoint, fact) {
            self.tell_of_no_effect();
        }
    }

    /// Until when the first check of a stop that begins now waits for the checkpoint, and begins with the agent's versions kept;
    /// `None` if it begins at once.
    pub(super) fn first_check_waits_until(&self) -> Option<Tick> {
        self.protected_base().map(|_| self.now().plus_ms(WAITS_MS))
    }

    /// Begins the check that waits, if it need not wait any longer.
    pub(super) fn begin_waiting_check(&mut self) {
        let now = self.now();
        let Stage::Checking(checking) = self.stage() else { return };
        let Some(until) = checking.waits_until() else { return };
        // A measurement ends by its own timeout.
        if checking.tree().is_none() || (self.is_tree_being_kept() && now < until) {
            return;
        }
        if self.judging_is_paused() {
            return;
        }
        let check = self.run_check(0);
        if let Some(checking) = self.checking_mut() {
            checking.begins(check);
        }
    }

    /// Runs a check, with the protected files of the base in the tree.
    pub(super) fn act_on_check(&mut self, check: CheckId, plan: CheckPlan) {
        let base = self.protected_base();
        self.protection.swapped = base.map(|_| check);
        self.act(Action::RunCheck { check, command: plan.command, timeout_ms: plan.timeout_ms, base });
    }

    /// The running check is given up.
    pub(super) fn protection_gives_up(&mut self, check: CheckId) {
        if self.protection.swapped == Some(check) {
            self.protection.put_back_until = Some(self.now().plus_ms(PUT_BACK_MS));
        }
    }

    /// Until when the run waits for the agent's versions of protected files. Until then the agent must not go on, because files of
    /// the base may be in its tree.
    pub(super) fn put_back_until(&self) -> Option<Tick> {
        self.protection.put_back_until
    }

    /// Ends a run whose check was given up and does not end.
    pub(super) fn put_back_overdue(&mut self) {
        let now = self.now();
        if self.protection.put_back_until.take_if(|until| *until <= now).is_some() {
            self.close_not_put_back("the check that was given up does not end");
        }
    }

    fn close_not_put_back(&mut self, why: &str) {
        let reason = format!(
            "protected files are still as they were when the run began, and not as the agent has left them: {why}; to put the \
             agent's versions back and go on: ccc resume {}",
            self.plan.run_id
        );
        self.close(Outcome::Failed, &reason);
    }

    /// A check has ended, and the agent's versions are in the tree again, or cannot be put there.
    pub(super) fn protected_check_ended(&mut self, check: CheckId, result: &CheckResult) {
        if self.protection.swapped == Some(check) {
            (self.protection.swapped, self.protection.put_back_until) = (None, None);
        }
        let Some(protected) = result.protected.as_deref() else { return };
        if matches!(self.stage(), Stage::Finished) {
            return;
        }
        self.protection.found = Some(protected.clone());
        if !protected.unmatched.is_empty() && !self.protection.unmatched_told {
            self.protection.unmatched_told = true;
            let patterns = protected.unmatched.join(", ");
            self.tell_user(format!("`protect` names no file that was there when the run began: {patterns}"));
        }
        for written in &protected.written_meanwhile {
            self.tell_user(format!("a protected file was written while the check ran, and stays as it is: {written}; the check does not count as passed"));
        }
        if let Some(why) = protected.not_exchanged.clone().filter(|_| protected.not_put_back.is_none()) {
            let reason = format!(
                "the checks cannot have the protected files as they were when the run began: {why}; when that is mended: ccc resume {}",
                self.plan.run_id
            );
            self.close(Outcome::NeedsUser, &reason);
            return;
        }
        if let Some(why) = protected.not_put_back.clone() {
            self.close_not_put_back(&why);
        }
    }

    /// What the outcome says of protected files.
    pub(super) fn protection_at_end(&self) -> Option<Box<ProtectedFiles>> {
        if let Some(why) = self.protection_without_effect() {
            return Some(Box::new(ProtectedFiles { no_effect: Some(why.to_owned()), ..ProtectedFiles::default() }));
        }
        self.protection.found.clone().map(Box::new)
    }
}
