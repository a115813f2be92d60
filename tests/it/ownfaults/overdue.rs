//! Workers of a run that do not answer, as on a disk that hangs: after its limit each answer is done without.

use std::ffi::OsString;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use ccc::core::supervised::{BeatPlan, CommandCore, CommandPlan};
use ccc::core::{Outcome, Plan, TokenFact, TokenId};
use ccc::driver::{self, CommandRun, CommandSetup, CommandWorkers, Looked, Setup, TokenSupply, Worker};
use ccc::journal::{Header, JournalWriter, RunDir};
use ccc::ui::{Form, Limits, Printer, Screen, Style};
use redaction::Redactor;
use serde_json::{Value, json};

use super::hosted::{Hosted, key, on_the_disk, plan, setup};
use super::world::{TASK, World};
use crate::journal::samples;
use crate::process::observer::alone;
use crate::whole_runs::harness::{Ground, input, look_until};

/// Much less than the run's own limits, and more than an answer takes.
const TIMEOUT: Duration = Duration::from_millis(300);

/// The worker does nothing else until the sender is dropped.
#[must_use]
fn occupied(worker: &Worker) -> Sender<()> {
    let (free, waits) = channel::<()>();
    worker.give(move || {
        let _ = waits.recv();
    });
    free
}

fn agreement() -> Value {
    json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}])
}

fn setup_of(world: &World, number: u32) -> Setup {
    let plan = Plan { agent_program: world.agent.display().to_string(), ..plan(&world.ground, number) };
    setup(&world.ground, plan, vec![key("a"), key("b")], on_the_disk)
}

/// Runs to its end while the worker is occupied.
#[track_caller]
fn completes(world: &World, setup: Setup, occupied: Sender<()>) {
    let run = Hosted::of(setup);
    look_until("the end of the run", || run.run.is_finished().then_some(()));
    assert_eq!(run.end(), Outcome::Completed);
    drop(occupied);
    let comparison = driver::compare(&world.run_dir().join("journal.jsonl")).expect("a readable journal");
    assert_eq!((comparison.difference, comparison.unfinished), (None, false));
    world.ground.assert_sound();
}

#[test]
fn an_end_is_told_although_the_sessions_record_cannot_be_read() {
    let _turn = alone();
    let script = json!({
        "agent": [[{"say": "I begin."}, {"crash": {"signal": 9}}], [{"say": "Done."}]],
        "critic": [agreement()],
    });
    let world = World::new(&script);
    let mut setup = setup_of(&world, 1);
    setup.workers.timeouts.records = TIMEOUT;
    let occupied = occupied(&setup.workers.records);
    completes(&world, setup, occupied);
    let exited = world.until_entry("the end of the first agent", |entry| input(entry, "exited").is_some());
    assert_eq!(input(&exited, "exited").and_then(|it| it.pointer("/exit/signal").cloned()), Some(json!(9)), "{exited}");
}

#[test]
fn a_run_takes_another_token_although_the_shared_state_of_tokens_hangs() {
    let _turn = alone();
    let script = json!({"agent": [[{"limit": {"resets_in_s": 3_600}}], [{"say": "Done."}]], "critic": [agreement()]});
    let world = World::new(&script);
    let mut setup = setup_of(&world, 2);
    setup.workers.timeouts.tokens = TIMEOUT;
    let occupied = occupied(&setup.workers.tokens);
    completes(&world, setup, occupied);
    let answered = |entry: &Value| input(entry, "tokens").is_some_and(|it| !it["request"].is_null());
    world.until_entry("an answer about tokens", answered);
    world.assert_said_once(&[TASK]);
}

#[test]
fn a_process_is_not_started_unseen_while_the_settings_of_the_project_cannot_be_read() {
    let _turn = alone();
    let world = World::new(&json!({"agent": [[{"say": "Done."}]], "critic": [agreement()]}));
    let mut setup = setup_of(&world, 3);
    setup.workers.timeouts.settings = TIMEOUT;
    let occupied = occupied(&setup.workers.settings);
    let run = Hosted::of(setup);
    let failed = world.until_entry("a failed start", |entry| input(entry, "spawn_failed").is_some());
    assert!(failed.to_string().contains("could not be read in time"), "{failed}");
    assert!(world.ground.alive(0).is_empty(), "it was started all the same");
    // The disk answers again, and the start that is tried again succeeds.
    drop(occupied);
    look_until("the end of the run", || run.run.is_finished().then_some(()));
    assert_eq!(run.end(), Outcome::Completed);
    world.assert_said_once(&[TASK]);
    world.ground.assert_sound();
}

/// No tokens.
#[derive(Debug)]
struct Nothing;

impl TokenSupply for Nothing {
    fn facts(&self) -> Vec<TokenFact> {
        Vec::new()
    }
    fn environment(&self, _: Option<&TokenId>) -> Result<Vec<(OsString, OsString)>, String> {
        Ok(vec![("PATH".into(), "/usr/bin:/bin".into())])
    }
    fn redactor(&self) -> Redactor {
        Redactor::new()
    }
    fn give_up(&self) {}
    fn look(&self, _: &TokenId) -> Looked {
        Looked::default()
    }
}

#[test]
fn a_heartbeat_file_that_cannot_be_read_counts_as_none_and_keeps_nothing() {
    let _turn = alone();
    let ground = Ground::without_git();
    let heartbeat = BeatPlan {
        file: ground.project().join("beat.json").display().to_string(),
        timeout_ms: 60_000,
        interval_ms: 50,
        grace_ms: 700,
    };
    let plan = CommandPlan {
        command: ["sh", "-c", "sleep 600"].map(str::to_owned).to_vec(),
        cwd: ground.project().display().to_string(),
        provider: None,
        heartbeat: Some(heartbeat),
        max_restarts: 0,
        restart_on: ccc::core::supervised::RestartOn::Failure,
        grace_ms: 500,
        interactive: false,
        ..samples::command_plan()
    };
    let run_dir = RunDir::create(&ground.state(), &plan.run_id).expect("a run directory");
    let header = Header::of_command(&plan, "0.1.0").expect("a header");
    let journal = JournalWriter::create(&run_dir.journal(), &run_dir.blobs(), &header, Redactor::new());
    let null = || std::fs::OpenOptions::new().write(true).open("/dev/null").expect("/dev/null").into();
    let workers = CommandWorkers { heartbeat_patience: TIMEOUT, ..CommandWorkers::default() };
    let occupied = occupied(&workers.heartbeat);
    let setup = CommandSetup {
        core: CommandCore::new(plan),
        journal: journal.expect("a journal"),
        run_dir,
        redactor: Redactor::new(),
        started_unix_ms: driver::unix_ms(),
        program: "/bin/sh".into(),
        args: ["-c", "sleep 600"].map(OsString::from).to_vec(),
        tokens: Arc::new(Nothing),
        settings: None,
        terminal: None,
        talk_on_terminal: false,
        printer: Printer::new(Form::Text, Style::PIPED),
        screen: Screen::new(null(), null(), Limits::default()).expect("a screen"),
        hub: None,
        workers,
    };
    let (_host, controls, _requests) = driver::controls(driver::unix_ms);
    let run = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(CommandRun::new(setup).expect("threads").drive(controls))
    });
    look_until("the end of the run", || run.is_finished().then_some(()));
    let finish = run.join().expect("no panic").finish.expect("an outcome");
    assert_eq!(finish.outcome, Outcome::Failed);
    assert!(finish.reason.contains("no first heartbeat"), "{}", finish.reason);
    drop(occupied);
}
