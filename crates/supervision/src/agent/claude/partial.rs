//! Fragments of a message that is still being streamed.

use crate::stream::Envelope;

/// The text of a `text_delta` in the main conversation. Tool input is not text for the user.
pub(super) fn partial_text(line: &Envelope<'_>) -> Option<String> {
    delta(line, "text_delta", "text")
}

/// The text of a `thinking_delta` in the main conversation.
pub(super) fn partial_thought(line: &Envelope<'_>) -> Option<String> {
    delta(line, "thinking_delta", "thinking")
}

/// Whether a block of the main conversation begins.
pub(super) fn begins_text(line: &Envelope<'_>) -> bool {
    let is_own = line.kind.as_deref() == Some("stream_event") && line.parent_tool_use_id.is_none();
    let begins = || line.event?.member("type")?.text().map(|kind| kind == "content_block_start");
    is_own && begins().unwrap_or(false)
}

fn delta(line: &Envelope<'_>, kind: &str, key: &str) -> Option<String> {
    if line.kind.as_deref() != Some("stream_event") || line.parent_tool_use_id.is_some() {
        return None;
    }
    let delta = line.event?.member("delta")?;
    (delta.member("type")?.text()? == kind).then(|| delta.member(key)?.text().map(String::from))?
}

#[cfg(test)]
mod tests {
    use super::{partial_text, partial_thought};
    use crate::stream::parse_envelope;

    #[test]
    fn only_text_of_the_agent_itself_is_shown_while_it_is_said() {
        let of = |line: &str| partial_text(&parse_envelope(line).expect("JSON"));
        let delta = |kind: &str, parent: &str| {
            format!(
                r#"{{"type":"stream_event","event":{{"delta":{{"text":"back\n","type":"{kind}"}},"type":"content_block_delta"}},"parent_tool_use_id":{parent}}}"#
            )
        };
        assert_eq!(of(&delta("text_delta", "null")).as_deref(), Some("back\n"));
        assert_eq!(of(&delta("thinking_delta", "null")), None);
        assert_eq!(of(&delta("text_delta", "\"toolu_1\"")), None);
        let thinking = |parent: &str| delta("thinking_delta", parent).replace("\"text\":", "\"thinking\":");
        let thought = |line: &str| partial_thought(&parse_envelope(line).expect("JSON"));
        assert_eq!(of(&thinking("null")), None);
        assert_eq!(thought(&thinking("null")).as_deref(), Some("back\n"));
        assert_eq!(thought(&thinking("\"toolu_1\"")), None);
        assert_eq!(thought(&delta("text_delta", "null")), None);
        assert_eq!(of(r#"{"type":"assistant","message":{"content":[]}}"#), None);
    }
}
