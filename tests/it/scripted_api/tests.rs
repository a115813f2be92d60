//! The scripted API against a client that speaks HTTP by hand, so that nothing hides how it answers.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::{Block, Ending, Limit, Message, Reply, Rule, Script, ScriptedApi, Times, When, Window};

const DEADLINE: Duration = Duration::from_secs(10);

/// An answer as it came: the whole body, and whether the connection ended as HTTP wants it.
#[derive(Debug)]
struct Answer {
    status: u16,
    head: String,
    body: String,
}

fn connect(api: &ScriptedApi) -> TcpStream {
    let stream = TcpStream::connect(api.base_url().trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

fn send(stream: &mut TcpStream, method: &str, path: &str, headers: &str, body: &str) {
    let length = body.len();
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(text.as_bytes()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, raw) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.contains("transfer-encoding: chunked") { unchunk(raw) } else { raw.to_owned() };
    Answer { status, head: head.to_owned(), body }
}

/// Joins the chunks; a missing last chunk is marked, since that is how a cut connection looks.
fn unchunk(mut raw: &str) -> String {
    let mut body = String::new();
    loop {
        let Some((size, rest)) = raw.split_once("\r\n") else {
            return body + "<cut>";
        };
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return body;
        }
        body.push_str(&rest[..size]);
        raw = &rest[size + 2..];
    }
}

fn ask(api: &ScriptedApi, headers: &str, body: &Value) -> Answer {
    let mut stream = connect(api);
    send(&mut stream, "POST", "/v1/messages", headers, &body.to_string());
    receive(&mut stream)
}

fn said(text: &str) -> Value {
    json!({"model": "m", "stream": true, "max_tokens": 100, "messages": [{"role": "user", "content": text}]})
}

fn events(body: &str) -> Vec<Value> {
    body.lines().filter_map(|l| l.strip_prefix("data: ")).map(|l| serde_json::from_str(l).unwrap()).collect()
}

fn types(body: &str) -> Vec<String> {
    events(body).iter().map(|e| e["type"].as_str().unwrap().to_owned()).collect()
}

fn streamed_text(body: &str) -> String {
    events(body).iter().filter_map(|e| e["delta"]["text"].as_str().map(str::to_owned)).collect()
}

fn message(blocks: Vec<Block>, ending: Ending) -> Reply {
    Reply::Message(Message { blocks, ending, chunks: 4, ..Message::default() })
}

#[test]
fn a_text_streams_as_the_events_of_a_message() {
    let reply = Message { blocks: vec![Block::text("grüße, welt")], chunks: 3, ..Message::default() };
    let api = ScriptedApi::start(Script::new().then(Reply::Message(reply))).unwrap();
    let answer = ask(&api, "", &said("hi"));
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    assert_eq!(
        types(&answer.body),
        [
            "message_start",
            "content_block_start",
            "content_block_delta",
            "content_block_delta",
            "content_block_delta",
            "content_block_stop",
            "message_delta",
            "message_stop"
        ]
    );
    assert_eq!(streamed_text(&answer.body), "grüße, welt");
    assert_eq!(events(&answer.body)[6]["delta"]["stop_reason"], "end_turn");
}

#[test]
fn a_request_that_does_not_stream_gets_one_object() {
    let blocks = vec![
        Block::Thinking { text: "hm".to_owned() },
        Block::Text { text: "ab".to_owned(), repeat: 3 },
        Block::tool("Bash", json!({"command": "ls"})),
    ];
    let api = ScriptedApi::start(Script::new().then(Reply::blocks(blocks))).unwrap();
    let mut body = said("hi");
    body["stream"] = json!(false);
    let answer: Value = serde_json::from_str(&ask(&api, "", &body).body).unwrap();
    assert_eq!(answer["content"][0]["thinking"], "hm");
    assert_eq!(answer["content"][1]["text"], "ababab");
    assert_eq!(answer["content"][2]["input"]["command"], "ls");
    assert_eq!(answer["stop_reason"], "tool_use");
}

#[test]
fn a_tool_call_streams_its_input_as_json_deltas() {
    let input = json!({"command": "echo 'ü'", "timeout": 5});
    let reply = message(vec![Block::text("so"), Block::tool("Bash", input.clone())], Ending::Complete);
    let api = ScriptedApi::start(Script::new().then(reply)).unwrap();
    let events = events(&ask(&api, "", &said("hi")).body);
    let parts: String = events.iter().filter_map(|e| e["delta"]["partial_json"].as_str()).collect();
    assert_eq!(serde_json::from_str::<Value>(&parts).unwrap(), input);
    let start = events.iter().find(|e| e["content_block"]["type"] == "tool_use").unwrap();
    assert_eq!((&start["index"], &start["content_block"]["name"]), (&json!(1), &json!("Bash")));
    let delta = events.iter().find(|e| e["type"] == "message_delta").unwrap();
    assert_eq!(delta["delta"]["stop_reason"], "tool_use");
}

#[test]
fn the_brief_tells_critic_from_agent_even_between_tool_calls() {
    let script = Script::new()
        .always_on(When::any_user_text("BRIEF"), Reply::text("critic"))
        .always_on(When::no_user_text("BRIEF"), Reply::text("agent"));
    let api = ScriptedApi::start(script).unwrap();
    let in_tools = json!({"stream": true, "messages": [
        {"role": "user", "content": "task"},
        {"role": "assistant", "content": "done"},
        {"role": "user", "content": [{"type": "text", "text": "the BRIEF"}]},
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "Bash", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "ok"}]},
    ]});
    assert_eq!(streamed_text(&ask(&api, "", &in_tools).body), "critic");
    assert_eq!(streamed_text(&ask(&api, "", &said("task")).body), "agent");
    assert_eq!(api.requests().iter().map(|r| r.rule).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn each_condition_of_a_rule_can_fail_it() {
    let tool = json!({"stream": true, "messages": [
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "exit 7"}]}]});
    let cases = [
        (When::last_user_text("one"), "", said("number one"), said("number two")),
        (When { tool_result: Some("exit 7".to_owned()), ..When::default() }, "", tool, said("exit 7")),
        (When { stream: Some(true), ..When::default() }, "", said("x"), json!({"messages": []})),
    ];
    for (when, headers, yes, no) in cases {
        let script = Script::new().always_on(when.clone(), Reply::text("yes"));
        let api = ScriptedApi::start(script).unwrap();
        assert_eq!(ask(&api, headers, &yes).status, 200, "{when:?}");
        assert_eq!(ask(&api, headers, &no).status, 400, "{when:?}");
        assert_eq!(api.unmatched().len(), 1);
    }
}

#[test]
fn rules_distinguish_credentials_and_numbers() {
    let script = Script::new()
        .always_on(When::header("x-api-key", "sk-a"), Reply::text("key a"))
        .always_on(When::header("Authorization", "Bearer b"), Reply::text("token b"))
        .on(When::nth(4), Reply::text("fourth"))
        .always(Reply::text("else"));
    let api = ScriptedApi::start(script).unwrap();
    let texts: Vec<String> = ["x-api-key: sk-b\r\n", "x-api-key: sk-a\r\n", "authorization: Bearer b\r\n", ""]
        .iter()
        .map(|headers| streamed_text(&ask(&api, headers, &said("x")).body))
        .collect();
    assert_eq!(texts, ["else", "key a", "token b", "fourth"]);
}

#[test]
fn rules_are_used_up_in_order() {
    let script = Script::new()
        .then(Reply::text("first"))
        .rule(Rule { when: When::default(), times: Times::N(2), reply: Reply::text("twice") })
        .always(Reply::text("rest"));
    let api = ScriptedApi::start(script).unwrap();
    let texts: Vec<String> = (0..5).map(|_| streamed_text(&ask(&api, "", &said("x")).body)).collect();
    assert_eq!(texts, ["first", "twice", "twice", "rest", "rest"]);
}

#[test]
fn an_error_has_its_status_type_and_limit_headers() {
    let api = ScriptedApi::start(Script::new().then(Reply::limit_reached("five_hour", 3600))).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert_eq!(answer.status, 429);
    let body: Value = serde_json::from_str(&answer.body).unwrap();
    assert_eq!(body["error"]["type"], "rate_limit_error");
    for line in [
        "retry-after: 3600",
        "anthropic-ratelimit-unified-status: rejected",
        "anthropic-ratelimit-unified-5h-utilization: 1",
    ] {
        assert!(answer.head.contains(line), "{line} in {}", answer.head);
    }
    assert!(!answer.head.contains("7d-utilization"), "{}", answer.head);
}

#[test]
fn a_good_reply_can_carry_limit_headers() {
    let window = |utilization| Some(Window { utilization, reset_in_s: 60, surpassed_threshold: Some(0.9) });
    let limit = Limit {
        status: "allowed_warning".to_owned(),
        claim: "seven_day".to_owned(),
        reset_in_s: 60,
        five_hour: window(0.5),
        seven_day: window(0.93),
    };
    let reply = Message { blocks: vec![Block::text("ok")], limit: Some(limit), ..Message::default() };
    let api = ScriptedApi::start(Script::new().then(Reply::Message(reply))).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("anthropic-ratelimit-unified-7d-utilization: 0.93"), "{}", answer.head);
    assert!(answer.head.contains("anthropic-ratelimit-unified-representative-claim: seven_day"), "{}", answer.head);
}

#[test]
fn a_cut_ends_the_connection_without_its_last_chunk() {
    let reply = message(vec![Block::text("abcdefgh")], Ending::Cut { after_deltas: 2 });
    let api = ScriptedApi::start(Script::new().then(reply)).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert_eq!(streamed_text(&answer.body), "abcd");
    assert!(answer.body.ends_with("<cut>"), "{}", answer.body);
}

#[test]
fn a_cut_beyond_the_deltas_comes_after_the_complete_block() {
    let reply = message(vec![Block::text("abcdefgh")], Ending::Cut { after_deltas: 99 });
    let api = ScriptedApi::start(Script::new().then(reply)).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert_eq!(types(&answer.body.replace("<cut>", "")).last().unwrap(), "content_block_stop");
}

#[test]
fn a_truncated_reply_ends_properly_without_its_last_event() {
    let reply = message(vec![Block::text("abcdefgh")], Ending::Truncate { after_deltas: 99 });
    let api = ScriptedApi::start(Script::new().then(reply)).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert!(!answer.body.ends_with("<cut>"), "{}", answer.body);
    assert_eq!(types(&answer.body).last().unwrap(), "content_block_stop");
}

#[test]
fn an_error_event_is_the_last_event() {
    let ending = Ending::ErrorEvent { after_deltas: 1, error_type: "overloaded_error".to_owned() };
    let api = ScriptedApi::start(Script::new().then(message(vec![Block::text("abcd")], ending))).unwrap();
    let events = events(&ask(&api, "", &said("x")).body);
    assert_eq!(events.last().unwrap()["error"]["type"], "overloaded_error");
}

#[test]
fn stalls_keep_the_connection_and_end_with_the_api() {
    let script = Script::new()
        .then(Reply::StallBeforeHeaders)
        .then(message(vec![Block::text("abcd")], Ending::Stall { after_deltas: 0 }))
        .then(message(vec![Block::text("abcd")], Ending::Stall { after_deltas: 2 }));
    let api = ScriptedApi::start(script).unwrap();
    let mut streams: Vec<TcpStream> = (1..=3)
        .map(|n| {
            let mut stream = connect(&api);
            send(&mut stream, "POST", "/v1/messages", "", &said("x").to_string());
            api.wait_for_requests(n, DEADLINE).unwrap();
            stream
        })
        .collect();
    // The third has said two deltas; the second its head only.
    let mut third = String::new();
    while !third.contains("\"text\":\"b\"") {
        let mut piece = [0; 4096];
        let n = streams[2].read(&mut piece).unwrap();
        assert!(n > 0, "closed after {third}");
        third.push_str(std::str::from_utf8(&piece[..n]).unwrap());
    }
    let mut byte = [0; 12];
    streams[1].read_exact(&mut byte).unwrap();
    assert_eq!(&byte, b"HTTP/1.1 200");
    for stream in &streams {
        stream.set_nonblocking(true).unwrap();
    }
    let silent = streams[0].read(&mut byte).unwrap_err();
    assert_eq!(silent.kind(), std::io::ErrorKind::WouldBlock);
    for stream in &streams {
        stream.set_nonblocking(false).unwrap();
    }
    drop(api);
    for stream in &mut streams {
        // An end or a reset, but not a wait.
        let mut rest = Vec::new();
        if let Err(e) = stream.read_to_end(&mut rest) {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
        assert!(!String::from_utf8_lossy(&rest).contains("message_stop"));
    }
}

#[test]
fn garbage_is_sent_as_it_stands() {
    let api = ScriptedApi::start(Script::new().then(Reply::Garbage { body: "<html>".to_owned() })).unwrap();
    let answer = ask(&api, "", &said("x"));
    assert_eq!((answer.status, answer.body.as_str()), (200, "<html>"));
}

#[test]
fn a_paced_reply_takes_its_time() {
    let api = ScriptedApi::start(Script::new().then(Reply::Message(Message::paced("abcd", 4, 25)))).unwrap();
    let start = Instant::now();
    let answer = ask(&api, "", &said("x"));
    assert_eq!(streamed_text(&answer.body), "abcd");
    assert!(start.elapsed() >= Duration::from_millis(100), "{:?}", start.elapsed());
}

#[test]
fn side_requests_are_answered_and_not_counted() {
    let api = ScriptedApi::start(Script::new()).unwrap();
    let probe = json!({"max_tokens": 1, "messages": [{"role": "user", "content": "quota"}]}).to_string();
    for (method, path, body) in [
        ("HEAD", "/", ""),
        ("GET", "/v1/models", ""),
        ("POST", "/v1/messages/count_tokens", "{}"),
        ("POST", "/api/event_logging/batch", "{}"),
        ("POST", "/v1/messages", probe.as_str()),
    ] {
        let mut stream = connect(&api);
        send(&mut stream, method, path, "", body);
        assert_eq!(receive(&mut stream).status, 200, "{method} {path}");
    }
    assert_eq!(api.request_count(), 0);
    assert_eq!(api.side_requests().len(), 5);
}

#[test]
fn waiting_for_requests_fails_at_its_deadline() {
    let api = ScriptedApi::start(Script::new()).unwrap();
    let error = api.wait_for_requests(1, Duration::from_millis(10)).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::TimedOut);
}

#[test]
fn a_body_of_many_megabytes_is_taken() {
    let api = ScriptedApi::start(Script::new().always(Reply::text("ok"))).unwrap();
    assert_eq!(ask(&api, "", &said(&"x".repeat(12 << 20))).status, 200);
}

#[test]
fn a_plain_reply_takes_under_two_milliseconds() {
    let api = ScriptedApi::start(Script::new().always(Reply::text("ok"))).unwrap();
    let body = said("hi");
    let best = (0..20)
        .map(|_| {
            let start = Instant::now();
            assert_eq!(ask(&api, "", &body).status, 200);
            start.elapsed()
        })
        .min()
        .unwrap();
    assert!(best < Duration::from_millis(2), "{best:?}");
}

#[test]
fn the_json_form_means_what_the_readme_says() {
    let readme = include_str!("../../e2e/README.md");
    let (_, rest) = readme.split_once("```json\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    let script: Script = serde_json::from_str(example).unwrap();
    assert_eq!(script.rules[0].when, When::last_user_text("You are the critic"));
    assert_eq!(script.rules[0].times, Times::N(2));
    assert_eq!(script.rules[2].reply, Reply::tool("Write", json!({"file_path": "/tmp/x/a.txt", "content": "a"})));
    assert_eq!(script.rules.last().unwrap().times, Times::Forever);
    let again: Script = serde_json::from_str(&serde_json::to_string(&script).unwrap()).unwrap();
    assert_eq!(again, script);
}

#[test]
fn an_unknown_key_in_a_script_is_refused() {
    let text = r#"{"rules": [{"time": "once", "reply": {"kind": "stall_before_headers"}}]}"#;
    let error = serde_json::from_str::<Script>(text).unwrap_err();
    assert!(error.to_string().contains("time"), "{error}");
}
