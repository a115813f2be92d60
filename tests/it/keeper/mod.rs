//! The keeper of the agents: the built program, agents that the scripted agent plays, and a usage endpoint on loopback.
//!
//! Whatever happens to the keeper, each agent is stopped, taken up and revived once, and no turn is lost or doubled.

mod faults;

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use ccc::config::Env;
use ccc::fleet::{AgentRecord, KeptDown, Role};
use ccc::journal::{FileLock, RunDir, RunSummary, SUMMARY_VERSION};
use ccc::keeper::{self, Ensured};
use ccc::upkeep::{Admission, Rules};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::ownfaults::world::{TASK, World};
use crate::usage::server::{Provider, Reply, now_ms};
use crate::whole_runs::harness::{Ground, input, is_alive, journal, look_until, send, text};

const TOKEN: &str = "sk-ant-oat01-made-up-0123456789";
/// How often a keeper is started until it is the one that works.
const STARTS: usize = 20;
/// The pause between two starts of agents.
const STEP_MS: &str = "1000";
/// Long enough that no keeper ends by itself in a test.
const STAYS_MS: &str = "600000";

/// Agents of one user, with an endpoint that tells their usage.
struct Fleet {
    world: World,
    provider: Provider,
}

impl Fleet {
    /// Agents that wait for [`Fleet::go`], and whose token has used this percentage of its window.
    fn new(percent: f64) -> Fleet {
        Fleet::on(Ground::without_git(), percent)
    }

    /// The same in a project of the test's own.
    fn on(ground: Ground, percent: f64) -> Fleet {
        let provider = Provider::start();
        let ground = ground
            .env("CLAUDE_CODE_OAUTH_TOKEN", TOKEN)
            // An empty variable counts as none: this is the only token.
            .env("ANTHROPIC_API_KEY", "")
            .env("CCC_USAGE_BASE_URL", provider.url())
            .env("CCC_GRACE", "500ms");
        let world = World::on(ground, &Value::Null);
        let fleet = Fleet { world, provider };
        fleet.uses(percent);
        let (world, home) = (&fleet.world, fleet.world.ground.home());
        let home = home.display();
        let wait = format!("echo begun >> {home}/begun; while [ ! -e {home}/go ]; do sleep 0.2; done");
        let waits = json!({"tool": {"name": "Bash", "input": {"command": wait}, "real": true}});
        let done = || json!([{"say": "Done."}]);
        world.play(&json!({
            "agent": [[{"say": "I begin."}, waits, {"say": "First done."}], done(), done(), done(), done()],
            "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 4],
        }));
        fleet
    }

    /// From the next question on, this percentage of the window is used.
    fn uses(&self, percent: f64) {
        let resets_at = jiff::Timestamp::from_second(now_ms() / 1_000 + 7_200).expect("a time").to_string();
        let usage = json!({"five_hour": {"utilization": percent, "resets_at": resets_at}});
        self.provider.answers("/api/oauth/usage", Reply::of(200, &usage.to_string()));
    }

    fn state(&self) -> PathBuf {
        self.world.ground.state()
    }

    /// The wait of the agents ends.
    fn go(&self) {
        fs::write(self.world.ground.home().join("go"), "").expect("write");
    }

    /// Starts an agent, and waits until it waits.
    fn agent(&self, role: Role) -> RunDir {
        let before = self.begun();
        let agent = self.world.agent.display().to_string();
        let started = self.world.run(&["--supervisor", "-p", TASK, "--agent", &agent, "--detach", "--share-tree"]);
        started.assert_code(0);
        let dir = RunDir::at(&self.state(), started.stdout.trim()).expect("a run");
        self.record(&dir, role);
        look_until("the agent's wait", || (self.begun() > before || outcome(&dir).is_some()).then_some(()));
        // A keeper that works is told of it.
        if keeper::holder(&self.state()).expect("a lock").is_some() {
            keeper::ensure(&self.state(), &Env::default()).expect("it is woken");
        }
        dir
    }

    fn record(&self, dir: &RunDir, role: Role) {
        let record =
            AgentRecord::new(dir.id(), &format!("a{}", dir.id()), role, now_ms(), &self.world.ground.project());
        record.write(dir).expect("written");
    }

    /// How often an agent has begun to wait.
    fn begun(&self) -> usize {
        fs::read_to_string(self.world.ground.home().join("begun")).map_or(0, |text| text.lines().count())
    }

    /// Starts a keeper as a child of this process, instead of one that the heartbeat of an agent may have started.
    fn keeper(&self) -> Keeper {
        self.keeper_for(STAYS_MS)
    }

    /// The same, with this grace period.
    fn keeper_for(&self, grace_ms: &str) -> Keeper {
        self.keeper_that(grace_ms, STEP_MS)
    }

    /// The same, with this pause between two starts of agents.
    fn keeper_with_step(&self, step_ms: &str) -> Keeper {
        self.keeper_that(STAYS_MS, step_ms)
    }

    fn keeper_that(&self, grace_ms: &str, step_ms: &str) -> Keeper {
        let log = fs::OpenOptions::new().append(true).create(true).open(self.world.ground.home().join("keeper.log"));
        let log = log.expect("a log");
        self.keeper_by(|| {
            let mut command = self.world.ccc(&["keeper", "run", "--grace-ms", grace_ms, "--step-ms", step_ms]);
            command.stderr(log.try_clone().expect("a log"));
            command
        })
    }

    /// A keeper that this command starts.
    fn keeper_by(&self, command: impl Fn() -> Command) -> Keeper {
        for _ in 0..STARTS {
            let keeper = Keeper(command().stdout(Stdio::null()).spawn().expect("ccc starts"));
            let holder = look_until("a keeper", || keeper::holder(&self.state()).ok()?.map(|holder| holder.pid));
            if holder == keeper.0.id() {
                return keeper;
            }
            send(holder, Signal::KILL);
            look_until("its end", || {
                let next = keeper::holder(&self.state()).ok()?.map(|holder| holder.pid);
                (next != Some(holder)).then_some(())
            });
        }
        panic!("others are always faster: {}", self.log());
    }

    /// What all keepers have written.
    fn log(&self) -> String {
        let files = [self.world.ground.home().join("keeper.log"), self.state().join("keeper/log")];
        files.map(|file| fs::read_to_string(file).unwrap_or_default()).concat()
    }

    /// What the keeper remembers.
    fn remembered(&self) -> Value {
        let text = fs::read_to_string(self.state().join("keeper/state.json")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Moves the reset of the usage to a moment ago. No keeper works.
    fn reset_has_come(&self) {
        let mut state = self.remembered();
        for token in state["upkeep"]["usage"].as_array_mut().expect("tokens") {
            for window in token["windows"].as_array_mut().expect("windows") {
                window["resets_unix_ms"] = json!(now_ms() - 1);
            }
        }
        fs::write(self.state().join("keeper/state.json"), state.to_string()).expect("written");
    }

    /// Lets all agents end, and asserts that each has completed, and that no turn was lost or doubled.
    #[track_caller]
    fn end(&self, agents: &[RunDir]) {
        self.go();
        for agent in agents {
            look_until("completion", || (outcome(agent)? == "completed").then_some(()));
        }
        let sessions = self.sessions();
        assert_eq!(sessions.len(), agents.len());
        for turns in sessions {
            assert_eq!(turns.iter().filter(|(_, text)| text.contains(TASK)).count(), 1, "{turns:?}");
            let mut uuids: Vec<&String> = turns.iter().map(|(uuid, _)| uuid).collect();
            uuids.sort();
            uuids.dedup();
            assert_eq!(uuids.len(), turns.len(), "{turns:?}");
        }
    }

    /// The user turns of each session: uuid and text.
    fn sessions(&self) -> Vec<Vec<(String, String)>> {
        let dir = self.world.ground.home().join("scripted");
        let files = fs::read_dir(dir).expect("sessions").flatten().map(|entry| entry.path());
        let rows = |path: PathBuf| -> Vec<(String, String)> {
            let rows = fs::read_to_string(path).expect("a transcript");
            let rows = rows.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            rows.filter(|row| row["type"] == "user").map(|row| (text(&row["uuid"]), text(&row["text"]))).collect()
        };
        files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).map(rows).collect()
    }
}

/// A keeper; dropping it kills it, as a full memory would.
struct Keeper(Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn outcome(run: &RunDir) -> Option<String> {
    let summary: Value = serde_json::from_str(&fs::read_to_string(run.summary()).ok()?).ok()?;
    summary["outcome"].as_str().map(str::to_owned)
}

/// The ccc of the run, while one works on it.
fn host(run: &RunDir) -> Option<u32> {
    FileLock::holder(&run.lock()).ok()?.map(|holder| holder.pid)
}

/// How many ccc have worked on it.
fn lives(run: &RunDir) -> usize {
    journal(run.path()).iter().filter(|entry| input(entry, "began").is_some()).count()
}

/// Kills the agent's ccc; returns once another works on it.
fn killed_and_revived(run: &RunDir) {
    let before = lives(run);
    send(host(run).expect("a ccc"), Signal::KILL);
    look_until("a revival", || (lives(run) > before && host(run).is_some()).then_some(()));
}

#[test]
fn an_agent_whose_ccc_dies_is_revived_once_and_no_turn_is_lost_or_doubled() {
    let fleet = Fleet::new(10.0);
    // Nobody answers about the usage.
    fleet.provider.answers("/api/oauth/usage", Reply::of(500, "{}"));
    let _keeper = fleet.keeper();
    let agents = [fleet.agent(Role::Worker)];
    killed_and_revived(&agents[0]);
    fleet.end(&agents);
    assert_eq!(lives(&agents[0]), 2, "{}", fleet.log());
}

#[test]
fn an_agent_whose_ccc_has_died_is_waited_for_and_the_next_command_brings_the_keeper_back() {
    let fleet = Fleet::on(Ground::new(), 10.0);
    let keeper = fleet.keeper();
    let agent = fleet.agent(Role::Worker);
    // The keeper does not see the death.
    send(keeper.0.id(), Signal::STOP);
    send(host(&agent).expect("a ccc"), Signal::KILL);
    look_until("its death", || host(&agent).is_none().then_some(()));
    let restored = fleet.world.run(&["restore", agent.id(), "1", "--yes"]);
    restored.assert_code(2);
    for part in ["is about to be continued", &format!("ccc stop {}", agent.id())] {
        assert!(restored.stderr.contains(part), "{part}: {}", restored.stderr);
    }
    let mut wait = fleet.world.ccc(&["wait", agent.id()]);
    let mut wait = wait.stdout(Stdio::null()).spawn().expect("ccc starts");
    drop(keeper);
    look_until("a revival", || (lives(&agent) > 1 && host(&agent).is_some()).then_some(()));
    // The waiting command has started the keeper. Now all die at once, and only the user is left.
    let keeper = look_until("a keeper", || keeper::holder(&fleet.state()).ok()?);
    send(keeper.pid, Signal::STOP);
    wait.kill().expect("killed");
    wait.wait().expect("a child");
    send(host(&agent).expect("a ccc"), Signal::KILL);
    send(keeper.pid, Signal::KILL);
    look_until("their ends", || {
        (host(&agent).is_none() && keeper::holder(&fleet.state()).ok()?.is_none()).then_some(())
    });
    fleet.world.run(&["list"]).assert_code(0);
    look_until("a keeper", || keeper::holder(&fleet.state()).ok()?);
    fleet.go();
    fleet.world.run(&["wait", agent.id()]).assert_code(0);
    assert_eq!(lives(&agent), 3, "{}", fleet.log());
    let holder = look_until("a keeper", || keeper::holder(&fleet.state()).ok()?);
    send(holder.pid, Signal::KILL);
}

#[test]
fn an_agent_whose_ccc_has_died_is_stopped_before_the_keeper_continues_it() {
    let fleet = Fleet::new(10.0);
    let keeper = fleet.keeper();
    let agent = fleet.agent(Role::Worker);
    // The keeper does not see the death.
    send(keeper.0.id(), Signal::STOP);
    send(host(&agent).expect("a ccc"), Signal::KILL);
    look_until("its death", || host(&agent).is_none().then_some(()));
    let stopped = fleet.world.run(&["stop", agent.id(), "--json"]);
    stopped.assert_code(0);
    assert!(stopped.stdout.contains(r#""outcome":"was_dead""#), "{}", stopped.stdout);
    assert_eq!(outcome(&agent).as_deref(), Some("interrupted"));
    send(keeper.0.id(), Signal::CONT);
    fleet.go();
    fleet.world.run(&["wait", agent.id()]).assert_code(130);
    assert_eq!(lives(&agent), 1, "{}", fleet.log());
    fleet.world.run(&["resume", agent.id(), "--detach"]).assert_code(0);
    fleet.world.run(&["wait", agent.id()]).assert_code(0);
}

#[test]
fn an_agent_that_the_user_has_stopped_is_left_alone_and_the_keeper_ends() {
    let fleet = Fleet::new(10.0);
    let mut keeper = fleet.keeper_for("15000");
    let agent = fleet.agent(Role::Worker);
    fleet.world.run(&["stop", agent.id(), "--wait"]).assert_code(0);
    assert!(KeptDown::read(&agent).is_some());
    look_until("the keeper's end", || keeper::holder(&fleet.state()).ok()?.is_none().then_some(()));
    let code = keeper.0.wait().expect("a child");
    assert_eq!(code.code(), Some(0), "{}", fleet.log());
    assert_eq!((lives(&agent), outcome(&agent).as_deref()), (1, Some("interrupted")));
    // Whoever continues it wants it to go on.
    fleet.go();
    fleet.world.run(&["resume", agent.id(), "--detach"]).assert_code(0);
    assert_eq!(KeptDown::read(&agent), None);
    look_until("completion", || (outcome(&agent)? == "completed").then_some(()));
    // The keeper was started with it.
    let holder = look_until("a keeper", || keeper::holder(&fleet.state()).ok()?);
    send(holder.pid, Signal::KILL);
}

#[test]
fn of_many_keepers_at_once_one_works() {
    let fleet = Fleet::new(10.0);
    let start = |_| {
        let mut command = fleet.world.ccc(&["keeper", "run", "--grace-ms", STAYS_MS]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("ccc starts")
    };
    let mut all: Vec<Keeper> = (0..6).map(start).map(Keeper).collect();
    look_until("the end of all but one", || {
        let mut living = all.iter().filter(|keeper| is_alive(keeper.0.id()));
        (living.by_ref().count() == 1).then_some(())
    });
    let holder = keeper::holder(&fleet.state()).expect("a lock").expect("a holder");
    for keeper in &mut all {
        if keeper.0.id() != holder.pid {
            assert_eq!(keeper.0.wait().expect("a child").code(), Some(2));
        }
    }
    let ensured = keeper::ensure(&fleet.state(), &Env::default()).expect("it works");
    assert_eq!(ensured, Ensured::Works { pid: holder.pid });
}

#[test]
fn at_the_critical_threshold_agents_are_stopped_and_taken_up_in_steps_after_the_reset() {
    let fleet = Fleet::new(90.0);
    let keeper = fleet.keeper();
    let agents = [fleet.agent(Role::Manager), fleet.agent(Role::Worker)];
    for agent in &agents {
        look_until("the stop", || (outcome(agent)? == "interrupted").then_some(()));
        look_until("its end", || host(agent).is_none().then_some(()));
    }
    drop(keeper);
    let admission = keeper::admits(&fleet.state(), &Rules::default(), now_ms(), false).expect("read");
    assert!(matches!(&admission, Admission::Refused(full) if full.window == "five_hour"), "{admission:?}");
    let ignored = keeper::admits(&fleet.state(), &Rules::default(), now_ms(), true).expect("read");
    assert!(matches!(ignored, Admission::Ignored(_)));
    let status = fleet.world.run(&["keeper"]);
    status.assert_code(0);
    for says in ["the keeper works", "the usage is critical: five_hour", "is continued after the reset"] {
        assert!(status.stdout.contains(says), "{says}: {}", status.stdout);
    }
    // The command has started one, because agents are to be continued.
    let holder = keeper::holder(&fleet.state()).expect("a lock").expect("a keeper");
    send(holder.pid, Signal::KILL);
    look_until("its end", || keeper::holder(&fleet.state()).ok()?.is_none().then_some(()));
    let stopped = fleet.remembered()["upkeep"]["stopped"].as_object().map(serde_json::Map::len);
    assert_eq!(stopped, Some(2), "the next keeper takes them up");
    fleet.reset_has_come();
    let _keeper = fleet.keeper();
    fleet.end(&agents);
    let began: Vec<i64> = agents
        .iter()
        .map(|agent| {
            assert_eq!(lives(agent), 2, "{}", fleet.log());
            let entries = journal(agent.path());
            let began = entries.iter().filter_map(|entry| input(entry, "began")).next_back().expect("it began");
            began["unix_ms"].as_i64().expect("a time")
        })
        .collect();
    assert!((began[0] - began[1]).abs() >= 900, "one after the other: {began:?}");
    assert_eq!(fleet.provider.lines(), ["GET /api/oauth/usage"], "{}", fleet.log());
}

#[test]
fn a_manager_is_told_of_a_crossing_once_although_the_keeper_is_killed() {
    let fleet = Fleet::new(85.0);
    let mut keeper = fleet.keeper();
    let agents = [fleet.agent(Role::Manager)];
    let told = || journal(agents[0].path()).iter().any(|entry| entry.to_string().contains("[ccc] 85 %"));
    for _ in 0..3 {
        look_until("the message", || told().then_some(()));
        drop(keeper);
        keeper = fleet.keeper();
    }
    fleet.end(&agents);
    let turns = fleet.sessions().concat();
    let notices = turns.iter().filter(|(_, text)| text.contains("[ccc] 85 % of the window of 5 hours")).count();
    assert_eq!(notices, 1, "{turns:?}");
}

/// A run that seems to work: its lock is held by this process.
fn seeming(fleet: &Fleet, number: u32) -> FileLock {
    let dir = RunDir::create(&fleet.state(), &format!("20261128-1000{:02}-{number:04}", number % 60)).expect("a run");
    let lock = dir.take_lock(std::process::id(), now_ms()).expect("a lock");
    let summary = RunSummary {
        version: SUMMARY_VERSION,
        id: dir.id().to_owned(),
        task: "t".to_owned(),
        cwd: fleet.world.ground.project().display().to_string(),
        session_id: None,
        agent_version: None,
        pid: std::process::id(),
        started_unix_ms: now_ms(),
        updated_unix_ms: now_ms(),
        ended_unix_ms: None,
        phase: "working".to_owned(),
        iteration: 0,
        outcome: None,
        reason: None,
        restarts: 0,
        rotations: 0,
        waited_ms: 0,
        cost_usd: None,
        context_tokens: None,
        context_window_tokens: None,
        tests_touched: None,
        tools_denied: None,
        elapsed_ms: None,
        journal_missing: None,
        result: None,
        resume: None,
        kind: None,
        demo: None,
    };
    summary.write(&dir.summary(), &redaction::Redactor::default()).expect("written");
    fleet.record(&dir, Role::Worker);
    lock
}

#[test]
fn twenty_agents_make_one_request_in_an_interval() {
    let fleet = Fleet::new(10.0);
    let _locks: Vec<FileLock> = (0..20).map(|number| seeming(&fleet, number)).collect();
    for _ in 0..3 {
        let keeper = fleet.keeper();
        look_until("an answer", || {
            fleet.remembered()["upkeep"]["usage"][0]["windows"][0]["percent"].as_f64().map(drop)
        });
        keeper::ensure(&fleet.state(), &Env::default()).expect("it is woken");
        drop(keeper);
    }
    assert_eq!(fleet.provider.lines(), ["GET /api/oauth/usage"]);
    let admission = keeper::admits(&fleet.state(), &Rules::default(), now_ms(), false).expect("read");
    assert_eq!(admission, Admission::Allowed);
}

#[test]
fn the_heartbeat_of_an_agent_starts_a_keeper_that_does_not_descend_from_it() {
    let fleet = Fleet::new(10.0);
    let agents = [fleet.agent(Role::Worker)];
    let holder = look_until("a keeper", || keeper::holder(&fleet.state()).ok()?);
    let host = host(&agents[0]).expect("a ccc");
    let stat = fs::read_to_string(format!("/proc/{}/stat", holder.pid)).expect("the keeper lives");
    let parent = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)).expect("a parent");
    assert_ne!(parent, host.to_string());
    killed_and_revived(&agents[0]);
    fleet.end(&agents);
    assert_eq!(lives(&agents[0]), 2);
    assert!(is_alive(holder.pid), "it has outlived the agent");
    send(holder.pid, Signal::KILL);
}

#[test]
fn the_service_is_written_and_removed_and_the_commands_are_told() {
    let fleet = Fleet::new(10.0);
    let ccc = |args: &[&str]| {
        let mut command: Command = fleet.world.ccc(args);
        command.env_remove("XDG_CONFIG_HOME");
        let output = command.output().expect("ccc runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let file = fleet.world.ground.home().join(".config/systemd/user/ccc-keeper.service");
    let said = ccc(&["keeper", "install"]);
    let unit = fs::read_to_string(&file).expect("a unit");
    assert!(unit.contains("keeper run --revive\n") && !unit.contains(TOKEN), "{unit}");
    for says in ["ccc-keeper.service", "systemctl --user enable --now ccc-keeper", "loginctl enable-linger"] {
        assert!(said.contains(says), "{says}: {said}");
    }
    let removed: Value = serde_json::from_str(&ccc(&["keeper", "uninstall", "--json"])).expect("JSON");
    assert_eq!(removed["removed"], json!(file));
    assert!(!file.exists());
    assert!(ccc(&["keeper", "uninstall"]).contains("there is nothing to remove"));
    let status: Value = serde_json::from_str(&ccc(&["keeper", "status", "--json"])).expect("JSON");
    assert_eq!((&status["pid"], &status["critical"], &status["stopped"]), (&Value::Null, &Value::Null, &json!([])));
}
