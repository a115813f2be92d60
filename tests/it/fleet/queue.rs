//! Agents that wait until there is room on the machine: queued, seen, started by the keeper in their order, and each once.

use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use rustix::process::Signal;
use serde_json::{Value, json};

use ccc::journal::{FileLock, Holder};

use crate::ownfaults::world::{TASK, World};
use crate::whole_runs::harness::{Ended, Ground, Running, input, journal, look_until, send, text};

/// A world whose agents work until [`go`], and in which this many may run.
fn world(max_running: u32) -> World {
    world_on(Ground::new(), max_running)
}

fn world_on(ground: Ground, max_running: u32) -> World {
    let world = World::on(ground, &Value::Null);
    let home = world.ground.home().display().to_string();
    let wait = format!("echo begun >> {home}/begun; while [ ! -e {home}/go ]; do sleep 0.02; done");
    let waits = json!({"tool": {"name": "Bash", "input": {"command": wait}, "real": true}});
    world.play(&json!({
        "agent": [[waits, {"say": "First done."}], [{"say": "Second done."}], [{"say": "Third done."}]],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    allow(&world, max_running);
    world
}

/// From now on this many agents may run.
fn allow(world: &World, max_running: u32) {
    world.ground.user_config(&json!({"agent": {"max_running": max_running}}));
}

fn go(world: &World) {
    fs::write(world.ground.home().join("go"), "").expect("written");
}

/// How many agents have begun to work.
fn begun(world: &World) -> usize {
    fs::read_to_string(world.ground.home().join("begun")).map_or(0, |text| text.lines().count())
}

fn new<'a>(world: &'a World, name: &str, args: &[&str]) -> Ended<'a> {
    let agent = world.agent.display().to_string();
    let all: Vec<&str> =
        ["new", TASK, "--agent", &agent, "--name", name].into_iter().chain(args.iter().copied()).collect();
    world.run(&all)
}

/// Starts one that works, and lets others wait behind it.
fn one_works_and_these_wait(world: &World, names: &[&str]) {
    new(world, "one", &[]).assert_code(0);
    look_until("the first one's work", || (begun(world) == 1).then_some(()));
    for name in names {
        let started = new(world, name, &[]);
        started.assert_code(0);
        assert!(started.stderr.contains("waits in the queue: "), "{}", started.stderr);
    }
}

fn listed(world: &World) -> Vec<Value> {
    let ended = world.run(&["list", "--json"]);
    ended.assert_code(0);
    serde_json::from_str(&ended.stdout).expect("a JSON array")
}

fn run_of(world: &World, name: &str) -> PathBuf {
    let ended = world.run(&["status", name, "--json"]);
    ended.assert_code(0);
    let status: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    world.ground.state().join("runs").join(text(&status["id"]))
}

/// Asserts that the run has begun once, that its task was sent once, and that it has completed.
#[track_caller]
fn assert_started_once(world: &World, name: &str) {
    let entries = journal(&run_of(world, name));
    assert_eq!(entries.iter().filter(|entry| input(entry, "began").is_some()).count(), 1, "{name}");
    let branches = world.ground.git(&["branch", "--list", &format!("agent/{name}*"), "--format=%(refname:short)"]);
    assert_eq!(branches.trim(), format!("agent/{name}"));
}

#[test]
fn an_agent_for_which_there_is_no_room_waits_and_the_keeper_starts_it() {
    let world = world(1);
    one_works_and_these_wait(&world, &[]);
    let started = new(&world, "two", &["--json"]);
    started.assert_code(0);
    let said: Value = serde_json::from_str(&started.stdout).expect("JSON");
    let why = "1 agent runs, and agent.max_running is 1";
    assert_eq!((&said["name"], &said["waits_for"], &said["worktree"]), (&json!("two"), &json!(why), &Value::Null));
    let third = new(&world, "three", &[]);
    third.assert_code(0);
    for part in ["agent three waits in the queue: 1 other agent waits before it", "ccc resume three"] {
        assert!(third.stderr.contains(part), "{part}: {}", third.stderr);
    }
    let agents = listed(&world);
    let states: Vec<&str> = agents.iter().filter_map(|agent| agent["state"].as_str()).collect();
    assert_eq!(states, ["working", "queued", "queued"]);
    assert_eq!(agents[1]["waits_for"], why);
    assert_eq!(agents[1]["run"]["task"], TASK);
    for command in ["list", "tree"] {
        let shown = world.run(&[command]).stdout;
        assert!(shown.contains(&format!("two waits in the queue: {why}\n")), "{shown}");
    }
    let status = world.run(&["status", "two"]);
    assert!(status.stdout.contains("state      queued") && status.stdout.contains(why), "{}", status.stdout);
    assert!(
        world.run(&["status-line"]).stdout.contains("1 working 2 queued"),
        "{}",
        world.run(&["status-line"]).stdout
    );
    // Nothing of it was made.
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 2);
    for command in [&["send", "two", "More."][..], &["pause", "two"], &["interrupt", "two"]] {
        let refused = world.run(command);
        refused.assert_code(2);
        assert!(
            refused.stderr.contains("has not started yet") && refused.stderr.contains("ccc resume"),
            "{}",
            refused.stderr
        );
    }
    go(&world);
    world.run(&["wait", "one", "two", "three"]).assert_code(0);
    for name in ["one", "two", "three"] {
        assert_started_once(&world, name);
    }
    let began = |name: &str| {
        let entries = journal(&run_of(&world, name));
        entries.iter().find_map(|entry| input(entry, "began")?["unix_ms"].as_i64()).expect("it began")
    };
    assert!(began("three") - began("two") >= 4_000, "the oldest first, and one after the other");
}

#[test]
fn too_little_memory_is_told_in_figures_and_can_be_ignored() {
    let ground = Ground::new().env("CCC_ADMISSION_MIN_AVAILABLE_MEMORY", "1000T");
    let world = world_on(ground, 0);
    go(&world);
    let one = new(&world, "one", &[]);
    one.assert_code(0);
    for part in
        ["GiB of memory are available", "512 MiB are needed", "1024000 GiB stay free", "admission.min_available_memory"]
    {
        let said = one.stderr.replace("\n", " ");
        assert!(said.contains(part), "{part}: {said}");
    }
    new(&world, "two", &["--ignore-load"]).assert_code(0);
    world.run(&["wait", "two"]).assert_code(0);
    assert_eq!(listed(&world)[0]["state"], "queued");
    // The user starts it all the same.
    let changed = world.run(&["resume", "one", "--detach", "-p", "Something else."]);
    assert!(changed.stderr.contains("with the task and the settings of `ccc new`"), "{}", changed.stderr);
    world.run(&["resume", "one", "--detach"]).assert_code(0);
    world.run(&["wait", "one"]).assert_code(0);
    assert_started_once(&world, "one");
    let base = new(&world, "three", &["--base", "nowhere"]);
    base.assert_code(2);
    assert!(base.stderr.contains("nowhere"), "{}", base.stderr);
    assert_eq!(listed(&world).len(), 2, "nothing of it is left");
}

#[test]
fn a_keeper_that_is_killed_at_random_starts_each_agent_that_waits_once() {
    let world = world(1);
    let names = ["two", "three", "four"];
    one_works_and_these_wait(&world, &names);
    allow(&world, 10);
    let mut seed = std::process::id();
    while begun(&world) < 4 {
        let Some(keeper) = world.ground.keeper() else {
            // The next command starts one.
            world.run(&["list"]).assert_code(0);
            look_until("a keeper", || world.ground.keeper());
            continue;
        };
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let before = begun(&world);
        let until = std::time::Instant::now() + std::time::Duration::from_millis(u64::from(seed % 9_000));
        look_until("its time", || (std::time::Instant::now() >= until || begun(&world) > before).then_some(()));
        send(keeper, Signal::KILL);
        look_until("its end", || (world.ground.keeper() != Some(keeper)).then_some(()));
    }
    go(&world);
    world.run(&["wait", "one", "two", "three", "four"]).assert_code(0);
    for name in names {
        assert_started_once(&world, name);
    }
}

#[test]
fn a_start_that_is_killed_at_any_moment_is_repeated_and_leaves_nothing() {
    let world = world(1);
    one_works_and_these_wait(&world, &["two"]);
    go(&world);
    let run = run_of(&world, "two");
    let keeper = world.ground.keeper();
    if let Some(keeper) = keeper {
        // Only the starts below are of interest.
        send(keeper, Signal::STOP);
    }
    for step in 0..12_u64 {
        if run.join("journal.jsonl").exists() {
            break;
        }
        let mut command = world.ccc(&["resume", "--hosted", "two"]);
        let mut start = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ccc starts");
        let until = std::time::Instant::now() + std::time::Duration::from_millis(20 * step);
        look_until("its time", || (std::time::Instant::now() >= until).then_some(()));
        let _ = start.kill();
        start.wait().expect("a child");
    }
    if let Some(keeper) = keeper {
        send(keeper, Signal::KILL);
        send(keeper, Signal::CONT);
        look_until("its end", || (world.ground.keeper() != Some(keeper)).then_some(()));
    }
    let resumed = world.run(&["resume", "two", "--detach"]);
    // A start that was far enough may have completed, and the next keeper may have been faster.
    let is_done = ["is completed", "is just being started", "in use by another ccc"];
    let is_done = is_done.iter().any(|done| resumed.stderr.contains(done));
    assert!(is_done || resumed.status.success(), "{}", resumed.stderr);
    world.run(&["wait", "two"]).assert_code(0);
    let branches = world.ground.git(&["branch", "--list", "agent/two*", "--format=%(refname:short)"]);
    assert_eq!(branches.trim(), "agent/two");
    assert!(!run.join("queued.json").exists());
    let sent = fs::read_dir(world.ground.home().join("scripted")).expect("sessions").flatten();
    let turns = |path: PathBuf| fs::read_to_string(path).unwrap_or_default().matches(TASK).count();
    let sent: Vec<usize> = sent
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|it| it == "jsonl"))
        .map(turns)
        .filter(|count| *count > 0)
        .collect();
    assert_eq!(sent, [1, 1], "each task once");
}

/// The keeper may be that of another terminal, or of the service manager.
#[test]
fn an_agent_that_the_keeper_starts_finds_the_programs_of_its_own_ccc_new() {
    let world = world(1);
    let paths = world.ground.home().join("paths");
    let agent = world.ground.script(
        "agent-that-tells",
        &format!(
            "if [ \"$1\" = -p ]; then echo \"$PATH\" >> '{}'; fi\nexec '{}' \"$@\"",
            paths.display(),
            world.agent.display()
        ),
    );
    one_works_and_these_wait(&world, &[]);
    let mine = format!("/opt/mine/bin:{}", std::env::var("PATH").expect("a path"));
    let mut command = world.ccc(&["new", TASK, "--agent", &agent.display().to_string(), "--name", "two"]);
    let made = Running::spawn(&world.ground, command.env("PATH", &mine)).wait();
    made.assert_code(0);
    assert!(made.stderr.contains("waits in the queue: "), "{}", made.stderr);
    go(&world);
    world.run(&["wait", "one", "two"]).assert_code(0);
    let told = fs::read_to_string(&paths).expect("the agent was started");
    assert!(told.lines().all(|path| path.contains("/opt/mine/bin")), "{told}");
}

/// Until the journal has its first line, `queued.json` alone can begin the run again.
#[test]
fn a_start_that_is_killed_when_it_has_left_the_queue_goes_on() {
    let world = world(1);
    one_works_and_these_wait(&world, &["two"]);
    let run = run_of(&world, "two");
    if let Some(keeper) = world.ground.keeper() {
        send(keeper, Signal::STOP);
    }
    let mut command = world.ccc(&["resume", "--hosted", "two"]);
    let mut start = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ccc starts");
    while run.join("queued.json").exists() {
        std::hint::spin_loop();
    }
    start.kill().expect("a child");
    start.wait().expect("a child");
    world.run(&["resume", "two", "--detach"]).assert_code(0);
    go(&world);
    if let Some(keeper) = world.ground.keeper() {
        send(keeper, Signal::CONT);
    }
    world.run(&["wait", "two"]).assert_code(0);
}

#[test]
fn an_agent_that_waits_is_stopped_and_removed_like_any_other() {
    let world = world(1);
    one_works_and_these_wait(&world, &["two", "three", "four"]);
    let stopped = world.run(&["stop", "two"]);
    stopped.assert_code(0);
    let waited = world.run(&["wait", "two"]);
    waited.assert_code(130);
    let status = world.run(&["status", "two"]);
    assert!(status.stdout.contains("ccc stop, before it started"), "{}", status.stdout);
    for command in ["look", "report", "pause"] {
        let refused = world.run(&[command, "two"]);
        refused.assert_code(2);
        assert!(refused.stderr.contains("was stopped before it started"), "{command}: {}", refused.stderr);
    }
    world.run(&["kill", "three", "--yes"]).assert_code(0);
    let states: Vec<String> = listed(&world).iter().map(|agent| text(&agent["state"])).collect();
    assert_eq!(states, ["working", "interrupted", "queued"]);
    allow(&world, 10);
    look_until("the start of the last", || (begun(&world) == 2).then_some(()));
    assert_eq!(listed(&world)[1]["state"], "interrupted", "what the user has stopped does not start");
    world.run(&["resume", "two", "--detach"]).assert_code(0);
    look_until("the start of the stopped one", || (begun(&world) == 3).then_some(()));
    allow(&world, 1);
    new(&world, "five", &[]).assert_code(0);
    world.run(&["nuke", "--yes"]).assert_code(0);
    assert!(listed(&world).is_empty());
    assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 1);
    assert_eq!(fs::read_dir(world.ground.state().join("archive")).expect("an archive").count(), 4);
    look_until("the end of all processes", || world.ground.alive(0).is_empty().then_some(()));
}

/// The lock under which worktrees of the repository are made: while it is held, no agent gets one.
fn lock_of_worktrees(world: &World) -> FileLock {
    let dirs = fs::read_dir(world.ground.state().join("worktrees")).expect("worktrees").flatten();
    let lock = dirs.map(|dir| dir.path().join(".lock")).find(|lock| lock.exists()).expect("the lock of a repository");
    FileLock::take(&lock, "the list of worktrees", &Holder::of_process("test", 1)).expect("nobody holds it")
}

#[test]
fn an_agent_that_is_just_leaving_the_queue_is_stopped_or_removed_and_nothing_is_left() {
    for (command, args, state) in [("stop", vec![], "interrupted"), ("kill", vec!["--yes"], "")] {
        let world = world(1);
        one_works_and_these_wait(&world, &["two"]);
        let lock = lock_of_worktrees(&world);
        let mut start = world.ccc(&["resume", "--hosted", "two"]);
        let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ccc starts");
        look_until("its start", || (listed(&world)[1]["state"] == "starting").then_some(()));
        let args: Vec<&str> = [command, "two"].into_iter().chain(args).collect();
        let mut ends = world.ccc(&args);
        let ends = ends.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ccc starts");
        let run = world.ground.state().join("runs");
        let is_kept_down = || fs::read_dir(&run).ok()?.flatten().find(|run| run.path().join("kept-down.json").exists());
        look_until("the order", is_kept_down);
        drop(lock);
        let ended = ends.wait_with_output().expect("a child");
        assert!(ended.status.success(), "{command}: {}", String::from_utf8_lossy(&ended.stderr));
        start.wait().expect("a child");
        let states: Vec<String> = listed(&world).iter().skip(1).map(|agent| text(&agent["state"])).collect();
        assert_eq!(states.concat(), state, "{command}");
        assert_eq!(begun(&world), 1, "{command}: it has not worked");
        assert_eq!(world.ground.git(&["worktree", "list"]).lines().count(), 2, "{command}");
        go(&world);
    }
}

#[test]
fn what_an_agent_that_waits_cannot_do_yet_is_said() {
    let world = world(1);
    one_works_and_these_wait(&world, &["two"]);
    let commands = [
        vec!["attach", "two"],
        vec!["checkpoints", "two"],
        vec!["diff", "two"],
        vec!["explain", "two"],
        vec!["look", "two"],
        vec!["merge", "two"],
        vec!["pause", "two"],
        vec!["replay", "two"],
        vec!["report", "two"],
        vec!["restore", "two", "1", "--yes"],
        vec!["setup", "two"],
    ];
    for command in commands {
        let ended = world.run(&command);
        ended.assert_code(2);
        for part in ["has not started yet: it waits in the queue", "ccc status ", "ccc resume "] {
            assert!(ended.stderr.contains(part), "{command:?}: {}", ended.stderr);
        }
    }
    assert_eq!(listed(&world)[1]["state"], "queued", "nothing has started it");
    go(&world);
}

#[test]
fn after_a_reboot_the_agents_that_wait_still_do_and_are_started() {
    let world = world(1);
    one_works_and_these_wait(&world, &["two"]);
    let keeper = world.ground.keeper();
    let mut hosts = world.ground.alive(0);
    hosts.sort_by_key(|(_, command)| !command.contains("--hosted"));
    for pid in keeper.into_iter().chain(hosts.into_iter().map(|(pid, _)| pid)) {
        if let Some(pid) = rustix::process::Pid::from_raw(pid.cast_signed()) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    look_until("the end of all processes", || world.ground.alive(0).is_empty().then_some(()));
    go(&world);
    let resumed = world.run(&["resume", "--all"]);
    resumed.assert_code(0);
    assert!(resumed.stderr.contains("1 agent waits in the queue"), "{}", resumed.stderr);
    world.run(&["wait", "one", "two"]).assert_code(0);
    assert_started_once(&world, "two");
}
