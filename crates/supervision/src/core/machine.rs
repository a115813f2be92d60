//! The core itself: what it holds, how a fact enters, how the run begins, waits and ends.
//! The agent's side of the work is in `work`, the judging of a stop in `review`.

use std::collections::VecDeque;

use super::arguments::Tried;
use super::asking::Asking;
use super::checks::{Checking, Checks};
use super::conversation::Conversation;
use super::failures::Failures;
use super::finish::Tally;
use super::own_turns::OwnTurns;
use super::policy::{Clock, Pause, RestartCount, Tokens};
use super::process::Process;
use super::processes::Processes;
use super::remedy::Remedies;
use super::reviewing::Reviewing;
use super::rotation::Rotation;
use super::sent_back::SentBack;
use super::session::Session;
use super::stops::Stops;
use super::tree::Tree;
use super::usage::Usage;
use super::{
    Action, Awaited, Bound, Decision, Finish, Input, LineFact, Needs, Note, OperatorInput, Outcome, Plan, ProcId, Show,
    Then, Tick, TokenId, TurnId,
};
use crate::agent::{AgentEvent, Role, Say, TurnKind, WaitingFor};

/// What is added to a turn that was not said yet when the user has changed what the agent may do.
const PERMISSIONS_CHANGED: &str = "(The user has changed what you may do since: a tool or command that was denied before may be \
    allowed now. Try it again.)";
/// How much of the agent's last answer the result carries, in bytes.
const RESULT_BYTES: usize = 64 * 1024;

/// The state machine of one run. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Core {
    pub(super) plan: Plan,
    /// Where the plan's directory is, when that name of it leads elsewhere.
    pub(super) real_cwd: Option<String>,
    clock: Clock,
    out: VecDeque<Action>,
    pub(super) session: Session,
    pub(super) turns: Conversation,
    pub(super) processes: Processes,
    stage: Stage,
    pub(super) stops: Stops,
    pub(super) checks: Checks,
    pub(super) tree: Tree,
    /// Ends of the agent in a row without a finished turn.
    pub(super) agent_ends: RestartCount,
    /// What failed since the model last answered, and may pass by itself.
    pub(super) failures: Failures,
    pub(super) tally: Tally,
    pub(super) usage: Usage,
    pub(super) sent_back: SentBack,
    /// What the agent begins by itself.
    pub(super) own_turns: OwnTurns,
    pub(super) tokens: Tokens,
    pub(super) rotation: Rotation,
    pub(super) asking: Asking,
    /// What was tried against requests that are called invalid.
    pub(super) remedies: Remedies,
    /// What became of the user's arguments for the agent.
    pub(super) tried: Tried,
    /// What the run needs to go on, now that it ends.
    needs: Option<Needs>,
    /// The bound that ends the run.
    spent: Option<Bound>,
}

/// What the run is doing.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    NotBegun,
    /// A turn is to be delivered or is being worked on.
    Working,
    /// The checks of a stop run.
    Checking(Checking),
    /// A critic judges a stop.
    Reviewing(Reviewing),
    /// Nothing is asked of anyone until a moment comes; then the present turn is said.
    Waiting(Pause),
    /// The outcome is known; what still runs is being ended.
    Closing {
        outcome: Outcome,
        reason: String,
    },
    Finished,
}

impl Stage {
    /// The review under way.
    pub(super) fn review(&self) -> Option<&Reviewing> {
        if let Stage::Reviewing(review) = self { Some(review) } else { None }
    }

    /// The wait under way: the run's, or the one before the next critic.
    pub(super) fn pause(&self) -> Option<Pause> {
        if let Stage::Waiting(pause) = self { Some(*pause) } else { self.review()?.pause() }
    }
}

impl Core {
    /// A run that has not begun; [`Input::Began`] begins it.
    #[must_use]
    pub fn new(plan: Plan) -> Core {
        Core {
            turns: Conversation::new(&plan.seed).after(&plan.earlier_turns),
            session: Session::new(&plan.session),
            plan,
            clock: Clock::default(),
            out: VecDeque::new(),
            processes: Processes::default(),
            stage: Stage::NotBegun,
            stops: Stops::default(),
            checks: Checks::default(),
            tree: Tree::default(),
            agent_ends: RestartCount::default(),
            failures: Failures::default(),
            real_cwd: None,
            tally: Tally::default(),
            usage: Usage::default(),
            sent_back: SentBack::default(),
            own_turns: OwnTurns::default(),
            tokens: Tokens::default(),
            rotation: Rotation::default(),
            asking: Asking::default(),
            remedies: Remedies::default(),
            tried: Tried::default(),
            needs: None,
            spent: None,
        }
    }

    /// Takes in a fact that became known at `now`. Total and synchronous: a fact that means nothing in the present
    /// state becomes a [`Note`].
    pub fn handle(&mut self, now: Tick, input: Input) {
        self.clock.advance(now);
        let seen = self.now();
        // Taken up with the next fact. It may be said to a run whose ccc has died and that has yet to be told so: what were begun
        // then would be a process that nobody ends. In mid-run nothing is lost by it: each stage that can go on has a next fact.
        let given = matches!(&input, Input::Operator(operator) if operator.may_precede_a_life());
        match input {
            Input::Began { unix_ms, resumed, turn_recorded, tokens } => {
                self.clock.see(unix_ms);
                self.tokens_at_beginning(tokens);
                self.began(resumed, turn_recorded);
            }
            Input::Tokens { request, tokens, unix_ms } => {
                // What has been told and the time at which it was told belong together: a clock that was set meanwhile
                // would let a reset be past for one side and ahead for the other.
                if let Some(unix_ms) = unix_ms {
                    self.clock.see(unix_ms);
                }
                self.tokens_known(request, tokens);
            }
            Input::Spawned { proc, pid, transport } => self.spawned(proc, pid, &transport),
            Input::SpawnFailed { proc, fault, message } => self.spawn_failed(proc, fault, &message),
            Input::Line { proc, line } => self.line(proc, &line),
            Input::Noise { proc, lines, bytes, sample } => self.noise(proc, lines, bytes, &sample),
            Input::Progress { proc } => match self.process_mut(proc) {
                Some(process) => process.progresses(seen),
                None => self.ignored(&format!("progress of process {proc}, which is gone")),
            },
            Input::WriteFailed { proc, message } => {
                self.note("write failed", &format!("process {proc}: {message}"));
            }
            Input::Exited { proc, exit } => self.exited(proc, &exit),
            Input::CheckFinished { check, result } => self.check_finished(check, result),
            Input::TreeMeasured { measure, tree } => self.tree_measured(measure, tree),
            Input::Operator(operator) => self.operator(operator),
            Input::Elapsed { unix_ms } => self.elapsed(unix_ms),
        }
        if !given {
            self.advance();
        }
    }

    /// The next thing to do; `None` when nothing is left for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// The next bytes that the protocol of a process has to send by itself; `None` when nothing is left for now. They go before
    /// the actions of the same fact, are no decision, and are not recorded.
    pub fn poll_send(&mut self) -> Option<(ProcId, Vec<u8>)> {
        let mut processes = self.processes.iter_mut();
        processes.find_map(|process| Some((process.id, process.poll_send()?)))
    }

    /// What is said to a process as bytes for its stdin; `None` when it is gone, or its CLI has no such message.
    #[must_use]
    pub fn encode(&self, proc: ProcId, say: &Say<'_>) -> Option<Vec<u8>> {
        self.processes.get(proc)?.encode(say)
    }

    /// The earliest moment at which [`Input::Elapsed`] is due; `None` when only facts can move the run.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Tick> {
        let mut deadlines: Vec<Tick> = self.processes.iter().filter_map(Process::deadline).collect();
        deadlines.extend(self.processes.iter().filter_map(Process::tell_at));
        deadlines.extend(self.measure_deadline().map(|(_, due)| due));
        deadlines.extend(self.token_deadline());
        deadlines.extend(self.cost_deadline());
        match &self.stage {
            Stage::Working => {
                if self.processes.agent().is_none() && !self.is_choosing() {
                    deadlines.push(self.processes.agent_not_before());
                }
                deadlines.extend(self.time_deadline());
            }
            Stage::Waiting(pause) => {
                deadlines.push(pause.wake(self.clock()));
                deadlines.extend(self.time_deadline());
            }
            Stage::Reviewing(review) => {
                deadlines.extend(self.review_deadlines(review));
                deadlines.extend(self.time_deadline());
            }
            Stage::Checking(_) => deadlines.extend(self.time_deadline()),
            Stage::NotBegun | Stage::Closing { .. } => {}
            Stage::Finished => return None,
        }
        deadlines.into_iter().min()
    }

    /// The wall time (unix milliseconds) at which [`Input::Elapsed`] is due besides; `None` when no wait depends on the
    /// wall clock. It comes also when the clock is set or the machine slept, of which ticks know nothing: a driver
    /// that can be woken by the wall clock, and by its being set, should be.
    #[must_use]
    pub fn poll_wall_timeout(&self) -> Option<i64> {
        if matches!(self.stage, Stage::NotBegun) || self.is_closing() {
            return None;
        }
        self.stage
            .pause()
            .and_then(|pause| pause.until_unix_ms())
            .into_iter()
            .chain(self.plan.budgets.until_unix_ms)
            .min()
    }

    /// The wall clock now, unix milliseconds, as far as the core was told.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.unix_ms()
    }

    /// Whether a process is the agent or a critic; `None` when it is gone.
    #[must_use]
    pub fn role(&self, proc: ProcId) -> Option<Role> {
        self.processes.get(proc).map(|process| process.role)
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    /// The plan the run goes by.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The agent's session, once known.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session.id()
    }

    /// What of the user's words a run that goes on says again or for the first time; `recorded` as in [`super::ExitFact`]. All where
    /// the session is to be begun anew, as it is when no record of it is there.
    #[must_use]
    pub fn user_words_to_say(&self, recorded: Option<bool>, has_record: bool) -> Vec<&str> {
        if matches!(self.stage, Stage::NotBegun) {
            return vec![&self.plan.task];
        }
        self.turns.user_words_to_say(recorded, !has_record || self.session.is_rejected())
    }

    /// The agent's process, when there is one.
    #[must_use]
    pub fn agent_proc(&self) -> Option<ProcId> {
        self.processes.agent().map(|agent| agent.id)
    }

    /// The session and the turn that a process was given and has not answered: what to look for in the session's record
    /// when that process is gone.
    #[must_use]
    pub fn unanswered_turn(&self) -> Option<(&str, &TurnId)> {
        self.session.id().zip(self.turns.unanswered())
    }

    /// Stops judged so far, the present one included.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.stops.judged()
    }

    /// Times the agent was started again.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.tally.restarts()
    }

    /// Times another token was taken.
    #[must_use]
    pub fn rotations(&self) -> u32 {
        self.tally.rotations()
    }

    /// What all processes have cost; `None` while unknown.
    #[must_use]
    pub fn cost_usd(&self) -> Option<f64> {
        self.tally.cost_usd()
    }

    /// The word for what the run is doing (design §10).
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match &self.stage {
            Stage::Working | Stage::Reviewing(_) if self.is_asking() => "waiting",
            Stage::NotBegun => "starting",
            Stage::Working if self.processes.agent().is_none_or(|agent| agent.is_starting()) => "starting",
            Stage::Working => "working",
            Stage::Checking(_) => "checking",
            Stage::Reviewing(_) => "reviewing",
            Stage::Waiting(_) => "waiting",
            Stage::Closing { .. } => "ending",
            Stage::Finished => "finished",
        }
    }

    /// What the run waits for at present, and until when; `None` while that is nothing with an end.
    #[must_use]
    pub fn awaited(&self) -> Option<Awaited> {
        if let Some(pause) = self.stage.pause() {
            let what = if pause.is_for_limit() || pause.until_unix_ms().is_some() {
                "the reset of a usage limit"
            } else {
                "the provider, before it is asked again"
            };
            let until = pause.end(self.clock());
            let then = Then::GoesOn;
            return Some(Awaited { what: what.to_owned(), since: pause.since(), until, then, alive: false });
        }
        match &self.stage {
            Stage::Working => {
                let agent = || self.processes.agent().and_then(|agent| agent.awaited(self.now()));
                self.awaited_permission().or_else(agent)
            }
            Stage::Reviewing(review) => {
                let critic = self.processes.get(review.critic()?)?;
                critic
                    .awaited(self.now())
                    .map(|awaited| Awaited { what: format!("the critic: {}", awaited.what), ..awaited })
            }
            Stage::NotBegun | Stage::Checking(_) | Stage::Waiting(_) | Stage::Closing { .. } | Stage::Finished => None,
        }
    }

    /// Tells the user of what is waited for, where that is due.
    fn tell_of_waits(&mut self) {
        let now = self.now();
        let lives = self.processes.iter_mut();
        let told: Vec<Show> =
            lives.filter_map(|process| process.tells(now).then(|| process.show_awaited(now)).flatten()).collect();
        for show in told {
            self.show(show);
        }
    }

    fn began(&mut self, resumed: bool, turn_recorded: Option<bool>) {
        let stage = std::mem::replace(&mut self.stage, Stage::Working);
        match stage {
            Stage::NotBegun => {
                self.decide("begin", "the task is the first turn");
                let task = self.plan.task.clone();
                self.turns.begin(TurnKind::Task, task);
            }
            Stage::Working
            | Stage::Waiting(_)
            | Stage::Checking(_)
            | Stage::Reviewing(_)
            | Stage::Closing { .. }
            | Stage::Finished
                if !resumed =>
            {
                self.stage = stage;
                self.ignored("a second beginning");
            }
            Stage::Closing { outcome: Outcome::Completed, reason } if !self.turns.has_queued() => {
                self.lose_processes();
                self.stage = Stage::Closing { outcome: Outcome::Completed, reason };
            }
            Stage::Waiting(pause) if pause.is_for_limit() && self.has_usable_token() => {
                self.lose_processes();
                self.turns.process_lost(turn_recorded);
                self.end_wait(&pause);
                self.decide("go on", "the run was waiting for a token, and there is one now");
            }
            Stage::Waiting(pause) => {
                self.lose_processes();
                // A wait may have begun in the middle of a turn: it went with the process that worked on it.
                self.turns.process_lost(turn_recorded);
                self.decide("go on waiting", "ccc itself had ended while the run was waiting");
                self.stage = Stage::Waiting(pause);
            }
            Stage::Checking(_) | Stage::Reviewing(_) => {
                self.lose_processes();
                self.leave_unjudged();
                if let Some(pause) = stage.pause() {
                    self.decide(
                        "go on waiting, then judge the stop again",
                        "ccc itself had ended while the critic was waiting",
                    );
                    self.stage = Stage::Waiting(pause);
                } else {
                    self.decide("judge the stop again", "ccc itself had ended during the review");
                }
            }
            Stage::Working | Stage::Closing { .. } | Stage::Finished => {
                let why = match stage {
                    Stage::Finished => "the user resumed the run",
                    Stage::NotBegun
                    | Stage::Working
                    | Stage::Checking(_)
                    | Stage::Reviewing(_)
                    | Stage::Waiting(_)
                    | Stage::Closing { .. } => "ccc itself had ended before the run did",
                };
                self.lose_processes();
                (self.needs, self.spent) = (None, None);
                self.agent_ends.forget();
                self.tokens.retries_mut().forget();
                self.remedies.forget();
                self.failures.forget();
                if let (Some((bound, spent)), false) = (self.spent_budget(), self.turns.has_queued()) {
                    // To get more of a run, the user gives it a new bound or something new to do.
                    self.close_spent(bound, &format!("{spent}; raise the bound to go on"));
                } else if self.session.is_rejected() {
                    self.begin_new_session("the run had ended with that");
                } else if self.turns.process_lost(turn_recorded) {
                    self.decide("go on with the present turn", why);
                } else {
                    self.decide("judge the last stop", why);
                }
            }
        }
    }

    /// After ccc's own death nothing of before is alive: the driver has swept it.
    fn lose_processes(&mut self) {
        self.processes.all_gone(self.now());
        self.asking.stop();
    }

    fn operator(&mut self, operator: OperatorInput) {
        match operator {
            OperatorInput::Interrupt { reason } => match &self.stage {
                Stage::Finished => self.ignored("an interruption of a finished run"),
                Stage::Closing { .. } => {
                    self.decide("kill what still runs", &reason);
                    self.kill_all();
                }
                Stage::NotBegun | Stage::Working | Stage::Checking(_) | Stage::Reviewing(_) | Stage::Waiting(_) => {
                    self.close(Outcome::Interrupted, &reason);
                }
            },
            // Said to a run that has ended, or whose ccc died while it ended, it is what the run goes on with when it
            // is resumed.
            OperatorInput::Turn { text } => {
                self.stops.starts_over();
                self.turns.queue(text);
            }
            OperatorInput::Budgets(_) => {
                self.decide("take the new bounds", "the user gave them");
                self.plan = self.plan.after(&operator);
            }
            OperatorInput::Plan(_) => {
                self.decide("take the new settings", "the user gave them");
                self.session.settings_changed();
                let before = self.plan.clone();
                self.plan = self.plan.after(&operator);
                self.settings_changed(&before);
            }
            OperatorInput::Restate { text, instead_of } => {
                self.decide(
                    "take the user's new words",
                    "the journal has marks in the place of secrets in the former ones",
                );
                self.stops.starts_over();
                if instead_of.contains(&self.plan.task) {
                    self.plan.task.clone_from(&text);
                }
                let is_begun = !matches!(self.stage, Stage::NotBegun);
                if !self.turns.restate(&text, &instead_of) && is_begun {
                    self.turns.queue(text);
                }
            }
            OperatorInput::Moved { real } => self.real_cwd = Some(real),
            OperatorInput::Answer { number, choice } => self.answered(number, choice),
        }
    }

    /// What was held against the agent under other settings counts no more.
    fn settings_changed(&mut self, before: &Plan) {
        let other_arguments = self.plan.agent_args != before.agent_args;
        if other_arguments {
            self.arguments_changed();
        }
        if other_arguments || self.plan.checks != before.checks || self.plan.allow_checks != before.allow_checks {
            self.stops.starts_over();
            if self.tally.permissions_changed() {
                self.turns.add_to_unsaid(PERMISSIONS_CHANGED);
            }
        }
    }

    fn elapsed(&mut self, unix_ms: i64) {
        self.clock.see(unix_ms);
        self.elapsed_processes();
        self.tell_of_waits();
        self.measure_overdue();
        self.tokens_elapsed();
        self.ask_costs_due();
        if self.time_deadline().is_some_and(|deadline| self.now() >= deadline) {
            let (bound, spent) = self.time_spent();
            match self.stage {
                Stage::Working | Stage::Waiting(_) => self.close_spent(bound, &spent),
                Stage::Checking(_) | Stage::Reviewing(_) => {
                    self.leave_unjudged();
                    let why = format!("{spent}, {}", self.unjudged());
                    self.close_spent(bound, &why);
                }
                Stage::NotBegun | Stage::Closing { .. } | Stage::Finished => {}
            }
        }
    }

    /// Does what the present state allows. Called after every input; emits nothing when there is nothing to do.
    fn advance(&mut self) {
        self.advance_stage();
        // Also when that was what decided the end: nothing more may come in.
        if let Stage::Closing { outcome, reason } = &self.stage
            && self.processes.is_empty()
        {
            let (outcome, reason) = (*outcome, reason.clone());
            self.finish(outcome, reason);
        }
    }

    fn advance_stage(&mut self) {
        match &self.stage {
            Stage::Working => self.advance_work(),
            Stage::Reviewing(_) => self.advance_review(),
            Stage::Waiting(pause) => {
                let pause = *pause;
                if pause.is_over(self.clock()) {
                    self.end_wait(&pause);
                    self.decide("go on", "the wait is over");
                    self.stage = Stage::Working;
                    if !(pause.is_for_limit() && self.look_after_wait()) {
                        self.advance_work();
                    }
                }
            }
            Stage::NotBegun | Stage::Checking(_) | Stage::Closing { .. } | Stage::Finished => {}
        }
    }

    /// What the run is doing.
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The checks of a stop that run.
    pub(super) fn checking_mut(&mut self) -> Option<&mut Checking> {
        if let Stage::Checking(checking) = &mut self.stage { Some(checking) } else { None }
    }

    /// The review under way.
    pub(super) fn review_mut(&mut self) -> Option<&mut Reviewing> {
        if let Stage::Reviewing(review) = &mut self.stage { Some(review) } else { None }
    }

    /// The run does something else from now on. When its outcome is known there is nothing else.
    pub(super) fn enter(&mut self, stage: Stage) {
        if !self.is_closing() {
            self.stage = stage;
        }
    }

    /// Decides the outcome and begins to end what still runs.
    pub(super) fn close(&mut self, outcome: Outcome, reason: &str) {
        self.close_with(outcome, reason, None);
    }

    /// The same of a run of which this bound is spent.
    pub(super) fn close_spent(&mut self, bound: Bound, reason: &str) {
        if !self.is_closing() {
            self.spent = Some(bound);
            self.close(Outcome::Budget, reason);
        }
    }

    /// The same of a run that needs this to go on.
    pub(super) fn close_with(&mut self, outcome: Outcome, reason: &str, needs: Option<Needs>) {
        if self.is_closing() {
            return;
        }
        let mut reason = reason.to_owned();
        self.needs = needs.or_else(|| self.needs_permission(outcome));
        if outcome.row().names_permissions
            && let Some(missing) = self.missing_permissions(outcome, self.needs.as_ref())
        {
            reason = format!("{reason}; {missing}");
        }
        self.decide(&format!("end as {}", outcome.as_str()), &reason);
        self.phase_changes("ending", outcome.as_str());
        if let Stage::Waiting(pause) = self.stage {
            self.end_wait(&pause);
        }
        self.rotation.stop_choosing();
        self.asking.stop();
        if let Stage::Checking(checking) = &self.stage {
            let check = checking.running();
            self.act(Action::CancelCheck { check });
        }
        if let (Stage::Checking(_) | Stage::Reviewing(_), true) = (&self.stage, outcome.row().breaks_off) {
            self.leave_unjudged();
        }
        self.stage = Stage::Closing { outcome, reason };
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        self.out.extend(self.processes.end(now, grace_ms));
    }

    /// The outcome is known already.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. } | Stage::Finished)
    }

    /// What the project's files make a process run, or where they make it send its credential, is no more what the user has
    /// agreed to. The present stop is not judged: a resumed run judges it.
    pub(super) fn agreement_is_missing(&mut self, message: &str) {
        if self.is_closing() {
            return;
        }
        if let Stage::Checking(_) | Stage::Reviewing(_) = &self.stage {
            self.leave_unjudged();
        }
        let reason =
            format!("{message}; since that came up during the run, nothing is started with it before you agree");
        self.close_needing(Outcome::NeedsUser, &reason, Needs::Agreement);
    }

    fn kill_all(&mut self) {
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        self.out.extend(self.processes.kill(now, grace_ms));
    }

    fn finish(&mut self, outcome: Outcome, reason: String) {
        self.stage = Stage::Finished;
        self.show(Show::Finished { outcome, reason: reason.clone() });
        let mut result = self.stops.last_answer().to_owned();
        result.truncate(result.floor_char_boundary(RESULT_BYTES));
        let finish = Finish {
            outcome,
            reason,
            result,
            session_id: self.session.id().filter(|_| self.session.exists()).map(str::to_owned),
            iterations: self.iteration(),
            restarts: self.tally.restarts(),
            rotations: self.tally.rotations(),
            waited_ms: self.tally.waited_ms(),
            cost_usd: self.tally.cost_usd(),
            session_rejected: self.session.is_rejected(),
            tokens_used: self.plan.budgets.max_tokens.map(|_| self.tokens_used().total()),
            needs: self.needs.clone(),
            spent: self.spent.and_then(|bound| self.of_bound(bound)),
        };
        self.act(Action::Finish(finish));
    }

    /// Lines that say nothing, or nothing new: the sample is taken in as one of them, the rest only counts.
    fn noise(&mut self, proc: ProcId, lines: u64, bytes: u64, sample: &LineFact) {
        self.wrote(proc, lines, bytes);
        if let Some(process) = self.process_mut(proc)
            && process.flood_is_news()
        {
            let whose = match process.role {
                Role::Agent => "agent",
                Role::Critic => "critic",
            };
            self.show(Show::Notice {
                text: format!(
                    "the {whose} floods its output with what says nothing new; ccc counts it, and records one entry a second"
                ),
            });
        }
        if lines == 0 {
            self.note("noise", &format!("process {proc} wrote {bytes} bytes of which nothing is kept, to its stderr or in a line over the limit"));
            return;
        }
        self.note(
            "noise",
            &format!(
                "process {proc} wrote {lines} lines that say nothing, or nothing new, {bytes} bytes; one stands for all"
            ),
        );
        self.line(proc, sample);
    }

    fn wrote(&mut self, proc: ProcId, lines: u64, bytes: u64) {
        self.order(proc, |process, now, grace_ms| process.wrote(now, lines, bytes, grace_ms));
    }

    fn line(&mut self, proc: ProcId, line: &LineFact) {
        let now = self.now();
        let bytes = match line {
            LineFact::Noise(text) => text.len(),
            // Of a line that is too long its length was told while it came.
            LineFact::Json(_) | LineFact::TooLong(_) => 0,
        };
        self.wrote(proc, 1, bytes as u64);
        let Some(process) = self.process_mut(proc) else {
            self.ignored(&format!("a line of process {proc}, which is gone"));
            return;
        };
        let role = process.role;
        match line {
            LineFact::Json(json) => {
                let events = process.line(json.get());
                if process.has_spoken() {
                    self.processes.spoke();
                    if role == Role::Agent {
                        self.arguments_are_taken();
                    }
                }
                for event in events {
                    if let Some(process) = self.process_mut(proc) {
                        process.heard(&event, now);
                    }
                    match role {
                        Role::Agent => self.agent_event(proc, event),
                        Role::Critic => self.critic_event(proc, event),
                    }
                }
            }
            LineFact::Noise(text) => {
                process.wrote_noise(now);
                self.note("noise", &format!("process {proc} wrote a line that is not JSON: {text}"));
            }
            LineFact::TooLong(bytes) => {
                process.lives(now);
                self.note("line dropped", &format!("process {proc} wrote a line of {bytes} bytes, over the limit"));
                self.tell_user(format!("a line of {bytes} bytes from the agent was over the limit and is lost"));
            }
        }
    }

    /// What agent and critic have in common.
    pub(super) fn common_event(&mut self, proc: ProcId, role: Role, event: &AgentEvent) {
        match event {
            AgentEvent::Text { text, sub_agent } => {
                if let Some(process) = self.process_mut(proc) {
                    process.model_speaks();
                }
                self.brings_progress(proc);
                // A sub-agent may have asked before the exchange, and have a model of its own.
                if !sub_agent {
                    self.exchange_bears_out(proc);
                    self.session.answers(role);
                }
                self.show(Show::Text { role, text: text.clone(), sub_agent: *sub_agent });
            }
            AgentEvent::ToolStarted { id, name, target, edit, sub_agent, .. } => {
                self.brings_progress(proc);
                if !sub_agent {
                    self.session.answers(role);
                }
                if let (Role::Agent, Some(edit)) = (role, edit) {
                    self.stops.edit_began(id, edit);
                }
                self.show(Show::Tool {
                    role,
                    id: id.clone(),
                    name: name.clone(),
                    target: target.clone(),
                    edit: edit.clone(),
                });
                self.cost_moves(proc);
                self.end_turn_over_tokens(proc, role);
            }
            AgentEvent::ToolEnded { id, failed, error } => {
                if role == Role::Agent {
                    self.stops.call_ended(id, *failed);
                }
                self.show(Show::ToolEnded { role, id: id.clone(), failed: *failed, error: error.clone() });
                self.cost_moves(proc);
            }
            AgentEvent::Denied(denial) => {
                self.show(Show::Denied { role, tool: denial.tool.clone(), target: denial.target.clone() });
            }
            AgentEvent::RetryAnnounced { attempt, max_attempts, delay_ms, status } => {
                let what = super::retry::what_failed(*status);
                let seconds = *delay_ms as f64 / 1_000.0;
                self.tell_user(format!(
                    "{what}; the agent tries again by itself in {seconds:.1}s (attempt {attempt} of {max_attempts})"
                ));
                self.retry_with_token(proc, *status, *delay_ms);
            }
            AgentEvent::Question { request_id, subtype, ask } => {
                self.question_asked(proc, role, request_id, subtype, ask);
            }
            AgentEvent::QuestionWithdrawn { request_id } => self.question_withdrawn(proc, request_id),
            AgentEvent::Cost { process_usd } => self.cost_told(proc, *process_usd),
            AgentEvent::CostAnswered { process_usd } => self.cost_answered(proc, *process_usd),
            AgentEvent::Usage(count) => self.usage_told(proc, *count),
            AgentEvent::Limit(limit) => self.windows_told(proc, limit),
            AgentEvent::CredentialAnswered { applied } => self.credential_answered(proc, *applied),
            AgentEvent::SentBack { .. } | AgentEvent::Compacting(false) => self.cost_moves(proc),
            AgentEvent::TurnEnded(_) | AgentEvent::Waiting(WaitingFor::FollowUp | WaitingFor::Idle { .. }) => {
                self.asking.forget(proc);
                self.cost_is_settled(proc);
            }
            AgentEvent::Waiting(WaitingFor::Background { .. } | WaitingFor::Scheduled { .. }) => {
                self.cost_is_settled(proc);
                let now = self.now();
                let show = self.process_mut(proc).filter(|process| process.deadline() > Some(now));
                let show = show.and_then(|process| process.show_awaited(now));
                self.out.extend(show.map(Action::Show));
            }
            AgentEvent::Alive
            | AgentEvent::Progress
            | AgentEvent::SessionKnown { .. }
            | AgentEvent::TurnAccepted { .. }
            | AgentEvent::TurnStarted { .. }
            | AgentEvent::HookStarted { .. }
            | AgentEvent::HookEnded { .. }
            | AgentEvent::CutShort
            | AgentEvent::PermissionMode(_)
            | AgentEvent::Compacting(true)
            | AgentEvent::ActionRequired(_) => {}
        }
    }

    /// A wait for so long.
    pub(super) fn pause_of(&self, ms: u64) -> Pause {
        Pause::lasting(ms, self.clock())
    }

    /// Milliseconds up to this wall time; 0 when it has passed.
    pub(super) fn ms_until(&self, unix_ms: i64) -> u64 {
        self.clock.ms_until(unix_ms)
    }

    /// The run waits. A failure that passes does not cut short a wait for a reset: a turn that the agent begins by itself
    /// meanwhile may bring one.
    pub(super) fn begin_wait(&mut self, pause: Pause) {
        if let Stage::Waiting(before) = self.stage {
            if before.due() > pause.due() && (before.is_for_limit() || !pause.is_for_limit()) {
                return;
            }
            self.end_wait(&before);
        }
        if let Some(why) = self.passes_a_bound(&pause) {
            self.close_at_limit(&pause, &why);
            return;
        }
        self.enter(Stage::Waiting(pause));
    }

    pub(super) fn end_wait(&mut self, pause: &Pause) {
        self.tally.waited(pause, self.now());
    }

    /// Wall clock now, as far as the last sight of it and the ticks since tell.
    pub(super) fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    /// The wall clock at a tick, if it is not set meanwhile.
    pub(super) fn unix_ms_at(&self, tick: Tick) -> i64 {
        self.clock.unix_ms_at(tick)
    }

    /// The run's own time.
    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// What time it is, by the ticks and by the wall clock.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn process_mut(&mut self, proc: ProcId) -> Option<&mut Process> {
        self.processes.get_mut(proc)
    }

    /// The token that this process has.
    pub(super) fn token_of(&self, proc: ProcId) -> Option<TokenId> {
        self.processes.get(proc)?.credential().token().cloned()
    }

    /// Brings a process nearer to its end; what that takes now is done.
    pub(super) fn order(&mut self, proc: ProcId, what: impl FnOnce(&mut Process, Tick, u64) -> Option<Action>) {
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        let action = self.process_mut(proc).and_then(|process| what(process, now, grace_ms));
        self.out.extend(action);
    }

    pub(super) fn act(&mut self, action: Action) {
        self.out.push_back(action);
    }

    pub(super) fn show(&mut self, show: Show) {
        self.out.push_back(Action::Show(show));
    }

    /// The user is told this.
    pub(super) fn tell_user(&mut self, text: impl Into<String>) {
        self.show(Show::Notice { text: text.into() });
    }

    pub(super) fn decide(&mut self, what: &str, why: &str) {
        self.out.push_back(Action::Decide(Decision { what: what.to_owned(), why: why.to_owned() }));
    }

    pub(super) fn note(&mut self, about: &str, text: &str) {
        self.out.push_back(Action::Note(Note { about: about.to_owned(), text: text.to_owned() }));
    }

    pub(super) fn ignored(&mut self, what: &str) {
        self.note("ignored", what);
    }

    pub(super) fn phase_changes(&mut self, phase: &str, detail: &str) {
        self.show_phase(phase, detail, None);
    }

    /// The run waits for this pause.
    pub(super) fn phase_waits(&mut self, why: &str, pause: &Pause) {
        let left_ms = pause.end(self.clock()).ms_since(self.now());
        self.show_phase("waiting", why, Some(left_ms));
    }

    fn show_phase(&mut self, phase: &str, detail: &str, goes_on_in_ms: Option<u64>) {
        let iteration = self.iteration();
        self.show(Show::Phase { phase: phase.to_owned(), detail: detail.to_owned(), iteration, goes_on_in_ms });
    }
}
