//! Agents: who is stopped, taken up again and revived.

use serde::{Deserialize, Serialize};

use super::{Act, Decided, FIRST_REVIVAL_MS, Facts, Rules, STOP_AGAIN_MS, TELL_AGAIN_MS, Upkeep, Why};

/// How an agent stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has not begun yet, and not long ago.
    Starting,
    /// It waits for room on the machine, and nothing of it was started.
    Queued,
    /// A ccc works on it.
    Running {
        /// It is ending.
        ending: bool,
    },
    /// It was interrupted: it can be continued.
    Stopped,
    /// It has ended with another outcome.
    Ended,
    /// It has not ended, and no ccc works on it.
    Died,
}

/// The facts about an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFact {
    /// The id of its run.
    pub id: String,
    /// How it stands.
    pub standing: Standing,
    /// It may start agents, and is told of thresholds.
    pub is_manager: bool,
    /// The run of its manager, which is told of its end.
    pub manager: Option<String>,
    /// It has ended, and its ccc has died before its manager knew of that.
    pub end_untold: bool,
    /// It must not be started: the user has stopped it, or it is about to be removed.
    pub kept_down: bool,
    /// It was started although no token had headroom.
    pub ignores_usage: bool,
    /// When its ccc last gave a sign of life, unix milliseconds.
    pub seen_unix_ms: i64,
    /// It runs and waits: for its workers, a reset, or its user.
    pub is_idle: bool,
    /// Since when its ccc works on it, unix milliseconds.
    pub since_unix_ms: Option<i64>,
}

impl AgentFact {
    /// Whether a ccc works on it.
    #[must_use]
    pub fn is_running(&self) -> bool {
        matches!(self.standing, Standing::Running { .. })
    }
}

/// An agent that was stopped because of the usage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stopped {
    /// The number of the [`super::Critical`] for which it was stopped.
    pub episode: u64,
    /// When it was told to stop.
    pub since_unix_ms: i64,
    /// It has stopped.
    #[serde(default)]
    pub has_ended: bool,
    /// Somebody else has continued it or keeps it down: it is not taken up, and not stopped again for this episode.
    #[serde(default)]
    pub released: bool,
    /// The order may be given again from then on.
    #[serde(default)]
    pub again_unix_ms: i64,
    /// How often taking it up has failed.
    #[serde(default)]
    pub failures: u32,
    /// It is not tried again.
    #[serde(default)]
    pub given_up: Option<GivenUp>,
}

/// The revivals of an agent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Revival {
    /// Since when it has been seen dead; `None` while it runs.
    #[serde(default)]
    pub dead_since_unix_ms: Option<i64>,
    /// When it was revived, within the window of the limit.
    #[serde(default)]
    pub at_unix_ms: Vec<i64>,
    /// Why the last one failed.
    #[serde(default)]
    pub failure: Option<String>,
    /// It is not tried again.
    #[serde(default)]
    pub given_up: Option<GivenUp>,
}

impl Revival {
    /// How often it was revived within the window of the limit.
    fn count(&self) -> u32 {
        u32::try_from(self.at_unix_ms.len()).unwrap_or(u32::MAX)
    }

    /// When it is revived next, dead since this time.
    fn due(&self, since_unix_ms: i64, rules: &Rules) -> i64 {
        let first = since_unix_ms.saturating_add(FIRST_REVIVAL_MS);
        let backoff = self.count().checked_sub(1);
        let backoff = backoff.map_or(0, |n| rules.revival_backoff_ms.saturating_mul(1 << n.min(20)));
        self.at_unix_ms.last().map_or(first, |last| first.max(last.saturating_add(backoff)))
    }
}

/// A worker that has died and is not revived.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Lost {
    /// Its manager's run was told.
    pub told: bool,
    /// It is not told again before this time.
    pub next_unix_ms: i64,
}

/// Why an agent is not started any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenUp {
    /// When that was decided.
    pub at_unix_ms: i64,
    /// Why, for the user.
    pub why: String,
    /// The user was told.
    #[serde(default)]
    pub is_told: bool,
}

impl Upkeep {
    /// An agent could not be told to stop: it is told again at the next decision.
    pub fn stop_failed(&mut self, run: &str) {
        self.stopped.remove(run);
    }

    /// The result of continuing a run; `failure` says why it failed.
    pub fn resumed(&mut self, run: &str, why: Why, failure: Option<String>, now_unix_ms: i64, rules: &Rules) {
        match why {
            Why::Died => {
                if let Some(revival) = self.revivals.get_mut(run) {
                    revival.failure = failure;
                }
            }
            Why::Queued => self.started(run, failure, now_unix_ms, rules),
            Why::TakenUp => {
                let Some(stopped) = self.stopped.get_mut(run) else { return };
                let Some(failure) = failure else {
                    self.stopped.remove(run);
                    return;
                };
                let backoff = rules.revival_backoff_ms.saturating_mul(1 << stopped.failures.min(20));
                stopped.failures += 1;
                stopped.again_unix_ms = now_unix_ms.saturating_add(backoff);
                if stopped.failures >= rules.most_revivals {
                    let why = format!("it could not be continued after the reset: {failure}");
                    stopped.given_up = Some(GivenUp { at_unix_ms: now_unix_ms, why, is_told: false });
                }
            }
        }
    }

    /// The manager's run has heard that this worker is lost, or never will.
    pub fn told_of_lost(&mut self, worker: &str) {
        if let Some(lost) = self.lost.get_mut(worker) {
            lost.told = true;
        }
    }

    /// Tells the managers that run of the workers that have died and are not revived, and of those whose ccc has died before it had
    /// told their end: no ccc is left that could.
    pub(super) fn tell_of_lost(&mut self, facts: &Facts<'_>, rules: &Rules, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        let is_lost = |upkeep: &Upkeep, agent: &AgentFact| {
            let ended = agent.end_untold && !upkeep.is_taken_up_later(&agent.id);
            ended || agent.standing == Standing::Died && !upkeep.may_be_revived(agent, now, rules)
        };
        let lost: Vec<&AgentFact> = facts.agents.iter().filter(|agent| is_lost(self, agent)).collect();
        self.lost.retain(|id, _| lost.iter().any(|agent| agent.id == *id));
        for worker in lost {
            let manager = worker.manager.as_ref().and_then(|id| facts.agents.iter().find(|agent| agent.id == *id));
            // One that does not run is told when it is continued.
            let Some(manager) = manager.filter(|manager| manager.is_running()) else { continue };
            let lost = self.lost.entry(worker.id.clone()).or_default();
            if lost.told {
                continue;
            }
            // The clock may have been set back.
            lost.next_unix_ms = lost.next_unix_ms.min(now.saturating_add(TELL_AGAIN_MS));
            if now >= lost.next_unix_ms {
                lost.next_unix_ms = now.saturating_add(TELL_AGAIN_MS);
                decided.acts.push(Act::TellOfLost { run: manager.id.clone(), worker: worker.id.clone() });
            }
            decided.wake(lost.next_unix_ms);
        }
    }

    /// The user was told that this agent is not continued any more, or cannot be.
    pub fn told_of_end(&mut self, run: &str) {
        let of_revival = self.revivals.get_mut(run).and_then(|revival| revival.given_up.as_mut());
        let of_stop = self.stopped.get_mut(run).and_then(|stopped| stopped.given_up.as_mut());
        let of_queue = self.queue.get_mut(run).and_then(|waiting| waiting.given_up.as_mut());
        for given_up in [of_revival, of_stop, of_queue].into_iter().flatten() {
            given_up.is_told = true;
        }
    }

    /// The agents that are not continued any more, of which the user does not know that, with the reason.
    pub(super) fn untold<'a>(&'a self, facts: &'a Facts<'_>) -> impl Iterator<Item = (&'a AgentFact, &'a GivenUp)> {
        // What the user keeps down is no news to them.
        let agents = facts.agents.iter().filter(|agent| !agent.kept_down && !agent.is_running());
        agents.filter_map(|agent| Some((agent, self.given_up(&agent.id).filter(|given_up| !given_up.is_told)?)))
    }

    /// Tells the user of agents that are not continued any more.
    pub(super) fn tell_user(&mut self, facts: &Facts<'_>, decided: &mut Decided) {
        let tell = |(agent, given_up): (&AgentFact, &GivenUp)| Act::TellUser {
            run: agent.id.clone(),
            why: given_up.why.clone(),
        };
        decided.acts.extend(self.untold(facts).map(tell));
    }

    /// Why this agent is not started any more, for the user.
    #[must_use]
    pub fn given_up(&self, run: &str) -> Option<&GivenUp> {
        let of_revival = self.revivals.get(run).and_then(|revival| revival.given_up.as_ref());
        of_revival
            .or_else(|| self.stopped.get(run)?.given_up.as_ref())
            .or_else(|| self.queue.get(run)?.given_up.as_ref())
    }

    /// Whether this agent was stopped because of the usage and is taken up after the reset: it has not ended.
    #[must_use]
    pub fn is_taken_up_later(&self, run: &str) -> bool {
        self.stopped.get(run).is_some_and(|stopped| stopped.given_up.is_none() && !stopped.released)
    }

    /// Whether the keeper continues this agent by itself, now or later: its ccc has died, or the keeper has stopped it because of the
    /// usage.
    #[must_use]
    pub fn continues(&self, agent: &AgentFact, now_unix_ms: i64, rules: &Rules) -> bool {
        match agent.standing {
            Standing::Stopped => !agent.kept_down && self.is_taken_up_later(&agent.id),
            Standing::Died if self.stopped.contains_key(&agent.id) => {
                !agent.kept_down && self.is_taken_up_later(&agent.id)
            }
            Standing::Died => self.may_be_revived(agent, now_unix_ms, rules),
            Standing::Starting | Standing::Queued | Standing::Running { .. } | Standing::Ended => false,
        }
    }

    /// Whether a dead agent is to be started again, now or later.
    pub(super) fn may_be_revived(&self, agent: &AgentFact, now: i64, rules: &Rules) -> bool {
        !agent.kept_down
            && now.saturating_sub(agent.seen_unix_ms) < rules.revived_within_ms
            && self.given_up(&agent.id).is_none()
    }

    /// Stops agents while no token has headroom.
    pub(super) fn stop(&mut self, facts: &Facts<'_>, rules: &Rules, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        let episode = self.critical.as_ref().map(|critical| critical.episode);
        let by_id = |id: &str| facts.agents.iter().find(|agent| agent.id == id);
        self.stopped.retain(|id, stopped| {
            let Some(agent) = by_id(id) else { return false };
            match agent.standing {
                Standing::Stopped | Standing::Died => stopped.has_ended = true,
                Standing::Running { .. } if stopped.has_ended => {
                    stopped.has_ended = false;
                    stopped.released = true;
                }
                // The order was not carried out, and is not needed any more.
                Standing::Running { ending: false } if episode.is_none() && now >= stopped.again_unix_ms => {
                    return false;
                }
                Standing::Running { .. } | Standing::Starting => {}
                Standing::Queued | Standing::Ended => return false,
            }
            // The user has decided about it, and may continue it before the reset.
            stopped.released |= agent.kept_down;
            // A released one is only remembered so that it is not stopped again.
            !stopped.released || episode == Some(stopped.episode)
        });
        let Some(critical) = &self.critical else { return };
        let reason = reason(critical);
        for agent in facts.agents.iter().filter(|agent| !agent.ignores_usage && !agent.kept_down) {
            let Standing::Running { ending } = agent.standing else { continue };
            let again = self.stopped.get(&agent.id).filter(|it| it.episode == critical.episode);
            let is_due = again.is_none_or(|it| !it.released && now >= it.again_unix_ms);
            if ending && again.is_some() || !is_due {
                continue;
            }
            let since_unix_ms = again.map_or(now, |it| it.since_unix_ms);
            let stopped = Stopped {
                episode: critical.episode,
                since_unix_ms,
                has_ended: false,
                released: false,
                again_unix_ms: now.saturating_add(STOP_AGAIN_MS),
                failures: 0,
                given_up: None,
            };
            self.stopped.insert(agent.id.clone(), stopped);
            let (run, reason) = (agent.id.clone(), reason.clone());
            decided.acts.push(if rules.ends_agents { Act::End { run, reason } } else { Act::Stop { run, reason } });
        }
        let again = self.stopped.values().filter(|it| !it.has_ended && !it.released).map(|it| it.again_unix_ms);
        if let Some(again) = again.min() {
            decided.wake(again.max(now.saturating_add(1)));
        }
    }

    /// Continues agents, one at a time: those that died, and those that were stopped once a token has headroom again.
    pub(super) fn start(&mut self, facts: &Facts<'_>, rules: &Rules, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        self.forget_revivals(facts, rules);
        // The clock may have been set back.
        let longest = now.saturating_add(rules.step_ms).saturating_add(rules.step_jitter_ms);
        self.next_start_unix_ms = self.next_start_unix_ms.min(longest);
        for agent in facts.agents.iter().filter(|agent| !agent.kept_down) {
            let waits = self.critical.is_some() && !agent.ignores_usage;
            let (due, why) = match (agent.standing, self.stopped.get(&agent.id)) {
                (Standing::Stopped | Standing::Died, Some(stopped)) => {
                    if stopped.released || stopped.given_up.is_some() {
                        continue;
                    }
                    (if stopped.failures == 0 { now } else { stopped.again_unix_ms }, Why::TakenUp)
                }
                (Standing::Died, None) => match self.revival_due(agent, now, rules) {
                    Some(due) => (due, Why::Died),
                    None => continue,
                },
                (
                    Standing::Starting
                    | Standing::Queued
                    | Standing::Running { .. }
                    | Standing::Ended
                    | Standing::Stopped,
                    _,
                ) => continue,
            };
            // When the usage changes, there is a decision.
            if waits {
                continue;
            }
            let due = due.max(self.next_start_unix_ms);
            if now < due {
                decided.wake(due);
                continue;
            }
            match why {
                Why::Died => self.revivals.entry(agent.id.clone()).or_default().at_unix_ms.push(now),
                Why::TakenUp | Why::Queued => {}
            }
            let jitter = jitter(&agent.id, rules.step_jitter_ms);
            self.next_start_unix_ms = now.saturating_add(rules.step_ms).saturating_add(jitter);
            decided.acts.push(Act::Resume { run: agent.id.clone(), why });
            // Whether that has succeeded is seen at the next decision.
            decided.wake(self.next_start_unix_ms);
        }
    }

    /// When the dead agent is revived next; `None` if never.
    fn revival_due(&mut self, agent: &AgentFact, now: i64, rules: &Rules) -> Option<i64> {
        if !self.may_be_revived(agent, now, rules) {
            return None;
        }
        let revival = self.revivals.entry(agent.id.clone()).or_default();
        let since = *revival.dead_since_unix_ms.get_or_insert(now);
        let count = revival.count();
        if count >= rules.most_revivals {
            let failure = revival.failure.as_deref().unwrap_or("its ccc died again each time");
            let why = format!("it was revived {count} times in {}: {failure}", span(rules.revival_window_ms));
            revival.given_up = Some(GivenUp { at_unix_ms: now, why, is_told: false });
            return None;
        }
        Some(revival.due(since, rules))
    }

    /// When the keeper continues this agent, whose ccc has died; `None` if it does not, or only after a reset of the usage.
    #[must_use]
    pub fn continued_at(&self, agent: &AgentFact, now_unix_ms: i64, rules: &Rules) -> Option<i64> {
        let waits = self.stopped.contains_key(&agent.id) || self.critical.is_some() && !agent.ignores_usage;
        if agent.standing != Standing::Died || waits || !self.may_be_revived(agent, now_unix_ms, rules) {
            return None;
        }
        let none = Revival::default();
        let revival = self.revivals.get(&agent.id).unwrap_or(&none);
        let due = revival.due(revival.dead_since_unix_ms.unwrap_or(now_unix_ms), rules);
        (revival.count() < rules.most_revivals).then(|| due.max(self.next_start_unix_ms))
    }

    /// Drops what is not needed any more about the deaths of agents.
    fn forget_revivals(&mut self, facts: &Facts<'_>, rules: &Rules) {
        let now = facts.now_unix_ms;
        self.revivals.retain(|id, revival| {
            let Some(agent) = facts.agents.iter().find(|agent| agent.id == *id) else { return false };
            // One in the future is of a clock that was set back.
            revival.at_unix_ms.retain(|at| *at <= now && now.saturating_sub(*at) < rules.revival_window_ms);
            match agent.standing {
                Standing::Died => true,
                Standing::Running { .. } | Standing::Starting => {
                    revival.dead_since_unix_ms = None;
                    revival.given_up = None;
                    !revival.at_unix_ms.is_empty()
                }
                Standing::Queued | Standing::Stopped | Standing::Ended => false,
            }
        });
    }
}

/// Why agents are stopped.
fn reason(critical: &super::Critical) -> String {
    let full = &critical.full;
    format!(
        "the usage is critical: {:.0} % of the window {} of {} is used; the agent is continued after the reset",
        full.percent.floor(),
        full.window,
        full.token
    )
}

/// A part of the longest jitter, the same for the same agent.
pub(super) fn jitter(id: &str, longest_ms: i64) -> i64 {
    let hash = id.bytes().fold(17_i64, |hash, byte| (hash * 31 + i64::from(byte)) % 1_000_003);
    if longest_ms <= 0 { 0 } else { hash % longest_ms }
}

fn span(ms: i64) -> String {
    let minutes = ms / 60_000;
    if minutes % 60 == 0 && minutes > 0 {
        let hours = minutes / 60;
        if hours == 1 { "an hour".to_owned() } else { format!("{hours} hours") }
    } else {
        format!("{minutes} minutes")
    }
}
