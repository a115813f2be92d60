//! ccc is killed wherever chance has it, several times in one run, and the run still comes to its end.
//!
//! `CCC_KILL_SEEDS=500` tries more; a failure names its seed.

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World};
use crate::whole_runs::harness::{Running, action, journal};

/// What the failing check says.
const FLAW: &str = "the-flaw-of-the-check";

/// Four turns: one that crashes, one that a check finds fault with, one that the critic does, and a good one.
fn script() -> Value {
    json!({
        "agent": [
            [{"say": "I begin."}, {"tool": {"name": "Read", "input": {"file_path": "a"}, "result": "a"}}, {"crash": {"signal": 9}}],
            [{"say": "I am done."}],
            [{"tool": {"name": "Write", "input": {"file_path": "mended", "content": "x"}, "real": true, "unchecked": true}}, {"say": "Mended."}],
            [{"say": "All of it."}],
        ],
        "critic": [[{"say": FEEDBACK}], [{"say": "Good.\n\n[TASK_COMPLETED]"}]],
    })
}

/// A small generator (splitmix64), so that a seed gives the same run of choices everywhere.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Kills ccc as soon as the journal has so many entries; true when it had ended before.
fn kill_at(world: &World, running: Running<'_>, entries: usize) -> bool {
    loop {
        let written = world.ground.runs().pop().map_or(0, |run| journal(&run).len());
        if written > entries {
            break;
        }
        if !crate::whole_runs::harness::is_alive(running.pid()) {
            running.wait().assert_code(0);
            return true;
        }
        std::thread::yield_now();
    }
    let pid = running.pid();
    let before = world.ground.alive(pid);
    running.signal(rustix::process::Signal::KILL);
    drop(running.wait());
    let pids: Vec<String> = before.iter().map(|(pid, _)| format!("{pid}\n")).collect();
    std::fs::write(world.ground.home().join("old-pids"), pids.concat()).expect("write");
    // The kill may have come between the last entry and ccc's own exit: then there is nothing to go on with.
    world.ground.runs().pop().is_some_and(|run| journal(&run).iter().any(|entry| action(entry, "finish").is_some()))
}

#[test]
fn killed_at_any_entry_and_again_the_run_ends_and_says_nothing_twice() {
    let seeds = std::env::var("CCC_KILL_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8);
    for seed in 0..seeds {
        let mut chance = Chance(seed);
        let world = World::new(&script());
        let check = format!("test -e mended || {{ echo {FLAW}; exit 1; }}");
        let mut ended = kill_at(&world, world.start(&["--check", &check]), chance.below(90) as usize);
        for _ in 0..chance.below(3) {
            if ended {
                break;
            }
            let so_far = world.ground.runs().pop().map_or(0, |run| journal(&run).len());
            ended = kill_at(&world, world.resume(&[]), so_far + chance.below(60) as usize);
        }
        if !ended {
            let last = world.resume(&[]).end();
            assert_eq!(last.status.code(), Some(0), "seed {seed}:\n{}{}", last.stdout, last.stderr);
        }
        world.ground.assert_sound();
        world.assert_no_survivors();
        let turns = world.turns();
        let times = |words: &str| turns.iter().filter(|(_, said)| said.contains(words)).count();
        assert_eq!(times(TASK), 1, "seed {seed}: {turns:#?}");
        // A verdict or a check's end that died with ccc is asked for again, and may then be another.
        assert!(times(FEEDBACK) <= 1 && times(FLAW) <= 1, "seed {seed}: {turns:#?}");
        let mut uuids: Vec<&String> = turns.iter().map(|(uuid, _)| uuid).collect();
        uuids.sort();
        uuids.dedup();
        assert_eq!(uuids.len(), turns.len(), "seed {seed}: {turns:#?}");
    }
}
