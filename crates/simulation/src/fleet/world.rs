//! The machine of a fleet: its clock, its events and its faults.

use std::collections::BTreeMap;

use super::keeper::Keeper;
use super::law::{Flaw, FleetBroken, FleetLaw};
use super::laws::FleetLaws;
use super::member::{ENDING, Host, Member, Starter, dice, us_of};
use super::night::FleetNight;
use super::usage::{Cache, Endpoint};
use crate::SharedTrace;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::provider::Provider;
use crate::world::{EPOCH_UNIX_MS, World};
use redaction::Redactor;
use supervision::core::{Outcome, TokenId};
use supervision::upkeep::{Rules, Upkeep};

/// The most agents of a fleet.
const MOST_AGENTS: u64 = 20;
/// The longest time that the faults last, in milliseconds.
const FAULTS_WITHIN_MS: u64 = 4 * 3_600_000;
/// The time within which the fleet must end once the faults have stopped. A window may last for a week.
const MUST_END_WITHIN_US: u64 = 16 * 24 * 3_600 * 1_000_000;
/// A heartbeat looks for a keeper at least this often, in milliseconds.
const BEAT_MS: u64 = 14_000;
/// How often it is checked what has been left undone, in milliseconds.
const AUDIT_MS: u64 = 10 * 60_000;
/// Within this time a manager must know of the end of its worker, while both could tell it.
const TOLD_WITHIN_US: u64 = 30 * 60_000_000;
/// How often an agent that was not admitted is tried again.
const ADMISSION_TRIES: u32 = 20;
/// A clock counts as right within this time.
const RIGHT_WITHIN_MS: i64 = 3_600_000;
/// How long a usage without a known reset counts after it was heard.
const OLD_MS: i64 = 3_600_000;

/// Who has stopped an agent.
pub(super) const STOPPED_BY_KEEPER: &str = "the keeper";
const STOPPED_BY_USER: &str = "the user";
const STOPPED_BY_MACHINE: &str = "the machine";

/// What is left to do for the ccc of a run that has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    Summary,
    Manager,
    Lock,
}

/// Something that happens at its time.
#[derive(Debug, Clone)]
pub(super) enum Event {
    /// `ccc new`, by the user or by the agent with this number; how often it was refused.
    New(Option<usize>, u32),
    HostBegins(usize, Starter),
    /// Its ccc can be reached, and its summary says so.
    HostReady(usize, u32),
    HostRests(usize, u32, Rest),
    HostDies,
    Keeper(u32, u64),
    KeeperNeeded,
    KeeperDies,
    /// The service manager or the user starts a keeper, perhaps after a reboot.
    KeeperStarts(bool),
    UserLooks,
    UserStops,
    UserContinues,
    Clock,
    Sleep,
    ShutDown(bool),
    Boot,
    Usage,
    /// A window is full at once, while all agents work.
    Full,
    Endpoint,
    Reserve,
    Audit,
    FaultsStop,
}

/// How often each fault occurs.
#[derive(Debug, Clone, Default)]
pub(super) struct FleetRates {
    pub(super) keeper_dies: u64,
    pub(super) keeper_cannot_write: u64,
    /// A ccc that is started for a run does not come up.
    host_fails: u64,
    /// A ccc dies between the end of its run and its own.
    host_falls: u64,
}

/// The state of a fleet.
pub(super) struct FleetWorld {
    seed: u64,
    pub(super) dice: Dice,
    pub(super) flaw: Option<Flaw>,
    pub(super) rates: FleetRates,
    pub(super) now_us: u64,
    /// When time last passed in which nothing could be done.
    slept_at_us: u64,
    wrong_ms: i64,
    booted_us: u64,
    is_on: bool,
    events: BTreeMap<(u64, u64), Event>,
    next_event: u64,
    pub(super) members: Vec<Member>,
    pub(super) provider: Provider,
    pub(super) cache: Cache,
    pub(super) endpoint: Endpoint,
    pub(super) rules: Rules,
    /// What the last keeper has written.
    pub(super) disk: Upkeep,
    pub(super) keepers: BTreeMap<u32, Keeper>,
    keepers_started: u32,
    /// Whether the system tells the end of a process that is no child.
    pub(super) sees_ends: bool,
    /// Whether the service manager starts the keeper.
    is_installed: bool,
    member_deaths: bool,
    faults_on: bool,
    faults_stopped_us: u64,
    steps: u64,
    pub(super) laws: FleetLaws,
    pub(super) counts: Counts,
    redactor: Redactor,
    trace: Option<SharedTrace>,
}

impl FleetWorld {
    pub(super) fn new(seed: u64, flaw: Option<Flaw>, redactor: &Redactor, trace: Option<SharedTrace>) -> FleetWorld {
        let mut dice = dice(seed);
        let rates = FleetRates {
            keeper_dies: dice.rate(10_000),
            keeper_cannot_write: dice.rate(10_000),
            host_fails: dice.rate(20_000),
            host_falls: dice.rate(30_000),
        };
        let rules = Rules {
            watches_usage: !dice.percent(5),
            check_interval_ms: dice.between_signed(60, 300) * 1_000,
            notify_managers: !dice.percent(10),
            ends_agents: dice.percent(5),
            ..Rules::default()
        };
        FleetWorld {
            seed,
            flaw,
            rates,
            provider: Provider::of_fleet(&mut dice),
            rules,
            now_us: 0,
            slept_at_us: 0,
            wrong_ms: 0,
            booted_us: 0,
            is_on: true,
            events: BTreeMap::new(),
            next_event: 0,
            members: Vec::new(),
            cache: Cache::default(),
            endpoint: Endpoint::Works,
            disk: Upkeep::default(),
            keepers: BTreeMap::new(),
            keepers_started: 0,
            sees_ends: dice.percent(80),
            is_installed: dice.percent(50),
            member_deaths: dice.percent(50),
            faults_on: true,
            faults_stopped_us: 0,
            steps: 0,
            laws: FleetLaws::default(),
            counts: Counts::default(),
            redactor: redactor.clone(),
            trace,
            dice,
        }
    }

    pub(super) fn play(mut self) -> Result<FleetNight, FleetBroken> {
        self.draws_events();
        while self.goes_on()? {
            self.steps += 1;
        }
        self.all_is_settled()?;
        let mut outcomes = Counts::default();
        let mut steps = self.steps;
        for member in &self.members {
            member.world.journal.replay()?;
            steps += member.world.steps;
            outcomes.add(member.summary.as_ref().map_or("no outcome", |(outcome, _)| outcome.as_str()));
            self.counts.merge(&member.world.counts);
        }
        let agents = self.members.len() as u64;
        let virtual_ms = self.now_us / 1_000;
        Ok(FleetNight { seed: self.seed, agents, steps, virtual_ms, outcomes, events: self.counts })
    }

    fn draws_events(&mut self) {
        let faults_ms = self.dice.between(600_000, FAULTS_WITHIN_MS);
        self.schedule(faults_ms, Event::FaultsStop);
        self.schedule(AUDIT_MS, Event::Audit);
        let agents = self.dice.between(2, MOST_AGENTS);
        let at_once = self.dice.percent(40);
        for number in 0..agents {
            let ms = self.dice.between(0, if at_once { 2_000 } else { 1_800_000 });
            // The first is the user's own, and others are started by managers while these work.
            let manager = (number > 0 && self.dice.percent(50)).then_some(0);
            self.schedule(if manager.is_some() { ms + 60_000 } else { ms }, Event::New(manager, 0));
        }
        let mut draw = |percent: u64, most: u64, event: Event| {
            if self.dice.percent(percent) {
                for _ in 0..self.dice.between(1, most) {
                    let ms = self.dice.between(1, faults_ms);
                    self.next_event += 1;
                    self.events.insert((ms * 1_000, self.next_event), event.clone());
                }
            }
        };
        draw(60, 20, Event::HostDies);
        draw(50, 12, Event::KeeperDies);
        draw(30, 4, Event::UserStops);
        draw(40, 4, Event::UserContinues);
        draw(30, 3, Event::Clock);
        draw(25, 2, Event::Sleep);
        draw(15, 1, Event::ShutDown(true));
        draw(15, 1, Event::ShutDown(false));
        draw(60, 10, Event::Usage);
        draw(40, 3, Event::Full);
        draw(50, 6, Event::Endpoint);
        draw(20, 4, Event::Reserve);
        draw(100, 4, Event::UserLooks);
    }

    /// Lets the next thing happen. False when nothing is left.
    fn goes_on(&mut self) -> Result<bool, FleetBroken> {
        let next = self.members.iter().map(|member| member.due_us).enumerate().min_by_key(|(_, due_us)| *due_us);
        let event_us = self.events.keys().next().map(|(us, _)| *us);
        let run = next.filter(|(_, due_us)| *due_us < u64::MAX && event_us.is_none_or(|us| *due_us < us));
        if let Some((at, due_us)) = run {
            self.comes_to(due_us);
            self.with(at, |world| {
                world.advance()?;
                world.comes_to_an_end()
            })?;
        } else if let Some(((us, _), event)) = self.events.pop_first() {
            self.comes_to(us);
            self.happens(event)?;
        } else {
            return Ok(false);
        }
        let over_us = self.now_us.saturating_sub(self.faults_stopped_us);
        if !self.faults_on && over_us > MUST_END_WITHIN_US {
            let works: Vec<&str> =
                self.members.iter().filter(|it| it.host != Host::Gone).map(|it| it.id.as_str()).collect();
            let what = format!("{} keepers and these agents work on: {}", self.keepers.len(), works.join(", "));
            return Err(FleetLaw::Ends.broken(what));
        }
        Ok(true)
    }

    fn comes_to(&mut self, us: u64) {
        self.now_us = self.now_us.max(us);
        self.laws.time(self.now_us);
    }

    pub(super) fn schedule(&mut self, in_ms: u64, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now_us + in_ms * 1_000, self.next_event), event);
    }

    pub(super) fn fault(&mut self, rate: u64) -> bool {
        self.faults_on && rate > 0 && self.dice.chance(rate)
    }

    /// The time of the provider.
    pub(super) fn true_ms(&self) -> i64 {
        EPOCH_UNIX_MS + i64::try_from(self.now_us / 1_000).unwrap_or(i64::MAX)
    }

    /// The time on the clock of the machine.
    pub(super) fn wall_ms(&self) -> i64 {
        self.true_ms() + self.wrong_ms
    }

    pub(super) fn booted_unix_ms(&self) -> i64 {
        let up_us = self.now_us.saturating_sub(self.booted_us);
        self.wall_ms() - i64::try_from(up_us / 1_000).unwrap_or(i64::MAX)
    }

    pub(super) fn member(&self, id: &str) -> Option<usize> {
        self.members.iter().position(|member| member.id == id)
    }

    /// Whether a ccc works on this agent, and answers.
    pub(super) fn works(&self, at: usize) -> bool {
        self.members.get(at).is_some_and(|member| member.host == Host::Works && member.world.goes_on())
    }

    pub(super) fn is_out_of_date(&self, member: &Member) -> bool {
        self.wall_ms().saturating_sub(member.seen_unix_ms) >= 24 * 3_600_000
    }

    /// Writes an event into the trace.
    pub(super) fn tell(&mut self, what: &str) {
        if let Some(trace) = &self.trace {
            let mut trace = trace.borrow_mut();
            trace.is_of(clock(self.now_us));
            trace.line(&format!(" ~~ {what}"));
        }
    }

    /// Does something in the world of an agent, with the fleet's provider and clock; then sees what has become of the agent.
    pub(super) fn with<T>(
        &mut self,
        at: usize,
        act: impl FnOnce(&mut World) -> Result<T, crate::law::Broken>,
    ) -> Result<T, FleetBroken> {
        if let (Some(trace), Some(member)) = (&self.trace, self.members.get(at)) {
            trace.borrow_mut().is_of(format!("{} {} ", clock(self.now_us), member.id));
        }
        let member = &mut self.members[at];
        member.world.arrives(self.now_us);
        member.world.wrong_ms = self.wrong_ms;
        let before = member.world.core.token().cloned();
        if self.flaw == Some(Flaw::ForgetsLimits) {
            for fact in &mut self.provider.known {
                fact.limited_until_unix_ms = None;
            }
        }
        std::mem::swap(&mut member.world.provider, &mut self.provider);
        let done = act(&mut member.world);
        std::mem::swap(&mut member.world.provider, &mut self.provider);
        let done = done.map_err(|broken| {
            let FleetBroken { law, what } = FleetBroken::from(broken);
            law.broken(format!("{}: {what}", self.members[at].id))
        })?;
        self.sees_rotation(at, before)?;
        self.sees_end(at)?;
        self.members[at].look_ahead();
        Ok(done)
    }

    /// Checks that an agent leaves a limited token once.
    fn sees_rotation(&mut self, at: usize, before: Option<TokenId>) -> Result<(), FleetBroken> {
        let member = &self.members[at];
        let (Some(before), Some(after)) = (before, member.world.core.token()) else { return Ok(()) };
        if before == *after {
            return Ok(());
        }
        self.counts.add("rotation in a fleet");
        // By a clock that is far ahead the limit has ended, and by one that is far behind no window lasts that long.
        let latest_ms = self.true_ms().max(self.wall_ms());
        let is_right = self.wrong_ms.abs() < RIGHT_WITHIN_MS;
        let limit = self.provider.honest_limit(&before).filter(|until| is_right && *until > latest_ms);
        // Only a limit that all agents know of keeps them away.
        let is_known = self
            .provider
            .known
            .iter()
            .any(|fact| fact.id == before && fact.limited_until_unix_ms.is_some_and(|until| Some(until) >= limit));
        match limit.filter(|_| is_known || self.flaw == Some(Flaw::ForgetsLimits)) {
            Some(until_ms) => {
                let id = member.id.clone();
                self.laws.leaves(&id, &before, until_ms)
            }
            None => Ok(()),
        }
    }

    /// Sees whether the ccc of an agent has died, or its run has ended.
    fn sees_end(&mut self, at: usize) -> Result<(), FleetBroken> {
        let member = &mut self.members[at];
        if member.host != Host::Works || member.world.goes_on() {
            return Ok(());
        }
        if member.world.finish.is_none() {
            if member.world.journal.has_lost() {
                let id = member.id.clone();
                self.laws.forgets_told(&id);
            }
            self.host_gone(at, "dies");
            return Ok(());
        }
        member.world.nothing_follows()?;
        member.host = Host::Ending;
        let life = member.life;
        let ms = self.dice.between(1, 1_500);
        self.schedule(ms, Event::HostRests(at, life, Rest::Summary));
        Ok(())
    }

    /// No ccc works on this agent any more.
    fn host_gone(&mut self, at: usize, how: &str) {
        let now = self.wall_ms();
        let member = &mut self.members[at];
        member.host = Host::Gone;
        member.life += 1;
        member.seen_unix_ms = now;
        member.due_us = u64::MAX;
        let (id, starter) = (member.id.clone(), member.starter.take());
        self.tell(&format!("the ccc of {id} {how}"));
        if let Some(Starter::Keeper(number)) = starter {
            self.keeper_hears(number, &id, Some("its ccc has ended".to_owned()));
        }
        self.wakes_keepers(Some(&id));
    }

    /// The heartbeat of an agent soon looks whether a keeper works.
    pub(super) fn beats(&mut self) {
        let ms = self.dice.between(1, BEAT_MS);
        self.schedule(ms, Event::KeeperNeeded);
    }

    /// A keeper was killed: a heartbeat or the service manager sees to it that another works.
    pub(super) fn needs_keeper(&mut self) {
        self.beats();
        if self.is_installed {
            self.schedule(10_000, Event::KeeperStarts(true));
        }
    }

    fn starts_keeper(&mut self, anew: bool) {
        let races = self.faults_on && self.dice.percent(20);
        for _ in 0..if races { 2 } else { 1 } {
            self.keepers_started += 1;
            let number = self.keepers_started;
            self.keepers.insert(number, Keeper::new(anew));
            let ms = self.dice.between(1, 300);
            self.schedule(ms, Event::Keeper(number, 0));
        }
    }

    /// A command that starts an agent wakes the keeper, or starts one.
    fn ensures_keeper(&mut self) {
        if self.keepers.values().any(|keeper| keeper.holds) {
            self.wakes_keepers(None);
        } else {
            self.starts_keeper(false);
        }
    }

    fn some_member(&mut self, is_it: impl Fn(&Member) -> bool) -> Option<usize> {
        let all: Vec<usize> =
            self.members.iter().enumerate().filter(|(_, member)| is_it(member)).map(|(at, _)| at).collect();
        let last = all.len().checked_sub(1)?;
        all.get(usize::try_from(self.dice.between(0, last as u64)).unwrap_or(0)).copied()
    }

    fn happens(&mut self, event: Event) -> Result<(), FleetBroken> {
        match event {
            Event::New(manager, tries) => self.new_agent(manager, tries),
            Event::HostBegins(at, starter) => self.host_begins(at, starter),
            Event::HostReady(at, life) => {
                let member = &mut self.members[at];
                if member.life == life && member.host == Host::Works {
                    member.summary = None;
                    let (id, starter) = (member.id.clone(), member.starter.take());
                    if let Some(Starter::Keeper(number)) = starter {
                        self.keeper_hears(number, &id, None);
                    }
                }
                Ok(())
            }
            Event::HostRests(at, life, rest) => self.host_rests(at, life, rest),
            Event::HostDies => match self.some_member(|member| member.host != Host::Gone) {
                Some(at) if self.is_on => self.host_dies(at),
                Some(_) | None => Ok(()),
            },
            Event::Keeper(number, turn) => self.keeper_steps(number, turn),
            Event::KeeperNeeded => {
                let is_there = self.keepers.values().any(|keeper| keeper.holds);
                if self.is_on && !is_there && (0..self.members.len()).any(|at| self.works(at)) {
                    self.starts_keeper(false);
                }
                Ok(())
            }
            Event::KeeperDies => {
                if let Some(number) = self.keepers.keys().next().copied() {
                    self.keeper_dies(number);
                }
                Ok(())
            }
            Event::KeeperStarts(anew) => {
                // The service manager restarts it only after a failure.
                if self.is_on && !self.keepers.values().any(|keeper| keeper.holds) {
                    self.starts_keeper(anew);
                }
                Ok(())
            }
            Event::UserLooks => self.user_looks(),
            Event::UserStops => self.user_stops(),
            Event::UserContinues => {
                let may = |member: &Member| member.host == Host::Gone && !member.has_ended();
                match self.some_member(may) {
                    Some(at) if self.is_on => {
                        self.counts.add("user continues an agent");
                        self.schedule(500, Event::HostBegins(at, Starter::User));
                    }
                    Some(_) | None => {}
                }
                Ok(())
            }
            Event::Clock => {
                let most_ms = if self.dice.percent(70) { 900_000 } else { 30 * 24 * 3_600_000 };
                self.wrong_ms += self.dice.between_signed(-most_ms, most_ms);
                self.tell(&format!("the clock is set, and is wrong by {} s", self.wrong_ms / 1_000));
                self.clock_is_set("clock set");
                Ok(())
            }
            Event::Sleep => {
                if self.is_on {
                    let slept_ms = self.dice.between_signed(1_000, 7_200_000);
                    for member in self.members.iter_mut().filter(|member| member.host != Host::Gone) {
                        member.world.away_ms += slept_ms;
                    }
                    self.comes_to(self.now_us + us_of(slept_ms));
                    self.tell(&format!("the machine slept for {} s", slept_ms / 1_000));
                    self.clock_is_set("machine sleep in a fleet");
                }
                Ok(())
            }
            Event::ShutDown(orderly) => self.shuts_down(orderly),
            Event::Boot => {
                (self.is_on, self.booted_us) = (true, self.now_us);
                self.tell("the machine starts");
                self.clock_is_set("reboot");
                if self.is_installed {
                    self.schedule(5_000, Event::KeeperStarts(true));
                } else {
                    self.schedule(60_000, Event::UserLooks);
                }
                Ok(())
            }
            Event::Usage => {
                let (token, window) = (self.dice.between(0, 2), self.dice.between(0, 9));
                let used = self.dice.between(0, 105) as f64 / 100.0;
                self.counts.add("usage moved");
                self.uses(token, u64::from(window == 0), used);
                Ok(())
            }
            Event::Full => {
                self.counts.add("window full at once");
                let tokens = self.provider.known.len() as u64;
                let all = self.dice.percent(50);
                for token in 0..if all { tokens } else { 1 } {
                    self.uses(token, 0, 1.0);
                }
                Ok(())
            }
            Event::Endpoint => {
                self.endpoint = Endpoint::draw(&mut self.dice);
                self.counts.add("endpoint changed");
                let endpoint = self.endpoint;
                self.tell(&format!("the usage endpoint: {endpoint:?}"));
                Ok(())
            }
            Event::Reserve => {
                let percent = self.dice.choose(&[90.0, 60.0, 40.0], 90.0);
                (self.rules.critical_percent, self.rules.warn_percent) = (percent, 80.0_f64.min(percent));
                self.counts.add("reserve changed");
                self.tell(&format!("the threshold is {percent}"));
                Ok(())
            }
            Event::Audit => self.audits(),
            Event::FaultsStop => self.faults_stop(),
        }
    }

    fn uses(&mut self, token: u64, window: u64, used: f64) {
        let now = self.true_ms();
        let at = |number| usize::try_from(number).unwrap_or(0);
        self.provider.set_used(at(token), at(window), used, now);
        self.tell(&format!("window {window} of token {token} is used to {:.0} %", used * 100.0));
    }

    fn clock_is_set(&mut self, what: &'static str) {
        self.counts.add(what);
        self.laws.time_is_unsure();
        self.slept_at_us = self.now_us;
        for member in &mut self.members {
            member.world.wrong_ms = self.wrong_ms;
            member.look_ahead();
        }
    }

    /// `ccc new`.
    fn new_agent(&mut self, manager: Option<usize>, tries: u32) -> Result<(), FleetBroken> {
        let retry = |world: &mut FleetWorld| {
            if tries < ADMISSION_TRIES && world.faults_on {
                world.schedule(600_000, Event::New(manager, tries + 1));
            }
        };
        let is_there = manager.is_none_or(|_| self.members.iter().any(|member| member.is_manager));
        if !self.is_on || !is_there {
            retry(self);
            return Ok(());
        }
        let manager = match manager {
            Some(_) => match self.some_member(|member| member.is_manager && member.host == Host::Works) {
                // An agent that is ending starts nothing.
                Some(at) if self.works(at) && self.members[at].world.core.phase() != ENDING => Some(at),
                Some(_) | None => {
                    retry(self);
                    return Ok(());
                }
            },
            None => None,
        };
        let ignores = manager.is_none() && self.dice.percent(10);
        let now = self.wall_ms();
        let mut usage = self.disk.usage.clone();
        if self.disk.asked_unix_ms.is_none_or(|asked| now.saturating_sub(asked) > OLD_MS) {
            for token in &mut usage {
                token.windows.retain(|window| window.resets_unix_ms.is_some());
            }
        }
        let admission = supervision::upkeep::admission(&usage, ignores, now, &self.rules);
        let refused = matches!(admission, supervision::upkeep::Admission::Refused(_));
        if refused && self.flaw != Some(Flaw::AdmitsAll) {
            self.counts.add("new agent refused");
            retry(self);
            return Ok(());
        }
        let number = self.members.len();
        let mut member = Member::new(self.seed, number, self.member_deaths, &self.redactor, self.trace.clone())?;
        FleetLaws::starts(&member.id, ignores, &usage, now, &self.rules)?;
        member.manager = manager;
        member.is_manager = manager.is_none() && (number == 0 || self.dice.percent(40));
        member.ignores_usage = ignores;
        (member.host, member.life) = (Host::Works, 1);
        (member.begun_us, member.seen_unix_ms) = (self.now_us, now);
        member.world.comes_at(self.now_us);
        member.world.faults_on = self.faults_on;
        self.tell(&format!("{} is new: of {manager:?}", member.id));
        self.counts.add(if manager.is_some() { "worker of a fleet" } else { "agent of the user" });
        self.members.push(member);
        if !self.faults_on {
            self.with(number, World::faults_stop)?;
        }
        self.with(number, World::begins)?;
        if let Some(manager) = manager {
            // It may die at it: the worker runs all the same.
            if self.works(manager) {
                self.with(manager, |world| world.worker_is_new(number))?;
            }
        }
        self.ensures_keeper();
        Ok(())
    }

    /// A ccc is started for an agent.
    fn host_begins(&mut self, at: usize, starter: Starter) -> Result<(), FleetBroken> {
        if !self.is_on {
            return Ok(());
        }
        let refuses = |world: &mut FleetWorld, why: &str| {
            let id = world.members[at].id.clone();
            if let Starter::Keeper(number) = starter {
                world.keeper_hears(number, &id, Some(why.to_owned()));
            }
            Ok(())
        };
        let by_keeper = matches!(starter, Starter::Keeper(_));
        let member = &self.members[at];
        if member.host != Host::Gone && self.flaw != Some(Flaw::NoRunLock) {
            self.counts.add("run in use");
            return refuses(self, "it is in use");
        }
        FleetLaws::takes(&member.id, member.host == Host::Gone)?;
        // It looks at the mark after it has taken the lock, so that whoever writes the mark finds the run in use.
        if by_keeper && member.kept_down && self.flaw != Some(Flaw::OverlooksKeptDown) {
            self.counts.add("agent kept down meanwhile");
            return refuses(self, "it is kept down");
        }
        FleetLaw::KeptDown.broken_if(by_keeper && member.kept_down, || format!("a keeper starts {}", member.id))?;
        if self.fault(self.rates.host_fails) {
            self.counts.add("ccc that does not come up");
            return refuses(self, "the agent does not exist any more");
        }
        let id = self.members[at].id.clone();
        self.knows_workers(at);
        let member = &mut self.members[at];
        if !by_keeper {
            member.kept_down = false;
            member.stopped_by = None;
            member.is_users = true;
            self.laws.revivals_count_anew(&id);
            // A keeper that has never seen it stopped cannot tell that the user has continued it.
            if !self.disk.stopped.get(&id).is_some_and(|stopped| stopped.has_ended) {
                self.laws.may_be_stopped_again(&id);
            }
        }
        let member = &mut self.members[at];
        if self.flaw == Some(Flaw::LosesJournal) {
            member.world.journal.tear(0);
        }
        member.life += 1;
        member.host = Host::Works;
        member.begun_us = self.now_us;
        member.starter = Some(starter);
        member.world.comes_at(self.now_us);
        self.laws.may_return(None, Some(&id));
        self.tell(&format!("a ccc takes up {id}, started by {starter:?}"));
        self.counts.add("agent taken up");
        let life = self.members[at].life;
        self.with(at, World::take_up)?;
        let member = &mut self.members[at];
        if member.life != life {
            return Ok(());
        }
        if member.host == Host::Ending {
            // It is completed: the summary is mended, and nothing is continued.
            let finish = member.world.finish.as_ref().map(|finish| finish.outcome);
            if finish == Some(Outcome::Completed) && member.world.steps == member.steps_at_end {
                self.has_ended(at);
                self.members[at].starter = None;
                self.host_gone(at, "has nothing to continue");
                return refuses(self, "it is completed: there is nothing to continue");
            }
            if member.world.unresumable && member.world.steps == member.steps_at_end {
                // It has ended before, and what it was told since is lost.
                self.members[at].starter = None;
                self.host_gone(at, "finds that entries of the journal are missing");
                return refuses(self, "entries of its journal are missing");
            }
            return Ok(());
        }
        self.check_told_end(at, by_keeper)?;
        let ms = self.dice.between(20, 2_000);
        self.schedule(ms, Event::HostReady(at, life));
        self.beats();
        if !by_keeper {
            self.ensures_keeper();
        }
        Ok(())
    }

    /// What a manager was told to be the end of a worker must be one, unless the user decides otherwise.
    fn check_told_end(&self, at: usize, by_keeper: bool) -> Result<(), FleetBroken> {
        let member = &self.members[at];
        let Some(manager) = member.manager.and_then(|manager| self.members.get(manager)) else { return Ok(()) };
        let is_told = manager.world.core.is_told_of_end(&at.to_string(), None);
        let by_machine = member.stopped_by.is_some_and(|(by, _)| by == STOPPED_BY_MACHINE);
        if by_keeper && is_told && !member.is_users && !by_machine {
            let what = format!("{} was told that {} has ended, which is continued", manager.id, member.id);
            return Err(FleetLaw::EndTold.broken(what));
        }
        Ok(())
    }

    /// A ccc that takes up a manager is told of its workers.
    fn knows_workers(&mut self, at: usize) {
        let workers: Vec<(usize, bool)> = self
            .members
            .iter()
            .enumerate()
            .filter(|(_, worker)| worker.manager == Some(at))
            .map(|(number, worker)| (number, worker.summary.is_some() && !self.is_taken_up_later(worker)))
            .collect();
        let family = &mut self.members[at].world.family;
        family.started = workers.iter().map(|(number, _)| *number).collect();
        family.ended = workers.into_iter().filter(|(_, has_ended)| *has_ended).map(|(number, _)| number).collect();
        if self.flaw == Some(Flaw::TellsNoEnd) {
            family.ended.clear();
        }
    }

    /// Whether an agent that was interrupted has not ended, because the keeper takes it up again.
    fn is_taken_up_later(&self, member: &Member) -> bool {
        let interrupted = member.world.finish.as_ref().is_some_and(|it| it.outcome == Outcome::Interrupted);
        interrupted && !member.kept_down && self.disk.is_taken_up_later(&member.id)
    }

    /// A run has ended, and its ccc does what is left to do.
    fn host_rests(&mut self, at: usize, life: u32, rest: Rest) -> Result<(), FleetBroken> {
        let member = &self.members[at];
        if member.life != life || member.host != Host::Ending {
            return Ok(());
        }
        if self.fault(self.rates.host_falls) {
            self.counts.add("ccc that dies after its run has ended");
            self.host_gone(at, "dies after the end of its run");
            return Ok(());
        }
        let next = match rest {
            Rest::Summary => {
                self.has_ended(at);
                let member = &mut self.members[at];
                let (id, interrupted) = (member.id.clone(), !member.has_ended());
                if let (true, Some((STOPPED_BY_KEEPER, episode))) = (interrupted, member.stopped_by) {
                    self.laws.is_stopped(&id, episode)?;
                }
                Rest::Manager
            }
            Rest::Manager => {
                if let Some(manager) = self.members[at].manager.filter(|manager| self.works(*manager))
                    && !self.is_taken_up_later(&self.members[at])
                {
                    self.tells_end(at, manager)?;
                }
                Rest::Lock
            }
            Rest::Lock => {
                self.host_gone(at, "has done its work");
                return Ok(());
            }
        };
        let ms = self.dice.between(1, 1_500);
        self.schedule(ms, Event::HostRests(at, life, next));
        Ok(())
    }

    /// The summary of a run says how it has ended.
    fn has_ended(&mut self, at: usize) {
        let now = self.wall_ms();
        let us = self.now_us;
        let member = &mut self.members[at];
        let Some(finish) = &member.world.finish else { return };
        let outcome = finish.outcome;
        member.summary = Some((outcome, now));
        member.ended_us = us;
        member.steps_at_end = member.world.steps;
        let id = member.id.clone();
        self.tell(&format!("{id} has ended: {}", outcome.as_str()));
        self.laws.revivals_count_anew(&id);
    }

    /// The ccc of an agent is killed.
    fn host_dies(&mut self, at: usize) -> Result<(), FleetBroken> {
        self.counts.add("ccc killed");
        if self.works(at) {
            return self.with(at, |world| world.die(false));
        }
        if self.members[at].host == Host::Ending {
            self.host_gone(at, "is killed after the end of its run");
        }
        Ok(())
    }

    fn user_stops(&mut self) -> Result<(), FleetBroken> {
        let Some(at) = self.some_member(|member| !member.has_ended()).filter(|_| self.is_on) else { return Ok(()) };
        self.counts.add("user stops an agent");
        let id = self.members[at].id.clone();
        self.tell(&format!("the user stops {id}"));
        self.members[at].kept_down = true;
        if self.works(at) && self.members[at].world.core.phase() != ENDING {
            self.members[at].stopped_by = Some((STOPPED_BY_USER, 0));
            return self.with(at, |world| world.asks_for_the_end("the user said so"));
        }
        Ok(())
    }

    /// The user comes and sees to it that the agents go on, if nobody else does.
    fn user_looks(&mut self) -> Result<(), FleetBroken> {
        if !self.is_on {
            self.schedule(600_000, Event::UserLooks);
            return Ok(());
        }
        let is_left_alone = self.keepers.is_empty() && !(0..self.members.len()).any(|at| self.works(at));
        let dead: Vec<usize> = (0..self.members.len())
            .filter(|at| {
                let member = &self.members[*at];
                member.host == Host::Gone && !member.has_ended() && !member.kept_down
            })
            .collect();
        if is_left_alone && !dead.is_empty() {
            self.counts.add("user takes up what is left");
            self.tell("the user takes up what is left");
            let all = self.dice.percent(50);
            for at in dead.into_iter().take(if all { usize::MAX } else { 1 }) {
                let ms = self.dice.between(500, 3_000);
                self.schedule(ms, Event::HostBegins(at, Starter::User));
            }
            // A command that continues an agent starts a keeper whatever becomes of the agent.
            self.starts_keeper(false);
        }
        Ok(())
    }

    fn shuts_down(&mut self, orderly: bool) -> Result<(), FleetBroken> {
        if !self.is_on {
            return Ok(());
        }
        self.counts.add(if orderly { "orderly shutdown" } else { "power cut" });
        self.tell(if orderly { "the machine shuts down" } else { "the power fails" });
        for at in 0..self.members.len() {
            if orderly && self.works(at) && self.members[at].world.core.phase() != ENDING {
                self.members[at].stopped_by = Some((STOPPED_BY_MACHINE, 0));
                self.with(at, |world| world.asks_for_the_end("the machine shuts down"))?;
            }
        }
        // The system waits a moment for those that were interrupted, and then ends all.
        let ms = if orderly { self.dice.between(500, 60_000) } else { 0 };
        self.schedule(ms, Event::ShutDown(false));
        if !orderly {
            while let Some(number) = self.keepers.keys().next().copied() {
                self.keeper_dies(number);
            }
            for at in 0..self.members.len() {
                self.host_dies(at)?;
            }
            self.is_on = false;
            let ms = self.dice.between(20_000, 1_200_000);
            self.schedule(ms, Event::Boot);
        }
        Ok(())
    }

    /// Looks for what has been left undone.
    fn audits(&mut self) -> Result<(), FleetBroken> {
        let long_ago = |us: u64| self.now_us.saturating_sub(us) > TOLD_WITHIN_US;
        let is_sure = self.now_us.saturating_sub(self.slept_at_us) > TOLD_WITHIN_US;
        for (number, worker) in self.members.iter().enumerate().filter(|(_, worker)| worker.has_ended()) {
            let Some(at) = worker.manager.filter(|at| is_sure && long_ago(worker.ended_us) && self.works(*at)) else {
                continue;
            };
            let manager = &self.members[at];
            let core = &manager.world.core;
            if long_ago(manager.begun_us) && core.phase() != ENDING && !core.is_told_of_end(&number.to_string(), None) {
                let what = format!("{} was not told for half an hour that {} has ended", manager.id, worker.id);
                return Err(FleetLaw::EndTold.broken(what));
            }
        }
        let goes_on =
            self.faults_on || !self.keepers.is_empty() || self.members.iter().any(|member| member.host != Host::Gone);
        if goes_on {
            // A wait of days needs no look every ten minutes.
            self.schedule(if self.faults_on { AUDIT_MS } else { 3 * AUDIT_MS }, Event::Audit);
        }
        Ok(())
    }

    fn faults_stop(&mut self) -> Result<(), FleetBroken> {
        self.tell("the faults stop");
        (self.faults_on, self.faults_stopped_us) = (false, self.now_us);
        self.endpoint = Endpoint::Works;
        for at in 0..self.members.len() {
            self.with(at, World::faults_stop)?;
        }
        if !self.is_on {
            let is_coming = self.events.values().any(|event| matches!(event, Event::Boot));
            if !is_coming {
                self.schedule(1_000, Event::Boot);
            }
        }
        self.schedule(3_600_000, Event::UserLooks);
        Ok(())
    }
}

/// `h:mm:ss.mmm` of the fleet.
fn clock(us: u64) -> String {
    let ms = us / 1_000;
    format!("{:>3}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60, ms % 1_000)
}
