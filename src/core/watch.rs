//! Progress of one process, as a state machine over the protocol and not mere silence (design §8).

use std::collections::BTreeMap;

use super::{Tick, Timeouts};
use crate::agent::{AgentEvent, WaitingFor};

/// How much longer than its own limit a tool may stay unanswered before the CLI, which enforces that limit, is
/// itself taken for hung.
const TOOL_SLACK_MS: u64 = 30_000;
/// Compacting a long context is one long silent request.
const COMPACTING_FACTOR: u64 = 3;
/// How long the CLI may take to begin the turn that follows a background task's end. Not measured above 0.1 s.
const FOLLOW_UP_MS: u64 = 5_000;

/// What the process is doing, as far as its protocol tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// Nothing is asked of it.
    Idle,
    /// The model is to answer.
    Model,
    /// The provider failed and the CLI waits until then by its own plan.
    Retrying { until: Tick },
    /// It compacts its context.
    Compacting,
    /// Answered; this is still armed.
    Waiting { for_: WaitingFor, since: Tick },
}

/// What a passed deadline means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No progress for longer than this state allows: it hangs. Says in which state.
    Stalled(String),
    /// Background work outlived its limit, or the follow-up turn did not come: take the turn's end as it is.
    Settle,
}

/// The watch over one process.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    doing: Doing,
    last_progress: Tick,
    tools: BTreeMap<String, (String, u64)>,
    limits: Timeouts,
}

impl Watch {
    /// A watch over a process of which nothing is asked yet.
    pub(super) fn new(now: Tick, limits: Timeouts) -> Watch {
        Watch { doing: Doing::Idle, last_progress: now, tools: BTreeMap::new(), limits }
    }

    /// A turn was written to it.
    pub(super) fn asked(&mut self, now: Tick) {
        self.doing = Doing::Model;
        self.last_progress = now;
    }

    /// Output flowed.
    pub(super) fn progress(&mut self, now: Tick) {
        self.last_progress = now;
        if matches!(self.doing, Doing::Retrying { .. }) {
            self.doing = Doing::Model;
        }
    }

    /// The protocol said something.
    pub(super) fn event(&mut self, now: Tick, event: &AgentEvent) {
        if !matches!(event, AgentEvent::RetryAnnounced { .. }) {
            self.progress(now);
        }
        self.last_progress = now;
        match event {
            AgentEvent::TurnStarted { .. } => {
                self.doing = Doing::Model;
                self.tools.clear();
            }
            AgentEvent::ToolStarted { id, name, timeout_ms, .. } => {
                let limit_ms = timeout_ms.unwrap_or(self.limits.tool_ms).saturating_add(TOOL_SLACK_MS);
                self.tools.insert(id.clone(), (name.clone(), limit_ms));
            }
            AgentEvent::ToolEnded { id, .. } => {
                self.tools.remove(id);
            }
            AgentEvent::RetryAnnounced { delay_ms, .. } => {
                self.doing = Doing::Retrying { until: now.plus_ms(*delay_ms) }
            }
            AgentEvent::Compacting(true) => self.doing = Doing::Compacting,
            AgentEvent::Compacting(false) => self.doing = Doing::Model,
            AgentEvent::Waiting(for_) => {
                self.tools.clear();
                let since = match &self.doing {
                    Doing::Waiting { for_: before, since } if before == for_ => *since,
                    Doing::Waiting { .. } | Doing::Idle | Doing::Model | Doing::Retrying { .. } | Doing::Compacting => {
                        now
                    }
                };
                self.doing = Doing::Waiting { for_: *for_, since };
            }
            AgentEvent::TurnEnded(_) => {
                self.doing = Doing::Idle;
                self.tools.clear();
            }
            AgentEvent::Alive
            | AgentEvent::SessionKnown { .. }
            | AgentEvent::TurnAccepted { .. }
            | AgentEvent::Text { .. }
            | AgentEvent::Denied(_)
            | AgentEvent::Question { .. }
            | AgentEvent::Limit(_)
            | AgentEvent::CredentialAnswered { .. }
            | AgentEvent::Cost { .. } => {}
        }
    }

    /// When the process is overdue; `None` while nothing is asked of it.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let stall_ms = self.limits.stall_ms;
        let open_tool_ms = self.tools.values().map(|(_, limit_ms)| *limit_ms).max();
        match &self.doing {
            Doing::Idle => None,
            Doing::Waiting { for_: WaitingFor::Background(_), since } => Some(since.plus_ms(self.limits.tool_ms)),
            Doing::Waiting { for_: WaitingFor::FollowUp, since } => Some(since.plus_ms(FOLLOW_UP_MS)),
            Doing::Retrying { until } => Some((*until).max(self.last_progress).plus_ms(stall_ms)),
            Doing::Compacting => Some(self.last_progress.plus_ms(stall_ms.saturating_mul(COMPACTING_FACTOR))),
            Doing::Model => {
                Some(self.last_progress.plus_ms(open_tool_ms.map_or(stall_ms, |limit_ms| limit_ms.max(stall_ms))))
            }
        }
    }

    /// What it means that the deadline has passed; `None` when it has not.
    pub(super) fn overdue(&self, now: Tick) -> Option<Overdue> {
        if now < self.deadline()? {
            return None;
        }
        let silent_s = now.ms_since(self.last_progress) / 1_000;
        Some(match &self.doing {
            Doing::Waiting { .. } => Overdue::Settle,
            Doing::Idle | Doing::Model => match self.tools.values().next() {
                Some((tool, _)) => {
                    Overdue::Stalled(format!("no sign of life for {silent_s} s while the tool {tool} was running"))
                }
                None => Overdue::Stalled(format!("no sign of life for {silent_s} s while waiting for the model")),
            },
            Doing::Retrying { .. } => {
                Overdue::Stalled(format!("no sign of life for {silent_s} s after the announced retry was due"))
            }
            Doing::Compacting => Overdue::Stalled(format!("no sign of life for {silent_s} s while compacting")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Overdue, Watch};
    use crate::agent::{AgentEvent, WaitingFor};
    use crate::core::{Tick, Timeouts};

    const LIMITS: Timeouts = Timeouts { stall_ms: 180_000, tool_ms: 900_000, grace_ms: 3_000 };

    fn tool(timeout_ms: Option<u64>) -> AgentEvent {
        AgentEvent::ToolStarted {
            id: "t".to_owned(),
            name: "Bash".to_owned(),
            target: String::new(),
            timeout_ms,
            edit: None,
            sub_agent: false,
        }
    }

    #[test]
    fn each_state_has_its_own_limit() {
        let at = |events: &[AgentEvent]| {
            let mut watch = Watch::new(Tick::ZERO, LIMITS);
            watch.asked(Tick::ZERO);
            for event in events {
                watch.event(Tick::ZERO, event);
            }
            watch.deadline().map(Tick::as_ms)
        };
        assert_eq!(at(&[]), Some(180_000), "the model");
        assert_eq!(at(&[tool(None)]), Some(930_000), "a tool without a timeout of its own");
        assert_eq!(at(&[tool(Some(7_200_000))]), Some(7_230_000), "a tool that declared two hours");
        assert_eq!(at(&[tool(Some(1_000))]), Some(180_000), "a short tool never tightens the model's limit");
        assert_eq!(at(&[tool(None), AgentEvent::ToolEnded { id: "t".to_owned(), failed: false }]), Some(180_000));
        let retry = AgentEvent::RetryAnnounced { attempt: 1, max_attempts: 10, delay_ms: 40_000, status: Some(529) };
        assert_eq!(at(&[retry]), Some(220_000), "an announced retry");
        assert_eq!(at(&[AgentEvent::Compacting(true)]), Some(540_000), "compacting");
        assert_eq!(at(&[AgentEvent::Waiting(WaitingFor::Background(1))]), Some(900_000), "background work");
        assert_eq!(at(&[AgentEvent::Waiting(WaitingFor::FollowUp)]), Some(5_000), "the follow-up turn");
    }

    #[test]
    fn an_idle_process_is_never_overdue() {
        let watch = Watch::new(Tick::ZERO, LIMITS);
        assert_eq!(watch.deadline(), None);
        assert_eq!(watch.overdue(Tick(u64::MAX)), None);
    }

    #[test]
    fn progress_moves_the_deadline_and_its_absence_is_named() {
        let mut watch = Watch::new(Tick::ZERO, LIMITS);
        watch.asked(Tick::ZERO);
        watch.progress(Tick::ZERO.plus_ms(100_000));
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(279_999)), None);
        let overdue = watch.overdue(Tick::ZERO.plus_ms(280_000));
        assert_eq!(overdue, Some(Overdue::Stalled("no sign of life for 180 s while waiting for the model".to_owned())));
    }

    #[test]
    fn background_work_is_settled_and_its_clock_is_not_reset_by_chatter() {
        let mut watch = Watch::new(Tick::ZERO, LIMITS);
        watch.asked(Tick::ZERO);
        watch.event(Tick::ZERO, &AgentEvent::Waiting(WaitingFor::Background(1)));
        watch.event(Tick::ZERO.plus_ms(500_000), &AgentEvent::Alive);
        watch.event(Tick::ZERO.plus_ms(600_000), &AgentEvent::Waiting(WaitingFor::Background(1)));
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(900_000)), Some(Overdue::Settle));
    }
}
