use crate::stream::{Envelope, Message, parse_message};

/// Whether a line is no message, a `keep_alive`, or of an unknown type. None of these proves progress.
pub(super) fn says_nothing(line: &Envelope<'_>) -> bool {
    match line.kind.as_deref() {
        None | Some("keep_alive") => true,
        // These can be long, so only the protocol parses them.
        Some("assistant" | "user" | "result" | "stream_event") => false,
        Some(_) => matches!(parse_message(line), Message::Other(_)),
    }
}

#[cfg(test)]
mod tests {
    use super::says_nothing;
    use crate::stream::parse_envelope;

    #[test]
    fn lines_that_say_nothing_are_told_from_messages() {
        let rows = [
            ("1", true),
            ("{}", true),
            (r#"{"type":7}"#, true),
            (r#"{"type":"keep_alive"}"#, true),
            (r#"{"type":"unheard_of"}"#, true),
            (r#"{"type":"system","subtype":"unheard_of"}"#, true),
            (r#"{"type":"system","subtype":"session_state_changed","state":"idle"}"#, false),
            (r#"{"type":"assistant","message":{}}"#, false),
            (r#"{"type":"rate_limit_event"}"#, false),
        ];
        for (line, expected) in rows {
            let envelope = parse_envelope(line).expect("JSON");
            assert_eq!(says_nothing(&envelope), expected, "{line}");
        }
    }
}
