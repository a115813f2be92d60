//! Progress of one process, as a state machine over the protocol and not mere silence (design §8).
//!
//! | state | limit, counted from | what then |
//! |---|---|---|
//! | idle: nothing is asked of it | none | – |
//! | starting: asked, and it has not said a line yet | `start_ms`, from the asking | it hangs |
//! | waiting for the model | `stall_ms`, from the last sign of life | it hangs |
//! | a tool runs that declared its timeout | that and [`TOOL_SLACK_MS`], never below `stall_ms`, from the last sign of life | it hangs |
//! | a tool runs that declared none, a sub-agent works | `tool_ms`, from the last sign of life | it hangs |
//! | a hook of the user's runs | `tool_ms`, never below what the state has without it, from the last sign of life | it hangs |
//! | compacting | [`COMPACTING_FACTOR`] × `stall_ms`, from the last sign of life | it hangs |
//! | the provider's retry is announced | `stall_ms`, from when it is due, at most [`LONGEST_RETRY_MS`] away | it hangs |
//! | it waits for somebody's permission | [`PERMISSION_MS`], from the asking | it hangs |
//! | it asked us something that nobody answers | `tool_ms`, from the last sign of life | it hangs |
//! | after the result, not idle yet | `stall_ms`, with tasks open `tool_ms`, from the last sign of life | it hangs |
//! | background work armed | `tool_ms`, or what the CLI itself gives that work and [`TOOL_SLACK_MS`], from its being left | the turn is taken as ended |
//! | the follow-up turn is due | [`FOLLOW_UP_MS`] | the turn is taken as ended |
//!
//! Ticks stand still while the machine sleeps or the user has stopped ccc, and so do these limits. A run that waits
//! for a reset asks nothing of anyone: its process is idle.

use std::collections::BTreeMap;

use super::{Tick, Timeouts};
use crate::agent::{AgentEvent, WaitingFor};

/// How much longer than a limit that the CLI itself enforces it may stay silent before it is taken for hung.
const TOOL_SLACK_MS: u64 = 30_000;
/// Compacting a long context is one long silent request.
const COMPACTING_FACTOR: u64 = 3;
/// How long the CLI may take to begin the turn that follows a background task's end. Not measured above 0.1 s.
const FOLLOW_UP_MS: u64 = 5_000;
/// An announced retry that is further away is not believed: the longest real one is the rest of a usage window of five hours.
const LONGEST_RETRY_MS: u64 = 6 * 3_600_000;
/// How long the CLI may wait for a permission that somebody else is to give (a tool of the user's asks for it). Whoever
/// sleeps answers in the morning.
const PERMISSION_MS: u64 = 24 * 3_600_000;

/// What the process is doing, as far as its protocol tells.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// Nothing is asked of it.
    Idle,
    /// It was asked, and has not said a line since it was started.
    Starting { since: Tick },
    /// The model is to answer, or tools run.
    Model,
    /// The provider failed and the CLI waits until then by its own plan.
    Retrying { until: Tick },
    /// It compacts its context.
    Compacting,
    /// It waits for a permission.
    Permission { since: Tick },
    /// Answered, and not idle yet.
    Answered { open: usize },
    /// Answered and idle; this is still armed.
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
    /// It has said a line of its protocol.
    spoke: bool,
    last_progress: Tick,
    /// Open tool calls: name and limit.
    tools: BTreeMap<String, (String, u64)>,
    /// Hooks of the user's that run, by id: their names.
    hooks: BTreeMap<String, String>,
    /// What it asked last and nobody answers.
    question: Option<String>,
    limits: Timeouts,
}

impl Watch {
    /// A watch over a process of which nothing is asked yet.
    pub(super) fn new(now: Tick, limits: Timeouts) -> Watch {
        Watch {
            doing: Doing::Idle,
            spoke: false,
            last_progress: now,
            tools: BTreeMap::new(),
            hooks: BTreeMap::new(),
            question: None,
            limits,
        }
    }

    /// A turn was written to it.
    pub(super) fn asked(&mut self, now: Tick) {
        self.doing = if self.spoke { Doing::Model } else { Doing::Starting { since: now } };
        self.last_progress = now;
        self.question = None;
    }

    /// Something came that is not of its protocol: a sign of life, but no sign of an agent.
    pub(super) fn noise(&mut self, now: Tick) {
        self.last_progress = now;
    }

    /// A part of its protocol flowed.
    pub(super) fn progress(&mut self, now: Tick) {
        self.last_progress = now;
        self.spoke = true;
        if matches!(self.doing, Doing::Retrying { .. } | Doing::Starting { .. }) {
            self.doing = Doing::Model;
        }
    }

    /// The protocol said something.
    pub(super) fn event(&mut self, now: Tick, event: &AgentEvent) {
        self.progress(now);
        match event {
            AgentEvent::TurnStarted { .. } => {
                self.doing = Doing::Model;
                self.tools.clear();
                self.question = None;
            }
            AgentEvent::ToolStarted { id, name, timeout_ms, .. } => {
                let limit_ms = match timeout_ms {
                    Some(declared_ms) => declared_ms.saturating_add(TOOL_SLACK_MS).max(self.limits.stall_ms),
                    None => self.limits.tool_ms,
                };
                self.tools.insert(id.clone(), (name.clone(), limit_ms));
            }
            AgentEvent::ToolEnded { id, .. } => {
                self.tools.remove(id);
            }
            AgentEvent::HookStarted { id, name } => {
                self.hooks.insert(id.clone(), name.clone());
            }
            AgentEvent::HookEnded { id } => {
                self.hooks.remove(id);
            }
            AgentEvent::RetryAnnounced { delay_ms, .. } => {
                self.doing = Doing::Retrying { until: now.plus_ms((*delay_ms).min(LONGEST_RETRY_MS)) }
            }
            AgentEvent::Compacting(true) => self.doing = Doing::Compacting,
            AgentEvent::Compacting(false) => self.doing = Doing::Model,
            AgentEvent::ActionRequired(true) => self.doing = Doing::Permission { since: now },
            AgentEvent::ActionRequired(false) => {
                self.doing = Doing::Model;
                self.question = None;
            }
            // The core denies it at once: the CLI goes on.
            AgentEvent::Question { denial: Some(_), .. } => self.doing = Doing::Model,
            AgentEvent::Question { subtype, denial: None, .. } => self.question = Some(subtype.clone()),
            AgentEvent::Waiting(WaitingFor::Idle { open }) => {
                self.tools.clear();
                self.question = None;
                self.doing = Doing::Answered { open: *open };
            }
            AgentEvent::Waiting(for_ @ (WaitingFor::Background { .. } | WaitingFor::FollowUp)) => {
                self.tools.clear();
                self.question = None;
                let since = match &self.doing {
                    Doing::Waiting { for_: before, since } if before == for_ => *since,
                    Doing::Waiting { .. }
                    | Doing::Idle
                    | Doing::Starting { .. }
                    | Doing::Model
                    | Doing::Retrying { .. }
                    | Doing::Compacting
                    | Doing::Permission { .. }
                    | Doing::Answered { .. } => now,
                };
                self.doing = Doing::Waiting { for_: *for_, since };
            }
            AgentEvent::TurnEnded(_) => {
                self.doing = Doing::Idle;
                self.tools.clear();
                self.hooks.clear();
                self.question = None;
            }
            AgentEvent::Alive
            | AgentEvent::SessionKnown { .. }
            | AgentEvent::TurnAccepted { .. }
            | AgentEvent::Text { .. }
            | AgentEvent::Denied(_)
            | AgentEvent::Limit(_)
            | AgentEvent::CredentialAnswered { .. }
            | AgentEvent::Cost { .. } => {}
        }
    }

    /// When the process is overdue; `None` while nothing is asked of it.
    pub(super) fn deadline(&self) -> Option<Tick> {
        let Timeouts { start_ms, stall_ms, tool_ms, .. } = self.limits;
        // How long a hook may take is not told; the CLI itself gives it ten minutes unless the user says otherwise.
        let hook_ms = if self.hooks.is_empty() { 0 } else { tool_ms };
        let silent_for = |limit_ms: u64| Some(self.last_progress.plus_ms(limit_ms.max(hook_ms)));
        match &self.doing {
            Doing::Idle => None,
            Doing::Starting { since } => Some(since.plus_ms(start_ms)),
            Doing::Waiting { for_: WaitingFor::Background { longest_ms, .. }, since } => {
                let own_ms = longest_ms.map_or(0, |ms| ms.saturating_add(TOOL_SLACK_MS));
                Some(since.plus_ms(own_ms.max(tool_ms)))
            }
            Doing::Waiting { for_: WaitingFor::FollowUp | WaitingFor::Idle { .. }, since } => {
                Some(since.plus_ms(FOLLOW_UP_MS))
            }
            Doing::Model | Doing::Permission { .. } if self.question.is_some() => silent_for(tool_ms),
            Doing::Permission { since } => Some(since.plus_ms(PERMISSION_MS)),
            Doing::Answered { open } => silent_for(if *open > 0 { tool_ms.max(stall_ms) } else { stall_ms }),
            Doing::Retrying { until } => Some((*until).max(self.last_progress).plus_ms(stall_ms)),
            Doing::Compacting => silent_for(stall_ms.saturating_mul(COMPACTING_FACTOR)),
            Doing::Model => silent_for(self.tools.values().map(|(_, limit_ms)| *limit_ms).max().unwrap_or(stall_ms)),
        }
    }

    /// What it means that the deadline has passed; `None` when it has not.
    pub(super) fn overdue(&self, now: Tick) -> Option<Overdue> {
        if now < self.deadline()? {
            return None;
        }
        let silent_s = now.ms_since(self.last_progress) / 1_000;
        let during = match (&self.doing, &self.question) {
            (Doing::Waiting { .. }, _) => return Some(Overdue::Settle),
            (Doing::Starting { since }, _) => {
                let start_s = now.ms_since(*since) / 1_000;
                return Some(Overdue::Stalled(format!(
                    "it has not said one line of its protocol in the {start_s} s since its start"
                )));
            }
            (Doing::Model | Doing::Permission { .. }, Some(question)) => {
                format!("while its question `{question}` was open, which nobody answers")
            }
            (Doing::Model | Doing::Answered { .. } | Doing::Compacting, None) if !self.hooks.is_empty() => {
                let hooks: Vec<&str> = self.hooks.values().map(String::as_str).collect();
                format!("while a hook was running ({})", hooks.join(", "))
            }
            (Doing::Idle | Doing::Model, None) | (Doing::Idle, Some(_)) => match self.tools.values().next() {
                Some((tool, _)) => format!("while the tool {tool} was running"),
                None => "while waiting for the model".to_owned(),
            },
            (Doing::Permission { .. }, None) => "while it waited for a permission".to_owned(),
            (Doing::Answered { .. }, _) => "after the result, without being idle".to_owned(),
            (Doing::Retrying { .. }, _) => "after the announced retry was due".to_owned(),
            (Doing::Compacting, _) => "while compacting".to_owned(),
        };
        Some(Overdue::Stalled(format!("no sign of life for {silent_s} s {during}")))
    }
}

#[cfg(test)]
mod tests {
    use super::{Overdue, Watch};
    use crate::agent::{AgentEvent, Denial, StartedBy, TurnEnd, TurnOutcome, WaitingFor};
    use crate::core::{Tick, Timeouts};

    const LIMITS: Timeouts = Timeouts { start_ms: 60_000, stall_ms: 180_000, tool_ms: 900_000, grace_ms: 3_000 };
    const ARMED: AgentEvent = AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms: None });

    fn tool(id: &str, timeout_ms: Option<u64>) -> AgentEvent {
        AgentEvent::ToolStarted {
            id: id.to_owned(),
            name: "Bash".to_owned(),
            target: String::new(),
            timeout_ms,
            edit: None,
            sub_agent: false,
        }
    }

    fn question(denial: Option<Denial>) -> AgentEvent {
        AgentEvent::Question { request_id: "r".to_owned(), subtype: "elicitation".to_owned(), denial }
    }

    fn hook(name: &str) -> AgentEvent {
        AgentEvent::HookStarted { id: "h".to_owned(), name: name.to_owned() }
    }

    fn retry(delay_ms: u64) -> AgentEvent {
        AgentEvent::RetryAnnounced { attempt: 1, max_attempts: 10, delay_ms, status: Some(529) }
    }

    fn ended() -> AgentEvent {
        AgentEvent::TurnEnded(TurnEnd {
            outcome: TurnOutcome::Done,
            started_by: StartedBy::Itself,
            text: String::new(),
            denials: Vec::new(),
            left_open: 0,
        })
    }

    /// A process that was asked at tick zero and said this at once.
    fn after(events: &[AgentEvent]) -> Watch {
        let mut watch = Watch::new(Tick::ZERO, LIMITS);
        watch.asked(Tick::ZERO);
        for event in events {
            watch.event(Tick::ZERO, event);
        }
        watch
    }

    #[test]
    fn each_state_has_its_own_limit_and_its_own_words() {
        let ends = AgentEvent::ToolEnded { id: "a".to_owned(), failed: false };
        let permission = Denial { tool: "Bash".to_owned(), target: String::new() };
        let background = |longest_ms| AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms });
        let rest = |open| AgentEvent::Waiting(WaitingFor::Idle { open });
        let action = AgentEvent::ActionRequired;
        let alive = || AgentEvent::Alive;
        const MODEL: &str = "while waiting for the model";
        const TOOL: &str = "while the tool Bash was running";
        let rows: Vec<(&str, Vec<AgentEvent>, Option<u64>, &str)> = vec![
            ("idle", vec![ended()], None, ""),
            ("starting", vec![], Some(60_000), "it has not said one line of its protocol in the 60 s since its start"),
            ("the model", vec![alive()], Some(180_000), MODEL),
            ("a tool without a timeout", vec![tool("a", None)], Some(900_000), TOOL),
            ("a tool of two hours", vec![tool("a", Some(7_200_000))], Some(7_230_000), TOOL),
            ("a short tool never tightens the model's limit", vec![tool("a", Some(1_000))], Some(180_000), TOOL),
            (
                "of two tools the longer counts",
                vec![tool("a", Some(1_000_000)), tool("b", None)],
                Some(1_030_000),
                TOOL,
            ),
            ("an ended tool", vec![tool("a", None), ends], Some(180_000), MODEL),
            ("a hook", vec![hook("Stop")], Some(900_000), "while a hook was running (Stop)"),
            (
                "a hook beside a tool of two hours",
                vec![tool("a", Some(7_200_000)), hook("PostToolUse:Bash")],
                Some(7_230_000),
                "while a hook was running (PostToolUse:Bash)",
            ),
            ("an ended hook", vec![hook("Stop"), AgentEvent::HookEnded { id: "h".to_owned() }], Some(180_000), MODEL),
            (
                "a hook before the context is compacted",
                vec![AgentEvent::Compacting(true), hook("PreCompact")],
                Some(900_000),
                "while a hook was running (PreCompact)",
            ),
            ("compacting", vec![AgentEvent::Compacting(true)], Some(540_000), "while compacting"),
            (
                "after compacting",
                vec![AgentEvent::Compacting(true), AgentEvent::Compacting(false)],
                Some(180_000),
                MODEL,
            ),
            ("an announced retry", vec![retry(40_000)], Some(220_000), "after the announced retry was due"),
            (
                "a retry in years",
                vec![retry(u64::MAX)],
                Some(6 * 3_600_000 + 180_000),
                "after the announced retry was due",
            ),
            ("a permission", vec![action(true)], Some(24 * 3_600_000), "while it waited for a permission"),
            ("a permission given", vec![action(true), action(false)], Some(180_000), MODEL),
            (
                "a permission that we deny",
                vec![tool("a", None), question(Some(permission)), alive()],
                Some(900_000),
                TOOL,
            ),
            (
                "a question that nobody answers",
                vec![question(None)],
                Some(900_000),
                "while its question `elicitation` was open, which nobody answers",
            ),
            (
                "such a question, and the state said, too",
                vec![action(true), question(None)],
                Some(900_000),
                "while its question `elicitation` was open, which nobody answers",
            ),
            ("after the result", vec![rest(0)], Some(180_000), "after the result, without being idle"),
            ("after the result, an agent works", vec![rest(1)], Some(900_000), "after the result, without being idle"),
            ("background work", vec![background(None)], Some(900_000), ""),
            ("background work of its own limit", vec![background(Some(1_800_000))], Some(1_830_000), ""),
            ("the follow-up turn", vec![AgentEvent::Waiting(WaitingFor::FollowUp)], Some(5_000), ""),
        ];
        for (name, events, limit_ms, words) in rows {
            let watch = after(&events);
            assert_eq!(watch.deadline().map(Tick::as_ms), limit_ms, "{name}");
            let Some(limit_ms) = limit_ms else { continue };
            assert_eq!(watch.overdue(Tick::ZERO.plus_ms(limit_ms - 1)), None, "{name}");
            match watch.overdue(Tick::ZERO.plus_ms(limit_ms)) {
                Some(Overdue::Stalled(how)) => assert!(!words.is_empty() && how.ends_with(words), "{name}: {how}"),
                Some(Overdue::Settle) => assert_eq!(words, "", "{name}"),
                None => panic!("{name}: not overdue at its limit"),
            }
        }
    }

    #[test]
    fn an_idle_process_is_never_overdue() {
        let watch = Watch::new(Tick::ZERO, LIMITS);
        assert_eq!(watch.deadline(), None);
        assert_eq!(watch.overdue(Tick(u64::MAX)), None);
    }

    #[test]
    fn progress_moves_the_deadline_and_its_absence_is_named() {
        let mut watch = after(&[AgentEvent::Alive]);
        watch.progress(Tick::ZERO.plus_ms(100_000));
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(279_999)), None);
        let overdue = watch.overdue(Tick::ZERO.plus_ms(280_000));
        assert_eq!(overdue, Some(Overdue::Stalled("no sign of life for 180 s while waiting for the model".to_owned())));
    }

    #[test]
    fn a_start_ends_with_the_first_line_and_not_with_noise() {
        let mut watch = after(&[]);
        watch.noise(Tick::ZERO.plus_ms(59_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(60_000), "noise is no agent");
        watch.event(Tick::ZERO.plus_ms(59_000), &AgentEvent::Alive);
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(239_000));
        watch.event(Tick::ZERO.plus_ms(60_000), &ended());
        watch.asked(Tick::ZERO.plus_ms(70_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(250_000), "it starts once");
    }

    #[test]
    fn a_sub_agent_in_the_foreground_may_work_for_hours_while_its_messages_flow() {
        let mut watch = after(&[tool("task", None)]);
        for minute in 1..=300u64 {
            let now = Tick::ZERO.plus_ms(minute * 60_000);
            assert_eq!(watch.overdue(now), None, "minute {minute}");
            watch.event(now, &AgentEvent::Text { text: "I look".to_owned(), sub_agent: true });
        }
        let now = Tick::ZERO.plus_ms(300 * 60_000 + 900_000);
        assert!(matches!(watch.overdue(now), Some(Overdue::Stalled(_))));
    }

    #[test]
    fn background_work_is_settled_and_its_clock_is_not_reset_by_chatter() {
        let mut watch = after(&[ARMED]);
        watch.event(Tick::ZERO.plus_ms(500_000), &AgentEvent::Alive);
        watch.event(Tick::ZERO.plus_ms(600_000), &ARMED);
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(900_000)), Some(Overdue::Settle));
    }

    #[test]
    fn an_announced_retry_that_comes_true_is_waited_for_like_any_answer() {
        let mut watch = after(&[retry(40_000)]);
        watch.event(Tick::ZERO.plus_ms(40_000), &AgentEvent::Alive);
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(220_000));
        watch.event(Tick::ZERO.plus_ms(100_000), &retry(3_600_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(3_880_000));
    }
}
