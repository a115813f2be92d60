//! What the critic's final answer means (design §6).

use serde::{Deserialize, Serialize};

/// The marker with which a critic agrees that the task is done.
pub const COMPLETED_MARKER: &str = "[TASK_COMPLETED]";
/// The marker with which a critic says that only the user can help.
pub const NEEDS_USER_MARKER: &str = "[NEEDS_USER]";

/// What a critic's final answer means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The task is done; the text above the marker, if any.
    Completed(String),
    /// What is missing: the agent's next turn.
    Feedback(String),
    /// What only the user can answer.
    NeedsUser(String),
    /// No verdict at all, and why.
    Unusable(String),
}

impl Verdict {
    /// Reads a critic's final answer.
    ///
    /// A marker counts when it stands alone on the last non-empty line, ignoring markdown decoration around it.
    /// Anywhere else it is text: an echoed prompt or a quoted sentence must not complete a run (lessons, "Done").
    #[must_use]
    pub fn read(answer: &str) -> Verdict {
        let body = answer.trim_end();
        let (above, last) = match body.rfind('\n') {
            Some(at) => (&body[..at], &body[at + 1..]),
            None => ("", body),
        };
        let bare = undecorated(last);
        if bare == COMPLETED_MARKER {
            return Verdict::Completed(above.trim().to_owned());
        }
        if bare == NEEDS_USER_MARKER {
            return match above.trim() {
                "" => Verdict::Unusable("the critic asks for the user without saying what for".to_owned()),
                question => Verdict::NeedsUser(question.to_owned()),
            };
        }
        match body.trim() {
            "" => Verdict::Unusable("the critic's answer is empty".to_owned()),
            feedback => Verdict::Feedback(feedback.to_owned()),
        }
    }

    /// The word used in events and journals.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Completed(_) => "completed",
            Verdict::Feedback(_) => "feedback",
            Verdict::NeedsUser(_) => "needs_user",
            Verdict::Unusable(_) => "unusable",
        }
    }
}

/// The line without the markdown that models put around a word: emphasis, code, heading, quote and list marks.
fn undecorated(line: &str) -> &str {
    let decoration = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '#' | '>' | '~');
    let inner = line.trim_matches(decoration);
    // A list mark is decoration only in front, and only when it stands apart.
    inner.strip_prefix("- ").map_or(inner, |rest| rest.trim_matches(decoration))
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn only_a_marker_alone_on_the_last_line_completes() {
        let table: &[(&str, &str)] = &[
            ("[TASK_COMPLETED]", "completed"),
            ("All good.\n\n[TASK_COMPLETED]\n\n", "completed"),
            ("All good.\r\n[TASK_COMPLETED]\r\n", "completed"),
            ("Fine.\n**[TASK_COMPLETED]**", "completed"),
            ("Fine.\n`[TASK_COMPLETED]`  ", "completed"),
            ("Fine.\n> **`[TASK_COMPLETED]`**", "completed"),
            ("Fine.\n## [TASK_COMPLETED]", "completed"),
            ("Fine.\n- [TASK_COMPLETED]", "completed"),
            ("Do not answer [TASK_COMPLETED] yet.", "feedback"),
            ("[TASK_COMPLETED]\nbut the tests fail", "feedback"),
            ("[TASK_COMPLETED] is what I would say if the tests passed.", "feedback"),
            ("You asked for [TASK_COMPLETED]", "feedback"),
            ("\"[TASK_COMPLETED]\"", "feedback"),
            ("[TASK_COMPLETED].", "feedback"),
            ("[task_completed]", "feedback"),
            ("[TASK_COMPLETED][TASK_COMPLETED]", "feedback"),
            ("Not [TASK_COMPLETED]\n```\n[TASK_COMPLETED]\n```", "feedback"),
            ("Which database?\n[NEEDS_USER]", "needs_user"),
            ("[NEEDS_USER]", "unusable"),
            ("", "unusable"),
            (" \n\t\n", "unusable"),
            ("Add the missing test.", "feedback"),
        ];
        for (answer, word) in table {
            assert_eq!(Verdict::read(answer).word(), *word, "for {answer:?}");
        }
    }

    #[test]
    fn the_text_above_a_marker_is_kept() {
        assert_eq!(Verdict::read("  Which one?\n\n[NEEDS_USER]"), Verdict::NeedsUser("Which one?".to_owned()));
        assert_eq!(Verdict::read("Checked.\n[TASK_COMPLETED]"), Verdict::Completed("Checked.".to_owned()));
        assert_eq!(Verdict::read("\n a\n b \n"), Verdict::Feedback("a\n b".to_owned()));
    }
}
