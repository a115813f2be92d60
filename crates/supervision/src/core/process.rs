//! One process of the run, as the core sees it.

use super::credential::Credential;
use super::flood::{FLOOD_GRACE_MS, Flood};
use super::shutdown::{Shutdown, ShutdownStep};
use super::spending::CostQuestions;
use super::watch::{Awaited, Overdue, Watch};
use super::{Action, ProcId, Show, Tick, Timeouts, TokenId, TurnId};
use crate::agent::{AgentEvent, AgentKind, Denial, LaunchRequest, Protocol, Role, Say, TurnEnd};

/// The state of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// `Spawn` was emitted and is not answered yet.
    Starting,
    /// It runs.
    Running,
    /// It is being ended.
    Ending(Shutdown),
}

/// What follows a passed deadline of a process.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Due {
    Nothing,
    /// The next step of its shutdown.
    Act(Action),
    /// It survived SIGKILL: do not wait for its exit.
    Abandon,
    /// What its turn still waited for did not come: the turn counts as ended.
    Settle,
    /// It hangs; the text says how.
    Stalled(String),
}

/// A process from its `Spawn` until its `Exited`.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: ProcId,
    pub(super) role: Role,
    life: Life,
    protocol: Box<dyn Protocol>,
    watch: Watch,
    credential: Credential,
    /// Consecutive rejections with status 429 that the CLI retries.
    throttles: u32,
    /// Consecutive refusals with status 401 that the CLI retries.
    refusals: u32,
    /// It is being ended without having failed.
    leaves: bool,
    /// How it hung, if it was ended for that.
    hung: Option<String>,
    /// It has written a line that is not part of its protocol.
    noisy: bool,
    /// Counts its output.
    flood: Flood,
    /// Its CLI has a message that interrupts a turn.
    interrupts: bool,
    /// It is the agent's own interface.
    is_interface: bool,
    /// The user has interrupted its turn, which must end by then.
    stops_until: Option<Tick>,
    /// The questions about its cost.
    cost_questions: CostQuestions,
}

impl Process {
    pub(super) fn new(kind: AgentKind, request: &LaunchRequest<'_>, now: Tick, limits: Timeouts) -> Process {
        let is_interface = kind.caps(request.agent_version).own_interface && request.role == Role::Agent;
        let watch = Watch::new(now, limits);
        Process {
            id: request.proc,
            role: request.role,
            life: Life::Starting,
            protocol: kind.protocol(request),
            watch: if is_interface { watch.of_interface() } else { watch },
            credential: Credential::default(),
            throttles: 0,
            refusals: 0,
            leaves: false,
            hung: None,
            noisy: false,
            flood: Flood::default(),
            interrupts: kind.caps(request.agent_version).interrupt,
            is_interface,
            stops_until: None,
            cost_questions: CostQuestions::default(),
        }
    }

    /// Sets its token.
    pub(super) fn with_token(mut self, token: Option<TokenId>) -> Process {
        self.credential = Credential::of(token);
        self
    }

    /// Its token and a pending exchange of it.
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }

    /// The questions about its cost.
    pub(super) fn cost_questions(&self) -> &CostQuestions {
        &self.cost_questions
    }

    pub(super) fn cost_questions_mut(&mut self) -> &mut CostQuestions {
        &mut self.cost_questions
    }

    /// Asks about its cost now.
    pub(super) fn ask_cost(&mut self, now: Tick) -> Action {
        Action::AskCost { proc: self.id, number: self.cost_questions.ask(now) }
    }

    /// Bytes that its protocol sends by itself.
    pub(super) fn poll_send(&mut self) -> Option<Vec<u8>> {
        self.protocol.poll_send()
    }

    /// The bytes of a message to it; `None` if its CLI has no such message.
    pub(super) fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>> {
        self.protocol.encode(say)
    }

    /// It wrote a line of JSON. Gives the events in the line; each must then be passed to [`Process::heard`].
    pub(super) fn line(&mut self, json: &str) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        self.protocol.line(json, &mut events);
        events
    }

    /// Updates the watch with this event.
    pub(super) fn heard(&mut self, event: &AgentEvent, now: Tick) {
        self.watch.event(now, event);
    }

    /// Whether it has written a line of its protocol.
    pub(super) fn has_spoken(&self) -> bool {
        self.protocol.has_spoken()
    }

    /// Whether no turn, of its own or of ccc, is running.
    pub(super) fn is_idle(&self) -> bool {
        self.protocol.is_idle()
    }

    /// Whether it may get a turn now: it is idle, or it is an interface that holds a stop.
    pub(super) fn takes_turn(&self) -> bool {
        self.protocol.takes_turn()
    }

    /// The stop that it holds is released.
    pub(super) fn stop_released(&mut self) {
        self.protocol.stop_released();
    }

    /// Its turn was interrupted by a key, which it does not report.
    pub(super) fn interrupted(&mut self) {
        self.protocol.interrupted();
        self.watch.rests();
        self.stops_until = None;
    }

    /// Whether it has called a tool that can write.
    pub(super) fn could_write(&self) -> bool {
        self.protocol.could_write()
    }

    /// Its open schedules.
    pub(super) fn scheduled_names(&self) -> Vec<String> {
        self.protocol.scheduled_names()
    }

    /// A part of a message came.
    pub(super) fn progresses(&mut self, now: Tick) {
        self.watch.progress(now);
    }

    /// It wrote output that does not count as progress.
    pub(super) fn lives(&mut self, now: Tick) {
        self.watch.alive(now);
    }

    /// What its turn still waited for did not come: the turn counts as ended. `None` if it is about to begin a turn about that;
    /// then it has the timeout of a model's answer.
    pub(super) fn settle(&mut self, now: Tick) -> Option<TurnEnd> {
        let end = self.protocol.settle();
        match &end {
            Some(end) => self.watch.event(now, &AgentEvent::TurnEnded(end.clone())),
            None => self.watch.asked(now),
        }
        end
    }

    /// If its turn is answered and only waits, for background work or a turn about it, the turn counts as ended. Otherwise
    /// `None`, and nothing changes.
    pub(super) fn stop_waiting(&mut self, now: Tick) -> Option<TurnEnd> {
        let end = self.protocol.settle()?;
        self.watch.event(now, &AgentEvent::TurnEnded(end.clone()));
        Some(end)
    }

    /// The CLI retries a request that failed with this status. Gives the consecutive number of such failures, if the status
    /// concerns the token.
    pub(super) fn tries_again(&mut self, status: Option<u16>) -> u32 {
        self.throttles = if status == Some(429) { self.throttles + 1 } else { 0 };
        self.refusals = if status == Some(401) { self.refusals + 1 } else { 0 };
        self.throttles.max(self.refusals)
    }

    /// Whether its last request was rejected with status 429 and its CLI retries.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttles > 0
    }

    /// The model has answered in part.
    pub(super) fn model_speaks(&mut self) {
        self.throttles = 0;
    }

    /// A turn was answered.
    pub(super) fn turn_answered(&mut self) {
        (self.throttles, self.refusals) = (0, 0);
    }

    /// The system has started the process.
    pub(super) fn started(&mut self) {
        if self.life == Life::Starting {
            self.life = Life::Running;
        }
        self.protocol.started();
    }

    /// A turn was sent to it.
    pub(super) fn asked(&mut self, turn: &TurnId, now: Tick) {
        self.stops_until = None;
        self.protocol.turn_sent(turn);
        self.watch.asked(now);
    }

    /// A request of it was answered or withdrawn.
    pub(super) fn question_answered(&mut self, now: Tick) {
        self.watch.answered(now);
    }

    /// Its permission request is answered. Gives the denial, unless it was reported already.
    pub(super) fn tool_answered(&mut self, request_id: &str, is_allowed: bool) -> Option<Denial> {
        self.protocol.tool_answered(request_id, is_allowed)
    }

    /// It wrote a line that is not part of its protocol.
    pub(super) fn wrote_noise(&mut self, now: Tick) {
        self.watch.alive(now);
        // Output during the shutdown (2.1.197: a reset sequence) does not show whether it is an agent.
        self.noisy |= !self.is_ending();
    }

    pub(super) fn is_noisy(&self) -> bool {
        self.noisy
    }

    pub(super) fn is_starting(&self) -> bool {
        self.life == Life::Starting
    }

    pub(super) fn is_ending(&self) -> bool {
        matches!(self.life, Life::Ending(_))
    }

    /// Whether it runs and is idle.
    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Running && self.protocol.is_idle()
    }

    /// Begins the shutdown; `None` if it has begun already. A process with background tasks is treated as busy: on a closed
    /// stdin the newest CLI waits for them (facts 2.1.329, A).
    pub(super) fn begin_end(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.is_ending() {
            return None;
        }
        // An interface exits cleanly at any moment, and a key would only interrupt its turn.
        let busy = !self.is_interface && (!self.protocol.is_idle() || self.protocol.open_tasks() > 0);
        let (step, grace_ms) = match (self.flood.is_on(now), busy, self.interrupts) {
            (true, _, _) => (ShutdownStep::Terminated, grace_ms.min(FLOOD_GRACE_MS)),
            (false, false, _) => (ShutdownStep::Closed, grace_ms),
            (false, true, true) => (ShutdownStep::Asked, grace_ms),
            (false, true, false) => (ShutdownStep::Interrupted, grace_ms),
        };
        let (shutdown, action) = Shutdown::begin(step, self.id, now, grace_ms);
        self.life = Life::Ending(shutdown);
        Some(action)
    }

    /// Interrupts its turn. Ends the process if its CLI has no message for that, or later if the turn does not end.
    pub(super) fn stop_turn(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.is_ending() {
            return None;
        }
        if !self.interrupts {
            return self.begin_end(now, grace_ms);
        }
        self.stops_until = Some(now.plus_ms(grace_ms));
        Some(Action::Interrupt { proc: self.id })
    }

    /// Ends it because the run continues without it for a while; not a failure.
    pub(super) fn leave(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        self.leaves = true;
        self.begin_end(now, grace_ms)
    }

    pub(super) fn is_leaving(&self) -> bool {
        self.leaves
    }

    /// Ends it because it hangs.
    pub(super) fn hangs(&mut self, how: &str, now: Tick, grace_ms: u64) -> Option<Action> {
        self.hung = Some(how.to_owned());
        self.begin_end(now, grace_ms)
    }

    /// How it hung, if it was ended for that.
    pub(super) fn hung(&self) -> Option<&str> {
        self.hung.as_deref()
    }

    /// What follows now that its deadline has passed.
    pub(super) fn due(&mut self, now: Tick, grace_ms: u64) -> Due {
        match &mut self.life {
            Life::Ending(shutdown) => shutdown.escalate(self.id, now, grace_ms).map_or(Due::Abandon, Due::Act),
            Life::Starting | Life::Running if self.stops_until.is_some_and(|until| now >= until) => {
                self.stops_until = None;
                Due::Stalled("it did not end its turn when it was interrupted".to_owned())
            }
            Life::Starting | Life::Running => match self.watch.overdue(now) {
                Some(Overdue::Settle) => Due::Settle,
                Some(Overdue::Stalled(how)) => Due::Stalled(how),
                None => Due::Nothing,
            },
        }
    }

    /// Whether it floods and the user has not been told.
    pub(super) fn flood_is_news(&mut self) -> bool {
        self.flood.is_news()
    }

    /// Counts its output. A process that floods during its shutdown does not read the request, so it gets a signal.
    pub(super) fn wrote(&mut self, now: Tick, lines: u64, bytes: u64, grace_ms: u64) -> Option<Action> {
        self.flood.heard(now, lines, bytes);
        match &mut self.life {
            Life::Ending(shutdown) if self.flood.is_on(now) => {
                shutdown.terminate(self.id, now, grace_ms.min(FLOOD_GRACE_MS))
            }
            Life::Ending(_) | Life::Starting | Life::Running => None,
        }
    }

    /// Its interrupted turn ended: close its stdin without waiting for the deadline.
    pub(super) fn idle_while_ending(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        self.stops_until = None;
        match &mut self.life {
            Life::Ending(shutdown) if shutdown.step == ShutdownStep::Asked => shutdown.escalate(self.id, now, grace_ms),
            Life::Ending(_) | Life::Starting | Life::Running => None,
        }
    }

    /// Kills it at once.
    pub(super) fn kill(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        match &mut self.life {
            Life::Ending(shutdown) => shutdown.kill(self.id, now, grace_ms),
            Life::Starting | Life::Running => {
                let (mut shutdown, _) = Shutdown::begin(ShutdownStep::Closed, self.id, now, grace_ms);
                let action = shutdown.kill(self.id, now, grace_ms);
                self.life = Life::Ending(shutdown);
                action
            }
        }
    }

    /// What it waits for, unless it is being ended.
    pub(super) fn awaited(&self, now: Tick) -> Option<Awaited> {
        if self.is_ending() { None } else { self.watch.awaited(&self.protocol.open_task_names(), now) }
    }

    /// The same, for the user.
    pub(super) fn show_awaited(&self, now: Tick) -> Option<Show> {
        let Awaited { what, since, until, then, alive } = self.awaited(now)?;
        let (for_ms, left_ms) = (now.ms_since(since), until.ms_since(now));
        Some(Show::Awaited { role: self.role, what, for_ms, left_ms, then, alive })
    }

    /// When to show that to the user next.
    pub(super) fn tell_at(&self) -> Option<Tick> {
        if self.is_ending() { None } else { self.watch.tell_at() }
    }

    /// Whether to show it now.
    pub(super) fn tells(&mut self, now: Tick) -> bool {
        !self.is_ending() && self.watch.tells(now)
    }

    /// Its next deadline.
    pub(super) fn deadline(&self) -> Option<Tick> {
        match &self.life {
            Life::Ending(shutdown) => Some(shutdown.deadline),
            Life::Starting | Life::Running => self.watch.deadline().into_iter().chain(self.stops_until).min(),
        }
    }
}
