//! Two thousand nights, each from its seed.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the tests are an edge, and shared parts of them must be able to fail a test"
)]

mod command;
mod regressions;

use std::collections::BTreeSet;

use simulation::{Counts, Scenario, Simulator, is_long};

/// How many seeds are played with every test run; more by `cargo run --release -p simulation`.
const SEEDS: u64 = 2_000;

/// What befalls in two thousand nights: a simulation in which nothing happens shows nothing.
const FAULTS: &[&str] = &[
    "announced retry",
    "background task",
    "clock jump",
    "compaction",
    "crash",
    "credential command failed",
    "credits required",
    "crowded window",
    "death of ccc",
    "death with a full disk",
    "denied tool",
    "doubled completion",
    "exchange refused",
    "exchange without effect",
    "failed check",
    "failed request",
    "filtered answer",
    "finished run gone on with",
    "forbidden tool",
    "full disk",
    "garbage",
    "half line",
    "history made shorter",
    "huge line",
    "kill from outside",
    "late completion",
    "late timer",
    "machine sleep",
    "missing permission",
    "model refusal",
    "network answers 403",
    "network answers 407",
    "news of another ccc",
    "news of the journal",
    "orphan",
    "prompt too long",
    "question answered",
    "question not answered",
    "refusal that heals",
    "rejected history",
    "rejected task",
    "request for the end",
    "scheduled turn",
    "signals ignored",
    "spawn failed",
    "spend limit",
    "spent window",
    "stall",
    "stdin not read",
    "sub-agent",
    "taken for hung",
    "tool without an end",
    "torn journal",
    "tree not measured",
    "unkillable process",
    "unknown message",
    "words of the user",
];

/// The steps of the ladders against a request or a credential that is rejected; each is to be taken.
const RUNGS: &[&str] = &[
    "refused credential tried once more",
    "rejected request tried again",
    "rejected review tried again",
    "rejected request tried with another token",
    "session compacted",
    "session begun anew",
    "end of the ladder",
];

#[test]
fn two_thousand_nights_keep_every_law_and_come_to_an_end() {
    let simulator = Simulator::new();
    let (mut outcomes, mut faults) = (Counts::default(), Counts::default());
    let (mut processes, mut rotations, mut eight_hours) = (0, 0, 0);
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        match simulator.simulate(seed) {
            Ok(night) => {
                outcomes.add(night.outcome.map_or("lost journal", |outcome| outcome.as_str()));
                faults.merge(&night.faults);
                processes += night.processes;
                rotations += night.rotations;
                eight_hours += u32::from(is_long(seed) && night.virtual_ms >= 8 * 3_600_000);
            }
            Err(violation) => broken.push(violation),
        }
    }
    println!("{outcomes:?}, {processes} processes, {rotations} rotations, {eight_hours} long nights, {faults:?}");
    if let Some(first) = broken.first() {
        let seeds: Vec<String> =
            broken.iter().map(|broken| format!("{}: {}: {}", broken.seed, broken.law, broken.what)).collect();
        panic!("{} of {SEEDS} nights are broken: {seeds:#?}\nthe first:\n{first}", broken.len());
    }
    for outcome in ["completed", "needs_user", "budget", "stuck", "limits", "failed", "interrupted", "lost journal"] {
        assert!(outcomes.of(outcome) > 0, "no night ended as {outcome}: {outcomes:?}");
    }
    let absent: BTreeSet<&&str> = FAULTS.iter().chain(RUNGS).filter(|fault| faults.of(fault) == 0).collect();
    assert!(absent.is_empty(), "these never happened: {absent:?}");
    assert!(processes > 6_000 && rotations > 100 && eight_hours > 5, "{processes}, {rotations}, {eight_hours}");
}

#[test]
fn a_seed_is_all_it_takes_to_see_a_night_again() {
    let play = |seed| -> Result<Scenario, String> {
        Simulator::new().simulate(seed).map_err(|violation| violation.to_string())
    };
    assert_eq!(play(11), play(11));
    assert_ne!(play(11), play(12));
    let trace = |seed| Simulator::new().trace(seed);
    assert_eq!(trace(11), trace(11));
}
