//! Messages to the CLI, each one line with its `\n`.
//!
//! The CLI exits at a line that is not JSON (facts §0.6), so all text passes through serde_json. U+2028 and U+2029
//! are escaped too: JSON allows them, but JavaScript's line readers treat them as line ends. Nothing here can fail.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::json;

/// One line with its `\n`, ready to be written.
///
/// `Debug` shows only its length: the line may contain a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Line(String);

impl Line {
    /// The line as JSON. `bytes` must suffice for all of it, so that no outgrown buffer leaves a secret in memory.
    fn of(message: &Sent<'_>, bytes: usize) -> Line {
        let mut json = Vec::with_capacity(bytes);
        // Writing names and texts to memory cannot fail; if it did, the CLI would skip the empty line.
        let written = serde_json::to_writer(&mut json, message).ok().and_then(|()| String::from_utf8(json).ok());
        let mut line = written.unwrap_or_default();
        if line.contains(['\u{2028}', '\u{2029}']) {
            line = line.replace('\u{2028}', "\\u2028").replace('\u{2029}', "\\u2029");
        }
        line.push('\n');
        Line(line)
    }

    /// The bytes to write. The caller must not show them.
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
    content: Content<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Content<'a> {
    Text(&'a str),
    Blocks(Vec<ContentBlock<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum ContentBlock<'a> {
    Text { text: &'a str },
    Image { source: ImageSource<'a> },
}

#[derive(Serialize)]
struct ImageSource<'a> {
    r#type: &'static str,
    media_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
enum Request<'a> {
    Interrupt,
    GetSessionCost,
    Initialize,
    SetPermissionMode { mode: &'a str },
    SetModel { model: &'a str },
}

#[derive(Serialize)]
#[serde(tag = "subtype", rename_all = "snake_case")]
enum Response<'a> {
    Success { request_id: &'a str, response: serde_json::Value },
    Error { request_id: &'a str, error: &'a str },
}

/// A user turn; `images` are pairs of media type and base64. `uuid` makes its delivery exactly-once (facts §5).
#[must_use]
pub fn user_turn<'a>(uuid: &'a str, text: &'a str, images: impl IntoIterator<Item = (&'a str, &'a str)>) -> Line {
    let mut bytes = text.len() + 256;
    let mut blocks = vec![ContentBlock::Text { text }];
    for (media_type, data) in images {
        bytes += data.len() + 128;
        blocks.push(ContentBlock::Image { source: ImageSource { r#type: "base64", media_type, data } });
    }
    let content = if blocks.len() == 1 { Content::Text(text) } else { Content::Blocks(blocks) };
    Line::of(&Sent::User { message: UserMessage { role: "user", content }, uuid, parent_tool_use_id: () }, bytes)
}

/// Asks what the CLI offers (commands, models). The CLI answers before any turn and without a provider request.
/// Without hooks in it the message changes no request (seen on 2.1.197 and 2.1.332).
#[must_use]
pub fn initialize(request_id: &str) -> Line {
    request(request_id, Request::Initialize)
}

/// Changes the model of all following requests.
#[must_use]
pub fn set_model(request_id: &str, model: &str) -> Line {
    request(request_id, Request::SetModel { model })
}

/// Interrupts the turn.
#[must_use]
pub fn interrupt(request_id: &str) -> Line {
    request(request_id, Request::Interrupt)
}

/// Changes the permission mode of all following turns.
#[must_use]
pub fn set_permission_mode(request_id: &str, mode: &str) -> Line {
    request(request_id, Request::SetPermissionMode { mode })
}

/// Asks what the session has cost, as text for people.
#[must_use]
pub fn get_session_cost(request_id: &str) -> Line {
    request(request_id, Request::GetSessionCost)
}

/// Denies `can_use_tool`. The model reads `message` as the tool's result (seen on 2.1.197 and 2.1.329).
#[must_use]
pub fn deny_tool(request_id: &str, message: &str) -> Line {
    answer(Response::Success { request_id, response: json!({"behavior": "deny", "message": message}) })
}

/// Allows `can_use_tool`. With an empty `updatedInput` the call runs with its own input; 2.1.197 refuses an answer
/// without one (seen on 2.1.197 and 2.1.332). `input` is a JSON object that replaces the call's input; `updates` are
/// JSON objects with additional permissions. Invalid JSON is left out.
#[must_use]
pub fn allow_tool(request_id: &str, input: Option<&str>, updates: &[String]) -> Line {
    let parsed = |json: &str| serde_json::from_str::<serde_json::Value>(json).ok();
    let input = input.and_then(parsed).filter(serde_json::Value::is_object).unwrap_or_else(|| json!({}));
    let mut response = json!({"behavior": "allow", "updatedInput": input});
    let updates: Vec<serde_json::Value> = updates.iter().filter_map(|json| parsed(json)).collect();
    if let (false, Some(response)) = (updates.is_empty(), response.as_object_mut()) {
        response.insert("updatedPermissions".to_owned(), updates.into());
    }
    answer(Response::Success { request_id, response })
}

/// Answers `elicitation` with the filled-in form, a JSON object.
#[must_use]
pub fn fill_form(request_id: &str, content: &str) -> Line {
    let content: serde_json::Value = serde_json::from_str(content).unwrap_or_else(|_| json!({}));
    answer(Response::Success { request_id, response: json!({"action": "accept", "content": content}) })
}

/// Cancels an `elicitation` that nobody fills in. The MCP server is told so (seen on 2.1.197 and 2.1.332).
#[must_use]
pub fn cancel_form(request_id: &str) -> Line {
    answer(Response::Success { request_id, response: json!({"action": "cancel"}) })
}

/// Refuses a request of the CLI.
#[must_use]
pub fn control_error(request_id: &str, error: &str) -> Line {
    answer(Response::Error { request_id, error })
}

/// Exchanges a credential in the live process (facts §0.1): names and values of environment variables. The CLI adopts
/// only the two OAuth variables; [`super::message::ControlResponse::applied`] says whether it did.
#[must_use]
pub fn update_environment(request_id: &str, variables: &[(&str, &str)]) -> Line {
    // Large enough from the start, so that no outgrown buffer leaves a secret in memory.
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

/// An upper bound of a text's escaped length.
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
            user_turn("u-1", "do it", []).0,
            "{\"type\":\"user\",\"message\":{\"role\":\"user\",\"content\":\"do it\"},\"uuid\":\"u-1\",\
             \"parent_tool_use_id\":null}\n"
        );
        let image = json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}});
        assert_eq!(
            decoded(&user_turn("u-1", "look", [("image/png", "AA==")]))["message"]["content"],
            json!([{"type": "text", "text": "look"}, image])
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
            decoded(&initialize("i-1")),
            json!({"type": "control_request", "request_id": "i-1", "request": {"subtype": "initialize"}})
        );
        assert_eq!(
            decoded(&set_model("m-1", "opus")),
            json!({"type": "control_request", "request_id": "m-1", "request": {"subtype": "set_model", "model": "opus"}})
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
            decoded(&allow_tool("r-6", None, &[])),
            json!({"type": "control_response", "response": {"subtype": "success", "request_id": "r-6",
                "response": {"behavior": "allow", "updatedInput": {}}}})
        );
        let updates = [r#"{"type":"setMode","mode":"acceptEdits","destination":"session"}"#.to_owned(), "{".to_owned()];
        let line = allow_tool("r-6", Some("{\n \"command\": \"touch y\"}"), &updates);
        assert_eq!(
            decoded(&line)["response"]["response"],
            json!({"behavior": "allow", "updatedInput": {"command": "touch y"},
                "updatedPermissions": [{"type": "setMode", "mode": "acceptEdits", "destination": "session"}]})
        );
        assert_eq!(decoded(&allow_tool("r", Some("[1]"), &[]))["response"]["response"]["updatedInput"], json!({}));
        assert_eq!(
            decoded(&fill_form("r-7", r#"{"name":"Ann"}"#))["response"]["response"],
            json!({"action": "accept", "content": {"name": "Ann"}})
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
        let message = decoded(&user_turn("u", &text, []));
        assert_eq!(message["message"]["content"], Value::String(text));
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in any::<String>(), name in any::<String>()) {
            let message = decoded(&user_turn(&name, &text, []));
            prop_assert_eq!(&message["message"]["content"], &Value::String(text.clone()));
            prop_assert_eq!(&message["uuid"], &Value::String(name.clone()));
            let line = update_environment("r", &[(&name, &text)]);
            prop_assert_eq!(&decoded(&line)["variables"][&name], &Value::String(text));
        }
    }
}
