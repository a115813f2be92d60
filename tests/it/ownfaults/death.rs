//! ccc is killed at each phase of a run, and `ccc resume` brings the run to its end.

use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, acts, forever, is_line_with, two_turns};
use crate::whole_runs::harness::{Ended, Running, action, input, look_until};

/// Resumes the killed run with the plain script, and asserts that it ends as if nothing had been.
fn goes_on<'w>(world: &'w World, script: &Value) -> Ended<'w> {
    world.play(script);
    let ended = world.resume(&[]).end();
    ended.assert_code(0);
    assert_eq!(ended.result()["outcome"], "completed", "{}", ended.stdout);
    assert_eq!(ended.result()["iterations"], 2, "{}", ended.stdout);
    world.assert_no_survivors();
    world.assert_said_once(&[TASK, FEEDBACK]);
    ended
}

fn phase(running: &mut Running<'_>, name: &str) {
    running.until(name, |event| event["type"] == "phase" && event["phase"] == name);
}

/// The plain script with the beginning of a turn replaced.
fn instead(role: &str, turn: usize, steps: Value) -> Value {
    let mut script = two_turns();
    script[role][turn] = steps;
    script
}

#[test]
fn killed_while_the_agent_starts() {
    let world = World::new(&two_turns());
    world.hold("agent");
    let mut running = world.start(&[]);
    phase(&mut running, "starting");
    world.kill(running);
    world.release("agent");
    goes_on(&world, &two_turns());
}

#[test]
fn killed_when_the_task_was_sent_and_not_acknowledged() {
    let world = World::new(&two_turns());
    world.hold("agent");
    let running = world.start(&[]);
    world.until_entry("a turn sent", |entry| acts(entry, "send"));
    world.until_file("held");
    world.kill(running);
    world.release("agent");
    goes_on(&world, &two_turns());
}

#[test]
fn killed_when_the_task_was_taken_and_its_acknowledgement_not_yet_given() {
    // The scripted agent writes the turn into its transcript at once and acknowledges with the first words.
    let world = World::new(&instead("agent", 0, json!([forever()])));
    let running = world.start(&[]);
    world.until_entry("the agent's init", |entry| is_line_with(entry, "init"));
    world.kill(running);
    let ended = goes_on(&world, &two_turns());
    let decided =
        ended.decisions().iter().any(|decision| decision.starts_with("say continue: the turn stood in the session"));
    assert!(decided, "{:#?}", ended.decisions());
}

#[test]
fn killed_in_the_middle_of_a_text() {
    let world = World::new(&instead("agent", 0, json!([{"say": "I begin."}, forever()])));
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    world.kill(running);
    goes_on(&world, &two_turns());
}

#[test]
fn killed_in_a_tool_with_a_grandchild_in_a_session_of_its_own() {
    let world = World::new(&Value::Null);
    let marker = world.ground.home().join("in-tool");
    let command = format!("setsid sleep 600 & echo $! > '{}'; sleep 601", marker.display());
    world.play(&instead(
        "agent",
        0,
        json!([{"tool": {"name": "Bash", "input": {"command": command}, "real": true, "unchecked": true}}]),
    ));
    let running = world.start(&[]);
    world.until_file("in-tool");
    world.kill(running);
    let left = std::fs::read_to_string(world.ground.home().join("old-pids")).expect("the pids");
    assert!(left.lines().count() >= 3, "agent, shell and grandchild were alive: {left}");
    goes_on(&world, &two_turns());
}

/// A daemon that hides its origin: two forks, a session and an environment of its own, all output closed. It writes its pid.
fn daemon(file: &std::path::Path) -> String {
    let made = format!("{}.new", file.display());
    format!(
        "(env -i /usr/bin/setsid /bin/sh -c '(/bin/sleep 617 & echo $! > {made}; /bin/mv {made} {file})' </dev/null >/dev/null 2>&1 &); sleep 0.1",
        file = file.display()
    )
}

fn is_sleeping(pid: &str) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.contains("617"))
}

#[test]
fn a_daemon_without_a_mark_is_named_and_ended_by_the_resumption() {
    let world = World::new(&Value::Null);
    let marker = world.ground.home().join("daemon");
    let start =
        json!({"tool": {"name": "Bash", "input": {"command": daemon(&marker)}, "real": true, "unchecked": true}});
    world.play(&instead("agent", 0, json!([start, {"say": "It runs."}, forever()])));
    let running = world.start(&[]);
    let pid = world.until_file("daemon").trim().to_owned();
    let record = world.run_dir().join("processes");
    look_until("the daemon in the record", || {
        std::fs::read_to_string(&record).ok().filter(|text| text.contains(&format!("pid {pid} start ")))
    });
    world.kill(running);
    assert!(is_sleeping(&pid), "the premise: it survives ccc");
    // The same line, but of a process that started at another time: that pid is another process's now.
    let bystander = std::process::Command::new("sleep").arg("617").spawn().expect("sleep");
    let mut text = std::fs::read_to_string(&record).expect("the record");
    text.push_str(&format!("pid {} start 1.\n", bystander.id()));
    std::fs::write(&record, text).expect("written");
    let ended = goes_on(&world, &two_turns());
    let named = format!("sleep (pid {pid}, since ");
    let line = ended.stderr.lines().find(|line| line.contains(&named)).unwrap_or_else(|| panic!("{}", ended.stderr));
    assert!(line.ends_with("), which the run had left when its ccc process died"), "{line}");
    assert!(!is_sleeping(&pid), "it was ended");
    assert!(is_sleeping(&bystander.id().to_string()), "another process was spared");
    assert!(!record.exists(), "nothing is left that would have to be known");
    let mut bystander = bystander;
    bystander.kill().expect("killed");
    bystander.wait().expect("reaped");
}

#[test]
fn killed_after_the_result_of_a_tool() {
    let steps = json!([{"tool": {"name": "Read", "input": {"file_path": "a"}, "result": "a"}}, forever()]);
    let world = World::new(&instead("agent", 0, steps));
    let mut running = world.start(&[]);
    running.until("the end of a tool", |event| event["type"] == "tool_ended");
    world.kill(running);
    goes_on(&world, &two_turns());
}

#[test]
fn killed_while_a_check_runs() {
    let world = World::new(&two_turns());
    let home = world.ground.home();
    let check = world.ground.script(
        "check",
        &format!("[ -e '{home}/checked' ] || {{ echo $$ > '{home}/checking'; trap '' TERM HUP INT; while :; do sleep 600; done; }}", home = home.display()),
    );
    let running = world.start(&["--check", &check.display().to_string()]);
    world.until_file("checking");
    world.kill(running);
    world.ground.write("../home/checked", "");
    let ended = goes_on(&world, &two_turns());
    assert_eq!(ended.of_type("check").len(), 2, "{}", ended.stdout);
}

#[test]
fn killed_while_the_critic_starts() {
    let world = World::new(&two_turns());
    world.hold("critic");
    let running = world.start(&[]);
    world.until_file("held");
    world.kill(running);
    world.release("critic");
    goes_on(&world, &two_turns());
}

#[test]
fn killed_while_the_critic_answers() {
    let world = World::new(&instead("critic", 0, json!([{"say": "Let me see."}, forever()])));
    let mut running = world.start(&[]);
    running.until("words of the critic", |event| event["type"] == "text" && event["role"] == "critic");
    world.kill(running);
    goes_on(&world, &two_turns());
}

#[test]
fn killed_when_the_feedback_was_sent() {
    let world = World::new(&instead("agent", 1, json!([forever()])));
    let mut running = world.start(&[]);
    running.until("the feedback", |event| event["type"] == "turn" && event["kind"] == "feedback");
    world.kill(running);
    goes_on(&world, &two_turns());
}

#[test]
fn killed_while_it_waits_for_a_reset() {
    let mut limited = two_turns();
    limited["agent"] = json!([[{"limit": {"resets_in_s": 1}}], two_turns()["agent"][0], two_turns()["agent"][1]]);
    let world = World::new(&limited);
    let mut running = world.start(&[]);
    phase(&mut running, "waiting");
    world.kill(running);
    let ended = goes_on(&world, &limited);
    let decided = ended.decisions().iter().any(|decision| decision.starts_with("go on waiting"));
    assert!(decided, "{:#?}", ended.decisions());
}

#[test]
fn killed_while_a_completed_run_ends() {
    let mut script = two_turns();
    script["agent"][1] = json!([{"say": "Second half done."}, "ignore_signals", "stop_reading"]);
    let world = World::new(&script);
    let mut command = world.command(&[]);
    command.env("CCC_GRACE", "10m");
    let mut running = Running::spawn(&world.ground, &mut command);
    phase(&mut running, "ending");
    world.kill(running);
    goes_on(&world, &script);
    assert!(world.ground.alive(0).is_empty(), "{:?}", world.ground.alive(0));
}

#[test]
fn killed_while_an_interrupted_run_ends() {
    let world =
        World::new(&instead("agent", 0, json!([{"say": "I begin."}, "ignore_signals", "stop_reading", forever()])));
    let mut command = world.command(&[]);
    command.env("CCC_GRACE", "10m");
    let mut running = Running::spawn(&world.ground, &mut command);
    running.until("text", |event| event["type"] == "text");
    running.signal(rustix::process::Signal::INT);
    phase(&mut running, "ending");
    world.kill(running);
    goes_on(&world, &two_turns());
}

#[test]
fn killed_once_more_during_the_resumption() {
    let world = World::new(&instead("agent", 0, json!([{"say": "I begin."}, forever()])));
    let mut running = world.start(&[]);
    running.until("text", |event| event["type"] == "text");
    world.kill(running);
    let mut running = world.resume(&[]);
    running.until("text", |event| event["type"] == "text");
    world.kill(running);
    world.play(&instead("critic", 1, json!([{"say": "Let me see."}, forever()])));
    let mut running = world.resume(&[]);
    running.until("the second review", |event| {
        event["type"] == "text" && event["role"] == "critic" && event["text"] == "Let me see."
    });
    world.kill(running);
    let ended = goes_on(&world, &two_turns());
    let journal = ended.journal();
    let beginnings = journal.iter().filter(|entry| input(entry, "began").is_some()).count();
    assert_eq!(beginnings, 4, "the journal tells of each life");
    let finishes = journal.iter().filter(|entry| action(entry, "finish").is_some()).count();
    assert_eq!(finishes, 1);
}
