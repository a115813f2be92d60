//! A row of the screen: clean text with styles, which can be wrapped and cut by columns.

use std::fmt::Write as _;
use std::ops::Range;

use super::super::clean;
use super::super::columns;

/// A longer row is cut, and the cut is marked.
const ROW_COLUMNS_MAX: usize = 8_192;

/// A colour of the terminal's own palette.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    /// Red: removed, failed.
    Red,
    /// Green: added, passed.
    Green,
    /// Yellow: a warning, a wait.
    Yellow,
    /// Magenta: the critic.
    Magenta,
    /// Cyan: a tool, code.
    Cyan,
}

impl Colour {
    fn code(self) -> u8 {
        match self {
            Colour::Red => 31,
            Colour::Green => 32,
            Colour::Yellow => 33,
            Colour::Magenta => 35,
            Colour::Cyan => 36,
        }
    }
}

/// The style of a text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Look {
    /// The colour; `None` for the terminal's default.
    pub colour: Option<Colour>,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// Italic.
    pub italic: bool,
    /// Underlined.
    pub underlined: bool,
    /// Struck through.
    pub struck: bool,
    /// Foreground and background exchanged.
    pub reversed: bool,
}

impl Look {
    /// The terminal's default style.
    pub const PLAIN: Look = Look {
        colour: None,
        bold: false,
        dim: false,
        italic: false,
        underlined: false,
        struck: false,
        reversed: false,
    };
    /// Dim.
    pub const DIM: Look = Look { dim: true, ..Look::PLAIN };
    /// Bold.
    pub const BOLD: Look = Look { bold: true, ..Look::PLAIN };

    /// The default style in this colour.
    #[must_use]
    pub const fn of(colour: Colour) -> Look {
        Look { colour: Some(colour), ..Look::PLAIN }
    }

    /// The parameters of the control sequence that switches the style on; empty for the default.
    fn parameters(self) -> String {
        let mut parameters = String::new();
        let flags = [
            (self.bold, 1),
            (self.dim, 2),
            (self.italic, 3),
            (self.underlined, 4),
            (self.reversed, 7),
            (self.struck, 9),
        ];
        let set = flags.iter().filter(|(is_set, _)| *is_set).map(|(_, code)| *code);
        for code in set.chain(self.colour.map(Colour::code)) {
            let separator = if parameters.is_empty() { "" } else { ";" };
            let _ = write!(parameters, "{separator}{code}");
        }
        parameters
    }
}

/// A part of a row in one style.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Span {
    text: String,
    look: Look,
}

/// A row of the screen. Its text is clean: no character that was pushed acts on the terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Row(Vec<Span>);

impl Row {
    /// An empty row.
    #[must_use]
    pub fn new() -> Row {
        Row::default()
    }

    /// A row of one text.
    #[must_use]
    pub fn of(look: Look, text: &str) -> Row {
        Row::new().and(look, text)
    }

    /// Appends a text to this row.
    #[must_use]
    pub fn and(mut self, look: Look, text: &str) -> Row {
        self.push(look, text);
        self
    }

    /// Appends a text. Line ends and tabs become spaces; characters that act on a terminal are made visible.
    pub fn push(&mut self, look: Look, text: &str) {
        if text.is_empty() {
            return;
        }
        let is_plain = text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let cleaned;
        let text = if is_plain {
            text
        } else {
            cleaned = clean::lines(text).replace('\n', " ");
            &cleaned
        };
        match self.0.last_mut() {
            Some(last) if last.look == look => last.text.push_str(text),
            Some(_) | None => self.0.push(Span { text: text.to_owned(), look }),
        }
    }

    /// Appends another row.
    pub fn append(&mut self, other: &Row) {
        for span in &other.0 {
            match self.0.last_mut() {
                Some(last) if last.look == span.look => last.text.push_str(&span.text),
                Some(_) | None => self.0.push(span.clone()),
            }
        }
    }

    /// Whether the row is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The text without styles.
    #[must_use]
    pub fn text(&self) -> String {
        self.0.iter().map(|span| span.text.as_str()).collect()
    }

    /// Its parts, each in one style.
    pub(in crate::ui) fn parts(&self) -> impl Iterator<Item = (&str, Look)> {
        self.0.iter().map(|span| (span.text.as_str(), span.look))
    }

    /// How many bytes its text has.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.iter().map(|span| span.text.len()).sum()
    }

    /// How many columns it takes.
    #[must_use]
    pub fn columns(&self) -> usize {
        self.0.iter().map(|span| columns::of(&span.text)).sum()
    }

    /// The bytes `range` of its text, with their styles.
    fn slice(&self, range: Range<usize>) -> Row {
        let mut row = Row::new();
        let mut at = 0;
        for span in &self.0 {
            let from = range.start.saturating_sub(at).min(span.text.len());
            let to = range.end.saturating_sub(at).min(span.text.len());
            at += span.text.len();
            match span.text.get(from..to) {
                Some(text) if !text.is_empty() => row.0.push(Span { text: text.to_owned(), look: span.look }),
                Some(_) | None => {}
            }
        }
        row
    }

    /// The row cut to at most `columns`; `…` marks a cut.
    #[must_use]
    pub fn cut(self, columns: usize) -> Row {
        let text = self.text();
        if columns::of(&text) <= columns {
            return self;
        }
        if columns == 0 {
            return Row::new();
        }
        let look = self.0.last().map_or(Look::PLAIN, |span| span.look);
        self.slice(0..columns::fit(&text, columns - 1)).and(look, "…")
    }

    /// The row broken into rows of at most `columns`, at spaces and beside wide characters; later rows begin with `indent`. A
    /// wider word stays whole: the terminal breaks it, and it can be copied in one piece.
    #[must_use]
    pub fn wrapped(&self, columns: usize, indent: &Row) -> Vec<Row> {
        let text = self.text();
        if columns::of(&text) <= columns {
            return vec![self.clone()];
        }
        let later = columns.saturating_sub(indent.columns());
        let mut rows = Vec::new();
        for range in columns::breaks(&text, columns, later.max(2)) {
            if rows.is_empty() {
                rows.push(self.slice(range));
            } else {
                let mut row = indent.clone();
                row.append(&self.slice(range));
                rows.push(row);
            }
        }
        rows
    }

    /// The row broken wherever it is wider than `columns`, for a screen on which a wider row is cut.
    #[must_use]
    pub fn broken(&self, columns: usize) -> Vec<Row> {
        let text = self.text();
        let mut rows = Vec::new();
        let mut from = 0;
        while columns::of(text.get(from..).unwrap_or_default()) > columns {
            let rest = text.get(from..).unwrap_or_default();
            // A character that is wider than the screen is not split.
            let first = rest.chars().next().map_or(rest.len(), char::len_utf8);
            let to = from + columns::fit(rest, columns).max(first);
            rows.push(self.slice(from..to));
            from = to;
        }
        rows.push(self.slice(from..text.len()));
        rows
    }

    /// Writes the row, with styles if `colour`. A row that is too long for any terminal is cut.
    pub(super) fn write(&self, out: &mut Vec<u8>, colour: bool) {
        let all = self.columns();
        if all > ROW_COLUMNS_MAX {
            let kept = self.slice(0..columns::fit(&self.text(), ROW_COLUMNS_MAX));
            let left = all - kept.columns();
            let told = Row::of(Look::DIM, &format!("… {left} more columns; the journal has them"));
            kept.write_whole(out, colour);
            told.write_whole(out, colour);
        } else {
            self.write_whole(out, colour);
        }
    }

    fn write_whole(&self, out: &mut Vec<u8>, colour: bool) {
        for span in &self.0 {
            let parameters = if colour { span.look.parameters() } else { String::new() };
            if parameters.is_empty() {
                out.extend_from_slice(span.text.as_bytes());
            } else {
                out.extend_from_slice(format!("\x1b[{parameters}m{}\x1b[0m", span.text).as_bytes());
            }
        }
    }
}

/// Rows as text, for tests and for output without a terminal.
#[must_use]
pub fn text_of(rows: &[Row]) -> String {
    rows.iter().map(|row| row.text().trim_end().to_owned() + "\n").collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(row: &Row) -> String {
        let mut out = Vec::new();
        row.write(&mut out, true);
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn what_acts_on_a_terminal_is_never_written() {
        let row = Row::of(Look::PLAIN, "a\x1b]0;owned\x07b\n\u{9b}2Jc\td");
        assert_eq!(written(&row), "a␛]0;owned␇b c    d");
    }

    #[test]
    fn looks_are_switched_on_and_off_around_their_text() {
        let row = Row::of(Look::BOLD, "a").and(Look::PLAIN, "b").and(Look::of(Colour::Red), "c");
        assert_eq!(written(&row), "\x1b[1ma\x1b[0mb\x1b[31mc\x1b[0m");
    }

    #[test]
    fn a_row_is_broken_at_words_and_keeps_its_looks() {
        let row = Row::of(Look::PLAIN, "one two ").and(Look::BOLD, "three four");
        let rows = row.wrapped(9, &Row::of(Look::DIM, "| "));
        assert_eq!(text_of(&rows), "one two\n| three\n| four\n");
        assert_eq!(written(&rows[1]), "\x1b[2m| \x1b[0m\x1b[1mthree\x1b[0m");
        let url = "https://example.org/a/long/path";
        assert_eq!(
            text_of(&Row::of(Look::PLAIN, &format!("see {url} now")).wrapped(10, &Row::new())),
            format!("see\n{url}\nnow\n")
        );
    }

    #[test]
    fn a_line_without_an_end_is_cut_and_says_so() {
        let row = Row::of(Look::PLAIN, &"x".repeat(100_000));
        let text = written(&row);
        assert!(text.len() < 8_300, "{}", text.len());
        assert!(text.contains("… 91808 more columns"), "{}", &text[8_180..]);
    }

    proptest! {
        #[test]
        fn breaking_loses_nothing_but_spaces(parts in proptest::collection::vec("[a-z日🦀 ]{0,20}", 0..6), room in 4usize..30) {
            let mut row = Row::new();
            for (at, part) in parts.iter().enumerate() {
                row.push(if at % 2 == 0 { Look::PLAIN } else { Look::BOLD }, part);
            }
            let rows = row.wrapped(room, &Row::new());
            let squeeze = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(squeeze(&text_of(&rows)), squeeze(&row.text()));
            for row in &rows {
                let text = row.text();
                prop_assert!(row.columns() <= room || !text.trim().contains(' '), "{:?}", text);
            }
        }
    }
}
