//! The process of a keeper, and what it does next.

use std::collections::{BTreeSet, VecDeque};

use super::usage::Endpoint;
use supervision::core::TokenId;
use supervision::upkeep::{Act, Rules, Upkeep, Why};

/// What a keeper does next.
#[derive(Debug)]
pub(super) enum Step {
    /// It takes the lock and reads what the last one has written.
    Begins,
    /// It looks, decides, and writes down what it remembers.
    Looks,
    /// It performs the next act.
    Acts,
    /// It hears the answer about these tokens.
    Hears(Vec<TokenId>, Endpoint),
    /// It waits for the ccc that it has started.
    Starts(String, Why),
    /// It waits for its time.
    Waits,
}

/// The process of a keeper.
#[derive(Debug)]
pub(super) struct Keeper {
    pub(super) holds: bool,
    pub(super) anew: bool,
    pub(super) upkeep: Upkeep,
    pub(super) step: Step,
    pub(super) acts: VecDeque<Act>,
    pub(super) rules: Rules,
    /// The wall time at which it decides again.
    pub(super) wake_unix_ms: i64,
    pub(super) episode: u64,
    /// The agents whose ends wake it.
    pub(super) watches: BTreeSet<String>,
    /// Counts what was scheduled: only the last is valid.
    pub(super) turn: u64,
}

impl Keeper {
    pub(super) fn new(anew: bool) -> Keeper {
        Keeper {
            holds: false,
            anew,
            upkeep: Upkeep::default(),
            step: Step::Begins,
            acts: VecDeque::new(),
            rules: Rules::default(),
            wake_unix_ms: 0,
            episode: 0,
            watches: BTreeSet::new(),
            turn: 0,
        }
    }
}
