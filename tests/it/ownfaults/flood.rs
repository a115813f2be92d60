//! Agents that say too much, or stop listening: ccc stays small, and the run goes on.

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, forever, two_turns};
use crate::night::harness::{Ground, Running};

/// The most memory that ccc has had, in KiB, while a critic of it is held.
fn peak_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("ccc lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// A world whose agent writes this before it begins; its critic does not come to an end.
fn flooded(prelude: &str) -> (World, Value) {
    let once = format!("if [ $role = agent ] && [ ! -e $home/flooded ]; then : > $home/flooded; {prelude}; fi");
    let calm = json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "Good.\n\n[TASK_COMPLETED]"}]]});
    let mut held = calm.clone();
    held["critic"][0] = json!([{"say": "Let me see."}, forever()]);
    (World::with_prelude(Ground::without_git(), &held, &once), calm)
}

/// Runs it until the flood has passed, and gives the peak.
fn peak_after(world: &World, calm: &Value) -> u64 {
    let mut running = world.start(&[]);
    running.until("words of the critic", |event| event["type"] == "text" && event["role"] == "critic");
    let peak = peak_kib(running.pid());
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);
    world.play(calm);
    world.resume(&[]).end().assert_code(0);
    world.assert_said_once(&[TASK]);
    peak
}

#[test]
fn partial_output_at_full_speed_does_not_make_ccc_grow() {
    let (world, calm) = flooded(
        "yes '{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"word \"}},\"session_id\":\"s\",\"parent_tool_use_id\":null,\"uuid\":\"u\"}' | head -n 200000",
    );
    let peak = peak_after(&world, &calm);
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn whole_messages_at_full_speed_stay_within_bounds() {
    let (world, calm) = flooded(
        "yes \"{\\\"type\\\":\\\"system\\\",\\\"subtype\\\":\\\"unheard_of\\\",\\\"text\\\":\\\"$(head -c 8000 /dev/zero | tr '\\0' x)\\\"}\" | head -n 2500",
    );
    let peak = peak_after(&world, &calm);
    assert!(peak < 96 * 1024, "{peak} KiB for 20 MB of messages");
}

#[test]
fn noise_at_full_speed_stays_within_bounds() {
    let (world, calm) = flooded("yes 'warning: this is no JSON' | head -n 20000");
    let peak = peak_after(&world, &calm);
    assert!(peak < 64 * 1024, "{peak} KiB");
}

#[test]
fn a_line_of_ten_megabytes_arrives_and_one_over_the_limit_is_told() {
    let mut script = two_turns();
    script["agent"][0] = json!([{"huge_line": 10 << 20}, {"say": "First half done."}]);
    let over =
        "[ $role = critic ] || [ -e $home/over ] || { : > $home/over; head -c 70000000 /dev/zero | tr '\\0' x; echo; }";
    let world = World::with_prelude(Ground::without_git(), &script, over);
    let ended = world.start(&[]).end();
    ended.assert_code(0);
    let longest = ended.of_type("text").iter().filter_map(|event| Some(event["text"].as_str()?.len())).max();
    assert!(longest >= Some(1 << 20), "the long text was not shown: {longest:?}");
    let notices = ended.of_type("notice");
    assert!(
        notices.iter().any(|notice| notice["text"].as_str().is_some_and(|text| text.contains("70000000"))),
        "{notices:?}"
    );
    assert_eq!(ended.result()["restarts"], 0);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn an_agent_that_closes_its_stdout_and_lives_is_started_again() {
    started_again("exec sleep 600 >&-");
}

#[test]
fn an_agent_that_closes_all_its_streams_and_lives_is_started_again() {
    started_again("exec sleep 600 <&- >&- 2>&-");
}

#[test]
fn an_agent_that_reads_nothing_is_started_again() {
    started_again("exec sleep 600");
}

/// With a task that does not fit into a pipe.
fn started_again(first: &str) {
    let prelude = format!("[ $role = critic ] || [ -e $home/first ] || {{ : > $home/first; {first}; }}");
    let world = World::with_prelude(Ground::without_git(), &two_turns(), &prelude);
    let task = world.ground.write("TASK.md", &format!("{TASK}\n{}", "More of it.\n".repeat(100_000)));
    let mut command =
        world.ccc(&["--supervisor", "--output-format", "stream-json", "--stall-timeout", "1s", "--prompt-file"]);
    command.arg(task).arg("--agent").arg(&world.agent).env("CCC_START_TIMEOUT", "8s");
    let ended = Running::spawn(&world.ground, &mut command).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 1, "{:#?}", ended.decisions());
    world.assert_said_once(&[TASK, FEEDBACK]);
}
