//! What a run tells its user, and that it tells it once, whatever becomes of ccc.

use std::fs;

use serde_json::{Value, json};

use super::world::{World, forever};
use crate::whole_runs::harness::{Ground, look_until};

/// A ground whose user is told by a file, and whose system keeps the machine awake by a script.
fn ground() -> Ground {
    let ground = Ground::without_git();
    let home = ground.home();
    let events = ["completed", "needs_user", "restarts", "failed"];
    ground.user_config(&json!({"notify": [{"command": format!("cat >> {}/told", home.display()), "events": events}]}));
    kept_awake(ground)
}

/// The same ground on a system that keeps the machine awake by a script, which notes it in the home's file `awake`.
pub(crate) fn kept_awake(ground: Ground) -> Ground {
    let home = ground.home();
    let awake = home.join("awake").display().to_string();
    ground.script("systemd-inhibit", &format!("echo \"$4\" >> {awake}; cat; echo over >> {awake}"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::iter::once(home.join("bin")).chain(std::env::split_paths(&path));
    let path = std::env::join_paths(places).expect("a PATH");
    ground.env("PATH", path)
}

fn told(world: &World) -> Vec<Value> {
    let text = fs::read_to_string(world.ground.home().join("told")).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("a message")).collect()
}

/// How many messages of the last run are still to be sent.
fn waiting(world: &World) -> usize {
    let outbox = fs::read_dir(world.run_dir().join("notify")).expect("an outbox").flatten();
    outbox.filter(|entry| entry.path().extension().is_some_and(|extension| extension == "json")).count()
}

fn awake(world: &World) -> Vec<String> {
    let text = fs::read_to_string(world.ground.home().join("awake")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_that_is_killed_and_resumed_tells_nothing_twice_and_lets_the_machine_sleep_while_it_is_dead() {
    let crash = json!([{"say": "I begin."}, {"crash": {"signal": 9}}]);
    let world = World::on(ground(), &json!({"agent": [crash, [forever()]], "critic": []}));
    let running = world.start(&[]);
    look_until("the restart to be told", || (told(&world).len() == 1).then_some(()));
    look_until("the note of it", || (waiting(&world) == 0).then_some(()));
    let run = world.run_id();
    let why = format!("--why=the run {run} works");
    look_until("the lock", || (awake(&world) == [why.as_str()]).then_some(()));
    world.kill(running);
    look_until("the end of the lock", || (awake(&world).len() == 2).then_some(()));
    world.play(&json!({
        "agent": [crash, [{"say": "Done."}], [{"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let ended = world.resume(&[]).end();
    ended.assert_code(0);
    let told = told(&world);
    let events: Vec<&str> = told.iter().filter_map(|message| message["event"].as_str()).collect();
    assert_eq!(events, ["restarts", "completed"], "{told:#?}");
    assert_eq!(told[1]["run"], run.as_str());
    assert_eq!(told[1]["command"], format!("ccc report {run}"));
    assert_eq!(awake(&world)[..2], [why.as_str(), "over"], "the lock ended by itself");
    assert_eq!(waiting(&world), 0);
}

#[test]
fn the_end_of_a_supervised_command_is_told_too() {
    let world = World::on(ground(), &json!({"agent": [], "critic": []}));
    let ended = world.run(&["supervise", "--no-tokens", "--restart", "never", "--", "sh", "-c", "exit 3"]);
    assert_eq!(ended.status.code(), Some(3), "{}", ended.stderr);
    let told = told(&world);
    let [message] = told.as_slice() else { panic!("not one message: {told:#?}") };
    assert_eq!((&message["event"], &message["run"]), (&json!("failed"), &json!(world.run_id())));
}
