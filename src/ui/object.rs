use std::fmt::Write as _;

use serde::Serialize;

use super::clean::acts;

/// One JSON object on one line, its fields in the order in which they are given.
#[derive(Debug)]
pub(super) struct Object {
    text: String,
}

impl Object {
    pub(super) fn new() -> Object {
        Object { text: "{".to_owned() }
    }

    /// Adds a field. What JSON cannot say (a number that is none) becomes `null`.
    pub(super) fn field<T: Serialize + ?Sized>(mut self, name: &str, value: &T) -> Object {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        let value = serde_json::to_string(value).unwrap_or_else(|_| "null".to_owned());
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
        push_harmless(&mut self.text, &value);
        self
    }

    /// The object and a line end.
    pub(super) fn line(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

/// JSON leaves DEL, C1 and bidirectional controls as they are inside strings; a terminal would obey them. They stand
/// as escapes instead, which mean the same. Outside of strings JSON has no such characters.
fn push_harmless(out: &mut String, json: &str) {
    if !json.contains(acts) {
        out.push_str(json);
        return;
    }
    for c in json.chars() {
        if acts(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
}
