//! Watches the progress of one process. The state of the protocol decides, not silence alone (design §8).
//!
//! The adapter distinguishes progress from mere signs of life ([`AgentEvent::Progress`], [`AgentEvent::Alive`]): heartbeats,
//! keep-alives, noise and unknown lines do not extend a limit. A process that passes its limit hangs; where the last column
//! says *ended*, its turn counts as ended instead.
//!
//! | state | limit | counted from | then |
//! |---|---|---|---|
//! | idle: no turn to answer | none | – | – |
//! | starting: it got a turn and has not written a line | `start_ms` | the turn | hangs |
//! | its first turn has not begun: the CLI starts MCP servers | `stall_ms`, at least `start_ms` | the last progress | hangs |
//! | waiting for the model | `stall_ms` | the last progress | hangs |
//! | a tool with a declared timeout runs | *tool* below | the last progress | hangs |
//! | a tool without one, or a sub-agent, runs | `tool_ms` | the last progress | hangs |
//! | a hook of the user runs | the state's own, at least `tool_ms` | the last progress | hangs |
//! | compacting | [`COMPACTING_FACTOR`] × `stall_ms` | the last progress | hangs |
//! | a retry is announced | `stall_ms` | when it is due, at most [`LONGEST_RETRY_MS`] ahead | hangs |
//! | waiting for an answer of ccc | none: the question has its own timeout | – | – |
//! | waiting for a permission from elsewhere | [`PERMISSION_MS`] | the request | hangs |
//! | after the result, not idle yet | `stall_ms` | the last progress | hangs |
//! | the same with tasks open | *open tasks* below | the last progress | hangs |
//! | background work is open | *background* below | the end of the answer | ended |
//! | a scheduled turn is to come | *schedule* below | the end of the answer | ended |
//! | the follow-up turn is to come | [`FOLLOW_UP_MS`] | the end of the task | ended |
//!
//! - *tool*: the declared timeout plus [`TOOL_SLACK_MS`], at least `stall_ms`; at most a `tool_ms` that the user set.
//! - *open tasks*: `tool_ms`, at least `stall_ms`; at most a `background_ms` that the user set, counted from the result.
//! - *background*: the `background_ms` that the user set, else the `tool_ms` that the user set, else the longer of `tool_ms` and
//!   the CLI's own timeout for the work plus [`TOOL_SLACK_MS`].
//! - *schedule*: the time until the turn is due plus [`SCHEDULE_SLACK_MS`]; at most the `background_ms` that the user set, else
//!   the `tool_ms` that the user set, else [`LONGEST_SCHEDULE_MS`], for all consecutive scheduled turns together. A turn that is
//!   due later than that is not waited for.
//!
//! The agent's own interface (`--native`) has only the last three limits, because it does not report an interruption by the
//! user or a pause in the user's input.
//!
//! Waiting for an answer of ccc does not count. Ticks stop while the machine sleeps or the user has stopped ccc, and so do
//! these limits. During a wait for a reset the process is idle.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::open_calls::{Call, OpenCalls};
use super::{Tick, Timeouts};
use crate::agent::{AgentEvent, WaitingFor};

/// How long after a timeout that the CLI enforces a silent process counts as hung.
const TOOL_SLACK_MS: u64 = 30_000;
/// Compacting a long context is one long request without output.
const COMPACTING_FACTOR: u64 = 3;
/// The timeout for the turn that follows the end of a background task. Not measured above 0.1 s.
const FOLLOW_UP_MS: u64 = 5_000;
/// How late a scheduled turn may begin.
const SCHEDULE_SLACK_MS: u64 = 30_000;
/// A later scheduled turn is not waited for, unless the user says so. The longest delay of a wake-up is an hour.
const LONGEST_SCHEDULE_MS: u64 = 2 * 3_600_000;
/// The longest credible retry delay: the rest of a usage window of five hours.
const LONGEST_RETRY_MS: u64 = 6 * 3_600_000;
/// The timeout of a permission that is given elsewhere (a tool of the user asks for it). A sleeping user answers in the morning.
const PERMISSION_MS: u64 = 24 * 3_600_000;
/// After this long without progress the user is told what the run waits for; again after twice as long, and so on.
const TELL_AFTER_MS: u64 = 60_000;
/// The same between the start and the first turn, and during the user's hooks.
const TELL_EARLY_AFTER_MS: u64 = 15_000;
/// A line this long after the last progress shows that the process is alive, which is shown to the user.
const ALIVE_SINCE_MS: u64 = 1_000;

/// The most hooks tracked at the same time; far more than users have.
const MAX_HOOKS: usize = 256;

/// What the process is doing, by its protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Doing {
    /// It has no turn.
    Idle,
    /// It got a turn, and has not written a line since it was started.
    Starting { since: Tick },
    /// The model answers, or tools run.
    Model,
    /// The provider failed, and the CLI retries at `until`.
    Retrying { until: Tick },
    /// It compacts its context.
    Compacting,
    /// It waits for a permission.
    Permission { since: Tick },
    /// The turn is answered, but the process is not idle.
    Answered { open: usize, since: Tick },
    /// The turn is answered and the process is idle; it waits for this.
    Waiting { for_: WaitingFor, since: Tick },
}

/// What follows a passed deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Overdue {
    /// No progress for longer than the state allows: it hangs. The text names the state.
    Stalled(String),
    /// Background work exceeded its limit, or the follow-up turn did not come: the turn counts as ended.
    Settle,
}

/// What a run or process waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// The text for the user, for example `the tool Bash (cargo test)`.
    pub what: String,
    /// The last progress.
    pub since: Tick,
    /// The deadline.
    pub until: Tick,
    /// What follows at the deadline.
    pub then: AfterWait,
    /// There was output meanwhile that does not count as progress.
    pub alive: bool,
}

/// What follows the deadline of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AfterWait {
    /// The process counts as hung.
    Hung,
    /// The turn counts as ended, and the stop is judged.
    Judged,
    /// The run continues.
    GoesOn,
}

/// The watch over one process.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    doing: Doing,
    /// It has written a line of its protocol.
    spoke: bool,
    /// Its first turn has begun: the session is known.
    begun: bool,
    last_progress: Tick,
    /// The last line of any kind.
    last_line: Tick,
    /// When the process first waited for a scheduled turn. One such turn may schedule the next, forever.
    armed_since: Option<Tick>,
    /// Open tool calls that the turn waits for.
    tools: OpenCalls,
    /// Open requests to ccc, and since when there is one.
    unanswered: u32,
    asked_us: Option<Tick>,
    /// The names of the user's running hooks, by id.
    hooks: BTreeMap<String, String>,
    /// The time without progress when the user was last told.
    told_ms: u64,
    limits: Timeouts,
    /// It is the agent's own interface, whose silence says nothing, because it does not report interruptions.
    is_watched_by_user: bool,
}

impl Watch {
    /// A watch over a process without a turn.
    pub(super) fn new(now: Tick, limits: Timeouts) -> Watch {
        Watch {
            doing: Doing::Idle,
            spoke: false,
            begun: false,
            last_progress: now,
            last_line: now,
            armed_since: None,
            tools: OpenCalls::default(),
            unanswered: 0,
            asked_us: None,
            hooks: BTreeMap::new(),
            told_ms: 0,
            limits,
            is_watched_by_user: false,
        }
    }

    /// Makes it a watch over the agent's own interface: the user decides whether it hangs.
    pub(super) fn of_interface(self) -> Watch {
        Watch { is_watched_by_user: true, ..self }
    }

    /// A turn was written to it.
    pub(super) fn asked(&mut self, now: Tick) {
        self.doing = if self.spoke { Doing::Model } else { Doing::Starting { since: now } };
        self.armed_since = None;
        self.moved(now);
    }

    /// A request was answered or withdrawn. The time for which it was open does not count as silence.
    pub(super) fn answered(&mut self, now: Tick) {
        self.unanswered = self.unanswered.saturating_sub(1);
        if self.unanswered == 0
            && let Some(since) = self.asked_us.take()
            && since < now
        {
            self.moved(now);
            if self.doing != Doing::Idle {
                self.doing = Doing::Model;
            }
        }
    }

    /// There was output that does not count as progress.
    pub(super) fn alive(&mut self, now: Tick) {
        self.last_line = now;
    }

    /// Its turn has ended.
    pub(super) fn rests(&mut self) {
        self.doing = Doing::Idle;
        self.tools.clear();
        self.hooks.clear();
    }

    /// The turn has made progress.
    pub(super) fn progress(&mut self, now: Tick) {
        self.moved(now);
        self.spoke = true;
        if matches!(self.doing, Doing::Retrying { .. } | Doing::Starting { .. }) {
            self.doing = Doing::Model;
        }
    }

    fn moved(&mut self, now: Tick) {
        self.last_progress = now;
        self.last_line = now;
        self.told_ms = 0;
    }

    /// Handles an event of the protocol.
    pub(super) fn event(&mut self, now: Tick, event: &AgentEvent) {
        match event {
            AgentEvent::Progress => self.progress(now),
            AgentEvent::Alive => self.alive(now),
            AgentEvent::SessionKnown { .. } | AgentEvent::TurnAccepted { duplicate: false, .. } => self.begun = true,
            // No answer follows.
            AgentEvent::TurnAccepted { duplicate: true, .. } => {
                self.begun = true;
                self.doing = Doing::Idle;
            }
            AgentEvent::TurnStarted { .. } => {
                self.begun = true;
                self.doing = Doing::Model;
                self.tools.clear();
            }
            // The turn does not wait for a sub-agent in the background.
            AgentEvent::ToolStarted { in_background: true, .. } => {}
            AgentEvent::ToolStarted { id, name, target, timeout_ms, .. } => {
                let limit_ms = self.tool_limit_ms(*timeout_ms);
                let call = Call { name: name.clone(), target: target.clone(), limit_ms, since: now };
                self.tools.began(id, call);
            }
            AgentEvent::ToolEnded { id, .. } => {
                self.tools.ended(id);
            }
            AgentEvent::HookStarted { id, name } => {
                if self.hooks.len() < MAX_HOOKS {
                    self.hooks.insert(id.clone(), name.clone());
                }
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
            AgentEvent::ActionRequired(false) => self.doing = Doing::Model,
            AgentEvent::Question { .. } => {
                self.doing = Doing::Model;
                self.unanswered += 1;
                self.asked_us.get_or_insert(now);
            }
            AgentEvent::Waiting(WaitingFor::Idle { open }) => {
                self.tools.clear();
                let since = if let Doing::Answered { since, .. } = &self.doing { *since } else { now };
                self.doing = Doing::Answered { open: *open, since };
            }
            AgentEvent::Waiting(
                for_ @ (WaitingFor::Background { .. } | WaitingFor::Scheduled { .. } | WaitingFor::FollowUp),
            ) => {
                self.tools.clear();
                let since = if let Doing::Waiting { for_: before, since } = &self.doing
                    && before == for_
                {
                    *since
                } else {
                    now
                };
                if matches!(for_, WaitingFor::Scheduled { .. }) {
                    self.armed_since = self.armed_since.or(Some(now));
                }
                self.doing = Doing::Waiting { for_: *for_, since };
            }
            AgentEvent::TurnEnded(_) => {
                self.doing = Doing::Idle;
                self.armed_since = None;
                (self.unanswered, self.asked_us) = (0, None);
                self.tools.clear();
                self.hooks.clear();
            }
            // The answer to the handshake is a line of the protocol; the first turn has not begun.
            AgentEvent::Offers(_) => {
                self.spoke = true;
                if let Doing::Starting { .. } = self.doing {
                    self.doing = Doing::Model;
                }
            }
            AgentEvent::Text { .. }
            | AgentEvent::Thinking { .. }
            | AgentEvent::Todo(_)
            | AgentEvent::Denied(_)
            | AgentEvent::QuestionWithdrawn { .. }
            | AgentEvent::SentBack { .. }
            | AgentEvent::UserSaid { .. }
            | AgentEvent::StopAbandoned
            | AgentEvent::UserLeaves { .. }
            | AgentEvent::TurnUnreported
            | AgentEvent::CutShort
            | AgentEvent::PermissionMode(_)
            | AgentEvent::SandboxMissing
            | AgentEvent::PermissionModeRefused { .. }
            | AgentEvent::Limit(_)
            | AgentEvent::CredentialAnswered { .. }
            | AgentEvent::Cost { .. }
            | AgentEvent::CostAnswered { .. }
            | AgentEvent::Usage(_)
            | AgentEvent::Context(_) => {}
        }
    }

    fn tool_limit_ms(&self, declared_ms: Option<u64>) -> u64 {
        let Timeouts { stall_ms, tool_ms, tool_given, .. } = self.limits;
        match declared_ms {
            Some(declared_ms) => {
                let own_ms = declared_ms.saturating_add(TOOL_SLACK_MS).max(stall_ms);
                if tool_given { own_ms.min(tool_ms) } else { own_ms }
            }
            None => tool_ms,
        }
    }

    fn background_limit_ms(&self, longest_ms: Option<u64>) -> u64 {
        let Timeouts { tool_ms, tool_given, background_ms, .. } = self.limits;
        let own_ms = longest_ms.filter(|_| !tool_given).map_or(0, |ms| ms.saturating_add(TOOL_SLACK_MS));
        background_ms.unwrap_or(own_ms.max(tool_ms))
    }

    /// How long after `since` a scheduled turn is waited for; 0 if it is known to come too late. The limit holds for all
    /// consecutive ones together.
    fn schedule_limit_ms(&self, since: Tick, first_in_ms: Option<u64>) -> u64 {
        let Timeouts { tool_ms, tool_given, background_ms, .. } = self.limits;
        let most_ms = background_ms.or(tool_given.then_some(tool_ms)).unwrap_or(LONGEST_SCHEDULE_MS);
        let most_ms = most_ms.saturating_sub(since.ms_since(self.armed_since.unwrap_or(since)));
        match first_in_ms {
            Some(in_ms) if in_ms > most_ms => 0,
            Some(in_ms) => in_ms.saturating_add(SCHEDULE_SLACK_MS).min(most_ms),
            None => tool_ms.min(most_ms),
        }
    }

    /// When the process is overdue; `None` without a turn and while it waits for ccc.
    pub(super) fn deadline(&self) -> Option<Tick> {
        if self.unanswered > 0 {
            return None;
        }
        let Timeouts { start_ms, stall_ms, tool_ms, background_ms, .. } = self.limits;
        // A hook's timeout is not reported; the CLI's default is ten minutes.
        let hook_ms = if self.hooks.is_empty() { 0 } else { tool_ms };
        let still_for = |limit_ms: u64| self.last_progress.plus_ms(limit_ms.max(hook_ms));
        if self.is_watched_by_user && !matches!(self.doing, Doing::Waiting { .. }) {
            return None;
        }
        Some(match &self.doing {
            Doing::Idle => return None,
            Doing::Starting { since } => since.plus_ms(start_ms),
            Doing::Waiting { for_: WaitingFor::Background { longest_ms, .. }, since } => {
                since.plus_ms(self.background_limit_ms(*longest_ms))
            }
            Doing::Waiting { for_: WaitingFor::Scheduled { first_in_ms, .. }, since } => {
                since.plus_ms(self.schedule_limit_ms(*since, *first_in_ms))
            }
            Doing::Waiting { for_: WaitingFor::FollowUp | WaitingFor::Idle { .. }, since } => {
                since.plus_ms(FOLLOW_UP_MS)
            }
            Doing::Permission { since } => since.plus_ms(PERMISSION_MS),
            Doing::Answered { open: 0, .. } => still_for(stall_ms),
            Doing::Answered { since, .. } => {
                let still = still_for(tool_ms.max(stall_ms));
                background_ms.map_or(still, |background_ms| still.min(since.plus_ms(background_ms)))
            }
            Doing::Retrying { until } => (*until).max(self.last_progress).plus_ms(stall_ms),
            Doing::Compacting => still_for(stall_ms.saturating_mul(COMPACTING_FACTOR)),
            Doing::Model if !self.begun => still_for(stall_ms.max(start_ms)),
            Doing::Model => still_for(self.tools.longest_ms().unwrap_or(stall_ms)),
        })
    }

    /// What follows if the deadline has passed; `None` if it has not.
    pub(super) fn overdue(&self, now: Tick) -> Option<Overdue> {
        if now < self.deadline()? {
            return None;
        }
        let still_s = now.ms_since(self.last_progress) / 1_000;
        let during = match &self.doing {
            Doing::Waiting { .. } => return Some(Overdue::Settle),
            Doing::Starting { since } => {
                let start_s = now.ms_since(*since) / 1_000;
                return Some(Overdue::Stalled(format!(
                    "it has not said one line of its protocol in the {start_s} s since its start; a SessionStart hook or an MCP \
                     server may hang"
                )));
            }
            Doing::Model | Doing::Answered { .. } | Doing::Compacting if !self.hooks.is_empty() => {
                format!("while a hook was running ({})", self.hook_names())
            }
            Doing::Model if !self.begun => {
                "before its first turn began; a SessionStart hook or an MCP server may hang".to_owned()
            }
            Doing::Idle | Doing::Model => match self.oldest_tool() {
                Some(tool) => format!("while the tool {} was running", tool.name),
                None => "while waiting for the model".to_owned(),
            },
            Doing::Permission { .. } => "while it waited for a permission".to_owned(),
            Doing::Answered { open: 0, .. } => "after the result, without being idle".to_owned(),
            Doing::Answered { .. } => "after the result, while background work was open".to_owned(),
            Doing::Retrying { .. } => "after the announced retry was due".to_owned(),
            Doing::Compacting => "while compacting".to_owned(),
        };
        let sign = if self.only_lives() { "no progress, only signs of life," } else { "no sign of life" };
        Some(Overdue::Stalled(format!("{sign} for {still_s} s {during}")))
    }

    /// What the process waits for; `None` without a turn. `background` names the open tasks.
    pub(super) fn awaited(&self, background: &[String], now: Tick) -> Option<Awaited> {
        let mut until = self.deadline()?;
        let mut since = self.last_progress;
        let what = match &self.doing {
            Doing::Idle => return None,
            Doing::Starting { since: asked } => {
                since = *asked;
                "the first line of its protocol (a SessionStart hook or an MCP server may hang)".to_owned()
            }
            Doing::Waiting { for_: WaitingFor::Background { open, .. }, since: left } => {
                since = *left;
                background_work(*open, background)
            }
            Doing::Waiting { for_: WaitingFor::Scheduled { .. }, since: left } => {
                since = *left;
                format!("what the agent has scheduled for itself ({})", background.join("; "))
            }
            Doing::Answered { open, since: answered } if *open > 0 => {
                since = (*answered).max(since);
                background_work(*open, background)
            }
            Doing::Model | Doing::Answered { .. } | Doing::Compacting if !self.hooks.is_empty() => {
                format!("the hook {}", self.hook_names())
            }
            Doing::Model if !self.begun => {
                "its first turn to begin (a SessionStart hook or an MCP server may hang)".to_owned()
            }
            Doing::Model => match self.oldest_tool() {
                Some(tool) if tool.target.is_empty() => format!("the tool {}", tool.name),
                Some(tool) => format!("the tool {} ({})", tool.name, tool.target),
                None => "the model".to_owned(),
            },
            Doing::Waiting { .. } => "the turn that follows background work".to_owned(),
            Doing::Permission { .. } => "a permission that somebody else gives".to_owned(),
            Doing::Answered { .. } => "the end of the turn".to_owned(),
            Doing::Retrying { .. } => "the retry that the provider's failure led to".to_owned(),
            Doing::Compacting => "the compacted context".to_owned(),
        };
        let then = match &self.doing {
            Doing::Waiting { .. } => AfterWait::Judged,
            // A pause before a retry is not silence.
            Doing::Retrying { until: due } if now < *due => {
                until = *due;
                AfterWait::GoesOn
            }
            Doing::Idle
            | Doing::Starting { .. }
            | Doing::Model
            | Doing::Retrying { .. }
            | Doing::Compacting
            | Doing::Permission { .. }
            | Doing::Answered { .. } => AfterWait::Hung,
        };
        Some(Awaited { what, since, until, then, alive: self.only_lives() })
    }

    /// When to show the user what the process waits for; `None` if it waits for nothing.
    pub(super) fn tell_at(&self) -> Option<Tick> {
        self.telling().map(|(since, after_ms)| since.plus_ms(after_ms))
    }

    /// Whether to show it now; then the next time is twice as far away.
    pub(super) fn tells(&mut self, now: Tick) -> bool {
        let Some((since, mut after_ms)) = self.telling() else { return false };
        if now < since.plus_ms(after_ms) {
            return false;
        }
        while now >= since.plus_ms(after_ms) {
            self.told_ms = after_ms;
            after_ms = after_ms.saturating_mul(2);
        }
        true
    }

    /// The last progress, and how long after it the user is told next.
    fn telling(&self) -> Option<(Tick, u64)> {
        if self.unanswered > 0 || (self.is_watched_by_user && self.deadline().is_none()) {
            return None;
        }
        let (since, first_ms) = match &self.doing {
            Doing::Idle => return None,
            Doing::Starting { since } => (*since, TELL_EARLY_AFTER_MS),
            Doing::Waiting { since, .. } | Doing::Permission { since } => (*since, TELL_AFTER_MS),
            Doing::Answered { open, since } if *open > 0 => (*since, TELL_AFTER_MS),
            Doing::Retrying { until } => ((*until).max(self.last_progress), TELL_AFTER_MS),
            Doing::Model | Doing::Answered { .. } | Doing::Compacting if !self.hooks.is_empty() => {
                (self.last_progress, TELL_EARLY_AFTER_MS)
            }
            Doing::Model if !self.begun => (self.last_progress, TELL_EARLY_AFTER_MS),
            Doing::Model | Doing::Answered { .. } | Doing::Compacting => (self.last_progress, TELL_AFTER_MS),
        };
        Some((since, if self.told_ms == 0 { first_ms } else { self.told_ms.saturating_mul(2) }))
    }

    /// Whether the last line came well after the last progress.
    fn only_lives(&self) -> bool {
        self.last_line.ms_since(self.last_progress) >= ALIVE_SINCE_MS
    }

    fn oldest_tool(&self) -> Option<&Call> {
        self.tools.oldest()
    }

    fn hook_names(&self) -> String {
        let names: Vec<&str> = self.hooks.values().map(String::as_str).collect();
        names.join(", ")
    }
}

/// Background tasks for the user: the first ones by name.
fn background_work(open: usize, names: &[String]) -> String {
    const NAMED: usize = 3;
    let named: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.is_empty()).take(NAMED).collect();
    match (named.is_empty(), open.saturating_sub(named.len())) {
        (true, _) if open == 1 => "1 background task".to_owned(),
        (true, _) => format!("{open} background tasks"),
        (false, 0) => format!("background work ({})", named.join("; ")),
        (false, more) => format!("background work ({} and {more} more)", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::{AfterWait, Overdue, Watch};
    use crate::agent::{AgentEvent, Ask, StartedBy, TurnEnd, TurnOutcome, WaitingFor};
    use crate::core::{Tick, Timeouts};

    const LIMITS: Timeouts = Timeouts::DEFAULT;
    const ARMED: AgentEvent = AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms: None });

    #[test]
    fn a_scheduled_turn_is_waited_for_until_its_time_and_within_the_limit_for_background_work() {
        // background_ms, tool_ms if the user set it, the time until the turn; how long it is waited for
        type Ms = Option<u64>;
        let table: &[(Ms, Ms, Ms, u64)] = &[
            (None, None, Some(600_000), 630_000),
            (None, None, Some(7_200_001), 0),
            (None, None, None, 900_000),
            (Some(60_000), None, Some(600_000), 0),
            (Some(610_000), None, Some(600_000), 610_000),
            (Some(60_000), None, None, 60_000),
            (None, Some(300_000), Some(600_000), 0),
            (Some(86_400_000), None, Some(7_200_001), 7_230_001),
        ];
        for (background_ms, tool_ms, first_in_ms, waited_ms) in table {
            let limits = Timeouts {
                background_ms: *background_ms,
                tool_ms: tool_ms.unwrap_or(LIMITS.tool_ms),
                tool_given: tool_ms.is_some(),
                ..LIMITS
            };
            let mut watch = Watch::new(Tick::ZERO, limits);
            let now = Tick::ZERO.plus_ms(5);
            watch.event(now, &AgentEvent::Waiting(WaitingFor::Scheduled { open: 1, first_in_ms: *first_in_ms }));
            let until = now.plus_ms(*waited_ms);
            assert_eq!(watch.deadline(), Some(until), "{background_ms:?} {tool_ms:?} {first_in_ms:?}");
            assert_eq!(watch.overdue(until), Some(Overdue::Settle));
            let awaited = watch.awaited(&["a wake-up (CI)".to_owned()], Tick::ZERO).expect("something is waited for");
            assert_eq!(awaited.what, "what the agent has scheduled for itself (a wake-up (CI))");
            assert_eq!((awaited.since, awaited.then), (now, AfterWait::Judged));
        }
    }

    #[test]
    fn scheduled_turns_that_schedule_the_next_one_are_waited_for_within_one_limit() {
        let mut watch = Watch::new(Tick::ZERO, Timeouts { background_ms: Some(1_000_000), ..LIMITS });
        let armed = AgentEvent::Waiting(WaitingFor::Scheduled { open: 1, first_in_ms: Some(300_000) });
        let mut now = Tick::ZERO;
        let mut waited = Vec::new();
        watch.asked(now);
        for _ in 0..4 {
            watch.event(now, &armed);
            waited.push(watch.deadline().map(|until| until.ms_since(now)));
            now = now.plus_ms(300_000);
            watch.event(now, &AgentEvent::TurnStarted { started_by: StartedBy::Itself });
        }
        assert_eq!(waited, [Some(330_000), Some(330_000), Some(330_000), Some(0)]);
        watch.asked(now);
        watch.event(now, &armed);
        assert_eq!(watch.deadline(), Some(now.plus_ms(330_000)), "what was asked anew has its own time");
    }

    fn tool(id: &str, timeout_ms: Option<u64>) -> AgentEvent {
        AgentEvent::ToolStarted {
            id: id.to_owned(),
            name: "Bash".to_owned(),
            target: String::new(),
            timeout_ms,
            edit: None,
            under: None,
            in_background: false,
        }
    }

    fn question() -> AgentEvent {
        AgentEvent::Question { request_id: "r".to_owned(), subtype: "news".to_owned(), ask: Ask::Unknown }
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
            last_block: 0,
            mixed: false,
            unasked: false,
        })
    }

    /// A process that got a turn at tick zero and produced these events at once.
    fn after(events: &[AgentEvent]) -> Watch {
        within(LIMITS, events)
    }

    fn within(limits: Timeouts, events: &[AgentEvent]) -> Watch {
        let mut watch = Watch::new(Tick::ZERO, limits);
        watch.asked(Tick::ZERO);
        watch.begun = true;
        for event in events {
            say(&mut watch, Tick::ZERO, event);
        }
        watch
    }

    /// An event, after the progress or sign of life of its line.
    fn say(watch: &mut Watch, now: Tick, event: &AgentEvent) {
        if *event != AgentEvent::Alive {
            watch.event(now, &AgentEvent::Progress);
        }
        watch.event(now, event);
        if matches!(event, AgentEvent::Question { .. }) {
            watch.answered(now);
        }
    }

    #[test]
    fn each_state_has_its_own_limit_and_its_own_words() {
        let ends = AgentEvent::ToolEnded {
            id: "a".to_owned(),
            failed: false,
            error: String::new(),
            output: None,
            hunks: Vec::new(),
        };
        let background = |longest_ms| AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms });
        let rest = |open| AgentEvent::Waiting(WaitingFor::Idle { open });
        let action = AgentEvent::ActionRequired;
        let moves = || AgentEvent::Progress;
        const MODEL: &str = "while waiting for the model";
        const TOOL: &str = "while the tool Bash was running";
        let rows: Vec<(&str, Vec<AgentEvent>, Option<u64>, &str)> = vec![
            ("idle", vec![ended()], None, ""),
            (
                "starting",
                vec![],
                Some(60_000),
                "it has not said one line of its protocol in the 60 s since its start; a SessionStart hook or an MCP server may hang",
            ),
            ("a start with signs of life only", vec![AgentEvent::Alive], Some(60_000), "or an MCP server may hang"),
            ("the model", vec![moves()], Some(180_000), MODEL),
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
            ("a question, which is answered at once", vec![tool("a", None), question(), moves()], Some(900_000), TOOL),
            ("such a question, and the state said, too", vec![action(true), question()], Some(180_000), MODEL),
            ("after the result", vec![rest(0)], Some(180_000), "after the result, without being idle"),
            (
                "after the result, an agent works",
                vec![rest(1)],
                Some(900_000),
                "after the result, while background work was open",
            ),
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
    fn a_turn_that_stood_in_the_session_already_leaves_nothing_to_wait_for() {
        let turn = crate::core::TurnId("u".to_owned());
        assert_eq!(after(&[AgentEvent::TurnAccepted { turn, duplicate: true }]).deadline(), None);
    }

    #[test]
    fn progress_moves_the_deadline_and_its_absence_is_named() {
        let mut watch = after(&[AgentEvent::Progress]);
        watch.progress(Tick::ZERO.plus_ms(100_000));
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(279_999)), None);
        let overdue = watch.overdue(Tick::ZERO.plus_ms(280_000));
        assert_eq!(overdue, Some(Overdue::Stalled("no sign of life for 180 s while waiting for the model".to_owned())));
    }

    #[test]
    fn a_start_ends_with_the_first_line_and_not_with_noise() {
        let mut watch = after(&[]);
        watch.alive(Tick::ZERO.plus_ms(59_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(60_000), "noise is no agent");
        watch.event(Tick::ZERO.plus_ms(59_000), &AgentEvent::Progress);
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(239_000));
        say(&mut watch, Tick::ZERO.plus_ms(60_000), &ended());
        watch.asked(Tick::ZERO.plus_ms(70_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(250_000), "it starts once");
    }

    #[test]
    fn a_process_that_has_spoken_and_begins_no_turn_has_the_time_of_a_start() {
        let limits = Timeouts { stall_ms: 3_000, ..LIMITS };
        let mut watch = Watch::new(Tick::ZERO, limits);
        watch.asked(Tick::ZERO);
        watch.event(Tick::ZERO.plus_ms(300), &AgentEvent::Progress);
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(60_300));
        assert_eq!(watch.tell_at().map(Tick::as_ms), Some(15_300), "and is named early");
        assert!(watch.awaited(&[], Tick::ZERO).is_some_and(|awaited| awaited.what.contains("an MCP server may hang")));
        let Some(Overdue::Stalled(how)) = watch.overdue(Tick::ZERO.plus_ms(60_300)) else { panic!("it is overdue") };
        assert!(how.contains("before its first turn began") && how.contains("MCP server"), "{how}");
        let turn = crate::core::TurnId("u".to_owned());
        say(&mut watch, Tick::ZERO.plus_ms(30_000), &AgentEvent::TurnAccepted { turn, duplicate: false });
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(33_000), "then the model is waited for");
    }

    #[test]
    fn a_sub_agent_in_the_foreground_may_work_for_hours_while_its_messages_flow() {
        let mut watch = after(&[tool("task", None)]);
        for minute in 1..=300u64 {
            let now = Tick::ZERO.plus_ms(minute * 60_000);
            assert_eq!(watch.overdue(now), None, "minute {minute}");
            say(&mut watch, now, &AgentEvent::Text { text: "I look".to_owned(), under: Some("t".to_owned()) });
        }
        let now = Tick::ZERO.plus_ms(300 * 60_000 + 900_000);
        assert!(matches!(watch.overdue(now), Some(Overdue::Stalled(_))));
    }

    #[test]
    fn background_work_is_settled_and_its_clock_is_not_reset_by_chatter() {
        let mut watch = after(&[ARMED]);
        watch.event(Tick::ZERO.plus_ms(500_000), &AgentEvent::Progress);
        say(&mut watch, Tick::ZERO.plus_ms(600_000), &ARMED);
        assert_eq!(watch.overdue(Tick::ZERO.plus_ms(900_000)), Some(Overdue::Settle));
    }

    #[test]
    fn an_announced_retry_that_comes_true_is_waited_for_like_any_answer() {
        let mut watch = after(&[retry(40_000)]);
        watch.event(Tick::ZERO.plus_ms(40_000), &AgentEvent::Progress);
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(220_000));
        say(&mut watch, Tick::ZERO.plus_ms(100_000), &retry(3_600_000));
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(3_880_000));
    }

    #[test]
    fn signs_of_life_move_no_deadline_in_any_state() {
        let rest = |open| AgentEvent::Waiting(WaitingFor::Idle { open });
        let states: Vec<Vec<AgentEvent>> = vec![
            vec![],
            vec![AgentEvent::Progress],
            vec![tool("a", None)],
            vec![tool("a", Some(7_200_000))],
            vec![hook("SessionStart:startup")],
            vec![AgentEvent::Compacting(true)],
            vec![retry(40_000)],
            vec![AgentEvent::ActionRequired(true)],
            vec![rest(0)],
            vec![rest(1)],
            vec![ARMED],
            vec![AgentEvent::Waiting(WaitingFor::FollowUp)],
        ];
        for events in states {
            let mut watch = after(&events);
            let deadline = watch.deadline().expect("a deadline");
            // One a second, as a heartbeat, a keep-alive or noise, up to the last second.
            for second in 1..deadline.as_ms().div_ceil(1_000) {
                watch.event(Tick::ZERO.plus_ms(second * 1_000), &AgentEvent::Alive);
                watch.alive(Tick::ZERO.plus_ms(second * 1_000));
            }
            assert_eq!(watch.deadline(), Some(deadline), "{events:?}");
            let overdue = watch.overdue(deadline).expect("overdue");
            if let Overdue::Stalled(how) = overdue
                && !events.is_empty()
            {
                assert!(how.starts_with("no progress, only signs of life, for "), "{events:?}: {how}");
            }
        }
    }

    #[test]
    fn a_tool_limit_that_was_given_caps_what_a_tool_declares_and_what_the_cli_gives_background_work() {
        let given = Timeouts { tool_ms: 40_000, tool_given: true, ..LIMITS };
        let background = |longest_ms| AgentEvent::Waiting(WaitingFor::Background { open: 1, longest_ms });
        for (limits, event, limit_ms) in [
            (given, tool("a", None), 40_000),
            (given, tool("a", Some(600_000)), 40_000),
            (given, tool("a", Some(1_000)), 40_000),
            (Timeouts { tool_ms: 900_000, ..given }, tool("a", Some(1_000)), 180_000),
            (given, background(Some(1_800_000)), 40_000),
            (Timeouts { background_ms: Some(7_000), ..given }, background(Some(1_800_000)), 7_000),
            (Timeouts { background_ms: Some(7_200_000), ..LIMITS }, background(None), 7_200_000),
            (
                Timeouts { background_ms: Some(7_000), ..LIMITS },
                AgentEvent::Waiting(WaitingFor::Idle { open: 1 }),
                7_000,
            ),
            (Timeouts { tool_given: false, ..given }, tool("a", Some(600_000)), 630_000),
        ] {
            let watch = within(limits, std::slice::from_ref(&event));
            assert_eq!(watch.deadline().map(Tick::as_ms), Some(limit_ms), "{event:?} within {limits:?}");
        }
    }

    #[test]
    fn while_it_waits_for_an_answer_of_ours_no_silence_counts_and_afterwards_it_counts_anew() {
        let hour = Tick::ZERO.plus_ms(3_600_000);
        for events in [
            vec![],
            vec![tool("a", None)],
            vec![tool("a", Some(1_000))],
            vec![AgentEvent::ActionRequired(true)],
            vec![hook("Stop")],
        ] {
            let mut watch = after(&events);
            let limit_ms = after(&[events, vec![question()]].concat()).deadline().map(Tick::as_ms);
            watch.event(Tick::ZERO, &question());
            watch.event(Tick::ZERO, &question());
            assert_eq!((watch.deadline(), watch.tell_at(), watch.overdue(hour)), (None, None, None));
            watch.answered(hour);
            assert_eq!(watch.deadline(), None, "the other question is open");
            watch.answered(hour);
            assert_eq!(watch.deadline().map(|due| due.ms_since(hour)), limit_ms);
        }
    }

    #[test]
    fn a_tool_of_a_sub_agent_in_the_background_gives_the_turn_no_more_time() {
        let mut watch = after(&[AgentEvent::Progress]);
        if let AgentEvent::ToolStarted { id, name, target, timeout_ms, edit, .. } = tool("b", Some(7_200_000)) {
            let under = Some("t".to_owned());
            let behind = AgentEvent::ToolStarted { id, name, target, timeout_ms, edit, under, in_background: true };
            watch.event(Tick::ZERO.plus_ms(1_000), &AgentEvent::Alive);
            watch.event(Tick::ZERO.plus_ms(1_000), &behind);
        }
        assert_eq!(watch.deadline().map(Tick::as_ms), Some(180_000));
    }

    #[test]
    fn what_is_waited_for_is_named_with_its_times() {
        let named = AgentEvent::ToolStarted {
            id: "a".to_owned(),
            name: "Bash".to_owned(),
            target: "make".to_owned(),
            timeout_ms: None,
            edit: None,
            under: None,
            in_background: false,
        };
        let background = |open| AgentEvent::Waiting(WaitingFor::Background { open, longest_ms: None });
        let names = ["npm run dev".to_owned(), "tail -f log".to_owned()];
        let rows: Vec<(Vec<AgentEvent>, &str, u64, AfterWait)> = vec![
            (
                vec![],
                "the first line of its protocol (a SessionStart hook or an MCP server may hang)",
                60_000,
                AfterWait::Hung,
            ),
            (vec![AgentEvent::Progress], "the model", 180_000, AfterWait::Hung),
            (vec![retry(40_000)], "the retry that the provider's failure led to", 40_000, AfterWait::GoesOn),
            (vec![named], "the tool Bash (make)", 900_000, AfterWait::Hung),
            (vec![hook("SessionStart:startup")], "the hook SessionStart:startup", 900_000, AfterWait::Hung),
            (vec![background(2)], "background work (npm run dev; tail -f log)", 900_000, AfterWait::Judged),
            (vec![background(5)], "background work (npm run dev; tail -f log and 3 more)", 900_000, AfterWait::Judged),
        ];
        for (events, what, until_ms, then) in rows {
            let mut watch = after(&events);
            watch.alive(Tick::ZERO.plus_ms(5_000));
            let awaited = watch.awaited(&names, Tick::ZERO).expect("something is awaited");
            assert_eq!((awaited.what.as_str(), awaited.then), (what, then));
            assert_eq!((awaited.since, awaited.until.as_ms(), awaited.alive), (Tick::ZERO, until_ms, true), "{what}");
        }
        assert_eq!(after(&[ended()]).awaited(&names, Tick::ZERO), None);
    }

    #[test]
    fn the_user_is_told_of_a_silence_ever_more_seldom_and_of_a_start_earlier() {
        let told_at = |mut watch: Watch| -> Vec<u64> {
            let mut told = Vec::new();
            while let Some(at) = watch.tell_at().filter(|at| at.as_ms() < 900_000) {
                assert!(!watch.tells(Tick(at.0 - 1)));
                assert!(watch.tells(at));
                told.push(at.as_ms() / 1_000);
            }
            told
        };
        assert_eq!(told_at(after(&[])), [15, 30, 60, 120, 240, 480]);
        assert_eq!(told_at(after(&[hook("SessionStart:startup")])), [15, 30, 60, 120, 240, 480]);
        assert_eq!(told_at(after(&[tool("a", None)])), [60, 120, 240, 480]);
        let mut late = after(&[tool("a", None)]);
        assert!(late.tells(Tick::ZERO.plus_ms(500_000)));
        assert_eq!(late.tell_at().map(Tick::as_ms), Some(960_000), "once, and not for what was missed");
        late.progress(Tick::ZERO.plus_ms(600_000));
        assert_eq!(late.tell_at().map(Tick::as_ms), Some(660_000));
        assert_eq!(after(&[ended()]).tell_at(), None);
    }
}
