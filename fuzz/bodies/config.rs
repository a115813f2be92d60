//! The reader of configuration files: bytes to a layer that says what the file says, or an error that says where.

use ccc::config::{FileFault, KEYS, Layer, Position, Span, UnknownKey, parse_file};
use serde_json::Value;

/// `data` is a configuration file.
pub(crate) fn check(data: &[u8]) {
    match parse_file(data) {
        Ok((layer, unknown)) => accepted(data, &layer, &unknown),
        Err(fault) => refused(data, &fault),
    }
}

fn accepted(data: &[u8], layer: &Layer, unknown: &[UnknownKey]) {
    let text = std::str::from_utf8(data).expect("an accepted file is text");
    let file: Value = serde_json::from_str(text.trim_start_matches('\u{feff}')).expect("an accepted file is JSON");
    let said = serde_json::to_value(layer).expect("a layer is written as JSON");
    for key in KEYS.iter() {
        let in_file = file.pointer(&key.pointer()).unwrap_or(&Value::Null);
        let in_layer = said.pointer(&key.pointer()).unwrap_or(&Value::Null);
        assert!(alike(in_file, in_layer), "{}: the file says {in_file}, the layer {in_layer}", key.path);
    }
    let names = file.as_object().expect("an accepted file is an object");
    for name in names.keys().filter(|name| *name != "$schema") {
        let known = KEYS.iter().any(|key| key.path.split('.').next() == Some(name));
        assert_ne!(known, unknown.iter().any(|told| told.key == *name), "{name}: known or told");
    }
    for UnknownKey { key, position } in unknown {
        assert!(position.is_some(), "{key}: where?");
    }
    let written = serde_json::to_vec(layer).expect("a layer is written as JSON");
    match parse_file(&written) {
        Ok((again, told)) => assert_eq!((&again, told.len()), (layer, 0), "what is written is read as it was"),
        Err(fault) => panic!("what is written cannot be read: {fault}"),
    }
}

/// The same value, but for the way to write a length of time or a sum.
fn alike(file: &Value, layer: &Value) -> bool {
    match (file, layer) {
        (Value::String(file), Value::String(layer)) => {
            file == layer || matches!((file.parse::<Span>(), layer.parse::<Span>()), (Ok(a), Ok(b)) if a == b)
        }
        (Value::Number(file), Value::Number(layer)) => file.as_f64() == layer.as_f64(),
        (Value::Array(file), Value::Array(layer)) => {
            file.len() == layer.len() && file.iter().zip(layer).all(|(file, layer)| alike(file, layer))
        }
        (Value::Object(file), Value::Object(layer)) => {
            let names = || file.keys().chain(layer.keys());
            let of =
                |object: &serde_json::Map<String, Value>, name: &str| object.get(name).cloned().unwrap_or_default();
            names().all(|name| alike(&of(file, name), &of(layer, name)))
        }
        _ => file == layer,
    }
}

fn refused(data: &[u8], fault: &FileFault) {
    assert!(!fault.to_string().trim().is_empty());
    let inside = |position: &Position| {
        let lines: Vec<&[u8]> = data.split(|byte| *byte == b'\n').collect();
        let line = position.line.checked_sub(1).and_then(|at| lines.get(at));
        // A fault at a line's end stands one column after its last byte.
        let fits = line.is_some_and(|line| position.column <= line.len() + 1);
        assert!(fits, "{fault}: there is no such place");
    };
    match fault {
        FileFault::Syntax { position, message } => {
            inside(position);
            assert!(!message.is_empty());
            // Whoever is told that it is no JSON must be able to see that.
            let text = std::str::from_utf8(data).unwrap_or_default();
            let parsed = serde_json::from_str::<Value>(text.strip_prefix('\u{feff}').unwrap_or(text));
            assert!(parsed.is_err(), "it is JSON, and is said not to be: {fault}");
        }
        FileFault::Twice { position, message } => {
            inside(position);
            assert!(!message.is_empty());
        }
        FileFault::Key { key, position, message } => {
            position.iter().for_each(inside);
            assert!(!message.is_empty() && !key.is_empty(), "{fault}: whose fault?");
        }
        FileFault::NotUtf8 { offset } => assert!(std::str::from_utf8(&data[..*offset]).is_ok() && *offset < data.len()),
        FileFault::NotAnObject { found } => assert!(!found.is_empty()),
        FileFault::Unknown { .. } => panic!("who reads the file decides about keys that nobody knows"),
        FileFault::Unreadable(_) => panic!("bytes in memory cannot be read"),
    }
}
