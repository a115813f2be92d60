//! The agent's side: its start, the delivery of turns, and what follows its events, failures and ends.

use super::conversation::{CutOff, Delivery, Turn};
use super::machine::Stage;
use super::policy::{Again, Pause, announced_reset, pause_ms};
use super::process::{Due, Process};
use super::restart::{AgentEnd, Restart, RestartContext, policy};
use super::resting::Rest;
use super::sent_back::Back;
use super::shell::words;
use super::stop_under_review::StopUnderReview;
use super::{
    Action, Approvals, Bound, Core, CriticPrompt, ExitFact, Outcome, ProcId, RestKind, Send, SettledHow, Show, Spawn,
    SpawnFault, TokenKind,
};
use crate::agent::{
    AgentEvent, ExitCause, FailureCause, LaunchRequest, Role, SessionOpen, StartedBy, TurnEnd, TurnOutcome,
};

/// Why a run waits for a reset that it knows of.
pub(super) const RESET_TO_COME: &str = "the reset of the usage limit is still to come";

/// Exit codes from here on stand for signals (128 plus the signal's number).
const SIGNALLED_CODE: i32 = 128;

impl Core {
    pub(super) fn advance_work(&mut self) {
        if self.is_choosing() || self.sets_up() {
            return;
        }
        self.turns.said_comes_first();
        // The user's message does not wait for background work.
        if !self.is_paused() && self.turns.queued().next().is_some() {
            self.stop_waiting("the user has said something");
        }
        match self.processes.agent() {
            Some(agent) if !agent.is_ready() => {}
            Some(agent) => {
                let proc = agent.id;
                self.say_or_stop(Some(proc));
            }
            None => self.say_or_stop(None),
        }
    }

    /// Sends the current turn to the idle agent, starts an agent for it, or begins a stop if there is no turn.
    fn say_or_stop(&mut self, idle: Option<ProcId>) {
        if self.is_paused() {
            self.rest(Rest::of(RestKind::Paused));
            return;
        }
        if self.put_back_until().is_some() {
            return;
        }
        if let Some(pause) = self.reset_to_come() {
            if !self.is_closing() {
                self.decide("go on waiting", RESET_TO_COME);
                self.phase_waits(RESET_TO_COME, &pause);
                self.begin_wait(pause);
            }
            return;
        }
        if self.turns.current().is_none() && !self.turns.begin_queued() {
            // A wait for a token has ended before the first message.
            if self.plan.conversation && self.turns.said().is_empty() {
                self.rest(Rest::of(RestKind::NoTask));
            } else {
                self.begin_stop();
            }
            return;
        }
        let Some(turn) = self.turns.current().cloned() else { return };
        if turn.delivery != Delivery::Queued {
            return;
        }
        let goes_on = turn.goes_on();
        // The previous turn was cut off, so no verdict has checked the bound since.
        let spent = self.overspent_since(self.turns.cost_before());
        let spent = spent.or_else(|| self.usage.overspent(self.plan.budgets.max_tokens));
        if let Some((bound, spent)) = spent.filter(|_| goes_on) {
            self.close_spent(bound, &format!("{spent}; the turn had been broken off"));
            return;
        }
        if idle.is_some() && self.tree_is_kept_until().is_some() {
            return;
        }
        let ready = match idle {
            None => self.now() >= self.processes.agent_not_before() && self.token_for_start(),
            Some(proc) => self.has_token(proc),
        };
        if !ready {
            return;
        }
        match self.may_ask_again() {
            Again::Now => {}
            Again::After(pause) => {
                self.decide("wait before the turn is said again", "it was said several times and nothing came of it");
                self.phase_waits("before the turn is said again", &pause);
                self.begin_wait(pause);
                return;
            }
            Again::Never => {
                self.close_unanswered();
                return;
            }
        }
        match idle {
            None => self.spawn_agent(),
            Some(proc) if self.starts_again_with_words(proc) => {}
            Some(proc) => {
                self.turn_is_said(proc, &turn);
                let Turn { id: turn, kind, text, images, .. } = turn;
                self.act(Action::Send(Send { proc, turn, kind, text, images }));
                self.phase_changes("working", "");
            }
        }
    }

    /// The current turn goes to this process.
    fn turn_is_said(&mut self, proc: ProcId, turn: &Turn) {
        self.turn_is_asked();
        self.is_asked(proc);
        self.turns.sent(proc, self.spent_usd());
        self.steering.turn_sent();
        if !turn.goes_on() {
            self.usage.asked();
        }
        let now = self.now();
        if let Some(agent) = self.processes.agent_mut() {
            agent.asked(&turn.id, now);
        }
        self.show(Show::Turn { kind: turn.kind, text: turn.text.clone() });
    }

    pub(super) fn spawn_agent(&mut self) {
        self.checkpoint_before_start();
        let open = self.session.open();
        let resumes = matches!(open, SessionOpen::Resume(_) | SessionOpen::Copy(..));
        let model = self.session.model().filter(|_| resumes || self.session.model_is_chosen()).map(str::to_owned);
        self.phase_changes("starting", if resumes { "resuming the session" } else { "a new session" });
        // An interface gets the turn as its first prompt.
        let words = self.words_at_start();
        let proc = self.start_process(Role::Agent, open, model.as_deref(), words.as_deref());
        if let Some(turn) = self.turns.current().filter(|_| words.is_some()).cloned() {
            self.turn_is_said(proc, &turn);
        }
    }

    /// Starts a process with the current token.
    pub(super) fn start_process(
        &mut self,
        role: Role,
        open: SessionOpen,
        model: Option<&str>,
        words: Option<&str>,
    ) -> ProcId {
        let (plan, proc) = (&self.plan, self.processes.next_id());
        // Another service has other models: use the token's model with the token, and not with another one.
        let of_token = self.tokens.fact(self.tokens.current()).and_then(|fact| fact.model.as_deref());
        let model = of_token.or(model.filter(|model| !self.tokens.is_model_of_a_token(model)));
        let critic = (role == Role::Critic).then_some(&plan.critic);
        let checks = plan.checks.iter().filter(|_| critic.is_none() && plan.allow_checks);
        let checks: Vec<String> = checks.map(|check| check.command.clone()).collect();
        let request = LaunchRequest {
            run_id: &plan.run_id,
            proc,
            role,
            open,
            model,
            model_is_chosen: of_token.is_some() || self.session.model_is_chosen(),
            permission_mode: self.session.chosen_mode().filter(|_| role == Role::Agent),
            asks: matches!(plan.approvals, Approvals::Ask { .. }),
            agent_version: &plan.agent_version,
            user_args: &plan.agent_args,
            share_prompt_prefix: plan.share_prompt_prefix,
            system_prompt_file: critic
                .filter(|critic| critic.prompt_as == CriticPrompt::System)
                .and_then(|critic| critic.prompt_file.as_deref()),
            allowed_commands: &checks,
            critic_allow: critic.map_or(&[], |critic| &critic.allow),
            critic_runs_all: critic.is_some_and(|critic| critic.on_a_copy),
            one_tree: plan.one_tree,
            sandbox: plan.walls.sandbox.as_ref().map(|settings| match role {
                Role::Agent => settings.agent.as_str(),
                Role::Critic => settings.critic.as_str(),
            }),
            without_hooks: critic.is_some_and(|critic| critic.without_hooks),
            hookless_settings: critic.and_then(|critic| critic.settings_file.as_deref()),
            words,
            interface_settings: plan.interface_settings.as_deref().filter(|_| critic.is_none()),
            cwd: &plan.cwd,
        };
        let launch = plan.agent.launch(&request);
        let process = Process::new(plan.agent, &request, self.now(), plan.timeouts);
        let token = self.tokens.current().cloned();
        self.processes.begin(process.with_token(token.clone()));
        self.act(Action::Spawn(Spawn { proc, role, launch, token }));
        proc
    }

    pub(super) fn spawned(&mut self, proc: ProcId, pid: u32, transport: &str) {
        match self.process_mut(proc) {
            Some(process) => {
                process.started();
                self.ask_first_cost(proc);
                self.note("spawned", &format!("process {proc} has pid {pid} on a {transport}"));
            }
            None => self.ignored(&format!("the start of process {proc}, which nobody wants any more")),
        }
    }

    pub(super) fn spawn_failed(&mut self, proc: ProcId, fault: SpawnFault, message: &str) {
        let Some(process) = self.processes.gone(proc) else {
            self.ignored(&format!("the failed start of process {proc}"));
            return;
        };
        match (process.role, fault) {
            (Role::Agent, SpawnFault::NotFound | SpawnFault::NotExecutable | SpawnFault::BadDirectory) => {
                self.restart_agent(&AgentEnd::NoProgram, &format!("could not be started: {message}"), None);
            }
            (Role::Critic, SpawnFault::NotFound | SpawnFault::NotExecutable | SpawnFault::BadDirectory) => {
                self.close(Outcome::Failed, &format!("the agent could not be started: {message}"));
            }
            (Role::Agent | Role::Critic, SpawnFault::NoCredential) => self.token_not_had(&process, message),
            (Role::Agent | Role::Critic, SpawnFault::NotAgreed) => self.agreement_is_missing(message),
            (Role::Agent, SpawnFault::Exhausted | SpawnFault::Other) => {
                self.restart_agent(&AgentEnd::NotStarted, &format!("could not be started: {message}"), None);
            }
            (Role::Critic, SpawnFault::Exhausted | SpawnFault::Other) => {
                self.critic_failed(&format!("it could not be started: {message}"));
            }
        }
    }

    pub(super) fn exited(&mut self, proc: ProcId, exit: &ExitFact) {
        let Some(process) = self.processes.gone(proc) else {
            self.ignored(&format!("the end of process {proc}, which was given up before"));
            return;
        };
        if exit.swept > 0 {
            self.note("swept", &format!("{} descendants of process {proc} were killed", exit.swept));
        }
        if exit.leaked > 0 {
            let text = format!("{} descendants of process {proc} could not be ended", exit.leaked);
            self.note("leaked", &text);
            self.tell_user(format!("{text}; what is left at the end of the run is named then"));
        }
        if exit.dropped_lines > 0 {
            let text =
                format!("{} lines that process {proc} wrote after it was told to end were dropped", exit.dropped_lines);
            self.note("lines dropped", &text);
        }
        self.asks_are_over(proc, SettledHow::Gone);
        match process.role {
            Role::Agent => self.agent_exited(&process, exit),
            Role::Critic => self.critic_exited(proc, exit),
        }
    }

    fn agent_exited(&mut self, process: &Process, exit: &ExitFact) {
        let how = describe_exit(exit);
        let by_itself = !process.is_ending() && process.hung().is_none();
        if by_itself && self.interface_ended(process, exit, &how) {
            return;
        }
        let stopped = matches!(self.stage(), Stage::Working) && self.steering.take_stop();
        match self.stage() {
            Stage::Closing { .. } | Stage::Finished | Stage::NotBegun | Stage::SettingUp { .. } => {
                self.note("exited", &format!("the agent's process {how}"))
            }
            Stage::Checking(_) | Stage::Reviewing(_) => {
                self.note(
                    "exited",
                    &format!("the agent's process {how} while idle; it is started again when it is needed"),
                );
            }
            Stage::Waiting(_) => {
                self.turns.process_lost(exit.turn_recorded);
                self.note("exited", &format!("the agent's process {how} during a wait; it is started again after it"));
            }
            Stage::Resting(_) => {
                self.turns.process_lost(exit.turn_recorded);
                self.note(
                    "exited",
                    &format!("the agent's process {how} while the run rests; it is started again when it is needed"),
                );
            }
            Stage::Working if stopped => {
                self.note("exited", &format!("the agent's process {how} after its turn was interrupted"));
                self.turns.answered();
                self.turn_is_stopped();
            }
            Stage::Working if process.is_leaving() => {
                self.turns.process_lost(exit.turn_recorded);
                self.note(
                    "exited",
                    &format!("the agent's process {how}, as it was asked to; it is started again when it is needed"),
                );
            }
            Stage::Working => {
                let death = self.death(process, exit);
                let how = match process.hung() {
                    Some(hung) => format!("hung: {hung}"),
                    None if matches!(death, AgentEnd::NoAgent) => describe_start(exit),
                    None => how,
                };
                self.restart_agent(&death, &how, exit.turn_recorded);
            }
        }
    }

    /// Why a process has ended that should not have.
    pub(super) fn death(&self, process: &Process, exit: &ExitFact) -> AgentEnd {
        // The program is no agent if no process of the run has ever written a line of the protocol, and it ends by itself or
        // writes other output for the whole start timeout. A signal, or an exit code that stands for one, shows that a CLI was
        // killed at its start instead.
        let by_itself = exit.signal.is_none() && exit.code.is_some_and(|code| code < SIGNALLED_CODE);
        if process.hung().is_some() {
            return if process.is_noisy() && !self.processes.have_spoken() {
                AgentEnd::NoAgent
            } else {
                AgentEnd::Hung
            };
        }
        if process.is_ending() {
            return AgentEnd::Exited(ExitCause::Crash);
        }
        // The adapter knows the CLI's own ends.
        if exit.out_of_memory {
            return AgentEnd::Exited(ExitCause::OutOfMemory);
        }
        match self.plan.agent.exit_cause(exit, self.session.exists()) {
            ExitCause::Clean | ExitCause::Crash if by_itself && !self.processes.have_spoken() => AgentEnd::NoAgent,
            cause @ (ExitCause::Clean
            | ExitCause::Crash
            | ExitCause::OutOfMemory
            | ExitCause::SessionInUse
            | ExitCause::SessionUnknown
            | ExitCause::BadUsage { .. }
            | ExitCause::RefusedToStart { .. }) => AgentEnd::Exited(cause),
        }
    }

    pub(super) fn restart_agent(&mut self, death: &AgentEnd, how: &str, turn_recorded: Option<bool>) {
        self.turns.process_lost(turn_recorded);
        let ends = self.agent_ends.ended(self.now());
        let standing = RestartContext {
            ends,
            max_restarts: self.plan.budgets.max_restarts,
            session_is_ours: self.session.is_ours(),
            program: &self.plan.agent_program,
            has_interface: self.has_interface(),
            how,
        };
        let restart = policy(death, standing);
        // Learning whether the session exists is not a failure that needs a pause.
        let failures = if matches!(restart, Restart::Resuming | Restart::Beginning) { ends - 1 } else { ends };
        self.processes.hold_agent(self.now().plus_ms(pause_ms(failures, 0, &self.plan.seed)));
        match restart {
            Restart::GiveUp { reason } => {
                self.close_as_given_up(death, &reason);
                return;
            }
            Restart::Again => {
                self.decide("restart the agent", &format!("its process {how}"));
            }
            Restart::Resuming if self.session.is_missing() => {
                self.session.renew(&self.plan.seed);
                self.decide("begin a new session", "this one has a record, but no conversation in it");
            }
            Restart::Resuming => {
                self.session.found();
                self.decide("resume the session", "it exists already");
            }
            Restart::Beginning => {
                self.session.lost();
                self.turns.session_lost();
                self.decide("begin the session", "it does not exist yet, or was lost before it was saved");
            }
        }
        self.tally.count(Bound::Restarts);
        self.phase_changes("restarting", how);
    }

    pub(super) fn agent_event(&mut self, proc: ProcId, event: AgentEvent) {
        self.common_event(proc, Role::Agent, &event);
        match event {
            AgentEvent::SessionKnown { session_id, model, agent_version, permission_mode, cwd } => {
                if !cwd.is_empty() && cwd != self.plan.cwd && self.real_cwd.as_ref() != Some(&cwd) {
                    let text = format!("the agent works in {cwd}, the run belongs to {}", self.plan.cwd);
                    self.note("directory", &text);
                    if is_elsewhere(&cwd, self.real_cwd.as_ref().unwrap_or(&self.plan.cwd), self.plan.agent.own_trees())
                    {
                        self.tell_user(format!(
                            "{text}: checks, critic and the watch over the files stay there, and do not see it"
                        ));
                    }
                }
                self.permission_mode(proc, &permission_mode);
                // A run that is ending does not show the session any more.
                if self.session.named(&session_id, &model) && !self.is_closing() {
                    self.show(Show::Session { session_id, model, agent_version, permission_mode });
                }
            }
            AgentEvent::TurnAccepted { turn, duplicate } => {
                self.session.found();
                if !self.turns.accepted(&turn, proc) {
                    self.ignored(&format!("the acknowledgement of turn {turn}, which is not the present one"));
                } else if duplicate && self.steering.take_stop() {
                    self.order(proc, Process::idle_while_ending);
                    self.turns.answered();
                    self.turn_is_stopped();
                } else if duplicate {
                    self.decide("say continue", "the turn stood in the session already and will not be answered again");
                    self.turns.cut_off(CutOff::Restart);
                } else if self.has_interface() {
                    // Its turn was given at its start.
                    self.phase_changes("working", "");
                }
            }
            AgentEvent::TurnStarted { started_by: StartedBy::Itself } => self.agent_woke(),
            AgentEvent::TurnEnded(end) => self.agent_turn_ended(proc, end),
            AgentEvent::Denied(denial) => {
                let again = self.tally.denied(denial.clone());
                if again && let Some(advice) = self.permission_advice(&denial) {
                    let what = format!("{} {}", denial.tool, denial.target);
                    let text =
                        format!("{} was denied again, and the agent cannot allow it to itself; {advice}", what.trim());
                    self.tell_user(text);
                }
            }
            AgentEvent::PermissionMode(mode) => {
                self.session.leaves_chosen_mode(&mode);
                self.permission_mode(proc, &mode);
            }
            AgentEvent::PermissionModeRefused { why } => {
                self.session.mode_is_refused();
                self.tell_user(format!("the agent keeps its permission mode: {why}"));
                if let Some(mode) = self.session.reported_mode().map(str::to_owned) {
                    self.show(Show::PermissionMode { mode });
                }
            }
            AgentEvent::SentBack { hook, said } => self.sent_back(hook, said),
            AgentEvent::CutShort => self.cut_short(),
            AgentEvent::UserSaid { text } => self.user_said_there(proc, text),
            AgentEvent::StopAbandoned => self.stop_abandoned(),
            AgentEvent::UserLeaves { .. } => self.user_leaves(),
            AgentEvent::ToolStarted { .. } => self.sent_back.tool_used(),
            AgentEvent::TurnStarted { started_by: StartedBy::Us(_) }
            | AgentEvent::TurnUnreported
            | AgentEvent::Alive
            | AgentEvent::Progress
            | AgentEvent::SandboxMissing
            | AgentEvent::Text { .. }
            | AgentEvent::Thinking { .. }
            | AgentEvent::Todo(_)
            | AgentEvent::Offers(_)
            | AgentEvent::ToolEnded { .. }
            | AgentEvent::Question { .. }
            | AgentEvent::QuestionWithdrawn { .. }
            | AgentEvent::Limit(_)
            | AgentEvent::CredentialAnswered { .. }
            | AgentEvent::RetryAnnounced { .. }
            | AgentEvent::HookStarted { .. }
            | AgentEvent::HookEnded { .. }
            | AgentEvent::Compacting(_)
            | AgentEvent::ActionRequired(_)
            | AgentEvent::Cost { .. }
            | AgentEvent::CostAnswered { .. }
            | AgentEvent::Usage(_)
            | AgentEvent::Context(_)
            | AgentEvent::Waiting(_) => {}
        }
    }

    /// A hook keeps the agent from ending its turn. The tool calls in between show whether that helps.
    fn sent_back(&mut self, hook: String, said: String) {
        match self.sent_back.again(hook, said) {
            Back::GoOn => {}
            Back::Tell => {
                let (what, said) = self.sent_back.in_words();
                let text = format!("{what}: {said}");
                self.tell_user(text);
            }
            Back::Endless => self.close_as_sent_back(),
        }
    }

    fn close_as_sent_back(&mut self) {
        let (what, said) = self.sent_back.in_words();
        let reason = format!(
            "{what}, and it does nothing more: {said}; change that hook in the agent's settings, then: ccc resume {}",
            self.plan.run_id
        );
        self.close(Outcome::Stuck, &reason);
    }

    /// The agent's permission mode. In plan mode every turn would end with a plan that nobody approves. So ccc changes the mode
    /// back if the agent entered it by itself, and otherwise ends the run.
    fn permission_mode(&mut self, proc: ProcId, mode: &str) {
        if self.session.reports_mode(mode) {
            self.show(Show::PermissionMode { mode: mode.to_owned() });
        }
        if !self.plan.agent.only_plans_in(mode) {
            self.session.works_in(mode);
            return;
        }
        if self.may_plan() {
            return;
        }
        match self.session.permission_mode().map(str::to_owned) {
            Some(before) => {
                self.decide("leave plan mode", "the agent went into it, and nobody is there to approve a plan");
                self.tell_user(format!("the agent went into plan mode; it continues in the mode {before}, as before"));
                self.act(Action::SetPermissionMode { proc, mode: before });
            }
            None => self.close(
                Outcome::Failed,
                &format!(
                    "the agent is in plan mode, in which it may change nothing, and nobody is there to approve its plan; start \
                     again with a mode in which it may work: ccc resume {} --{}",
                    self.plan.run_id,
                    words(&self.plan.agent.args_to_work())
                ),
            ),
        }
    }

    /// Nobody approves a plan: returns to the previous mode, if there was one.
    pub(super) fn leave_plan_mode(&mut self, proc: ProcId) {
        if let Some(mode) = self.session.permission_mode().map(str::to_owned) {
            self.act(Action::SetPermissionMode { proc, mode });
        }
    }

    fn agent_turn_ended(&mut self, proc: ProcId, end: TurnEnd) {
        self.order(proc, Process::idle_while_ending);
        let ending = self.processes.agent().is_some_and(Process::is_ending);
        if !matches!(self.stage(), Stage::Working | Stage::Waiting(_)) {
            self.note("turn ended", "while the run is not waiting for it");
            self.limit_outlives(proc, &end);
            return;
        }
        // While the process is being ended, its exit handles the interruption.
        let stopped = !ending && self.steering.take_stop();
        if stopped {
            self.limit_outlives(proc, &end);
        }
        match end.outcome {
            TurnOutcome::Interrupted | TurnOutcome::Failed { .. } if stopped => {
                if let StartedBy::Us(turn) = &end.started_by
                    && self.turns.current().is_some_and(|current| current.id == *turn)
                {
                    self.turns.answered();
                }
                self.turn_is_stopped();
            }
            TurnOutcome::Done if self.compacted() => {}
            TurnOutcome::Done => {
                self.request_is_accepted(Role::Agent);
                self.agent_ends.forget();
                self.failures.forget();
                self.brings_progress(proc);
                self.token_works(proc);
                if self.sent_back.turn_ended() {
                    self.close_as_sent_back();
                    return;
                }
                self.stops.answered(end.text, end.left_open);
                if !end.unasked && !stopped {
                    self.checkpoint_at_stop();
                }
                if let StartedBy::Us(turn) = &end.started_by
                    && self.turns.current().is_some_and(|current| current.id == *turn)
                {
                    self.turns.answered();
                }
                let before = self.steering.rest_before();
                // The turn was answered before the interruption.
                if stopped {
                    self.turn_is_stopped();
                } else if let Some(rest) = before.filter(|_| end.unasked && !self.turns.has_queued()) {
                    // A command of the CLI, such as /context, changes nothing that could be judged.
                    self.decide("judge nothing", "the agent's CLI answered by itself, and the model was not asked");
                    if rest.kind() == RestKind::NoTask {
                        self.plan.task.clear();
                        self.turns.forget_task();
                    }
                    self.rest(rest);
                }
            }
            TurnOutcome::Interrupted if ending => {}
            TurnOutcome::Interrupted if self.has_interface() => {
                self.turns.answered();
                self.turn_is_stopped();
            }
            TurnOutcome::Interrupted => {
                self.decide("say continue", "the turn was interrupted, and not by ccc");
                self.failed_turn("the turn was interrupted", &end.started_by, CutOff::Failure);
            }
            TurnOutcome::Failed { cause, message } => self.agent_turn_failed(proc, &cause, &message, &end.started_by),
        }
    }

    fn agent_turn_failed(&mut self, proc: ProcId, cause: &FailureCause, message: &str, started_by: &StartedBy) {
        self.tokens
            .retries_mut()
            .failed(matches!(cause, FailureCause::Quota { .. } | FailureCause::Throttled { .. }), message);
        if let Some(pause) = self.refusal_pause(proc, cause) {
            self.cut_off(started_by);
            let why = if self.tokens.is_empty() {
                format!("there is none that the provider takes: {message}")
            } else {
                format!("it was refused: {message}")
            };
            self.decide("wait and try the credential once more", &why);
            self.phase_waits(message, &pause);
            self.begin_wait(pause);
            return;
        }
        if self.token_failed(proc, cause, message) {
            self.cut_off(started_by);
            return;
        }
        match cause {
            FailureCause::Quota { resets_at_unix_s } => {
                self.cut_off(started_by);
                self.wait_for_reset(proc, *resets_at_unix_s, message);
            }
            FailureCause::Throttled { .. } if self.does_not_wait_for_crowd(proc) => {
                self.cut_off(started_by);
                self.close_at_crowd(message);
            }
            FailureCause::Throttled { retry_after_ms } => {
                self.wait_for_provider(Role::Agent, *retry_after_ms, message, started_by);
                self.warn_of_high_usage(proc);
            }
            FailureCause::Unavailable => self.wait_for_provider(Role::Agent, None, message, started_by),
            FailureCause::CliLimit { which } if which == "turns" => {
                self.decide("take it as a stop", "the agent's own --max-turns was reached");
                self.turns.answered();
            }
            FailureCause::CliLimit { which } => {
                self.close(Outcome::Budget, &format!("the agent's own bound was reached: {which}"));
            }
            FailureCause::Refused => self.close_as_refused(message),
            FailureCause::Billing => self.close(Outcome::Failed, &format!("the account has no credit: {message}")),
            FailureCause::ModelNotFound => self.model_not_found(proc, Role::Agent, started_by),
            FailureCause::InvalidRequest | FailureCause::PromptTooLong | FailureCause::CreditsRequired => {
                self.request_rejected(proc, Role::Agent, cause, message, started_by);
            }
            // The same turn would be blocked again.
            FailureCause::Blocked { hook } => self.close_as_blocked(hook, "what the agent is told", message),
            FailureCause::MaxOutput => self.failed_turn(message, started_by, CutOff::TooLong),
            FailureCause::ModelRefusal | FailureCause::Unknown => {
                self.failed_turn(message, started_by, CutOff::Failure);
            }
        }
    }

    /// The provider fails transiently: agent or critic continues after a pause.
    pub(super) fn wait_for_provider(
        &mut self,
        role: Role,
        retry_after_ms: Option<u64>,
        message: &str,
        started_by: &StartedBy,
    ) {
        if role == Role::Agent {
            self.cut_off(started_by);
        }
        let Some(pause_ms) = self.failures.provider_failed(retry_after_ms, &self.plan.seed) else {
            self.close(Outcome::Failed, &format!("the provider keeps failing: {message}"));
            return;
        };
        match role {
            Role::Agent => {
                let reset = self.own_turns.take_broken_off(self.clock());
                let pause = reset.map_or_else(|| self.pause_of(pause_ms), |reset| reset.begun_now(self.clock()));
                let what = match reset {
                    Some(_) => "wait for the reset".to_owned(),
                    None => format!("wait {:.1} s and continue", pause_ms as f64 / 1_000.0),
                };
                self.decide(&what, &format!("the provider failed: {message}"));
                self.phase_waits(message, &pause);
                self.begin_wait(pause);
            }
            Role::Critic => {
                let pause = self.pause_of(pause_ms);
                self.retry_critic_after(pause, "wait and ask the critic again", message);
            }
        }
    }

    /// The provider refuses the credential. If ccc has found none, the agent may have sent none.
    pub(super) fn close_as_refused(&mut self, message: &str) {
        let run = &self.plan.run_id;
        let reason = if self.tokens.is_empty() {
            format!(
                "ccc has found no credential, and the agent has none that works: {message}; {}, or set a token (see \
                 `ccc tokens --help`), then: ccc resume {run}",
                self.plan.agent.log_in()
            )
        } else {
            format!("the credential was refused: {message}; log in again or set another one, then: ccc resume {run}")
        };
        self.close(Outcome::Failed, &reason);
    }

    /// A hook kept a turn from the model: no request was sent, so there is neither work nor a verdict.
    pub(super) fn close_as_blocked(&mut self, hook: &str, what: &str, message: &str) {
        let reason = format!(
            "the hook {hook} blocks {what}, so nothing reaches the model: {message}; change that hook in the agent's settings, \
             then: ccc resume {}",
            self.plan.run_id
        );
        self.close(Outcome::Failed, &reason);
    }

    /// A turn failed by itself (refusal, output limit, unknown cause): it is continued a few times, then the run ends.
    fn failed_turn(&mut self, message: &str, started_by: &StartedBy, why: CutOff) {
        let pause_ms = match self.failures.turn_failed() {
            Ok(pause_ms) => pause_ms,
            Err(times) => {
                self.close(Outcome::Failed, &format!("{times} turns in a row failed: {message}"));
                return;
            }
        };
        self.decide("say continue", &format!("the turn failed: {message}"));
        self.cut_off_as(why, started_by);
        self.begin_wait(self.pause_of(pause_ms));
    }

    /// The pause before the one retry of a refused credential, if there is no other: logins are refreshed by other processes.
    /// The pause is short for one that has never worked here.
    pub(super) fn refusal_pause(&mut self, proc: ProcId, cause: &FailureCause) -> Option<Pause> {
        let token = self.token_of(proc);
        // After an unproven exchange the failure may concern the previous token, which has its own rule.
        let proven = self.processes.get(proc).is_some_and(|process| process.credential().is_proven());
        let others = self.has_other_than(token.as_ref());
        if *cause != FailureCause::Refused || !proven || others {
            return None;
        }
        let pause_ms = self.failures.refused(self.tokens.has_worked(token.as_ref()))?;
        Some(self.pause_of(pause_ms))
    }

    pub(super) fn cut_off(&mut self, started_by: &StartedBy) {
        self.cut_off_as(CutOff::Failure, started_by);
    }

    fn cut_off_as(&mut self, why: CutOff, started_by: &StartedBy) {
        // A turn that the CLI began does not affect the turn of ccc.
        if *started_by != StartedBy::Itself || self.turns.current().is_none() {
            self.turns.cut_off(why);
        }
    }

    /// The rest of a wait for a reset that was interrupted, or that a turn announced which nobody waited for. Ends the run if it
    /// is not to wait. With tokens known to ccc, their state counts instead.
    pub(super) fn reset_to_come(&mut self) -> Option<Pause> {
        let clock = self.clock();
        let reset = if self.tokens.is_empty() { self.own_turns.take_broken_off(clock) } else { None };
        let pause = reset?.begun_now(clock);
        if self.plan.no_wait {
            self.close_not_waiting(&pause, None);
        }
        Some(pause)
    }

    fn wait_for_reset(&mut self, proc: ProcId, resets_at_unix_s: Option<i64>, message: &str) {
        let pause = self.reset_pause(proc, resets_at_unix_s);
        if self.plan.no_wait {
            self.close_not_waiting(&pause, Some(message));
            return;
        }
        if let Some(bound) = self.passes_a_bound(&pause) {
            self.close_at_limit(&pause, &format!("{bound}: {message}"));
            return;
        }
        self.decide("wait for the reset", message);
        self.phase_waits(message, &pause);
        self.begin_wait(pause);
    }

    /// The wait for a reset. If the reset is past or nearer than the backoff of repeated rejections, the wait is that backoff.
    pub(super) fn reset_pause(&mut self, proc: ProcId, resets_at_unix_s: Option<i64>) -> Pause {
        let token = self.token_of(proc);
        let clock = self.clock();
        let pause = Pause::lasting(self.tokens.retries().rejection_pause_ms(token.as_ref()), clock).at_limit();
        match announced_reset(resets_at_unix_s, clock.unix_ms()).filter(|reset| *reset > clock.unix_ms_at(pause.due()))
        {
            Some(reset) => Pause::until(reset.saturating_add(self.reset_jitter_ms()), clock),
            None => pause,
        }
    }

    /// Whether the run ends instead of waiting for throttling to end, because the user does not want to wait and the throttling
    /// is not momentary. A key's is reported only after the CLI's own retries, or at once if the provider asks for a long pause
    /// (facts §8); a subscription's counts from the second time.
    pub(super) fn does_not_wait_for_crowd(&mut self, proc: ProcId) -> bool {
        let token = self.token_of(proc);
        let oauth = self.tokens.kind(token.as_ref()) == Some(TokenKind::OAuth);
        self.plan.no_wait && (!oauth || self.failures.has_provider_failed())
    }

    /// Ends the run; see [`Core::does_not_wait_for_crowd`].
    pub(super) fn close_at_crowd(&mut self, message: &str) {
        let why = "the provider takes no more requests, and waiting was not wanted (--no-wait)";
        self.close(Outcome::Limits, &format!("{why}: {message}"));
    }

    pub(super) fn elapsed_processes(&mut self) {
        let (now, grace_ms) = (self.now(), self.plan.timeouts.grace_ms);
        let due: Vec<ProcId> = self
            .processes
            .iter()
            .filter(|process| process.deadline().is_some_and(|deadline| now >= deadline))
            .map(|process| process.id)
            .collect();
        for proc in due {
            let Some(process) = self.process_mut(proc) else { continue };
            match process.due(now, grace_ms) {
                Due::Act(action) => self.act(action),
                Due::Abandon => {
                    self.note("abandoned", &format!("process {proc} survives a kill; the run goes on without its end"));
                    self.exited(proc, &ExitFact::default());
                }
                Due::Settle => self.settle(proc),
                Due::Stalled(how) => self.stalled(proc, &how),
                Due::Nothing => {}
            }
        }
        let overdue = |review: &&StopUnderReview| self.review_deadline(review).is_some_and(|due| now >= due);
        let critic_overdue = self.stage().review().filter(overdue).and_then(StopUnderReview::critic);
        if critic_overdue.is_some() {
            let minutes = self.plan.critic.limits.timeout_ms as f64 / 60_000.0;
            self.critic_failed(&format!("it did not come to a verdict within {minutes:.1} min"));
        }
    }

    /// If the agent's turn is answered and only waits for background work, it counts as ended; the work continues. True if
    /// there was such a turn.
    pub(super) fn stop_waiting(&mut self, why: &str) -> bool {
        let now = self.now();
        let Some(agent) = self.processes.agent_mut().filter(|agent| !agent.is_ending()) else { return false };
        let Some(end) = agent.stop_waiting(now) else { return false };
        let proc = agent.id;
        self.decide("wait for background work no longer", why);
        self.agent_event(proc, AgentEvent::TurnEnded(end));
        true
    }

    fn settle(&mut self, proc: ProcId) {
        let now = self.now();
        let Some(process) = self.process_mut(proc) else { return };
        let role = process.role;
        let Some(end) = process.settle(now) else { return };
        let scheduled = process.scheduled_names();
        let left_open = end.left_open;
        let event = AgentEvent::TurnEnded(end);
        self.decide("take the turn as ended", "what it still waited for did not come in time");
        if left_open == 0 && !scheduled.is_empty() {
            let names = scheduled.join("; ");
            self.tell_user(format!("not waited for any longer (--background-timeout): {names}"));
        }
        match role {
            Role::Agent => self.agent_event(proc, event),
            Role::Critic => self.critic_event(proc, event),
        }
    }

    pub(super) fn stalled(&mut self, proc: ProcId, how: &str) {
        match self.process_mut(proc).map(|process| process.role) {
            Some(Role::Agent) => {
                self.decide("end the agent's process", how);
                self.tell_user(format!("the agent hangs ({how}); it is restarted on the same session"));
                self.order(proc, |agent, now, grace_ms| agent.hangs(how, now, grace_ms));
            }
            Some(Role::Critic) => self.critic_failed(how),
            None => {}
        }
    }

    pub(super) fn restart_pause_ms(&self, failures_in_a_row: u32) -> u64 {
        pause_ms(failures_in_a_row, 0, &self.plan.seed)
    }
}

/// Whether a directory is in another tree than the run's: outside it, or in a worktree that the CLI made inside it.
fn is_elsewhere(cwd: &str, of_run: &str, own_trees: &[&str]) -> bool {
    let inside = cwd.strip_prefix(of_run).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    let is_in = |rest: &str, tree: &str| {
        rest.strip_prefix('/').and_then(|rest| rest.strip_prefix(tree)).is_some_and(|rest| rest.starts_with('/'))
    };
    inside.is_none_or(|rest| own_trees.iter().any(|tree| is_in(rest, tree)))
}

/// An exit in words.
pub(super) fn describe_exit(exit: &ExitFact) -> String {
    let tail = exit.stderr_tail.trim();
    let said = tail.lines().next_back().map(|line| format!(" and said: {line}")).unwrap_or_default();
    match (exit.code, exit.signal) {
        _ if exit.out_of_memory => "was killed by the system: its memory (agent.memory_max) was used up".to_owned(),
        (_, Some(signal)) => format!("was killed by signal {signal}{said}"),
        (Some(code), None) => format!("exited with code {code}{said}"),
        (None, None) => format!("ended{said}"),
    }
}

/// As [`describe_exit`], for a program that ended before it did anything: the cause is usually what it said first.
pub(super) fn describe_start(exit: &ExitFact) -> String {
    let mut rows: Vec<&str> = exit.stderr_tail.lines().map(str::trim).filter(|row| !row.is_empty()).collect();
    if rows.len() > MAX_START_ROWS {
        rows.splice(MAX_START_ROWS - 1..rows.len() - 1, ["…"]);
    }
    describe_exit(&ExitFact { stderr_tail: rows.join(" / "), ..exit.clone() })
}

/// The most rows that are quoted of what a program said at its start, the last one included.
const MAX_START_ROWS: usize = 4;
