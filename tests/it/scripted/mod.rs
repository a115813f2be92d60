//! The scripted agent as a process, held against what was measured of the real one.

mod agent;
mod shapes;

use std::os::unix::process::ExitStatusExt;

use rustix::process::Signal;
use serde_json::Value;

use crate::doc_pages as pages;
use agent::{Agent, Ended, Place, SESSION, kinds};

const TWO_TURNS: &str = r#"{"agent":[[{"say":"first"}],[{"say":"second"}]]}"#;

fn result_of(messages: &[Value]) -> &Value {
    messages.iter().find(|message| message["type"] == "result").expect("a result")
}

fn code(ended: &Ended) -> Option<i32> {
    ended.status.code()
}

/// Plays one turn to its end in a process that has begun.
fn play(agent: &mut Agent, uuid: &str) -> Vec<Value> {
    agent.turn(uuid, "go on");
    agent.until_idle()
}

#[test]
fn a_text_turn_in_both_versions_shapes() {
    let place = Place::new(TWO_TURNS);
    let mut agent = place.begin();
    let messages = play(&mut agent, "u1");
    assert_eq!(
        kinds(&messages),
        [
            "system/session_state_changed running",
            "command_lifecycle queued",
            "command_lifecycle started",
            "system/init",
            "user replay",
            "assistant",
            "result/success",
            "command_lifecycle completed",
            "system/session_state_changed idle",
        ]
    );
    let result = result_of(&messages);
    assert_eq!((result["result"].as_str(), result["user_message_uuids"][0].as_str()), (Some("first"), Some("u1")));
    assert_eq!(messages[3]["session_id"], SESSION);
    assert_eq!(result_of(&play(&mut agent, "u2"))["result"], "second");
    let ended = agent.end();
    assert_eq!((code(&ended), ended.rest.len()), (Some(0), 0));

    let older = Place::speaking("2.1.197", TWO_TURNS);
    let mut agent = older.begin();
    let messages = play(&mut agent, "u1");
    assert_eq!(
        kinds(&messages),
        [
            "system/session_state_changed running",
            "system/init",
            "user replay",
            "assistant",
            "result/success",
            "system/session_state_changed idle",
        ]
    );
    assert!(result_of(&messages).get("user_message_uuids").is_none());
    assert_eq!(code(&agent.end()), Some(0));
}

#[test]
fn a_uuid_reaches_the_model_once_within_a_process_and_across_a_resume() {
    let place = Place::new(TWO_TURNS);
    let mut agent = place.begin();
    play(&mut agent, "u1");
    agent.turn("u1", "go on");
    assert_eq!(kinds(&agent.until("user replay of a duplicate")), ["user replay of a duplicate"]);
    assert_eq!(code(&agent.end()), Some(0));

    let mut agent = place.resume();
    agent.turn("u1", "go on");
    assert_eq!(
        kinds(&agent.until_idle()),
        ["user replay of a duplicate", "command_lifecycle completed", "system/session_state_changed idle"]
    );
    assert_eq!(result_of(&play(&mut agent, "u2"))["result"], "second", "the duplicate was no turn");
    assert_eq!(code(&agent.end()), Some(0));
}

#[test]
fn sessions_that_exist_or_do_not_are_refused_in_the_real_words() {
    let place = Place::new(TWO_TURNS);
    let ended = place.resume().end();
    assert_eq!(
        (code(&ended), ended.stderr.trim()),
        (Some(1), &*format!("No conversation found with session ID: {SESSION}"))
    );
    assert!(ended.rest[0].contains("error_during_execution"), "{:?}", ended.rest);
    let mut agent = place.begin();
    play(&mut agent, "u1");
    agent.end();
    let ended = place.begin().end();
    assert_eq!(
        (code(&ended), ended.stderr.trim(), ended.rest.len()),
        (Some(1), &*format!("Error: Session ID {SESSION} is already in use."), 0)
    );
    let ended = place.start(&["--no-such-option"]).end();
    assert_eq!((code(&ended), ended.stderr.trim()), (Some(1), "error: unknown option '--no-such-option'"));
}

#[test]
fn a_critic_sees_the_session_leaves_no_trace_and_may_not_write() {
    let place = Place::new(
        r#"{"agent":[[{"say":"done"}]],"critic":[
            [{"tool":{"name":"Write","real":true,"input":{"file_path":"a","content":"x"}}},{"say":"one"}],
            [{"say":"two"}]]}"#,
    );
    let mut agent = place.begin();
    play(&mut agent, "u1");
    let before = place.files_at_home();
    let mut critic = place.critic();
    let messages = play(&mut critic, "brief");
    assert_ne!(messages[0]["session_id"], SESSION);
    assert_eq!(result_of(&messages)["permission_denials"][0]["tool_name"], "Write");
    assert!(kinds(&messages).contains(&"system/permission_denied".to_owned()));
    assert!(!place.project().join("a").exists(), "it was not allowed to write");
    assert_eq!(code(&critic.end()), Some(0));
    let count = format!("{SESSION}.critics");
    let after: Vec<String> = place.files_at_home().into_iter().filter(|name| *name != count).collect();
    assert_eq!(after, before, "no transcript of the fork");
    let mut critic = place.critic();
    assert_eq!(result_of(&play(&mut critic, "brief"))["result"], "two", "critics are counted over processes");
    critic.end();
    assert_eq!(code(&agent.end()), Some(0));
}

#[test]
fn a_crash_in_a_tool_is_a_real_one_and_the_resumed_session_goes_on() {
    let place = Place::new(
        r#"{"agent":[[{"tool":{"name":"Bash","open":true,"input":{"command":"make"}}},{"crash":{"signal":9}}],[{"say":"resumed"}]]}"#,
    );
    let mut agent = place.begin();
    agent.turn("u1", "go on");
    agent.until("assistant");
    let ended = agent.wait();
    assert_eq!((ended.status.signal(), ended.rest.len()), (Some(9), 0));
    let mut agent = place.resume();
    agent.turn("u1", "go on");
    assert_eq!(kinds(&agent.until_idle())[0], "user replay of a duplicate", "it had reached the model");
    assert_eq!(result_of(&play(&mut agent, "u2"))["result"], "resumed");
    agent.end();
}

#[test]
fn a_turn_that_was_cut_off_from_outside_is_played_again() {
    let place = Place::new(r#"{"agent":[[{"say":"begun"},{"sleep_ms":600000}]]}"#);
    let mut agent = place.begin();
    agent.turn("u1", "go on");
    agent.until("assistant");
    agent.signal(Signal::KILL);
    assert_eq!(agent.wait().status.signal(), Some(9));
    let mut agent = place.resume();
    agent.turn("u2", "continue");
    let messages = agent.until("assistant");
    assert_eq!(messages.last().expect("a message")["message"]["content"][0]["text"], "begun");
    agent.signal(Signal::KILL);
    agent.wait();
}

#[test]
fn signals_end_it_as_they_end_the_real_one() {
    for (signal, expected) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 0)] {
        let place = Place::new(r#"{"agent":[[{"say":"begun"},"stall"]]}"#);
        let mut agent = place.begin();
        agent.turn("u1", "go on");
        agent.until("assistant");
        agent.signal(signal);
        let ended = agent.wait();
        assert_eq!(code(&ended), Some(expected), "{signal:?}");
        let told = ended.rest.iter().any(|line| line.contains("[Request interrupted by user]"));
        assert_eq!(told, signal == Signal::INT, "only SIGINT is told: {:?}", ended.rest);
    }
}

#[test]
fn an_agent_that_ignores_signals_and_hangs_can_only_be_killed() {
    let place =
        Place::new(r#"{"agent":[["ignore_signals",{"say":"deaf"},{"sleep_ms":200},{"say":"still here"},"stall"]]}"#);
    let mut agent = place.begin();
    agent.turn("u1", "go on");
    agent.until("assistant");
    agent.signal(Signal::TERM);
    agent.signal(Signal::INT);
    agent.close();
    assert_eq!(kinds(&agent.until("assistant")), ["assistant"], "it goes on");
    agent.signal(Signal::KILL);
    assert_eq!(agent.wait().status.signal(), Some(9));
}

#[test]
fn an_interrupt_ends_the_turn_and_not_the_process() {
    let place = Place::new(r#"{"agent":[[{"say":"begun"},{"sleep_ms":600000}]]}"#);
    let mut agent = place.begin();
    agent.turn("u1", "go on");
    agent.until("assistant");
    agent.write(r#"{"type":"control_request","request_id":"i1","request":{"subtype":"interrupt"}}"#);
    let messages = agent.until_idle();
    assert_eq!(messages[0]["response"]["request_id"], "i1");
    let result = result_of(&messages);
    assert_eq!(
        (result["subtype"].as_str(), result["terminal_reason"].as_str()),
        (Some("error_during_execution"), Some("aborted_streaming"))
    );
    assert_eq!(code(&agent.end()), Some(1), "the last result was an error");
}

#[test]
fn a_background_command_brings_a_turn_of_its_own_and_holds_the_end_up() {
    let place = Place::new(
        r#"{"agent":[[{"background":{"ms":150,"command":"make all","then":[{"say":"built"}]}},{"say":"waiting"}]]}"#,
    );
    let mut agent = place.begin();
    let first = play(&mut agent, "u1");
    assert_eq!(result_of(&first)["result"], "waiting");
    agent.close();
    let second = agent.until_idle();
    assert_eq!(
        kinds(&second)[..5],
        [
            "system/task_updated",
            "system/task_notification completed",
            "system/background_tasks_changed",
            "system/session_state_changed running",
            "system/init"
        ]
    );
    assert_eq!(result_of(&second)["origin"]["kind"], "task-notification");
    assert_eq!(code(&agent.wait()), Some(0));
}

#[test]
fn limits_and_failures_are_told_in_fields_and_the_process_lives_on() {
    let place = Place::new(
        r#"{"agent":[[{"limit":{"resets_in_s":3600}}],[{"retry":{"attempts":2,"status":529,"delay_ms":1}},{"api_error":{"status":500}}],[{"say":"well again"}]]}"#,
    );
    let mut agent = place.begin();
    let messages = play(&mut agent, "u1");
    let limit = messages.iter().find(|message| message["type"] == "rate_limit_event").expect("an event");
    assert_eq!(limit["rate_limit_info"]["status"], "rejected");
    assert!(limit["rate_limit_info"]["resetsAt"].is_i64());
    let result = result_of(&messages);
    assert_eq!(
        (&result["subtype"], &result["is_error"], &result["api_error_status"]),
        (&"success".into(), &true.into(), &429.into())
    );
    let messages = play(&mut agent, "u2");
    assert_eq!(kinds(&messages).iter().filter(|kind| *kind == "system/api_retry").count(), 2);
    assert_eq!(result_of(&messages)["terminal_reason"], "api_error");
    assert_eq!(result_of(&play(&mut agent, "u3"))["is_error"], false);
    assert_eq!(code(&agent.end()), Some(0));
}

#[test]
fn real_tools_write_edit_and_run() {
    let place = Place::new(
        r#"{"agent":[[
            {"tool":{"name":"Write","real":true,"input":{"file_path":"sub/a.txt","content":"one two\n"}}},
            {"tool":{"name":"Edit","real":true,"input":{"file_path":"sub/a.txt","old_string":"two","new_string":"three"}}},
            {"tool":{"name":"Bash","real":true,"input":{"command":"cat sub/a.txt; echo err >&2; exit 3"}}},
            {"say":"ran"}]]}"#,
    );
    let mut agent = place.begin();
    let messages = play(&mut agent, "u1");
    assert_eq!(std::fs::read_to_string(place.project().join("sub/a.txt")).expect("a file"), "one three\n");
    let last = messages.iter().rev().find(|message| message.get("tool_use_result").is_some()).expect("a tool result");
    let block = &last["message"]["content"][0];
    assert_eq!((&block["content"], &block["is_error"]), (&"Exit code 3\none three\nerr".into(), &true.into()));
    agent.end();
}

#[test]
fn odd_output_is_written_as_it_is() {
    let place = Place::new(
        r#"{"agent":[[{"garbage":"%% not JSON"},{"huge_line":1000000},"half_line",{"say":"after half a line"}]]}"#,
    );
    let mut agent = place.begin();
    agent.turn("u1", "go on");
    agent.until("system/init");
    assert_eq!(agent.line(), "%% not JSON\n");
    agent.until("user replay");
    assert!(agent.line().len() > 1_000_000);
    let torn = agent.line();
    assert!(serde_json::from_str::<Value>(&torn).is_err() && torn.contains("after half a line"), "{torn}");
    agent.until_idle();
    agent.end();
}

#[test]
fn what_kills_the_real_one_on_its_stdin_kills_it_too() {
    for (line, version, expected) in [
        ("{bad", "2.1.332", Some(1)),
        ("null", "2.1.332", Some(1)),
        ("   ", "2.1.197", Some(1)),
        ("   ", "2.1.332", Some(0)),
        ("", "2.1.197", Some(0)),
        (r#"{"type":"news"}"#, "2.1.332", Some(0)),
        (r#"{"type":"user","message":{"role":"assistant","content":"x"}}"#, "2.1.332", Some(1)),
    ] {
        let place = Place::speaking(version, TWO_TURNS);
        let mut agent = place.begin();
        agent.write(line);
        assert_eq!(code(&agent.end()), expected, "{line:?} in {version}");
    }
}

#[test]
fn messages_that_wait_are_merged_under_the_last_uuid() {
    let place = Place::new(r#"{"agent":[[{"say":"slow"},{"sleep_ms":300},{"say":"end"}],[{"say":"both"}]]}"#);
    let mut agent = place.begin();
    agent.turn("u1", "one");
    agent.until("assistant");
    agent.turn("u2", "two");
    agent.turn("u3", "three");
    agent.until("result/success");
    let messages = agent.until_idle();
    let merged = messages.iter().rev().find(|message| message["type"] == "user").expect("a replay");
    assert_eq!((&merged["uuid"], &merged["message"]["content"][0]["text"]), (&"u3".into(), &"two\nthree".into()));
    assert_eq!(result_of(&messages)["user_message_uuids"], serde_json::json!(["u2", "u3"]));
    agent.end();
}

#[test]
fn the_built_in_night_is_a_night_that_goes_through_everything() {
    let place = tempfile::tempdir().expect("a directory");
    let output = std::process::Command::new(crate::program::ccc())
        .args(["demo", "--output-format", "json"])
        .env("TMPDIR", place.path())
        .env("CCC_STATE_DIR", place.path().join("state"))
        .env("CCC_SCRIPTED_SPEED", "50")
        .stdin(std::process::Stdio::null())
        .output()
        .expect("the program");
    let text = String::from_utf8_lossy(&output.stdout);
    let result: Value = serde_json::from_str(text.trim()).unwrap_or_else(|error| {
        panic!("{error}: {text}\n{}", String::from_utf8_lossy(&output.stderr));
    });
    assert_eq!(
        (&result["outcome"], &result["iterations"], &result["restarts"], &result["rotations"]),
        (&"completed".into(), &3.into(), &2.into(), &1.into()),
        "{result}"
    );
    assert_eq!(output.status.code(), Some(0));
    let state = place.path().join("state");
    let runs = std::fs::read_dir(state.join("runs")).expect("runs").flatten();
    let runs: Vec<_> = runs.map(|entry| entry.path()).collect();
    assert_eq!(runs.len(), 1, "{runs:?}");
    let unknown = [not_on_the_page(&state, pages::STATE), not_on_the_page(&runs[0], pages::RUN)].concat();
    assert!(unknown.is_empty(), "add them to FILES in tests/it/doc_pages.rs: {unknown:?}");
}

/// What lies in this directory and is not named in this table of `docs/files.md`.
fn not_on_the_page(dir: &std::path::Path, title: &str) -> Vec<String> {
    let table = pages::FILES.iter().find(|group| group.title == title).expect("a table");
    let fits = |name: &str| {
        table.rows.iter().any(|(row, _)| match row.strip_suffix('*') {
            Some(begin) => name.starts_with(begin),
            None => row.trim_end_matches('/') == name,
        })
    };
    let entries = std::fs::read_dir(dir).expect("listed").flatten();
    let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !fits(name)).collect()
}
