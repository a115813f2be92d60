//! The reader of verdicts, held against a second reading of the same rule.

use ccc::core::{COMPLETED_MARKER, NEEDS_USER_MARKER, Verdict};

/// `data` is a critic's final answer.
pub(crate) fn check(data: &[u8]) {
    let answer = String::from_utf8_lossy(data);
    let verdict = Verdict::read(&answer);
    let last = answer.split('\n').rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let completes = stands_alone(last, COMPLETED_MARKER);
    let asks = stands_alone(last, NEEDS_USER_MARKER);
    match &verdict {
        Verdict::Completed(_) => assert!(completes, "completed by {last:?}"),
        Verdict::NeedsUser(question) => assert!(asks && !question.trim().is_empty(), "asked by {last:?}"),
        Verdict::Feedback(text) => {
            assert!(!completes && !asks, "{last:?} is taken for text");
            assert_eq!(text, answer.trim(), "feedback is the whole answer");
        }
        Verdict::Unusable(_) => assert!(last.is_empty() || names_a_marker(&answer), "{answer:?} is unusable"),
    }
    // Something said after it takes a marker back, and white space does not.
    assert!(matches!(Verdict::read(&format!("{answer}\nBut the tests fail.")).word(), "feedback" | "unusable"));
    assert_eq!(Verdict::read(&format!("{answer}\r\n \t\n")), verdict);
    // A marker alone on the last line counts, whatever stands above it, unless that is the other marker.
    let approved = Verdict::read(&format!("{answer}\n{COMPLETED_MARKER}"));
    assert!(approved.word() == "completed" || answer.contains(NEEDS_USER_MARKER), "{answer:?}");
    // Nor does anything around it make feedback of it.
    for spoilt in [format!("{answer}\n{COMPLETED_MARKER}."), format!("{answer}\n```\n{COMPLETED_MARKER}\n```")] {
        assert_eq!(Verdict::read(&spoilt).word(), "unusable", "{spoilt:?}");
    }
    assert!(matches!(Verdict::read(&format!("{answer}\n**{NEEDS_USER_MARKER}**")).word(), "needs_user" | "unusable"));
}

/// Whether the letters of a marker stand in it, whatever is between them.
fn names_a_marker(answer: &str) -> bool {
    let letters: String = answer.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_uppercase).collect();
    ["TASKCOMPLETE", "NEEDSUSER", "NEEDUSER"].iter().any(|marker| letters.contains(marker))
}

/// Whether only decoration stands around the marker: emphasis, code, heading, quote marks, white space, and one list mark.
fn stands_alone(line: &str, marker: &str) -> bool {
    let Some((before, after)) = line.split_once(marker) else { return false };
    let decoration = |text: &str| text.chars().all(|char| char.is_whitespace() || "*_`#>~".contains(char));
    let list_mark = || before.split_once("- ").is_some_and(|(left, right)| decoration(left) && decoration(right));
    decoration(after) && (decoration(before) || list_mark())
}
