//! Managers and workers whose ccc dies, ends twice or is killed: each end is told once. And what a manager may give its workers.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use ccc::fleet::KeptDown;
use ccc::journal::{FileLock, RunDir};
use rustix::process::Signal;
use serde_json::{Value, json};

use super::agents::{bash, listed, new};
use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ground, action, input, journal, look_until, send, text};

/// A world with a configured agent, because what an agent starts takes none from the command line.
fn world() -> World {
    let world = World::on(Ground::new(), &Value::Null);
    world.ground.user_config(&json!({"agent": {"path": world.agent.display().to_string()}}));
    world
}

/// The agent `lead` does one thing in its first turn, and its workers do another.
fn play(world: &World, lead: &str, worker: &str) {
    let first = format!("if [ \"$(git branch --show-current)\" = agent/lead ]; then {lead}; else {worker}; fi");
    let done = |what: &str| json!([{"say": what}]);
    world.play(&json!({
        "agent": [json!([bash(&first), {"say": "First done."}]), done("Second."), done("Third."), done("Fourth.")],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 4],
    }));
}

/// Shell that waits until the test has written this file.
fn waits(world: &World, file: &str) -> String {
    let home = world.ground.home().display().to_string();
    format!("echo $$ >> {home}/{file}-waits; while [ ! -e {home}/{file} ]; do sleep 0.02; done")
}

fn until_it_waits(world: &World, file: &str) {
    world.until_file(&format!("{file}-waits"));
}

fn write(world: &World, file: &str) {
    fs::write(world.ground.home().join(file), "").expect("written");
}

/// Shell in which the lead starts a worker.
fn starts(world: &World, name: &str, more: &str) -> String {
    let home = world.ground.home().display().to_string();
    format!(
        "ccc new '{TASK}' --name {name} --worker {more} > {home}/said-{name} 2>&1; echo code $? >> {home}/said-{name}"
    )
}

fn said(world: &World, name: &str) -> String {
    look_until("the answer of `ccc new`", || {
        let said = fs::read_to_string(world.ground.home().join(format!("said-{name}"))).ok()?;
        said.contains("\ncode ").then_some(said)
    })
}

fn run(world: &World, name: &str) -> RunDir {
    let agents = listed(world);
    let agent = agents.iter().find(|agent| agent["name"] == name).unwrap_or_else(|| panic!("no {name}: {agents:?}"));
    RunDir::at(&world.ground.state(), &text(&agent["id"])).expect("a run")
}

fn host(run: &RunDir) -> Option<u32> {
    FileLock::holder(&run.lock()).ok()?.map(|holder| holder.pid)
}

/// Kills the ccc of an agent; no keeper continues it.
fn dies(run: &RunDir) {
    KeptDown::write(run, "the test", 1).expect("written");
    send(host(run).expect("a ccc"), Signal::KILL);
    look_until("its end", || host(run).is_none().then_some(()));
}

fn phase(run: &RunDir) -> String {
    let summary = fs::read_to_string(run.summary()).unwrap_or_default();
    text(&serde_json::from_str::<Value>(&summary).unwrap_or_default()["phase"])
}

/// The texts about a worker that were sent to the agent of a run. One that a killed ccc has sent may be sent again: it is the same
/// turn, which the agent takes once.
fn told(run: &RunDir, name: &str) -> Vec<String> {
    let entries = journal(run.path());
    let sends = entries.iter().filter_map(|entry| action(entry, "send"));
    let about = sends.filter(|send| text(&send["text"]).starts_with(&format!("Your worker {name} ")));
    let mut turns = BTreeSet::new();
    about.filter(|send| turns.insert(text(&send["turn"]))).map(|send| text(&send["text"])).collect()
}

fn completed(world: &World, name: &str) {
    let waited = world.run(&["wait", name]);
    assert_eq!(waited.status.code(), Some(0), "{}{}", waited.stdout, waited.stderr);
}

#[test]
fn a_manager_is_told_once_that_a_worker_has_died_and_of_its_end_after_it_was_continued() {
    let world = world();
    let (lead, worker) = (starts(&world, "fixer", ""), waits(&world, "go-fixer"));
    play(&world, &lead, &worker);
    new(&world, &["--name", "lead"]).assert_code(0);
    until_it_waits(&world, "go-fixer");
    let (lead, fixer) = (run(&world, "lead"), run(&world, "fixer"));
    look_until("a manager that waits", || (phase(&lead) == "waiting").then_some(()));
    dies(&fixer);
    // The keeper tells it, and the manager goes on without the worker.
    completed(&world, "lead");
    let about = told(&lead, "fixer");
    assert_eq!(about.len(), 1, "{about:#?}");
    assert!(about[0].contains("has ended: failed: its ccc has died, and it is not continued: the test"), "{about:#?}");
    assert!(about[0].contains("ccc diff fixer"), "{about:#?}");
    // Its next end is another one. The manager is not active, so it is told when it is continued.
    write(&world, "go-fixer");
    world.run(&["resume", "fixer", "--detach"]).assert_code(0);
    completed(&world, "fixer");
    world.run(&["resume", "lead", "--detach", "-p", "Go on."]).assert_code(0);
    completed(&world, "lead");
    let about = told(&lead, "fixer");
    assert_eq!(about.len(), 2, "{about:#?}");
    assert!(about[1].contains("has ended: completed"), "{about:#?}");
    world.run(&["resume", "lead", "--detach", "-p", "And more."]).assert_code(0);
    completed(&world, "lead");
    assert_eq!(told(&lead, "fixer").len(), 2);
    world.ground.assert_sound();
}

#[test]
fn each_end_of_a_worker_that_is_continued_is_told_once() {
    let world = world();
    let lead = format!("{}; {}", starts(&world, "fixer", ""), waits(&world, "go-lead"));
    play(&world, &lead, "true");
    new(&world, &["--name", "lead"]).assert_code(0);
    until_it_waits(&world, "go-lead");
    completed(&world, "fixer");
    let (lead, fixer) = (run(&world, "lead"), run(&world, "fixer"));
    let inputs = |kind: &str| -> usize {
        let entries = journal(lead.path());
        entries.iter().filter(|entry| input(entry, "operator").is_some_and(|it| it.get(kind).is_some())).count()
    };
    look_until("the first end", || (inputs("worker_ended") == 1).then_some(()));
    world.run(&["resume", "fixer", "--detach", "-p", "Do more."]).assert_code(0);
    completed(&world, "fixer");
    look_until("the second end", || (inputs("worker_ended") == 2).then_some(()));
    assert_eq!(inputs("worker_started"), 2, "it was waited for again");
    assert!(!fixer.path().join("untold.json").exists());
    write(&world, "go-lead");
    completed(&world, "lead");
    let about = told(&lead, "fixer");
    assert_eq!(about.len(), 2, "{about:#?}");
    world.ground.assert_sound();
}

#[test]
fn the_workers_of_a_manager_that_is_killed_work_on_and_their_ends_are_told_once_after_it_is_continued() {
    let world = world();
    let lead = format!("{}; {}", starts(&world, "first", ""), starts(&world, "second", ""));
    let worker = waits(&world, "go-$(basename $(git branch --show-current))");
    play(&world, &lead, &worker);
    new(&world, &["--name", "lead"]).assert_code(0);
    for name in ["first", "second"] {
        until_it_waits(&world, &format!("go-{name}"));
    }
    let lead = run(&world, "lead");
    look_until("a manager that waits", || (phase(&lead) == "waiting").then_some(()));
    dies(&lead);
    let works = |name: &str| phase(&run(&world, name)) == "working" && host(&run(&world, name)).is_some();
    assert!(works("first") && works("second"));
    write(&world, "go-first");
    completed(&world, "first");
    assert!(run(&world, "first").path().join("untold.json").exists());
    world.run(&["resume", "lead", "--detach"]).assert_code(0);
    look_until("the end of the first", || (told(&lead, "first").len() == 1).then_some(()));
    // It waits for the other, and is killed again.
    look_until("a manager that waits", || (phase(&lead) == "waiting").then_some(()));
    dies(&lead);
    world.run(&["resume", "lead", "--detach"]).assert_code(0);
    write(&world, "go-second");
    completed(&world, "second");
    completed(&world, "lead");
    for name in ["first", "second"] {
        let about = told(&lead, name);
        assert_eq!(about.len(), 1, "{about:#?}");
        assert!(about[0].contains("has ended: completed"), "{about:#?}");
        assert!(!run(&world, name).path().join("untold.json").exists());
    }
    world.ground.assert_sound();
}

#[test]
fn a_worker_that_has_died_and_is_removed_is_not_waited_for() {
    let world = world();
    let (lead, worker) = (starts(&world, "fixer", ""), waits(&world, "go-fixer"));
    play(&world, &lead, &worker);
    new(&world, &["--name", "lead"]).assert_code(0);
    until_it_waits(&world, "go-fixer");
    let (lead, fixer) = (run(&world, "lead"), run(&world, "fixer"));
    look_until("a manager that waits", || (phase(&lead) == "waiting").then_some(()));
    // No keeper tells it.
    dies(&lead);
    dies(&fixer);
    world.run(&["kill", "fixer", "--yes"]).assert_code(0);
    world.run(&["resume", "lead", "--detach"]).assert_code(0);
    completed(&world, "lead");
    let about = told(&lead, "fixer");
    assert_eq!(about.len(), 1, "{about:#?}");
    assert!(about[0].contains("it was removed"), "{about:#?}");
}

#[test]
fn an_agent_gives_its_workers_only_checks_that_its_own_run_has() {
    let world = world();
    let evil: PathBuf = world.ground.home().join("evil");
    let refused = starts(&world, "evil", &format!("--check 'touch {}'", evil.display()));
    let allowed = starts(&world, "good", "--check 'test -e README.md'");
    play(&world, &format!("{refused}; {allowed}"), "true");
    new(&world, &["--name", "lead", "--check", "test -e README.md"]).assert_code(0);
    completed(&world, "lead");
    let refused = said(&world, "evil");
    assert!(refused.contains("only a check of its own run") && !refused.contains("code 0"), "{refused}");
    assert!(refused.contains("these are: test -e README.md"), "{refused}");
    assert!(said(&world, "good").contains("code 0"), "{}", said(&world, "good"));
    assert!(!evil.exists());
    assert_eq!(listed(&world).len(), 2);
    let checks = |name: &str| -> Value {
        let journal = fs::read_to_string(run(&world, name).journal()).expect("a journal");
        let header: Value = serde_json::from_str(journal.lines().next().expect("a header")).expect("JSON");
        header["plan"]["checks"].as_array().expect("checks").iter().map(|check| check["command"].clone()).collect()
    };
    assert_eq!(checks("good"), json!(["test -e README.md"]));
}

/// Each of these would run a command of the agent's without asking, or reaches beyond its own workers.
#[test]
fn an_agent_gets_nothing_run_outside_of_its_permissions_by_other_commands() {
    let world = world();
    play(&world, "true", "true");
    new(&world, &["--name", "other"]).assert_code(0);
    completed(&world, "other");
    let home = world.ground.home().display().to_string();
    let evil = world.ground.home().join("evil");
    let touch = format!("touch {}", evil.display());
    let tries = [
        format!("ccc resume other -p more --detach --check '{touch}'"),
        "ccc setup other".to_owned(),
        format!("ccc merge other --check '{touch}'"),
        "ccc merge other".to_owned(),
        format!("ccc --supervisor -p x --share-tree --check '{touch}'"),
        format!("ccc supervise --no-tokens -- {touch}"),
        "ccc keeper install".to_owned(),
        "ccc keeper uninstall".to_owned(),
        "setsid ccc keeper run".to_owned(),
        "ccc keeper start".to_owned(),
    ];
    let all: Vec<String> = tries
        .iter()
        .enumerate()
        .map(|(at, command)| format!("{command} > {home}/said-{at} 2>&1 < /dev/null; echo code $? >> {home}/said-{at}"))
        .collect();
    play(&world, &all.join("; "), "true");
    new(&world, &["--name", "lead"]).assert_code(0);
    completed(&world, "lead");
    for (at, command) in tries.iter().enumerate() {
        let said = said(&world, &at.to_string());
        let refused = said.contains("an agent may not use it") || said.contains("is not a worker of yours");
        assert!(refused && said.contains("code 2"), "{command}: {said}");
    }
    assert!(!evil.exists());
    assert_eq!(listed(&world).len(), 2);
    let outcomes: Vec<String> = listed(&world).iter().map(|agent| text(&agent["state"])).collect();
    assert_eq!(outcomes, ["completed", "completed"], "nobody was continued");
}
