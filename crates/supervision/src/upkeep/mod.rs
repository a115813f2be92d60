//! What the keeper decides for all agents of a user: when usage is asked about, who is told of a threshold, which agents are
//! stopped, taken up again and revived, and when those start that wait for room on the machine ([`room`]).
//!
//! [`Upkeep`] is everything that the keeper remembers. It is written to the disk before its decisions ([`Act`]) are performed,
//! so a keeper that is killed is continued by the next one. [`Upkeep::decide`] takes the present facts with the time; nothing
//! here reads a clock, and the same facts give the same decisions. The results of acts come back through [`Upkeep::heard`],
//! [`Upkeep::told`], [`Upkeep::told_of_lost`], [`Upkeep::told_of_end`], [`Upkeep::stop_failed`] and [`Upkeep::resumed`].

mod agents;
mod queue;
mod room;
mod usage;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use agents::{AgentFact, GivenUp, Lost, Revival, Standing, Stopped};
pub use queue::{LOAD_AGAIN_MS, Waiting, facts_of_room};
pub use room::{AGENT_BYTES, Load, Memory, Room, RoomFacts, RoomLimits, Shortage, Size, YOUNG_MS, room};
pub use usage::{Admission, Full, Level, TokenUsage, WindowUse, admission, headroom_again};

/// How long after an agent was first seen dead it is revived: its ccc may be between two steps of its start.
pub const FIRST_REVIVAL_MS: i64 = 1_000;
/// An order to stop that was not carried out is given again after this time.
pub const STOP_AGAIN_MS: i64 = 60_000;
/// A notice that could not be told is dropped after this time.
pub const NOTICE_MS: i64 = 15 * 60_000;
/// The pause before a notice is told again.
pub const TELL_AGAIN_MS: i64 = 10_000;
/// The most notices that wait.
const NOTICES_LIMIT: usize = 64;

/// The rules in force, from the user's settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules {
    /// Whether usage is watched at all.
    pub watches_usage: bool,
    /// The percentage of a window from which managers are warned.
    pub warn_percent: f64,
    /// The percentage of a window from which a token has no headroom.
    pub critical_percent: f64,
    /// The pause between two questions about usage.
    pub check_interval_ms: i64,
    /// Managers are told when a threshold is crossed.
    pub notify_managers: bool,
    /// Where no token has headroom, agents are ended for good instead of stopped.
    pub ends_agents: bool,
    /// An agent is revived at most this often in `revival_window_ms`.
    pub most_revivals: u32,
    /// See `most_revivals`.
    pub revival_window_ms: i64,
    /// The pause after the first failed revival; it doubles with each further one.
    pub revival_backoff_ms: i64,
    /// An agent that was last alive before this time is not revived.
    pub revived_within_ms: i64,
    /// The shortest pause between two starts of agents.
    pub step_ms: i64,
    /// The pause is longer by up to this much, by the agent's id.
    pub step_jitter_ms: i64,
    /// The keeper ends when there was nothing to keep for this long.
    pub grace_ms: i64,
    /// What agents that have not started yet wait for.
    pub room: RoomLimits,
}

impl Default for Rules {
    fn default() -> Rules {
        Rules {
            watches_usage: true,
            warn_percent: 80.0,
            critical_percent: 90.0,
            check_interval_ms: 120_000,
            notify_managers: true,
            ends_agents: false,
            most_revivals: 3,
            revival_window_ms: 3_600_000,
            revival_backoff_ms: 10_000,
            revived_within_ms: 24 * 3_600_000,
            step_ms: 5_000,
            step_jitter_ms: 2_000,
            grace_ms: 60_000,
            room: RoomLimits::default(),
        }
    }
}

/// The present facts.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts<'a> {
    /// The present time, unix milliseconds.
    pub now_unix_ms: i64,
    /// All agents, the oldest first.
    pub agents: &'a [AgentFact],
    /// What was measured on the machine, while agents wait for it.
    pub load: Load,
}

/// A decision.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Ask about the usage of all tokens in use, then call [`Upkeep::heard`].
    AskUsage,
    /// Send this message to the agent of this run, then call [`Upkeep::told`].
    Tell {
        /// The notice.
        notice: u64,
        /// The run.
        run: String,
        /// The message.
        text: String,
    },
    /// Tell the manager's run that this worker has died and is not revived, or of its end, which it does not know. Then call [`Upkeep::told_of_lost`].
    TellOfLost {
        /// The manager's run.
        run: String,
        /// The worker's.
        worker: String,
    },
    /// Tell the user that this agent is not continued any more: nobody works on it who could. Then call [`Upkeep::told_of_end`].
    TellUser {
        /// The run.
        run: String,
        /// Why.
        why: String,
    },
    /// Stop this run, its session kept. If it cannot be reached, call [`Upkeep::stop_failed`].
    Stop {
        /// The run.
        run: String,
        /// Why.
        reason: String,
    },
    /// End this agent for good. If it cannot be reached, call [`Upkeep::stop_failed`].
    End {
        /// The run.
        run: String,
        /// Why.
        reason: String,
    },
    /// Continue this run, then call [`Upkeep::resumed`].
    Resume {
        /// The run.
        run: String,
        /// Why.
        why: Why,
    },
}

/// Why a run is continued.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Its ccc died.
    Died,
    /// It was stopped because of the usage, which allows it again.
    TakenUp,
    /// It has not started yet, and there is room for it.
    Queued,
}

/// The decisions for the present facts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Decided {
    /// What to do, in this order.
    pub acts: Vec<Act>,
    /// When to decide again if nothing happens, unix milliseconds.
    pub wake_unix_ms: Option<i64>,
    /// There is nothing to keep, and there was nothing for the grace period.
    pub rests: bool,
}

impl Decided {
    fn wake(&mut self, at_unix_ms: i64) {
        self.wake_unix_ms = Some(self.wake_unix_ms.map_or(at_unix_ms, |earlier| earlier.min(at_unix_ms)));
    }
}

/// A message to managers that was not yet received by all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Its number, which makes it unique for the receiver.
    pub id: u64,
    /// When the threshold was crossed.
    pub at_unix_ms: i64,
    /// The message.
    pub text: String,
    /// The runs that have not received it yet.
    pub to: BTreeSet<String>,
    /// It is not tried again before this time.
    #[serde(default)]
    pub next_unix_ms: i64,
}

/// No token has headroom.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Critical {
    /// Its number: an agent is stopped once for each.
    pub episode: u64,
    /// Since when.
    pub since_unix_ms: i64,
    /// The window that keeps the first token from having headroom.
    pub full: Full,
}

/// What the keeper remembers.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Upkeep {
    /// When usage was last asked about.
    pub asked_unix_ms: Option<i64>,
    /// The value of `asked_unix_ms` whose answer was heard.
    pub heard_unix_ms: Option<i64>,
    /// What was heard then.
    pub usage: Vec<TokenUsage>,
    /// The level of each window of each token, by their names.
    pub levels: BTreeMap<String, BTreeMap<String, Level>>,
    /// How many notices there were.
    pub notices_made: u64,
    /// Notices that are still to be told.
    pub notices: Vec<Notice>,
    /// How often no token had headroom.
    pub episodes: u64,
    /// No token has headroom now.
    pub critical: Option<Critical>,
    /// The agents that were stopped because of the usage, and are to be taken up.
    pub stopped: BTreeMap<String, Stopped>,
    /// The agents whose ccc died.
    pub revivals: BTreeMap<String, Revival>,
    /// The agents that wait for room and could not be started.
    pub queue: BTreeMap<String, Waiting>,
    /// The workers that have died and are not revived, whose managers are to be told.
    pub lost: BTreeMap<String, Lost>,
    /// No agent is started before this time.
    pub next_start_unix_ms: i64,
    /// Since when there has been nothing to keep.
    pub idle_since_unix_ms: Option<i64>,
}

impl Upkeep {
    /// A keeper begins its work, perhaps after another was killed.
    pub fn begin(&mut self) {
        self.idle_since_unix_ms = None;
        // The answer may be in the cache of all ccc, which also keeps the pause between two requests.
        if self.heard_unix_ms != self.asked_unix_ms {
            self.asked_unix_ms = None;
        }
        // An order to stop may not have left the process that was killed.
        for stopped in self.stopped.values_mut() {
            stopped.again_unix_ms = 0;
        }
    }

    /// Forgets which revivals have failed: the machine has been started anew.
    pub fn forget_failures(&mut self) {
        self.revivals.clear();
        self.queue.clear();
    }

    /// Takes what is known about the usage of the tokens in use.
    pub fn heard(&mut self, usage: Vec<TokenUsage>) {
        self.usage = usage;
        self.heard_unix_ms = self.asked_unix_ms;
    }

    /// The message was received, or never will be.
    pub fn told(&mut self, notice: u64, run: &str) {
        for waiting in self.notices.iter_mut().filter(|waiting| waiting.id == notice) {
            waiting.to.remove(run);
        }
        self.notices.retain(|notice| !notice.to.is_empty());
    }

    /// Decides.
    pub fn decide(&mut self, facts: &Facts<'_>, rules: &Rules) -> Decided {
        let mut decided = Decided::default();
        let now = facts.now_unix_ms;
        let is_busy = facts.agents.iter().any(|agent| self.is_kept(agent, now, rules));
        if is_busy {
            self.idle_since_unix_ms = None;
        } else {
            let rest = self.idle_since_unix_ms.get_or_insert(now).saturating_add(rules.grace_ms);
            // First the user is told of the last one.
            decided.rests = now >= rest && self.untold(facts).next().is_none();
            decided.wake(rest);
        }
        if is_busy && rules.watches_usage {
            // The clock may have been set back.
            let due = |asked: i64| if asked > now { now } else { asked.saturating_add(rules.check_interval_ms) };
            let due = self.asked_unix_ms.map_or(now, due);
            if now >= due {
                // Everything else depends on the answer.
                self.asked_unix_ms = Some(now);
                return Decided { acts: vec![Act::AskUsage], wake_unix_ms: Some(now), rests: false };
            }
            decided.wake(due);
        }
        self.judge_usage(facts, rules, &mut decided);
        self.tell(facts, &mut decided);
        self.stop(facts, rules, &mut decided);
        self.start(facts, rules, &mut decided);
        self.start_queued(facts, rules, &mut decided);
        self.tell_of_lost(facts, rules, &mut decided);
        self.tell_user(facts, &mut decided);
        decided
    }

    /// Whether there is something to do for this agent, now or later.
    fn is_kept(&self, agent: &AgentFact, now: i64, rules: &Rules) -> bool {
        match agent.standing {
            Standing::Running { .. } | Standing::Starting => true,
            Standing::Stopped => {
                !agent.kept_down && self.stopped.get(&agent.id).is_some_and(|it| it.given_up.is_none())
            }
            Standing::Died => self.may_be_revived(agent, now, rules),
            Standing::Queued => self.may_start(agent),
            Standing::Ended => false,
        }
    }

    fn tell(&mut self, facts: &Facts<'_>, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        let runs = |id: &String| facts.agents.iter().any(|agent| agent.id == *id && agent.is_running());
        for notice in &mut self.notices {
            notice.to.retain(runs);
        }
        self.notices.retain(|notice| !notice.to.is_empty() && now.saturating_sub(notice.at_unix_ms) < NOTICE_MS);
        for notice in &mut self.notices {
            if now >= notice.next_unix_ms {
                notice.next_unix_ms = now.saturating_add(TELL_AGAIN_MS);
                let tell = |run: &String| Act::Tell { notice: notice.id, run: run.clone(), text: notice.text.clone() };
                decided.acts.extend(notice.to.iter().map(tell));
            }
            decided.wake(notice.next_unix_ms);
        }
    }

    /// Queues a message to all managers that run.
    fn notify(&mut self, text: String, facts: &Facts<'_>) {
        let managers = facts.agents.iter().filter(|agent| agent.is_manager && agent.is_running());
        let to: BTreeSet<String> = managers.map(|agent| agent.id.clone()).collect();
        self.notices_made += 1;
        if to.is_empty() {
            return;
        }
        self.notices.push(Notice { id: self.notices_made, at_unix_ms: facts.now_unix_ms, text, to, next_unix_ms: 0 });
        let surplus = self.notices.len().saturating_sub(NOTICES_LIMIT);
        self.notices.drain(..surplus);
    }
}

#[cfg(test)]
mod tests;
