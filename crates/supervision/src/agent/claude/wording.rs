//! Words a turn so that the CLI passes it on to the model.

use std::borrow::Cow;

use crate::agent::TurnKind;

/// Precedes text that the CLI would take for a command.
const PREFACE: &str = "The words of the review:\n\n";

/// The text to send. The CLI runs a message that begins with `/` as a slash command if it has one of that name, and
/// answers an unknown one itself; the model sees neither (measured on 2.1.197 and 2.1.329 with `/compact`). A user
/// may intend that. A critic whose answer begins with a path or a route does not, and the command could clear the session.
pub(super) fn wording(kind: TurnKind, text: &str) -> Cow<'_, str> {
    match kind {
        TurnKind::Task | TurnKind::Operator | TurnKind::Compact => Cow::Borrowed(text),
        TurnKind::Worker | TurnKind::Feedback | TurnKind::CheckFailure | TurnKind::Continue | TurnKind::Brief => {
            if text.trim_start().starts_with('/') {
                Cow::Owned(format!("{PREFACE}{text}"))
            } else {
                Cow::Borrowed(text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::wording;
    use crate::agent::TurnKind;

    #[test]
    fn only_the_user_can_give_a_command() {
        assert_eq!(wording(TurnKind::Task, "/compact"), "/compact");
        assert_eq!(wording(TurnKind::Operator, "/clear"), "/clear");
        assert_eq!(wording(TurnKind::Feedback, "Use /clear here"), "Use /clear here");
        for text in ["/clear", "  \n/healthz answers 500"] {
            let put = wording(TurnKind::Feedback, text);
            assert!(put.ends_with(text) && !put.trim_start().starts_with('/'), "{put}");
        }
    }
}
