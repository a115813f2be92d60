//! One live process of the run, as the core sees it.

use super::exchange::{Proof, Swap};
use super::flood::{FLOOD_GRACE_MS, Flood};
use super::shutdown::{Shutdown, ShutdownStep};
use super::spending::CostQuestions;
use super::watch::{Awaited, Overdue, Watch};
use super::{Action, ProcId, Show, Tick, Timeouts, TokenId, TurnId};
use crate::agent::{AgentKind, LaunchRequest, Protocol, Role};

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
    pub(super) protocol: Box<dyn Protocol>,
    pub(super) watch: Watch,
    /// With which token it runs; `None` where the CLI finds one by itself.
    pub(super) token: Option<TokenId>,
    /// An exchange of it under way.
    pub(super) swap: Option<Swap>,
    /// Whether it is known to use it.
    pub(super) proof: Proof,
    /// Rejections with status 429 in a row that the CLI tries again after.
    pub(super) throttles: u32,
    /// Refusals with status 401 in a row that the CLI tries again after.
    pub(super) refusals: u32,
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
    pub(super) cost_questions: CostQuestions,
}

impl Process {
    pub(super) fn new(kind: AgentKind, request: &LaunchRequest<'_>, now: Tick, limits: Timeouts) -> Process {
        Process {
            id: request.proc,
            role: request.role,
            life: Life::Starting,
            protocol: kind.protocol(request),
            watch: Watch::new(now, limits),
            token: None,
            swap: None,
            proof: Proof::default(),
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
        self.token = token;
        self
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

    /// It wrote so much. One that floods while it is asked to end will not hear the question: it is signalled.
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
