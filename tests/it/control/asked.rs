//! What an agent asks is answered from elsewhere, by number, once.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::Stdio;

use ccc::agent::AskedKind;
use ccc::control::protocol::{Code, Event, FromRun, Reply, Request};
use ccc::core::{AskId, Ruling, Show};
use serde_json::{Value, json};

use super::Raw;
use crate::ownfaults::world::World;
use crate::whole_runs::harness::{Ended, Running, input, look_until, send, text};

/// A tool that makes this file, when it may.
fn touch(world: &World, name: &str) -> Value {
    let command = format!("touch {}/{name}", world.ground.home().display());
    json!({"ask": {"tool": {"name": "Bash", "input": {"command": command}, "real": true}}})
}

/// Starts the run; a request waits for somebody.
fn patient(world: &World) -> Running<'_> {
    Running::spawn(&world.ground, world.command(&[]).env("CCC_APPROVALS_UNATTENDED", "wait 10m"))
}

fn until_asked(world: &World) {
    look_until("a request", || {
        let listed = world.run(&["runs", "--live", "--json"]);
        let runs: Value = serde_json::from_str(&listed.stdout).ok()?;
        (!runs[0]["live"]["asks"].as_array()?.is_empty()).then_some(())
    });
}

fn made(world: &World, name: &str) -> bool {
    world.ground.home().join(name).exists()
}

#[test]
fn a_permission_is_allowed_and_another_denied_from_elsewhere() {
    let world = World::new(&Value::Null);
    world.play(&json!({
        "agent": [[touch(&world, "one"), touch(&world, "two"), {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = patient(&world);
    until_asked(&world);
    let none = world.run(&["answer", "last", "77", "allow"]);
    none.assert_code(1);
    assert!(none.stderr.contains("no open request 77"), "{}", none.stderr);
    world.run(&["answer", "last", "1", "allow"]).assert_code(0);
    look_until("the first file", || made(&world, "one").then_some(()));
    until_asked(&world);
    world.run(&["answer", "last", "last", "not on a Friday"]).assert_code(0);
    let ended = running.end();
    assert!(!made(&world, "two"), "a denied tool was used");
    let ruled: Vec<String> = ended
        .journal()
        .iter()
        .filter_map(|entry| input(entry, "operator"))
        .filter(|operator| operator.get("rule").is_some())
        .map(Value::to_string)
        .collect();
    assert!(ruled.len() == 2 && ruled[1].contains("not on a Friday"), "{ruled:?}");
}

#[test]
fn of_two_clients_that_answer_the_first_counts_and_the_other_is_told() {
    let world = World::new(&Value::Null);
    world.play(&json!({
        "agent": [[touch(&world, "one"), {"say": "Done."}]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = patient(&world);
    until_asked(&world);
    let (mut first, mut second) = (Raw::greeted(&world, true), Raw::greeted(&world, true));
    let allow = Request::Answer { ask: AskId(1), key: None, ruling: Ruling::Allow { for_session: false, input: None } };
    let deny = Request::Answer { ask: AskId(1), key: None, ruling: Ruling::Deny { reason: "no".to_owned() } };
    assert_eq!(first.call(&allow), Reply::Done);
    let late = second.call(&deny);
    assert!(matches!(&late, Reply::Fault(fault) if fault.code == Code::NotOpen), "{late:?}");
    running.end().assert_code(0);
    assert!(made(&world, "one"));
}

#[test]
fn an_attached_terminal_without_a_cursor_is_asked_by_lines_and_answers_by_lines() {
    let world = World::new(&Value::Null);
    world.play(&json!({
        "agent": [
            [touch(&world, "one"), {"say": "First done."}],
            [{"say": "Second done."}],
        ],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}], [{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = patient(&world);
    until_asked(&world);
    let mut attached = world
        .ccc(&["attach", "last", "--plain"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("ccc attach");
    let (mut typed, shown) = (attached.stdin.take().expect("stdin"), attached.stdout.take().expect("stdout"));
    let mut seen = String::new();
    let mut lines = BufReader::new(shown).lines();
    while !seen.contains("touch") {
        seen.push_str(&lines.next().expect("more lines").expect("text"));
        seen.push('\n');
    }
    typed.write_all(b"/say Use tabs.\n").expect("typed");
    typed.write_all(b"allow\n").expect("typed");
    let rest: Vec<String> = lines.map(|line| line.expect("text")).collect();
    running.end().assert_code(0);
    assert!(attached.wait().expect("it ends with the run").success());
    assert!(made(&world, "one"), "{seen}{rest:#?}");
    world.assert_said_once(&[crate::ownfaults::world::TASK, "Use tabs."]);
    assert!(rest.iter().any(|line| line.contains("Second done.")), "{rest:#?}");
}

#[test]
fn what_a_question_offers_is_shown_wherever_the_command_that_answers_is() {
    let world = World::new(&Value::Null);
    world.play(&json!({
        "agent": [[
            {"questions": [{"question": "Which port?", "header": "Port", "multiSelect": false,
                "options": [{"label": "8080", "description": "usual"}, {"label": "9090", "description": "free"}]}]},
            {"say": "Done."},
        ]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
    let running = patient(&world);
    until_asked(&world);
    for args in [&["questions"][..], &["status", "last"], &["look", "last"]] {
        let shown = world.run(args);
        shown.assert_code(0);
        let (_, below) = shown.stdout.rsplit_once("Which port?").expect("the question");
        let rows: Vec<&str> = below.lines().skip(1).map(str::trim).collect();
        assert_eq!(rows[..2], ["1 8080: usual", "2 9090: free"], "{args:?}: {}", shown.stdout);
        assert!(rows[2].starts_with("ccc answer ") && rows[2].ends_with(" 1 1"), "{args:?}: {}", shown.stdout);
    }
    let offered = json!([
        {"number": 1, "label": "8080", "description": "usual"},
        {"number": 2, "label": "9090", "description": "free"},
    ]);
    let read = |args: &[&str]| -> Value { serde_json::from_str(&world.run(args).stdout).expect("JSON") };
    assert_eq!(read(&["questions", "--json"])[0]["options"], offered);
    assert_eq!(read(&["status", "last", "--json"])["live"]["open"][0]["options"], offered);
    world.run(&["answer", "last", "1", "2"]).assert_code(0);
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(settled(&ended), ["answered"]);
}

/// An agent that asks in each way: a permission, questions, a plan, a form, and a permission that something else settles.
fn asks_in_each_way(world: &World) {
    let mut withdrawn = touch(world, "two");
    withdrawn["ask"]["withdrawn_ms"] = json!(200);
    world.play(&json!({
        "agent": [[
            touch(world, "one"),
            {"questions": [{"question": "Which port?", "header": "Port", "multiSelect": false,
                "options": [{"label": "8080", "description": "usual"}, {"label": "9090", "description": "free"}]}]},
            {"plan": "# Plan"},
            {"form": {"server": "register", "message": "Your name?", "schema": {"type": "object",
                "properties": {"name": {"type": "string"}}}}},
            withdrawn,
            {"say": "Done."},
        ]],
        "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
    }));
}

/// How the requests of a run were settled, in order.
fn settled(ended: &Ended<'_>) -> Vec<String> {
    ended.of_type("settled").iter().map(|event| text(&event["how"])).collect()
}

#[test]
fn requests_of_every_kind_are_answered_by_a_client_that_attends() {
    let world = World::new(&Value::Null);
    asks_in_each_way(&world);
    // Whoever attends is waited for, whatever the rule for runs that nobody attends: so it is there before the agent asks.
    world.hold("agent");
    let running = Running::spawn(&world.ground, world.command(&[]).env("CCC_APPROVALS_UNATTENDED", "deny"));
    world.until_file("held");
    let mut client = Raw::greeted(&world, true);
    client.ask(&Request::Follow { tail: Some(100), since: None, words: false });
    let attended = |line: FromRun| matches!(line, FromRun::Event(Event::Show(shown)) if matches!(shown.show, Show::Attended { clients: 1 }));
    while !attended(client.next().expect("a run that goes on")) {}
    world.release("agent");
    let held: i32 = world.until_file("held").trim().parse().expect("a pid");
    send(u32::try_from(held).expect("a pid"), rustix::process::Signal::KILL);
    while let Some(line) = client.next() {
        let FromRun::Event(Event::Show(shown)) = line else { continue };
        let Show::Asked { ask } = shown.show else { continue };
        let ruling = match ask.kind {
            AskedKind::Permission if ask.target.contains("two") => continue,
            AskedKind::Permission | AskedKind::Plan => Ruling::Allow { for_session: false, input: None },
            AskedKind::Choices => {
                let answers = BTreeMap::from([("Which port?".to_owned(), "9090".to_owned())]);
                Ruling::Answers { answers, notes: BTreeMap::new() }
            }
            AskedKind::Form => Ruling::Fill { content: r#"{"name":"Ann"}"#.to_owned() },
        };
        client.ask(&Request::Answer { ask: ask.id, key: None, ruling });
    }
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(settled(&ended), ["allowed", "answered", "allowed", "answered", "withdrawn"]);
    assert!(made(&world, "one") && made(&world, "two"));
    let journal = serde_json::to_string(&ended.journal()).expect("JSON");
    assert!(journal.contains(r#"Which port?\"=\"9090"#), "the model reads the answer");
    assert!(journal.contains("User has approved your plan"), "and the approval");
}

#[test]
fn requests_of_every_kind_are_settled_by_the_rule_while_nobody_attends() {
    let waited = ["policy", "policy", "policy", "policy", "withdrawn"];
    for (rule, how) in [("deny", &[][..]), ("wait 1s", &waited[..])] {
        let world = World::new(&Value::Null);
        asks_in_each_way(&world);
        let ended = Running::spawn(&world.ground, world.command(&[]).env("CCC_APPROVALS_UNATTENDED", rule)).end();
        ended.assert_code(0);
        assert_eq!(settled(&ended), how, "{rule}");
        assert!(!made(&world, "one"), "{rule}: nobody allowed it");
        assert_eq!(made(&world, "two"), rule != "deny", "{rule}: of what waits something else may allow it");
        let journal = serde_json::to_string(&ended.journal()).expect("JSON");
        for words in ["this run is unattended", "Nobody is there to answer", "Nobody is there to approve it"] {
            assert!(journal.contains(words), "{rule}: the model reads «{words}»");
        }
        assert!(!ended.of_type("denied").is_empty(), "{rule}: what was denied is shown");
    }
}
