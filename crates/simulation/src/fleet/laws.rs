//! The state of the laws of a fleet. What is right is worked out here once more, apart from the keeper's own reckoning.

use std::collections::{BTreeMap, BTreeSet};

use super::law::{FleetBroken, FleetLaw};
use super::usage::PAUSE_MS;
use supervision::core::TokenId;
use supervision::upkeep::{Rules, TokenUsage, Why};

/// A moment: microseconds of the fleet, and how often the clock was set or the machine slept until then. Between two moments with
/// different counts nobody can tell how much time has passed by the wall clock.
type Moment = (u64, u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct FleetLaws {
    now: Moment,
    asked: BTreeMap<TokenId, Moment>,
    started: Option<Moment>,
    revived: BTreeMap<String, Vec<Moment>>,
    /// Agents that were interrupted by a keeper, and the time without headroom.
    stopped: BTreeSet<(String, u64)>,
    /// The levels of the windows, as heard: 0, 1 or 2.
    levels: BTreeMap<(String, String), u8>,
    crossings: usize,
    /// The keys of the messages about crossings that each agent has taken.
    told: BTreeMap<String, BTreeSet<String>>,
    /// Who has left which limited token: agent, token, and its reset.
    left: BTreeSet<(String, TokenId, i64, u64)>,
}

impl FleetLaws {
    pub(super) fn time(&mut self, us: u64) {
        self.now.0 = us;
    }

    /// The clock is set, or the machine sleeps or is started anew.
    pub(super) fn time_is_unsure(&mut self) {
        self.now.1 += 1;
    }

    /// How long ago that was, in milliseconds of the wall clock; `None` if nobody can tell.
    fn since_ms(&self, at: Moment) -> Option<i64> {
        let us = self.now.0.saturating_sub(at.0);
        (at.1 == self.now.1).then(|| i64::try_from(us.div_ceil(1_000)).unwrap_or(i64::MAX))
    }

    /// A keeper asks about a token.
    pub(super) fn asks(&mut self, token: &TokenId) -> Result<(), FleetBroken> {
        let last = self.asked.insert(token.clone(), self.now).and_then(|at| self.since_ms(at));
        match last.filter(|ms| *ms < PAUSE_MS) {
            Some(ms) => Err(FleetLaw::OnePoller.broken(format!("{token} is asked about again after {ms} ms"))),
            None => Ok(()),
        }
    }

    /// A ccc takes an agent.
    pub(super) fn takes(agent: &str, is_free: bool) -> Result<(), FleetBroken> {
        if is_free {
            return Ok(());
        }
        Err(FleetLaw::OneHost.broken(format!("a second ccc takes {agent}")))
    }

    /// Several keepers hold the lock.
    pub(super) fn keepers(holders: usize) -> Result<(), FleetBroken> {
        if holders <= 1 {
            return Ok(());
        }
        Err(FleetLaw::OneKeeper.broken(format!("{holders} keepers work")))
    }

    /// An agent is started, by a keeper or as a new one, and this is what was last heard.
    pub(super) fn starts(
        agent: &str,
        ignores_usage: bool,
        usage: &[TokenUsage],
        now_unix_ms: i64,
        rules: &Rules,
    ) -> Result<(), FleetBroken> {
        if ignores_usage || !rules.watches_usage || !is_exhausted(usage, now_unix_ms, rules) {
            return Ok(());
        }
        Err(FleetLaw::PastCritical.broken(format!("{agent} is started although no token has headroom: {usage:?}")))
    }

    /// A keeper has decided to start this agent.
    pub(super) fn keeper_starts(&mut self, agent: &str, why: Why, rules: &Rules) -> Result<(), FleetBroken> {
        let last = self.started.replace(self.now).and_then(|at| self.since_ms(at));
        if let Some(ms) = last.filter(|ms| *ms < rules.step_ms) {
            return Err(FleetLaw::Steps.broken(format!("{agent} is started {ms} ms after another")));
        }
        if why == Why::TakenUp {
            return Ok(());
        }
        let now = self.now;
        let revived = self.revived.entry(agent.to_owned()).or_default();
        revived.push(now);
        let revived = revived.clone();
        let within = revived.iter().filter_map(|at| self.since_ms(*at)).filter(|ms| *ms < rules.revival_window_ms);
        let count = within.count();
        FleetLaw::Revivals.broken_if(count > usize::try_from(rules.most_revivals).unwrap_or(usize::MAX), || {
            format!("{agent} is revived {count} times")
        })?;
        Ok(())
    }

    /// The agent has ended or was continued by the user, so that its revivals count anew.
    pub(super) fn revivals_count_anew(&mut self, agent: &str) {
        self.revived.remove(agent);
    }

    /// The machine was started anew, and with it a keeper that forgets failures.
    pub(super) fn all_revivals_count_anew(&mut self) {
        self.revived.clear();
    }

    /// A keeper tells a run to stop that may have been told so before.
    pub(super) fn orders_stop(agent: &str, is_stopping: bool) -> Result<(), FleetBroken> {
        FleetLaw::StoppedOnce.broken_if(is_stopping, || format!("{agent} is told to stop while it is ending"))?;
        Ok(())
    }

    /// A keeper's order has interrupted a run.
    pub(super) fn is_stopped(&mut self, agent: &str, episode: u64) -> Result<(), FleetBroken> {
        if self.stopped.insert((agent.to_owned(), episode)) {
            return Ok(());
        }
        Err(FleetLaw::StoppedOnce.broken(format!("{agent} was stopped twice for the time without headroom {episode}")))
    }

    /// The user has continued an agent that no keeper has seen stopped.
    pub(super) fn may_be_stopped_again(&mut self, agent: &str) {
        self.stopped.retain(|(stopped, _)| stopped != agent);
    }

    /// A keeper has judged what it has heard.
    pub(super) fn judged(&mut self, usage: &[TokenUsage], now_unix_ms: i64, rules: &Rules) {
        let mut levels = BTreeMap::new();
        for token in usage {
            for window in &token.windows {
                let is_over = window.resets_unix_ms.is_some_and(|at| at <= now_unix_ms);
                let percent = window.percent.filter(|_| !is_over && rules.watches_usage).unwrap_or(f64::NEG_INFINITY);
                let level = u8::from(percent >= rules.warn_percent) + u8::from(percent >= rules.critical_percent);
                let name = (token.id.clone(), window.name.clone());
                if level > self.levels.get(&name).copied().unwrap_or(0) {
                    self.crossings += 1;
                }
                levels.insert(name, level);
            }
        }
        self.levels = levels;
    }

    /// An agent has taken a message about a crossing.
    pub(super) fn hears_of_crossing(&mut self, agent: &str, key: &str, text: &str) -> Result<(), FleetBroken> {
        let keys = self.told.entry(agent.to_owned()).or_default();
        FleetLaw::CrossingTold
            .broken_if(!keys.insert(key.to_owned()), || format!("{agent} takes {key} twice: {text}"))?;
        if keys.len() > self.crossings {
            let what = format!("{agent} was told {} times of {} crossings: {text}", keys.len(), self.crossings);
            return Err(FleetLaw::CrossingTold.broken(what));
        }
        Ok(())
    }

    /// The agent's journal has lost entries, so that it may take messages again.
    pub(super) fn forgets_told(&mut self, agent: &str) {
        self.told.remove(agent);
    }

    /// An agent leaves a token whose limit ends then.
    pub(super) fn leaves(&mut self, agent: &str, token: &TokenId, until_ms: i64) -> Result<(), FleetBroken> {
        if self.left.insert((agent.to_owned(), token.clone(), until_ms, self.now.1)) {
            return Ok(());
        }
        Err(FleetLaw::OneRotation.broken(format!("{agent} leaves {token} again, whose limit has not ended")))
    }

    /// Somebody has said that a limit is over, or the agent begins anew.
    pub(super) fn may_return(&mut self, token: Option<&TokenId>, agent: Option<&str>) {
        self.left.retain(|(of, left, _, _)| token.is_some_and(|it| it != left) || agent.is_some_and(|it| it != of));
    }
}

/// Whether no token has headroom, because of a threshold of at least one.
pub(super) fn is_exhausted(usage: &[TokenUsage], now_unix_ms: i64, rules: &Rules) -> bool {
    let mut some_full = false;
    for token in usage {
        let counts = token.windows.iter().filter(|window| window.resets_unix_ms.is_none_or(|at| at > now_unix_ms));
        let is_full = counts.filter_map(|window| window.percent).any(|percent| percent >= rules.critical_percent);
        let is_limited = token.limited_until_unix_ms.is_some_and(|until| until > now_unix_ms);
        if !(is_full || is_limited || token.refused) {
            return false;
        }
        some_full |= is_full;
    }
    some_full
}
