//! The core itself: its state, how inputs are handled, how the run begins, waits and ends. The agent's side of the work is in
//! `work`, the review of a stop in `review`.

use std::collections::{BTreeMap, VecDeque};

use super::arguments::Tried;
use super::asking::Asking;
use super::checkpoints::Checkpoints;
use super::checks::{Checking, Checks};
use super::context_used::Context;
use super::conversation::Conversation;
use super::failures::Failures;
use super::interface::Interface;
use super::own_turns::OwnTurns;
use super::policy::{Clock, Pause, RestartCount, Tokens};
use super::process::Process;
use super::processes::Processes;
use super::protection::Protection;
use super::remedy::Remedies;
use super::resting::{Rest, Resting};
use super::rotation::Rotation;
use super::sent_back::SentBack;
use super::session::Session;
use super::setup::Setup;
use super::steered::Steering;
use super::stop_under_review::StopUnderReview;
use super::stops::Stops;
use super::tally::{DenialOrder, Tally};
use super::tests_compared::TestsCompared;
use super::tokens_used::Usage;
use super::tree::Tree;
use super::workers::Workers;
use super::{
    Action, AfterWait, Awaited, Bound, Budgets, CheckId, Decision, Finish, Input, LineFact, Needs, Note, OperatorInput,
    Outcome, Plan, ProcId, RestKind, SettledHow, Show, Taken, Tick, TokenId, TurnId, derive_uuid,
};
use crate::agent::{AgentEvent, Role, Say, TurnKind, WaitingFor};

/// Added to an unsent turn after the user has changed what the agent may do.
const PERMISSIONS_CHANGED: &str = "(The user has changed what you may do since: a tool or command that was denied before may be \
    allowed now. Try it again.)";
/// The longest part of the agent's last answer in the result, in bytes.
const RESULT_BYTES: usize = 64 * 1024;

/// The state machine of one run. See the module's documentation.
#[derive(Debug, Clone)]
pub struct Core {
    pub(super) plan: Plan,
    /// The real path of the plan's directory, if it was moved.
    pub(super) real_cwd: Option<String>,
    clock: Clock,
    out: VecDeque<Action>,
    pub(super) session: Session,
    pub(super) turns: Conversation,
    pub(super) processes: Processes,
    stage: Stage,
    pub(super) stops: Stops,
    pub(super) setup: Setup,
    pub(super) workers: Workers,
    pub(super) checks: Checks,
    pub(super) tree: Tree,
    pub(super) checkpoints: Checkpoints,
    pub(super) tests: TestsCompared,
    pub(super) protection: Protection,
    /// Consecutive ends of the agent without a finished turn.
    pub(super) agent_ends: RestartCount,
    /// Transient failures since the model's last answer.
    pub(super) failures: Failures,
    pub(super) tally: Tally,
    pub(super) usage: Usage,
    pub(super) context: Context,
    pub(super) sent_back: SentBack,
    /// Turns that the agent begins by itself.
    pub(super) own_turns: OwnTurns,
    pub(super) tokens: Tokens,
    pub(super) rotation: Rotation,
    pub(super) asking: Asking,
    /// Requests of the user during the run that are not done yet.
    pub(super) steering: Steering,
    /// The result of the last operator input.
    pub(super) taken: Taken,
    /// The agent's own interface, if the run uses it.
    pub(super) interface: Interface,
    /// Remedies that were tried after a request was rejected as invalid.
    pub(super) remedies: Remedies,
    /// Which of the user's arguments the agent's CLI accepts.
    pub(super) tried: Tried,
    /// What the ending run needs to continue.
    needs: Option<Needs>,
    /// The spent bound that ends the run.
    spent: Option<Bound>,
    /// Outcome and reason of the ended run.
    ended: Option<(Outcome, String)>,
}

/// What the run is doing.
#[derive(Debug, Clone)]
pub(super) enum Stage {
    NotBegun,
    /// This command of the setup runs.
    SettingUp {
        check: CheckId,
    },
    /// A turn is delivered or running.
    Working,
    /// The checks of a stop run.
    Checking(Checking),
    /// A critic judges a stop.
    Reviewing(StopUnderReview),
    /// Nothing is sent until a moment comes; then the current turn is.
    Waiting(Pause),
    /// At most an idle agent runs, until the user's next message.
    Resting(Resting),
    /// The outcome is known; running processes are being ended.
    Closing {
        outcome: Outcome,
        reason: String,
    },
    Finished,
}

impl Stage {
    /// The running review.
    pub(super) fn review(&self) -> Option<&StopUnderReview> {
        if let Stage::Reviewing(review) = self { Some(review) } else { None }
    }

    /// The current wait: of the run, or before the next critic.
    pub(super) fn pause(&self) -> Option<Pause> {
        if let Stage::Waiting(pause) = self { Some(*pause) } else { self.review()?.pause() }
    }
}

impl Core {
    /// A run that has not begun; [`Input::Began`] begins it.
    #[must_use]
    pub fn new(plan: Plan) -> Core {
        let denial_order = if plan.denials_as_they_occurred { DenialOrder::Occurrence } else { DenialOrder::Text };
        Core {
            turns: Conversation::new(&plan.seed).after(&plan.earlier_turns),
            session: Session::new(&plan.session),
            plan,
            clock: Clock::default(),
            out: VecDeque::new(),
            processes: Processes::default(),
            stage: Stage::NotBegun,
            stops: Stops::default(),
            setup: Setup::default(),
            workers: Workers::default(),
            checks: Checks::default(),
            tree: Tree::default(),
            checkpoints: Checkpoints::default(),
            tests: TestsCompared::default(),
            protection: Protection::default(),
            agent_ends: RestartCount::default(),
            failures: Failures::default(),
            real_cwd: None,
            tally: Tally::new(denial_order),
            usage: Usage::default(),
            context: Context::default(),
            sent_back: SentBack::default(),
            own_turns: OwnTurns::default(),
            tokens: Tokens::default(),
            rotation: Rotation::default(),
            asking: Asking::default(),
            steering: Steering::default(),
            taken: Taken::Done,
            interface: Interface::default(),
            remedies: Remedies::default(),
            tried: Tried::default(),
            needs: None,
            spent: None,
            ended: None,
        }
    }

    /// Handles a fact that became known at `now`. It never fails: a fact without a meaning in the current state becomes a
    /// [`Note`].
    pub fn handle(&mut self, now: Tick, input: Input) {
        self.clock.advance(now);
        let seen = self.now();
        // Such an input takes effect with the next fact. It may reach a run whose ccc has ended, before `Began`, and a process
        // started then would never be ended. During a run nothing is lost, because each stage that can advance has a next fact.
        let given = match &input {
            Input::Operator(operator) => operator.may_precede_a_life(),
            Input::BranchLost { .. } => true,
            Input::Began { .. }
            | Input::Tokens { .. }
            | Input::Spawned { .. }
            | Input::SpawnFailed { .. }
            | Input::Line { .. }
            | Input::Noise { .. }
            | Input::Progress { .. }
            | Input::WriteFailed { .. }
            | Input::Exited { .. }
            | Input::CheckFinished { .. }
            | Input::TreeMeasured { .. }
            | Input::CheckpointTaken { .. }
            | Input::TestsCompared { .. }
            | Input::Elapsed { .. } => false,
        };
        match input {
            Input::Began { unix_ms, resumed, turn_recorded, tokens } => {
                self.clock.see(unix_ms);
                if resumed && self.plan.new_ids_when_resumed {
                    self.plan.seed = derive_uuid(&format!("{} {unix_ms}", self.plan.seed), "resumed", 0);
                    self.turns.begins_life(&self.plan.seed);
                }
                self.checkpoints.begins_life();
                self.protection.begins_life();
                self.compare_tests_again();
                self.tokens_at_beginning(tokens);
                self.protection_at_beginning(resumed);
                self.began(resumed, turn_recorded);
            }
            Input::Tokens { request, tokens, unix_ms } => {
                // The facts and their time belong together: with a clock that was set meanwhile, a reset would be past on one
                // side and ahead on the other.
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
            Input::BranchLost { is_cut } => self.branch_lost(is_cut),
            Input::Exited { proc, exit } => self.exited(proc, &exit),
            Input::CheckFinished { check, result } => self.check_finished(check, result),
            Input::TreeMeasured { measure, tree } => self.tree_measured(measure, tree),
            Input::CheckpointTaken { checkpoint, fact } => self.checkpoint_taken(checkpoint, &fact),
            Input::TestsCompared { checkpoint, tests, trouble } => {
                self.tests_compared(checkpoint, tests, trouble.as_deref());
            }
            Input::Operator(operator) => self.operator(operator),
            Input::Elapsed { unix_ms } => self.elapsed(unix_ms),
        }
        if !given {
            self.advance();
        }
        if let Some(turns) = self.turns.queue_news()
            && !self.is_finished()
        {
            self.show(Show::Queue { turns });
        }
    }

    /// The next action; `None` if there is none for now.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.out.pop_front()
    }

    /// The next bytes that the protocol of a process sends by itself; `None` if there are none for now. They precede the
    /// actions of the same fact, are not decisions and are not recorded.
    pub fn poll_send(&mut self) -> Option<(ProcId, Vec<u8>)> {
        let mut processes = self.processes.iter_mut();
        processes.find_map(|process| Some((process.id, process.poll_send()?)))
    }

    /// The bytes of a message for a process's stdin; `None` if the process has ended or its CLI has no such message.
    #[must_use]
    pub fn encode(&self, proc: ProcId, say: &Say<'_>) -> Option<Vec<u8>> {
        self.processes.get(proc)?.encode(say)
    }

    /// The earliest moment at which [`Input::Elapsed`] is due; `None` if only facts can advance the run.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Tick> {
        let mut deadlines: Vec<Tick> = self.processes.iter().filter_map(Process::deadline).collect();
        deadlines.extend(self.processes.iter().filter_map(Process::tell_at));
        deadlines.extend(self.measure_deadline().map(|(_, due)| due));
        deadlines.extend(self.put_back_until());
        deadlines.extend(self.token_deadline());
        deadlines.extend(self.cost_deadline());
        deadlines.extend(self.judges_beside_workers().then(|| self.now()));
        match &self.stage {
            Stage::Working => {
                deadlines.extend(self.tree_is_kept_until());
                if self.processes.agent().is_none() && !self.is_choosing() && !self.is_paused() {
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
            Stage::SettingUp { .. } => deadlines.extend(self.time_deadline()),
            Stage::Checking(checking) => {
                deadlines.extend(checking.waits_until().filter(|_| checking.tree().is_some()));
                deadlines.extend(self.time_deadline());
            }
            Stage::Resting(_) => {
                deadlines.extend(self.rest_deadline());
                deadlines.extend(self.workers_lost_at());
                if self.waits_for_workers_now() {
                    deadlines.extend(self.time_deadline());
                }
                // What ended the rest did not advance the run: see `Core::handle`.
                deadlines.extend(self.rest_is_over().then(|| self.now()));
                deadlines.extend(self.wants_interface().then(|| self.processes.agent_not_before()));
            }
            Stage::NotBegun => {}
            Stage::Closing { .. } => deadlines.extend(self.tests_deadline()),
            Stage::Finished => return None,
        }
        deadlines.into_iter().min()
    }

    /// The wall time (unix milliseconds) at which [`Input::Elapsed`] is also due; `None` if no wait depends on the wall clock.
    /// Ticks do not show that the clock was set or that the machine slept. So the driver should be woken by the wall clock, and
    /// when it is set, if it can.
    #[must_use]
    pub fn poll_wall_timeout(&self) -> Option<i64> {
        let rests = matches!(self.stage, Stage::Resting(_)) && !self.waits_for_workers_now();
        if matches!(self.stage, Stage::NotBegun) || rests || self.is_closing() {
            return None;
        }
        self.stage
            .pause()
            .and_then(|pause| pause.until_unix_ms())
            .into_iter()
            .chain(self.plan.budgets.until_unix_ms)
            .min()
    }

    /// The wall clock now, unix milliseconds, by the core's last reading.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.unix_ms()
    }

    /// Whether a process is the agent or a critic; `None` if it has ended.
    #[must_use]
    pub fn role(&self, proc: ProcId) -> Option<Role> {
        self.processes.get(proc).map(|process| process.role)
    }

    /// Whether the run is over.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        matches!(self.stage, Stage::Finished)
    }

    /// The plan of the run.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// The agent's session, once known.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.session.id()
    }

    /// The user's messages that a resumed run sends, again or for the first time; `recorded` as in [`super::ExitFact`]. All of
    /// them if a new session is needed, because there is no record of the old one.
    #[must_use]
    pub fn user_words_to_say(&self, recorded: Option<bool>, has_record: bool) -> Vec<&str> {
        if matches!(self.stage, Stage::NotBegun) {
            return vec![&self.plan.task];
        }
        self.turns.user_words_to_say(recorded, !has_record || self.session.is_rejected())
    }

    /// The agent's process, if there is one.
    #[must_use]
    pub fn agent_proc(&self) -> Option<ProcId> {
        self.processes.agent().map(|agent| agent.id)
    }

    /// The session and its unanswered turn: what to look for in the transcript when the process has ended.
    #[must_use]
    pub fn unanswered_turn(&self) -> Option<(&str, &TurnId)> {
        self.session.id().zip(self.turns.unanswered())
    }

    /// The session that the next process of the agent resumes; `None` if `gone` ends and none follows it.
    #[must_use]
    pub fn session_after(&self, gone: Option<ProcId>) -> Option<&str> {
        if gone.is_some_and(|gone| self.is_closing() || self.agent_proc() != Some(gone)) {
            return None;
        }
        self.session.id().filter(|_| self.session.exists() && self.plan.agent.caps(&self.plan.agent_version).fork)
    }

    /// Judged stops so far, the current one included; in a conversation, since the user's last message.
    #[must_use]
    pub fn iteration(&self) -> u32 {
        self.stops.judged()
    }

    /// The iteration that is under way, for users: while the agent works, that of its next stop, if that is going to be judged.
    #[must_use]
    pub fn iteration_under_way(&self) -> u32 {
        let judged = self.stops.judged();
        match self.stage() {
            Stage::Working | Stage::Waiting(_) => judged.saturating_add(u32::from(self.plan.supervised)),
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Checking(_)
            | Stage::Reviewing(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => judged,
        }
    }

    /// Number of restarts of the agent.
    #[must_use]
    pub fn restarts(&self) -> u32 {
        self.tally.counted(Bound::Restarts)
    }

    /// How many calls of the agent's tools were denied, over the whole run.
    #[must_use]
    pub fn tools_denied(&self) -> u32 {
        self.tally.tools_denied()
    }

    /// Number of changes to another token.
    #[must_use]
    pub fn rotations(&self) -> u32 {
        self.tally.rotations()
    }

    /// What all processes have cost; `None` while unknown.
    #[must_use]
    pub fn cost_usd(&self) -> Option<f64> {
        self.tally.cost_usd()
    }

    /// What each process has cost, as far as it is known.
    #[must_use]
    pub fn cost_by_process(&self) -> &BTreeMap<ProcId, f64> {
        self.tally.cost_by_process()
    }

    /// The word for what the run is doing (design §10).
    #[must_use]
    pub fn phase(&self) -> &'static str {
        match &self.stage {
            Stage::Working if self.agent_is_asking() => "asking",
            Stage::Working | Stage::Reviewing(_) if self.is_asking() => "waiting",
            Stage::NotBegun => "starting",
            Stage::Working if self.processes.agent().is_none_or(|agent| agent.is_starting()) => "starting",
            Stage::Working => "working",
            Stage::SettingUp { .. } => "setting up",
            Stage::Checking(_) => "checking",
            Stage::Reviewing(_) => "reviewing",
            Stage::Waiting(_) => "waiting",
            Stage::Resting(resting) => resting.phase(),
            Stage::Closing { .. } => "ending",
            Stage::Finished => "finished",
        }
    }

    /// What the run waits for, and until when; `None` if it waits for nothing with a deadline.
    #[must_use]
    pub fn awaited(&self) -> Option<Awaited> {
        if let Some(pause) = self.stage.pause() {
            let what = if pause.is_for_limit() || pause.until_unix_ms().is_some() {
                "the reset of a usage limit"
            } else {
                "the provider, before it is asked again"
            };
            let until = pause.end(self.clock());
            let then = AfterWait::GoesOn;
            return Some(Awaited { what: what.to_owned(), since: pause.since(), until, then, alive: false });
        }
        match &self.stage {
            Stage::Working => {
                let agent = || self.processes.agent().and_then(|agent| agent.awaited(self.now()));
                self.awaited_answer().or_else(agent)
            }
            Stage::Reviewing(review) => {
                let critic = self.processes.get(review.critic()?)?;
                critic
                    .awaited(self.now())
                    .map(|awaited| Awaited { what: format!("the critic: {}", awaited.what), ..awaited })
            }
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Checking(_)
            | Stage::Waiting(_)
            | Stage::Resting(_)
            | Stage::Closing { .. }
            | Stage::Finished => None,
        }
    }

    /// Shows the user the waits that are due to be shown.
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
        let is_taken_up = self.steering.is_taken_up();
        if is_taken_up && resumed && !matches!(self.stage, Stage::NotBegun) && !self.turns.has_queued() {
            return self.taken_up(turn_recorded);
        }
        self.leaves_rest();
        let stage = std::mem::replace(&mut self.stage, Stage::Working);
        match stage {
            Stage::NotBegun if self.plan.conversation && self.plan.task.is_empty() => self.begin_without_task(),
            Stage::NotBegun => {
                self.decide("begin", "the task is the first turn");
                let task = self.plan.task.clone();
                self.turns.begin(TurnKind::Task, task);
            }
            Stage::Working
            | Stage::SettingUp { .. }
            | Stage::Waiting(_)
            | Stage::Checking(_)
            | Stage::Reviewing(_)
            | Stage::Resting(_)
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
                // A wait may have begun during a turn, which ended with its process.
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
            Stage::Resting(resting)
                if self.plan.conversation && !self.turns.has_queued() && !self.has_room_again(&resting) =>
            {
                self.lose_processes();
                self.turns.process_lost(turn_recorded);
                self.decide("go on resting", "ccc itself had ended while the run rested");
                if resting.kind() == RestKind::NoTask {
                    self.begin_without_task();
                } else {
                    self.rest(resting.rest().clone());
                }
            }
            Stage::Working | Stage::SettingUp { .. } | Stage::Resting(_) | Stage::Closing { .. } | Stage::Finished => {
                let is_over = matches!(stage, Stage::Finished);
                let why = if is_over { "the user resumed the run" } else { "ccc itself had ended before the run did" };
                self.lose_processes();
                (self.needs, self.spent) = (None, None);
                self.agent_ends.forget();
                self.tokens.retries_mut().forget();
                self.remedies.forget();
                self.failures.forget();
                if let (Some((bound, spent)), false) = (self.spent_budget(), self.turns.has_words_queued()) {
                    // The user must raise the bound or send a new message.
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

    /// Forgets all processes: after the end of ccc the driver has killed them.
    fn lose_processes(&mut self) {
        let now = self.now();
        self.processes.all_gone(now);
        self.asks_begin();
        self.steering.begin();
    }

    /// The user reopens a conversation, whatever its state: it rests until the next message. Without one it ends as it had
    /// ended before. An interrupted turn is kept and continued after the user's message.
    fn taken_up(&mut self, turn_recorded: Option<bool>) {
        self.leaves_rest();
        let (needs, spent) = (self.needs.take(), self.spent.take());
        if let Some(pause) = self.stage.pause() {
            self.end_wait(&pause);
        }
        if let Stage::Checking(_) | Stage::Reviewing(_) = self.stage {
            self.leave_unjudged();
        }
        let rest = match std::mem::replace(&mut self.stage, Stage::Working) {
            Stage::Resting(resting) => resting.rest().clone(),
            Stage::Closing { outcome, reason } => Rest::taken_up(Some((outcome, reason))),
            Stage::Finished => Rest::taken_up(self.ended.take()),
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Checking(_)
            | Stage::Reviewing(_)
            | Stage::Waiting(_) => Rest::taken_up(None),
        };
        self.lose_processes();
        self.agent_ends.forget();
        self.tokens.retries_mut().forget();
        self.remedies.forget();
        self.failures.forget();
        self.decide("rest", "the user goes on with the conversation");
        if self.session.is_rejected() {
            self.begin_new_session("the run had ended with that");
        } else {
            self.turns.process_lost(turn_recorded);
        }
        self.rest(rest);
        (self.needs, self.spent) = (needs, spent);
    }

    /// Begins a conversation without a task: the agent starts meanwhile.
    pub(super) fn begin_without_task(&mut self) {
        if self.sets_up() {
            return;
        }
        self.decide("begin", "the first words of the user will be the task");
        self.rest(Rest::of(RestKind::NoTask));
        if self.token_for_start() {
            self.spawn_agent();
        }
    }

    fn operator(&mut self, operator: OperatorInput) {
        self.taken = self.take(operator);
        if let Taken::Refused(refused) = &self.taken {
            let why = refused.in_words();
            self.note("refused", &why);
        }
    }

    /// The user ends the run: cleanly the first time, at once the second time.
    pub(super) fn interrupted(&mut self, reason: &str) {
        match &self.stage {
            Stage::Finished => self.ignored("an interruption of a finished run"),
            Stage::Closing { .. } => {
                self.decide("kill what still runs", reason);
                self.kill_all();
            }
            // There is a verdict and no later message.
            Stage::Resting(resting) if let Some((outcome, reason)) = resting.outcome() => {
                self.close(outcome, &reason);
            }
            Stage::NotBegun
            | Stage::SettingUp { .. }
            | Stage::Working
            | Stage::Checking(_)
            | Stage::Reviewing(_)
            | Stage::Waiting(_)
            | Stage::Resting(_) => self.close(Outcome::Interrupted, reason),
        }
    }

    /// A message to an ended run, or to one whose ccc died while it ended: the run continues with it when it is resumed.
    pub(super) fn told_a_turn(&mut self, text: String) {
        self.stops.starts_over();
        self.turns.queue(TurnKind::Operator, text);
    }

    pub(super) fn told_budgets(&mut self, budgets: Budgets) {
        self.decide("take the new bounds", "the user gave them");
        self.plan.budgets = budgets;
    }

    pub(super) fn told_a_plan(&mut self, plan: Plan) {
        self.decide("take the new settings", "the user gave them");
        self.session.settings_changed();
        let before = self.plan.clone();
        self.plan = before.changed_to(plan);
        self.setup.changed(&before.setup, &self.plan.setup);
        self.settings_changed(&before);
    }

    pub(super) fn told_anew(&mut self, text: String, instead_of: &[String]) {
        self.decide("take the user's new words", "the journal has marks in the place of secrets in the former ones");
        self.stops.starts_over();
        if instead_of.contains(&self.plan.task) {
            self.plan.task.clone_from(&text);
        }
        let is_begun = !matches!(self.stage, Stage::NotBegun);
        if !self.turns.restate(&text, instead_of) && is_begun {
            self.turns.queue(TurnKind::Operator, text);
        }
    }

    pub(super) fn moved_to(&mut self, real: String) {
        self.real_cwd = Some(real);
    }

    /// Resets the counts that depended on the old settings.
    fn settings_changed(&mut self, before: &Plan) {
        if self.plan.protect != before.protect {
            self.protection.patterns_changed();
        }
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
        self.put_back_overdue();
        self.tokens_elapsed();
        self.ask_costs_due();
        self.lose_workers_when_due();
        self.rest_elapsed();
        if self.time_deadline().is_some_and(|deadline| self.now() >= deadline) {
            let (bound, spent) = self.time_spent();
            match self.stage {
                Stage::Working | Stage::Waiting(_) => self.close_spent(bound, &spent),
                Stage::SettingUp { .. } => {
                    let why = format!("{spent}, {}", self.unfinished_setup());
                    self.close_spent(bound, &why);
                }
                Stage::Checking(_) | Stage::Reviewing(_) => {
                    self.leave_unjudged();
                    let why = format!("{spent}, {}", self.unjudged());
                    self.close_spent(bound, &why);
                }
                // A wait for workers is work.
                Stage::Resting(ref resting) if resting.kind() == RestKind::Workers => self.close_spent(bound, &spent),
                Stage::NotBegun | Stage::Resting(_) | Stage::Closing { .. } | Stage::Finished => {}
            }
        }
    }

    /// Does what the current state allows. Called after every input; emits nothing if there is nothing to do.
    fn advance(&mut self) {
        self.advance_stage();
        self.let_interface_go();
        // Also if the step above decided the end: no further input may come.
        if let Stage::Closing { outcome, reason } = &self.stage
            && self.processes.is_empty()
        {
            let (outcome, reason) = (*outcome, reason.clone());
            if self.put_back_until().is_none() && !self.end_waits_for_tests(outcome) {
                self.finish(outcome, reason);
            }
        }
    }

    fn advance_stage(&mut self) {
        if self.judges_beside_workers() {
            self.judges_after_workers();
        }
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
            Stage::Resting(_) if self.rest_is_over() => {
                let what = if self.waits_for_workers_now() { "go on" } else { "go on with what the user said" };
                self.decide(what, "the run rested");
                self.enter(Stage::Working);
                self.advance_work();
            }
            Stage::Resting(_) => self.bring_interface_back(),
            Stage::Checking(_) => self.begin_waiting_check(),
            Stage::NotBegun | Stage::SettingUp { .. } | Stage::Closing { .. } | Stage::Finished => {}
        }
    }

    /// What the run is doing.
    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    /// The running checks of a stop.
    pub(super) fn checking_mut(&mut self) -> Option<&mut Checking> {
        if let Stage::Checking(checking) = &mut self.stage { Some(checking) } else { None }
    }

    /// The running review.
    pub(super) fn review_mut(&mut self) -> Option<&mut StopUnderReview> {
        if let Stage::Reviewing(review) = &mut self.stage { Some(review) } else { None }
    }

    /// Changes the stage, unless the outcome is known.
    pub(super) fn enter(&mut self, stage: Stage) {
        if !self.is_closing() {
            self.leaves_rest();
            self.spent = None;
            self.stage = stage;
        }
    }

    /// Counts the rest so far.
    fn leaves_rest(&mut self) {
        if let Stage::Resting(resting) = &self.stage
            && resting.kind() != RestKind::Workers
        {
            let since = resting.since();
            self.tally.rested(since, self.now());
        }
    }

    /// Decides the outcome and begins to end the running processes.
    pub(super) fn close(&mut self, outcome: Outcome, reason: &str) {
        self.close_with(outcome, reason, None);
    }

    /// Ends the run because this bound is spent.
    pub(super) fn close_spent(&mut self, bound: Bound, reason: &str) {
        if !self.is_closing() {
            self.spent = Some(bound);
            self.close(Outcome::Budget, reason);
        }
    }

    /// Rests; without another message the run ends because this bound is spent.
    pub(super) fn rest_spent(&mut self, bound: Bound, reason: &str) {
        self.rest(Rest::judged(Outcome::Budget, reason));
        self.spent = Some(bound);
    }

    /// The bound for which the run rests has been raised.
    pub(super) fn budget_raised(&mut self) {
        self.spent = None;
    }

    /// Like [`Core::close`], with what the run needs to continue.
    pub(super) fn close_with(&mut self, outcome: Outcome, reason: &str, needs: Option<Needs>) {
        if self.is_closing() {
            return;
        }
        let mut reason = reason.to_owned();
        self.needs = needs.or_else(|| self.needs_permission(outcome));
        if outcome.row().names_permissions
            && let Some(missing) = self.missing_permissions(outcome, self.needs.as_ref())
            && !reason.ends_with(&missing)
        {
            reason = format!("{reason}; {missing}");
        }
        self.decide(&format!("end as {}", outcome.as_str()), &reason);
        let iteration = self.iteration();
        self.show_phase("ending", outcome.as_str(), None, iteration);
        if let Stage::Waiting(pause) = self.stage {
            self.end_wait(&pause);
        }
        self.rotation.stop_choosing();
        self.asking.stop();
        if let Stage::Checking(checking) = &self.stage
            && let Some(check) = checking.running()
        {
            self.protection_gives_up(check);
            self.act(Action::CancelCheck { check });
        }
        // A command that has failed has ended.
        if let Stage::SettingUp { check } = self.stage
            && self.needs != Some(Needs::Setup)
        {
            self.act(Action::CancelCheck { check });
        }
        if let (Stage::Checking(_) | Stage::Reviewing(_), true) = (&self.stage, outcome.row().breaks_off) {
            self.leave_unjudged();
        }
        self.leaves_rest();
        self.stage = Stage::Closing { outcome, reason };
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        self.out.extend(self.processes.end(now, grace_ms));
    }

    /// Whether the outcome is known.
    pub(super) fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. } | Stage::Finished)
    }

    /// The user has not agreed to what the project's files now make a process run, or to where they make it send its
    /// credential. The current stop stays unjudged: a resumed run judges it.
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

    /// Nothing may work without the sandbox that the user has asked for.
    fn sandbox_is_missing(&mut self, role: Role) {
        if self.is_closing() {
            return;
        }
        if let Stage::Checking(_) | Stage::Reviewing(_) = &self.stage {
            self.leave_unjudged();
        }
        let who = match role {
            Role::Agent => "agent",
            Role::Critic => "critic",
        };
        let reason = format!(
            "the {who}'s CLI runs without its own sandbox, and guard.mode is agent-sandbox; what it lacks says: ccc doctor"
        );
        self.close(Outcome::NeedsUser, &reason);
    }

    fn kill_all(&mut self) {
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        self.out.extend(self.processes.kill(now, grace_ms));
    }

    fn finish(&mut self, outcome: Outcome, reason: String) {
        self.stage = Stage::Finished;
        self.ended = Some((outcome, reason.clone()));
        self.show(Show::Finished { outcome, reason: reason.clone() });
        let mut result = self.stops.last_answer().to_owned();
        result.truncate(result.floor_char_boundary(RESULT_BYTES));
        let finish = Finish {
            outcome,
            reason,
            result,
            session_id: self.session.id().filter(|_| self.session.exists()).map(str::to_owned),
            iterations: self.stops.judged_in_all(),
            restarts: self.tally.counted(Bound::Restarts),
            rotations: self.tally.rotations(),
            waited_ms: self.tally.waited_ms(),
            cost_usd: self.tally.cost_usd(),
            session_rejected: self.session.is_rejected(),
            tokens_used: self.plan.budgets.max_tokens.map(|_| self.tokens_used().total()),
            needs: self.needs.clone(),
            spent: self.spent.and_then(|bound| self.of_bound(bound)),
            tests: Box::new(self.tests.found().clone()),
            protected: self.protection_at_end(),
        };
        self.act(Action::Finish(finish));
    }

    /// Lines of noise or of repetitions: the sample is handled like a line, the rest is only counted.
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
            // The length of a line over the limit was reported while it came.
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

    /// Handles an event that agent and critic have in common.
    pub(super) fn common_event(&mut self, proc: ProcId, role: Role, event: &AgentEvent) {
        match event {
            AgentEvent::Text { text, under } => {
                let sub_agent = under.is_some();
                if let Some(process) = self.process_mut(proc) {
                    process.model_speaks();
                }
                self.brings_progress(proc);
                // A sub-agent's request may precede the exchange, and its model may be another.
                if !sub_agent {
                    self.exchange_bears_out(proc);
                    self.session.answers(role);
                }
                self.show(Show::Text { role, text: text.clone(), sub_agent, under: under.clone() });
            }
            AgentEvent::Thinking { text, under } => {
                self.show(Show::Thinking { role, text: text.clone(), under: under.clone() });
            }
            AgentEvent::Todo(items) => {
                if role == Role::Agent {
                    self.show(Show::Todo { items: items.clone() });
                }
            }
            AgentEvent::Offers(offers) => self.show(Show::Offers { offers: offers.clone() }),
            AgentEvent::ToolStarted { id, name, target, edit, under, .. } => {
                self.brings_progress(proc);
                if under.is_none() {
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
                    under: under.clone(),
                });
                self.cost_moves(proc);
                self.end_turn_over_tokens(proc, role);
            }
            AgentEvent::ToolEnded { id, failed, error, output, hunks } => {
                if role == Role::Agent {
                    self.stops.call_ended(id, *failed);
                }
                let (id, error, output, hunks) = (id.clone(), error.clone(), output.clone(), hunks.clone());
                self.show(Show::ToolEnded { role, id, failed: *failed, error, output, hunks });
                self.cost_moves(proc);
            }
            AgentEvent::Denied(denial) => {
                if role == Role::Agent {
                    self.tally.tool_denied();
                }
                self.show(Show::Denied { role, tool: denial.tool.clone(), target: denial.target.clone() });
            }
            AgentEvent::RetryAnnounced { attempt, max_attempts, delay_ms, status } => {
                let what = super::retry::what_failed(*status);
                let seconds = *delay_ms as f64 / 1_000.0;
                self.tell_user(format!(
                    "{what}; the agent tries again by itself in {seconds:.1}s (attempt {attempt} of {max_attempts})"
                ));
                let (attempt, max_attempts, delay_ms) = (*attempt, *max_attempts, *delay_ms);
                self.show(Show::Retrying { role, attempt, max_attempts, delay_ms });
                self.retry_with_token(proc, *status, delay_ms);
            }
            AgentEvent::Question { request_id, subtype, ask } => {
                self.question_asked(proc, role, request_id, subtype, ask);
            }
            AgentEvent::QuestionWithdrawn { request_id } => self.question_withdrawn(proc, request_id),
            AgentEvent::TurnUnreported => {
                self.stalled(
                    proc,
                    "it has worked by itself several times and has not taken up the turn that it was given",
                );
            }
            AgentEvent::Cost { process_usd } => self.cost_told(proc, *process_usd),
            AgentEvent::CostAnswered { process_usd } => self.cost_answered(proc, *process_usd),
            AgentEvent::Usage(count) => self.usage_told(proc, *count),
            AgentEvent::Context(used) if role == Role::Agent => self.context_told(*used),
            // The critic's conversation ends with its verdict.
            AgentEvent::Context(_) => {}
            AgentEvent::Limit(limit) => self.windows_told(proc, limit),
            AgentEvent::CredentialAnswered { applied } => self.credential_answered(proc, *applied),
            AgentEvent::SentBack { .. } | AgentEvent::Compacting(false) => self.cost_moves(proc),
            AgentEvent::TurnEnded(_) | AgentEvent::Waiting(WaitingFor::FollowUp | WaitingFor::Idle { .. }) => {
                self.asks_are_over(proc, SettledHow::Withdrawn);
                self.cost_is_settled(proc);
            }
            AgentEvent::Waiting(WaitingFor::Background { .. } | WaitingFor::Scheduled { .. }) => {
                self.cost_is_settled(proc);
                let now = self.now();
                let show = self.process_mut(proc).filter(|process| process.deadline() > Some(now));
                let show = show.and_then(|process| process.show_awaited(now));
                self.out.extend(show.map(Action::Show));
            }
            AgentEvent::SandboxMissing => self.sandbox_is_missing(role),
            AgentEvent::Alive
            | AgentEvent::Progress
            | AgentEvent::SessionKnown { .. }
            | AgentEvent::TurnAccepted { .. }
            | AgentEvent::TurnStarted { .. }
            | AgentEvent::HookStarted { .. }
            | AgentEvent::HookEnded { .. }
            | AgentEvent::CutShort
            | AgentEvent::PermissionMode(_)
            | AgentEvent::PermissionModeRefused { .. }
            | AgentEvent::UserSaid { .. }
            | AgentEvent::StopAbandoned
            | AgentEvent::UserLeaves { .. }
            | AgentEvent::Compacting(true)
            | AgentEvent::ActionRequired(_) => {}
        }
    }

    /// A wait of this length.
    pub(super) fn pause_of(&self, ms: u64) -> Pause {
        Pause::lasting(ms, self.clock())
    }

    /// Milliseconds up to this wall time; 0 when it has passed.
    pub(super) fn ms_until(&self, unix_ms: i64) -> u64 {
        self.clock.ms_until(unix_ms)
    }

    /// Begins a wait. A wait after a transient failure does not shorten a wait for a reset: a turn that the agent begins by
    /// itself may cause one meanwhile.
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

    /// The wall clock now, by its last reading and the ticks since.
    pub(super) fn unix_ms(&self) -> i64 {
        self.clock.unix_ms()
    }

    /// The wall clock at a tick, unless it is set meanwhile.
    pub(super) fn unix_ms_at(&self, tick: Tick) -> i64 {
        self.clock.unix_ms_at(tick)
    }

    /// The run's own time.
    pub(super) fn now(&self) -> Tick {
        self.clock.now()
    }

    /// The time in ticks and on the wall clock.
    pub(super) fn clock(&self) -> Clock {
        self.clock
    }

    pub(super) fn process_mut(&mut self, proc: ProcId) -> Option<&mut Process> {
        self.processes.get_mut(proc)
    }

    /// The token of this process.
    pub(super) fn token_of(&self, proc: ProcId) -> Option<TokenId> {
        self.processes.get(proc)?.credential().token().cloned()
    }

    /// Advances the end of a process and emits the action for it.
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

    /// Shows a notice to the user.
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
        let iteration = self.iteration_under_way();
        self.show_phase(phase, detail, None, iteration);
    }

    /// The run waits for the end of this pause.
    pub(super) fn phase_waits(&mut self, why: &str, pause: &Pause) {
        let left_ms = pause.end(self.clock()).ms_since(self.now());
        let iteration = self.iteration_under_way();
        self.show_phase("waiting", why, Some(left_ms), iteration);
    }

    fn show_phase(&mut self, phase: &str, detail: &str, goes_on_in_ms: Option<u64>, iteration: u32) {
        self.show(Show::Phase { phase: phase.to_owned(), detail: detail.to_owned(), iteration, goes_on_in_ms });
    }
}
