//! Whether two feedbacks are equivalent.

use similar::TextDiff;

/// Feedbacks with at least this similarity are equivalent (0 to 1, over words). Reworded findings score lower; test runs that
/// differ only in times score higher.
const SAME_FEEDBACK_RATIO: f32 = 0.85;
/// Numbers from here on are not counts but process ids, ports and the like, whose differences mean nothing.
const COUNTS_BELOW: u64 = 10_000;
/// Units that mark a number as a time, which differs between test runs.
pub const TIME_UNITS: &[&str] = &[
    "ns",
    "us",
    "µs",
    "ms",
    "msec",
    "s",
    "sec",
    "secs",
    "second",
    "seconds",
    "m",
    "min",
    "mins",
    "minute",
    "minutes",
    "h",
    "hour",
    "hours",
    "millisecond",
    "milliseconds",
    "microseconds",
    "nanoseconds",
];
/// Counts written as words.
pub const NUMBER_WORDS: &[&str] =
    &["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];

/// Whether two feedbacks have nearly the same words and the same counts. "12 failed" and "11 failed" differ in one character,
/// but show progress.
pub fn same(a: &str, b: &str) -> bool {
    a == b || (TextDiff::from_words(a, b).ratio() >= SAME_FEEDBACK_RATIO && counts(a) == counts(b))
}

/// The counts in a text, in order: whole numbers that are neither times, nor parts of names, dates, versions and addresses, nor
/// list numbers.
fn counts(text: &str) -> Vec<u64> {
    let mut counts = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace().peekable();
        let mut first = true;
        while let Some(word) = words.next() {
            let numbering = std::mem::take(&mut first) && word.ends_with(['.', ')']);
            let bare = word.trim_matches(|char: char| !char.is_alphanumeric());
            let is_time = words.peek().is_some_and(|unit| {
                let unit = unit.trim_matches(|char: char| !char.is_alphanumeric()).to_lowercase();
                TIME_UNITS.contains(&unit.as_str())
            });
            if numbering || is_time {
                continue;
            }
            // "3/6" and "3 of 6" are two counts each. A date or a path has more parts, or parts that are not numbers.
            let parts: Vec<&str> = bare.split('/').collect();
            let numbers: Option<Vec<u64>> = parts.iter().map(|part| number(part)).collect();
            if let Some(numbers) = numbers.filter(|numbers| numbers.len() <= 2) {
                counts.extend(numbers);
            }
        }
    }
    counts
}

fn number(word: &str) -> Option<u64> {
    let lower = word.to_lowercase();
    if let Some(at) = NUMBER_WORDS.iter().position(|named| *named == lower) {
        return u64::try_from(at).ok();
    }
    let digits: String = word.chars().filter(|char| *char != ',').collect();
    let separated = digits.len() < word.len();
    let number: u64 = digits.parse().ok()?;
    (separated || number < COUNTS_BELOW).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::same;

    #[test]
    fn counts_tell_progress_and_times_do_not() {
        let table: &[(&str, &str, bool)] = &[
            ("Only 1 of the six steps are in data/ yet.", "Only 4 of the six steps are in data/ yet.", false),
            ("Only one of the six steps is there.", "Only four of the six steps is there.", false),
            (
                "12 tests failed, 30 passed. Mend them all, please.",
                "11 tests failed, 31 passed. Mend them all, please.",
                false,
            ),
            (
                "test result: FAILED. 3/6 are there; finish the rest now.",
                "test result: FAILED. 4/6 are there; finish the rest now.",
                false,
            ),
            (
                "1,200 rows are missing in the table of the users.",
                "1,100 rows are missing in the table of the users.",
                false,
            ),
            ("1 failed, 5 passed in 0.53s of the whole suite", "1 failed, 5 passed in 0.61s of the whole suite", true),
            (
                "1 failed, 5 passed after 53 ms of the whole suite",
                "1 failed, 5 passed after 61 ms of the whole suite",
                true,
            ),
            (
                "pid 53412 has failed with the same error as before",
                "pid 53977 has failed with the same error as before",
                true,
            ),
            (
                "On 2026-11-26 at 10:11:12 the test of the parser failed",
                "On 2026-11-27 at 10:12:13 the test of the parser failed",
                true,
            ),
            (
                "1. Add the test for the empty input of the parser.",
                "2. Add the test for the empty input of the parser.",
                true,
            ),
            ("Add the test for the empty input of the parser.", "Add a test for the empty input of the parser.", true),
        ];
        for (a, b, expected) in table {
            assert_eq!(same(a, b), *expected, "{a} / {b}");
            assert!(same(a, a), "{a}");
        }
    }
}
