//! Agents that wait for room on the machine: the oldest starts first, one at a time.

use serde::{Deserialize, Serialize};

use super::agents::jitter;
use super::{Act, AgentFact, Decided, Facts, GivenUp, Room, RoomFacts, Rules, Standing, Upkeep, Why, YOUNG_MS, room};

/// The pause before the load is measured again.
pub const LOAD_AGAIN_MS: i64 = 5_000;

/// An agent that waits for room, and could not be started.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// How often its start has failed.
    #[serde(default)]
    pub failures: u32,
    /// It is not tried again before this time.
    #[serde(default)]
    pub again_unix_ms: i64,
    /// It is not tried again.
    #[serde(default)]
    pub given_up: Option<GivenUp>,
}

/// What the facts say about one more agent, before which so many others wait.
#[must_use]
pub fn facts_of_room(facts: &Facts<'_>, before: u32) -> RoomFacts {
    let runs = |agent: &&AgentFact| {
        // A manager that waits for a worker in the queue must not keep it there.
        agent.is_running() && !agent.is_idle || agent.standing == Standing::Starting
    };
    let now = facts.now_unix_ms;
    let is_young = |agent: &&AgentFact| agent.since_unix_ms.is_none_or(|since| now.saturating_sub(since) < YOUNG_MS);
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    RoomFacts {
        load: facts.load,
        running: count(facts.agents.iter().filter(runs).count()),
        young: count(facts.agents.iter().filter(runs).filter(is_young).count()),
        before,
    }
}

impl Upkeep {
    /// Whether an agent that waits is started, now or later.
    #[must_use]
    pub fn may_start(&self, agent: &AgentFact) -> bool {
        agent.standing == Standing::Queued && !agent.kept_down && self.given_up(&agent.id).is_none()
    }

    /// The start of an agent that waited has failed for this reason, or has succeeded.
    pub(super) fn started(&mut self, run: &str, failure: Option<String>, now_unix_ms: i64, rules: &Rules) {
        let Some(failure) = failure else {
            self.queue.remove(run);
            return;
        };
        let waiting = self.queue.entry(run.to_owned()).or_default();
        let backoff = rules.revival_backoff_ms.saturating_mul(1 << waiting.failures.min(20));
        waiting.failures += 1;
        waiting.again_unix_ms = now_unix_ms.saturating_add(backoff);
        if waiting.failures >= rules.most_revivals {
            let why = format!("it could not be started: {failure}");
            waiting.given_up = Some(GivenUp { at_unix_ms: now_unix_ms, why, is_told: false });
        }
    }

    /// Starts the oldest agent that waits, if there is room for it. The next one is decided on when what this one uses can be
    /// measured.
    pub(super) fn start_queued(&mut self, facts: &Facts<'_>, rules: &Rules, decided: &mut Decided) {
        let now = facts.now_unix_ms;
        let waits = |id: &str| facts.agents.iter().any(|agent| agent.id == id && agent.standing == Standing::Queued);
        self.queue.retain(|id, _| waits(id));
        let is_free = |agent: &&AgentFact| self.critical.is_none() || agent.ignores_usage;
        let mut next = None;
        for agent in facts.agents.iter().filter(|agent| self.may_start(agent)).filter(is_free) {
            // The clock may have been set back.
            let longest = now.saturating_add(rules.revival_backoff_ms.saturating_mul(1 << 20));
            let again = self.queue.get(&agent.id).map_or(now, |waiting| waiting.again_unix_ms);
            if again <= now || again > longest {
                next = Some(agent);
                break;
            }
            decided.wake(again);
        }
        let Some(agent) = next else { return };
        if now < self.next_start_unix_ms {
            decided.wake(self.next_start_unix_ms);
            return;
        }
        match room(&facts_of_room(facts, 0), &rules.room) {
            Room::Free => {
                let jitter = jitter(&agent.id, rules.step_jitter_ms);
                self.next_start_unix_ms = now.saturating_add(rules.step_ms).saturating_add(jitter);
                decided.acts.push(Act::Resume { run: agent.id.clone(), why: Why::Queued });
                decided.wake(self.next_start_unix_ms);
            }
            Room::Wait(_) => decided.wake(now.saturating_add(LOAD_AGAIN_MS)),
        }
    }
}
