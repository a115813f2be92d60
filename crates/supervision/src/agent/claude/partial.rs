//! Pieces of a message that is being said.

use crate::stream::Envelope;

/// The text of a `text_delta` on the main thread. Thinking and the input of tools are not said to anybody.
pub(super) fn partial_text(line: &Envelope<'_>) -> Option<String> {
    if line.kind.as_deref() != Some("stream_event") || line.parent_tool_use_id.is_some() {
        return None;
    }
    let delta = line.event?.member("delta")?;
    (delta.member("type")?.text()? == "text_delta").then(|| delta.member("text")?.text().map(String::from))?
}

#[cfg(test)]
mod tests {
    use super::partial_text;
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
        assert_eq!(of(r#"{"type":"assistant","message":{"content":[]}}"#), None);
    }
}
