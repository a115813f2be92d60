//! Lists in JSON: an array of tasks, each a text or an object with options.

use std::num::{NonZeroU32, NonZeroU64};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::entry::{Bare, TaskOptions};
use super::{EntryFault, ListFault};

/// The keys of an object.
const KEYS: [&str; 11] = [
    "task",
    "name",
    "cwd",
    "model",
    "critic_model",
    "checks",
    "max_iterations",
    "max_duration",
    "max_cost_usd",
    "max_tokens",
    "agent_args",
];

/// Whether the text begins like a JSON array of texts or objects. A task or its box may begin with a bracket, too.
pub(super) fn is_json(text: &str) -> bool {
    let inside = text.trim().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.is_empty() || inside == "]" || inside.starts_with(['"', '{']))
}

pub(super) fn read(text: &str) -> Result<Vec<Bare>, ListFault> {
    let entries: Vec<Value> = serde_json::from_str(text).map_err(|error| ListFault::Json(error.to_string()))?;
    let entry = |(at, entry): (usize, Value)| bare(entry).map_err(|fault| ListFault::Entry { number: at + 1, fault });
    entries.into_iter().enumerate().map(entry).collect()
}

fn bare(entry: Value) -> Result<Bare, EntryFault> {
    let mut object = match entry {
        Value::String(text) => return of_text(&text, TaskOptions::default()),
        Value::Object(object) => object,
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => return Err(EntryFault::Shape),
    };
    if let Some(key) = object.keys().find(|key| !KEYS.contains(&key.as_str())) {
        return Err(EntryFault::UnknownKey { key: key.clone(), known: KEYS.join(", ") });
    }
    let text: String = take(&mut object, "task")?.ok_or(EntryFault::NoTask)?;
    let options = TaskOptions {
        name: take(&mut object, "name")?,
        cwd: take(&mut object, "cwd")?,
        model: take(&mut object, "model")?,
        critic_model: take(&mut object, "critic_model")?,
        checks: take(&mut object, "checks")?,
        max_iterations: take(&mut object, "max_iterations")?.map(NonZeroU32::get),
        max_duration: take(&mut object, "max_duration")?,
        max_cost_usd: take(&mut object, "max_cost_usd")?,
        max_tokens: take(&mut object, "max_tokens")?.map(NonZeroU64::get),
        agent_args: take(&mut object, "agent_args")?.unwrap_or_default(),
    };
    of_text(&text, options)
}

fn of_text(text: &str, options: TaskOptions) -> Result<Bare, EntryFault> {
    let text = text.trim().to_owned();
    if text.is_empty() { Err(EntryFault::NoTask) } else { Ok(Bare { text, done: false, options }) }
}

/// The value of a key; `None` if it is not there or null.
fn take<T: DeserializeOwned>(object: &mut Map<String, Value>, key: &'static str) -> Result<Option<T>, EntryFault> {
    let Some(value) = object.remove(key) else { return Ok(None) };
    serde_json::from_value(value).map_err(|error| EntryFault::Value { key, why: error.to_string() })
}
