//! Reads the verdict from the critic's final answer (design §6).

use serde::{Deserialize, Serialize};

/// The critic's marker for: the task is done.
pub const COMPLETED_MARKER: &str = "[TASK_COMPLETED]";
/// The critic's marker for: only the user can help.
pub const NEEDS_USER_MARKER: &str = "[NEEDS_USER]";
/// The most words of a label before a marker (`Final verdict: …`). More words are a sentence.
const LABEL_WORDS: usize = 2;

/// The meaning of a critic's final answer.
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
    /// A marker decides if it stands alone on the last non-empty line, ignoring markdown decoration around it. A marker that
    /// stands alone anywhere else, or with punctuation around it, was meant to decide but is ambiguous: such an answer is
    /// unusable, so that neither an approval nor a question reaches the agent as feedback. A marker within a sentence is text:
    /// an echoed prompt or a quotation must not complete a run (lessons, "Done").
    #[must_use]
    pub fn read(answer: &str) -> Verdict {
        let body = answer.trim_end();
        let (above, last) = body.rsplit_once('\n').unwrap_or(("", body));
        let bare = undecorated(last);
        let decided = [COMPLETED_MARKER, NEEDS_USER_MARKER].into_iter().find(|marker| bare == *marker);
        let Some(decided) = decided else {
            return match misplaced(body) {
                Some(why) => Verdict::Unusable(why),
                None if body.trim().is_empty() => Verdict::Unusable("the critic's answer is empty".to_owned()),
                None => Verdict::Feedback(body.trim().to_owned()),
            };
        };
        if lines(above).any(|line| alone(line).is_some_and(|other| other != decided)) {
            return Verdict::Unusable(format!("it has both {COMPLETED_MARKER} and {NEEDS_USER_MARKER}"));
        }
        match (decided, above.trim()) {
            (COMPLETED_MARKER, text) => Verdict::Completed(text.to_owned()),
            (_, "") => Verdict::Unusable("the critic asks for the user without saying what for".to_owned()),
            (_, question) => Verdict::NeedsUser(question.to_owned()),
        }
    }

    /// Reads a critic's final answer of several text blocks, the last of which begins at `last_block`, by the rule of
    /// [`Verdict::read`] for the whole. But an approval in a block of its own after other text is unusable: it approves
    /// whatever the text before it says, and the blocks may not be meant as one answer.
    #[must_use]
    pub fn read_blocks(answer: &str, last_block: usize) -> Verdict {
        let verdict = Verdict::read(answer);
        let (before, last) = answer.split_at_checked(last_block).unwrap_or(("", answer));
        match verdict {
            Verdict::Completed(_) if !before.trim().is_empty() && undecorated(last.trim()) == COMPLETED_MARKER => {
                Verdict::Unusable(format!(
                    "{COMPLETED_MARKER} stands apart from the rest of the answer, in a text block of its own"
                ))
            }
            verdict @ (Verdict::Completed(_) | Verdict::Feedback(_) | Verdict::NeedsUser(_) | Verdict::Unusable(_)) => {
                verdict
            }
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

/// Strips the markdown that models put around a word: emphasis, code, heading, quote and list marks.
fn undecorated(line: &str) -> &str {
    let decoration = |c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`' | '#' | '>' | '~');
    let inner = line.trim_matches(decoration);
    // A list mark is decoration only at the front and before a space.
    inner.strip_prefix("- ").map_or(inner, |rest| rest.trim_matches(decoration))
}

/// Why an answer whose last line is no marker was still meant to decide; `None` if it is ordinary text.
fn misplaced(body: &str) -> Option<String> {
    if let Some(marker) = lines(body).find_map(alone) {
        return Some(format!("{marker} does not stand alone on the last line"));
    }
    let last = lines(body).rfind(|line| !line.trim().is_empty())?;
    let marker = misspelt(last)?;
    Some(format!("its last line is not exactly {marker}"))
}

/// The marker on this line, if nothing but punctuation, digits, a ticked box or a short label is around it.
fn alone(line: &str) -> Option<&'static str> {
    [COMPLETED_MARKER, NEEDS_USER_MARKER].into_iter().find(|marker| {
        let Some((before, after)) = line.split_once(marker) else { return false };
        let worded = |text: &str| {
            text.replace(marker, " ").replace("[x]", " ").replace("[X]", " ").contains(char::is_alphabetic)
        };
        !worded(after) && (!worded(before) || is_label(before))
    })
}

/// Whether this is one or two words and a colon, such as `**Verdict:**`.
fn is_label(before: &str) -> bool {
    let words = before.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).count();
    let closed = before.trim_end_matches(|c: char| c.is_whitespace() || matches!(c, '*' | '_' | '`'));
    words <= LABEL_WORDS && closed.ends_with(':')
}

/// The marker that the letters of this line spell, ignoring case and other characters.
fn misspelt(line: &str) -> Option<&'static str> {
    let letters: String = line.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    match letters.as_str() {
        "TASKCOMPLETED" | "TASKCOMPLETE" => Some(COMPLETED_MARKER),
        "NEEDSUSER" | "NEEDUSER" => Some(NEEDS_USER_MARKER),
        _ => None,
    }
}

/// Whether the letters of this line spell a marker and nothing else.
pub fn spells_a_marker(line: &str) -> bool {
    misspelt(line).is_some()
}

/// What ends a line of a critic's answer.
pub const LINE_ENDS: [char; 7] = ['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'];

/// The lines, by any line separator.
fn lines(text: &str) -> impl DoubleEndedIterator<Item = &str> {
    text.split(LINE_ENDS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{COMPLETED_MARKER, NEEDS_USER_MARKER, Verdict};

    #[test]
    fn an_answer_of_several_blocks_is_read_as_a_whole_and_a_marker_apart_from_the_rest_is_asked_about() {
        let table: &[(&str, &str, &str)] = &[
            ("", "Seen.\n[TASK_COMPLETED]", "completed"),
            ("I looked.\n\n", "All is there.\n\n[TASK_COMPLETED]", "completed"),
            ("Not done: the tests are missing.", "\n\n[TASK_COMPLETED]", "unusable"),
            ("Seen.\n", "**[TASK_COMPLETED]**", "unusable"),
            (" \n", "[TASK_COMPLETED]", "completed"),
            ("Fine.\n[TASK_COMPLETED]\n\n", "But no: the tests are missing.", "unusable"),
            ("Missing: 1. the tests.\n\n", "Please do that.", "feedback"),
            ("Which port?\n\n", "[NEEDS_USER]", "needs_user"),
        ];
        for (before, last, word) in table {
            let read = Verdict::read_blocks(&format!("{before}{last}"), before.len());
            assert_eq!(read.word(), *word, "{before:?} {last:?}: {read:?}");
        }
    }

    #[test]
    fn every_form_of_a_marker_has_its_verdict() {
        let table: &[(&str, &str)] = &[
            ("[TASK_COMPLETED]", "completed"),
            ("All good.\n\n[TASK_COMPLETED]\n\n", "completed"),
            ("All good.\r\n[TASK_COMPLETED]\r\n", "completed"),
            ("Fine.\n**[TASK_COMPLETED]**", "completed"),
            ("Fine.\n`[TASK_COMPLETED]`  ", "completed"),
            ("Fine.\n> **`[TASK_COMPLETED]`**", "completed"),
            ("Fine.\n## [TASK_COMPLETED]", "completed"),
            ("Fine.\n- [TASK_COMPLETED]", "completed"),
            ("[TASK_COMPLETED]\n\n[TASK_COMPLETED]", "completed"),
            // A marker with an addition.
            ("[TASK_COMPLETED].", "unusable"),
            ("Fine.\n[TASK_COMPLETED]!", "unusable"),
            ("\"[TASK_COMPLETED]\"", "unusable"),
            ("Fine.\n✅ [TASK_COMPLETED]", "unusable"),
            ("Fine.\n[TASK_COMPLETED] ✓", "unusable"),
            ("Fine.\n- [x] [TASK_COMPLETED]", "unusable"),
            ("Fine.\n1. [TASK_COMPLETED]", "unusable"),
            ("Fine.\n[TASK_COMPLETED]\u{200b}", "unusable"),
            ("Fine.\n**Verdict:** [TASK_COMPLETED]", "unusable"),
            ("Fine.\nThe last line was: [TASK_COMPLETED]", "feedback"),
            ("Fine.\nFinal verdict: **[TASK_COMPLETED]**", "unusable"),
            ("[TASK_COMPLETED][TASK_COMPLETED]", "unusable"),
            ("Fine.\n```\n[TASK_COMPLETED]\n```", "unusable"),
            ("Fine.\n[TASK_COMPLETED]\n---", "unusable"),
            ("[TASK_COMPLETED]\nbut the tests fail", "unusable"),
            ("Fine.\n[TASK_COMPLETED]\nThank you.", "unusable"),
            ("Fine.\r[TASK_COMPLETED].\rThank you.", "unusable"),
            ("Not [TASK_COMPLETED]\n```\n[TASK_COMPLETED]\n```", "unusable"),
            // Another spelling, on the last line.
            ("[task_completed]", "unusable"),
            ("Fine.\n[TASK COMPLETED]", "unusable"),
            ("Fine.\nTASK_COMPLETED", "unusable"),
            ("Fine.\n\\[TASK\\_COMPLETED\\]", "unusable"),
            ("Fine.\n[TASK_COMPLETE]", "unusable"),
            ("Fine.\n[NEED_USER]", "unusable"),
            // Both.
            ("Which one?\n[NEEDS_USER]\n[TASK_COMPLETED]", "unusable"),
            ("[TASK_COMPLETED]\nOr which one?\n[NEEDS_USER]", "unusable"),
            // Within a sentence.
            ("Do not answer [TASK_COMPLETED] yet.", "feedback"),
            ("[TASK_COMPLETED] is what I would say if the tests passed.", "feedback"),
            ("You asked for [TASK_COMPLETED]", "feedback"),
            ("The script has to print: [TASK_COMPLETED]", "feedback"),
            ("Ask the user with [NEEDS_USER], if at all.", "feedback"),
            ("## Task completed\n- the parser\n## Missing\n- its tests", "feedback"),
            ("完了 [TASK_COMPLETED]", "feedback"),
            ("Add the missing test.", "feedback"),
            // Questions.
            ("Which database?\n[NEEDS_USER]", "needs_user"),
            ("Which database?\n**[NEEDS_USER]**", "needs_user"),
            ("Which database?\n[NEEDS_USER].", "unusable"),
            ("Which database?\n```\n[NEEDS_USER]\n```", "unusable"),
            ("[NEEDS_USER]\nWhich database?", "unusable"),
            ("[NEEDS_USER]", "unusable"),
            ("", "unusable"),
            (" \n\t\n", "unusable"),
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

    #[test]
    fn an_unusable_answer_says_what_is_wrong_with_it() {
        let why = |answer: &str| match Verdict::read(answer) {
            Verdict::Unusable(why) => why,
            other @ (Verdict::Completed(_) | Verdict::Feedback(_) | Verdict::NeedsUser(_)) => panic!("{other:?}"),
        };
        assert_eq!(why("Fine.\n[TASK_COMPLETED]."), "[TASK_COMPLETED] does not stand alone on the last line");
        assert_eq!(why("Which?\n[NEEDS_USER]\nBye."), "[NEEDS_USER] does not stand alone on the last line");
        assert_eq!(why("Fine.\n[task completed]"), "its last line is not exactly [TASK_COMPLETED]");
    }

    /// A second implementation of the rule: the last non-blank line, without markdown at its ends, is the marker.
    fn ends_with(marker: &str, answer: &str) -> bool {
        let last = answer.split('\n').rfind(|line| !line.trim().is_empty()).unwrap_or_default();
        let marks: &[char] = &['*', '_', '`', '#', '>', '~', ' ', '\t', '\r', '\u{a0}', '\u{3000}'];
        let bare = last.trim_matches(marks);
        bare == marker || bare.strip_prefix("- ").is_some_and(|rest| rest.trim_matches(marks) == marker)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        /// Texts composed of parts of answers: only the exact rule approves, and a marker alone is never feedback.
        #[test]
        fn no_text_but_the_exact_rule_approves_or_asks(
            parts in prop::collection::vec(
                prop::sample::select(vec![
                    COMPLETED_MARKER, NEEDS_USER_MARKER, "[TASK_COMPLETED", "TASK_COMPLETED]", "[task_completed]",
                    "\n", "\n", "\r\n", " ", "**", "`", "```", "> ", "- ", "# ", ".", "✅", "\"", "\u{a0}", "\u{200b}", "Not",
                    "fine", "Verdict:", "[x]", "1. ", "漢", "\t", "~~~", "—",
                ]),
                0..12,
            )
        ) {
            let answer = parts.concat();
            let verdict = Verdict::read(&answer);
            let approved = matches!(verdict, Verdict::Completed(_));
            prop_assert!(!approved || ends_with(COMPLETED_MARKER, &answer), "approved: {answer:?}");
            let asked = matches!(verdict, Verdict::NeedsUser(_));
            prop_assert!(!asked || ends_with(NEEDS_USER_MARKER, &answer), "asked: {answer:?}");
            if let Verdict::Feedback(text) = verdict {
                let markers_alone = text.lines().any(|line| [COMPLETED_MARKER, NEEDS_USER_MARKER].contains(&line.trim()));
                prop_assert!(!markers_alone, "feedback with a marker alone: {answer:?}");
            }
        }
    }
}
