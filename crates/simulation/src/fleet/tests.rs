//! Tests of the fleet's simulator: each law is found broken where the world imitates a fault of the program.

use super::FleetSimulator;
use super::law::Flaw;
use redaction::Redactor;

/// How many fleets are searched for one that breaks a law.
const SEEDS: u64 = 150;

#[test]
fn each_law_is_found_broken_by_a_flaw_of_the_program() {
    let mut unseen = Vec::new();
    for (flaw, law) in Flaw::ALL {
        let simulator = FleetSimulator { redactor: Redactor::new(), flaw: Some(flaw) };
        let broken = (0..SEEDS).find_map(|seed| {
            let law_of = simulator.play(seed, None).err()?.law;
            (law_of == law).then_some(seed)
        });
        println!("{flaw:?}: {broken:?}");
        if broken.is_none() {
            unseen.push(flaw);
        }
    }
    assert!(unseen.is_empty(), "nothing is broken by {unseen:?}");
}

#[test]
fn a_seed_gives_the_same_fleet_twice() {
    let simulator = FleetSimulator::new();
    for seed in [1, 7] {
        assert_eq!(simulator.simulate(seed), simulator.simulate(seed), "{seed}");
        let trace = simulator.trace(seed);
        assert_eq!(trace, simulator.trace(seed), "{seed}");
        assert_ne!(trace, simulator.trace(seed + 1), "{seed}");
    }
}
