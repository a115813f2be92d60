//! The setup of the working tree: the commands that run once, before the first process of the agent.
//!
//! They run in order. One that fails ends the run, because an agent in a tree that is not set up would work on the setup. A
//! resumed run begins with the command that had failed or was not finished; those that had passed are not run again.

use super::machine::Stage;
use super::resting::Rest;
use super::review::{SHORT_CHARS, SHOWN_CHECK_LINES, has_words, last_lines};
use super::{Action, CheckEnd, CheckId, CheckResult, Core, Needs, Outcome, RestKind, SetupPlan, Show};
use crate::agent::brief::{ended, how_it_ended};

/// The lines of the output of a failed command in the reason of the run's end.
const REASON_LINES: usize = 3;

/// How far the setup has got.
#[derive(Debug, Clone, Default)]
pub(super) struct Setup {
    /// The commands that have passed.
    passed: usize,
    /// The tree is set up: a setting that is changed later sets up nothing again.
    done: bool,
}

impl Setup {
    /// The settings have changed: commands that are the same as before need not run again.
    pub(super) fn changed(&mut self, before: &[SetupPlan], now: &[SetupPlan]) {
        let same = before.iter().zip(now).take_while(|(before, now)| before.command == now.command).count();
        self.passed = self.passed.min(same);
    }
}

impl Core {
    /// Whether no command of the setup is left.
    #[must_use]
    pub fn is_set_up(&self) -> bool {
        self.setup.done || self.setup.passed >= self.plan.setup.len()
    }

    /// Runs the next command of the setup. True if there is one, or if the run is paused before it: then nothing else begins.
    pub(super) fn sets_up(&mut self) -> bool {
        if self.is_set_up() {
            return false;
        }
        if self.is_paused() {
            self.rest(Rest::of(RestKind::Paused));
            return true;
        }
        let (at, count) = (self.setup.passed, self.plan.setup.len());
        let Some(SetupPlan { command, timeout_ms }) = self.plan.setup.get(at).cloned() else { return false };
        if at == 0 {
            self.checkpoint_before_start();
        }
        self.decide("run the setup", &format!("command {} of {count}: `{command}`", at + 1));
        let check = self.checks.begin();
        self.act(Action::RunCheck { check, command, timeout_ms, base: None });
        self.enter(Stage::SettingUp { check });
        self.phase_changes("setting up", &format!("command {} of {count}", at + 1));
        true
    }

    /// A command of the setup has ended.
    pub(super) fn setup_finished(&mut self, result: &CheckResult) {
        let Some(SetupPlan { command, .. }) = self.plan.setup.get(self.setup.passed).cloned() else { return };
        let passed = result.end == CheckEnd::Exited(0);
        self.show(Show::Check {
            command: command.clone(),
            passed,
            summary: ended(&result.end),
            duration_ms: result.duration_ms,
            tail: last_lines(&result.tail, SHOWN_CHECK_LINES),
            setup: true,
            not_run: None,
        });
        // Only a second interrupt gets here with a cancelled command, and then the run is closing.
        if !passed {
            let reason = format!("the setup command `{command}` {}{}", how_it_ended(&result.end), said(result));
            self.close_needing(Outcome::Failed, &reason, Needs::Setup);
            return;
        }
        self.setup.passed += 1;
        self.enter(Stage::Working);
        if self.is_set_up() {
            self.setup.done = true;
            self.decide("begin the work", "the setup has passed");
            let is_without_task = self.plan.conversation && self.plan.task.is_empty() && !self.turns.has_queued();
            if is_without_task && !self.is_paused() {
                self.begin_without_task();
            }
        }
    }

    /// Gives up the running command; it is run again before the agent starts.
    pub(super) fn stop_setup(&mut self, check: CheckId) {
        self.decide("give up the setup for now", "the user interrupted");
        self.act(Action::CancelCheck { check });
        self.rest(Rest::of(RestKind::Interrupted));
    }

    /// How far the setup had got, for the reason of an end.
    pub(super) fn unfinished_setup(&self) -> String {
        let command = self.plan.setup.get(self.setup.passed).map_or("", |setup| setup.command.as_str());
        format!("while the setup command `{command}` was running")
    }
}

/// The last lines that a failed command wrote.
fn said(result: &CheckResult) -> String {
    let mut lines: Vec<String> = result
        .tail
        .lines()
        .rev()
        .filter(|line| has_words(line))
        .take(REASON_LINES)
        .map(|line| line.trim().chars().take(SHORT_CHARS).collect())
        .collect();
    lines.reverse();
    if lines.is_empty() { String::new() } else { format!("; it says: {}", lines.join(" / ")) }
}
