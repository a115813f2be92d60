//! What the API saw of agents and critics, and what the CLI left in its home.

use serde_json::{Value, json};

use super::harness::{BRIEF, Ground};
use crate::scripted_api::Recorded;

pub(super) fn is_critic(request: &Recorded) -> bool {
    request.body.to_string().contains(BRIEF)
}

/// The texts of the user messages, one a block.
pub(crate) fn user_texts(body: &Value) -> Vec<String> {
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    messages
        .iter()
        .filter(|message| message["role"] == "user")
        .flat_map(|message| blocks(&message["content"]))
        .collect()
}

fn blocks(content: &Value) -> Vec<String> {
    match content {
        Value::String(text) => vec![text.clone()],
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).map(str::to_owned).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => Vec::new(),
    }
}

/// The messages without cache marks, which move along with the end.
pub(super) fn messages(request: &Recorded) -> Vec<Value> {
    let mut messages = request.body["messages"].as_array().cloned().unwrap_or_default();
    for message in &mut messages {
        if let Some(text) = message["content"].as_str().map(str::to_owned) {
            message["content"] = json!([{"type": "text", "text": text}]);
        }
        for block in message["content"].as_array_mut().into_iter().flatten() {
            if let Some(block) = block.as_object_mut() {
                block.remove("cache_control");
            }
        }
    }
    messages
}

pub(crate) fn tool_results(body: &Value) -> Vec<&str> {
    let messages = body["messages"].as_array().map_or(&[][..], Vec::as_slice);
    messages
        .iter()
        .flat_map(|message| message["content"].as_array().map_or(&[][..], Vec::as_slice))
        .filter(|block| block["type"] == "tool_result")
        .filter_map(|block| block["content"].as_str().or_else(|| block["content"][0]["text"].as_str()))
        .collect()
}

pub(super) fn brief_of(request: &Recorded) -> String {
    user_texts(&request.body).into_iter().find(|said| said.contains(BRIEF)).expect("a brief")
}

pub(super) fn transcripts(ground: &Ground) -> Vec<std::path::PathBuf> {
    let projects = ground.home().join(".claude/projects");
    let dirs = std::fs::read_dir(projects).into_iter().flatten().flatten();
    dirs.flat_map(|dir| std::fs::read_dir(dir.path()).into_iter().flatten().flatten())
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect()
}

pub(super) fn assert_result_fields(result: &Value, more: &[&str]) {
    let mut names: Vec<&str> = result.as_object().expect("an object").keys().map(String::as_str).collect();
    names.retain(|name| !more.contains(name));
    let mut wanted = [
        "outcome",
        "reason",
        "run_id",
        "session_id",
        "tests_touched",
        "protected",
        "iterations",
        "restarts",
        "rotations",
        "waited_ms",
        "duration_ms",
        "cost_usd",
        "result",
        "report",
        "resume",
    ];
    names.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(names, wanted);
}

/// The requests of the critics.
pub(crate) fn critics(requests: &[Recorded]) -> Vec<&Recorded> {
    requests.iter().filter(|request| is_critic(request)).collect()
}

/// The requests of the agent.
pub(crate) fn agents(requests: &[Recorded]) -> Vec<&Recorded> {
    requests.iter().filter(|request| !is_critic(request)).collect()
}

/// The system prompt in one text.
pub(super) fn system_text(body: &Value) -> String {
    blocks(&body["system"]).join("\n")
}
