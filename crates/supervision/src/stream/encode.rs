//! Messages to the CLI: each one line, with its `\n`.
//!
//! The CLI ends itself at a line that is not JSON (facts §0.6), so text only gets in through an escaper. It also escapes
//! U+2028 and U+2029, which JSON allows but JavaScript's line readers take for line ends. Nothing here can fail.

use std::fmt;

use super::raw::Raw;

/// One line with its `\n`, ready to be written.
///
/// `Debug` shows its length only: it may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// What to write.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// What to write. The caller takes over the duty not to show it.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0.into_bytes()
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} bytes)", self.0.len())
    }
}

/// A user turn. `uuid` makes its delivery exactly-once (facts §5); `session_id` is ignored by the CLI but kept in its
/// records.
#[must_use]
pub fn user_turn(uuid: &str, text: &str, session_id: Option<&str>) -> Line {
    let mut line = Object::with_capacity(text.len() + 256);
    line.string("type", "user")
        .object("message", |message| {
            message.string("role", "user").string("content", text);
        })
        .string("uuid", uuid)
        .json("parent_tool_use_id", "null");
    if let Some(session_id) = session_id {
        line.string("session_id", session_id);
    }
    line.finish()
}

/// A control request of any subtype, with further members. The answer is a `control_response` with this `request_id`.
#[must_use]
pub fn control_request(request_id: &str, subtype: &str, members: &[(&str, Raw<'_>)]) -> Line {
    request(request_id, subtype, |body| {
        for (name, value) in members {
            body.json(name, value.json());
        }
    })
}

/// Interrupts the turn; the process lives on (facts §3).
#[must_use]
pub fn interrupt(request_id: &str) -> Line {
    control_request(request_id, "interrupt", &[])
}

/// Opens the control protocol, with hooks and the like as `members`.
#[must_use]
pub fn initialize(request_id: &str, members: &[(&str, Raw<'_>)]) -> Line {
    control_request(request_id, "initialize", members)
}

/// Changes the model from the next turn on.
#[must_use]
pub fn set_model(request_id: &str, model: &str) -> Line {
    request(request_id, "set_model", |body| {
        body.string("model", model);
    })
}

/// Changes the permission mode from the next turn on.
#[must_use]
pub fn set_permission_mode(request_id: &str, mode: &str) -> Line {
    request(request_id, "set_permission_mode", |body| {
        body.string("mode", mode);
    })
}

/// Asks for the usage windows.
#[must_use]
pub fn get_usage(request_id: &str) -> Line {
    control_request(request_id, "get_usage", &[])
}

/// Asks what the session has cost.
#[must_use]
pub fn get_session_cost(request_id: &str) -> Line {
    control_request(request_id, "get_session_cost", &[])
}

/// Takes back a user message that is still queued.
#[must_use]
pub fn cancel_async_message(request_id: &str, message_uuid: &str) -> Line {
    request(request_id, "cancel_async_message", |body| {
        body.string("message_uuid", message_uuid);
    })
}

/// Stops a background task.
#[must_use]
pub fn stop_task(request_id: &str, task_id: &str) -> Line {
    request(request_id, "stop_task", |body| {
        body.string("task_id", task_id);
    })
}

/// Answers a request of the CLI; without a body with an empty object.
#[must_use]
pub fn control_success(request_id: &str, body: Option<Raw<'_>>) -> Line {
    response(request_id, "success", |response| {
        response.json("response", body.map_or("{}", Raw::json));
    })
}

/// Answers `can_use_tool` with no. The model reads `message` as the tool's result (seen on 2.1.197 and 2.1.329).
#[must_use]
pub fn deny_tool(request_id: &str, message: &str) -> Line {
    response(request_id, "success", |response| {
        response.object("response", |answer| {
            answer.string("behavior", "deny").string("message", message);
        });
    })
}

/// Answers `elicitation`: nobody fills the form in. The MCP server hears that it was cancelled (seen on 2.1.197 and 2.1.332).
#[must_use]
pub fn cancel_form(request_id: &str) -> Line {
    response(request_id, "success", |response| {
        response.object("response", |answer| {
            answer.string("action", "cancel");
        });
    })
}

/// Refuses a request of the CLI.
#[must_use]
pub fn control_error(request_id: &str, error: &str) -> Line {
    response(request_id, "error", |response| {
        response.string("error", error);
    })
}

/// Exchanges credentials in the live process (facts §0.1): names and values of environment variables. Only the two OAuth
/// variables are taken over; whether they were says [`super::message::ControlResponse::applied`].
#[must_use]
pub fn update_environment(request_id: &str, variables: &[(&str, &str)]) -> Line {
    // Large enough at once, so that no outgrown buffer with a secret is left behind.
    let secret_bytes: usize =
        variables.iter().map(|(name, value)| escaped_bytes(name) + escaped_bytes(value) + 6).sum();
    let mut line = Object::with_capacity(secret_bytes + escaped_bytes(request_id) + 128);
    line.string("type", "update_environment_variables")
        .object("variables", |object| {
            for (name, value) in variables {
                object.string(name, value);
            }
        })
        .string("request_id", request_id);
    line.finish()
}

/// Says nothing.
#[must_use]
pub fn keep_alive() -> Line {
    let mut line = Object::with_capacity(32);
    line.string("type", "keep_alive");
    line.finish()
}

fn request(request_id: &str, subtype: &str, add_members: impl FnOnce(&mut Object)) -> Line {
    let mut line = Object::with_capacity(256);
    line.string("type", "control_request").string("request_id", request_id).object("request", |body| {
        body.string("subtype", subtype);
        add_members(body);
    });
    line.finish()
}

fn response(request_id: &str, subtype: &str, add_members: impl FnOnce(&mut Object)) -> Line {
    let mut line = Object::with_capacity(256);
    line.string("type", "control_response").object("response", |body| {
        body.string("subtype", subtype).string("request_id", request_id);
        add_members(body);
    });
    line.finish()
}

/// An object that is being written.
struct Object {
    text: String,
    /// No member has been written since the last opening bracket.
    is_empty: bool,
}

impl Object {
    fn with_capacity(bytes: usize) -> Self {
        let mut text = String::with_capacity(bytes);
        text.push('{');
        Self { text, is_empty: true }
    }

    fn key(&mut self, name: &str) {
        if !self.is_empty {
            self.text.push(',');
        }
        self.is_empty = false;
        push_string(&mut self.text, name);
        self.text.push(':');
    }

    fn string(&mut self, name: &str, value: &str) -> &mut Self {
        self.key(name);
        push_string(&mut self.text, value);
        self
    }

    /// `value` must be JSON.
    fn json(&mut self, name: &str, value: &str) -> &mut Self {
        self.key(name);
        // In JSON, line ends stand between tokens only, and the two separators in strings only.
        for character in value.chars() {
            match character {
                '\n' | '\r' => self.text.push(' '),
                '\u{2028}' => self.text.push_str("\\u2028"),
                '\u{2029}' => self.text.push_str("\\u2029"),
                other => self.text.push(other),
            }
        }
        self
    }

    fn object(&mut self, name: &str, add_members: impl FnOnce(&mut Self)) -> &mut Self {
        self.key(name);
        self.text.push('{');
        self.is_empty = true;
        add_members(self);
        self.text.push('}');
        self.is_empty = false;
        self
    }

    fn finish(mut self) -> Line {
        self.text.push_str("}\n");
        Line(self.text)
    }
}

fn push_string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => push_unicode(out, character),
            other => out.push(other),
        }
    }
    out.push('"');
}

fn push_unicode(out: &mut String, character: char) {
    let code = u32::from(character);
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        out.push(char::from_digit((code >> shift) & 0xf, 16).unwrap_or('0'));
    }
}

/// An upper bound of what a text takes when escaped.
fn escaped_bytes(text: &str) -> usize {
    text.len() * 6 + 2
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn decoded(line: &Line) -> Value {
        let text = std::str::from_utf8(line.as_bytes()).unwrap();
        let inside = text.strip_suffix('\n').unwrap();
        let ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
        assert!(!inside.contains(ends), "more than one line");
        serde_json::from_str(inside).unwrap()
    }

    #[test]
    fn a_user_turn_has_the_shape_the_cli_reads() {
        assert_eq!(
            decoded(&user_turn("u-1", "do it", Some("s-1"))),
            json!({"type": "user", "message": {"role": "user", "content": "do it"}, "uuid": "u-1",
                "parent_tool_use_id": null, "session_id": "s-1"})
        );
    }

    #[test]
    fn control_messages_have_the_shape_the_cli_reads() {
        assert_eq!(
            decoded(&interrupt("r-1")),
            json!({"type": "control_request", "request_id": "r-1", "request": {"subtype": "interrupt"}})
        );
        let hooks = Raw::parse("{\"Stop\":\n[ {\"timeout\":\r\n600, \"x\":\"a\u{2028}b\"} ]}").unwrap();
        assert_eq!(
            decoded(&initialize("r-2", &[("hooks", hooks)])),
            json!({"type": "control_request", "request_id": "r-2", "request": {"subtype": "initialize",
                "hooks": {"Stop": [{"timeout": 600, "x": "a\u{2028}b"}]}}})
        );
        assert_eq!(
            decoded(&set_model("r-3", "m\"1")),
            json!({"type": "control_request", "request_id": "r-3", "request": {"subtype": "set_model", "model": "m\"1"}})
        );
        assert_eq!(
            decoded(&control_success("r-4", None)),
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r-4", "response": {}}})
        );
        assert_eq!(
            decoded(&control_error("r-5", "nobody is here")),
            json!({"type": "control_response",
                "response": {"subtype": "error", "request_id": "r-5", "error": "nobody is here"}})
        );
        assert_eq!(decoded(&keep_alive()), json!({"type": "keep_alive"}));
    }

    #[test]
    fn a_denied_tool_is_an_answer_and_no_error() {
        assert_eq!(
            decoded(&deny_tool("r-6", "nobody\nis here")),
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r-6",
                "response": {"behavior": "deny", "message": "nobody\nis here"}}})
        );
    }

    #[test]
    fn a_cancelled_form_is_an_answer_and_no_error() {
        assert_eq!(
            decoded(&cancel_form("r-7")),
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r-7",
                "response": {"action": "cancel"}}})
        );
    }

    #[test]
    fn a_credential_is_sent_but_not_shown() {
        let line = update_environment("u1", &[("CLAUDE_CODE_OAUTH_TOKEN", "not-a-real-token")]);
        assert_eq!(
            decoded(&line),
            json!({"type": "update_environment_variables", "request_id": "u1",
                "variables": {"CLAUDE_CODE_OAUTH_TOKEN": "not-a-real-token"}})
        );
        assert!(!format!("{line:?} {line:#?}").contains("real"));
    }

    #[test]
    fn ten_megabytes_are_one_line() {
        let text = "wide 語 \u{2028} \0 \" \\ \r\n\t 😀 ".repeat(400_000);
        assert!(text.len() > 10_000_000);
        let message = decoded(&user_turn("u", &text, None));
        assert_eq!(message["message"]["content"], Value::String(text));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), name in any::<String>()) {
            let message = decoded(&user_turn(&name, &text, None));
            prop_assert_eq!(&message["message"]["content"], &Value::String(text.clone()));
            prop_assert_eq!(&message["uuid"], &Value::String(name.clone()));
            let line = update_environment("r", &[(&name, &text)]);
            prop_assert_eq!(&decoded(&line)["variables"][&name], &Value::String(text));
        }
    }
}
