//! The common members of every line.

use std::borrow::Cow;

use super::raw::{Raw, unescape};
use super::scan::{read_key, skip_value, skip_whitespace};

/// The common members of one line, borrowed from it. A member that is missing, `null` or of another type is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Envelope<'a> {
    /// The whole line, valid JSON, including unknown members.
    pub line: &'a str,
    /// `type`. `None` also when the line is JSON but no object.
    pub kind: Option<Cow<'a, str>>,
    /// `subtype`, of `system` and `result`.
    pub subtype: Option<Cow<'a, str>>,
    /// `uuid` of the message; for a replayed user message, the one it was sent with.
    pub uuid: Option<Cow<'a, str>>,
    /// `session_id`.
    pub session_id: Option<Cow<'a, str>>,
    /// `parent_tool_use_id`: the tool call whose sub-agent wrote the line; `None` in the main conversation.
    pub parent_tool_use_id: Option<Cow<'a, str>>,
    /// `event` of `stream_event`.
    pub event: Option<Raw<'a>>,
    /// `response` of `control_response`.
    pub response: Option<Raw<'a>>,
}

impl<'a> Envelope<'a> {
    /// The member of the line with this name, known or not.
    #[must_use]
    pub fn member(&self, name: &str) -> Option<Raw<'a>> {
        self.raw().member(name)
    }

    /// The line as a value.
    #[must_use]
    pub fn raw(&self) -> Raw<'a> {
        Raw::scanned(self.line.trim_matches([' ', '\t', '\r', '\n']))
    }

    /// Whether this is a partial message, which is repeated later as a whole: a delta of a content block, or an
    /// estimate of the thinking so far. The start and end of a message or block, and its stop reason, are not
    /// partial.
    #[must_use]
    pub fn is_partial(&self) -> bool {
        match self.kind.as_deref() {
            Some("stream_event") => self
                .event
                .and_then(|event| event.member("type"))
                .is_some_and(|kind| kind.json() == r#""content_block_delta""#),
            Some("system") => self.subtype.as_deref() == Some("thinking_tokens"),
            _ => false,
        }
    }

    fn set(&mut self, key: &str, value: Raw<'a>) {
        match key {
            "type" => self.kind = value.text(),
            "subtype" => self.subtype = value.text(),
            "uuid" => self.uuid = value.text(),
            "session_id" => self.session_id = value.text(),
            "parent_tool_use_id" => self.parent_tool_use_id = value.text(),
            "event" => self.event = value.read(),
            "response" => self.response = value.read(),
            _ => {}
        }
    }
}

/// The envelope of `line`; `None` when it is not exactly one JSON value.
#[must_use]
pub fn parse_envelope(line: &str) -> Option<Envelope<'_>> {
    let bytes = line.as_bytes();
    let mut envelope = Envelope { line, ..Envelope::default() };
    let mut at = skip_whitespace(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        at = skip_value(bytes, at)?;
        return (skip_whitespace(bytes, at) == bytes.len()).then_some(envelope);
    }
    at = skip_whitespace(bytes, at + 1);
    if bytes.get(at) == Some(&b'}') {
        return (skip_whitespace(bytes, at + 1) == bytes.len()).then_some(envelope);
    }
    loop {
        let key = read_key(bytes, at)?;
        let name = line.get(key.start..key.end)?;
        let name = if key.escaped { unescape(name) } else { Cow::Borrowed(name) };
        let end = skip_value(bytes, key.value)?;
        envelope.set(&name, Raw::scanned(line.get(key.value..end)?));
        at = skip_whitespace(bytes, end);
        match bytes.get(at)? {
            b',' => at += 1,
            b'}' => return (skip_whitespace(bytes, at + 1) == bytes.len()).then_some(envelope),
            _ => return None,
        }
    }
}

/// Whether `line` is a partial message; see [`Envelope::is_partial`], which is cheaper when the envelope exists
/// already.
#[must_use]
pub fn is_partial(line: &str) -> bool {
    parse_envelope(line).is_some_and(|envelope| envelope.is_partial())
}
