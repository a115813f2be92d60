//! What can be asked of a run that goes on, however it was started.

use std::io::{BufRead as _, BufReader};
use std::os::unix::net::UnixStream;
use std::process::Stdio;

use ccc::control::protocol::{Code, Event, FromRun, Reply, Request};
use ccc::core::{Budgets, Change, RestKind, Show};
use serde_json::Value;

use super::{Raw, begun, follow, go, say, script_that_waits, texts, waiting, waits_for_go};
use crate::ownfaults::disk::through_shell;
use crate::ownfaults::world::{TASK, World, acts, is_line_with};
use crate::whole_runs::harness::{Ground, Running, action, input, journal, look_until};
use crate::whole_runs::limits::with_oauth;

#[test]
fn what_is_sent_to_a_run_is_said_once_under_its_key_and_the_run_is_replayed_alike() {
    let world = waiting();
    let running = begun(&world);
    for _ in 0..2 {
        world.run(&["send", "last", "Use tabs.", "--key", "k1"]).assert_code(0);
    }
    world.run(&["send", &world.run_id(), "And write English."]).assert_code(0);
    go(&world);
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, "Use tabs.", "And write English."]);
}

#[test]
fn what_was_said_and_waits_can_be_taken_back_and_then_not_any_more() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    for key in ["a", "b"] {
        let reply = client.call(&say(&format!("Words of {key}."), Some(key)));
        assert!(matches!(reply, Reply::Queued { .. } | Reply::Done), "{reply:?}");
    }
    assert_eq!(client.call(&say("Words of a.", Some("a"))), Reply::Already);
    assert_eq!(client.call(&Request::TakeBack { key: "a".to_owned() }), Reply::Done);
    let again = client.call(&Request::TakeBack { key: "none".to_owned() });
    assert!(matches!(&again, Reply::Fault(_)), "{again:?}");
    go(&world);
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, "Words of b."]);
    assert!(!world.turns().iter().any(|(_, text)| text.contains("Words of a.")));
}

#[test]
fn a_turn_is_interrupted_and_the_run_goes_on_with_what_is_said_next() {
    let world = waiting();
    let running = begun(&world);
    world.run(&["send", "last", "Do this instead."]).assert_code(0);
    world.run(&["interrupt", "last"]).assert_code(0);
    // Nothing has let the first turn go: only the interrupt ends it.
    world.until_entry("the next turn", |entry| acts(entry, "send") && entry.to_string().contains("Do this instead."));
    go(&world);
    let ended = running.end();
    ended.assert_code(0);
    world.assert_said_once(&[TASK, "Do this instead."]);
}

#[test]
fn a_paused_run_begins_nothing_until_it_is_continued() {
    let world = waiting();
    let running = begun(&world);
    world.run(&["pause", "last"]).assert_code(0);
    world.run(&["send", "last", "Later."]).assert_code(0);
    go(&world);
    world.until_entry("the end of the first turn", |entry| is_line_with(entry, "First done."));
    look_until("a pause", || {
        let Reply::Status(status) = Raw::greeted(&world, false).call(&Request::Status {}) else { return None };
        (status.phase == "paused").then_some(())
    });
    assert_eq!(world.turns().len(), 1, "nothing is begun in a pause");
    world.run(&["continue", "last"]).assert_code(0);
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, "Later."]);
}

#[test]
fn a_stopped_run_ends_in_good_order_and_is_resumed() {
    let world = waiting();
    let running = begun(&world);
    world.run(&["stop", "last", "--wait"]).assert_code(0);
    let ended = running.end();
    ended.assert_code(130);
    assert!(ended.reason().contains("ccc stop"), "{}", ended.reason());
    go(&world);
    world.resume(&[]).end().assert_code(0);
}

#[test]
fn a_run_that_is_followed_tells_what_it_prints_and_how_it_ended() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    assert!(matches!(client.call(&follow()), Reply::Following { .. }));
    let reader = {
        let mut command = world.ccc(&["follow", "last", "--json", "--since", "0"]);
        command.stdout(std::process::Stdio::piped()).spawn().expect("ccc follow")
    };
    go(&world);
    let ended = running.end();
    ended.assert_code(0);
    let lines = client.rest();
    assert!(texts(&lines).iter().any(|text| text == "First done."), "{lines:?}");
    let last = lines.last();
    assert!(
        matches!(last, Some(FromRun::Event(Event::End { finish: Some(finish) })) if finish.outcome == ccc::core::Outcome::Completed),
        "{last:?}"
    );
    // With the history, a reader gets each event that the run itself has printed, in order, once.
    let followed = reader.wait_with_output().expect("ccc follow ends");
    assert!(followed.status.success(), "{followed:?}");
    let events = |text: &str| {
        let parse = |line: &str| serde_json::from_str::<Value>(line).expect("JSON");
        let told = text.lines().map(parse).filter(|event| {
            // What is no part of the run itself.
            !["run", "result"].contains(&event["type"].as_str().unwrap_or_default())
        });
        told.map(|mut event| {
            // By the journal's clock, or by that of the moment.
            let object = event.as_object_mut().expect("an object");
            object.remove("unix_ms");
            object.remove("t_ms");
            event
        })
        .collect::<Vec<_>>()
    };
    assert_eq!(events(&String::from_utf8_lossy(&followed.stdout)), events(&ended.stdout));
}

#[test]
fn what_a_client_orders_is_journalled_as_an_operators_input() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    let reply = client.call(&say("Use tabs.", None));
    assert!(matches!(reply, Reply::Queued { .. } | Reply::Done), "{reply:?}");
    world.until_entry("the words", |entry| {
        input(entry, "operator").is_some_and(|it| it.to_string().contains("Use tabs."))
    });
    let status = client.call(&Request::Status {});
    assert!(matches!(&status, Reply::Status(status) if status.phase == "working" && status.n > 0), "{status:?}");
    go(&world);
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, "Use tabs."]);
}

#[test]
fn a_run_that_is_over_or_was_never_there_is_told_apart_from_one_that_refuses() {
    let world = waiting();
    go(&world);
    world.start(&[]).end().assert_code(0);
    let over = world.run(&["send", "last", "Too late."]);
    over.assert_code(2);
    assert!(over.stderr.contains("is not running") && over.stderr.contains("ccc resume"), "{}", over.stderr);
    let none = world.run(&["stop", "20200101"]);
    none.assert_code(2);
    assert!(none.stderr.contains("no run `20200101`"), "{}", none.stderr);
    let empty = world.run(&["send", "last", "  "]);
    empty.assert_code(2);
}

#[test]
fn the_run_of_a_command_is_watched_and_ended_and_takes_no_words() {
    let world = waiting();
    let command = format!("echo begun > {home}/begun; exec sleep 600", home = world.ground.home().display());
    let mut started = world.ccc(&["supervise", "--no-tokens", "--", "sh", "-c", &command]);
    let running = Running::spawn(&world.ground, &mut started);
    world.until_file("begun");
    let mut client = Raw::greeted(&world, false);
    let Reply::Status(status) = client.call(&Request::Status {}) else { panic!("no status") };
    assert!(status.caps.iter().any(|cap| cap == "stop") && !status.caps.iter().any(|cap| cap == "say"), "{status:?}");
    let words = world.run(&["send", "last", "Hello."]);
    words.assert_code(1);
    assert!(words.stderr.contains("this run supervises a command"), "{}", words.stderr);
    assert!(matches!(client.call(&follow()), Reply::Following { .. }));
    world.run(&["stop", "last", "--wait"]).assert_code(0);
    assert!(matches!(client.rest().last(), Some(FromRun::Event(Event::End { finish: Some(_) }))));
    let ended = running.wait();
    assert_ne!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn the_list_of_runs_says_which_can_be_reached() {
    let world = waiting();
    let running = begun(&world);
    let live = |world: &World| {
        let listed = world.run(&["runs", "--live", "--json"]);
        listed.assert_code(0);
        let runs: Value = serde_json::from_str(&listed.stdout).expect("JSON");
        runs[0]["live"].clone()
    };
    assert_eq!(live(&world), serde_json::json!({"reachable": true, "attending": 0, "asks": [], "open": []}));
    let attending = Raw::greeted(&world, true);
    assert_eq!(live(&world)["attending"], 1);
    drop(attending);
    // Its socket is not there: it is going on all the same. A name that is gone alone would be there again at once.
    let path = super::socket(&world).parent().expect("a directory").to_owned();
    let aside = path.with_extension("aside");
    std::fs::rename(&path, &aside).expect("renamed");
    assert_eq!(live(&world)["reachable"], false);
    let table = world.run(&["runs", "--live"]);
    assert!(table.stdout.contains("working, unreachable"), "{}", table.stdout);
    std::fs::rename(&aside, &path).expect("renamed back");
    go(&world);
    running.end().assert_code(0);
    assert_eq!(live(&world), Value::Null, "a run that has ended is not listed");
    assert_eq!(live(&world), Value::Null);
}

#[test]
fn settings_are_changed_in_mid_run_and_a_critic_is_called_for() {
    let world = waiting();
    let running = begun(&world);
    let mut client = Raw::greeted(&world, true);
    assert_eq!(client.call(&Request::Set(Change::Supervisor(false))), Reply::Done);
    assert_eq!(client.call(&Request::Set(Change::Model("opus".to_owned()))), Reply::Done);
    let none = client.call(&Request::Set(Change::Model("m".repeat(200))));
    assert!(matches!(&none, Reply::Fault(fault) if fault.code == Code::Refused), "{none:?}");
    world.until_entry("the other model", |entry| {
        action(entry, "set_model").is_some_and(|model| model["model"] == "opus")
    });
    go(&world);
    look_until("an unjudged rest", || {
        let Reply::Status(status) = client_of(&world).call(&Request::Status {}) else { return None };
        let mut shown = status.standing();
        shown.any(|show| matches!(show, Show::Rests { why: RestKind::Unsupervised, .. })).then_some(())
    });
    let critics = |entries: &[Value]| {
        let spawned = entries.iter().filter_map(|entry| action(entry, "spawn"));
        spawned.filter(|spawn| spawn["role"] == "critic").count()
    };
    assert_eq!(critics(&journal(&world.run_dir())), 0, "nothing is judged");
    assert_eq!(client.call(&Request::Judge {}), Reply::Done);
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(critics(&ended.journal()), 1);
}

#[test]
fn another_token_is_taken_when_a_client_asks_for_it() {
    let ground = with_oauth(Ground::without_git(), 2);
    let world = World::on(ground, &Value::Null);
    world.play(&script_that_waits(&world));
    let running = begun(&world);
    let mut client = Raw::greeted(&world, false);
    let none = client.call(&Request::Rotate { to: Some("nobody's".to_owned()) });
    assert!(matches!(&none, Reply::Fault(fault) if fault.message.contains("no such token")), "{none:?}");
    assert!(matches!(client.call(&follow()), Reply::Following { .. }));
    assert_eq!(client.call(&Request::Rotate { to: None }), Reply::Done);
    go(&world);
    let ended = running.end();
    ended.assert_code(0);
    let rotated = ended.of_type("rotation");
    assert_eq!(rotated.len(), 1, "{}", ended.stdout);
    assert!(rotated[0]["to"].to_string().contains("[2]"), "{rotated:?}");
    world.assert_said_once(&[TASK]);
}

#[test]
fn a_client_that_goes_away_for_a_while_does_not_attend() {
    let world = waiting();
    let running = begun(&world);
    let attending = || {
        let reply = client_of(&world).call(&Request::Status {});
        let Reply::Status(status) = reply else { panic!("{reply:?}") };
        status.attending
    };
    let mut client = Raw::greeted(&world, true);
    assert_eq!(attending(), 1);
    assert_eq!(client.call(&Request::Away {}), Reply::Done);
    assert_eq!(attending(), 0);
    assert_eq!(client.call(&Request::Back {}), Reply::Done);
    assert_eq!(attending(), 1);
    // Each of it is a fact of the run.
    let told = |clients: u64| {
        move |entry: &Value| input(entry, "operator").is_some_and(|operator| operator["attended"]["clients"] == clients)
    };
    world.until_entry("its coming", told(1));
    go(&world);
    running.end().assert_code(0);
}

#[test]
fn a_run_whose_socket_was_removed_is_reached_again() {
    let world = waiting();
    let running = begun(&world);
    let first = super::socket(&world);
    let mut before = Raw::greeted(&world, false);
    std::fs::remove_file(&first).expect("removed");
    // It may be there again by now, and that it is gone is seen, too.
    let _ = std::fs::remove_file(world.run_dir().join("control.json"));
    look_until("another socket", || UnixStream::connect(super::socket(&world)).is_ok().then_some(()));
    assert!(matches!(before.call(&Request::Status {}), Reply::Status(_)), "a connection stays");
    world.run(&["send", "last", "Use tabs."]).assert_code(0);
    go(&world);
    running.end().assert_code(0);
    world.assert_said_once(&[TASK, "Use tabs."]);
}

/// Another client, which asks one thing.
fn client_of(world: &World) -> Raw {
    Raw::greeted(world, false)
}

#[test]
fn a_follower_ends_when_its_reader_has_gone_although_nothing_happens() {
    let world = waiting();
    let running = begun(&world);
    for json in [false, true] {
        let mut args = vec!["follow", "last", "--since", "0"];
        args.extend(json.then_some("--json"));
        let mut follower = world.ccc(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("ccc follow");
        let mut lines = BufReader::new(follower.stdout.take().expect("stdout")).lines();
        lines.next().expect("history").expect("text");
        drop(lines);
        assert!(follower.wait().expect("it ends").success(), "json: {json}");
    }
    go(&world);
    running.end().assert_code(0);
}

#[test]
fn what_is_said_is_followed_word_by_word_and_told_once() {
    for json in [false, true] {
        let world = World::new(&Value::Null);
        let said = "The first line of it.\nThe second line of it.\nAnd the end";
        world.play(&serde_json::json!({
            "agent": [[{"say": "I begin."}, waits_for_go(&world), {"think": "It is nearly done, I think."}, {"say": said}]],
            "critic": [[{"say": "All is there.\n\n[TASK_COMPLETED]"}]],
        }));
        let running = begun(&world);
        let mut args = vec!["follow", "last", "--words", "--since", "0"];
        args.extend(json.then_some("--json"));
        let mut follower = world.ccc(&args).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("ccc follow");
        let mut lines = BufReader::new(follower.stdout.take().expect("stdout")).lines();
        let mut all = lines.next().expect("history").expect("text");
        go(&world);
        for line in lines {
            all.push('\n');
            all.push_str(&line.expect("text"));
        }
        assert!(follower.wait().expect("it ends with the run").success());
        running.end().assert_code(0);
        if json {
            let events: Vec<Value> = all.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            let words = |role: &str, kind: &str| {
                let of = events.iter().filter(|it| it["type"] == "words" && it["role"] == role && it["kind"] == kind);
                of.filter_map(|it| it["text"].as_str()).collect::<String>()
            };
            // The last word follows with the whole.
            assert!(said.starts_with(&words("agent", "text")) && !words("agent", "text").is_empty(), "{all}");
            assert!("It is nearly done, I think.".starts_with(&words("agent", "thinking")), "{all}");
            assert!(!words("agent", "thinking").is_empty(), "{all}");
        }
        for line in ["The first line of it.", "The second line of it.", "And the end"] {
            let of_events = |line: &&str| !line.contains("\"type\":\"words\"") && !line.contains("\"type\":\"result\"");
            let text: String = all.lines().filter(of_events).collect::<Vec<_>>().join("\n");
            assert_eq!(text.matches(line).count(), 1, "{line}: {all}");
        }
    }
}

#[test]
fn a_client_that_joins_hears_the_bounds_in_force() {
    let world = waiting();
    let running = begun(&world);
    let bounds = |world: &World| {
        let Reply::Status(status) = Raw::greeted(world, false).call(&Request::Status {}) else { panic!("no status") };
        status.bounds.map(|bounds| bounds.max_iterations)
    };
    assert_eq!(bounds(&world), Some(20));
    let more = Budgets { max_iterations: 50, ..Budgets::DEFAULT };
    assert_eq!(Raw::greeted(&world, false).call(&Request::Set(Change::Budgets(more))), Reply::Done);
    assert_eq!(bounds(&world), Some(50));
    // And what was set in mid-run is no change of the configuration.
    world.run(&["stop", "last", "--wait"]).assert_code(0);
    running.end().assert_code(130);
    go(&world);
    let resumed = world.run(&["resume", "last"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", resumed.stderr);
    assert!(!resumed.stderr.contains("changed since"), "{}", resumed.stderr);
}

#[test]
fn what_is_sent_to_a_run_that_cannot_write_its_journal_is_not_safe() {
    let world = World::new(&Value::Null);
    world.play(&serde_json::json!({
        "agent": [[{"say": "a long text ".repeat(20_000)}, waits_for_go(&world), {"say": "Done."}], [{"say": "Tabs."}]],
        "critic": vec![serde_json::json!([{"say": "All is there.\n\n[TASK_COMPLETED]"}]); 3],
    }));
    let mut limited = through_shell(&world, "ulimit -f 128; exec \"$@\"", &world.command(&[]));
    let running = Running::spawn(&world.ground, &mut limited);
    world.until_file("begun");
    let sent = world.run(&["send", "last", "Use tabs."]);
    sent.assert_code(1);
    assert!(sent.stderr.contains("but not recorded"), "{}", sent.stderr);
    go(&world);
    running.wait();
}
