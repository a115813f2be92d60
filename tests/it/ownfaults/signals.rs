//! Signals to ccc, the end of its terminal, and its being stopped for a while.

use std::cell::RefCell;
use std::io::Read;

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, forever, two_turns};
use crate::whole_runs::harness::{Running, input, is_alive, journal, look_until, send};

/// A run held at one point, and how to see that it is there.
struct Held {
    name: &'static str,
    script: Value,
    args: Vec<String>,
    there: fn(&World, &mut Running<'_>),
}

/// Every kind of moment at which a signal may come.
fn moments(world_home: &str) -> Vec<Held> {
    let plain = |name, script, there| Held { name, script, args: Vec::new(), there };
    let with = |role: &str, steps: Value| {
        let mut script = two_turns();
        script[role][0] = steps;
        script
    };
    let tool = format!("setsid sleep 600 & echo $! > '{world_home}/in-tool'; sleep 601");
    let check = format!("trap '' INT TERM HUP; echo $$ > '{world_home}/checking'; while :; do sleep 600; done");
    vec![
        plain("text", with("agent", json!([{"say": "I begin."}, forever()])), |_, running| {
            running.until("text", |event| event["type"] == "text");
        }),
        plain(
            "tool",
            with(
                "agent",
                json!([{"tool": {"name": "Bash", "input": {"command": tool}, "real": true, "unchecked": true}}]),
            ),
            |world, _| {
                world.until_file("in-tool");
            },
        ),
        plain("critic", with("critic", json!([{"say": "Let me see."}, forever()])), |_, running| {
            running.until("critic", |event| event["type"] == "text" && event["role"] == "critic");
        }),
        plain("waiting", with("agent", json!([{"limit": {"resets_in_s": 3600}}])), |_, running| {
            running.until("waiting", |event| event["type"] == "phase" && event["phase"] == "waiting");
        }),
        Held {
            name: "check",
            script: two_turns(),
            args: vec!["--check".to_owned(), check],
            there: |world, _| {
                world.until_file("checking");
            },
        },
    ]
}

fn each_moment(body: impl Fn(&World, Running<'_>, &str)) {
    for at in 0..5 {
        let world = World::new(&Value::Null);
        let held = moments(&world.ground.home().display().to_string()).remove(at);
        world.play(&held.script);
        let args: Vec<&str> = held.args.iter().map(String::as_str).collect();
        let mut running = world.start(&args);
        (held.there)(&world, &mut running);
        body(&world, running, held.name);
    }
}

fn ending(running: &mut Running<'_>) {
    running.until("the ending", |event| event["type"] == "phase" && event["phase"] == "ending");
}

#[test]
fn one_ctrl_c_ends_the_run_in_good_order_wherever_it_is() {
    each_moment(|world, running, name| {
        running.signal(Signal::INT);
        let ended = running.end();
        ended.assert_code(130);
        let result = ended.result();
        assert_eq!(result["outcome"], "interrupted", "{name}");
        assert!(ended.reason().contains("Ctrl-C"), "{name}: {}", ended.reason());
        assert!(result["resume"].as_str().is_some_and(|resume| resume.contains("ccc resume")), "{name}: {result}");
        if name != "check" && name != "waiting" {
            world.play(&two_turns());
            world.resume(&[]).end().assert_code(0);
            world.assert_said_once(&[TASK, FEEDBACK]);
        }
    });
}

#[test]
fn a_second_ctrl_c_kills_at_once_what_takes_its_time() {
    let world = World::new(&json!({"agent": [["ignore_signals", "stop_reading", {"say": "I begin."}, forever()]]}));
    let mut command = world.command(&[]);
    command.env("CCC_GRACE", "10m");
    let mut running = Running::spawn(&world.ground, &mut command);
    running.until("text", |event| event["type"] == "text");
    running.signal(Signal::INT);
    ending(&mut running);
    running.signal(Signal::INT);
    let ended = running.end();
    ended.assert_code(130);
    assert_eq!(ended.result()["outcome"], "interrupted");
}

#[test]
fn a_third_ctrl_c_leaves_at_once_and_leaves_nothing() {
    let tool = "trap '' INT TERM HUP; setsid sh -c 'kill -STOP $$; sleep 600' & sleep 1000";
    let steps = json!([
        "ignore_signals", "stop_reading", {"say": "I begin."},
        {"tool": {"name": "Bash", "input": {"command": tool}, "real": true, "unchecked": true}}
    ]);
    let world = World::new(&json!({"agent": [steps]}));
    let mut command = world.command(&[]);
    command.env("CCC_GRACE", "10m");
    let mut running = Running::spawn(&world.ground, &mut command);
    running.until("the tool", |event| event["type"] == "tool");
    let agent = running.child_pid("agent");
    look_until("a stopped grandchild", || {
        world.ground.alive(0).into_iter().find(|(pid, _)| state_of(*pid) == Some('T'))
    });
    running.signal(Signal::INT);
    ending(&mut running);
    // Together, so that the third can come before the kills of the second are reaped.
    running.signal(Signal::STOP);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.signal(Signal::CONT);
    let ended = running.end();
    ended.assert_code(130);
    assert!(!is_alive(agent));
}

#[test]
fn a_third_ctrl_c_during_a_check_leaves_nothing_of_the_check() {
    let world = World::new(&two_turns());
    let check = format!(
        "trap '' INT TERM HUP; echo $$ > '{}/checking'; while :; do sleep 600; done",
        world.ground.home().display()
    );
    let running = world.start(&["--check", &check]);
    world.until_file("checking");
    running.signal(Signal::STOP);
    running.signal(Signal::INT);
    running.signal(Signal::TERM);
    running.signal(Signal::HUP);
    running.signal(Signal::CONT);
    running.end().assert_code(130);
}

#[test]
fn sigterm_and_sighup_end_the_run_in_good_order() {
    for (signal, word) in [(Signal::TERM, "SIGTERM"), (Signal::HUP, "SIGHUP")] {
        let mut script = two_turns();
        script["agent"][0] = json!([{"say": "I begin."}, forever()]);
        let world = World::new(&script);
        let mut running = world.start(&[]);
        running.until("text", |event| event["type"] == "text");
        running.signal(signal);
        let ended = running.end();
        ended.assert_code(130);
        assert!(ended.reason().contains(word), "{}", ended.reason());
    }
}

#[test]
fn when_its_terminal_is_closed_the_run_ends_and_can_be_gone_on_with() {
    let mut script = two_turns();
    script["agent"][0] = json!([{"say": "I begin."}, forever()]);
    let world = World::new(&script);
    let plain = world.command(&[]);
    let mut command = CommandBuilder::new(plain.get_program());
    // Text, as at a terminal: with the status line, and a hand-over at the end if it came to that.
    command.args(
        plain.get_args().filter(|arg| !["--output-format", "stream-json"].map(std::ffi::OsStr::new).contains(arg)),
    );
    command.env_clear();
    for (name, value) in plain.get_envs() {
        command.env(name, value.unwrap_or_default());
    }
    command.cwd(world.ground.project());
    let pair = native_pty_system()
        .openpty(PtySize { rows: 30, cols: 100, pixel_width: 0, pixel_height: 0 })
        .expect("a terminal");
    let child = RefCell::new(pair.slave.spawn_command(command).expect("ccc starts"));
    drop(pair.slave);
    let mut reader = pair.master.try_clone_reader().expect("a reader");
    let mut seen = Vec::new();
    let mut buffer = [0u8; 4096];
    while !String::from_utf8_lossy(&seen).contains("I begin.") {
        let n = reader.read(&mut buffer).expect("the terminal is read");
        assert_ne!(n, 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend(&buffer[..n]);
    }
    drop(reader);
    drop(pair.master);
    let pid = child.borrow().process_id().expect("a pid");
    let status = look_until("the end of ccc", || child.borrow_mut().try_wait().expect("our child"));
    assert_eq!(status.exit_code(), 130, "{status:?}");
    assert!(world.ground.alive(pid).is_empty(), "{:?}", world.ground.alive(pid));
    let summary: Value = serde_json::from_slice(&std::fs::read(world.run_dir().join("run.json")).unwrap()).unwrap();
    assert_eq!(summary["outcome"], "interrupted");
    world.ground.assert_sound();
    world.play(&two_turns());
    world.resume(&[]).end().assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn under_nohup_the_end_of_the_terminal_is_nothing() {
    let world = World::new(&two_turns());
    let home = world.ground.home().display().to_string();
    let check = format!("echo x > '{home}/checking'; while [ ! -e '{home}/go' ]; do sleep 0.02; done");
    let plain = world.command(&["--check", &check]);
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\""]).arg(plain.get_program()).args(plain.get_args()).env_clear();
    command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?)))).current_dir(world.ground.project());
    let running = Running::spawn(&world.ground, &mut command);
    world.until_file("checking");
    running.signal(Signal::HUP);
    world.ground.write("../home/go", "");
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn a_ccc_that_was_stopped_for_longer_than_any_timeout_blames_nobody_for_it() {
    let mut script = two_turns();
    let pauses: Vec<Value> =
        (0..4).flat_map(|n| [json!({"sleep_ms": 350}), json!({"say": format!("Part {n}.")})]).collect();
    script["agent"][0] = Value::Array([vec![json!({"say": "I begin."})], pauses].concat());
    let world = World::new(&script);
    let mut running = world.start(&["--stall-timeout", "1s"]);
    running.until("text", |event| event["type"] == "text");
    // Unlike Ctrl-Z, this stops ccc alone.
    running.signal(Signal::STOP);
    look_until("ccc to stand still", || (state_of(running.pid()) == Some('T')).then_some(()));
    // The agent goes on meanwhile, to the end of its turn, which takes longer than the stall timeout.
    look_until("the end of the agent's turn", || (world.ended_turns() >= 1).then_some(()));
    running.signal(Signal::CONT);
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
    world.assert_said_once(&[TASK, FEEDBACK]);
}

#[test]
fn signals_before_and_while_a_run_begins_do_not_leave_anything() {
    for round in 0..4 {
        let world = World::new(&two_turns());
        world.hold("agent");
        let running = world.start(&[]);
        let entries = |run: &std::path::Path| journal(run).len();
        if round > 0 {
            // From the first sign of the run on; in the first round from the very start.
            look_until("the run", || world.ground.runs().pop().filter(|run| round == 1 || entries(run) >= round * 2));
        }
        send(running.pid(), Signal::TERM);
        let ended = running.wait();
        assert!(matches!(ended.status.code(), Some(130) | None), "{:?} {}", ended.status, ended.stderr);
        look_until("the end of all processes", || world.ground.alive(0).is_empty().then_some(()));
        if let Some(run) = world.ground.runs().pop() {
            let began = journal(&run).iter().any(|entry| input(entry, "began").is_some());
            if began {
                world.ground.assert_sound();
            }
        }
    }
}

fn state_of(pid: u32) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
