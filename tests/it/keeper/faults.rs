//! Faults around the keeper: deaths at random, a full disk, thresholds that are crossed back and forth.

use std::io::{BufRead as _, BufReader};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::*;
use crate::ownfaults::disk::through_shell;
use crate::usage::server::usage_is_due;
use crate::whole_runs::harness::DEADLINE;

/// How many agents work while everything dies.
const MANY: usize = 20;
/// The longest time between two deaths, in milliseconds.
const BETWEEN_MS: u64 = 400;

/// Random numbers of a seed that is printed.
struct Chance(u64);

impl Chance {
    fn new() -> Chance {
        let seed = u64::from(std::process::id()) ^ now_ms().unsigned_abs();
        eprintln!("seed {seed}");
        Chance(seed)
    }

    /// A number below this one.
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % end
    }
}

impl Fleet {
    /// Starts this many agents at once, and waits until all wait.
    fn agents(&self, count: usize) -> Vec<RunDir> {
        let agent = self.world.agent.display().to_string();
        let args = ["--supervisor", "-p", TASK, "--agent", &agent, "--detach", "--share-tree"];
        let start = |number| {
            // At most 16 runs share one directory.
            let dir = self.world.ground.project().join(format!("part-{number}"));
            fs::create_dir_all(&dir).expect("mkdir");
            let mut command = self.world.ccc(&args);
            command.current_dir(dir).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("ccc starts")
        };
        let starting: Vec<Child> = (0..count).map(start).collect();
        let started = |child: Child| {
            let output = child.wait_with_output().expect("ccc ends");
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            let dir = RunDir::at(&self.state(), String::from_utf8_lossy(&output.stdout).trim()).expect("a run");
            self.record(&dir, Role::Worker);
            dir
        };
        let agents: Vec<RunDir> = starting.into_iter().map(started).collect();
        look_until("agents that wait", || (self.begun() == count).then_some(()));
        agents
    }

    /// The next keeper asks about the usage again. No keeper works.
    fn time_to_ask(&self) {
        let mut state = self.remembered();
        state["upkeep"]["asked_unix_ms"] = Value::Null;
        state["upkeep"]["heard_unix_ms"] = Value::Null;
        fs::write(self.state().join("keeper/state.json"), state.to_string()).expect("written");
        usage_is_due(&self.state());
    }
}

#[test]
fn keepers_and_the_ccc_of_twenty_agents_are_killed_at_random_and_no_turn_is_lost_or_doubled() {
    let fleet = Fleet::new(10.0);
    let agents = fleet.agents(MANY);
    let mut keeper = fleet.keeper_with_step("50");
    let mut chance = Chance::new();
    let mut to_die: Vec<&RunDir> = agents.iter().collect();
    while !to_die.is_empty() {
        // Several at once, and the keeper before, between or after them.
        for _ in 0..=chance.below(4).min(to_die.len() - 1) {
            let dies = to_die.swap_remove(chance.below(to_die.len()));
            send(host(dies).expect("a ccc"), Signal::KILL);
        }
        let lines = fleet.log().lines().count();
        let until = Instant::now() + Duration::from_millis(chance.below(BETWEEN_MS as usize) as u64);
        look_until("its time", || (Instant::now() >= until || fleet.log().lines().count() > lines).then_some(()));
        if chance.below(3) > 0 {
            drop(keeper);
            keeper = fleet.keeper_with_step("50");
        }
    }
    look_until("the revivals", || agents.iter().all(|agent| host(agent).is_some()).then_some(()));
    fleet.end(&agents);
    for agent in &agents {
        assert_eq!(lives(agent), 2, "{}", fleet.log());
    }
}

#[test]
fn a_keeper_on_a_full_disk_does_nothing_and_loses_nothing() {
    let fleet = Fleet::new(10.0);
    let first = fleet.keeper();
    let agents = [fleet.agent(Role::Worker)];
    look_until("what it has heard", || fleet.remembered()["upkeep"]["heard_unix_ms"].as_i64());
    drop(first);
    let before = fleet.remembered();
    let mut keeper = fleet.keeper_by(|| {
        let plain = fleet.world.ccc(&["keeper", "run", "--grace-ms", STAYS_MS, "--step-ms", STEP_MS]);
        // Files of at most one block of 512 bytes: its lock fits, what it remembers does not.
        let mut full = through_shell(&fleet.world, "ulimit -f 1; exec \"$@\"", &plain);
        full.stderr(Stdio::piped());
        full
    });
    let said = BufReader::new(keeper.0.stderr.take().expect("stderr"));
    let (sender, lines) = channel();
    let listener = std::thread::spawn(move || {
        said.lines().map_while(Result::ok).take_while(|line| sender.send(line.clone()).is_ok()).count()
    });
    send(host(&agents[0]).expect("a ccc"), Signal::KILL);
    look_until("its end", || host(&agents[0]).is_none().then_some(()));
    // What it has said before is not about that.
    lines.try_iter().count();
    let until = Instant::now() + DEADLINE;
    let says = loop {
        let line = lines.recv_timeout(until.saturating_duration_since(Instant::now())).expect("the keeper says it");
        if line.contains("nothing is done, because it could not be remembered") {
            break line;
        }
    };
    assert!(says.contains("state.json"), "{says}");
    assert_eq!((lives(&agents[0]), host(&agents[0])), (1, None));
    assert!(is_alive(keeper.0.id()), "it goes on");
    assert_eq!(fleet.remembered(), before, "the old file remains");
    drop((lines, keeper));
    listener.join().expect("a listener");
    let _keeper = fleet.keeper();
    look_until("a revival", || host(&agents[0]));
    fleet.end(&agents);
    assert_eq!(lives(&agents[0]), 2, "{}", fleet.log());
}

#[test]
fn thresholds_are_crossed_back_and_forth_and_each_crossing_is_told_once() {
    let fleet = Fleet::new(79.9);
    let mut keeper = fleet.keeper();
    let agents = [fleet.agent(Role::Manager), fleet.agent(Role::Worker)];
    let told = |run: &RunDir, percent: u32| -> usize {
        let words = format!("[ccc] {percent} %");
        let entries = journal(run.path());
        let says = |entry: &&Value| input(entry, "operator").is_some_and(|input| input.to_string().contains(&words));
        entries.iter().filter(says).count()
    };
    let level = |percent: f64| {
        // It is judged after it was heard.
        let expected = if percent < 80.0 { "below" } else { "warn" };
        look_until(&format!("the level of {percent} %"), || {
            let upkeep = fleet.remembered()["upkeep"].take();
            let heard = upkeep["usage"][0]["windows"][0]["percent"].as_f64() == Some(percent);
            let level = upkeep["levels"].as_object()?.values().next()?["five_hour"] == expected;
            (heard && level).then_some(())
        });
    };
    level(79.9);
    // Up to exactly the threshold, down, up, further up and down and up.
    let mut requests = 1;
    for (percent, warned) in [(80.0, 1), (79.0, 1), (80.0, 2), (89.9, 2), (79.9, 2), (85.0, 2)] {
        drop(keeper);
        fleet.uses(percent);
        fleet.time_to_ask();
        keeper = fleet.keeper();
        requests += 1;
        level(percent);
        look_until(&format!("the message at {percent} %"), || (told(&agents[0], 80) == warned).then_some(()));
    }
    look_until("the last message", || (told(&agents[0], 85) == 1).then_some(()));
    assert_eq!((told(&agents[1], 80), told(&agents[1], 85)), (0, 0), "a worker is told nothing");
    for agent in &agents {
        assert_eq!((lives(agent), outcome(agent)), (1, None), "{}", fleet.log());
    }
    // Exactly at the critical threshold.
    drop(keeper);
    fleet.uses(90.0);
    fleet.time_to_ask();
    keeper = fleet.keeper();
    requests += 1;
    for agent in &agents {
        look_until("the stop", || (outcome(agent)? == "interrupted").then_some(()));
        look_until("its end", || host(agent).is_none().then_some(()));
    }
    let agent = fleet.world.agent.display().to_string();
    let refused = fleet.world.run(&["new", TASK, "--no-worktree", "--agent", &agent]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    assert!(refused.stderr.contains("no agent is started") && refused.stderr.contains("--ignore-usage"));
    // Below it again, before the reset: they go on, with their sessions.
    drop(keeper);
    fleet.uses(89.0);
    fleet.time_to_ask();
    let _keeper = fleet.keeper();
    requests += 1;
    fleet.end(&agents);
    for agent in &agents {
        assert_eq!(lives(agent), 2, "{}", fleet.log());
    }
    assert_eq!((told(&agents[0], 80), told(&agents[0], 85)), (2, 1));
    assert_eq!(fleet.provider.lines().len(), requests, "{}", fleet.log());
}

#[test]
fn where_the_user_wants_it_agents_are_removed_at_the_critical_threshold_and_their_work_is_kept() {
    let fleet = Fleet::on(Ground::new(), 10.0);
    fleet.world.ground.user_config(&json!({"usage": {"auto_nuke_on_critical": true}}));
    let home = fleet.world.ground.home().display().to_string();
    let work =
        "echo one > one.txt && git add . && git -c user.name=a -c user.email=a@b commit -qm One; echo two > two.txt";
    let wait = format!("{work}; echo begun >> {home}/begun; while [ ! -e {home}/go ]; do sleep 0.2; done");
    fleet.world.play(&json!({
        "agent": [[{"tool": {"name": "Bash", "input": {"command": wait}, "real": true}}, {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let agent = fleet.world.agent.display().to_string();
    let new = |name: &str, more: &[&str]| -> RunDir {
        let all: Vec<&str> = ["new", TASK, "--agent", &agent, "--name", name].iter().chain(more).copied().collect();
        let started = fleet.world.run(&all);
        started.assert_code(0);
        RunDir::at(&fleet.state(), started.stdout.trim()).expect("a run")
    };
    let (ended, kept) = (new("ended", &[]), new("kept", &["--ignore-usage"]));
    look_until("agents that wait", || (fleet.begun() == 2).then_some(()));
    let keeper = fleet.keeper();
    look_until("the answer", || fleet.remembered()["upkeep"]["usage"][0]["windows"][0]["percent"].as_f64());
    drop(keeper);
    fleet.uses(90.0);
    fleet.time_to_ask();
    let _keeper = fleet.keeper();
    look_until("the end", || {
        fleet.log().contains(&format!("{} was ended: the usage is critical", ended.id())).then_some(())
    });
    // Nothing is lost: its commits, what was not committed, and its run.
    let git = |args: &[&str]| fleet.world.ground.git(args).trim().to_owned();
    assert_eq!(git(&["show", "agent/ended:one.txt"]), "one");
    assert_eq!(git(&["show", &format!("refs/ccc/salvage/{}/1:two.txt", ended.id())]), "two");
    fleet.world.run(&["explain", ended.id()]).assert_code(0);
    assert!(KeptDown::read(&ended).is_some() && host(&ended).is_none());
    // One that ignores the usage works on.
    let listed: Value = serde_json::from_str(&fleet.world.run(&["list", "--json"]).stdout).expect("JSON");
    let names: Vec<&str> =
        listed.as_array().expect("agents").iter().filter_map(|agent| agent["name"].as_str()).collect();
    assert_eq!(names, ["kept"]);
    fleet.go();
    look_until("completion", || (outcome(&kept)? == "completed").then_some(()));
    // After the reset nothing is taken up.
    drop(_keeper);
    fleet.reset_has_come();
    let _keeper = fleet.keeper();
    look_until("a decision", || fleet.remembered()["upkeep"]["critical"].is_null().then_some(()));
    assert_eq!((lives(&ended), outcome(&ended).as_deref()), (1, Some("interrupted")));
}
