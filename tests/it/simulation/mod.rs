//! Two thousand nights, each from its seed.

mod regressions;

use std::collections::BTreeMap;

use ccc::driver::simulated::{Night, simulate};

/// How many seeds are played with every test run; more by hand.
const SEEDS: u64 = 2_000;

#[test]
fn two_thousand_nights_keep_every_invariant_and_come_to_an_end() {
    let mut outcomes: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut deaths, mut processes, mut steps) = (0, 0, 0);
    let mut broken = Vec::new();
    for seed in 0..SEEDS {
        match simulate(seed) {
            Ok(night) => {
                *outcomes.entry(night.outcome.as_str()).or_default() += 1;
                deaths += night.deaths;
                processes += night.processes;
                steps += night.steps;
            }
            Err(violation) => broken.push(violation),
        }
    }
    println!("{outcomes:?}, {deaths} deaths of ccc, {processes} processes, {steps} transitions");
    if let Some(first) = broken.first() {
        let seeds: Vec<(u64, &str)> =
            broken.iter().map(|violation| (violation.seed, violation.what.as_str())).collect();
        panic!("{} of {SEEDS} nights are broken: {seeds:#?}\nthe first:\n{first}", broken.len());
    }
    // A simulation in which nothing happens shows nothing.
    for outcome in ["completed", "needs_user", "budget", "stuck", "limits", "failed", "interrupted"] {
        assert!(outcomes.contains_key(outcome), "no night ended as {outcome}: {outcomes:?}");
    }
    assert!(deaths > 100 && processes > SEEDS as u32 * 3, "{deaths} deaths, {processes} processes");
}

#[test]
fn a_seed_is_all_it_takes_to_see_a_night_again() {
    let play = |seed| -> Result<Night, String> { simulate(seed).map_err(|violation| violation.to_string()) };
    assert_eq!(play(11), play(11));
    assert_ne!(play(11), play(12));
}
