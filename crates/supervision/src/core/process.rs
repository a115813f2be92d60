//! One live process of the run, as the core sees it.

use super::exchange::Credential;
use super::flood::{FLOOD_GRACE_MS, Flood};
use super::shutdown::{Shutdown, ShutdownStep};
use super::spending::CostQuestions;
use super::watch::{Awaited, Overdue, Watch};
use super::{Action, ProcId, Show, Tick, Timeouts, TokenId, TurnId};
use crate::agent::{AgentEvent, AgentKind, Denial, LaunchRequest, Protocol, Role, Say, TurnEnd};

/// Where in its life a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    /// `Spawn` was emitted, nothing is known yet.
    Starting,
    /// It runs.
    Running,
    /// It is being ended.
    Ending(Shutdown),
}

/// What a passed deadline of a process leads to.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Due {
    Nothing,
    /// The next step of its end.
    Act(Action),
    /// It survives a kill: nothing of it is waited for any more.
    Abandon,
    /// What its turn still waited for did not come: the turn is taken as ended.
    Settle,
    /// It hangs. Says how.
    Stalled(String),
}

/// A process that was asked for and is not known to be gone.
#[derive(Debug, Clone)]
pub(super) struct Process {
    pub(super) id: ProcId,
    pub(super) role: Role,
    life: Life,
    protocol: Box<dyn Protocol>,
    watch: Watch,
    credential: Credential,
    /// Rejections with status 429 in a row that the CLI tries again after.
    throttles: u32,
    /// Refusals with status 401 in a row that the CLI tries again after.
    refusals: u32,
    /// It is being ended although it has not failed.
    leaves: bool,
    /// Why it was ended, when it hung.
    hung: Option<String>,
    /// It has written something that is not of its protocol.
    noisy: bool,
    /// How many lines it writes.
    flood: Flood,
    /// A message interrupts its turn.
    interrupts: bool,
    /// What it was asked about its cost.
    cost_questions: CostQuestions,
}

impl Process {
    pub(super) fn new(kind: AgentKind, request: &LaunchRequest<'_>, now: Tick, limits: Timeouts) -> Process {
        Process {
            id: request.proc,
            role: request.role,
            life: Life::Starting,
            protocol: kind.protocol(request),
            watch: Watch::new(now, limits),
            credential: Credential::default(),
            throttles: 0,
            refusals: 0,
            leaves: false,
            hung: None,
            noisy: false,
            flood: Flood::default(),
            interrupts: kind.caps(request.agent_version).interrupt,
            cost_questions: CostQuestions::default(),
        }
    }

    /// With this token.
    pub(super) fn with_token(mut self, token: Option<TokenId>) -> Process {
        self.credential = Credential::of(token);
        self
    }

    /// The token that it has, and an exchange of it.
    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    pub(super) fn credential_mut(&mut self) -> &mut Credential {
        &mut self.credential
    }

    /// What it was asked about its cost.
    pub(super) fn cost_questions(&self) -> &CostQuestions {
        &self.cost_questions
    }

    pub(super) fn cost_questions_mut(&mut self) -> &mut CostQuestions {
        &mut self.cost_questions
    }

    /// The question about its cost that is asked now.
    pub(super) fn ask_cost(&mut self, now: Tick) -> Action {
        Action::AskCost { proc: self.id, number: self.cost_questions.ask(now) }
    }

    /// What its protocol has to send by itself.
    pub(super) fn poll_send(&mut self) -> Option<Vec<u8>> {
        self.protocol.poll_send()
    }

    /// What is said to it as bytes; `None` where its CLI has no such message.
    pub(super) fn encode(&self, say: &Say<'_>) -> Option<Vec<u8>> {
        self.protocol.encode(say)
    }

    /// It wrote a line of JSON. Gives what that means; each of it is then [told to the watch](Process::heard).
    pub(super) fn line(&mut self, json: &str) -> Vec<AgentEvent> {
        let mut events = Vec::new();
        self.protocol.line(json, &mut events);
        events
    }

    /// The watch takes note of this event.
    pub(super) fn heard(&mut self, event: &AgentEvent, now: Tick) {
        self.watch.event(now, event);
    }

    /// It has said a line of its protocol.
    pub(super) fn has_spoken(&self) -> bool {
        self.protocol.has_spoken()
    }

    /// No turn of its own or ours is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.protocol.is_idle()
    }

    /// It has called a tool by which it may have written.
    pub(super) fn could_write(&self) -> bool {
        self.protocol.could_write()
    }

    /// What it has scheduled for itself and is still to come.
    pub(super) fn scheduled_names(&self) -> Vec<String> {
        self.protocol.scheduled_names()
    }

    /// A part of a message came.
    pub(super) fn progresses(&mut self, now: Tick) {
        self.watch.progress(now);
    }

    /// It shows that it lives, and no more.
    pub(super) fn lives(&mut self, now: Tick) {
        self.watch.alive(now);
    }

    /// What its turn still waited for did not come: the turn is taken as ended. `None` when it runs again, about that, and
    /// has not said yet that a turn began: it has as long as a model.
    pub(super) fn settle(&mut self, now: Tick) -> Option<TurnEnd> {
        let end = self.protocol.settle();
        match &end {
            Some(end) => self.watch.event(now, &AgentEvent::TurnEnded(end.clone())),
            None => self.watch.asked(now),
        }
        end
    }

    /// The CLI tries a request again that failed with this status. Gives how often in a row that was the status, where it is
    /// one about the token.
    pub(super) fn tries_again(&mut self, status: Option<u16>) -> u32 {
        self.throttles = if status == Some(429) { self.throttles + 1 } else { 0 };
        self.refusals = if status == Some(401) { self.refusals + 1 } else { 0 };
        self.throttles.max(self.refusals)
    }

    /// Its last request was rejected with status 429, and its CLI tries it again.
    pub(super) fn is_throttled(&self) -> bool {
        self.throttles > 0
    }

    /// The model speaks.
    pub(super) fn model_speaks(&mut self) {
        self.throttles = 0;
    }

    /// A turn of its was answered.
    pub(super) fn turn_answered(&mut self) {
        (self.throttles, self.refusals) = (0, 0);
    }

    /// The system has started it.
    pub(super) fn started(&mut self) {
        if self.life == Life::Starting {
            self.life = Life::Running;
        }
        self.protocol.started();
    }

    /// A turn was said to it.
    pub(super) fn asked(&mut self, turn: &TurnId, now: Tick) {
        self.protocol.turn_sent(turn);
        self.watch.asked(now);
    }

    /// A question of its was answered, or taken back.
    pub(super) fn question_answered(&mut self, now: Tick) {
        self.watch.answered(now);
    }

    /// It is told whether the tool that it asked for may be used. What was denied so, unless it has been told already.
    pub(super) fn tool_answered(&mut self, request_id: &str, is_allowed: bool) -> Option<Denial> {
        self.protocol.tool_answered(request_id, is_allowed)
    }

    /// It wrote a line that is not of its protocol.
    pub(super) fn wrote_noise(&mut self, now: Tick) {
        self.watch.alive(now);
        // What the CLI leaves on its terminal when it is ended (2.1.197: a reset sequence) says nothing about what it is.
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

    /// It runs, nothing is asked of it, and it may be asked.
    pub(super) fn is_ready(&self) -> bool {
        self.life == Life::Running && self.protocol.is_idle()
    }

    /// Begins its end; nothing when that has begun already. A process with background tasks is asked as a busy one:
    /// on a closed stdin the newest CLI waits for them (facts 2.1.329, A).
    pub(super) fn begin_end(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        if self.is_ending() {
            return None;
        }
        let busy = !self.protocol.is_idle() || self.protocol.open_tasks() > 0;
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

    /// Ends it because the run goes on without it for a while: that is no failure of its own.
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

    /// What is due now that its deadline has passed.
    pub(super) fn due(&mut self, now: Tick, grace_ms: u64) -> Due {
        match &mut self.life {
            Life::Ending(shutdown) => shutdown.climb(self.id, now, grace_ms).map_or(Due::Abandon, Due::Act),
            Life::Starting | Life::Running => match self.watch.overdue(now) {
                Some(Overdue::Settle) => Due::Settle,
                Some(Overdue::Stalled(how)) => Due::Stalled(how),
                None => Due::Nothing,
            },
        }
    }

    /// Whether it floods and the user does not know that yet.
    pub(super) fn flood_is_news(&mut self) -> bool {
        self.flood.is_news()
    }

    /// Counts what it wrote. A process that floods while it is asked to end does not read the request, so it is signalled.
    pub(super) fn wrote(&mut self, now: Tick, lines: u64, bytes: u64, grace_ms: u64) -> Option<Action> {
        self.flood.heard(now, lines, bytes);
        match &mut self.life {
            Life::Ending(shutdown) if self.flood.is_on(now) => {
                shutdown.terminate(self.id, now, grace_ms.min(FLOOD_GRACE_MS))
            }
            Life::Ending(_) | Life::Starting | Life::Running => None,
        }
    }

    /// Its interrupted turn ended: it is idle and can be closed without waiting for the deadline.
    pub(super) fn idle_while_ending(&mut self, now: Tick, grace_ms: u64) -> Option<Action> {
        match &mut self.life {
            Life::Ending(shutdown) if shutdown.step == ShutdownStep::Asked => shutdown.climb(self.id, now, grace_ms),
            Life::Ending(_) | Life::Starting | Life::Running => None,
        }
    }

    /// Kills it without further asking.
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

    /// What it is waited for, unless it is being ended.
    pub(super) fn awaited(&self, now: Tick) -> Option<Awaited> {
        if self.is_ending() { None } else { self.watch.awaited(&self.protocol.open_task_names(), now) }
    }

    /// The same as the user is shown it.
    pub(super) fn show_awaited(&self, now: Tick) -> Option<Show> {
        let Awaited { what, since, until, then, alive } = self.awaited(now)?;
        let (for_ms, left_ms) = (now.ms_since(since), until.ms_since(now));
        Some(Show::Awaited { role: self.role, what, for_ms, left_ms, then, alive })
    }

    /// When the user is to be told of it next.
    pub(super) fn tell_at(&self) -> Option<Tick> {
        if self.is_ending() { None } else { self.watch.tell_at() }
    }

    /// Whether that is now.
    pub(super) fn tells(&mut self, now: Tick) -> bool {
        !self.is_ending() && self.watch.tells(now)
    }

    /// The next moment at which something is due.
    pub(super) fn deadline(&self) -> Option<Tick> {
        match &self.life {
            Life::Ending(shutdown) => Some(shutdown.deadline),
            Life::Starting | Life::Running => self.watch.deadline(),
        }
    }
}
