//! Runs the watch over all recordings: a process that continued by itself must not count as hung.

use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::agent::{AgentEvent, LaunchRequest, Protocol, Role, SessionOpen};
use crate::core::watch::{Overdue, Watch};
use crate::recordings::{Recording, recordings};

/// The result of a replay.
#[derive(Debug, Default, PartialEq, Eq)]
struct Count {
    recordings: u32,
    signs: u32,
    longest_silence_ms: u64,
    false_kills: Vec<String>,
}

fn protocol(role: Role) -> Box<dyn Protocol> {
    AgentKind::CLAUDE_CODE.protocol(&LaunchRequest::new(role, SessionOpen::Latest, "/project"))
}

struct Process {
    protocol: Box<dyn Protocol>,
    watch: Watch,
    last: Tick,
}

impl Process {
    fn new(role: Role, now: Tick, limits: Timeouts) -> Process {
        Process { protocol: protocol(role), watch: Watch::new(now, limits), last: now }
    }

    fn send(&mut self, now: Tick, turn: &TurnId) {
        self.protocol.turn_sent(turn);
        self.watch.asked(now);
    }

    /// It gave a sign of life at `now`: if it was overdue before, it has continued by itself.
    fn sign(&mut self, now: Tick, name: &str, count: &mut Count) {
        count.signs += 1;
        count.longest_silence_ms = count.longest_silence_ms.max(now.ms_since(self.last));
        self.last = now;
        if let Some(Overdue::Stalled(how)) = self.watch.overdue(now) {
            count.false_kills.push(format!("{name} at {} ms: {how}", now.as_ms()));
        }
    }

    fn line(&mut self, now: Tick, json: &str) {
        let mut events = Vec::new();
        self.protocol.line(json, &mut events);
        for event in events {
            self.watch.event(now, &event);
        }
    }
}

/// A run, with the ticks of its journal.
fn run(recording: &Recording, limits: Timeouts, count: &mut Count) {
    count.recordings += 1;
    let name = &recording.name;
    let mut processes: BTreeMap<u64, Process> = BTreeMap::new();
    for text in recording.text.lines() {
        let entry: Value = serde_json::from_str(text).expect("JSON");
        let Some(at_us) = entry["t"].as_u64() else { continue };
        let now = Tick(at_us);
        if let Some(spawn) = entry.pointer("/act/spawn") {
            let role = if spawn["role"] == "critic" { Role::Critic } else { Role::Agent };
            processes.insert(spawn["proc"].as_u64().expect("a number"), Process::new(role, now, limits));
        }
        let of = |pointer: &str| entry.pointer(pointer).and_then(Value::as_u64);
        if let Some(process) = of("/act/send/proc").and_then(|proc| processes.get_mut(&proc)) {
            process.send(now, &TurnId(entry["act"]["send"]["turn"].as_str().expect("a uuid").to_owned()));
        }
        if let Some(process) = of("/in/progress/proc").and_then(|proc| processes.get_mut(&proc)) {
            process.sign(now, name, count);
            process.watch.progress(now);
        }
        if let Some(process) = of("/in/line/proc").and_then(|proc| processes.get_mut(&proc)) {
            process.sign(now, name, count);
            if let Some(json) = entry.pointer("/in/line/line/json") {
                process.line(now, &json.to_string());
            }
        }
        if let Some(proc) = of("/in/exited/proc") {
            processes.remove(&proc);
        }
    }
}

/// A stream, with the times in its messages. A line without a time has the previous one's, which makes silences longer than
/// they were.
fn stream(recording: &Recording, limits: Timeouts, count: &mut Count) {
    count.recordings += 1;
    let Recording { name, text } = recording;
    let lines: Vec<(Value, &str)> =
        text.lines().filter_map(|line| Some((serde_json::from_str(line).ok()?, line))).collect();
    let unix_ms =
        |line: &Value| line["timestamp"].as_str()?.parse::<jiff::Timestamp>().ok().map(|time| time.as_millisecond());
    let Some(first_ms) = lines.iter().find_map(|(line, _)| unix_ms(line)) else { return };
    let mut turns = lines
        .iter()
        .filter(|(line, _)| line["isReplay"] == true)
        .filter_map(|(line, _)| line["uuid"].as_str().map(|uuid| TurnId(uuid.to_owned())));
    let mut process = Process::new(Role::Agent, Tick::ZERO, limits);
    let mut now = Tick::ZERO;
    for (line, text) in &lines {
        if process.protocol.is_idle()
            && let Some(turn) = turns.next()
        {
            process.send(now, &turn);
        }
        if let Some(ms) = unix_ms(line) {
            now = now.max(Tick::ZERO.plus_ms(u64::try_from(ms - first_ms).unwrap_or(0)));
        }
        process.sign(now, name, count);
        process.line(now, text);
    }
}

#[test]
fn nothing_that_was_recorded_and_went_on_by_itself_is_taken_for_hung() {
    let limits = plan().timeouts;
    let mut runs = Count::default();
    let is_agents =
        |recording: &Recording| !recording.text.lines().next().unwrap_or_default().contains(r#""kind":"command""#);
    for recording in recordings("fixtures/runs", "journal.jsonl").into_iter().filter(is_agents) {
        run(&recording, limits, &mut runs);
    }
    let mut streams = Count::default();
    for recording in recordings("fixtures/streams", ".jsonl") {
        stream(&recording, limits, &mut streams);
    }
    println!("runs: {runs:?}\nstreams: {streams:?}");
    assert!(runs.recordings >= 5 && runs.signs > 200, "{runs:?}");
    assert!(streams.recordings >= 80 && streams.signs > 1_000, "{streams:?}");
    assert_eq!((&runs.false_kills, &streams.false_kills), (&Vec::new(), &Vec::new()));
    assert!(streams.longest_silence_ms > 3_000, "the recordings have silences: {streams:?}");
}

/// Both CLIs were silent for 33 s; the newest wrote heartbeats meanwhile, which do not count.
#[test]
fn a_hang_behind_recorded_heartbeats_is_noticed() {
    let beats = |text: &str| text.lines().filter(|line| line.contains(r#""heartbeat":true"#)).count();
    for scene in ["heartbeat_bash", "heartbeat_agent", "heartbeat_hook"] {
        for recording in recordings("fixtures/streams", &format!("{scene}.jsonl")) {
            let is_newest = recording.name.contains("2.1.332");
            assert_eq!(beats(&recording.text) > 0, is_newest, "{}", recording.name);
            // All lines at the same time, except that each heartbeat comes 30 s after the line before it.
            let mut watch = Watch::new(Tick::ZERO, plan().timeouts);
            let mut protocol = protocol(Role::Agent);
            protocol.turn_sent(&TurnId("00000001-aaaa-4aaa-8aaa-aaaaaaaaaaaa".to_owned()));
            watch.asked(Tick::ZERO);
            let mut now = Tick::ZERO;
            for line in recording.text.lines() {
                let mut events = Vec::new();
                protocol.line(line, &mut events);
                let beats = line.contains(r#""heartbeat":true"#);
                let before = watch.deadline();
                if beats {
                    now = now.plus_ms(30_000);
                    assert_eq!(events, [AgentEvent::Alive], "{line}");
                }
                for event in &events {
                    watch.event(now, event);
                }
                if beats {
                    assert_eq!(watch.deadline(), before, "{}: a heartbeat moves the deadline", recording.name);
                }
            }
        }
    }
}

#[test]
fn a_limit_below_the_recorded_silences_is_noticed_in_them() {
    let tight =
        Timeouts { start_ms: 1, stall_ms: 500, tool_ms: 500, tool_given: false, background_ms: None, grace_ms: 3_000 };
    let mut count = Count::default();
    for recording in recordings("fixtures/streams", ".jsonl") {
        stream(&recording, tight, &mut count);
    }
    assert!(!count.false_kills.is_empty(), "the replay would notice nothing: {count:?}");
}
