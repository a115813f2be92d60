//! How many columns text takes on a terminal, and breaking and cutting by columns.
//!
//! Counted character by character, not by grapheme: a joined emoji counts as its parts. Terminals differ there, and
//! counting too many only leaves a little room, while counting too few breaks a line.

use unicode_width::UnicodeWidthChar;

/// Makes the character before it an emoji, which many terminals then show two columns wide.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// Columns of one character.
fn of_char(c: char) -> usize {
    if c == EMOJI_SELECTOR { 1 } else { c.width().unwrap_or(0) }
}

/// Columns of `text`, which must be one clean line without colours.
pub(crate) fn of(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

/// The longest beginning of `text` that takes at most `columns`, as a byte offset.
fn fit(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += of_char(c);
        if used > columns {
            return at;
        }
    }
    text.len()
}

/// `text` in at most `columns`, a cut marked by `…`. One clean line without colours.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    if fit(text, columns) == text.len() {
        return text.to_owned();
    }
    if columns == 0 {
        return String::new();
    }
    let end = fit(text, columns - 1);
    format!("{}…", text.get(..end).unwrap_or_default())
}

/// Breaks one clean line into rows of at most `columns`: at spaces where that is possible, inside a word where not.
/// Rows after the first keep the line's own indentation when it leaves half of the room, and that room for a wide character.
pub(crate) fn wrap(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let text = line.trim_end();
    let indent = text.len() - text.trim_start_matches(' ').len();
    let indent = if indent <= (columns - 2).min(columns / 2) { indent } else { 0 };
    let mut rows = Vec::new();
    let mut rest = text;
    let mut lead = 0;
    loop {
        let room = columns - lead;
        let mut end = fit(rest, room);
        if end < rest.len() {
            let head = rest.get(..end).unwrap_or_default();
            let words = head.trim_start_matches(' ');
            let at_space = rest.get(end..).is_some_and(|r| r.starts_with(' '));
            if !at_space && let Some(space) = words.rfind(' ') {
                end = end - words.len() + space;
            }
            if end == 0 {
                // A character wider than the room: it goes out all the same, or this would never end.
                end = rest.chars().next().map_or(0, char::len_utf8);
            }
        }
        let (row, after) = rest.split_at(end);
        rows.push(format!("{:lead$}{}", "", row.trim_end()));
        rest = after.trim_start_matches(' ');
        if rest.is_empty() {
            return rows;
        }
        lead = indent;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn wide_characters_count_twice() {
        assert_eq!(of("abc"), 3);
        assert_eq!(of("日本"), 4);
        assert_eq!(of("🦀"), 2);
        assert_eq!(of("❤\u{fe0f}"), 2);
        assert_eq!(of("e\u{301}"), 1);
    }

    #[test]
    fn a_cut_never_halves_a_wide_character() {
        assert_eq!(cut("日本語", 6), "日本語");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!(cut("日本語", 1), "…");
        assert_eq!(cut("日本語", 0), "");
    }

    #[test]
    fn lines_break_at_spaces_and_keep_their_indentation() {
        assert_eq!(wrap("  one two three four", 10), ["  one two", "  three", "  four"]);
        assert_eq!(wrap("abcdefghij", 4), ["abcd", "efgh", "ij"]);
        assert_eq!(wrap("日本語日本語", 5), ["日本", "語日", "本語"]);
        assert_eq!(wrap(" 🦀", 2), ["", "🦀"]);
        assert_eq!(wrap("", 10), [""]);
    }

    proptest! {
        #[test]
        fn no_row_is_too_long_and_no_word_is_lost(text in "[a-z日🦀 ]{0,80}", columns in 2usize..40) {
            let rows = wrap(&text, columns);
            for row in &rows {
                prop_assert!(of(row) <= columns, "{row:?} in {columns}");
            }
            let squeeze = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&rows.concat()), squeeze(&text));
        }
    }
}
