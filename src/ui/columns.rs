//! Measures the width of text in terminal columns, and breaks and cuts text by columns.
//!
//! Widths are counted by character, not by grapheme, so a joined emoji counts as its parts. Terminals differ there.
//! Counting too many columns only leaves some room, while counting too few breaks a line.

use std::ops::Range;

use unicode_width::UnicodeWidthChar;

/// Turns the character before it into an emoji, which many terminals show two columns wide.
const EMOJI_SELECTOR: char = '\u{fe0f}';

/// The width of a character.
fn of_char(c: char) -> usize {
    if c == EMOJI_SELECTOR { 1 } else { c.width().unwrap_or(0) }
}

/// The width of `text`, which must be one clean line without colours.
pub(crate) fn of(text: &str) -> usize {
    text.chars().map(of_char).sum()
}

/// The width of `text`, whose colours take no column.
pub(crate) fn of_shown(text: &str) -> usize {
    let mut parts = text.split("\u{1b}[");
    let before = of(parts.next().unwrap_or_default());
    let after = |part: &str| part.split_once('m').map_or(of(part), |(_, shown)| of(shown));
    before + parts.map(after).sum::<usize>()
}

/// The byte offset at which the longest beginning of `text` that fits into `columns` ends.
pub(super) fn fit(text: &str, columns: usize) -> usize {
    let mut used = 0;
    for (at, c) in text.char_indices() {
        used += of_char(c);
        if used > columns {
            return at;
        }
    }
    text.len()
}

/// The beginning of `text` in at most `columns`; `…` marks a cut. `text` must be one clean line without colours.
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

/// The end of `text` in at most `columns`; `…` marks a cut. `text` must be one clean line without colours.
pub(crate) fn cut_front(text: &str, columns: usize) -> String {
    let mut used = of(text);
    if used <= columns {
        return text.to_owned();
    }
    let mut at = 0;
    for (start, c) in text.char_indices() {
        if used < columns {
            break;
        }
        used -= of_char(c);
        at = start + c.len_utf8();
    }
    if columns == 0 { String::new() } else { format!("…{}", text.get(at..).unwrap_or_default()) }
}

/// Breaks one clean line into rows of at most `columns`, at spaces and beside wide characters. A wider part that cannot be broken
/// gets a row of its own and stays whole: a path or command that the terminal breaks can be copied, but not one that is broken
/// here. Text in backticks is kept together. Later rows keep the line's indentation if that leaves half of the columns, and room
/// for a wide character. Colours take no column.
pub(crate) fn wrap(line: &str, columns: usize) -> Vec<String> {
    let columns = columns.max(2);
    let text = line.trim_end();
    let body = text.trim_start_matches(' ');
    let first_indent = text.len() - body.len();
    let indent = if first_indent <= (columns - 2).min(columns / 2) { first_indent } else { 0 };
    let mut rows = Vec::new();
    let mut row = " ".repeat(first_indent);
    let mut used = first_indent;
    let mut is_begun = first_indent > indent;
    let mut gap = 0;
    for unit in units(body) {
        if unit.starts_with(' ') {
            gap = unit.len();
            continue;
        }
        let width = of_shown(unit);
        if is_begun && used + gap + width > columns {
            rows.push(row.trim_end().to_owned());
            row = " ".repeat(indent);
            used = indent;
        } else {
            row.extend(std::iter::repeat_n(' ', gap));
            used += gap;
        }
        row.push_str(unit);
        used += width;
        (is_begun, gap) = (true, 0);
    }
    rows.push(row.trim_end().to_owned());
    rows
}

/// Where one clean line is broken into rows: the first of at most `first` columns, the others of at most `later`. Spaces between
/// two rows belong to neither. A wider part that cannot be broken gets a row of its own.
pub(super) fn breaks(line: &str, first: usize, later: usize) -> Vec<Range<usize>> {
    let mut rows = Vec::new();
    let (mut from, mut to, mut used, mut at) = (0, 0, 0, 0);
    for unit in units(line) {
        let start = at;
        at += unit.len();
        if unit.starts_with(' ') {
            // Spaces at the beginning of the line are its indentation.
            if start == 0 {
                (to, used) = (at, unit.len());
            }
            continue;
        }
        let gap = start - to;
        let width = of(unit);
        let room = if rows.is_empty() { first } else { later };
        if to > from && used + gap + width > room {
            rows.push(from..to);
            (from, used) = (start, width);
        } else {
            used += gap + width;
        }
        to = at;
    }
    rows.push(from..to);
    rows
}

/// The longest text in backticks that is kept together, in bytes.
const KEPT_TOGETHER: usize = 200;

/// Splits a line into the parts between which it may be broken: spaces, words, wide characters, and text in backticks.
fn units(mut rest: &str) -> Vec<&str> {
    let mut units = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (unit, after) = rest.split_at(end_of_unit(first, rest));
        units.push(unit);
        rest = after;
    }
    units
}

fn end_of_unit(first: char, text: &str) -> usize {
    if first == ' ' {
        return text.find(|c| c != ' ').unwrap_or(text.len());
    }
    // A character without width belongs to the one before it.
    let after_first = first.len_utf8();
    let joined = |from: usize| {
        let rest = text.get(from..).unwrap_or_default();
        from + rest.find(|c| of_char(c) > 0 && c != EMOJI_SELECTOR).unwrap_or(rest.len())
    };
    if of_char(first) > 1 {
        return joined(after_first);
    }
    let mut end = 0;
    while let Some(c) = text.get(end..).and_then(|rest| rest.chars().next()) {
        if c == ' ' || of_char(c) > 1 {
            break;
        }
        end += c.len_utf8();
        if c == '`'
            && let Some(close) = text.get(end..).and_then(|rest| rest.find('`')).filter(|close| *close <= KEPT_TOGETHER)
        {
            end += close + 1;
        }
    }
    joined(end)
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
        assert_eq!(wrap("an abcdefghij is", 4), ["an", "abcdefghij", "is"]);
        assert_eq!(wrap("go on with `ccc resume 20 -p x` now", 20), ["go on with", "`ccc resume 20 -p x`", "now"]);
        assert_eq!(wrap("a ` alone", 5), ["a `", "alone"]);
        assert_eq!(wrap("日本語日本語", 5), ["日本", "語日", "本語"]);
        assert_eq!(wrap(" 🦀", 2), ["", "🦀"]);
        assert_eq!(wrap("", 10), [""]);
    }

    proptest! {
        #[test]
        fn no_row_is_too_long_and_no_word_is_lost(text in "[a-z日🦀 ]{0,80}", columns in 2usize..40) {
            let rows = wrap(&text, columns);
            for row in &rows {
                let one_word = !row.trim_start().contains(|c| c == ' ' || of_char(c) > 1);
                prop_assert!(of(row) <= columns || one_word, "{row:?} in {columns}");
            }
            let squeeze = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>();
            prop_assert_eq!(squeeze(&rows.concat()), squeeze(&text));
        }
    }
}
