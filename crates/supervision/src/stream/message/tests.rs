use std::borrow::Cow;

use proptest::prelude::*;

use super::*;
use crate::stream::{is_partial, parse_envelope};

/// A turn recorded from 2.1.329.
const TURN: &str = include_str!("../../../../../benches/data/turn.jsonl");

fn message(line: &str) -> Message<'_> {
    parse_message(&parse_envelope(line).unwrap())
}

/// The fields of the message that `line` is expected to be.
macro_rules! read_as {
    ($variant:ident, $line:expr) => {
        match message($line) {
            Message::$variant(fields) => fields,
            other => panic!("{other:?}"),
        }
    };
}

#[test]
fn a_recorded_turn_is_known_line_by_line() {
    let mut kinds = Vec::new();
    for line in TURN.lines() {
        let envelope = parse_envelope(line).unwrap();
        assert_eq!(envelope.line, line);
        let parsed = parse_message(&envelope);
        assert!(!matches!(parsed, Message::Other(_)), "{line}");
        if !matches!(parsed, Message::ControlResponse(_)) {
            assert_eq!(envelope.session_id.as_deref().map(str::len), Some(36), "{line}");
            assert_eq!(envelope.uuid.as_deref().map(str::len), Some(36), "{line}");
        }
        if !is_partial(line) {
            kinds.extend(envelope.kind.map(Cow::into_owned));
        }
    }
    assert_eq!(kinds.iter().filter(|kind| *kind == "assistant").count(), 4);
    assert_eq!(kinds.last().map(String::as_str), Some("system"), "idle");
}

#[test]
fn a_recorded_result_is_read() {
    let line = TURN.lines().find(|line| line.contains(r#""type":"result""#)).unwrap();
    let result = read_as!(Result, line);
    assert_eq!(result.subtype.as_deref(), Some("success"));
    assert_eq!(result.is_error, Some(false));
    assert_eq!(result.num_turns, Some(2));
    assert_eq!(result.terminal_reason.as_deref(), Some("completed"));
    assert!(result.result.as_deref().unwrap().contains("語 😀 `code` \"quoted\"\n"));
    let models = result.model_usage.unwrap().0;
    assert_eq!(models[0].0, "claude-opus-5-5");
    assert_eq!(models[0].1.output_tokens, Some(100));
    let ours = "11111111-2222-4333-8444-555555555555";
    assert_eq!(result.user_message_uuids, Some(vec![Cow::Borrowed(ours)]));
}

#[test]
fn a_recorded_tool_call_and_its_result_are_read() {
    let calls: Vec<Block<'_>> = TURN
        .lines()
        .map(message)
        .filter_map(|message| {
            if let Message::Assistant(assistant) = &message {
                Some(assistant.blocks().to_vec())
            } else if let Message::User(user) = &message {
                Some(user.blocks().to_vec())
            } else {
                None
            }
        })
        .flatten()
        .collect();
    let [
        Block::Text(said),
        Block::Thinking(_),
        Block::Text(_),
        Block::ToolUse(call),
        Block::ToolResult(answer),
        Block::Text(_),
    ] = &calls[..]
    else {
        panic!("{calls:?}");
    };
    assert_eq!(said, "do it");
    assert_eq!(call.name.as_deref(), Some("Bash"));
    assert_eq!(call.id, answer.tool_use_id);
    assert_eq!(answer.is_error, Some(false));
    let command = call.input.unwrap().member("command").and_then(Raw::text);
    assert!(command.unwrap().contains("a \"line\" of output"));
    assert!(matches!(&content_blocks(answer.content.unwrap())[..], [Block::Text(text)] if text.contains('\n')));
}

#[test]
fn an_acknowledgement_of_a_duplicate_has_no_timestamp() {
    let line = r#"{"type":"user","message":{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},"isReplay":true,"uuid":"u-1"}"#;
    let user = read_as!(User, line);
    assert_eq!(user.is_replay, Some(true));
    assert_eq!(user.timestamp, None);
    assert_eq!(user.blocks(), [Block::Text("a".into()), Block::Text("b".into())]);
}

#[test]
fn a_retry_without_a_response_has_no_status() {
    let line = r#"{"type":"system","subtype":"api_retry","attempt":1,"max_retries":10,"retry_delay_ms":591.1,"error_status":null,"error":"unknown"}"#;
    let retry = read_as!(ApiRetry, line);
    assert_eq!((retry.attempt, retry.max_retries), (Some(1), Some(10)));
    assert_eq!((retry.retry_delay_ms, retry.error_status), (Some(591.1), None));
}

#[test]
fn all_windows_of_a_limit_are_read() {
    let line = r#"{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1795198017,"rateLimitType":"five_hour","utilization":1,"overageStatus":"rejected","isUsingOverage":false,"unifiedWindows":{"five_hour":{"utilization":1.0,"resetsAt":1795198017,"surpassedThreshold":null},"seven_day":{"utilization":0.4},"odd":7}}}"#;
    let info = read_as!(RateLimit, line).rate_limit_info.unwrap();
    assert_eq!(info.status.as_deref(), Some("rejected"));
    assert_eq!(info.resets_at_unix_s, Some(1_795_198_017));
    assert_eq!(info.utilization, Some(1.0));
    let windows = info.unified_windows.unwrap().0;
    let names: Vec<&str> = windows.iter().map(|(name, _)| &**name).collect();
    assert_eq!(names, ["five_hour", "seven_day"]);
    assert_eq!(windows[1].1.utilization, Some(0.4));
}

#[test]
fn an_environment_update_says_what_was_applied() {
    let answer = |body: &str| {
        format!(r#"{{"type":"control_response","response":{{"subtype":"success","request_id":"u1"{body}}}}}"#)
    };
    let old = answer("");
    let response = read_as!(ControlResponse, &old);
    assert!(response.is_success());
    assert_eq!(response.applied(), None);
    let refused = answer(r#","response":{"applied":[]}"#);
    assert_eq!(read_as!(ControlResponse, &refused).applied(), Some(vec![]));
    let applied = answer(r#","response":{"applied":["CLAUDE_CODE_OAUTH_TOKEN"]}"#);
    assert_eq!(read_as!(ControlResponse, &applied).applied(), Some(vec![Cow::Borrowed("CLAUDE_CODE_OAUTH_TOKEN")]));
}

#[test]
fn a_question_of_the_cli_is_read() {
    let line = r#"{"type":"control_request","request_id":"R","request":{"subtype":"hook_callback","callback_id":"stop_cb","input":{"x":1}}}"#;
    let question = read_as!(ControlRequest, line);
    assert_eq!(question.request_id.as_deref(), Some("R"));
    let ask = question.request.unwrap();
    assert_eq!(ask.subtype.as_deref(), Some("hook_callback"));
    assert_eq!(ask.input.unwrap().json(), r#"{"x":1}"#);
}

#[test]
fn background_tasks_and_their_ends_are_read() {
    let line =
        r#"{"type":"system","subtype":"background_tasks_changed","tasks":[{"task_id":"t","description":"make"},3]}"#;
    let tasks = read_as!(BackgroundTasks, line).tasks.unwrap();
    assert_eq!(tasks.len(), 1);
    assert_eq!(tasks[0].description.as_deref(), Some("make"));
    let line = r#"{"type":"system","subtype":"background_tasks_changed","tasks":[]}"#;
    assert_eq!(read_as!(BackgroundTasks, line).tasks, Some(vec![]));
    let line = r#"{"type":"system","subtype":"task_updated","task_id":"t","patch":{"status":"completed","is_backgrounded":true}}"#;
    let patch = read_as!(TaskUpdated, line).patch.unwrap();
    assert_eq!(patch.status.as_deref(), Some("completed"));
    assert_eq!(patch.is_backgrounded, Some(true));
}

#[test]
fn a_field_of_another_type_is_absent_and_the_rest_is_read() {
    let line = r#"{"type":"result","subtype":7,"is_error":"yes","num_turns":2.0,"result":["x"],"modelUsage":5,"permission_denials":[1,{"tool_name":"Bash","tool_input":null}],"errors":"none","uuid":{},"stop_reason":"end_turn"}"#;
    let envelope = parse_envelope(line).unwrap();
    assert_eq!((envelope.subtype, envelope.uuid), (None, None));
    let result = read_as!(Result, line);
    assert_eq!((result.subtype, result.is_error, result.result), (None, None, None));
    assert_eq!((result.model_usage, result.errors), (None, None));
    assert_eq!(result.num_turns, Some(2));
    assert_eq!(result.stop_reason.as_deref(), Some("end_turn"));
    let denials = result.permission_denials.unwrap();
    assert_eq!(denials.len(), 1);
    assert_eq!(denials[0].tool_name.as_deref(), Some("Bash"));
}

#[test]
fn what_is_unknown_passes_whole() {
    for line in [
        r#"{"type":"tomorrow","x":1}"#,
        r#"{"type":"system","subtype":"tomorrow","x":1}"#,
        r#"{"type":"system"}"#,
        r#"{"type":["user"]}"#,
        r#"{"type":"control_response","response":"?"}"#,
        r#"{"message":{}}"#,
        "{}",
        "[1]",
        "null",
    ] {
        let Message::Other(raw) = message(line) else {
            panic!("{line} became {:?}", message(line));
        };
        assert_eq!(raw.json(), line);
    }
}

#[test]
fn keys_may_be_escaped_or_come_twice() {
    let line = r#" {"ty\u0070e":"user","type":"system","subtype":"status","subtype":"session_state_changed","st\u0061te":"idle"} "#;
    assert_eq!(read_as!(SessionState, line).state.as_deref(), Some("idle"));
}

#[test]
fn half_a_character_does_not_lose_the_text() {
    let line = r#"{"type":"stream_event","event":{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a\ud83d"}}}"#;
    assert!(serde_json::from_str::<serde_json::Value>(line).is_err(), "serde_json loses it");
    assert!(is_partial(line));
    let delta = read_as!(StreamEvent, line).event.unwrap().delta.unwrap();
    assert_eq!(delta.text.as_deref(), Some("a\u{fffd}"));
    let both = Raw::parse(r#""\ud83d\ude00 \ude00 \ud83d\u0041 \ud83d\ud83d\ude00""#).unwrap();
    assert_eq!(both.text().as_deref(), Some("😀 \u{fffd} \u{fffd}A \u{fffd}😀"));
}

#[test]
fn only_pieces_of_blocks_and_thinking_estimates_are_partial() {
    let partial = [
        r#"{"type":"stream_event","event":{"type":"content_block_delta"}}"#,
        r#"{"uuid":"u","event":{"index":0,"delta":{"type":"text_delta"},"type":"content_block_delta"},"type":"stream_event"}"#,
        r#"{"subtype":"thinking_tokens","estimated_tokens":1,"type":"system"}"#,
    ];
    let whole = [
        r#"{"type":"stream_event","event":{"type":"message_delta","delta":{"stop_reason":"end_turn"}}}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_start","x":{"type":"content_block_delta"}}}"#,
        r#"{"type":"stream_event"}"#,
        r#"{"type":"user","message":{"content":"{\"type\":\"stream_event\",\"event\":{\"type\":\"content_block_delta\"}}"}}"#,
        r#"{"message":{"type":"stream_event"},"event":{"type":"content_block_delta"},"type":"assistant"}"#,
        r#"{"subtype":"thinking_tokens","type":"result"}"#,
        r#"{"type":"stream_event","event":{"type":"content_block_delta"}"#,
        "",
    ];
    for line in partial {
        assert!(is_partial(line), "{line}");
    }
    for line in whole {
        assert!(!is_partial(line), "{line}");
    }
}

#[test]
fn ten_megabytes_of_wide_text_survive() {
    let text = "wide 語 😀 \"\\ \n\u{2028} ".repeat(500_000);
    assert!(text.len() > 10_000_000);
    let line = serde_json::json!({"type": "result", "result": text}).to_string();
    assert!(read_as!(Result, &line).result.unwrap() == text, "the text was changed");
}

proptest! {
    /// Each value of a recorded line is replaced by something else: the line must keep its message type.
    #[test]
    fn a_message_survives_any_value(
        line in prop::sample::select(TURN.lines().collect::<Vec<_>>()),
        at in any::<prop::sample::Index>(),
        value in prop::sample::select(vec![
            "null", "-1", "1e999", "99999999999999999999", "0.5", "\"\\ud800\"", "[]", "[[{}],null]", "{}", "{\"a\":[1]}",
        ]),
    ) {
        let mut members: Vec<(String, String)> = Raw::parse(line)
            .unwrap()
            .members()
            .map(|(name, value)| (name.into_owned(), value.json().to_owned()))
            .collect();
        let index = at.index(members.len());
        let replaced = members[index].0.clone();
        members[index].1 = value.to_owned();
        let members: Vec<String> = members.iter().map(|(name, value)| format!("{name:?}:{value}")).collect();
        let changed = format!("{{{}}}", members.join(","));
        let parsed = message(&changed);
        if !["type", "subtype", "response"].contains(&&*replaced) {
            prop_assert_eq!(
                std::mem::discriminant(&parsed),
                std::mem::discriminant(&message(line)),
                "{}",
                changed
            );
        }
    }
}
