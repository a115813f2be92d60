//! Writes any question to the user in words.

use std::fmt::Write as _;

use jiff::tz::TimeZone;

use super::format::{bound, due};
use crate::core::Question;

/// The question with its numbered choices.
pub(super) fn asked(question: &Question, now_unix_ms: i64, zone: &TimeZone) -> String {
    let mut text = question.text();
    for (number, choice) in (1..).zip(question.choices()) {
        let at = choice.at_unix_ms.map(|at| format!(": {}", due(at, now_unix_ms, zone))).unwrap_or_default();
        let default = if choice.answer == question.default { " [default]" } else { "" };
        let _ = write!(text, "\n{number}) {}{at}{default}", choice.text);
    }
    let timeout = bound(question.timeout_ms);
    let _ = write!(text, "\nType a number and Enter; without an answer in {timeout} the default is taken.");
    text
}

#[cfg(test)]
mod tests {
    use jiff::tz::TimeZone;

    use super::asked;
    use crate::agent::ToolRequest;
    use crate::core::{About, Answer, AtLimit, Question};

    const NOW: i64 = 1_795_198_017_000;

    #[test]
    fn the_question_numbers_its_choices_and_names_the_default() {
        let about = AtLimit { token: "A".to_owned(), next: Some("B".to_owned()), until_unix_ms: Some(NOW + 60_000) };
        let limit = Question { number: 1, about: About::Limit(about), default: Answer::Rotate, timeout_ms: 60_000 };
        let text = asked(&limit, NOW, &TimeZone::UTC);
        assert!(text.contains("\n1) rotate to B and continue [default]\n2) wait for the reset: "), "{text}");
        assert!(text.contains("\n3) exit and save") && text.contains("\n4) keep going"), "{text}");
        let about = ToolRequest { tool: "Bash".to_owned(), target: "rm x".to_owned(), ..ToolRequest::default() };
        let tool = Question { number: 2, about: About::Permission(about), default: Answer::Deny, timeout_ms: 60_000 };
        assert_eq!(
            asked(&tool, NOW, &TimeZone::UTC),
            "The agent asks to use Bash rm x. May it?\n1) allow it once\n2) deny it [default]\n\
             Type a number and Enter; without an answer in 60s the default is taken."
        );
    }
}
