//! The simulated world: agents, critics, checks, trees, tokens, disks, clocks and deaths that a seed makes up (design §9).
//!
//! [`Simulator::simulate`] plays one whole night in milliseconds. The seed draws the *rates* of the faults, then every fault; time
//! is virtual. The agents are the machines of [`ccc::demo::scripted`], launched by the adapter's arguments and spoken
//! to in its bytes, and the journal is the real one on a disk of memory, so that core, adapter, codec and journal are
//! what a real night has. After each transition the [laws](Law) are looked at; at some moment the faults stop, and from
//! then on the run must come to its end.
//! A violation names its seed, and the seed is all it takes to see the same night again.
//!
//! What this must not do: read a clock, touch a file, start a process, or use chance that does not come from the seed.

mod actions;
mod counts;
mod death;
mod dice;
mod journal;
mod laws;
mod output;
mod process;
mod provider;
mod rates;
mod rejections;
mod script;
mod tokens;
mod trace;
mod world;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use thiserror::Error;

use laws::Broken;
use redaction::Redactor;
use supervision::core::Outcome;
use trace::Trace;
use world::World;

pub use counts::Counts;
pub use laws::Law;

/// How many in 100,000 nights have work for eight hours; the others are over sooner, with more faults for their time.
const LONG_NIGHTS: u64 = 1_500;
/// So that this draw and the night's own have nothing in common.
const LONG_SALT: u64 = 0x6c6f_6e67;

/// How a simulated night went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scenario {
    /// Its seed.
    pub seed: u64,
    /// How the run ended; `None` when ccc died and its journal cannot be gone on with, as the user had been told.
    pub outcome: Option<Outcome>,
    /// One sentence that says why.
    pub reason: String,
    /// Transitions of the core.
    pub steps: u64,
    /// Virtual time it took, in milliseconds.
    pub virtual_ms: u64,
    /// Agents and critics started.
    pub processes: u32,
    /// Times that ccc itself died.
    pub deaths: u32,
    /// Stops judged.
    pub iterations: u32,
    /// Times the agent was started again.
    pub restarts: u32,
    /// Times another token was taken.
    pub rotations: u32,
    /// What befell it, by kind.
    pub faults: Counts,
}

/// A law that did not hold.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub struct Violation {
    /// The night in which it happens, each time.
    pub seed: u64,
    /// The law.
    pub law: Law,
    /// How it shows.
    pub what: String,
    /// One line for each transition: number, time, phase, iteration, what came in, what was asked for.
    pub trace: Vec<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {} breaks the law that {}: {}", self.seed, self.law, self.what)?;
        for line in &self.trace {
            writeln!(f, "{line}")?;
        }
        Ok(())
    }
}

/// Plays nights. It holds what all nights share.
#[derive(Debug, Clone, Default)]
pub struct Simulator {
    redactor: Redactor,
}

impl Simulator {
    /// One that has played no night yet.
    #[must_use]
    pub fn new() -> Simulator {
        Simulator { redactor: Redactor::new() }
    }

    /// Plays the night of this seed.
    ///
    /// # Errors
    /// When a law does not hold; the violation carries the trace of the whole night.
    pub fn simulate(&self, seed: u64) -> Result<Scenario, Box<Violation>> {
        watched(seed, |trace| self.play(seed, trace))
    }

    /// Plays the night of this seed and gives its trace, whether all holds or not.
    #[must_use]
    pub fn trace(&self, seed: u64) -> Vec<String> {
        let trace = SharedTrace::default();
        let end = match self.play(seed, Some(Rc::clone(&trace))) {
            Ok(night) => format!("{:?}: {}", night.outcome, night.reason),
            Err(Broken { law, what }) => format!("broken: {law}: {what}"),
        };
        let mut lines = trace.borrow_mut().take_lines();
        lines.push(end);
        lines
    }

    fn play(&self, seed: u64, trace: Option<SharedTrace>) -> Result<Scenario, Broken> {
        guarded(|| World::new(seed, &self.redactor, trace)?.play())
    }
}

/// The trace of a night that is being played.
type SharedTrace = Rc<RefCell<Trace>>;

/// What comes of a night; of a broken one, with its trace.
fn watched(
    seed: u64,
    play: impl Fn(Option<SharedTrace>) -> Result<Scenario, Broken>,
) -> Result<Scenario, Box<Violation>> {
    play(None).map_err(|_| {
        // Traces are costly to write, so the night is played again for one.
        let trace = SharedTrace::default();
        let Broken { law, what } = match play(Some(Rc::clone(&trace))) {
            Ok(_) => Law::Replay.broken("the night goes well when it is watched"),
            Err(broken) => broken,
        };
        let trace = trace.borrow_mut().take_lines();
        Box::new(Violation { seed, law, what, trace })
    })
}

/// A panic breaks a law like anything else.
fn guarded(play: impl FnOnce() -> Result<Scenario, Broken>) -> Result<Scenario, Broken> {
    catch_unwind(AssertUnwindSafe(play))
        .unwrap_or_else(|_| Err(Law::NoPanic.broken("it panics; what it said stands above")))
}

/// Whether the night of this seed has work for eight hours.
#[must_use]
pub fn is_long(seed: u64) -> bool {
    dice::Dice::new(seed ^ LONG_SALT).chance(LONG_NIGHTS)
}
