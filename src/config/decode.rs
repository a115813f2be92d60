//! Decodes a JSON object into a [`Layer`], key by key, so that an error can name the key's path.

use serde_json::{Map, Value};

use super::values::kind;
use super::{Form, KEYS, Layer};

/// A value that is invalid for its key.
#[derive(Debug)]
pub(super) struct KeyFault {
    pub(super) key: String,
    pub(super) message: String,
}

/// A layer, the unknown keys, and the invalid values.
pub(super) struct Decoded {
    pub(super) layer: Layer,
    pub(super) unknown: Vec<String>,
    pub(super) faults: Vec<KeyFault>,
}

/// Decodes an object. If there are faults, the layer must not be used.
pub(super) fn decode(object: &Map<String, Value>) -> Decoded {
    let mut known = Map::new();
    let mut unknown = Vec::new();
    let mut faults = Vec::new();
    for (name, value) in object {
        if let (Some((group, inner)), true) = (name.split_once('.'), is_leaf(name)) {
            // The intention is clear, but no other reader of the file would accept it.
            let message =
                format!("a key with a dot has no effect in a file: write {{\"{group}\": {{\"{inner}\": …}}}}");
            faults.push(KeyFault { key: name.clone(), message });
        } else if is_leaf(name) {
            take(name, value, &mut known, &mut faults);
        } else if !is_group(name) {
            // `$schema` tells editors where the schema is.
            if name != "$schema" {
                unknown.push(name.clone());
            }
        } else {
            match value {
                Value::Object(group) => {
                    for (inner, value) in group {
                        let path = format!("{name}.{inner}");
                        if is_leaf(&path) {
                            take(&path, value, &mut known, &mut faults);
                        } else {
                            unknown.push(path);
                        }
                    }
                }
                Value::Null => {}
                Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                    faults.push(KeyFault {
                        key: name.clone(),
                        message: format!("expected an object, found {}", kind(value)),
                    });
                }
            }
        }
    }
    let layer = serde_json::from_value(Value::Object(known)).unwrap_or_else(|error| {
        faults.push(KeyFault { key: String::new(), message: error.to_string() });
        Layer::default()
    });
    Decoded { layer, unknown, faults }
}

/// Decodes one value for one key.
pub(super) fn decode_one(path: &str, value: Value) -> Result<Layer, String> {
    serde_json::from_value(nest(path, value)).map_err(|error| plain(&error.to_string()))
}

/// A parser's message without Rust terms.
pub(super) fn plain(message: &str) -> String {
    [
        ("expected a nonzero u32", "expected a whole number above zero"),
        ("expected a nonzero u64", "expected a whole number above zero"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected f64", "expected a number"),
        // Serde's message where the name of a variant belongs.
        ("expected string or map", "expected a word in quotes"),
    ]
    .into_iter()
    .find_map(|(rust, words)| message.strip_suffix(rust).map(|start| format!("{start}{words}")))
    .unwrap_or_else(|| message.to_owned())
}

fn take(path: &str, value: &Value, known: &mut Map<String, Value>, faults: &mut Vec<KeyFault>) {
    // Few keys' values are objects, but serde would accept `{"pty": null}` as the word `pty`.
    if value.is_object() && !KEYS.iter().any(|key| key.path == path && key.form == Form::Object) {
        faults.push(KeyFault { key: path.to_owned(), message: "an object is not possible here".to_owned() });
        return;
    }
    match decode_one(path, value.clone()) {
        Ok(_) => insert(path, value.clone(), known),
        Err(message) => faults.push(KeyFault { key: path.to_owned(), message }),
    }
}

fn insert(path: &str, value: Value, into: &mut Map<String, Value>) {
    match path.split_once('.') {
        None => {
            into.insert(path.to_owned(), value);
        }
        Some((group, name)) => {
            let entry = into.entry(group).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(group) = entry {
                group.insert(name.to_owned(), value);
            }
        }
    }
}

fn nest(path: &str, value: Value) -> Value {
    let mut object = Map::new();
    insert(path, value, &mut object);
    Value::Object(object)
}

fn is_leaf(path: &str) -> bool {
    KEYS.iter().any(|key| key.path == path)
}

fn is_group(name: &str) -> bool {
    KEYS.iter().any(|key| key.path.split_once('.').is_some_and(|(group, _)| group == name))
}
