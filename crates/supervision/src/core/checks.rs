//! The checks of a stop: which one runs, their results, and which could never be run.

use std::collections::BTreeSet;

use super::{CheckEnd, CheckId, CheckResult, MeasureId, Tick, TreeFact};

/// With which exit codes a shell says that it could not run a command, and why.
const NOT_RUN: [(i32, &str); 2] = [(126, "may not be executed"), (127, "was not found")];

/// The checks of a run.
#[derive(Debug, Clone, Default)]
pub(super) struct Checks {
    begun: u32,
    /// The commands whose program was found at least once.
    runnable: BTreeSet<String>,
    /// The commands of which the user was told that the shell did not run them.
    told: BTreeSet<String>,
}

impl Checks {
    /// Begins a check; gives its number.
    pub(super) fn begin(&mut self) -> CheckId {
        self.begun += 1;
        CheckId(self.begun)
    }

    /// Why the shell did not run something of this check, if the user is to be told: the agent takes it for its own fault, and only
    /// the user can correct a command. Once for each, and not if the run ends for it.
    pub(super) fn not_run(&mut self, command: &str, result: &CheckResult) -> Option<&'static str> {
        let why = why_not_run(result)?;
        let ends_the_run = result.missing.is_some() && !self.runnable.contains(command);
        (!ends_the_run && self.told.insert(command.to_owned())).then_some(why)
    }

    /// All checks of a stop have ended. Gives those whose program was never found, each with the program: there the command is
    /// wrong, not the work.
    pub(super) fn never_runnable<'a>(&mut self, results: &'a [(String, CheckResult)]) -> Vec<(&'a str, &'a str)> {
        let found = results.iter().filter(|(_, result)| result.missing.is_none());
        self.runnable.extend(found.map(|(command, _)| command.clone()));
        results
            .iter()
            .filter_map(|(command, result)| Some((command.as_str(), result.missing.as_deref()?)))
            .filter(|(command, _)| !self.runnable.contains(*command))
            .collect()
    }
}

/// The checks of one stop, which run in sequence.
#[derive(Debug, Clone)]
pub(super) struct Checking {
    /// The check that runs or ran last; `None` until the first one begins.
    running: Option<CheckId>,
    /// Until when the first check waits for the checkpoint of the stop, if it does.
    waits_until: Option<Tick>,
    at: usize,
    results: Vec<(String, CheckResult)>,
    measure: MeasureId,
    tree: Option<TreeFact>,
}

impl Checking {
    /// The first check runs while the tree is measured.
    pub(super) fn new(running: CheckId, measure: MeasureId) -> Checking {
        Checking { running: Some(running), waits_until: None, at: 0, results: Vec::new(), measure, tree: None }
    }

    /// The first check begins when the tree is kept and measured; until this moment it waits for the former.
    pub(super) fn waiting(until: Tick, measure: MeasureId) -> Checking {
        Checking { running: None, waits_until: Some(until), at: 0, results: Vec::new(), measure, tree: None }
    }

    /// Until when the first check waits, if it does.
    pub(super) fn waits_until(&self) -> Option<Tick> {
        self.waits_until
    }

    /// The first check has waited long enough, and begins.
    pub(super) fn begins(&mut self, check: CheckId) {
        (self.running, self.waits_until) = (Some(check), None);
    }

    /// The check that runs or ran last.
    pub(super) fn running(&self) -> Option<CheckId> {
        self.running
    }

    /// The index of that check in the plan.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// Whether this check has not ended. The last one may have ended while the tree is still being measured.
    pub(super) fn awaits(&self, check: CheckId) -> bool {
        self.running == Some(check) && !self.is_done()
    }

    /// The running check has ended, and `next` has begun.
    pub(super) fn ended(&mut self, command: String, result: CheckResult, next: Option<CheckId>) {
        self.results.push((command, result));
        if let Some(next) = next {
            (self.running, self.at) = (Some(next), self.at + 1);
        }
    }

    /// Whether this is the measurement of this stop's tree.
    pub(super) fn is_measured_by(&self, measure: MeasureId) -> bool {
        self.measure == measure
    }

    /// The tree was measured.
    pub(super) fn measured(&mut self, tree: TreeFact) {
        self.tree = Some(tree);
    }

    /// Whether all checks have ended.
    pub(super) fn is_done(&self) -> bool {
        self.results.len() > self.at
    }

    /// The results so far.
    pub(super) fn results(&self) -> &[(String, CheckResult)] {
        &self.results
    }

    /// The tree of this stop, once it is known.
    pub(super) fn tree(&self) -> Option<&TreeFact> {
        self.tree.as_ref()
    }
}

/// Why the shell did not run something of a check; `None` if it ran all.
pub(super) fn why_not_run(result: &CheckResult) -> Option<&'static str> {
    let CheckEnd::Exited(code) = result.end else { return None };
    NOT_RUN.into_iter().find(|(not_run, _)| *not_run == code).map(|(_, why)| why)
}

/// The checks that did not pass.
pub(super) fn failing(results: &[(String, CheckResult)]) -> Vec<&(String, CheckResult)> {
    results.iter().filter(|(_, result)| !result.passed()).collect()
}

#[cfg(test)]
mod tests {
    use super::{Checking, Checks, failing};
    use crate::core::{CheckEnd, CheckId, CheckResult, MeasureId, TreeFact};

    fn result(code: i32, missing: Option<&str>) -> CheckResult {
        let missing = missing.map(str::to_owned);
        CheckResult {
            end: CheckEnd::Exited(code),
            duration_ms: 1,
            tail: String::new(),
            omitted_bytes: 0,
            missing,
            protected: None,
        }
    }

    #[test]
    fn one_check_follows_the_other_and_each_end_counts_once() {
        let mut checks = Checks::default();
        let (first, second) = (checks.begin(), checks.begin());
        let mut checking = Checking::new(first, MeasureId(1));
        assert!(checking.awaits(first) && !checking.awaits(second));
        checking.ended("one".to_owned(), result(0, None), Some(second));
        assert!(!checking.awaits(first) && checking.awaits(second) && !checking.is_done());
        assert_eq!((checking.running(), checking.at()), (Some(second), 1));
        checking.ended("two".to_owned(), result(1, None), None);
        assert!(checking.is_done() && !checking.awaits(second), "said again it is stale");
        assert_eq!(failing(checking.results()).len(), 1);
        assert!(checking.is_measured_by(MeasureId(1)) && !checking.is_measured_by(MeasureId(2)));
        checking.measured(TreeFact::default());
        assert!(checking.tree().is_some());
        assert_eq!(checks.begin(), CheckId(3));
    }

    #[test]
    fn a_check_that_the_shell_does_not_run_is_told_once_and_not_if_the_run_ends_for_it() {
        let mut checks = Checks::default();
        assert_eq!(checks.not_run("./chekc.sh", &result(127, None)), Some("was not found"));
        assert_eq!(checks.not_run("./chekc.sh", &result(127, None)), None, "it was told");
        assert_eq!(checks.not_run("./check.sh", &result(126, None)), Some("may not be executed"));
        assert_eq!(checks.not_run("sh test.sh", &result(1, None)), None);
        let missing = [("make".to_owned(), result(127, Some("make")))];
        assert_eq!(checks.not_run("make", &missing[0].1), None);
        checks.never_runnable(&[("make".to_owned(), result(2, None))]);
        assert_eq!(checks.not_run("make", &missing[0].1), Some("was not found"));
    }

    #[test]
    fn a_program_that_was_there_once_is_the_agents_to_bring_back() {
        let mut checks = Checks::default();
        let missing = [("make".to_owned(), result(127, Some("make")))];
        assert_eq!(checks.never_runnable(&missing), [("make", "make")]);
        assert!(checks.never_runnable(&[("make".to_owned(), result(2, None))]).is_empty());
        assert!(checks.never_runnable(&missing).is_empty());
    }
}
