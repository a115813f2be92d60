//! The user's terminal at the end of a run, whatever the end, and when it is handed over to the agent's own interface.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::world::{World, forever, two_turns};
use crate::supervise::tty::Tty;
use crate::whole_runs::harness::look_until;

/// A shell that notes the terminal's modes before and after this line, and the code it ends with. It restores nothing.
fn between(world: &World, line: &str) -> Tty {
    let home = world.ground.home().display().to_string();
    let line = format!("stty -g > {home}/before; {line}; echo \"code=$?\"; stty -g > {home}/after");
    let mut shell = world.ground.typed("http://127.0.0.1:9", &line);
    shell.env("CCC_GRACE", "500ms");
    Tty::start(&shell)
}

/// The line that runs ccc in place of a shell whose process id stands in `pid` then.
fn ccc(world: &World, agent: &Path, more: &str) -> String {
    let pid = world.ground.home().join("pid");
    let ccc = format!("exec ccc --supervisor -p Build --agent {} {more}", agent.display());
    format!("sh -c 'echo $$ > {}; {ccc}'", pid.display())
}

#[track_caller]
fn assert_given_back(world: &World, tty: &Tty) {
    let read = |name: &str| fs::read_to_string(world.ground.home().join(name)).expect("modes");
    assert_eq!(read("after"), read("before"), "{}", tty.text());
}

#[test]
fn after_every_end_the_terminal_has_the_modes_it_had() {
    for (end, code) in [("completed", 0), ("TERM", 130), ("INT", 130), ("QUIT", 130), ("HUP", 130), ("error", 1)] {
        let mut script = two_turns();
        if end != "completed" {
            script["agent"][0] = json!([{"say": "I begin."}, forever()]);
        }
        let world = World::new(&script);
        let mut tty = between(&world, &ccc(&world, &world.agent, "--max-restarts 0"));
        if end != "completed" {
            tty.until("I begin.");
            look_until("the quiet terminal", || (!tty.echoes()).then_some(()));
            let pid = |text: &str| text.trim().parse().ok().and_then(Pid::from_raw).expect("a process id");
            match end {
                "TERM" => kill_process(pid(&world.until_file("pid")), Signal::TERM).expect("it lives"),
                "INT" => kill_process(pid(&world.until_file("pid")), Signal::INT).expect("it lives"),
                "QUIT" => kill_process(pid(&world.until_file("pid")), Signal::QUIT).expect("it lives"),
                "HUP" => kill_process(pid(&world.until_file("pid")), Signal::HUP).expect("it lives"),
                // Its agent dies, and no restart is allowed.
                _ => {
                    let ours = world.ground.alive(tty.pid());
                    let agent = ours.iter().find(|(_, line)| line.contains("scripted-agent")).expect("an agent").0;
                    let agent = i32::try_from(agent).ok().and_then(Pid::from_raw).expect("a process id");
                    kill_process(agent, Signal::KILL).expect("it lives");
                }
            }
        }
        tty.until(&format!("code={code}"));
        tty.end();
        assert_given_back(&world, &tty);
        // ccc itself leaves the cursor and the screen as they are.
        assert!(!tty.text().contains("\x1b[?"), "{end}: {:?}", tty.text());
        world.ground.assert_sound();
    }
}

/// An agent whose own interface says what it was given, paints, reads one key, and ends so.
fn with_interface(world: &World, end: &str) -> std::path::PathBuf {
    let home = world.ground.home().display().to_string();
    world.ground.script(
        "front",
        &format!(
            "[ \"$1\" = --resume ] || exec '{agent}' \"$@\"\n\
             echo \"$@\" > {home}/interface-args\n\
             saved=$(stty -g); echo \"$saved\" > {home}/interface-modes\n\
             printf '\\033[?1049h\\033[?25l'; stty raw -echo; printf 'painted'\n\
             key=$(dd bs=1 count=1 2>/dev/null); printf 'key=%s' \"$key\"\n\
             {end}",
            agent = world.agent.display(),
        ),
    )
}

#[test]
fn the_agents_interface_gets_the_terminal_as_it_was_and_the_keys() {
    let world = World::new(&two_turns());
    let front = with_interface(&world, "stty \"$saved\"; printf '\\033[?25h\\033[?1049l'; exit 0");
    let mut tty = between(&world, &ccc(&world, &front, "--hand-over -- --model opus"));
    tty.until("Completed");
    tty.until("painted");
    assert!(tty.is_raw());
    tty.type_in(b"k");
    tty.until("key=k");
    tty.until("code=0");
    tty.end();
    assert_given_back(&world, &tty);
    let read = |name: &str| fs::read_to_string(world.ground.home().join(name)).expect("a file");
    assert_eq!(read("interface-modes"), read("before"), "it finds the terminal as the user had it");
    let args = read("interface-args");
    assert!(args.starts_with("--resume ") && args.trim_end().ends_with(" --model opus"), "{args}");
    let text = tty.text();
    let (_, handed_over) = text.split_once("Completed").expect("the run's end");
    assert!(!handed_over.contains("warning:"), "{text}");
    world.ground.assert_sound();
}

#[test]
fn what_an_interface_that_died_has_left_is_put_right() {
    let world = World::new(&two_turns());
    let front = with_interface(&world, "kill -9 $$");
    let mut tty = between(&world, &ccc(&world, &front, "--hand-over"));
    tty.until("painted");
    tty.type_in(b"k");
    tty.until("key=k");
    tty.until("code=0");
    tty.end();
    assert_given_back(&world, &tty);
    let text = tty.text();
    let after = text.split("key=k").nth(1).expect("what follows");
    assert!(after.contains("\x1b[?1047l") && after.contains("\x1b[?25h"), "{after:?}");
    assert!(after.contains("the interface of claude: signal: 9"), "{after:?}");
    world.ground.assert_sound();
}

#[test]
fn without_being_asked_a_run_with_p_hands_nothing_over() {
    let world = World::new(&two_turns());
    let front = with_interface(&world, "exit 0");
    let mut tty = between(&world, &ccc(&world, &front, ""));
    tty.until("code=0");
    tty.end();
    assert_given_back(&world, &tty);
    assert!(!world.ground.home().join("interface-args").exists(), "{}", tty.text());
}
