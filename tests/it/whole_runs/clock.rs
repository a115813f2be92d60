//! The wall clock of ccc, and of nobody else, is set in mid-run and in mid-wait, forward and back.
//!
//! The agent, the provider and the test keep the true time. The shared object that sets the clock is compiled here
//! (`clock.c`); the kernel's own alarm at a wall time does not hear of the step, so a wait is ended by other timers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::harness::{Ended, Ground, approval, bash};
use super::limits::{OAUTHS, assert_task_seen_once, bearer, used, when, with_oauth};
use crate::scripted_api::{Reply, Script, ScriptedApi, Times};

/// Six hours.
pub(crate) const STEP_S: i64 = 6 * 3_600;
/// In the tests' waits the reset is so far away.
const RESET_IN_S: u64 = 6;

/// The clock of the ccc that is started on this ground.
pub(crate) struct SteppedClock {
    file: PathBuf,
}

impl SteppedClock {
    /// Compiles the clock and has every ccc of the ground use it; first it is right.
    pub(crate) fn on(ground: Ground) -> (Ground, SteppedClock) {
        let (file, object) = (ground.home().join("clock-offset"), ground.home().join("clock.so"));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/whole_runs/clock.c");
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&object).arg(source).output();
        let compiled = compiled.expect("a C compiler, which building ccc needs as well");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let ground = ground.env("LD_PRELOAD", object.as_os_str()).env("STEPPED_CLOCK", file.as_os_str());
        let clock = SteppedClock { file };
        clock.set(0);
        (ground, clock)
    }

    /// From now on the clock is wrong by so many seconds.
    pub(crate) fn set(&self, seconds: i64) {
        // Replaced as a whole: a reader never sees half a number.
        let new = self.file.with_extension("new");
        fs::write(&new, seconds.to_string())
            .and_then(|()| fs::rename(&new, &self.file))
            .expect("the offset is written");
    }

    /// The same, as a command of the agent.
    fn command(&self, seconds: i64) -> String {
        let file = self.file.display();
        format!("echo {seconds} > '{file}.new' && mv '{file}.new' '{file}'")
    }
}

/// What ccc recorded leads to the same decisions once more; and its clock was set.
pub(crate) fn assert_replays(ground: &Ground, ended: &Ended<'_>) {
    let run = ended.run_dir();
    let output =
        ground.command("http://127.0.0.1:9", ["replay".as_ref(), "--check".as_ref(), run.as_os_str()]).output();
    let output = output.expect("ccc runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let clocks: Vec<i64> = ended.journal().iter().filter_map(|entry| unix_ms(&entry["in"])).collect();
    let (least, most) = (clocks.iter().min().copied(), clocks.iter().max().copied());
    let apart = most.zip(least).map_or(0, |(most, least)| most - least);
    assert!(apart > (STEP_S - 300) * 1_000, "ccc did not see the step: {apart} ms");
}

/// The wall time that an input carries.
fn unix_ms(input: &serde_json::Value) -> Option<i64> {
    let fields = input.as_object()?.values().next()?;
    fields.get("unix_ms").and_then(serde_json::Value::as_i64)
}

on_both! {
    fn a_step_of_the_clock_in_mid_run_leads_to_the_other_token_and_to_no_storm(cli, current) {
        for step_s in [STEP_S, -STEP_S] {
            let (ground, clock) = SteppedClock::on(with_oauth(Ground::new(), 2));
            let api = ScriptedApi::start(
                Script::new()
                    .then(bash(&clock.command(step_s)))
                    .rule(when(bearer(OAUTHS[0]), Times::Forever, Reply::limit_reached("five_hour", 3_600)))
                    .then(Reply::text("Done."))
                    .then(approval()),
            )
            .unwrap();
            let args = ["-p", "do it", "--", "--dangerously-skip-permissions"];
            let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
            ended.assert_code(0);
            let used = used(&api.requests());
            let of_first = used.iter().filter(|token| **token == 0).count();
            assert!(of_first <= 3 && used.ends_with(&[1, 1]), "{step_s} s: {used:?}");
            assert_task_seen_once(&api.requests());
            assert_replays(&ground, &ended);
        }
    }

    fn a_step_of_the_clock_in_mid_wait_makes_the_wait_neither_longer_nor_a_storm(cli, current) {
        for step_s in [STEP_S, -STEP_S] {
            let (ground, clock) = SteppedClock::on(with_oauth(Ground::new(), 1));
            let limited = when(bearer(OAUTHS[0]), Times::Once, Reply::limit_reached("five_hour", RESET_IN_S));
            let replies = Script::new().rule(limited).then(Reply::text("Done.")).then(approval());
            let api = ScriptedApi::start(replies).unwrap();
            let mut running = ground.supervise(&api.base_url(), &cli.path, &["-p", "do it"]);
            running.until("the wait", |event| event["type"] == "spent");
            clock.set(step_s);
            let ended = running.end();
            ended.assert_code(0);
            let waited_ms = ended.result()["waited_ms"].as_u64().expect("a time");
            assert!((1_000..60_000).contains(&waited_ms), "{step_s} s: {waited_ms} ms");
            assert!(api.requests().len() <= 5, "{step_s} s: {:?}", used(&api.requests()));
            assert_task_seen_once(&api.requests());
            assert_replays(&ground, &ended);
        }
    }
}
