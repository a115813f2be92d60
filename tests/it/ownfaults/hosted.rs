//! Runs that a test hosts in its own process: what one does concerns no other.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use ccc::config::{Dirs, Env, Project};
use ccc::core::{Core, OperatorInput, Outcome, Plan, SessionStart, Tick};
use ccc::driver::{self, ChildEnv, Control, Controller, Credentials, End, Program, Run, Setup, Workers};
use ccc::guard::{RunWalls, SettingsOfAgent, Withheld};
use ccc::journal::{FileSink, Header, JournalWriter, RunDir};
use ccc::process::{Transport, TypedEcho};
use ccc::tokens::{Credential, CredentialKind, Pool, Provider, SharedTokens};
use ccc::ui::{Form, Limits, Printer, Screen, Style};
use serde_json::{Value, json};

use super::world::{FEEDBACK, TASK, World, forever, is_line_with, two_turns};
use crate::journal::paused::PausedDisk;
use crate::journal::samples;
use crate::process::observer::alone;
use crate::whole_runs::harness::{Ground, input, look_until};

/// A run in a thread of this process.
pub(super) struct Hosted {
    pub(super) host: Controller,
    pub(super) run: JoinHandle<End>,
}

impl Hosted {
    /// Starts a run in this world, with a journal on this disk.
    fn start(world: &World, number: u32, open: impl FnOnce(&Path, &Path) -> FileSink) -> Hosted {
        let plan = Plan { agent_program: world.agent.display().to_string(), ..plan(&world.ground, number) };
        Self::of(setup(&world.ground, plan, vec![key("a")], open))
    }

    /// Starts this run.
    pub(super) fn of(setup: Setup) -> Hosted {
        let (host, controls, _) = driver::controls(driver::unix_ms);
        let run = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(Run::new(setup).expect("descriptors").drive(controls))
        });
        Hosted { host, run }
    }

    pub(super) fn end(self) -> Outcome {
        let end = self.run.join().expect("the run does not panic");
        end.finish.expect("it has an outcome").outcome
    }
}

/// A made-up key.
pub(super) fn key(label: &str) -> Credential {
    let value = format!("sk-ant-made-up-{label}");
    Credential::held(label, CredentialKind::ApiKey, Provider::Anthropic, value.into())
}

/// The plan of a run on this ground, whose agent is still to be named.
pub(crate) fn plan(ground: &Ground, number: u32) -> Plan {
    let sample = samples::plan();
    Plan {
        run_id: format!("20261120-191822-000{number}"),
        task: TASK.to_owned(),
        cwd: ground.project().display().to_string(),
        agent_args: Vec::new(),
        session: SessionStart::New(format!("3f2b8c1e-0000-4000-8000-00000000000{number}")),
        checks: Vec::new(),
        protect: Vec::new(),
        critic: ccc::core::CriticPlan { settings_file: None, ..sample.critic.clone() },
        budgets: ccc::core::Budgets { until_unix_ms: None, max_wait_ms: None, ..sample.budgets.clone() },
        timeouts: ccc::core::Timeouts { grace_ms: 500, ..sample.timeouts },
        // It ends with its verdict, and asks nobody.
        conversation: false,
        supervised: true,
        without_critic: false,
        agent_memory_max_bytes: None,
        agent_tasks_max: None,
        checkpoints: false,
        tests_compared: false,
        approvals: ccc::core::Approvals::Off,
        ..sample
    }
}

/// What a run on this ground needs, with these tokens and a journal on this disk.
pub(crate) fn setup(
    ground: &Ground,
    plan: Plan,
    tokens: Vec<Credential>,
    open: impl FnOnce(&Path, &Path) -> FileSink,
) -> Setup {
    let env = Env::default();
    let state = ground.state();
    let run_dir = RunDir::create(&state, &plan.run_id).expect("a run directory");
    let sink = open(&run_dir.journal(), &run_dir.blobs());
    let pool = Pool::of(tokens, &env, Provider::Anthropic);
    let redactor = pool.redactor();
    let header = Header::new(&plan, "0.1.0").expect("a header");
    let journal = JournalWriter::with_sink(sink, &header, redactor.clone()).expect("a journal");
    let variables = ground.command("http://127.0.0.1:9", [""; 0]);
    let variables: Vec<_> =
        variables.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))).collect();
    let dirs = Dirs::new(&ground.home(), &ground.home().join("ccc-config"), &state, &env);
    let null = || fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null").into();
    Setup {
        limiter: None,
        not_enforced: None,
        walls: RunWalls::default(),
        withheld: Withheld::default(),
        from: Tick::ZERO,
        resumed: false,
        first_inputs: Vec::new(),
        state_dir: state.clone(),
        agent_dir: dirs.claude.clone(),
        journal,
        redactor,
        started_unix_ms: driver::unix_ms(),
        program: Program { path: plan.agent_program.clone().into(), first_args: Vec::new() },
        env: ChildEnv(variables.clone()),
        bare_env: ChildEnv(variables),
        credentials: Credentials::new(pool, SharedTokens::new(&state), None),
        settings: SettingsOfAgent::new(plan.agent, &Project::find(&ground.project()), &dirs, &env, None, None),
        transport: Transport::Pipe,
        session_lock: None,
        printer: Printer::new(Form::Text, Style::PIPED),
        screen: Screen::new(null(), null(), Limits::default()).expect("a screen"),
        typing: TypedEcho::none(),
        keyboard: None,
        interface: None,
        hub: None,
        workers: Workers::default(),
        log: None,
        notifier: None,
        keep_awake: None,
        core: Core::new(plan),
        run_dir,
    }
}

pub(super) fn on_the_disk(journal: &Path, blobs: &Path) -> FileSink {
    FileSink::open(journal, blobs).expect("a journal")
}

/// Waits for `go` in a tool, and says so in `begun`.
fn waits_for_go(world: &World) -> Value {
    let home = world.ground.home().display().to_string();
    let command = format!("echo begun > {home}/begun; while [ ! -e {home}/go ]; do sleep 0.02; done");
    json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}})
}

#[test]
fn two_runs_in_one_process_do_not_disturb_each_other() {
    let _turn = alone();
    let cancelled = World::new(&json!({"agent": [[{"say": "I begin."}, forever()]], "critic": []}));
    let completed = World::new(&two_turns());
    let mut script = two_turns();
    script["agent"][0] = json!([{"say": "I begin."}, waits_for_go(&completed), {"say": "First half done."}]);
    completed.play(&script);

    let first = Hosted::start(&cancelled, 1, on_the_disk);
    let second = Hosted::start(&completed, 2, on_the_disk);
    cancelled.until_entry("the first agent's words", |entry| is_line_with(entry, "I begin."));
    completed.until_file("begun");
    first.host.tell(Control::Interrupt);
    assert_eq!(first.end(), Outcome::Interrupted);
    look_until("the end of the first agent", || cancelled.ground.alive(0).is_empty().then_some(()));
    assert!(!completed.ground.alive(0).is_empty(), "the second run's agent was ended with the first run");

    // Nobody waits for an outcome of this one: that is the hardest end.
    let third = Hosted::start(&cancelled, 3, on_the_disk);
    cancelled.until_entry("the third agent's words", |entry| is_line_with(entry, "I begin."));
    (0..3).for_each(|_| third.host.tell(Control::End("a test".to_owned())));
    assert!(third.run.join().expect("no panic").finish.is_none());

    fs::write(completed.ground.home().join("go"), "").expect("write");
    assert_eq!(second.end(), Outcome::Completed);
    completed.assert_said_once(&[TASK, FEEDBACK]);
    for world in [cancelled, completed] {
        world.ground.assert_sound();
    }
}

#[test]
fn words_that_come_by_the_controller_are_said_once_and_the_run_is_replayed_alike() {
    let _turn = alone();
    // A critic begins only when it may: the review is under way meanwhile.
    let held = "if [ $role = critic ]; then echo begun > \"$home/begun-review\"; while [ ! -e \"$home/go-review\" ]; do sleep 0.02; done; fi";
    let world = World::with_prelude(Ground::without_git(), &json!({"agent": [], "critic": []}), held);
    let agreement = json!({"say": "All is there.\n\n[TASK_COMPLETED]"});
    world.play(&json!({
        "agent": [
            [{"say": "I begin."}, waits_for_go(&world), {"say": "Done."}],
            [{"say": "Shorter."}],
            [{"say": "In English."}],
        ],
        "critic": [[agreement.clone()], [agreement]],
    }));
    let go = |name: &str| fs::write(world.ground.home().join(name), "").expect("write");
    let words = |text: &str| Control::Operator(OperatorInput::Turn { text: text.to_owned() });
    let run = Hosted::start(&world, 5, on_the_disk);
    world.until_file("begun");
    run.host.tell(words("Keep it short."));
    let given = |text: &'static str| {
        move |entry: &Value| input(entry, "operator").is_some_and(|it| it.to_string().contains(text))
    };
    world.until_entry("the first words", given("Keep it short."));
    go("go");
    world.until_file("begun-review");
    run.host.tell(words("Write English."));
    world.until_entry("the second words", given("Write English."));
    go("go-review");
    assert_eq!(run.end(), Outcome::Completed);
    world.assert_said_once(&[TASK, "Keep it short.", "Write English."]);
    let comparison = driver::compare(&world.run_dir().join("journal.jsonl")).expect("a readable journal");
    assert_eq!((comparison.difference, comparison.unfinished), (None, false));
    world.ground.assert_sound();
}

fn beat(world: &World) -> i64 {
    let text = fs::read_to_string(world.run_dir().join("heartbeat.json")).unwrap_or_default();
    let beat: Value = serde_json::from_str(&text).unwrap_or_default();
    beat["unix_ts"].as_i64().unwrap_or_default()
}

#[test]
fn while_the_disk_hangs_the_loop_hears_ctrl_c_and_the_heart_beats() {
    let _turn = alone();
    let world = World::new(&json!({"agent": [], "critic": []}));
    let script = json!([{"say": "I begin."}, waits_for_go(&world), {"say": "I go on."}, forever()]);
    world.play(&json!({"agent": [script], "critic": []}));
    let disk = PausedDisk::default();
    let theirs = Arc::new(disk.clone());
    let run = Hosted::start(&world, 4, |journal, blobs| FileSink::open_on(theirs, journal, blobs).expect("a journal"));
    world.until_entry("the agent's words", |entry| is_line_with(entry, "I begin."));
    world.until_file("begun");

    disk.pause();
    // What the agent says from now on cannot be written down.
    fs::write(world.ground.home().join("go"), "").expect("write");
    let before = beat(&world);
    for beats in 1..=2 {
        look_until("a heartbeat while the disk hangs", || (beat(&world) >= before + 4 * beats).then_some(()));
    }
    run.host.tell(Control::Interrupt);
    look_until("the end of the run while the disk hangs", || run.run.is_finished().then_some(()));
    assert_eq!(run.end(), Outcome::Interrupted);
    let summary = fs::read_to_string(world.run_dir().join("run.json")).expect("a summary");
    assert!(summary.contains("\"interrupted\""), "{summary}");
    disk.go_on();
}
