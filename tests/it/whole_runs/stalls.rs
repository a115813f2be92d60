//! Hangs of every kind, noticed within a second of their limit by the journal's own ticks, and the silences that are none.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{
    Ended, Ground, Running, action, approval, bash, input, is_alive, journal, look_until, script, send, text,
};
use super::requests::{agents, user_texts};
use crate::scripted_api::{Block, Ending, Message, Reply, ScriptedApi};

const TASK: &str = "Write a haiku about patience";
/// What a decision may take beyond the limit.
const WITHIN_US: u64 = 1_000_000;

fn said(text: &str) -> Reply {
    Reply::text(text)
}

fn stalled(after_deltas: usize) -> Reply {
    let blocks = vec![Block::text("I begin and then nothing more comes")];
    Reply::Message(Message { blocks, chunks: 4, ending: Ending::Stall { after_deltas }, ..Message::default() })
}

/// Whether a line carries progress, apart from what the adapter thinks: timers of the CLI's and states do not.
fn carries(line: &Value) -> bool {
    let of = |member: &str| line.pointer(&format!("/line/json/{member}")).and_then(Value::as_str);
    match of("type") {
        Some("assistant") => of("message/content/0/text") != Some(""),
        Some("user" | "result") => true,
        // A text that begins is empty.
        Some("stream_event") => {
            of("event/content_block/type") != Some("text") && of("event/type") != Some("content_block_stop")
        }
        _ => of("subtype") == Some("init"),
    }
}

/// For each process that was ended because it hung, microseconds from its deadline to the decision. The deadline is the last
/// progress of the process and the limit.
fn detections_us(entries: &[Value], limit_ms: u64) -> Vec<i64> {
    let mut proc = Value::Null;
    let mut last_us = 0;
    let mut found = Vec::new();
    for entry in entries {
        let at_us = entry["t"].as_u64().unwrap_or_default();
        if let Some(spawn) = action(entry, "spawn").filter(|spawn| spawn["role"] == "agent") {
            proc = spawn["proc"].clone();
        }
        let moved = input(entry, "progress").or_else(|| input(entry, "line").filter(|line| carries(line)));
        if moved.is_some_and(|fact| fact["proc"] == proc) || action(entry, "send").is_some() {
            last_us = at_us;
        }
        if action(entry, "decide").is_some_and(|decision| decision["what"] == "end the agent's process") {
            found.push(i64::try_from(at_us).unwrap() - i64::try_from(last_us + limit_ms * 1_000).unwrap());
        }
    }
    found
}

/// What holds after each stall: restarted once on the same session, the task said once, approved; noticed in time.
fn assert_noticed_and_gone_on(ended: &Ended<'_>, api: &ScriptedApi, limit_ms: u64, during: &str) {
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 1, "{}", ended.stdout);
    assert_eq!(ended.verdicts(), ["completed"]);
    let entries = ended.journal();
    let detected = detections_us(&entries, limit_ms);
    assert_eq!(detected.len(), 1, "{:#?}", ended.decisions());
    assert!((0..=WITHIN_US as i64).contains(&detected[0]), "noticed {} us after the limit", detected[0]);
    println!("noticed {} us after the limit", detected[0]);
    let why = ended.decisions().into_iter().find(|why| why.starts_with("end the agent's process")).unwrap();
    assert!(why.contains(during), "{why}");
    let session = text(&ended.result()["session_id"]);
    let starts: Vec<String> = entries
        .iter()
        .filter_map(|entry| action(entry, "spawn").filter(|spawn| spawn["role"] == "agent"))
        .map(|spawn| spawn["launch"]["args"].to_string())
        .collect();
    assert!(starts.len() == 2 && starts.iter().all(|args| args.contains(&session)), "{starts:#?}");
    assert!(starts[1].contains("--resume"), "{starts:#?}");
    let requests = api.requests();
    let last = agents(&requests).pop().expect("a request of the agent");
    let texts = user_texts(&last.body);
    assert_eq!(texts.iter().filter(|said| said.contains(TASK)).count(), 1, "the task stands once: {texts:#?}");
}

fn hang(cli: &crate::real_cli::RealCli, reply: Reply) {
    let ground = Ground::new().env("CCC_GRACE", "1s");
    let api = ScriptedApi::start(script(vec![reply, said("Done.")], vec![approval()])).unwrap();
    let args = ["-p", TASK, "--stall-timeout", "3s", "--", "--dangerously-skip-permissions"];
    let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
    assert_noticed_and_gone_on(&ended, &api, 3_000, "while waiting for the model");
}

on_both! {
    fn a_provider_that_never_answers_is_noticed_in_time(cli) {
        hang(cli, Reply::StallBeforeHeaders);
    }

    fn a_stream_that_stops_in_its_middle_is_noticed_in_time(cli) {
        hang(cli, stalled(2));
    }

    fn a_stream_without_a_first_event_is_noticed_in_time(cli) {
        hang(cli, stalled(0));
    }

    fn pieces_without_a_character_are_no_progress(cli) {
        let empty = Message { blocks: vec![Block::text(""); 20], chunk_delay_ms: 1_000, ..Message::default() };
        hang(cli, Reply::Message(empty));
    }

    fn a_tool_that_hangs_is_noticed_in_time_and_nothing_of_it_is_left(cli) {
        let ground = Ground::new().env("CCC_GRACE", "1s");
        let tool = "setsid sh -c 'echo $$ > grandchild.pid; exec tail -f /dev/null' & echo $$ > shell.pid; tail -f /dev/null";
        let api = ScriptedApi::start(script(vec![bash(tool), said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", TASK, "--tool-timeout", "4s", "--", "--dangerously-skip-permissions"];
        let mut running = ground.supervise(&api.base_url(), &cli.path, &args);
        let pid = |name: &str| look_until(name, || std::fs::read_to_string(ground.project().join(name)).ok()?.trim().parse::<u32>().ok());
        let (shell, grandchild) = (pid("shell.pid"), pid("grandchild.pid"));
        running.until("the restart", |event| event["type"] == "phase" && event["phase"] == "restarting");
        assert!(!is_alive(shell) && !is_alive(grandchild), "the tool outlived the agent");
        let ended = running.end();
        assert_noticed_and_gone_on(&ended, &api, 4_000, "while the tool Bash was running");
    }

    fn a_tool_within_its_declared_time_a_retry_and_background_work_are_no_stalls(cli) {
        let ground = Ground::new();
        // Each lasts longer than the stall limit: a tool that said so, four announced retries (0.5, 1, 2 and 4 s apart),
        // a background command.
        let declared = Reply::tool("Bash", json!({"command": "timeout 5 tail -f /dev/null; echo slept", "timeout": 20_000}));
        let overloaded = || Reply::error(529, "overloaded_error", "Overloaded");
        let background = Reply::tool(
            "Bash",
            json!({"command": "timeout 6 tail -f /dev/null; echo woke", "run_in_background": true, "timeout": 60_000}),
        );
        let agent = vec![
            declared, overloaded(), overloaded(), overloaded(), overloaded(),
            background, said("It runs."), said("It has ended."),
        ];
        let api = ScriptedApi::start(script(agent, vec![approval()])).unwrap();
        let args = ["-p", TASK, "--stall-timeout", "3s", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0, "honest work was killed: {:#?}", ended.decisions());
        assert_eq!(agents(&api.requests()).len(), 8, "{:#?}", ended.decisions());
        assert_eq!(ended.result()["result"], "It has ended.", "the background work was waited for");
    }

    fn a_hook_of_the_users_may_be_silent_for_longer_than_the_stall_limit(cli) {
        let ground = Ground::new();
        let slow = |seconds: u32| json!([{"hooks": [{"type": "command", "command": format!("timeout {seconds} tail -f /dev/null; exit 0")}]}]);
        ground.user_settings(&json!({"hooks": {"SessionStart": slow(4), "Stop": slow(5)}}));
        let api = ScriptedApi::start(script(vec![said("Done.")], vec![approval()])).unwrap();
        let args = ["-p", TASK, "--stall-timeout", "3s", "--", "--dangerously-skip-permissions"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0, "honest work was killed: {:#?}", ended.decisions());
        assert_eq!(ended.verdicts(), ["completed"], "nor was the critic taken for hung");
    }

    fn a_permission_that_is_asked_for_is_denied_and_the_turn_goes_on(cli) {
        let ground = Ground::new();
        let api = ScriptedApi::start(script(vec![bash("touch made.txt"), said("I could not.")], vec![approval()])).unwrap();
        let args = ["-p", TASK, "--stall-timeout", "20s", "--", "--permission-prompt-tool", "stdio"];
        let ended = ground.supervise(&api.base_url(), &cli.path, &args).end();
        ended.assert_code(0);
        assert_eq!(ended.result()["restarts"], 0);
        assert!(!ground.project().join("made.txt").exists());
        let requests = api.requests();
        assert!(agents(&requests)[1].body.to_string().contains("this run is unattended"), "the model reads why");
        assert_eq!(ended.of_type("denied").len(), 1, "{}", ended.stdout);
        let answers = ended.journal().iter().filter(|entry| action(entry, "answer").is_some()).count();
        assert_eq!(answers, 1);
    }
}

#[test]
fn a_program_that_is_no_agent_is_named_at_its_first_start() {
    for program in ["/bin/ls", "/bin/true", "/bin/cat"] {
        let ground = Ground::without_git();
        let ended = ground.supervise("http://127.0.0.1:9", program.as_ref(), &["-p", "do it"]).end();
        ended.assert_code(1);
        assert!(ended.reason().contains("is no agent that ccc can drive"), "{}", ended.reason());
        assert_eq!(ended.result()["restarts"], 0);
    }
    // One that prints other things for as long as a start may take.
    let ground = Ground::without_git().env("CCC_START_TIMEOUT", "2s").env("CCC_GRACE", "500ms");
    let chatter = ground.script("chatter", "[ \"$1\" = --version ] && exit; echo welcome; exec tail -f /dev/null");
    let ended = ground.supervise("http://127.0.0.1:9", &chatter, &["-p", "do it"]).end();
    ended.assert_code(1);
    assert!(ended.reason().contains("is no agent that ccc can drive"), "{}", ended.reason());
    assert_eq!(ended.result()["restarts"], 0);
}

fn heartbeat(running: &Running<'_>, ground: &Ground) -> Option<Value> {
    let text = std::fs::read_to_string(ground.runs().pop()?.join("heartbeat.json")).ok()?;
    let beat: Value = serde_json::from_str(&text).expect("never half a file");
    assert_eq!(beat["pid"], running.pid());
    Some(beat)
}

#[test]
fn the_heart_beats_at_each_phase_and_while_nothing_happens() {
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({"agent": [[{"say": "I begin."}, "stall"]], "critic": []}));
    let mut running = ground.supervise("http://127.0.0.1:9", &program, &["-p", TASK]);
    running.until("text", |event| event["type"] == "text");
    let working = look_until("the phase", || heartbeat(&running, &ground).filter(|beat| beat["phase"] == "working"));
    // Nothing happens now, and it beats.
    let mut last = working["unix_ts"].as_u64().unwrap();
    for _ in 0..2 {
        let next =
            look_until("the next beat", || heartbeat(&running, &ground)?["unix_ts"].as_u64().filter(|&at| at > last));
        assert!(next - last <= 6, "{} s between two beats", next - last);
        last = next;
    }
    running.signal(rustix::process::Signal::INT);
    let ended = running.end();
    ended.assert_code(130);
    let run = ended.run_dir();
    let last: Value = serde_json::from_str(&std::fs::read_to_string(run.join("heartbeat.json")).unwrap()).unwrap();
    assert_eq!(last["phase"], "finished");
    assert_eq!(last["run"], run.file_name().unwrap().to_str().unwrap());
}

#[test]
fn time_in_which_the_whole_machine_stood_still_counts_for_no_limit() {
    use rustix::process::Signal;
    let ground = Ground::new();
    let program = ground.scripted_agent(&json!({
        "agent": [[{"say": "I begin."}, {"sleep_ms": 200}, {"say": "Done."}]],
        "critic": [[{"say": "[TASK_COMPLETED]"}]],
    }));
    let running = ground.supervise("http://127.0.0.1:9", &program, &["-p", TASK, "--stall-timeout", "20s"]);
    let agent = running.child_pid("agent");
    look_until("the agent's words", || {
        let entries = journal(&ground.runs().pop()?);
        entries.iter().any(|entry| entry.to_string().contains("isReplay")).then_some(())
    });
    send(agent, Signal::STOP);
    running.signal(Signal::STOP);
    let frozen = Instant::now();
    look_until("more time than the limit", || (frozen.elapsed() > Duration::from_secs(22)).then_some(()));
    let before = heartbeat(&running, &ground).expect("a heartbeat");
    running.signal(Signal::CONT);
    // The agent needs a while yet: two beats long, which is ten seconds and on a busy machine more, but less than the limit.
    let first =
        look_until("a beat", || heartbeat(&running, &ground).filter(|beat| beat["unix_ts"] != before["unix_ts"]));
    look_until("another beat", || heartbeat(&running, &ground).filter(|beat| beat["unix_ts"] != first["unix_ts"]));
    send(agent, Signal::CONT);
    let ended = running.end();
    ended.assert_code(0);
    assert_eq!(ended.result()["restarts"], 0, "{:#?}", ended.decisions());
}
