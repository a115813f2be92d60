//! Judges a stop: the checks, then the critic, then what follows its verdict (design §6).

use super::checks::{Checking, failing, why_not_run};
use super::convergence::Trees;
use super::doubt::{Finding, ReviewContext};
use super::machine::Stage;
use super::policy::{Again, Pause};
use super::process::Process;
use super::resting::Rest;
use super::stop_under_review::StopUnderReview;
use super::tree::Tree;
use super::work::{RESET_TO_COME, describe_exit};
use super::{
    Action, Bound, CheckId, CheckResult, Core, CriticPrompt, ExitFact, MeasureId, Needs, Outcome, ProcId, RestKind,
    Send, Show, Tick, TreeFact, TurnId, Verdict, derive_uuid,
};
use crate::agent::brief::{Brief, check_failure, ended_with_protected, how_it_ended, summary};
use crate::agent::{AgentEvent, FailureCause, Role, SessionOpen, StartedBy, TurnEnd, TurnKind, TurnOutcome};

/// The longest part of a check's last line in a reason, in characters.
pub(super) const SHORT_CHARS: usize = 200;
/// The lines of a check's output that are shown to the user.
pub(super) const SHOWN_CHECK_LINES: usize = 20;

impl Core {
    pub(super) fn begin_stop(&mut self) {
        if self.look_for_better_token() {
            return;
        }
        if !self.session.exists() {
            // Without a session there is nothing to fork.
            self.close(Outcome::Failed, "the agent ended its turn without a session");
            return;
        }
        if self.waits_for_workers() {
            return;
        }
        if !self.plan.supervised && !self.steering.judges_next() {
            self.rest(Rest::of(RestKind::Unsupervised));
            return;
        }
        if self.holds_agent() {
            return;
        }
        self.steering.judges();
        self.stops.begin();
        self.protection.stop_begins();
        if self.plan.checks.is_empty() {
            if self.plan.without_critic {
                self.done_without_critic("the agent has stopped");
                return;
            }
            self.decide("ask the critic", "the agent has stopped");
            self.begin_review(Vec::new());
            return;
        }
        self.decide("run the checks", "the agent has stopped");
        let measure = self.measure(None);
        let checking = match self.first_check_waits_until() {
            Some(until) => Checking::waiting(until, measure),
            None => Checking::new(self.run_check(0), measure),
        };
        self.enter(Stage::Checking(checking));
        let detail = match self.plan.checks.len() {
            1 => "1 check".to_owned(),
            count => format!("{count} checks"),
        };
        self.phase_changes("checking", &detail);
    }

    pub(super) fn run_check(&mut self, at: usize) -> CheckId {
        let check = self.checks.begin();
        if let Some(plan) = self.plan.checks.get(at).cloned() {
            self.act_on_check(check, plan);
        }
        check
    }

    fn measure(&mut self, since: Option<MeasureId>) -> MeasureId {
        let (measure, action) = self.tree.measure(since, self.now());
        self.act(action);
        measure
    }

    /// The pending measurement and its timeout.
    pub(super) fn measure_deadline(&self) -> Option<(MeasureId, Tick)> {
        let awaited = matches!(self.stage(), Stage::Checking(_) | Stage::Reviewing(_));
        self.tree.awaited().filter(|_| awaited)
    }

    /// Judges the stop without a measurement that takes too long.
    pub(super) fn measure_overdue(&mut self) {
        let Some((measure, due)) = self.measure_deadline() else { return };
        if self.now() >= due {
            self.tree_measured(measure, Tree::overdue());
        }
    }

    pub(super) fn check_finished(&mut self, check: CheckId, result: CheckResult) {
        self.protected_check_ended(check, &result);
        if let Stage::SettingUp { check: awaited } = self.stage()
            && *awaited == check
        {
            self.setup_finished(&result);
            return;
        }
        let Stage::Checking(checking) = self.stage() else {
            self.ignored("a check that nobody waits for any more");
            return;
        };
        if !checking.awaits(check) {
            self.ignored("a check that nobody waits for any more");
            return;
        }
        let at = checking.at();
        let command = self.plan.checks.get(at).map(|plan| plan.command.clone()).unwrap_or_default();
        self.show(Show::Check {
            command: command.clone(),
            passed: result.passed(),
            summary: ended_with_protected(&result),
            duration_ms: result.duration_ms,
            tail: last_lines(&result.tail, SHOWN_CHECK_LINES),
            setup: false,
            not_run: why_not_run(&result).map(str::to_owned),
        });
        if let Some(why) = self.checks.not_run(&command, &result) {
            let run = &self.plan.run_id;
            self.tell_user(format!(
                "a command of the check `{command}` {why}; the agent is told so, but only you can correct the check itself: ccc stop \
                 {run}; then: ccc resume {run} --check \"CMD\""
            ));
        }
        let more = at + 1 < self.plan.checks.len();
        if more && (self.judges_beside_workers() || self.judging_is_paused()) {
            return;
        }
        let next = more.then(|| self.run_check(at + 1));
        let Some(checking) = self.checking_mut() else { return };
        checking.ended(command, result, next);
        self.checks_done();
    }

    fn checks_done(&mut self) {
        let Stage::Checking(checking) = self.stage() else { return };
        if !checking.is_done() {
            return;
        }
        let (results, tree) = (checking.results().to_vec(), checking.tree().cloned());
        let failing = failing(&results);
        if failing.is_empty() && self.plan.without_critic {
            self.done_without_critic("all checks passed");
            return;
        }
        if failing.is_empty() {
            self.decide("ask the critic", "all checks passed");
            self.begin_review(results);
            return;
        }
        if self.close_at_missing_programs(&results) {
            return;
        }
        // Convergence needs the tree of this stop, which is measured while the checks run.
        let Some(tree) = tree else { return };
        let names: Vec<String> =
            failing.iter().map(|(command, result)| format!("`{command}` {}", summary(result))).collect();
        let feedback = check_failure(&failing);
        self.decide("give the checks' output to the agent", &names.join("; "));
        let trees = Trees { before: tree.fingerprint.as_deref(), after: tree.fingerprint.as_deref() };
        let in_short = Short::checks(&failing);
        self.feedback(TurnKind::CheckFailure, feedback, in_short, trees, tree.ignored.as_deref());
    }

    /// The work counts as done, because no critic is to judge it.
    fn done_without_critic(&mut self, why: &str) {
        self.stop_is_judged();
        if self.turns.has_queued() {
            self.decide("go on with what the user said", "the agent has stopped, and the user has said something more");
            self.enter(Stage::Working);
        } else {
            let proviso = self.schedule_proviso();
            self.ends_or_rests(Outcome::Completed, &format!("{why}, and no critic was to judge the work{proviso}"));
        }
    }

    /// Ends the run for checks whose program was never found: a typing mistake is the user's to correct, and the agent would
    /// work on it for hours. True if the run ends.
    fn close_at_missing_programs(&mut self, results: &[(String, CheckResult)]) -> bool {
        let missing = self.checks.never_runnable(results);
        if missing.is_empty() {
            return false;
        }
        let told: Vec<String> =
            missing.iter().map(|(command, program)| format!("`{command}` (there is no program {program})")).collect();
        let commands = missing.iter().map(|(command, _)| (*command).to_owned()).collect();
        let which = if missing.len() == 1 { "this check" } else { "these checks" };
        let reason = format!(
            "{which} cannot be run: {}; give another command with --check, or install the program",
            told.join(", ")
        );
        self.leave_unjudged();
        self.close_needing(Outcome::NeedsUser, &reason, Needs::Checks { commands });
        true
    }

    pub(super) fn tree_measured(&mut self, measure: MeasureId, tree: TreeFact) {
        if self.measure_deadline().is_none_or(|(awaited, _)| awaited != measure) {
            self.ignored("a measurement of the tree that nobody waits for any more");
            return;
        }
        if let Some(trouble) = self.tree.told(&tree) {
            let text =
                format!("the working tree cannot be measured ({trouble}): a critic that changes it goes unnoticed");
            self.tell_user(text);
        }
        // The critic may have read these settings, and its answer may come from a host in them.
        if let (Stage::Reviewing(_), Some(message)) = (self.stage(), &tree.not_agreed) {
            self.agreement_is_missing(message);
            return;
        }
        if let Some(checking) = self.checking_mut().filter(|checking| checking.is_measured_by(measure)) {
            checking.measured(tree);
            self.checks_done();
        } else if self.stage().review().is_some_and(|review| review.is_after(measure)) {
            self.judge(&tree);
        } else if self.stage().review().is_some_and(|review| review.is_before(measure)) {
            self.looked_before(tree);
        } else {
            self.ignored("a measurement of the tree that nobody waits for any more");
        }
    }

    /// The tree was measured before the critic's brief.
    fn looked_before(&mut self, tree: TreeFact) {
        self.tree.looked_at(&tree);
        let moved = tree.changed.clone();
        let Some(review) = self.review_mut() else { return };
        review.looked(tree);
        let critic = review.critic().and_then(|proc| self.processes.get(proc));
        // A critic that began a turn by itself may have changed them.
        if !critic.is_some_and(Process::could_write) {
            self.moves_by_itself(moved);
        }
    }

    fn begin_review(&mut self, checks: Vec<(String, CheckResult)>) {
        self.usage.asked();
        self.enter(Stage::Reviewing(StopUnderReview::new(checks, self.spent_usd())));
        self.phase_changes("reviewing", "");
        self.start_critic();
    }

    /// Whether the critic is a fork of the agent's session.
    fn critic_forks(&self) -> bool {
        self.plan.agent.caps(&self.plan.agent_version).fork && !self.session.is_cut()
    }

    /// Starts a critic for the current review, with the current token.
    fn start_critic(&mut self) {
        // Then the stop is left unjudged with the present fact.
        if self.judges_beside_workers() {
            return;
        }
        if self.judging_is_paused() || self.end_overspent_review() || !self.token_for_start() {
            return;
        }
        if let Some(pause) = self.reset_to_come() {
            if !self.is_closing() {
                self.retry_critic_after(pause, "wait for the reset", RESET_TO_COME);
            }
            return;
        }
        match self.may_ask_again() {
            Again::Now => {}
            Again::After(pause) => {
                let why = "it was asked several times and nothing came of it";
                self.retry_critic_after(pause, "wait and ask the critic again", why);
                return;
            }
            Again::Never => {
                self.close_unanswered();
                return;
            }
        }
        let Some(session_id) = self.session.id().map(str::to_owned) else {
            self.close(Outcome::Failed, "there is no session to review");
            return;
        };
        let plan = &self.plan;
        let open = if self.critic_forks() {
            SessionOpen::Fork(session_id)
        } else {
            SessionOpen::New(derive_uuid(&plan.seed, "critic", self.processes.next_id().0))
        };
        let model = plan.critic.model.as_deref().or(self.session.model()).map(str::to_owned);
        let proc = self.start_process(Role::Critic, open, model.as_deref(), None);
        // Measured while the critic starts. The brief waits for it, so the critic can do nothing before.
        let before = self.measure(None);
        let now = self.now();
        if let Some(review) = self.review_mut() {
            review.starts(proc, before, now);
        }
    }

    /// The token for the review is chosen.
    pub(super) fn review_with_token(&mut self) {
        if self.stage().review().is_some_and(StopUnderReview::wants_critic) {
            self.start_critic();
        }
    }

    /// Starts a new critic, without counting a failure.
    pub(super) fn ask_critic_anew(&mut self, why: &str) {
        self.decide("start the critic with the other token", why);
        if self.end_critic() {
            self.start_critic();
        }
    }

    /// Starts a new critic after this pause.
    pub(super) fn pause_review(&mut self, pause: Pause) {
        if let Some(why) = self.passes_a_bound(&pause) {
            self.close_at_limit(&pause, &why);
            return;
        }
        self.end_critic();
        if let Some(review) = self.review_mut() {
            review.pauses(pause);
        }
    }

    pub(super) fn advance_review(&mut self) {
        let Stage::Reviewing(review) = self.stage() else { return };
        if let Some(pause) = review.pause() {
            if pause.is_over(self.clock()) {
                self.end_wait(&pause);
                if let Some(review) = self.review_mut() {
                    review.pause_is_over();
                }
                if !(pause.is_for_limit() && self.look_after_wait()) {
                    self.start_critic();
                }
            }
            return;
        }
        let ready = |proc: &ProcId| self.processes.get(*proc).is_some_and(Process::is_ready);
        let Some(proc) = review.awaits_brief().filter(ready) else { return };
        if self.processes.get(proc).is_some_and(Process::could_write) {
            self.critic_failed("it ran commands by itself before it was asked anything");
            return;
        }
        if self.watch_tree() || self.brief_waits_for_tests() {
            return;
        }
        if !self.may_use_token() {
            self.ask_critic_anew("another ccc has spent its token meanwhile");
            return;
        }
        let Stage::Reviewing(review) = self.stage() else { return };
        let denials = self.tally.denials_for_review();
        let altered = self.tree.altered();
        let scheduled = self.scheduled();
        let forked = self.critic_forks();
        let base = self.tests.base().map(|base| format!("refs/ccc/{}/{base}", self.plan.run_id));
        let text = Brief {
            prompt: match self.plan.critic.prompt_as {
                CriticPrompt::Message => Some(&self.plan.critic.prompt),
                CriticPrompt::System => None,
            },
            said: self.turns.said(),
            last_answer: (!forked).then_some(self.stops.last_answer()),
            checks: review.checks(),
            iteration: self.stops.judged(),
            max_iterations: self.plan.budgets.max_iterations,
            last_feedback: self.stops.last_feedback(),
            denials: &denials,
            left_open: self.stops.left_open(),
            altered: &altered,
            unusable: review.unusable(),
            too_long: review.is_too_long(),
            scheduled: &scheduled,
            on_a_copy: self.plan.critic.on_a_copy,
            tests: self.tests.found(),
            first_checkpoint: base.as_deref(),
        }
        .compose();
        let turn = self.brief_of(proc);
        let now = self.now();
        if let Some(critic) = self.process_mut(proc) {
            critic.asked(&turn, now);
        }
        if let Some(review) = self.review_mut() {
            review.is_briefed();
        }
        self.is_asked(proc);
        self.act(Action::Send(Send { proc, turn, kind: TurnKind::Brief, text, images: Vec::new() }));
    }

    /// Measures the tree a second time before the brief: what changed meanwhile, the critic did not change. True if the brief
    /// has to wait for that.
    fn watch_tree(&mut self) -> bool {
        let Stage::Reviewing(review) = self.stage() else { return false };
        let Some((first, due)) = self.second_look(review) else { return false };
        if self.now() >= due {
            let again = self.measure(Some(first));
            if let Some(review) = self.review_mut() {
                review.looks_again(again);
            }
        }
        true
    }

    /// When the tree is measured a second time; `None` if it was, or if the first measurement or the critic is not ready.
    fn second_look(&self, review: &StopUnderReview) -> Option<(MeasureId, Tick)> {
        let ready = review.critic().and_then(|proc| self.processes.get(proc)).is_some_and(Process::is_ready);
        review.looks_again_at(self.plan.critic.limits.watch_ms).filter(|_| ready)
    }

    /// The deadlines of the review: the second measurement, the end of a pause, the timeout of the critic.
    pub(super) fn review_deadlines(&self, review: &StopUnderReview) -> impl Iterator<Item = Tick> {
        let waits = review.awaits_brief().and_then(|_| self.tests_deadline());
        self.review_deadline(review).into_iter().chain(self.second_look(review).map(|(_, due)| due)).chain(waits)
    }

    /// These files changed while no critic could write; later measurements leave them out.
    fn moves_by_itself(&mut self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let named = paths.join(", ");
        self.note("moving files", &format!("they change by themselves and are left out from now on: {named}"));
        self.tree.moves_by_itself(paths);
    }

    /// The end of a pause or the timeout of the critic; `None` while the token for it is being chosen.
    pub(super) fn review_deadline(&self, review: &StopUnderReview) -> Option<Tick> {
        match review.pause() {
            Some(pause) => Some(pause.wake(self.clock())),
            None => review.critic_deadline(self.plan.critic.limits.timeout_ms),
        }
    }

    pub(super) fn critic_event(&mut self, proc: ProcId, event: AgentEvent) {
        self.common_event(proc, Role::Critic, &event);
        if let AgentEvent::TurnEnded(end) = event {
            self.critic_turn_ended(proc, end);
        }
    }

    /// Leaves the current stop unjudged: it counts as an iteration when it is judged later, perhaps by a resumed run.
    pub(super) fn leave_unjudged(&mut self) {
        self.stops.leave_unjudged();
    }

    /// The id of a critic's brief.
    fn brief_of(&self, proc: ProcId) -> TurnId {
        TurnId(derive_uuid(&self.plan.seed, "brief", proc.0))
    }

    /// A turn of the critic ended that ccc did not begin: a job of the agent's session fired in it. It is no verdict, whatever
    /// its text; the brief follows.
    fn critic_worked_by_itself(&mut self) {
        let Some(review) = self.review_mut() else { return };
        if !review.worked_by_itself() {
            self.critic_failed("it works by itself again and again (a scheduled job of the agent's session)");
            return;
        }
        let text =
            "the critic's process began a turn by itself (a scheduled job of the agent's session); it is no verdict";
        self.tell_user(text.to_owned());
    }

    fn critic_turn_ended(&mut self, proc: ProcId, end: TurnEnd) {
        if !self.is_briefed(proc) {
            self.order(proc, Process::idle_while_ending);
            self.limit_outlives(proc, &end);
            return;
        }
        if end.started_by != StartedBy::Us(self.brief_of(proc)) {
            self.critic_worked_by_itself();
            return;
        }
        match end.outcome {
            TurnOutcome::Done if end.mixed => {
                self.critic_failed("its answer is also one to something that it began by itself (a scheduled job)");
            }
            // Text that no model wrote is no verdict, whatever its last line is.
            TurnOutcome::Done if end.unasked => self.critic_failed("no request of its reached the model"),
            TurnOutcome::Done => {
                self.order(proc, Process::begin_end);
                self.failures.critic_answered();
                self.request_is_accepted(Role::Critic);
                self.brings_progress(proc);
                self.token_works(proc);
                let Some(before) = self.stage().review().map(StopUnderReview::before) else { return };
                let kept = self.plan.agent.caps(&self.plan.agent_version).read_only_critic;
                let could_write = !kept || self.processes.get(proc).is_none_or(Process::could_write);
                let after = self.measure(Some(before));
                if let Some(review) = self.review_mut() {
                    review.answered(end.text, end.last_block, could_write, after);
                }
            }
            TurnOutcome::Interrupted => self.critic_failed("its turn was interrupted, and not by ccc"),
            TurnOutcome::Failed { cause, message } => self.critic_turn_failed(proc, &cause, &message),
        }
    }

    fn critic_turn_failed(&mut self, proc: ProcId, cause: &FailureCause, message: &str) {
        self.tokens
            .retries_mut()
            .failed(matches!(cause, FailureCause::Quota { .. } | FailureCause::Throttled { .. }), message);
        if let Some(pause) = self.refusal_pause(proc, cause) {
            self.retry_critic_after(pause, "wait and try the credential once more", message);
            return;
        }
        if self.token_failed(proc, cause, message) {
            let same = self.stage().review().is_some_and(|review| review.critic() == Some(proc));
            if same && !self.is_choosing() {
                self.ask_critic_anew(message);
            } else if same {
                // A new one starts when the token is chosen.
                self.end_critic();
            }
            return;
        }
        match cause {
            FailureCause::Quota { resets_at_unix_s } if self.plan.no_wait => {
                let pause = self.reset_pause(proc, *resets_at_unix_s);
                self.close_not_waiting(&pause, Some(message));
            }
            FailureCause::Quota { resets_at_unix_s } => {
                let pause = self.reset_pause(proc, *resets_at_unix_s);
                self.retry_critic_after(pause, "wait for the reset", message);
            }
            FailureCause::Throttled { .. } if self.does_not_wait_for_crowd(proc) => self.close_at_crowd(message),
            FailureCause::Throttled { retry_after_ms } => {
                self.wait_for_provider(Role::Critic, *retry_after_ms, message, &StartedBy::Itself);
                self.warn_of_high_usage(proc);
            }
            FailureCause::Unavailable => self.wait_for_provider(Role::Critic, None, message, &StartedBy::Itself),
            FailureCause::ModelNotFound => self.model_not_found(proc, Role::Critic, &StartedBy::Itself),
            FailureCause::Refused => self.close_as_refused(message),
            FailureCause::Billing => self.close(Outcome::Failed, &format!("the account has no credit: {message}")),
            FailureCause::Blocked { hook } => self.close_as_blocked(hook, "what the critic is told", message),
            FailureCause::InvalidRequest | FailureCause::PromptTooLong | FailureCause::CreditsRequired => {
                self.request_rejected(proc, Role::Critic, cause, message, &StartedBy::Itself);
            }
            FailureCause::ModelRefusal | FailureCause::CliLimit { .. } | FailureCause::Unknown => {
                self.critic_failed(&format!("its turn failed: {message}"))
            }
            FailureCause::MaxOutput => {
                if let Some(review) = self.review_mut() {
                    review.was_too_long();
                }
                self.critic_failed(&format!("its turn failed: {message}"));
            }
        }
    }

    pub(super) fn retry_critic_after(&mut self, pause: Pause, what: &str, why: &str) {
        self.decide(what, why);
        self.phase_waits(why, &pause);
        self.pause_review(pause);
    }

    pub(super) fn critic_exited(&mut self, proc: ProcId, exit: &ExitFact) {
        if self.is_briefed(proc) {
            self.critic_failed(&format!("its process {}", describe_exit(exit)));
        }
    }

    /// The critic itself failed, which is never a verdict. Another one is started; after too many failures the run ends with
    /// the session intact.
    pub(super) fn critic_failed(&mut self, how: &str) {
        self.critic_failed_as(how, how);
    }

    /// The same; `told` is the text for the user.
    fn critic_failed_as(&mut self, how: &str, told: &str) {
        self.end_critic();
        let Some(failures) = self.review_mut().map(StopUnderReview::failed) else { return };
        let iteration = self.iteration();
        self.show(Show::Verdict { verdict: "unusable".to_owned(), text: told.to_owned(), iteration });
        if failures >= self.plan.critic.limits.max_failures {
            self.close(Outcome::Failed, &format!("the critic failed {failures} times in a row: {told}"));
            return;
        }
        let pause = self.pause_of(self.restart_pause_ms(failures));
        self.decide("ask the critic again", how);
        if let Some(review) = self.review_mut() {
            review.pauses(pause);
        }
    }

    /// The tree could not be measured around an approving critic: starts another one, once, in case the measurement succeeds
    /// then.
    fn ask_again_unmeasured(&mut self, why: &str) {
        let text =
            format!("the working tree could not be measured ({why}), so nobody knows whether the critic changed it");
        let iteration = self.iteration();
        self.show(Show::Verdict { verdict: "unusable".to_owned(), text: text.clone(), iteration });
        self.decide("ask another critic", &text);
        self.end_critic();
        self.start_critic();
    }

    /// Ends the critic of this review, if there is one; false if there is no review.
    fn end_critic(&mut self) -> bool {
        let Some(review) = self.review_mut() else { return false };
        let critic = review.critic();
        review.gives_up_critic();
        if let Some(proc) = critic {
            self.order(proc, Process::begin_end);
        }
        true
    }

    /// Abandons the checks or the review of this stop.
    pub(super) fn abandon_review(&mut self) {
        if let Stage::Checking(checking) = self.stage()
            && let Some(check) = checking.running()
        {
            self.protection_gives_up(check);
            self.act(Action::CancelCheck { check });
        }
        self.end_critic();
    }

    fn judge(&mut self, after: &TreeFact) {
        let Some(verdict) = self.stage().review().and_then(StopUnderReview::verdict) else { return };
        if self.agent_goes_on() {
            // A turn of the agent has begun that is not reported yet: no verdict holds.
            self.agent_woke();
            return;
        }
        let Some(review) = self.stage().review() else { return };
        let (before, could_write) = (review.before_tree().cloned(), review.could_write());
        let around = ReviewContext {
            before: before.as_ref(),
            after,
            could_write,
            open_tasks: self.stops.left_open(),
            approves: matches!(verdict, Verdict::Completed(_)),
        };
        let mut proviso = self.tree.reviewed(&around);
        match around.finding() {
            Finding::Still => {}
            Finding::Excused(why) => self.note("tree changed", &why),
            Finding::Shared(why) => self.decide("let the verdict count", &why),
            Finding::Doubtful(doubt) => {
                let told = doubt.told(&self.plan.run_id);
                self.critic_failed_as(&doubt.recorded(), &told);
                return;
            }
            Finding::Unmeasured(why) => {
                if self.tree.is_worth_another_critic() {
                    self.ask_again_unmeasured(&why);
                    return;
                }
                proviso.push_str(&format!(
                    "; the working tree could not be measured ({why}), so a critic that changed it went unnoticed"
                ));
            }
        }
        let iteration = self.iteration();
        match verdict {
            Verdict::Unusable(why) => {
                if let Some(review) = self.review_mut() {
                    review.is_unusable(&why);
                }
                self.critic_failed(&why);
            }
            Verdict::Completed(text) => {
                self.show(Show::Verdict { verdict: "completed".to_owned(), text, iteration });
                proviso.push_str(&self.schedule_proviso());
                self.tally.reviewed();
                self.stop_is_judged();
                if self.turns.has_queued() {
                    self.decide(
                        "go on with what the user said",
                        "the critic agrees, but the user has said something more",
                    );
                    self.enter(Stage::Working);
                } else {
                    let reason = format!("the critic agrees that the task is done{proviso}");
                    self.ends_or_rests(Outcome::Completed, &reason);
                }
            }
            Verdict::NeedsUser(text) => {
                self.show(Show::Verdict { verdict: "needs_user".to_owned(), text: text.clone(), iteration });
                self.tally.reviewed();
                self.stop_is_judged();
                if self.turns.has_queued() {
                    self.decide("go on with what the user said", "the critic asks, and the user has said something");
                    self.enter(Stage::Working);
                } else {
                    self.stops.asks_user(&text);
                    self.ends_or_rests(Outcome::NeedsUser, &format!("the critic asks: {}", gist(&text)));
                }
            }
            Verdict::Feedback(text) => {
                self.show(Show::Verdict { verdict: "feedback".to_owned(), text: text.clone(), iteration });
                self.tally.reviewed();
                self.decide("give the feedback to the agent", "the critic does not agree that the task is done");
                let before = before.as_ref();
                let trees = Trees {
                    before: before.and_then(|tree| tree.fingerprint.as_deref()),
                    after: after.fingerprint.as_deref(),
                };
                let ignored = before.and_then(|tree| tree.ignored.as_deref());
                let in_short = Short::feedback(&text);
                self.feedback(TurnKind::Feedback, text, in_short, trees, ignored);
            }
        }
    }

    /// Gives feedback to the agent, unless a bound is spent or the feedback was repeated too often.
    fn feedback(&mut self, kind: TurnKind, mut text: String, in_short: Short, trees: Trees<'_>, ignored: Option<&str>) {
        self.stop_is_judged();
        let repeats = self.stops.feedback(&text, trees, ignored);
        let denied_again = self.tally.stop_passed();
        let max_repeats = self.plan.budgets.max_repeats;
        if repeats > 0 && repeats < max_repeats {
            self.note("repeated feedback", &format!("{repeats} of {max_repeats} times in a row on an unchanged tree"));
            text.push_str(
                "\n\n(Nothing in the working tree has changed since this was said before. Do it now, another way if the first \
                 does not work; if it cannot be done, say exactly why and what is needed.)",
            );
        }
        // If no bound is spent, the run is stuck.
        let end = match self.spent_budget() {
            Some((bound, spent)) => Some((Some(bound), spent)),
            None if repeats >= max_repeats => Some((None, in_short.repeated(repeats + 1))),
            None => denied_again.filter(|_| repeats > 0).map(|denial| {
                let what = format!("{} {}", denial.tool, denial.target);
                (None, format!("{} was denied again, and nothing changed meanwhile", what.trim()))
            }),
        };
        if let Some((bound, reason)) = end {
            let rests = self.rests_after_verdict();
            // Keep the feedback as an unsent turn: a resumed run sends it instead of judging the same stop again, and a
            // conversation sends it after the user's next message.
            if bound.is_some() || !rests {
                self.turns.begin(kind, text);
            }
            match bound {
                // The next message restores the iterations, but not time, money or tokens.
                Some(bound @ Bound::Iterations) if rests => self.rest_spent(bound, &reason),
                Some(bound) => self.close_spent(bound, &reason),
                None => self.ends_or_rests(Outcome::Stuck, &reason),
            }
            return;
        }
        self.enter(Stage::Working);
        if self.turns.has_queued() {
            self.decide("the user's words first", "the user has said something during the review");
            // The next critic still gets this feedback as the last one.
            self.turns.begin_queued();
            return;
        }
        self.turns.begin(kind, text);
    }

    /// Whether the review waits for the answer of this critic.
    pub(super) fn is_briefed(&self, proc: ProcId) -> bool {
        self.stage().review().is_some_and(|review| review.awaits_answer_of(proc))
    }

    /// The command of the check that is running.
    pub(super) fn running_check(&self) -> Option<&str> {
        let Stage::Checking(checking) = self.stage() else { return None };
        self.plan.checks.get(checking.at()).map(|check| check.command.as_str())
    }
}

/// A feedback in short, for the user.
enum Short {
    /// The critic's feedback.
    Feedback(String),
    /// Failing checks: which failed and how, and the last output of the last of them.
    Checks { failed: String, said: Option<String> },
}

impl Short {
    fn feedback(text: &str) -> Short {
        Short::Feedback(gist(text).to_owned())
    }

    fn checks(failing: &[&(String, CheckResult)]) -> Short {
        let failed: Vec<String> =
            failing.iter().map(|(command, result)| format!("`{command}` {}", how_it_ended(&result.end))).collect();
        let last = failing.iter().rev().find_map(|(_, result)| result.tail.lines().rev().find(|line| has_words(line)));
        let said = last.map(|line| line.trim().chars().take(SHORT_CHARS).collect());
        Short::Checks { failed: failed.join("; "), said }
    }

    /// The reason after this many repetitions.
    fn repeated(&self, times: u32) -> String {
        match self {
            Short::Feedback(gist) => {
                format!("the same feedback was given {times} times while nothing changed: {gist}")
            }
            Short::Checks { failed, said } => {
                let said = said.as_ref().map_or_else(String::new, |said| format!("; it says: {said}"));
                format!("{failed}, {times} times while nothing changed{said}")
            }
        }
    }
}

/// The first line of text that is not a heading, fence or rule; otherwise the first line.
fn gist(text: &str) -> &str {
    let says = |line: &&str| has_words(line) && !line.starts_with(['#', '`']);
    let mut lines = text.lines().map(str::trim);
    lines.find(says).unwrap_or_else(|| text.trim().lines().next().unwrap_or_default())
}

pub(super) fn has_words(line: &str) -> bool {
    line.chars().any(char::is_alphanumeric)
}

pub(super) fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
