//! What a run tells its user, and that it tells it once, whatever becomes of ccc.

use std::fs;
use std::path::Path;

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
    outbox.filter(|entry| is_item(&entry.path())).count()
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
fn what_a_killed_ccc_has_not_sent_is_sent_when_its_completed_run_is_to_be_resumed_and_a_lost_agent_is_told() {
    let ground = Ground::without_git();
    let home = ground.home().display().to_string();
    let command = format!("[ ! -e {home}/deaf ] && cat >> {home}/told");
    ground.user_config(&json!({"notify": [{"command": command, "events": ["restarts", "completed", "failed"]}]}));
    fs::write(ground.home().join("deaf"), "").expect("written");
    let waits = format!("while [ ! -e {home}/go ]; do sleep 0.05; done");
    let wait = json!([{"tool": {"name": "Bash", "input": {"command": waits}, "real": true}}, {"say": "Done."}]);
    let crash = json!([{"say": "I begin."}, {"crash": {"signal": 9}}]);
    let approves = json!([[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]);
    let world = World::on(ground, &json!({"agent": [crash, wait], "critic": approves}));
    let running = world.start(&[]);
    // What a ccc would leave that is killed now.
    let item = || {
        let outbox = fs::read_dir(world.ground.runs().first()?.join("notify")).ok()?;
        outbox.flatten().map(|entry| entry.path()).find(|path| is_item(path))
    };
    let left = look_until("the message to be kept", item);
    let unsent = fs::read(&left).expect("read");
    fs::remove_file(world.ground.home().join("deaf")).expect("removed");
    look_until("the second try", || (told(&world).len() == 1).then_some(()));
    fs::write(world.ground.home().join("go"), "").expect("written");
    running.end().assert_code(0);
    assert_eq!((told(&world).len(), waiting(&world)), (2, 0));
    fs::write(&left, unsent).expect("written");
    let refused = world.run(&["resume", &world.run_id()]);
    refused.assert_code(2);
    assert!(refused.stderr.contains("is completed: there is nothing to continue"), "{}", refused.stderr);
    look_until("what was left", || (told(&world).len() == 3).then_some(()));
    look_until("the note of it", || (waiting(&world) == 0).then_some(()));
    assert_eq!(told(&world)[2]["id"], told(&world)[0]["id"]);
    world.run(&["notify", "lost", &world.run_id(), "it was revived 3 times in an hour"]).assert_code(0);
    let lost = &told(&world)[3];
    assert_eq!(lost["event"], "failed");
    assert!(lost["text"].as_str().is_some_and(|text| text.contains("it was revived 3 times")), "{lost}");
}

fn is_item(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json")
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
