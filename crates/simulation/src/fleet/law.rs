//! The laws of a fleet, and the broken worlds that show that each law can be broken.

use std::fmt;

use crate::Law;
use crate::law::{AnyLaw, Broken};

/// The laws of every simulated fleet. Each agent keeps the laws of a night besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs, reason = "each one's sentence says what it means")]
pub enum FleetLaw {
    /// A law of the night of one agent.
    OfRun(Law),
    OneKeeper,
    OnePoller,
    OneHost,
    Owner,
    PastCritical,
    /// An agent that its user has stopped or continued meanwhile is the user's business.
    TakenUp,
    /// Unless the keeper died before it saw the agent stopped, and the user has continued the agent before the next keeper looked:
    /// for that keeper the order was not carried out.
    StoppedOnce,
    /// A start by the user or by a manager needs no pause.
    Steps,
    /// Within a window in which the clock was not set and the machine was not started anew.
    Revivals,
    KeptDown,
    /// What the keeper or a shutdown of the machine has interrupted has not ended: it is taken up.
    EndTold,
    CrossingTold,
    /// While the clock is about right and runs on, and the provider names the reset. By a clock that is days ahead each limit has
    /// ended, and by one that is weeks behind no limit is believed, so that an agent tries its tokens in turn.
    OneRotation,
    Ends,
}

impl FleetLaw {
    /// The law in one sentence.
    #[must_use]
    pub fn sentence(self) -> &'static str {
        match self {
            FleetLaw::OfRun(law) => law.sentence(),
            FleetLaw::OneKeeper => "at most one keeper works",
            FleetLaw::OnePoller => "the usage of a token is asked about once in an interval, however often keepers die",
            FleetLaw::OneHost => "at most one ccc works on an agent",
            FleetLaw::Owner => "an agent that has died is taken up again, or the reason why not is on record",
            FleetLaw::PastCritical => "no agent is started while no token has headroom",
            FleetLaw::TakenUp => "every agent that was stopped because of the usage is taken up after the reset",
            FleetLaw::StoppedOnce => "an agent is stopped once for a time without headroom",
            FleetLaw::Steps => "keepers start agents one after the other, with pauses",
            FleetLaw::Revivals => "an agent is revived only as often as the rules allow",
            FleetLaw::KeptDown => "an agent that the user has stopped is not started by a keeper",
            FleetLaw::EndTold => "the end of a worker is told to its manager, once, and not as lost",
            FleetLaw::CrossingTold => "a crossing of a threshold is told to a manager at most once",
            FleetLaw::OneRotation => "an agent leaves a limited token at most once before its reset",
            FleetLaw::Ends => "without faults the fleet comes to its end, and the keeper with it",
        }
    }

    pub(super) fn broken(self, what: impl Into<String>) -> FleetBroken {
        FleetBroken { law: self, what: what.into() }
    }

    /// Breaks the law if `is_broken`.
    pub(super) fn broken_if(self, is_broken: bool, what: impl FnOnce() -> String) -> Result<(), FleetBroken> {
        if is_broken { Err(self.broken(what())) } else { Ok(()) }
    }
}

impl fmt::Display for FleetLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.sentence())
    }
}

/// A broken law of a fleet, and the observation that shows it.
pub(super) type FleetBroken = Broken<FleetLaw>;

impl From<Broken> for FleetBroken {
    fn from(broken: Broken) -> FleetBroken {
        FleetBroken { law: FleetLaw::OfRun(broken.law), what: broken.what }
    }
}

impl AnyLaw for FleetLaw {
    const PLAYED: &'static str = "fleet";
    const NUMBERED: &'static str = "fleet";

    fn of_night(law: Law) -> FleetLaw {
        FleetLaw::OfRun(law)
    }
}

/// A fault of the program that the simulated world imitates, so that a law is broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flaw {
    /// A keeper works without its lock.
    NoKeeperLock,
    /// The pause between two questions about a token is not kept.
    NoPause,
    /// A ccc works on a run without its lock.
    NoRunLock,
    /// The keeper does not see agents that have died.
    OverlooksDead,
    /// A new agent is started whatever the usage is.
    AdmitsAll,
    /// A keeper forgets whom it has stopped.
    ForgetsStopped,
    /// An agent that is ending is told to stop again.
    StopsTwice,
    /// The keeper forgets when it has started the last agent.
    NoSteps,
    /// The keeper forgets whom it has revived.
    ForgetsRevivals,
    /// The keeper does not see that an agent is kept down.
    OverlooksKeptDown,
    /// A worker does not tell its end, and the keeper neither.
    TellsNoEnd,
    /// What is told of a crossing has another key each time.
    NewKeys,
    /// What is known about limits is lost.
    ForgetsLimits,
    /// The keeper never ends.
    NeverRests,
    /// The end of an agent's journal is lost when its ccc dies, and nobody is told.
    LosesJournal,
}

#[cfg(test)]
impl Flaw {
    /// All of them, each with the law that it breaks.
    pub(super) const ALL: [(Flaw, FleetLaw); 15] = [
        (Flaw::NoKeeperLock, FleetLaw::OneKeeper),
        (Flaw::NoPause, FleetLaw::OnePoller),
        (Flaw::NoRunLock, FleetLaw::OneHost),
        (Flaw::OverlooksDead, FleetLaw::Owner),
        (Flaw::AdmitsAll, FleetLaw::PastCritical),
        (Flaw::ForgetsStopped, FleetLaw::TakenUp),
        (Flaw::StopsTwice, FleetLaw::StoppedOnce),
        (Flaw::NoSteps, FleetLaw::Steps),
        (Flaw::ForgetsRevivals, FleetLaw::Revivals),
        (Flaw::OverlooksKeptDown, FleetLaw::KeptDown),
        (Flaw::TellsNoEnd, FleetLaw::EndTold),
        (Flaw::NewKeys, FleetLaw::CrossingTold),
        (Flaw::ForgetsLimits, FleetLaw::OneRotation),
        (Flaw::NeverRests, FleetLaw::Ends),
        (Flaw::LosesJournal, FleetLaw::OfRun(Law::Replay)),
    ];
}
