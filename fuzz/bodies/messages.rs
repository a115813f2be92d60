//! The message decoder, and the adapter that follows a whole sequence of lines.

use std::collections::BTreeMap;

use ccc::agent::{AgentEvent, AgentKind, LaunchRequest, Protocol, Role, SessionOpen, StartedBy};
use ccc::core::TurnId;
use ccc::stream::{Raw, parse_envelope, parse_message};
use serde_json::Value;
use serde_json::value::RawValue;

/// The uuid under which turns are sent; recordings replay others, so seeds have theirs replaced by it.
const TURNS: [&str; 2] = ["11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"];

/// Each line of `data` is one line of the CLI, but for `!0` and `!1` (a turn of ours is written) and `?` (the limit for
/// waiting has passed).
pub(crate) fn check(data: &[u8]) {
    let request = LaunchRequest::new(Role::Agent, SessionOpen::Latest, "/project");
    let mut protocol = AgentKind::CLAUDE_CODE.protocol(&request);
    let mut owed: BTreeMap<String, u32> = BTreeMap::new();
    for line in data.split(|byte| *byte == b'\n') {
        let Ok(line) = std::str::from_utf8(line) else { continue };
        match line {
            "!0" | "!1" => {
                if protocol.is_idle() {
                    let turn = TURNS[usize::from(line == "!1")];
                    *owed.entry(turn.to_owned()).or_default() += 1;
                    protocol.turn_sent(&TurnId(turn.to_owned()));
                    assert!(!protocol.is_idle(), "idle with a turn under way");
                }
            }
            "?" => {
                if let Some(end) = protocol.settle() {
                    ended(&end.started_by, &mut owed);
                    assert!(protocol.is_idle(), "settled and not idle");
                }
                assert_eq!(protocol.settle(), None, "settled twice");
            }
            _ => {
                decode(line);
                follow(&mut protocol, line, &mut owed);
            }
        }
    }
}

/// One line without what came before it.
fn decode(line: &str) {
    let parsed = parse_envelope(line);
    let is_json = serde_json::from_str::<&RawValue>(line).is_ok();
    assert_eq!(parsed.is_some(), is_json, "JSON or not, serde_json says {is_json}");
    let Some(envelope) = parsed else { return };
    let _ = parse_message(&envelope);
    assert!(RawValue::from_string(envelope.raw().json().to_owned()).is_ok(), "what is journalled is JSON");
    // serde_json refuses depth, half surrogates and numbers beyond a double; there is nothing to compare with then.
    let Ok(value) = serde_json::from_str::<Value>(line) else { return };
    let text = |name: &str| value.get(name).and_then(Value::as_str);
    assert_eq!(envelope.kind.as_deref(), text("type"));
    assert_eq!(envelope.subtype.as_deref(), text("subtype"));
    assert_eq!(envelope.uuid.as_deref(), text("uuid"));
    assert_eq!(envelope.session_id.as_deref(), text("session_id"));
    same(envelope.raw(), &value);
}

/// Whether the lenient reader and serde_json see the same value.
fn same(raw: Raw<'_>, value: &Value) {
    match value {
        Value::Null => assert!(raw.is_null()),
        Value::Bool(value) => assert_eq!(raw.bool(), Some(*value)),
        Value::Number(number) => {
            assert!(raw.f64().is_some(), "{number} is no number");
            if let Some(whole) = number.as_i64() {
                assert_eq!(raw.i64(), Some(whole));
            }
        }
        Value::String(text) => assert_eq!(raw.text().as_deref(), Some(text.as_str())),
        Value::Array(items) => {
            let raws: Vec<Raw<'_>> = raw.items().collect();
            assert_eq!(raws.len(), items.len());
            raws.into_iter().zip(items).for_each(|(raw, item)| same(raw, item));
        }
        Value::Object(members) => {
            // Of two members of one name both readers take the last.
            let last: BTreeMap<String, Raw<'_>> =
                raw.members().map(|(name, value)| (name.into_owned(), value)).collect();
            assert_eq!(last.len(), members.len());
            for (name, member) in members {
                same(last[name], member);
            }
        }
    }
}

#[allow(clippy::wildcard_enum_match_arm, reason = "only some events are held to something")]
fn follow(protocol: &mut Box<dyn Protocol>, line: &str, owed: &mut BTreeMap<String, u32>) {
    let mut copy = protocol.clone();
    let mut events = Vec::new();
    protocol.line(line, &mut events);
    assert!(!events.is_empty(), "a line without an event");
    let mut again = Vec::new();
    copy.line(line, &mut again);
    assert_eq!(events, again, "a copy understands the same");
    let mut over = false;
    for event in &events {
        match event {
            AgentEvent::TurnEnded(end) => {
                ended(&end.started_by, owed);
                over = true;
            }
            AgentEvent::TurnStarted { .. } => over = false,
            AgentEvent::Cost { process_usd } => assert!(process_usd.is_finite(), "a cost of {process_usd}"),
            _ => {}
        }
    }
    if over {
        assert!(protocol.is_idle(), "a turn ended and the agent is not idle");
    }
}

/// Each turn of ours ends once.
fn ended(started_by: &StartedBy, owed: &mut BTreeMap<String, u32>) {
    if let StartedBy::Us(turn) = started_by {
        let left = owed.get_mut(&turn.0).expect("the end of a turn that was never sent");
        assert!(*left > 0, "turn {turn} ended twice");
        *left -= 1;
    }
}
