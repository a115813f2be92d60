//! Draws the conversation: finished rows, which belong to the terminal once printed, and below them a small viewport that is
//! redrawn when it changes.
//!
//! Pure: rows in, bytes out. It knows no terminal, clock or file.
//!
//! The way the viewport is erased decides whether rows are lost when a window is resized (measured; docs/decisions.md):
//!
//! - Terminals rewrap long rows before a program learns of a resize, and none reports where the viewport then begins. The cursor
//!   therefore rests on the viewport's first rows. The first paint after a resize goes up by the number of the viewport's rows
//!   above the cursor: each takes at least one row of the terminal, however it was rewrapped, so that is never too far. Of a row
//!   that was rewrapped into several the first ones stay; a printed row is never lost.
//! - The viewport is erased by one "erase below" (`CSI J`) before the synchronized update. Erasing row by row leaves the
//!   terminal's wrap marks behind, which join printed rows at the next resize.
//! - If a terminal was resized without notice, the painter may assume a cursor that is too low, never one that is too high: it
//!   moves down by line ends, which create missing rows, and up by as many rows as it went down.
//! - There are no scroll regions, no purge of the scrollback and no clearing with spaces. Nothing is written when nothing has
//!   changed, because input methods compose at the cursor.

mod row;

pub use row::{Colour, Look, Row, text_of};

/// The maximum height of a viewport.
const VIEW_ROWS_MAX: u16 = 16;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: u16,
    /// Rows.
    pub rows: u16,
}

impl Size {
    /// The usable width: the last column stays free, because a terminal may break a row there.
    #[must_use]
    pub fn room(self) -> usize {
        usize::from(self.columns.max(2)) - 1
    }

    /// The height that a viewport may have.
    #[must_use]
    pub fn view_rows(self) -> usize {
        usize::from((self.rows / 2).clamp(1, VIEW_ROWS_MAX))
    }
}

/// The viewport below the printed rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    /// Temporary rows above the others, in the remaining room of the screen. Rows at their beginning that do not fit are cut.
    pub above: Vec<Row>,
    /// The rows; those that do not fit are cut.
    pub rows: Vec<Row>,
    /// The cursor's column and row among the rows, from 0.
    pub cursor: (u16, u16),
}

/// Turns rows into bytes; remembers what is on the screen.
#[derive(Debug, Clone)]
pub struct Painter {
    colour: bool,
    drawn: Option<View>,
    /// The size for which the view was drawn.
    size: Option<Size>,
    /// Whether the terminal was resized since the last paint.
    resized: bool,
}

const ERASE_BELOW: &str = "\x1b[J";
const BEGIN: &str = "\x1b[?2026h\x1b[?25l";
const END: &str = "\x1b[?25h\x1b[?2026l";

impl Painter {
    /// A painter that has drawn nothing. `colour`: whether looks are written.
    #[must_use]
    pub fn new(colour: bool) -> Painter {
        Painter { colour, drawn: None, size: None, resized: false }
    }

    /// The bytes that print `committed` above and leave `view` below; `None` when nothing has changed.
    pub fn paint(&mut self, size: Size, committed: &[Row], view: &View) -> Option<Vec<u8>> {
        // A terminal may have a new size before it reports it.
        self.resized |= self.size.is_some_and(|drawn| drawn != size);
        let view = fitted(view, size);
        let same_height = self.drawn.as_ref().is_some_and(|drawn| drawn.rows.len() == view.rows.len());
        let bytes = if !committed.is_empty() || !same_height || self.resized {
            Some(self.whole(size, committed, &view))
        } else {
            self.changes(&view)
        };
        self.drawn = Some(view);
        self.size = Some(size);
        self.resized = false;
        bytes
    }

    /// The size of the last paint.
    #[must_use]
    pub fn size(&self) -> Option<Size> {
        self.size
    }

    /// Call this when the terminal was resized: the next paint draws everything.
    pub fn resized(&mut self) {
        self.resized = true;
    }

    /// Call this when another program has written to the terminal: the next paint draws everything and erases nothing above the
    /// cursor's row, because the cursor may have moved.
    pub fn disturbed(&mut self) {
        self.drawn = None;
        self.resized = true;
    }

    /// Erases the viewport, for a stop, another program, or the end. The cursor is then at the beginning of a free row.
    pub fn erase(&mut self) -> Vec<u8> {
        let bytes = format!("{}{ERASE_BELOW}", self.to_first_row());
        self.drawn = None;
        self.resized = false;
        bytes.into_bytes()
    }

    /// Moves to the first column of the viewport's first row, or as far up as is certain after a resize.
    fn to_first_row(&self) -> String {
        format!("\r{}", up_by(self.drawn.as_ref().map_or(0, |drawn| drawn.cursor.1)))
    }

    /// Whether a terminal of this size may have broken one of the rows up to the cursor's. A part of it may then stay above what is
    /// drawn, and the terminal would join the next row to it when it grows wider.
    fn may_be_broken(&self, size: Size) -> bool {
        let drawn = self.drawn.iter().filter(|_| self.resized);
        let mut rows = drawn.flat_map(|drawn| drawn.rows.iter().take(usize::from(drawn.cursor.1) + 1));
        rows.any(|row| row.columns() > usize::from(size.columns))
    }

    fn whole(&self, size: Size, committed: &[Row], view: &View) -> Vec<u8> {
        let mut out = format!("{}{ERASE_BELOW}{BEGIN}", self.to_first_row()).into_bytes();
        // An empty row joins nothing.
        let begins_empty = committed.iter().chain(&view.rows).next().is_some_and(Row::is_empty);
        if self.may_be_broken(size) && !begins_empty {
            out.extend_from_slice(b"\r\n");
        }
        for row in committed {
            row.write(&mut out, self.colour);
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\x1b[?7l");
        for (at, row) in view.rows.iter().enumerate() {
            if at > 0 {
                out.extend_from_slice(b"\r\n");
            }
            row.write(&mut out, self.colour);
        }
        let last = view.rows.len().saturating_sub(1);
        let below = u16::try_from(last).unwrap_or(u16::MAX).saturating_sub(view.cursor.1);
        out.extend_from_slice(format!("\x1b[?7h{}\r{}{END}", up_by(below), right_by(view.cursor.0)).as_bytes());
        out
    }

    /// The rows that differ. Each is written in full, because terminals disagree about the width of some characters.
    fn changes(&self, view: &View) -> Option<Vec<u8>> {
        let drawn = self.drawn.as_ref()?;
        let mut rows = Vec::new();
        let mut at = drawn.cursor.1;
        for ((number, now), before) in (0..).zip(&view.rows).zip(&drawn.rows) {
            if now != before {
                rows.extend_from_slice(format!("{}\r\x1b[2K", vertically(at, number)).as_bytes());
                now.write(&mut rows, self.colour);
                at = number;
            }
        }
        let moved = format!("{}\r{}", vertically(at, view.cursor.1), right_by(view.cursor.0));
        if rows.is_empty() {
            return (drawn.cursor != view.cursor).then(|| moved.into_bytes());
        }
        let mut out = format!("{BEGIN}\x1b[?7l").into_bytes();
        out.append(&mut rows);
        out.extend_from_slice(format!("\x1b[?7h{moved}{END}").as_bytes());
        Some(out)
    }
}

/// The view cut to the rows and columns that fit, with the cursor inside it. The rows above become part of the rows.
fn fitted(view: &View, size: Size) -> View {
    let below = view.rows.len().clamp(1, size.view_rows());
    let above = usize::from(size.rows).saturating_sub(below + 1).min(view.above.len());
    let shown = view.above.iter().skip(view.above.len() - above).chain(view.rows.iter().take(below));
    let mut rows: Vec<Row> = shown.map(|row| row.clone().cut(size.room())).collect();
    if view.rows.is_empty() {
        rows.push(Row::new());
    }
    let last_row = u16::try_from(rows.len() - 1).unwrap_or(0);
    let last_column = u16::try_from(size.room()).unwrap_or(u16::MAX);
    let row = view.cursor.1.saturating_add(u16::try_from(above).unwrap_or(u16::MAX));
    View { above: Vec::new(), rows, cursor: (view.cursor.0.min(last_column), row.min(last_row)) }
}

fn up_by(rows: u16) -> String {
    if rows == 0 { String::new() } else { format!("\x1b[{rows}A") }
}

fn right_by(columns: u16) -> String {
    if columns == 0 { String::new() } else { format!("\x1b[{columns}C") }
}

/// Moves down by line ends: a terminal that became lower and lost the rows below creates new ones. A cursor movement would stop
/// at the edge, and the way back up would end in printed rows.
fn vertically(from: u16, to: u16) -> String {
    if to > from { "\n".repeat(usize::from(to - from)) } else { up_by(from - to) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SIZE: Size = Size { columns: 20, rows: 10 };

    fn rows(texts: &[&str]) -> Vec<Row> {
        texts.iter().map(|text| Row::of(Look::PLAIN, text)).collect()
    }

    fn view(texts: &[&str], cursor: (u16, u16)) -> View {
        View { rows: rows(texts), cursor, ..View::default() }
    }

    /// A terminal of `SIZE` with a scrollback.
    fn terminal() -> vt100::Parser {
        vt100::Parser::new(SIZE.rows, SIZE.columns, 1_000)
    }

    /// All printed lines, from the beginning of the scrollback.
    fn all(parser: &mut vt100::Parser) -> Vec<String> {
        parser.screen_mut().set_scrollback(usize::MAX);
        let above = parser.screen().scrollback();
        let mut lines = Vec::new();
        for back in (0..=above).rev() {
            parser.screen_mut().set_scrollback(back);
            let shown: Vec<String> = parser.screen().rows(0, SIZE.columns).collect();
            if back == 0 { lines.extend(shown) } else { lines.extend(shown.into_iter().take(1)) }
        }
        while lines.last().is_some_and(String::is_empty) {
            lines.pop();
        }
        lines
    }

    #[test]
    fn finished_rows_are_printed_and_the_view_stands_below() {
        let (mut painter, mut parser) = (Painter::new(true), terminal());
        for step in 0..30 {
            let committed = rows(&[&format!("line {step}")]);
            let bytes = painter.paint(SIZE, &committed, &view(&["> draft", "status"], (7, 0))).expect("bytes");
            parser.process(&bytes);
        }
        let mut expected: Vec<String> = (0..30).map(|step| format!("line {step}")).collect();
        expected.extend(["> draft".to_owned(), "status".to_owned()]);
        assert_eq!(all(&mut parser), expected);
        assert_eq!(parser.screen().cursor_position(), (8, 7));
    }

    #[test]
    fn nothing_is_written_when_nothing_changed_and_a_key_costs_one_row() {
        let mut painter = Painter::new(true);
        assert!(painter.paint(SIZE, &[], &view(&["> a", "status"], (3, 0))).is_some());
        assert_eq!(painter.paint(SIZE, &[], &view(&["> a", "status"], (3, 0))), None);
        let moved = painter.paint(SIZE, &[], &view(&["> a", "status"], (2, 0))).expect("bytes");
        assert_eq!(String::from_utf8_lossy(&moved), "\r\x1b[2C");
        let typed = painter.paint(SIZE, &[], &view(&["> ab", "status"], (4, 0))).expect("bytes");
        let typed = String::from_utf8_lossy(&typed);
        assert!(typed.contains("> ab") && !typed.contains("status") && !typed.contains("\x1b[J"), "{typed:?}");
    }

    #[test]
    fn after_a_resize_the_rows_of_the_view_are_erased_and_nothing_above_them() {
        let mut painter = Painter::new(true);
        let tall = view(&["> a", "  b", "  c", "status"], (3, 2));
        painter.paint(SIZE, &[], &tall);
        let bytes = painter.paint(SIZE, &rows(&["x"]), &tall).expect("bytes");
        assert!(bytes.starts_with(b"\r\x1b[2A\x1b[J"), "{:?}", String::from_utf8_lossy(&bytes));
        // Whatever the terminal has done with the rows, there are at least two above the cursor's.
        painter.resized();
        let bytes = painter.paint(Size { columns: 40, ..SIZE }, &rows(&["x"]), &tall).expect("bytes");
        assert!(
            bytes.starts_with(b"\r\x1b[2A\x1b[J\x1b[?2026h\x1b[?25lx\r\n"),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        // A row that the terminal has broken may stay in part; nothing is joined to it.
        painter.resized();
        let bytes = painter.paint(Size { columns: 2, ..SIZE }, &rows(&["x"]), &tall).expect("bytes");
        assert!(
            bytes.starts_with(b"\r\x1b[2A\x1b[J\x1b[?2026h\x1b[?25l\r\nx"),
            "{:?}",
            String::from_utf8_lossy(&bytes)
        );
        painter.resized();
        let apart = View { rows: [vec![Row::new()], tall.rows.clone()].concat(), ..tall.clone() };
        let bytes = painter.paint(Size { columns: 2, ..SIZE }, &[], &apart).expect("bytes");
        let begin = b"\r\x1b[2A\x1b[J\x1b[?2026h\x1b[?25l\x1b[?7l\r\n";
        assert!(bytes.starts_with(begin), "an empty row is enough: {:?}", String::from_utf8_lossy(&bytes));
        // After another program the cursor may be anywhere.
        painter.disturbed();
        let bytes = painter.paint(SIZE, &rows(&["x"]), &tall).expect("bytes");
        assert!(bytes.starts_with(b"\r\x1b[J"), "{:?}", String::from_utf8_lossy(&bytes));
        painter.disturbed();
        assert_eq!(painter.erase(), b"\r\x1b[J");
    }

    #[test]
    fn a_draft_of_several_rows_leaves_no_copy_in_a_window_that_changes() {
        let mut painter = Painter::new(true);
        let mut parser = terminal();
        let draft = |columns: usize| {
            let text = "d".repeat(30);
            let rows: Vec<&str> =
                text.as_bytes().chunks(columns - 3).filter_map(|row| std::str::from_utf8(row).ok()).collect();
            let cursor = (0, u16::try_from(rows.len() - 1).unwrap_or(0));
            let mut view = view(&rows, cursor);
            view.rows.push(Row::of(Look::PLAIN, "status"));
            view
        };
        parser.process(&painter.paint(SIZE, &rows(&["one"]), &draft(20)).unwrap_or_default());
        for columns in [30, 40, 24, 38] {
            // A terminal that breaks no rows anew, and rows that are not wider than it is.
            let size = Size { columns, ..SIZE };
            parser.screen_mut().set_size(size.rows, size.columns);
            painter.resized();
            let width = usize::from(columns.min(24));
            parser.process(&painter.paint(size, &[], &draft(width)).unwrap_or_default());
        }
        let seen = all(&mut parser);
        assert_eq!(seen.iter().filter(|row| row.contains('d')).count(), 2, "{seen:?}");
        assert_eq!(seen.first().map(String::as_str), Some("one"));
    }

    #[test]
    fn a_terminal_that_has_lost_its_last_rows_unheard_loses_nothing_more() {
        let mut painter = Painter::new(true);
        painter.paint(SIZE, &rows(&["one", "two"]), &view(&["> a", "status", "hint"], (3, 0)));
        // The screen as tmux leaves it when it becomes lower: the rows below the cursor are gone.
        let low = Size { rows: 3, ..SIZE };
        let mut parser = vt100::Parser::new(low.rows, low.columns, 100);
        parser.process(b"one\r\ntwo\r\n> a\r");
        parser.process(&painter.paint(SIZE, &[], &view(&["> ab", "status 2", "hint 2"], (4, 0))).expect("bytes"));
        painter.resized();
        parser.process(
            &painter.paint(SIZE, &rows(&["three"]), &view(&["> ab", "status 2", "hint 2"], (4, 0))).expect("bytes"),
        );
        assert_eq!(all(&mut parser), ["one", "two", "three", "> ab", "status 2", "hint 2"]);
    }

    #[test]
    fn another_size_is_a_resize_also_before_the_terminal_says_so() {
        let mut painter = Painter::new(true);
        painter.paint(SIZE, &[], &view(&["> a", "status"], (3, 0)));
        let bytes = painter.paint(Size { columns: 40, ..SIZE }, &[], &view(&["> b", "status"], (3, 0)));
        assert!(bytes.is_some_and(|bytes| bytes.starts_with(b"\r\x1b[J")), "everything is drawn again");
    }

    #[test]
    fn erasing_comes_before_the_synchronized_update_and_no_screen_is_cleared() {
        let mut painter = Painter::new(true);
        let bytes = painter.paint(SIZE, &rows(&["x"]), &view(&["> "], (2, 0))).expect("bytes");
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.find("\x1b[J") < text.find("\x1b[?2026h"), "{text:?}");
        for forbidden in ["\x1b[2J", "\x1b[3J", "\x1b[r", "\x1bM"] {
            assert!(!text.contains(forbidden), "{text:?}");
        }
    }

    #[test]
    fn a_view_that_shrinks_leaves_nothing_behind() {
        let (mut painter, mut parser) = (Painter::new(true), terminal());
        for (committed, now) in [
            (rows(&["one"]), view(&["> a", "b", "c", "d"], (1, 0))),
            (rows(&[]), view(&["> a", "status"], (1, 0))),
            (rows(&["two"]), view(&["> a", "b", "status"], (0, 1))),
            (rows(&["three"]), view(&["> "], (2, 0))),
        ] {
            parser.process(&painter.paint(SIZE, &committed, &now).unwrap_or_default());
        }
        assert_eq!(all(&mut parser), ["one", "two", "three", "> "]);
        parser.process(&painter.erase());
        assert_eq!(all(&mut parser), ["one", "two", "three"]);
    }

    #[test]
    fn rows_above_the_view_take_what_is_left_of_the_screen_and_go_without_a_trace() {
        let (mut painter, mut parser) = (Painter::new(true), terminal());
        let above: Vec<String> = (1..=20).map(|number| format!("old {number}")).collect();
        let above = above.iter().map(|text| Row::of(Look::PLAIN, text)).collect();
        let tall = View { above, ..view(&["> a", "status"], (3, 0)) };
        parser.process(&painter.paint(SIZE, &rows(&["one"]), &tall).unwrap_or_default());
        // Of the ten rows of the screen one stays free and two belong to the view.
        let seen = all(&mut parser);
        assert_eq!((seen.first().map(String::as_str), seen.len()), (Some("one"), 10), "{seen:?}");
        assert_eq!(seen.get(1..3).unwrap_or_default(), ["old 14", "old 15"], "{seen:?}");
        assert_eq!(seen.get(8..).unwrap_or_default(), ["> a", "status"], "{seen:?}");
        assert_eq!(parser.screen().cursor_position(), (8, 3));
        parser.process(&painter.paint(SIZE, &rows(&["two"]), &view(&["> a", "status"], (3, 0))).unwrap_or_default());
        assert_eq!(all(&mut parser), ["one", "two", "> a", "status"]);
    }

    fn row() -> impl Strategy<Value = String> {
        prop_oneof!["[ -~]{0,60}", any::<String>(), Just("👩‍👩‍👧‍👦 e\u{301}\u{302} \u{202e}evil \x1b[2J\x1b[1;1H".to_owned())]
    }

    proptest! {
        #[test]
        fn hostile_rows_change_nothing_above_them(
            steps in proptest::collection::vec((proptest::collection::vec(row(), 0..3), proptest::collection::vec(row(), 1..7), 0u16..40, 0u16..9), 1..12),
        ) {
            let (mut painter, mut parser) = (Painter::new(true), terminal());
            let mut before = 0;
            for (step, (committed, view_rows, x, y)) in steps.into_iter().enumerate() {
                let mark = format!("mark {step}");
                let mut committed: Vec<Row> = committed.iter().map(|text| Row::of(Look::PLAIN, text)).collect();
                committed.push(Row::of(Look::PLAIN, &mark));
                let view = View { rows: view_rows.iter().map(|text| Row::of(Look::PLAIN, &format!("v{text}"))).collect(), cursor: (x, y), ..View::default() };
                parser.process(&painter.paint(SIZE, &committed, &view).unwrap_or_default());
                let lines = all(&mut parser);
                let marks: Vec<&String> = lines.iter().filter(|line| line.starts_with("mark ")).collect();
                prop_assert_eq!(marks.len(), step + 1, "{:?}", lines);
                let at = lines.iter().position(|line| *line == mark);
                prop_assert!(at >= Some(before), "{:?}", lines);
                before = at.unwrap_or(0);
            }
        }
    }
}
