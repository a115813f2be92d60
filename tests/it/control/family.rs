//! Managers and workers: what their agents may ask of each other's runs, and how the end of a worker is told.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};

use ccc::control::protocol::{Code, Fault, FromRun, Hello, Reply, Request, You, encode_hello};
use ccc::control::{Family, Hub, Kin, LostWorker, Owner, Places, Served, Server, Started, ToRun, Wanted, reply_of};
use ccc::core::{OperatorInput, Taken};
use ccc::journal::RunDir;
use serde_json::{Value, json};

use super::{Raw, begun, go, say, script_that_waits, waiting};
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{DEADLINE, Running, action, input, journal, look_until, text};

/// A family in which every client belongs to this owner.
#[derive(Debug)]
struct Fake(Mutex<Option<Owner>>);

impl Family for Fake {
    fn owner(&self, _: u32) -> Option<Owner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(&self, wanted: &Wanted) -> Result<Started, Fault> {
        if wanted.args.is_empty() {
            return Err(Fault::new(Code::Refused, "no task"));
        }
        Ok(Started { id: "20261128-000000-bbbb".to_owned(), name: wanted.args.join(" ") })
    }

    fn worker(&self, id: &str) -> Result<String, Fault> {
        Ok(format!("name of {id}"))
    }

    fn lost(&self, id: &str) -> Result<LostWorker, Fault> {
        if id != "20261128-000000-bbbb" {
            return Err(Fault::new(Code::Refused, "it works"));
        }
        Ok(LostWorker { name: "fixer".to_owned(), text: "It has died.".to_owned(), at_unix_ms: 7 })
    }
}

struct FakeRun {
    server: Server,
    told: Receiver<ToRun>,
    family: Arc<Fake>,
    _state: tempfile::TempDir,
}

fn served() -> FakeRun {
    let state = tempfile::tempdir().expect("a directory");
    let dir = RunDir::create(state.path(), "20261128-000000-aaaa").expect("a run");
    let family = Arc::new(Fake(Mutex::new(None)));
    let served = Served {
        places: Places::new(state.path(), &dir, None),
        state_dir: state.path().to_owned(),
        run: dir.id().to_owned(),
        kind: "agent",
        cwd: "/".to_owned(),
        journal: dir.journal(),
        started_unix_ms: 0,
        hook_key: None,
        caps: Request::NAMES.to_vec(),
        family: Some(Arc::clone(&family) as Arc<dyn Family>),
    };
    let (sender, told) = channel();
    let server = Server::start(served, Hub::new(0), move |what| drop(sender.send(what))).expect("a server");
    FakeRun { server, told, family, _state: state }
}

impl FakeRun {
    /// A client of this owner, and what the run calls it.
    fn client(&self, owner: Option<Owner>) -> (Raw, You) {
        *self.family.0.lock().unwrap_or_else(PoisonError::into_inner) = owner;
        let mut client = Raw::at(self.server.place());
        let Some(FromRun::Greeting(greeting)) = client.next() else { panic!("no greeting") };
        client.send(&encode_hello(&Hello::new("test", false)));
        assert!(matches!(client.next(), Some(FromRun::Welcome(_))));
        (client, greeting.you)
    }

    /// The next order, which is done.
    fn order(&self) -> OperatorInput {
        loop {
            if let ToRun::Order(order) = self.told.recv_timeout(DEADLINE).expect("an order") {
                let _ = order.done.send(reply_of(&Taken::Done));
                return order.input;
            }
        }
    }
}

fn owner(kin: Option<Kin>, is_host: bool) -> Option<Owner> {
    Some(Owner { run: "20261128-000000-bbbb".to_owned(), name: "fixer".to_owned(), kin, is_host })
}

fn is_refused(reply: &Reply, code: Code) -> bool {
    matches!(reply, Reply::Fault(fault) if fault.code == code)
}

#[test]
fn a_relative_sends_text_with_its_name_and_gives_no_order() {
    let run = served();
    for (kin, from) in [(Kin::Manager, "your manager fixer"), (Kin::Worker, "your worker fixer")] {
        let (mut client, you) = run.client(owner(Some(kin), false));
        assert_eq!(you, You::Relative);
        let id = client.ask(&say("Use tabs.", Some("k")));
        let expected = OperatorInput::Say {
            key: Some("20261128-000000-bbbb:k".to_owned()),
            text: format!("Message from {from}:\n\nUse tabs."),
            images: Vec::new(),
        };
        assert_eq!(run.order(), expected);
        assert!(matches!(client.next(), Some(FromRun::Reply { re, reply: Reply::Done }) if re == id));
        for order in [
            Request::Stop { reason: None },
            Request::Interrupt {},
            Request::Pause {},
            Request::Judge {},
            Request::Rotate { to: None },
            Request::TakeBack { key: "k".to_owned() },
            Request::New { args: vec!["x".to_owned()], cwd: "/".to_owned(), stdin: None },
            Request::WorkerEnded { id: "20261128-000000-bbbb".to_owned(), text: "x".to_owned(), at_unix_ms: None },
            Request::WorkerResumed { id: "20261128-000000-bbbb".to_owned() },
            Request::WorkerLost { id: "20261128-000000-bbbb".to_owned() },
        ] {
            let reply = client.call(&order);
            assert!(is_refused(&reply, Code::Inside), "{order:?}: {reply:?}");
        }
        assert!(matches!(client.call(&Request::Status {}), Reply::Status(_)));
    }
    let (mut stranger, you) = run.client(owner(None, false));
    assert_eq!(you, You::Inside);
    assert!(is_refused(&stranger.call(&say("Hi.", None)), Code::Inside));
}

#[test]
fn only_the_ccc_of_a_worker_tells_its_end() {
    let run = served();
    let ended =
        |id: &str| Request::WorkerEnded { id: id.to_owned(), text: "It has ended.".to_owned(), at_unix_ms: Some(5) };
    let (mut host, _) = run.client(owner(Some(Kin::Worker), true));
    host.ask(&ended("20261128-000000-bbbb"));
    let expected = OperatorInput::WorkerEnded {
        id: "20261128-000000-bbbb".to_owned(),
        name: "name of 20261128-000000-bbbb".to_owned(),
        text: "It has ended.".to_owned(),
        at_unix_ms: Some(5),
    };
    assert_eq!(run.order(), expected);
    assert!(matches!(host.next(), Some(FromRun::Reply { reply: Reply::Done, .. })));
    assert!(is_refused(&host.call(&ended("20261128-000000-cccc")), Code::Inside), "of another worker");
    let resumed = Request::WorkerResumed { id: "20261128-000000-bbbb".to_owned() };
    host.ask(&resumed);
    let (id, name) = ("20261128-000000-bbbb".to_owned(), "name of 20261128-000000-bbbb".to_owned());
    assert_eq!(run.order(), OperatorInput::WorkerStarted { id, name, again: true });
    assert!(matches!(host.next(), Some(FromRun::Reply { reply: Reply::Done, .. })));
    let (mut user, you) = run.client(None);
    assert_eq!(you, You::Operator);
    assert!(is_refused(&user.call(&ended("20261128-000000-bbbb")), Code::Refused));
    assert!(is_refused(&user.call(&resumed), Code::Refused));
    // The keeper says only that it has died: the run looks for itself, and the words are its own.
    user.ask(&Request::WorkerLost { id: "20261128-000000-bbbb".to_owned() });
    let expected = OperatorInput::WorkerEnded {
        id: "20261128-000000-bbbb".to_owned(),
        name: "fixer".to_owned(),
        text: "It has died.".to_owned(),
        at_unix_ms: Some(7),
    };
    assert_eq!(run.order(), expected);
    assert!(matches!(user.next(), Some(FromRun::Reply { reply: Reply::Done, .. })));
    assert!(is_refused(&user.call(&Request::WorkerLost { id: "20261128-000000-cccc".to_owned() }), Code::Refused));
    let new = Request::New { args: vec!["x".to_owned()], cwd: "/".to_owned(), stdin: None };
    assert!(is_refused(&user.call(&new), Code::Refused), "the user types ccc new");
}

/// Makes a run an agent of the fleet.
fn record(run: &Path, name: &str, manager: Option<&str>) {
    let id = run.file_name().and_then(|name| name.to_str()).expect("an id");
    let role = if manager.is_some() { "worker" } else { "manager" };
    let record = json!({"version": 1, "id": id, "name": name, "role": role, "manager": manager, "depth": 0,
        "created_unix_ms": 1, "project": "/p"});
    let path = run.join("agent.json");
    fs::write(&path, record.to_string()).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("chmod");
}

fn id_of(run: &Path) -> String {
    run.file_name().and_then(|name| name.to_str()).expect("an id").to_owned()
}

/// Starts a run beside the manager whose agent waits, does this in the shell and ends.
fn worker<'w>(world: &'w World, manager: &Path, command: &str) -> Running<'w> {
    let home = world.ground.home().display().to_string();
    let command = format!("echo begun > {home}/w-begun; while [ ! -e {home}/w-go ]; do sleep 0.02; done; {command}");
    world.play(&json!({
        "agent": [[{"tool": {"name": "Bash", "input": {"command": command}, "real": true}}, {"say": "Worked."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = world.start(&["--share-tree"]);
    world.until_file("w-begun");
    let run = world.ground.runs().into_iter().find(|run| run != manager).expect("the worker's run");
    record(&run, "fixer", Some(&id_of(manager)));
    running
}

fn lets_worker_go(world: &World) {
    fs::write(world.ground.home().join("w-go"), "").expect("written");
}

/// The texts that were sent to the agent of a run.
fn told(run: &Path) -> Vec<String> {
    let sends = journal(run);
    let sends = sends.iter().filter_map(|entry| action(entry, "send")).filter(|send| send["kind"] != "brief");
    sends.map(|send| text(&send["text"])).collect()
}

fn ends_told(run: &Path) -> usize {
    let told = |entry: &Value| input(entry, "operator").is_some_and(|input| input.get("worker_ended").is_some());
    journal(run).iter().filter(|entry| told(entry)).count()
}

#[test]
fn a_worker_sends_its_manager_text_and_its_ccc_tells_its_end_and_neither_ends_the_manager() {
    let world = waiting();
    let manager = begun(&world);
    let run = world.run_dir();
    record(&run, "lead", None);
    let (home, ccc, id) = (world.ground.home().display().to_string(), crate::program::ccc(), id_of(&run));
    let orders = [format!("send {id} \"Half is done.\""), format!("stop {id}"), "tokens".to_owned()];
    let said: Vec<String> = orders
        .iter()
        .enumerate()
        .map(|(n, order)| format!("\"{ccc}\" {order} > {home}/said-{n} 2>&1; echo code $? >> {home}/said-{n}"))
        .collect();
    let worker = worker(&world, &run, &said.join("; "));
    lets_worker_go(&world);
    worker.wait().assert_code(0);
    let said = |n: usize| fs::read_to_string(world.ground.home().join(format!("said-{n}"))).expect("said");
    assert!(said(0).contains("code 0"), "{}", said(0));
    assert!(said(1).contains("and nothing else") && said(1).contains("code 1"), "{}", said(1));
    assert!(said(2).contains("an agent may not use it") && said(2).contains("code 2"), "{}", said(2));
    assert_eq!(ends_told(&run), 1);
    go(&world);
    manager.end().assert_code(0);
    let told = told(&run);
    assert_eq!(told.len(), 3, "{told:#?}");
    assert_eq!(told[1], "Message from your worker fixer:\n\nHalf is done.");
    assert!(
        told[2].starts_with("Your worker fixer (run ") && told[2].contains(") has ended: completed"),
        "{}",
        told[2]
    );
}

#[test]
fn a_manager_that_was_killed_is_told_of_the_end_when_it_is_resumed() {
    let world = waiting();
    let manager = begun(&world);
    let run = world.run_dir();
    record(&run, "lead", None);
    let worker = worker(&world, &run, "true");
    manager.signal(rustix::process::Signal::KILL);
    manager.wait();
    lets_worker_go(&world);
    worker.wait().assert_code(0);
    let of_worker = world.ground.runs().into_iter().find(|other| *other != run).expect("the worker's run");
    assert!(of_worker.join("untold.json").is_file(), "it stays untold");
    go(&world);
    world.play(&script_that_waits(&world));
    let mut resume = world.ccc(&["resume", &id_of(&run), "--output-format", "stream-json"]);
    Running::spawn(&world.ground, &mut resume).end().assert_code(0);
    assert_eq!(ends_told(&run), 1);
    let about: Vec<String> = told(&run).into_iter().filter(|told| told.contains("Your worker fixer")).collect();
    assert_eq!(about.len(), 1, "{about:#?}");
    assert!(!of_worker.join("untold.json").exists());
    look_until("no process", || world.ground.alive(0).is_empty().then_some(()));
}
