//! Clients that flood, send garbage, say half a line, do not read or vanish: they cost the run a note.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::time::{Duration, Instant};

use ccc::control::protocol::{Code, Event, FromRun, HELLO_BYTES, Hello, Protocol, Reply, Request, encode_hello};
use serde_json::{Value, json};

use super::{Raw, begun, follow, go, notes, say, waiting, waits_for_go};
use crate::ownfaults::world::{TASK, World, is_line_with};
use crate::whole_runs::harness::{Running, look_until};

/// The fault with which a run closes a connection.
fn closed_with(client: &mut Raw) -> Option<Code> {
    let last = client.rest().pop();
    match last {
        Some(FromRun::Fault(fault)) => Some(fault.code),
        other => panic!("the run closed it with {other:?}"),
    }
}

fn ends_well(world: &World, running: Running<'_>) {
    go(world);
    let ended = running.end();
    ended.assert_code(0);
    assert!(notes(&ended) <= 1, "{}", ended.stdout);
    world.assert_said_once(&[TASK]);
}

#[test]
fn garbage_is_answered_with_its_fault_and_the_connection_is_closed() {
    let world = waiting();
    let running = begun(&world);
    for (hello, code) in [
        (&b"GET / HTTP/1.1\r\n\r\n"[..], Code::BadRequest),
        (b"\xff\xfe\n", Code::BadRequest),
        (b"{}\n", Code::BadRequest),
        (&[b'x'; HELLO_BYTES + 2], Code::TooLong),
        (&encode_hello(&Hello { protocol: Protocol { major: 2, minor: 0 }, ..Hello::new("new", true) }), Code::TooNew),
        (&encode_hello(&Hello { protocol: Protocol { major: 0, minor: 9 }, ..Hello::new("old", true) }), Code::TooOld),
    ] {
        let mut client = Raw::connect(&world);
        client.send(hello);
        assert_eq!(closed_with(&mut client), Some(code), "{}", String::from_utf8_lossy(hello));
    }
    for (request, code) in [
        (&b"\n"[..], Code::BadRequest),
        (b"pause\n", Code::BadRequest),
        (b"{\"id\":1,\"pause\"\xff:{}}\n", Code::BadRequest),
    ] {
        let mut client = Raw::greeted(&world, false);
        client.send(request);
        assert_eq!(closed_with(&mut client), Some(code), "{}", String::from_utf8_lossy(request));
    }
    // What can be answered is: the connection stays.
    let mut client = Raw::greeted(&world, false);
    client.send(b"{\"id\":9,\"dream\":{}}\n");
    let reply = client.next();
    assert!(
        matches!(&reply, Some(FromRun::Reply { re: 9, reply: Reply::Fault(fault) }) if fault.code == Code::UnknownRequest),
        "{reply:?}"
    );
    assert!(matches!(client.call(&Request::Status {}), Reply::Status(_)));
    ends_well(&world, running);
}

#[test]
fn one_that_says_half_a_hello_or_none_is_let_go_in_time() {
    let world = waiting();
    let running = begun(&world);
    let since = Instant::now();
    let (mut silent, mut half) = (Raw::connect(&world), Raw::connect(&world));
    half.send(b"{\"hello\":{");
    assert_eq!(closed_with(&mut silent), Some(Code::BadRequest));
    assert_eq!(closed_with(&mut half), Some(Code::BadRequest));
    assert!(since.elapsed() >= Duration::from_secs(2), "{:?}", since.elapsed());
    ends_well(&world, running);
}

#[test]
fn one_that_vanishes_in_the_middle_of_a_turn_has_said_nothing() {
    let world = waiting();
    let running = begun(&world);
    for _ in 0..20 {
        let mut client = Raw::greeted(&world, true);
        client.send(b"{\"id\":1,\"say\":{\"text\":\"Delete every");
        drop(client);
    }
    ends_well(&world, running);
}

#[test]
fn a_line_that_does_not_end_is_cut_off_and_ccc_stays_small() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    client.send(b"{\"id\":1,\"say\":{\"text\":\"");
    let part = vec![b'x'; 1024 * 1024];
    for _ in 0..25 {
        client.send(&part);
    }
    assert_eq!(closed_with(&mut client), Some(Code::TooLong));
    ends_well(&world, running);
}

#[test]
fn more_clients_than_there_may_be_are_sent_away() {
    let world = waiting();
    let running = begun(&world);
    let mut attending: Vec<Raw> = (0..8).map(|_| Raw::greeted(&world, true)).collect();
    let mut ninth = Raw::connect(&world);
    ninth.send(&encode_hello(&Hello::new("test", true)));
    assert_eq!(closed_with(&mut ninth), Some(Code::Busy), "eight attend");
    let watching: Vec<Raw> = (0..8).map(|_| Raw::greeted(&world, false)).collect();
    // A refusal frees no place.
    for _ in 0..3 {
        let mut seventeenth = Raw::connect(&world);
        assert_eq!(closed_with(&mut seventeenth), Some(Code::Busy), "sixteen are there");
    }
    // One that leaves makes room.
    drop(watching);
    attending.pop();
    look_until("room", || {
        let mut client = Raw::connect(&world);
        client.send(&encode_hello(&Hello::new("test", true)));
        client.next();
        matches!(client.next(), Some(FromRun::Welcome(_))).then_some(())
    });
    ends_well(&world, running);
}

#[test]
fn one_that_floods_is_slowed_down_and_then_let_go_and_the_run_goes_on_meanwhile() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    let (stream, since) = (client.stream.try_clone().expect("a clone"), Instant::now());
    let flood = std::thread::spawn(move || {
        use std::io::Write as _;
        let mut stream = stream;
        let lines = b"{\"id\":1,\"take_back\":{\"key\":\"none\"}}\n".repeat(100);
        while stream.write_all(&lines).is_ok() {}
    });
    // Others are served while it floods.
    assert!(matches!(Raw::greeted(&world, false).call(&Request::Status {}), Reply::Status(_)));
    assert_eq!(closed_with(&mut client), Some(Code::Overloaded));
    assert!(since.elapsed() >= Duration::from_secs(10));
    flood.join().expect("the flood ends");
    ends_well(&world, running);
}

#[test]
fn one_that_does_not_read_is_let_go_and_the_run_has_not_waited_for_it() {
    // More bytes than may wait.
    let world = waiting();
    let text = "word ".repeat(200);
    let many = (0..5_000).map(|number| json!({"say": format!("{number} {text}")}));
    let held = format!("while [ ! -e {}/read ]; do sleep 0.02; done", world.ground.home().display());
    let mut turn = vec![super::waits_for_go(&world)];
    turn.extend(many);
    turn.push(json!({"tool": {"name": "Bash", "input": {"command": held}, "real": true}}));
    turn.push(json!({"say": "Done."}));
    world.play(&json!({"agent": [turn], "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]]}));
    let running = begun(&world);
    let mut lazy = Raw::greeted(&world, false);
    lazy.ask(&follow());
    go(&world);
    world.until_entry("the last words", |entry| is_line_with(entry, "4999 word"));
    let rest = lazy.rest();
    let told = rest.iter().any(|line| matches!(line, FromRun::Event(Event::Gone { .. })));
    assert!(told, "{} lines, the last {:?}", rest.len(), rest.last());
    // What it has missed stands in the journal; from the last events on it can follow again.
    assert!(matches!(Raw::greeted(&world, false).call(&follow()), Reply::Following { .. }));
    std::fs::write(world.ground.home().join("read"), "").expect("write");
    running.end().assert_code(0);
}

#[test]
fn an_order_that_comes_while_the_run_ends_is_answered() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    world.run(&["stop", "last"]).assert_code(0);
    let reply = client.call(&say("Too late.", None));
    assert!(matches!(reply, Reply::Fault(_) | Reply::Done | Reply::Queued { .. }), "{reply:?}");
    running.end().assert_code(130);
    let answered = world.turns().iter().any(|(_, text)| text.contains("Too late."));
    assert!(!answered, "it was said although the run was ending");
}

#[test]
fn a_reader_that_was_let_go_for_being_slow_comes_back_and_is_told_all_once() {
    let world = World::new(&Value::Null);
    // More than the run keeps for a client that reads nothing, in tools that are told one by one.
    let tool = |n: usize| {
        let text = format!("n{n}={}", "x".repeat(20_000));
        json!({"tool": {"name": "Write", "input": {"file_path": "a", "content": text}, "result": "made"}})
    };
    let mut turn = vec![json!({"say": "I begin."}), waits_for_go(&world)];
    turn.extend((0..600).map(tool));
    turn.push(json!({"say": "First done."}));
    world.play(&json!({
        "agent": [turn], "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = begun(&world);
    let mut follower = world
        .ccc(&["follow", "last", "--json", "--since", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("ccc follow");
    let mut lines = BufReader::new(follower.stdout.take().expect("stdout")).lines();
    let mut all = vec![lines.next().expect("history").expect("text")];
    go(&world);
    // Its pipe is full, so it does not read the socket; the run goes on to its last words.
    world.until_entry("the end of the turn", |entry| is_line_with(entry, "First done."));
    all.extend(lines.map(|line| line.expect("text")));
    let ended = follower.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    running.end().assert_code(0);
    let tools: Vec<String> = all
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"))
        .filter(|event| event["type"] == "tool" && event["name"] == "Write")
        .filter_map(|event| event["edit"]["new"].as_str()?.split('=').next().map(str::to_owned))
        .collect();
    let expected: Vec<String> = (0..600).map(|n| format!("n{n}")).collect();
    assert_eq!(tools, expected);
    let gone = all.iter().filter(|line| line.contains("First done.") && line.contains("\"type\":\"text\"")).count();
    assert_eq!(gone, 1);
}
