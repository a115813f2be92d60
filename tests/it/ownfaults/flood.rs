//! Agents that say too much, or stop listening: ccc stays small, and the run goes on.

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, acts, forever, two_turns};
use crate::whole_runs::harness::{Ground, Running, input, journal, look_until};

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

/// What an agent writes at its start, so that it counts as one.
const INIT: &str = r#"{"type":"system","subtype":"init","session_id":"3f2b8c1e-0000-4000-8000-000000000001","model":"m","cwd":"/","permissionMode":"default","claude_code_version":"2.1.332","tools":[],"uuid":"u"}"#;

/// The most memory that a flood may cost, in KiB. Ten million waiting lines would take two gigabytes.
const PEAK_KIB: u64 = 64 * 1024;

/// An agent that says `init` and then this, for ever.
fn flooding(flood: &str) -> World {
    World::with_prelude(Ground::without_git(), &two_turns(), &format!("echo '{INIT}'; {flood}"))
}

/// How many lines the journal's facts about noise tell of.
fn noise_lines(world: &World) -> u64 {
    let entries = journal(&world.run_dir());
    entries.iter().filter_map(|entry| input(entry, "noise")?["lines"].as_u64()).sum()
}

/// Lets it flood until so many lines have come, then has it ended by Ctrl-C. The grace is long, so a run that asks such
/// an agent to end in every polite way first does not end in time.
fn ended_while_flooding(flood: &str, lines: u64) {
    let world = flooding(flood);
    let mut command = world.command(&[]);
    let running = Running::spawn(&world.ground, command.env("CCC_GRACE", "60s"));
    look_until("the flood", || {
        let runs = world.ground.runs();
        (!runs.is_empty() && noise_lines(&world) >= lines).then_some(())
    });
    let peak = peak_kib(running.pid());
    running.signal(rustix::process::Signal::INT);
    let ended = running.end();
    ended.assert_code(130);
    assert!(peak < PEAK_KIB, "{peak} KiB");
    let entries = journal(&world.run_dir());
    assert!(entries.len() < 1_000, "{} entries for {} lines", entries.len(), noise_lines(&world));
    let asked = entries.iter().any(|entry| acts(entry, "interrupt") || acts(entry, "close_stdin"));
    assert!(!asked, "a flooding agent hears no question");
}

#[test]
fn lines_that_are_no_json_are_counted_and_ctrl_c_is_heard_among_them() {
    ended_while_flooding("exec yes y", 3_000_000);
}

#[test]
fn json_that_says_nothing_is_counted_and_ctrl_c_is_heard_among_it() {
    ended_while_flooding("exec yes {}", 1_000_000);
}

#[test]
fn keep_alives_at_full_speed_are_counted_and_ctrl_c_is_heard_among_them() {
    ended_while_flooding("exec yes '{\"type\":\"keep_alive\"}'", 500_000);
}

#[test]
fn a_valid_line_that_is_repeated_is_counted_and_ctrl_c_is_heard_among_it() {
    let line = r#"{"type":"system","subtype":"status","status":"requesting","session_id":"s","uuid":"u"}"#;
    ended_while_flooding(&format!("exec yes '{line}'"), 500_000);
}

#[test]
fn a_line_that_never_ends_costs_the_limit_of_a_line_and_ctrl_c_is_heard_in_it() {
    let world = flooding("exec cat /dev/zero");
    let mut command = world.command(&[]);
    let running = Running::spawn(&world.ground, command.env("CCC_GRACE", "60s"));
    let told = world.until_entry("that much was dropped", |entry| {
        input(entry, "noise").is_some_and(|noise| noise["sample"]["too_long"].as_u64() > Some(300 << 20))
    });
    let peak = peak_kib(running.pid());
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);
    assert!(peak < 100 * 1024, "{peak} KiB: {told}");
}

#[test]
fn ctrl_c_is_heard_while_stderr_floods() {
    let world = flooding("exec yes 'something is wrong' >&2");
    let mut command = world.command(&[]);
    let running = Running::spawn(&world.ground, command.env("CCC_GRACE", "60s"));
    world.until_entry("the flood", |entry| {
        input(entry, "noise").is_some_and(|noise| noise["lines"] == 0 && noise["bytes"].as_u64() > Some(32 << 20))
    });
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);
}

#[test]
fn messages_at_full_speed_hold_the_agent_up_and_not_the_memory() {
    let (world, calm) = flooded("yes '{\"type\":\"rate_limit_event\"}' | head -n 300000");
    let peak = peak_after(&world, &calm);
    assert!(peak < 40 * 1024, "{peak} KiB");
}

#[test]
fn stderr_at_full_speed_costs_its_tail() {
    let (world, calm) = flooded("yes 'something is wrong' | head -c 300000000 >&2");
    let peak = peak_after(&world, &calm);
    assert!(peak < 40 * 1024, "{peak} KiB");
}

#[test]
fn a_check_that_prints_without_end_costs_its_tail_and_ends_with_ctrl_c() {
    let script = json!({"agent": [[{"say": "Done."}]], "critic": [[{"say": "Good.\n\n[TASK_COMPLETED]"}]]});
    let world = World::new(&script);
    let mark = world.ground.home().join("printed");
    let check = format!("yes 'a line of the check' | head -c 300000000; echo > '{}'; exec yes more", mark.display());
    let running = world.start(&["--check", &check]);
    look_until("the check's output", || mark.exists().then_some(()));
    let peak = peak_kib(running.pid());
    running.signal(rustix::process::Signal::INT);
    running.end().assert_code(130);
    assert!(peak < 40 * 1024, "{peak} KiB");
}

#[test]
fn a_supervised_command_that_prints_without_end_costs_nothing() {
    let ground = Ground::without_git();
    let mark = ground.home().join("printed");
    let body = format!("yes y | head -c 20000000; echo > '{}'; exec sleep 600", mark.display());
    let mut command = ground.command("http://127.0.0.1:9", ["supervise", "--", "sh", "-c", &body]);
    let running = Running::spawn(&ground, &mut command);
    look_until("the command's output", || mark.exists().then_some(()));
    let peak = peak_kib(running.pid());
    running.signal(rustix::process::Signal::INT);
    let ended = running.end();
    assert!(peak < 40 * 1024, "{peak} KiB");
    assert_eq!(ended.stdout.len(), 20_000_000, "output was lost");
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
