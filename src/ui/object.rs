use std::fmt::Write as _;

use serde::Serialize;

use super::clean::needs_escape;

/// One JSON object on one line, with its fields in the order in which they are added.
#[derive(Debug)]
pub(super) struct Object {
    text: String,
}

impl Object {
    pub(super) fn new() -> Object {
        Object { text: "{".to_owned() }
    }

    /// Adds a field. A value that JSON cannot hold (such as NaN) becomes `null`.
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

    /// Adds a field where there is a value.
    pub(super) fn field_if<T: Serialize>(self, name: &str, value: Option<&T>) -> Object {
        match value {
            Some(value) => self.field(name, value),
            None => self,
        }
    }

    /// Adds the fields of a value that is an object itself, in its order.
    pub(super) fn fields<T: Serialize>(mut self, value: &T) -> Object {
        let json = serde_json::to_string(value).unwrap_or_default();
        if let Some(fields) = json.strip_prefix('{').and_then(|json| json.strip_suffix('}')).filter(|it| !it.is_empty())
        {
            if self.text.len() > 1 {
                self.text.push(',');
            }
            push_harmless(&mut self.text, fields);
        }
        self
    }

    /// The object and a line end.
    pub(super) fn line(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

/// Makes a JSON text safe to show: everything in it is visible, and no terminal obeys it.
#[must_use]
pub fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    push_harmless(&mut out, json);
    out
}

/// Writes DEL, C1, bidirectional controls and invisible characters as escapes, which mean the same. JSON allows them
/// inside strings, where a terminal would obey them and a reader would not see them. Outside strings JSON has no such
/// characters except the line ends of a pretty form.
fn push_harmless(out: &mut String, json: &str) {
    let needs_escape = |c: char| c != '\n' && needs_escape(c);
    if !json.contains(needs_escape) {
        out.push_str(json);
        return;
    }
    for c in json.chars() {
        if needs_escape(c) {
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

#[cfg(test)]
mod tests {
    use super::harmless_json;

    #[test]
    fn what_nobody_sees_or_a_terminal_obeys_is_an_escape_that_means_the_same() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{200b}\u{e0041}\u{fe0f}\u{ad}é日\u{1b}";
        let json = serde_json::to_string_pretty(&serde_json::json!({ "task": text })).expect("JSON");
        let shown = harmless_json(&json);
        assert_eq!(
            shown,
            "{\n  \"task\": \"a\\u009b31m\\u007f\\u202e\\u200b\\udb40\\udc41\\ufe0f\\u00adé日\\u001b\"\n}"
        );
        let back: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        assert_eq!(back["task"], text);
    }
}
