//! An agent of the fleet, and the ccc that works on it.

use super::law::FleetBroken;
use crate::SharedTrace;
use crate::dice::Dice;
use crate::is_long;
use crate::journal::Journal;
use crate::rates::Rates;
use crate::world::World;
use redaction::Redactor;
use supervision::core::{Core, Input, OperatorInput, Outcome};
use supervision::upkeep::{AgentFact, Standing};

/// How long before the start of the machine its shutdown may have begun.
const SHUTDOWN_MS: i64 = 10 * 60_000;
/// How much a journal keeps in memory while the disk is full, in bytes.
const BACKLOG_BYTES: usize = 64 * 1024;
/// The phase of a run that is ending.
pub(super) const ENDING: &str = "ending";

/// Who has started a ccc for an agent, and waits until it can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Starter {
    Keeper(u32),
    User,
}

/// The ccc of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Host {
    /// None works on it.
    Gone,
    /// One holds the run's lock.
    Works,
    /// The run has come to its end, and its ccc does what is left.
    Ending,
}

/// An agent.
pub(super) struct Member {
    pub(super) id: String,
    pub(super) world: World,
    pub(super) manager: Option<usize>,
    pub(super) is_manager: bool,
    pub(super) ignores_usage: bool,
    /// The mark in the run's directory.
    pub(super) kept_down: bool,
    pub(super) host: Host,
    /// Counts its ccc processes, so that what one has left to do is not done by another.
    pub(super) life: u32,
    /// The outcome in the run's summary, and when it was written.
    pub(super) summary: Option<(Outcome, i64)>,
    /// Its manager has not confirmed that it knows of its end.
    pub(super) end_untold: bool,
    /// When its ccc last gave a sign of life, unix milliseconds.
    pub(super) seen_unix_ms: i64,
    pub(super) starter: Option<Starter>,
    /// When it next does something, microseconds of the fleet.
    pub(super) due_us: u64,
    /// Since when a ccc works on it, and when its run has ended, microseconds of the fleet.
    pub(super) begun_us: u64,
    pub(super) ended_us: u64,
    /// The transitions of its core when its summary was written.
    pub(super) steps_at_end: u64,
    /// Who has told it to stop, and for which time without headroom.
    pub(super) stopped_by: Option<(&'static str, u64)>,
    /// The user has continued it once: what its manager was told before is not told again.
    pub(super) is_users: bool,
}

impl Member {
    /// An agent whose ccc begins at this time.
    pub(super) fn new(
        seed: u64,
        number: usize,
        deaths: bool,
        redactor: &Redactor,
        trace: Option<SharedTrace>,
    ) -> Result<Member, FleetBroken> {
        let id = format!("a{number:02}");
        // The work of a long night would keep the other agents waiting.
        let mut own = seed.wrapping_mul(64).wrapping_add(number as u64);
        while is_long(own) {
            own = own.wrapping_add(1 << 40);
        }
        let mut world = World::new(own, true, redactor, trace)?;
        shape(&mut world.rates, deaths);
        world.begins_in_fleet();
        world.plan.run_id.clone_from(&id);
        (world.plan.interactive, world.plan.no_wait) = (false, false);
        world.core = Core::new(world.plan.clone());
        world.journal = Journal::begin(&world.plan, redactor.clone(), BACKLOG_BYTES)?;
        Ok(Member {
            id,
            world,
            manager: None,
            is_manager: false,
            ignores_usage: false,
            kept_down: false,
            host: Host::Gone,
            life: 0,
            summary: None,
            end_untold: true,
            seen_unix_ms: 0,
            starter: None,
            due_us: u64::MAX,
            begun_us: 0,
            ended_us: 0,
            steps_at_end: 0,
            stopped_by: None,
            is_users: false,
        })
    }

    /// Whether its run has an outcome that stands: nobody continues it but the user.
    pub(super) fn has_ended(&self) -> bool {
        self.summary.as_ref().is_some_and(|(outcome, _)| *outcome != Outcome::Interrupted)
    }

    /// Whether it was interrupted by the shutdown of the machine.
    fn fell_with_machine(&self, booted_unix_ms: i64) -> bool {
        let ended = self.summary.as_ref().map(|(_, ended)| *ended);
        ended.is_some_and(|ended| ended < booted_unix_ms && booted_unix_ms - ended < SHUTDOWN_MS)
    }

    /// The facts that a keeper reads.
    pub(super) fn fact(&self, manager: Option<String>, booted_unix_ms: i64, now_unix_ms: i64) -> AgentFact {
        let standing = match (&self.summary, self.host) {
            (Some((Outcome::Interrupted, _)), _) if self.fell_with_machine(booted_unix_ms) => Standing::Died,
            (Some((Outcome::Interrupted, _)), _) => Standing::Stopped,
            (Some(_), _) => Standing::Ended,
            (None, Host::Works) => Standing::Running { ending: self.world.core.phase() == ENDING },
            (None, Host::Ending) => Standing::Running { ending: true },
            (None, Host::Gone) => Standing::Died,
        };
        let seen_unix_ms = if self.host == Host::Gone { self.seen_unix_ms } else { now_unix_ms };
        AgentFact {
            id: self.id.clone(),
            standing,
            is_manager: self.is_manager,
            manager,
            end_untold: self.end_untold && matches!(standing, Standing::Ended | Standing::Stopped),
            kept_down: self.kept_down,
            ignores_usage: self.ignores_usage,
            seen_unix_ms,
            is_idle: false,
            since_unix_ms: None,
        }
    }

    /// When it next does something.
    pub(super) fn look_ahead(&mut self) {
        self.due_us = match self.host {
            Host::Works if self.world.goes_on() => {
                let (timer, event) = self.world.next_us();
                let next = timer.into_iter().chain(event).min();
                next.map_or(u64::MAX, |us| us.saturating_add(us_of(self.world.away_ms)))
            }
            Host::Works | Host::Ending | Host::Gone => u64::MAX,
        };
    }
}

pub(super) fn us_of(ms: i64) -> u64 {
    u64::try_from(ms).unwrap_or(0).saturating_mul(1_000)
}

/// What the machine and the user do is drawn for the fleet and not for each agent.
fn shape(rates: &mut Rates, deaths: bool) {
    rates.goes_on = 0;
    rates.trouble /= 4;
    let every = &mut rates.every;
    (every.jump, every.sleep, every.other_ccc, every.interrupt) = (0, 0, 0, 0);
    if !deaths {
        every.death = 0;
    }
}

impl World {
    /// Whether `ccc`s are told by the fleet when to take up this run.
    fn begins_in_fleet(&mut self) {
        self.in_fleet = true;
        self.chatter = None;
        self.draws_due();
    }

    /// The clock of the fleet shows this time, in microseconds.
    pub(super) fn arrives(&mut self, fleet_us: u64) {
        self.now_us = self.now_us.max(fleet_us.saturating_sub(us_of(self.away_ms)));
    }

    /// A ccc takes the run up at this time of the fleet.
    pub(super) fn comes_at(&mut self, fleet_us: u64) {
        let away_us = fleet_us.saturating_sub(self.now_us);
        self.away_ms = i64::try_from(away_us.div_ceil(1_000)).unwrap_or(i64::MAX);
    }

    /// The first ccc of the run begins.
    pub(super) fn begins(&mut self) -> Result<(), crate::law::Broken> {
        let tokens = self.provider.known.clone();
        self.feed(Input::Began { unix_ms: self.wall_ms(), resumed: false, turn_recorded: None, tokens })
    }

    /// The keeper says something under a key. Whether the run has taken it; `None` if its ccc died at it.
    pub(super) fn is_told(
        &mut self,
        key: String,
        text: String,
    ) -> Result<Option<supervision::core::Taken>, crate::law::Broken> {
        self.taken = None;
        self.feed_once(Input::Operator(OperatorInput::Say { key: Some(key), text, images: Vec::new() }))?;
        Ok(self.taken.take())
    }
}

/// A seed of its own for what is drawn for the fleet.
pub(super) fn dice(seed: u64) -> Dice {
    Dice::new(seed ^ 0x666c_6565_7473)
}
