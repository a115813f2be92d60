//! Plays two thousand nights, each from its seed.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "the tests are an edge, and shared parts of them must be able to fail a test"
)]

mod command;
mod fleets;
mod regressions;

use std::collections::BTreeSet;

use simulation::{Counts, Scenario, Simulator, is_long};

/// How many seeds each test run plays. To play more: `cargo run --release -p simulation`.
const SEEDS: u64 = 2_000;

/// Faults and events that must occur in two thousand nights, because nights without them would test nothing.
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
    "end of a pause",
    "exchange refused",
    "exchange without effect",
    "failed check",
    "failed request",
    "filtered answer",
    "finished run gone on with",
    "forbidden tool",
    "form",
    "full disk",
    "garbage",
    "half line",
    "history made shorter",
    "huge line",
    "interruption without effect",
    "judging asked for",
    "kill from outside",
    "late completion",
    "late ruling",
    "late timer",
    "machine sleep",
    "missing permission",
    "model refusal",
    "network answers 403",
    "network answers 407",
    "news of another ccc",
    "news of the journal",
    "nobody attends",
    "orphan",
    "pause",
    "permission asked for",
    "plan",
    "prompt too long",
    "question answered",
    "question not answered",
    "questions",
    "refusal that heals",
    "rejected history",
    "rejected task",
    "request for the end",
    "request shown",
    "request that nobody answers",
    "rest",
    "ruling",
    "ruling of what is not open",
    "ruling that does not fit",
    "scheduled turn",
    "setting changed in mid-run",
    "signals ignored",
    "somebody attends",
    "spawn failed",
    "spend limit",
    "spent window",
    "stall",
    "stdin not read",
    "sub-agent",
    "taken for hung",
    "token asked for",
    "tool without an end",
    "torn journal",
    "tree not measured",
    "turn interrupted",
    "unkillable process",
    "unknown message",
    "words in mid-run",
    "words of the user",
    "words repeated under their key",
    "words taken back",
];

/// The steps of the response to a rejected request or credential. Each must occur.
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
