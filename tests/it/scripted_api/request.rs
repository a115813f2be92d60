//! What was asked, and who asked it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::script::When;

/// One `POST /v1/messages`.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "each user reads a part of it")]
pub(crate) struct Recorded {
    /// Its place among the conversational requests, from 1.
    pub(crate) number: u64,
    /// When its body had arrived, since the API was started.
    pub(crate) at: Duration,
    /// Its headers, names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Its body.
    pub(crate) body: Value,
    /// The index of the rule that answered it.
    pub(crate) rule: Option<usize>,
}

/// Whether the body belongs to a conversation, as opposed to what the CLI asks for itself: the probe of one
/// token, and the naming of a session.
pub(crate) fn is_conversation(body: &Value) -> bool {
    let probe = body.get("max_tokens").and_then(Value::as_u64) == Some(1);
    let no_tools = body.get("tools").and_then(Value::as_array).is_none_or(Vec::is_empty);
    let system = texts(body.get("system")).join("\n");
    let names_session = no_tools && system.contains("title") && !system.contains("You are a Claude agent");
    !probe && !names_session
}

/// Whether all conditions hold.
pub(crate) fn matches(when: &When, number: u64, headers: &BTreeMap<String, String>, body: &Value) -> bool {
    let said = |text: &str| user_messages(body).any(|content| contains(&texts(Some(content)), text));
    when.last_user_text.as_deref().is_none_or(|t| contains(&texts(last_user(body)), t))
        && when.any_user_text.as_deref().is_none_or(said)
        && when.no_user_text.as_deref().is_none_or(|t| !said(t))
        && when.tool_result.as_deref().is_none_or(|t| contains(&tool_results(last_user(body)), t))
        && when.nth.is_none_or(|n| n == number)
        && when.headers.iter().all(|(name, value)| headers.get(name) == Some(value))
        && when.stream.is_none_or(|stream| stream == is_streamed(body))
}

/// Whether the request wants server-sent events.
pub(crate) fn is_streamed(body: &Value) -> bool {
    body.get("stream").and_then(Value::as_bool).unwrap_or(false)
}

fn contains(haystacks: &[&str], needle: &str) -> bool {
    haystacks.iter().any(|text| text.contains(needle))
}

fn user_messages(body: &Value) -> impl DoubleEndedIterator<Item = &Value> {
    body.get("messages")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|m| m.get("role").and_then(Value::as_str) == Some("user"))
        .filter_map(|m| m.get("content"))
}

fn last_user(body: &Value) -> Option<&Value> {
    user_messages(body).next_back()
}

/// The texts of a content: a string, or the text blocks of a list.
fn texts(content: Option<&Value>) -> Vec<&str> {
    match content {
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(blocks)) => {
            blocks.iter().filter_map(|block| block.get("text").and_then(Value::as_str)).collect()
        }
        Some(Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_)) | None => Vec::new(),
    }
}

fn tool_results(content: Option<&Value>) -> Vec<&str> {
    content
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter(|block| block.get("type").and_then(Value::as_str) == Some("tool_result"))
        .flat_map(|block| texts(block.get("content")))
        .collect()
}
