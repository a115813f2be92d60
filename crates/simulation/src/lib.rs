//! The simulated world: agents, critics, checks, trees, tokens, disks, clocks and deaths, all drawn from a seed (design §9).
//!
//! A *night* is one simulated run from its start to its outcome. [`Simulator::simulate`] plays one in milliseconds, because time
//! is virtual. The seed first draws the *rates* of the faults, then each fault. Core, adapter, codec and journal are those of a
//! real run: the agents are the machines of [`ccc::demo::scripted`], started with the adapter's arguments and addressed in its
//! bytes, and the journal's disk is memory. The [laws](Law) are checked after each transition. At some moment the faults stop,
//! and the run must then come to its end. A violation names its seed; the seed alone is enough to play the same night again.
//!
//! This crate must not read a clock, touch a file, start a process, or use randomness that does not come from the seed.

mod actions;
mod acts;
mod counts;
mod death;
mod dice;
mod family;
mod fleet;
mod journal;
mod law;
mod laws;
mod operator;
mod output;
mod process;
mod provider;
mod rates;
mod rejections;
mod script;
mod steering;
mod tokens;
mod trace;
mod workers;
mod world;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use thiserror::Error;

use law::Broken;
use redaction::Redactor;
use supervision::core::Outcome;
use trace::Trace;
use world::World;

pub use counts::Counts;
pub use fleet::{FleetLaw, FleetNight, FleetSimulator, FleetViolation};
pub use law::{AnyLaw, Law};

/// How many of 100,000 nights have work for eight hours. The others are shorter, with more faults per hour.
const LONG_NIGHTS: u64 = 1_500;
/// Separates this draw from those of the night itself.
const LONG_SALT: u64 = 0x6c6f_6e67;

/// The result of a simulated night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its seed.
    pub seed: u64,
    /// The outcome of the run; `None` if ccc died and its journal lacks entries, as the user had been told.
    pub outcome: Option<Outcome>,
    /// The reason, in one sentence.
    pub reason: String,
    /// Transitions of the core.
    pub steps: u64,
    /// The virtual duration, in milliseconds.
    pub virtual_ms: u64,
    /// Agents and critics started.
    pub processes: u32,
    /// How often ccc itself died.
    pub deaths: u32,
    /// Stops judged.
    pub iterations: u32,
    /// How often the agent was restarted.
    pub restarts: u32,
    /// How often another token was taken.
    pub rotations: u32,
    /// The faults and events that occurred, by kind.
    pub faults: Counts,
}

/// A law that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Violation<L: AnyLaw = Law> {
    /// The seed of the night or fleet. The violation occurs each time it is played.
    pub seed: u64,
    /// The law.
    pub law: L,
    /// The observation that shows the violation.
    pub what: String,
    /// One line for each transition: number, time, phase, iteration, input, actions.
    pub trace: Vec<String>,
}

impl<L: AnyLaw> fmt::Display for Violation<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} {} breaks the law that {}: {}", L::NUMBERED, self.seed, self.law, self.what)?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Plays nights, and holds their shared state.
#[derive(Debug, Clone, Default)]
pub struct Simulator {
    redactor: Redactor,
    alone: bool,
}

impl Simulator {
    /// A simulator that has played no night yet.
    #[must_use]
    pub fn new() -> Simulator {
        Simulator { redactor: Redactor::new(), alone: false }
    }

    /// Plays nights without a user during the run and without requests of the agent. Such a night is the same as before these
    /// features existed.
    #[must_use]
    pub fn alone(self) -> Simulator {
        Simulator { alone: true, ..self }
    }

    /// Plays the night of this seed.
    ///
    /// # Errors
    /// When a law does not hold; the violation carries the trace of the whole night.
    pub fn simulate(&self, seed: u64) -> Result<Scenario, Box<Violation>> {
        watched(seed, |trace| self.play(seed, trace))
    }

    /// Plays the night of this seed and returns its trace, whether or not a law was broken.
    #[must_use]
    pub fn trace(&self, seed: u64) -> Vec<String> {
        traced(|trace| self.play(seed, Some(trace)), |night| format!("{:?}: {}", night.outcome, night.reason))
    }

    fn play(&self, seed: u64, trace: Option<SharedTrace>) -> Result<Scenario, Broken> {
        guarded(|| World::new(seed, self.alone, &self.redactor, trace)?.play())
    }
}

/// The trace of a night that is being played.
type SharedTrace = Rc<RefCell<Trace>>;

/// Plays a night or a fleet. If it breaks a law, plays it again to get its trace.
fn watched<T, L: AnyLaw>(
    seed: u64,
    play: impl Fn(Option<SharedTrace>) -> Result<T, Broken<L>>,
) -> Result<T, Box<Violation<L>>> {
    play(None).map_err(|_| {
        // Traces are costly, so they are written only for what is broken.
        let trace = SharedTrace::default();
        let Broken { law, what } = match play(Some(Rc::clone(&trace))) {
            Ok(_) => {
                let what = format!("the {} goes well when it is watched", L::PLAYED);
                Broken { law: L::of_night(Law::Replay), what }
            }
            Err(broken) => broken,
        };
        let trace = trace.borrow_mut().take_lines();
        Box::new(Violation { seed, law, what, trace })
    })
}

/// Plays a night or a fleet and returns its trace, with its end.
fn traced<T, L: AnyLaw>(play: impl Fn(SharedTrace) -> Result<T, Broken<L>>, end: impl Fn(&T) -> String) -> Vec<String> {
    let trace = SharedTrace::default();
    let end = match play(Rc::clone(&trace)) {
        Ok(played) => end(&played),
        Err(Broken { law, what }) => format!("broken: {law}: {what}"),
    };
    let mut lines = trace.borrow_mut().take_lines();
    lines.push(end);
    lines
}

/// Turns a panic into a broken law.
fn guarded<T, L: AnyLaw>(play: impl FnOnce() -> Result<T, Broken<L>>) -> Result<T, Broken<L>> {
    let panics = || Broken { law: L::of_night(Law::NoPanic), what: "it panics; what it said stands above".to_owned() };
    catch_unwind(AssertUnwindSafe(play)).unwrap_or_else(|_| Err(panics()))
}

/// Whether the night of this seed has work for eight hours.
#[must_use]
pub fn is_long(seed: u64) -> bool {
    dice::Dice::new(seed ^ LONG_SALT).chance(LONG_NIGHTS)
}
