//! The control socket of whole runs: the built program with the scripted agent, and clients of every kind.
//!
//! Whatever a client does, the run ends as it would have, and its journal is replayed with the same decisions.

mod asked;
mod bounds;
mod detached;
mod family;
mod hooks;
mod orders;
mod who;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ccc::control::protocol::{Event, FromRun, Hello, Reply, Request, decode, encode_hello, encode_request};
use ccc::core::Show;
use serde_json::{Value, json};

use crate::ownfaults::world::World;
use crate::whole_runs::harness::{DEADLINE, Ended, Running, look_until};

/// A step of the agent that lasts until [`go`].
pub(crate) fn waits_for_go(world: &World) -> Value {
    let home = world.ground.home().display().to_string();
    let command = format!("echo begun > {home}/begun; while [ ! -e {home}/go ]; do sleep 0.02; done");
    json!({"tool": {"name": "Bash", "input": {"command": command}, "real": true}})
}

/// Lets the agent go on.
fn go(world: &World) {
    fs::write(world.ground.home().join("go"), "").expect("write");
}

/// A world whose agent waits in its first turn, and ends further turns at once.
fn waiting() -> World {
    let world = World::new(&Value::Null);
    world.play(&script_that_waits(&world));
    world
}

/// Its script.
fn script_that_waits(world: &World) -> Value {
    let further = |text: &str| json!([{"say": text}]);
    json!({
        "agent": [
            [{"say": "I begin."}, waits_for_go(world), {"say": "First done."}],
            further("Second done."), further("Third done."), further("Fourth done."),
        ],
        "critic": vec![json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 4],
    })
}

/// Starts a run, and waits until its agent waits.
fn begun(world: &World) -> Running<'_> {
    let running = world.start(&[]);
    world.until_file("begun");
    running
}

/// The socket of the last run, as soon as it is told.
fn socket(world: &World) -> PathBuf {
    look_until("a control socket", || {
        let text = fs::read_to_string(world.ground.runs().pop()?.join("control.json")).ok()?;
        let record: Value = serde_json::from_str(&text).ok()?;
        record["path"].as_str().map(PathBuf::from)
    })
}

/// A client that may send anything.
struct Raw {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
    last: u64,
}

impl Raw {
    fn connect(world: &World) -> Raw {
        Raw::at(&socket(world))
    }

    fn at(path: &Path) -> Raw {
        let stream = UnixStream::connect(path).expect("the run listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        let lines = BufReader::new(stream.try_clone().expect("a clone"));
        Raw { stream, lines, last: 0 }
    }

    /// A client that has said who it is.
    fn greeted(world: &World, attends: bool) -> Raw {
        let mut client = Raw::connect(world);
        assert!(matches!(client.next(), Some(FromRun::Greeting(_))));
        client.send(&encode_hello(&Hello::new("test", attends)));
        let welcome = client.next();
        assert!(matches!(welcome, Some(FromRun::Welcome(_))), "{welcome:?}");
        client
    }

    fn send(&mut self, bytes: &[u8]) {
        // A run that has closed the connection does not take it: what it said before is what counts.
        let _ = self.stream.write_all(bytes);
    }

    /// The next line; `None` when the run has closed the connection.
    fn next(&mut self) -> Option<FromRun> {
        let mut line = Vec::new();
        match self.lines.read_until(b'\n', &mut line) {
            Ok(0) => None,
            Ok(_) => Some(decode(&line).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}"),
        }
    }

    fn ask(&mut self, request: &Request) -> u64 {
        self.last += 1;
        let line = encode_request(self.last, request);
        self.send(&line);
        self.last
    }

    /// Asks, and gives the answer.
    fn call(&mut self, request: &Request) -> Reply {
        let id = self.ask(request);
        loop {
            match self.next() {
                Some(FromRun::Reply { re, reply }) if re == id => return reply,
                Some(FromRun::Fault(fault)) => return Reply::Fault(fault),
                Some(_) => {}
                None => panic!("no answer to {request:?}"),
            }
        }
    }

    /// All that comes until the run closes the connection.
    fn rest(&mut self) -> Vec<FromRun> {
        std::iter::from_fn(|| self.next()).collect()
    }
}

fn say(text: &str, key: Option<&str>) -> Request {
    Request::Say { key: key.map(str::to_owned), text: text.to_owned(), images: Vec::new() }
}

fn follow() -> Request {
    Request::Follow { tail: None, since: None, words: false }
}

/// The texts that events tell, of the agent.
fn texts(lines: &[FromRun]) -> Vec<String> {
    let text = |line: &FromRun| {
        let FromRun::Event(Event::Show(shown)) = line else { return None };
        let Show::Text { text, .. } = &shown.show else { return None };
        Some(text.clone())
    };
    lines.iter().filter_map(text).collect()
}

/// How many notes on clients a run has made in `stream-json`.
fn notes(ended: &Ended<'_>) -> usize {
    let notices = ended.of_type("notice");
    notices.iter().filter(|notice| notice["text"].as_str().is_some_and(|text| text.contains("control socket"))).count()
}
