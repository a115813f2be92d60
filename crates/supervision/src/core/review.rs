//! Judging a stop: the checks, then the critic, then what its verdict leads to (design §6).

use super::checks::{Checking, failing};
use super::convergence::Trees;
use super::doubt::{Around, Finding};
use super::machine::Stage;
use super::policy::{Again, Pause};
use super::process::Process;
use super::reviewing::Reviewing;
use super::tree::Tree;
use super::work::describe_exit;
use super::{
    Action, CheckEnd, CheckId, CheckResult, Core, CriticPrompt, ExitFact, MeasureId, Needs, Outcome, ProcId, Send,
    Show, Tick, TreeFact, TurnId, Verdict, derive_uuid,
};
use crate::agent::brief::{Brief, check_failure, ended, how_it_ended, summary};
use crate::agent::{AgentEvent, FailureCause, Role, SessionOpen, StartedBy, TurnEnd, TurnKind, TurnOutcome};

/// How much of a check's last line stands in a reason, in characters.
const SHORT_CHARS: usize = 200;
/// How much of a check's output is shown to the user, in lines.
const SHOWN_CHECK_LINES: usize = 20;

impl Core {
    pub(super) fn begin_stop(&mut self) {
        if self.look_for_better_token() {
            return;
        }
        if !self.session.exists() {
            // The agent ended its turn before any session existed: nothing can be forked.
            self.close(Outcome::Failed, "the agent ended its turn without a session");
            return;
        }
        if self.holds_agent() {
            return;
        }
        self.stops.begin();
        if self.plan.checks.is_empty() {
            self.decide("ask the critic", "the agent has stopped");
            self.begin_review(Vec::new());
            return;
        }
        self.decide("run the checks", "the agent has stopped");
        let measure = self.measure(None);
        let running = self.run_check(0);
        self.enter(Stage::Checking(Checking::new(running, measure)));
        let detail = match self.plan.checks.len() {
            1 => "1 check".to_owned(),
            count => format!("{count} checks"),
        };
        self.phase_changes("checking", &detail);
    }

    fn run_check(&mut self, at: usize) -> CheckId {
        let check = self.checks.begin();
        if let Some(plan) = self.plan.checks.get(at).cloned() {
            self.act(Action::RunCheck { check, command: plan.command, timeout_ms: plan.timeout_ms });
        }
        check
    }

    fn measure(&mut self, since: Option<MeasureId>) -> MeasureId {
        let (measure, action) = self.tree.measure(since, self.now());
        self.act(action);
        measure
    }

    /// The measurement that is waited for, and until when.
    pub(super) fn measure_deadline(&self) -> Option<(MeasureId, Tick)> {
        let awaited = matches!(self.stage(), Stage::Checking(_) | Stage::Reviewing(_));
        self.tree.awaited().filter(|_| awaited)
    }

    /// The measurement takes too long: the stop is judged without it.
    pub(super) fn measure_overdue(&mut self) {
        let Some((measure, due)) = self.measure_deadline() else { return };
        if self.now() >= due {
            self.tree_measured(measure, Tree::overdue());
        }
    }

    pub(super) fn check_finished(&mut self, check: CheckId, result: CheckResult) {
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
            passed: result.end == CheckEnd::Exited(0),
            summary: ended(&result.end),
            duration_ms: result.duration_ms,
            tail: last_lines(&result.tail, SHOWN_CHECK_LINES),
        });
        let more = at + 1 < self.plan.checks.len();
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
        if failing.is_empty() {
            self.decide("ask the critic", "all checks passed");
            self.begin_review(results);
            return;
        }
        if self.close_at_missing_programs(&results) {
            return;
        }
        // Convergence needs the tree of this stop; its measurement ran beside the checks.
        let Some(tree) = tree else { return };
        let names: Vec<String> =
            failing.iter().map(|(command, result)| format!("`{command}` {}", summary(result))).collect();
        let feedback = check_failure(&failing);
        self.decide("give the checks' output to the agent", &names.join("; "));
        let trees = Trees { before: tree.fingerprint.as_deref(), after: tree.fingerprint.as_deref() };
        let in_short = Short::checks(&failing);
        self.feedback(TurnKind::CheckFailure, feedback, in_short, trees, tree.ignored.as_deref());
    }

    /// A check whose program has never been there is the user's to correct: the agent would try for hours to mend what is
    /// a typing mistake. True when the run ends for that.
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
        // The critic may have read these settings, and its answer may come from a host that they name.
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

    /// The tree was measured before the critic is briefed.
    fn looked_before(&mut self, tree: TreeFact) {
        self.tree.looked_at(&tree);
        let moved = tree.changed.clone();
        let Some(review) = self.review_mut() else { return };
        review.looked(tree);
        let critic = review.critic().and_then(|proc| self.processes.get(proc));
        // A critic that has worked by itself may have changed them.
        if !critic.is_some_and(Process::could_write) {
            self.moves_by_itself(moved);
        }
    }

    fn begin_review(&mut self, checks: Vec<(String, CheckResult)>) {
        self.phase_changes("reviewing", "");
        self.usage.asked();
        self.enter(Stage::Reviewing(Reviewing::new(checks, self.spent_usd())));
        self.start_critic();
    }

    /// Starts a critic for the present review, with the token in use.
    fn start_critic(&mut self) {
        if self.end_overspent_review() || !self.token_for_start() {
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
        let open = if plan.agent.caps(&plan.agent_version).fork {
            SessionOpen::Fork(session_id)
        } else {
            SessionOpen::New(derive_uuid(&plan.seed, "critic", self.processes.next_id().0))
        };
        let model = plan.critic.model.as_deref().or(self.session.model()).map(str::to_owned);
        let proc = self.start_process(Role::Critic, open, model.as_deref());
        // Measured while the critic starts; it is not briefed, and so can do nothing, before that is done.
        let before = self.measure(None);
        let now = self.now();
        if let Some(review) = self.review_mut() {
            review.starts(proc, before, now);
        }
    }

    /// It is settled with which token the review goes on.
    pub(super) fn review_with_token(&mut self) {
        if self.stage().review().is_some_and(Reviewing::wants_critic) {
            self.start_critic();
        }
    }

    /// The critic is asked again from the beginning, through no fault of its own.
    pub(super) fn ask_critic_anew(&mut self, why: &str) {
        self.decide("start the critic with the other token", why);
        if self.end_critic() {
            self.start_critic();
        }
    }

    /// The critic is asked again when this is over.
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
        if self.watch_tree() {
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
        let forked = self.plan.agent.caps(&self.plan.agent_version).fork;
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
        self.act(Action::Send(Send { proc, turn, kind: TurnKind::Brief, text }));
    }

    /// Before the brief the tree is looked at a second time: what changed meanwhile, the critic did not change. Gives
    /// whether the brief has to wait for that.
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

    /// When the tree is looked at a second time; `None` when that was done, or what must come before it has yet to come: the
    /// first look, and a critic that can be briefed.
    fn second_look(&self, review: &Reviewing) -> Option<(MeasureId, Tick)> {
        let ready = review.critic().and_then(|proc| self.processes.get(proc)).is_some_and(Process::is_ready);
        review.looks_again_at(self.plan.critic.watch_ms).filter(|_| ready)
    }

    /// When something of the review is due: the second look, the end of a pause, the end of the critic's whole time.
    pub(super) fn review_deadlines(&self, review: &Reviewing) -> impl Iterator<Item = Tick> {
        self.review_deadline(review).into_iter().chain(self.second_look(review).map(|(_, due)| due))
    }

    /// These changed while no critic could have changed them; later they are left out.
    fn moves_by_itself(&mut self, paths: Vec<String>) {
        if paths.is_empty() {
            return;
        }
        let named = paths.join(", ");
        self.note("moving files", &format!("they change by themselves and are left out from now on: {named}"));
        self.tree.moves_by_itself(paths);
    }

    /// When a wait or the critic's whole time is over; `None` while it is settled with which token it starts.
    pub(super) fn review_deadline(&self, review: &Reviewing) -> Option<Tick> {
        match review.pause() {
            Some(pause) => Some(pause.wake(self.clock())),
            None => review.critic_deadline(self.plan.critic.timeout_ms),
        }
    }

    pub(super) fn critic_event(&mut self, proc: ProcId, event: AgentEvent) {
        self.common_event(proc, Role::Critic, &event);
        if let AgentEvent::TurnEnded(end) = event {
            self.critic_turn_ended(proc, end);
        }
    }

    /// The stop that is under review is not judged: it counts as an iteration when it is, later or by a resumed run.
    pub(super) fn leave_unjudged(&mut self) {
        self.stops.leave_unjudged();
    }

    /// The turn with which a critic is asked.
    fn brief_of(&self, proc: ProcId) -> TurnId {
        TurnId(derive_uuid(&self.plan.seed, "brief", proc.0))
    }

    /// A turn of the critic's ended that nobody asked for: a job of the agent's session fired in it. It is no verdict, whatever
    /// it says; the critic is asked after it.
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
            // What no model said is no verdict, whatever its last line is.
            TurnOutcome::Done if end.unasked => self.critic_failed("no request of its reached the model"),
            TurnOutcome::Done => {
                self.order(proc, Process::begin_end);
                self.failures.critic_answered();
                self.request_is_accepted(Role::Critic);
                self.brings_progress(proc);
                self.token_works(proc);
                let Some(before) = self.stage().review().map(Reviewing::before) else { return };
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
                // Started again when it is settled with which token.
                self.end_critic();
            }
            return;
        }
        match cause {
            FailureCause::Quota { resets_at_unix_s } if self.plan.no_wait => {
                let pause = self.reset_pause(proc, *resets_at_unix_s);
                let why = format!("the usage limit is reached and waiting was not wanted: {message}");
                self.close_at_limit(&pause, &why);
            }
            FailureCause::Quota { resets_at_unix_s } => {
                let pause = self.reset_pause(proc, *resets_at_unix_s);
                self.retry_critic_after(pause, "wait for the reset", message);
            }
            FailureCause::Throttled { .. } if self.does_not_wait_for_crowd(proc) => self.close_at_crowd(message),
            FailureCause::Throttled { retry_after_ms } => {
                self.wait_for_provider(Role::Critic, *retry_after_ms, message, &StartedBy::Itself);
                self.tell_of_crowd(proc);
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

    /// The critic itself failed: never a verdict. It is tried again, then the run ends with the session intact.
    pub(super) fn critic_failed(&mut self, how: &str) {
        self.critic_failed_as(how, how);
    }

    /// The same; `told` is what the user reads.
    fn critic_failed_as(&mut self, how: &str, told: &str) {
        self.end_critic();
        let Some(failures) = self.review_mut().map(Reviewing::failed) else { return };
        let iteration = self.iteration();
        self.show(Show::Verdict { verdict: "unusable".to_owned(), text: told.to_owned(), iteration });
        if failures >= self.plan.critic.max_failures {
            self.close(Outcome::Failed, &format!("the critic failed {failures} times in a row: {told}"));
            return;
        }
        let pause = self.pause_of(self.restart_pause_ms(failures));
        self.decide("ask the critic again", how);
        if let Some(review) = self.review_mut() {
            review.pauses(pause);
        }
    }

    /// The tree could not be measured around a critic that approves: another one is asked, once, in case it can be then.
    fn ask_again_unmeasured(&mut self, why: &str) {
        let text =
            format!("the working tree could not be measured ({why}), so nobody knows whether the critic changed it");
        let iteration = self.iteration();
        self.show(Show::Verdict { verdict: "unusable".to_owned(), text: text.clone(), iteration });
        self.decide("ask another critic", &text);
        self.end_critic();
        self.start_critic();
    }

    /// The critic of this review, if there is one, is ended and asked no more; false when there is no review.
    fn end_critic(&mut self) -> bool {
        let Some(review) = self.review_mut() else { return false };
        let critic = review.critic();
        review.gives_up_critic();
        if let Some(proc) = critic {
            self.order(proc, Process::begin_end);
        }
        true
    }

    /// Gives up the judging of this stop.
    pub(super) fn abandon_review(&mut self) {
        if let Stage::Checking(checking) = self.stage() {
            let check = checking.running();
            self.act(Action::CancelCheck { check });
        }
        self.end_critic();
    }

    fn judge(&mut self, after: &TreeFact) {
        let Some(verdict) = self.stage().review().and_then(Reviewing::verdict) else { return };
        if self.agent_goes_on() {
            // It has begun by itself, and has not said yet that a turn began: nothing said of its work holds.
            self.agent_woke();
            return;
        }
        let Some(review) = self.stage().review() else { return };
        let (before, could_write) = (review.before_tree().cloned(), review.could_write());
        let around = Around {
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
                    self.close(Outcome::Completed, &format!("the critic agrees that the task is done{proviso}"));
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
                    self.close(Outcome::NeedsUser, &format!("the critic asks: {}", gist(&text)));
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

    /// Gives feedback to the agent, unless a bound is spent or the same was said too often in vain.
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
        // Without a bound it is stuck.
        let end = match self.spent_budget() {
            Some((bound, spent)) => Some((Some(bound), spent)),
            None if repeats >= max_repeats => Some((None, in_short.repeated(repeats + 1))),
            None => denied_again.filter(|_| repeats > 0).map(|denial| {
                let what = format!("{} {}", denial.tool, denial.target);
                (None, format!("{} was denied again, and nothing changed meanwhile", what.trim()))
            }),
        };
        if let Some((bound, reason)) = end {
            // Kept unsaid: a resumed run goes on with it instead of judging the same stop again.
            self.turns.begin(kind, text);
            match bound {
                Some(bound) => self.close_spent(bound, &reason),
                None => self.close(Outcome::Stuck, &reason),
            }
            return;
        }
        self.enter(Stage::Working);
        if self.turns.has_queued() {
            self.decide("the user's words first", "the user has said something during the review");
            // The feedback stays known to the next critic as the last one.
            self.turns.begin_queued();
            return;
        }
        self.turns.begin(kind, text);
    }

    /// This critic's answer is what the review waits for.
    pub(super) fn is_briefed(&self, proc: ProcId) -> bool {
        self.stage().review().is_some_and(|review| review.awaits_answer_of(proc))
    }

    /// The command of the check that is running.
    pub(super) fn running_check(&self) -> Option<&str> {
        let Stage::Checking(checking) = self.stage() else { return None };
        self.plan.checks.get(checking.at()).map(|check| check.command.as_str())
    }
}

/// A feedback in a few words, for the user.
enum Short {
    /// The critic's.
    Feedback(String),
    /// Of failing checks: which failed and how; and what the last of them said at last.
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

    /// This, said so often in vain.
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

/// The first line that says something: no heading, fence or rule, unless there is nothing else.
fn gist(text: &str) -> &str {
    let says = |line: &&str| has_words(line) && !line.starts_with(['#', '`']);
    let mut lines = text.lines().map(str::trim);
    lines.find(says).unwrap_or_else(|| text.trim().lines().next().unwrap_or_default())
}

fn has_words(line: &str) -> bool {
    line.chars().any(char::is_alphanumeric)
}

fn last_lines(text: &str, lines: usize) -> String {
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
