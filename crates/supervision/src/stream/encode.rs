//! Messages to the CLI: each one line, with its `\n`.
//!
//! The CLI ends itself at a line that is not JSON (facts §0.6), so text only gets in through serde_json. U+2028 and U+2029
//! are escaped too: JSON allows them, but JavaScript's line readers take them for line ends. Nothing here can fail.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::json;

/// One line with its `\n`, ready to be written.
///
/// `Debug` shows its length only: it may hold a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// The line as JSON. `bytes` is enough for all of it, so that no outgrown buffer with a secret is left behind.
    fn of(message: &Sent<'_>, bytes: usize) -> Line {
        let mut json = Vec::with_capacity(bytes);
        // Writing names and texts to memory cannot fail; if it did, the empty line would be passed over by the CLI.
        let written = serde_json::to_writer(&mut json, message).ok().and_then(|()| String::from_utf8(json).ok());
        let mut line = written.unwrap_or_default();
        if line.contains(['\u{2028}', '\u{2029}']) {
            line = line.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        }
        line.push('\n');
        Line(line)
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

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Sent<'a> {
    User { message: UserMessage<'a>, uuid: &'a str, parent_tool_use_id: () },
    ControlRequest { request_id: &'a str, request: Request<'a> },
    ControlResponse { response: Response<'a> },
    UpdateEnvironmentVariables { variables: BTreeMap<&'a str, &'a str>, request_id: &'a str },
}

#[derive(Serialize)]
struct UserMessage<'a> {
    role: &'static str,
    content: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
enum Request<'a> {
    Interrupt,
    GetSessionCost,
    SetPermissionMode { mode: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
enum Response<'a> {
    Success { request_id: &'a str, response: serde_json::Value },
    Error { request_id: &'a str, error: &'a str },
}

/// A user turn. `uuid` makes its delivery exactly-once (facts §5).
#[must_use]
pub fn user_turn(uuid: &str, text: &str) -> Line {
    let message = UserMessage { role: "user", content: text };
    Line::of(&Sent::User { message, uuid, parent_tool_use_id: () }, text.len() + 256)
}

/// Interrupts the turn.
#[must_use]
pub fn interrupt(request_id: &str) -> Line {
    request(request_id, Request::Interrupt)
}

/// Changes the permission mode from the next turn on.
#[must_use]
pub fn set_permission_mode(request_id: &str, mode: &str) -> Line {
    request(request_id, Request::SetPermissionMode { mode })
}

/// Asks what the session has cost, in words for people.
#[must_use]
pub fn get_session_cost(request_id: &str) -> Line {
    request(request_id, Request::GetSessionCost)
}

/// Answers `can_use_tool` with no. The model reads `message` as the tool's result (seen on 2.1.197 and 2.1.329).
#[must_use]
pub fn deny_tool(request_id: &str, message: &str) -> Line {
    answer(Response::Success { request_id, response: json!({"behavior": "deny", "message": message}) })
}

/// Answers `can_use_tool` with yes. With an empty `updatedInput` the call runs as it was asked for; without one 2.1.197 refuses
/// the answer (seen on 2.1.197 and 2.1.332).
#[must_use]
pub fn allow_tool(request_id: &str) -> Line {
    answer(Response::Success { request_id, response: json!({"behavior": "allow", "updatedInput": {}}) })
}

/// Answers `elicitation`: nobody fills the form in. The MCP server hears that it was cancelled (seen on 2.1.197 and 2.1.332).
#[must_use]
pub fn cancel_form(request_id: &str) -> Line {
    answer(Response::Success { request_id, response: json!({"action": "cancel"}) })
}

/// Refuses a request of the CLI.
#[must_use]
pub fn control_error(request_id: &str, error: &str) -> Line {
    answer(Response::Error { request_id, error })
}

/// Exchanges a credential in the live process (facts §0.1): names and values of environment variables. Only the two OAuth
/// variables are taken over; whether they were says [`super::message::ControlResponse::applied`].
#[must_use]
pub fn update_environment(request_id: &str, variables: &[(&str, &str)]) -> Line {
    // Large enough at once, so that no outgrown buffer with a secret is left behind.
    let pairs: usize = variables.iter().map(|(name, value)| escaped_bytes(name) + escaped_bytes(value) + 6).sum();
    let bytes = pairs + escaped_bytes(request_id) + 128;
    let variables = variables.iter().copied().collect();
    Line::of(&Sent::UpdateEnvironmentVariables { variables, request_id }, bytes)
}

fn request(request_id: &str, request: Request<'_>) -> Line {
    Line::of(&Sent::ControlRequest { request_id, request }, 256)
}

fn answer(response: Response<'_>) -> Line {
    Line::of(&Sent::ControlResponse { response }, 256)
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
        let text = &line.0;
        let inside = text.strip_suffix('\n').unwrap();
        let ends = ['\n', '\r', '\u{2028}', '\u{2029}'];
        assert!(!inside.contains(ends), "more than one line");
        serde_json::from_str(inside).unwrap()
    }

    #[test]
    fn a_user_turn_has_the_shape_the_cli_reads() {
        assert_eq!(
            decoded(&user_turn("u-1", "do it")),
            json!({"type": "user", "message": {"role": "user", "content": "do it"}, "uuid": "u-1",
                "parent_tool_use_id": null})
        );
    }

    #[test]
    fn control_messages_have_the_shape_the_cli_reads() {
        assert_eq!(
            decoded(&interrupt("r-1")),
            json!({"type": "control_request", "request_id": "r-1", "request": {"subtype": "interrupt"}})
        );
        assert_eq!(
            decoded(&set_permission_mode("r-3", "m\"1")),
            json!({"type": "control_request", "request_id": "r-3",
                "request": {"subtype": "set_permission_mode", "mode": "m\"1"}})
        );
        assert_eq!(
            decoded(&get_session_cost("r-4")),
            json!({"type": "control_request", "request_id": "r-4", "request": {"subtype": "get_session_cost"}})
        );
        assert_eq!(
            decoded(&control_error("r-5", "nobody is here")),
            json!({"type": "control_response",
                "response": {"subtype": "error", "request_id": "r-5", "error": "nobody is here"}})
        );
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
    fn an_allowed_tool_runs_with_the_input_that_was_asked_for() {
        assert_eq!(
            decoded(&allow_tool("r-6")),
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r-6",
                "response": {"behavior": "allow", "updatedInput": {}}}})
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
        let message = decoded(&user_turn("u", &text));
        assert_eq!(message["message"]["content"], Value::String(text));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), name in any::<String>()) {
            let message = decoded(&user_turn(&name, &text));
            prop_assert_eq!(&message["message"]["content"], &Value::String(text.clone()));
            prop_assert_eq!(&message["uuid"], &Value::String(name.clone()));
            let line = update_environment("r", &[(&name, &text)]);
            prop_assert_eq!(&decoded(&line)["variables"][&name], &Value::String(text));
        }
    }
}
