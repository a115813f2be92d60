//! The scripted agent writes no field that the real CLI does not write, and no message that it does not have.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::Value;

use super::agent::{Place, kind};

/// Everything at once that has a recorded counterpart.
const SCRIPT: &str = r#"{"agent":[
    [{"think":"hm"},{"say":"text"},{"tool":{"name":"Bash","input":{"command":"ls"},"result":"a"}},
     {"deny":{"name":"Bash","input":{"command":"rm"}}},{"background":{"ms":300}},{"compact_ms":1},
     {"limit_warning":{"utilization":0.92,"resets_in_s":60}},{"retry":{"attempts":1,"status":500,"delay_ms":1}},{"say":"end"}],
    [{"limit":{"resets_in_s":60}}],
    [{"api_error":{"status":500}}]]}"#;

fn keys(message: &Value, under: &str) -> BTreeSet<String> {
    let object = message.pointer(under).and_then(Value::as_object);
    object.map(|object| object.keys().cloned().collect()).unwrap_or_default()
}

/// Kind → the keys seen, at the top and in those objects that an adapter looks into.
fn gather(messages: &[Value]) -> BTreeMap<String, BTreeSet<String>> {
    let mut seen: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for message in messages {
        for under in ["", "/message", "/rate_limit_info", "/patch", "/origin", "/event"] {
            let keys = keys(message, under);
            if !keys.is_empty() {
                let kind = kind(message);
                let kind = kind.split(' ').next().unwrap_or_default().to_owned();
                seen.entry(format!("{kind}{under}")).or_default().extend(keys);
            }
        }
    }
    seen
}

fn recorded(version: &str) -> Vec<Value> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/streams").join(version);
    let mut messages = Vec::new();
    for entry in std::fs::read_dir(dir).expect("recordings") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            let text = std::fs::read_to_string(&path).expect("a recording");
            messages.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")));
        }
    }
    messages
}

#[test]
fn every_field_of_every_message_stands_in_a_recording_of_the_same_version() {
    for version in ["2.1.197", "2.1.332"] {
        let place = Place::speaking(version, SCRIPT);
        let mut agent = place.start(&["--session-id", super::SESSION, "--include-partial-messages"]);
        let mut said = Vec::new();
        agent.turn("u1", "go on");
        said.extend(agent.until_idle());
        said.extend(agent.until_idle());
        for uuid in ["u2", "u3"] {
            agent.turn(uuid, "go on");
            said.extend(agent.until_idle());
        }
        agent.end();
        let real = gather(&recorded(version));
        let ours = gather(&said);
        assert!(ours.len() > 15, "{version}: {:?}", ours.keys());
        for (kind, keys) in &ours {
            let known = real.get(kind).unwrap_or_else(|| panic!("{version}: the real CLI has no {kind}"));
            let strange: Vec<&String> = keys.difference(known).collect();
            assert!(strange.is_empty(), "{version} {kind}: {strange:?} are not in {known:?}");
        }
    }
}
