//! The steps of a keeper: each is an event, before which it may die.

use super::keeper::{Keeper, Step};
use super::law::{Flaw, FleetBroken, FleetLaw};
use super::laws::FleetLaws;
use super::member::{ENDING, Host, Starter};
use super::world::{Event, FleetWorld, STOPPED_BY_KEEPER};
use supervision::core::{Taken, TokenId};
use supervision::upkeep::{Act, AgentFact, Facts, Load, Rules, Standing, Upkeep};

/// How often agents are looked at whose end the system does not report, and after a fault, in milliseconds.
const LOOK_MS: i64 = 10_000;
/// How soon the keeper looks again after it has acted.
const ACTED_MS: i64 = 2_000;
/// The shortest and the longest wait.
const WAIT_MS: (i64, i64) = (50, 10 * 60_000);

impl FleetWorld {
    /// The keeper does its next step.
    pub(super) fn keeper_steps(&mut self, number: u32, turn: u64) -> Result<(), FleetBroken> {
        if self.keepers.get(&number).is_none_or(|keeper| keeper.turn != turn) {
            return Ok(());
        }
        if self.fault(self.rates.keeper_dies) {
            self.keeper_dies(number);
            return Ok(());
        }
        let Some(mut keeper) = self.keepers.remove(&number) else { return Ok(()) };
        let next_ms = self.keeper_does(number, &mut keeper)?;
        if let Some(ms) = next_ms {
            keeper.turn += 1;
            let turn = keeper.turn;
            self.keepers.insert(number, keeper);
            if ms < u64::MAX {
                self.schedule(ms, Event::Keeper(number, turn));
            }
        } else {
            self.beats();
        }
        FleetLaws::keepers(self.keepers.values().filter(|keeper| keeper.holds).count())
    }

    /// Does a step. Returns after how many milliseconds the next comes, `u64::MAX` for one that something else brings about;
    /// `None` if the keeper has ended.
    fn keeper_does(&mut self, number: u32, keeper: &mut Keeper) -> Result<Option<u64>, FleetBroken> {
        let soon = self.dice.between(1, 20);
        match std::mem::replace(&mut keeper.step, Step::Looks) {
            Step::Begins => {
                let is_held = self.keepers.values().any(|other| other.holds);
                if is_held && self.flaw != Some(Flaw::NoKeeperLock) {
                    self.counts.add("keeper that finds another");
                    return Ok(None);
                }
                keeper.holds = true;
                keeper.upkeep = self.disk.clone();
                keeper.upkeep.begin();
                if keeper.anew {
                    keeper.upkeep.forget_failures();
                    self.laws.all_revivals_count_anew();
                }
                if self.flaw == Some(Flaw::ForgetsStopped) {
                    keeper.upkeep.stopped.clear();
                }
                self.tell(&format!("keeper {number} works"));
                self.counts.add("keeper that works");
                Ok(Some(soon))
            }
            Step::Looks | Step::Waits => self.keeper_looks(number, keeper, soon),
            Step::Hears(tokens, endpoint) => {
                let (now, true_ms) = (self.wall_ms(), self.true_ms());
                for token in &tokens {
                    self.cache.answered(token, endpoint, &mut self.provider, &mut self.dice, true_ms, now);
                }
                keeper.upkeep.heard(self.cache.known(&self.provider.known, now));
                keeper.step = Step::Acts;
                Ok(Some(soon))
            }
            // The time is over, and the ccc has not answered.
            Step::Starts(run, why) => {
                let failure = Some("it took longer than 90 s".to_owned());
                let now = self.wall_ms();
                keeper.upkeep.resumed(&run, why, failure, now, &keeper.rules);
                keeper.step = Step::Acts;
                Ok(Some(soon))
            }
            Step::Acts => match keeper.acts.pop_front() {
                Some(act) => self.keeper_acts(number, keeper, act, soon),
                None => {
                    self.writes(&keeper.upkeep);
                    keeper.step = Step::Waits;
                    let wait = keeper.wake_unix_ms.saturating_sub(self.wall_ms()).clamp(WAIT_MS.0, WAIT_MS.1);
                    Ok(Some(wait.unsigned_abs()))
                }
            },
        }
    }

    /// Writes down what a keeper remembers. False if the disk is full.
    fn writes(&mut self, upkeep: &Upkeep) -> bool {
        if self.fault(self.rates.keeper_cannot_write) {
            self.counts.add("keeper's state not written");
            return false;
        }
        self.disk = upkeep.clone();
        true
    }

    fn facts(&self) -> Vec<AgentFact> {
        let (booted, now) = (self.booted_unix_ms(), self.wall_ms());
        let id = |manager: usize| self.members.get(manager).map(|manager| manager.id.clone());
        let facts = self.members.iter().map(|member| member.fact(member.manager.and_then(id), booted, now));
        let mut facts: Vec<AgentFact> = facts.collect();
        if self.flaw == Some(Flaw::OverlooksDead) {
            facts.retain(|fact| fact.standing != Standing::Died);
        }
        for fact in &mut facts {
            fact.kept_down &= self.flaw != Some(Flaw::OverlooksKeptDown);
            fact.manager.take_if(|_| self.flaw == Some(Flaw::TellsNoEnd));
        }
        facts
    }

    fn keeper_looks(&mut self, number: u32, keeper: &mut Keeper, soon: u64) -> Result<Option<u64>, FleetBroken> {
        let now = self.wall_ms();
        keeper.rules =
            Rules { revived_within_ms: if keeper.anew { 7 } else { 1 } * 24 * 3_600_000, ..self.rules.clone() };
        let facts = self.facts();
        let before = keeper.upkeep.clone();
        if self.flaw == Some(Flaw::NoSteps) {
            keeper.upkeep.next_start_unix_ms = 0;
        }
        if self.flaw == Some(Flaw::ForgetsRevivals) {
            for revival in keeper.upkeep.revivals.values_mut() {
                revival.at_unix_ms.clear();
            }
        }
        let decided =
            keeper.upkeep.decide(&Facts { now_unix_ms: now, agents: &facts, load: Load::default() }, &keeper.rules);
        if !self.writes(&keeper.upkeep) {
            keeper.upkeep = before;
            return Ok(Some(LOOK_MS.unsigned_abs()));
        }
        if !decided.acts.is_empty() {
            let acts: Vec<String> = decided.acts.iter().map(words).collect();
            self.tell(&format!("keeper {number} decides: {}", acts.join(", ")));
        }
        if decided.rests && self.flaw != Some(Flaw::NeverRests) {
            self.tell(&format!("keeper {number} ends: no agent is left"));
            self.counts.add("keeper that rests");
            return Ok(None);
        }
        let asks = decided.acts.contains(&Act::AskUsage);
        if !asks {
            self.laws.judged(&keeper.upkeep.usage, now, &keeper.rules);
        }
        for act in &decided.acts {
            if let Act::Resume { run, why } = act {
                let ignores = facts.iter().any(|fact| fact.id == *run && fact.ignores_usage);
                FleetLaws::starts(run, ignores, &keeper.upkeep.usage, now, &keeper.rules)?;
                self.laws.keeper_starts(run, *why, &keeper.rules)?;
            }
        }
        keeper.episode = keeper.upkeep.episodes;
        keeper.watches = facts.iter().filter(|fact| fact.is_running()).map(|fact| fact.id.clone()).collect();
        let mut wake = decided.wake_unix_ms.unwrap_or(now.saturating_add(WAIT_MS.1));
        if !self.sees_ends {
            wake = wake.min(now.saturating_add(LOOK_MS));
        }
        if !decided.acts.is_empty() {
            wake = wake.min(now.saturating_add(ACTED_MS));
        }
        keeper.wake_unix_ms = if decided.rests { now.saturating_add(WAIT_MS.1) } else { wake };
        keeper.acts = decided.acts.into();
        keeper.step = Step::Acts;
        Ok(Some(soon))
    }

    fn keeper_acts(
        &mut self,
        number: u32,
        keeper: &mut Keeper,
        act: Act,
        soon: u64,
    ) -> Result<Option<u64>, FleetBroken> {
        keeper.step = Step::Acts;
        match act {
            Act::AskUsage => {
                let now = self.wall_ms();
                let mut asked = Vec::new();
                let tokens: Vec<TokenId> = self.provider.known.iter().map(|fact| fact.id.clone()).collect();
                for token in tokens {
                    if self.cache.asks(&token, now) || self.flaw == Some(Flaw::NoPause) {
                        self.counts.add("question about usage");
                        self.laws.asks(&token)?;
                        asked.push(token);
                    }
                }
                let ms = if asked.is_empty() { soon } else { self.endpoint.takes_ms(&mut self.dice) };
                keeper.step = Step::Hears(asked, self.endpoint);
                return Ok(Some(ms));
            }
            Act::Tell { notice, run, text } => {
                let at = keeper.upkeep.notices.iter().find(|waiting| waiting.id == notice);
                let at = at.map(|waiting| waiting.at_unix_ms).unwrap_or_default();
                let is_new = self.flaw == Some(Flaw::NewKeys);
                let key = if is_new { format!("{}", self.now_us) } else { format!("keeper-{notice}-{at}") };
                // One crossing may be as another was, and the laws tell words by their text.
                let text = format!("{text} ({key})");
                let Some(at) = self.member(&run).filter(|at| self.works(*at)) else { return Ok(Some(soon)) };
                let taken = self.with(at, |world| world.is_told(key.clone(), text.clone()))?;
                if let Some(Taken::Queued { .. }) = taken {
                    self.counts.add("crossing told");
                    self.laws.hears_of_crossing(&run, &key, &text)?;
                }
                if taken.is_some() && self.flaw != Some(Flaw::NewKeys) {
                    keeper.upkeep.told(notice, &run);
                }
            }
            Act::TellOfLost { run, worker } => {
                let (worker_at, manager_at) = (self.member(&worker), self.member(&run));
                let Some(worker_at) = worker_at else { return Ok(Some(soon)) };
                // A worker that has died for good is told, too. Simulated managers hear only of ends, which nothing continues.
                if self.members[worker_at].summary.is_none() {
                    keeper.upkeep.told_of_lost(&worker);
                } else if let Some(manager_at) = manager_at.filter(|at| self.works(*at))
                    && self.tells_end(worker_at, manager_at)?
                {
                    keeper.upkeep.told_of_lost(&worker);
                }
            }
            Act::TellUser { run, .. } => keeper.upkeep.told_of_end(&run),
            Act::Stop { run, reason } | Act::End { run, reason } if self.flaw == Some(Flaw::StopsTwice) => {
                for _ in 0..2 {
                    if let Some(at) = self.member(&run).filter(|at| self.works(*at)) {
                        self.stops(at, &reason, keeper.episode)?;
                    }
                }
            }
            Act::Stop { run, reason } => match self.member(&run).filter(|at| self.works(*at)) {
                Some(at) if self.members[at].world.core.phase() == ENDING => {}
                Some(at) => self.stops(at, &reason, keeper.episode)?,
                None => keeper.upkeep.stop_failed(&run),
            },
            Act::End { run, reason } => {
                if let Some(at) = self.member(&run) {
                    self.counts.add("agent ended for good");
                    self.members[at].kept_down = true;
                    if self.works(at) && self.members[at].world.core.phase() != ENDING {
                        self.stops(at, &reason, keeper.episode)?;
                    }
                }
            }
            Act::Resume { run, why } => {
                let Some(at) = self.member(&run) else { return Ok(Some(soon)) };
                let ms = self.dice.between(50, 3_000);
                self.schedule(ms, Event::HostBegins(at, Starter::Keeper(number)));
                keeper.step = Step::Starts(run, why);
                return Ok(Some(90_000));
            }
        }
        Ok(Some(soon))
    }

    fn stops(&mut self, at: usize, reason: &str, episode: u64) -> Result<(), FleetBroken> {
        let member = &mut self.members[at];
        FleetLaws::orders_stop(&member.id, member.world.interrupted_us.is_some())?;
        member.stopped_by = Some((STOPPED_BY_KEEPER, episode));
        self.counts.add("agent stopped for the usage");
        self.with(at, |world| world.asks_for_the_end(reason))
    }

    /// A worker, or a keeper for it, tells its manager of its end. True if the manager knows it now.
    pub(super) fn tells_end(&mut self, worker: usize, manager: usize) -> Result<bool, FleetBroken> {
        if self.flaw == Some(Flaw::TellsNoEnd) {
            return Ok(false);
        }
        let id = worker.to_string();
        let was_told = self.members[manager].world.core.is_told_of_end(&id, None);
        self.with(manager, |world| world.worker_ends(worker))?;
        let is_told = self.members[manager].world.core.is_told_of_end(&id, None);
        self.members[worker].end_untold &= !is_told;
        if is_told && !was_told {
            self.counts.add("end of a worker told");
        }
        Ok(is_told && self.works(manager))
    }

    /// The ccc that a keeper has started can be reached, or has failed.
    pub(super) fn keeper_hears(&mut self, number: u32, run: &str, failure: Option<String>) {
        let now = self.wall_ms();
        let soon = self.dice.between(1, 20);
        let Some(keeper) = self.keepers.get_mut(&number) else { return };
        let why = match &keeper.step {
            Step::Starts(waits_for, why) if waits_for == run => *why,
            Step::Begins | Step::Looks | Step::Acts | Step::Hears(..) | Step::Starts(..) | Step::Waits => return,
        };
        let said = match &failure {
            None => format!("keeper {number} has continued {run}"),
            Some(failure) => format!("keeper {number} could not continue {run}: {failure}"),
        };
        keeper.upkeep.resumed(run, why, failure, now, &keeper.rules);
        keeper.step = Step::Acts;
        keeper.turn += 1;
        let turn = keeper.turn;
        self.schedule(soon, Event::Keeper(number, turn));
        self.tell(&said);
    }

    /// Wakes the keepers that wait: the ccc of this agent has ended, or somebody has rung.
    pub(super) fn wakes_keepers(&mut self, ended: Option<&str>) {
        let soon = self.dice.between(1, 50);
        let sees_ends = self.sees_ends;
        let mut woken = Vec::new();
        for (number, keeper) in &mut self.keepers {
            let hears = ended.is_none_or(|run| sees_ends && keeper.watches.contains(run));
            if hears && matches!(keeper.step, Step::Waits) {
                keeper.turn += 1;
                woken.push((*number, keeper.turn));
            }
        }
        for (number, turn) in woken {
            self.schedule(soon, Event::Keeper(number, turn));
        }
    }

    /// A keeper is killed.
    pub(super) fn keeper_dies(&mut self, number: u32) {
        if self.keepers.remove(&number).is_some() {
            self.counts.add("death of a keeper");
            self.tell(&format!("keeper {number} dies"));
            self.needs_keeper();
        }
    }

    /// What the fleet looks like at its end.
    pub(super) fn all_is_settled(&self) -> Result<(), FleetBroken> {
        for member in self.members.iter().filter(|member| member.host == Host::Gone && !member.has_ended()) {
            let is_left_alone = member.kept_down || self.disk.given_up(&member.id).is_some();
            if is_left_alone || self.is_out_of_date(member) {
                continue;
            }
            let by_keeper = member.stopped_by.is_some_and(|(by, _)| by == STOPPED_BY_KEEPER);
            match &member.summary {
                Some(_) if by_keeper => {
                    return Err(FleetLaw::TakenUp.broken(format!("{} is not taken up", member.id)));
                }
                // The user has shut the machine down for longer, or the run has rested for too long.
                Some(_) => {}
                None => {
                    return Err(FleetLaw::Owner.broken(format!("{} is dead, and nobody is to take it up", member.id)));
                }
            }
        }
        Ok(())
    }
}

fn words(act: &Act) -> String {
    match act {
        Act::AskUsage => "ask about the usage".to_owned(),
        Act::Tell { notice, run, .. } => format!("tell {run} notice {notice}"),
        Act::TellOfLost { run, worker } => format!("tell {run} of the end of {worker}"),
        Act::TellUser { run, .. } => format!("tell the user of {run}"),
        Act::Stop { run, .. } => format!("stop {run}"),
        Act::End { run, .. } => format!("end {run}"),
        Act::Resume { run, why } => format!("resume {run} ({why:?})"),
    }
}
