use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use unicode_segmentation::{GraphemeCursor, UnicodeSegmentation};

use super::super::clean;
use super::super::columns;
use super::super::paint::{Colour, Look, Row};
use super::images::image_paths;
use crate::words::Image;

/// The size limit of a draft, including the content of its folded pastes.
pub const TEXT_LIMIT_BYTES: usize = 1024 * 1024;
/// What the label of a folded paste needs at most.
const LABEL_BYTES: usize = 64;
/// The beginning of an image's label; the label ends with the first closing bracket.
const IMAGE_LABEL: &str = "[image ";
/// The width of an image's name in its label, in columns.
const IMAGE_NAME_COLUMNS: usize = 40;
/// A paste with more characters or lines than these is folded.
const FOLD_CHARS: usize = 1_000;
const FOLD_LINES: usize = 10;
/// How many undo steps are kept, and how many bytes they may hold together.
const UNDO_LIMIT: usize = 200;
const UNDO_LIMIT_BYTES: usize = 4 * 1024 * 1024;

/// A part of the draft that the cursor skips and that is deleted as one. The text shows a label in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Folded {
    /// The range of its label in the text.
    at: Range<usize>,
    /// The content that the label stands for.
    content: Content,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Content {
    Text(Arc<str>),
    /// The image is sent beside the text; its label stays in the text.
    Image(Arc<Image>),
}

impl Content {
    fn text(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(text),
            Content::Image(_) => None,
        }
    }
}

/// The draft and its cursor.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct State {
    text: String,
    /// The cursor: always at a grapheme boundary, never inside a folded part.
    at: usize,
    folded: Vec<Folded>,
}

/// The kind of the last change. Consecutive changes of the same kind are undone together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Step {
    #[default]
    Other,
    Typing,
    Deleting,
}

/// A text that is being edited.
#[derive(Debug, Clone, Default)]
pub struct Buffer {
    state: State,
    undo: VecDeque<State>,
    redo: Vec<State>,
    last: Step,
    /// The text that was cut last, for `yank`.
    killed: String,
    /// The column that moving up and down tries to keep.
    aim: Option<usize>,
}

/// A draft as it is drawn: its rows and the position of the cursor in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// The rows, each no wider than requested.
    pub rows: Vec<Row>,
    /// Column and row of the cursor, from 0.
    pub cursor: (usize, usize),
}

/// The label that replaces the path of an image in the text.
#[must_use]
pub fn image_label(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let name = clean::one_line(name, IMAGE_NAME_COLUMNS).replace(['[', ']'], "_");
    format!("{IMAGE_LABEL}{name}]")
}

impl Buffer {
    /// An empty draft.
    #[must_use]
    pub fn new() -> Buffer {
        Buffer::default()
    }

    /// Whether the draft is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.text.is_empty()
    }

    /// The text as it is shown, with labels in place of folded content.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.state.text
    }

    /// The cursor's position in the text, in bytes.
    #[must_use]
    pub fn cursor(&self) -> usize {
        self.state.at
    }

    /// The text with the folded content in place of its labels.
    #[must_use]
    pub fn content(&self) -> String {
        let mut content = String::with_capacity(self.bytes());
        let mut from = 0;
        for folded in &self.state.folded {
            content.push_str(self.state.text.get(from..folded.at.start).unwrap_or_default());
            let label = self.state.text.get(folded.at.clone()).unwrap_or_default();
            content.push_str(folded.content.text().unwrap_or(label));
            from = folded.at.end;
        }
        content.push_str(self.state.text.get(from..).unwrap_or_default());
        content
    }

    fn bytes(&self) -> usize {
        let folded = self.state.folded.iter().filter_map(|folded| folded.content.text());
        self.state.text.len() + folded.map(str::len).sum::<usize>()
    }

    /// The images, in the order of their labels.
    pub fn images(&self) -> impl Iterator<Item = &Arc<Image>> {
        self.state.folded.iter().filter_map(|folded| match &folded.content {
            Content::Image(image) => Some(image),
            Content::Text(_) => None,
        })
    }

    /// The image paths in the text, with their ranges.
    #[must_use]
    pub fn image_paths(&self) -> Vec<(Range<usize>, String)> {
        let mut paths = image_paths(&self.state.text);
        paths.retain(|(at, _)| self.state.whole(at.clone()) == *at && !self.state.folded.iter().any(|it| it.at == *at));
        paths
    }

    /// Replaces the path of an image by its label.
    pub fn fold_image(&mut self, at: Range<usize>, label: &str, image: Arc<Image>) {
        self.changes(Step::Other);
        let cursor = self.state.at;
        let at = self.state.whole(at);
        self.state.replace(at.clone(), label);
        self.state.fold(at.start..at.start + label.len(), Content::Image(image));
        if cursor <= at.start {
            self.state.at = cursor;
        } else if cursor >= at.end {
            self.state.at = cursor - at.len() + label.len();
        }
    }

    /// Replaces the draft by a text that was sent back, with its images at their labels.
    pub fn restore(&mut self, text: &str, images: &[Image]) {
        self.replace_all(text);
        let mut from = 0;
        for image in images {
            let Some(rest) = text.get(from..) else { return };
            let Some(label) = rest.find(IMAGE_LABEL) else { return };
            let Some(len) = rest.get(label..).and_then(|rest| rest.find(']')) else { return };
            let at = from + label..from + label + len + 1;
            from = at.end;
            self.state.fold(at, Content::Image(Arc::new(image.clone())));
        }
    }

    /// Empties the draft; returns its content.
    pub fn take(&mut self) -> String {
        let content = self.content();
        self.replace_all("");
        content
    }

    /// Replaces the draft by another text and puts the cursor at its end. This can be undone.
    pub fn replace_all(&mut self, text: &str) {
        self.changes(Step::Other);
        self.state = State { text: text.to_owned(), at: text.len(), folded: Vec::new() };
    }

    /// Types a text. Returns `false` if it does not fit.
    pub fn insert(&mut self, text: &str) -> bool {
        if self.bytes() + text.len() > TEXT_LIMIT_BYTES {
            return false;
        }
        let begins_word = text.chars().all(char::is_whitespace);
        if begins_word {
            self.last = Step::Other;
        }
        self.changes(Step::Typing);
        let at = self.state.at;
        self.state.replace(at..at, text);
        true
    }

    /// Inserts a paste, or as much of its beginning as fits; a big one is folded to a label. Returns `false` if it was cut.
    pub fn paste(&mut self, text: &str) -> bool {
        let room = TEXT_LIMIT_BYTES.saturating_sub(self.bytes() + LABEL_BYTES);
        let fitting = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        let is_whole = fitting.len() == text.len();
        (fitting.is_empty() || self.paste_fitting(fitting)) && is_whole
    }

    fn paste_fitting(&mut self, text: &str) -> bool {
        let lines = text.lines().count();
        let is_big = lines > FOLD_LINES || text.chars().take(FOLD_CHARS + 1).count() > FOLD_CHARS;
        if !is_big {
            self.last = Step::Other;
            let fits = self.insert(text);
            self.last = Step::Other;
            return fits;
        }
        let label = if lines > 1 {
            format!("[pasted {lines} lines]")
        } else {
            format!("[pasted {} characters]", text.chars().count())
        };
        self.insert_folded(&label, text)
    }

    /// Inserts a label that stands for `content`.
    pub fn insert_folded(&mut self, label: &str, content: &str) -> bool {
        if self.bytes() + label.len() + content.len() > TEXT_LIMIT_BYTES {
            return false;
        }
        self.changes(Step::Other);
        let from = self.state.at;
        self.state.replace(from..from, label);
        self.state.fold(from..from + label.len(), Content::Text(Arc::from(content)));
        true
    }

    /// Replaces the bytes between `from` and the cursor.
    pub fn complete(&mut self, from: usize, text: &str) {
        let range = self.state.whole(from.min(self.state.at)..self.state.at);
        self.changes(Step::Other);
        self.state.replace(range, text);
    }

    /// Moves one grapheme or folded part to the left.
    pub fn left(&mut self) {
        self.moves(|state| state.before(state.at));
    }

    /// Moves one grapheme or folded part to the right.
    pub fn right(&mut self) {
        self.moves(|state| state.after(state.at));
    }

    /// Moves to the beginning of the word before the cursor.
    pub fn word_left(&mut self) {
        self.moves(State::word_before);
    }

    /// Moves to the end of the word after the cursor.
    pub fn word_right(&mut self) {
        self.moves(State::word_after);
    }

    /// Moves to the beginning of the line.
    pub fn line_start(&mut self) {
        self.moves(State::line_start);
    }

    /// Moves to the end of the line.
    pub fn line_end(&mut self) {
        self.moves(State::line_end);
    }

    /// Moves to the beginning of the draft.
    pub fn start(&mut self) {
        self.moves(|_| 0);
    }

    /// Moves to the end of the draft.
    pub fn end(&mut self) {
        self.moves(|state| state.text.len());
    }

    /// Moves one row up in a draft of `columns`. Returns `false` in the first row.
    pub fn up(&mut self, columns: usize) -> bool {
        self.vertically(columns, |row| row.checked_sub(1))
    }

    /// Moves one row down. Returns `false` in the last row.
    pub fn down(&mut self, columns: usize) -> bool {
        self.vertically(columns, |row| Some(row + 1))
    }

    /// Deletes the grapheme or folded part before the cursor.
    pub fn backspace(&mut self) {
        let range = self.state.before(self.state.at)..self.state.at;
        self.deletes(range, Step::Deleting);
    }

    /// Deletes the grapheme or folded part after the cursor.
    pub fn delete(&mut self) {
        let range = self.state.at..self.state.after(self.state.at);
        self.deletes(range, Step::Deleting);
    }

    /// Cuts the word before the cursor.
    pub fn kill_word_left(&mut self) {
        let range = self.state.word_before()..self.state.at;
        self.kills(range);
    }

    /// Cuts the word after the cursor.
    pub fn kill_word_right(&mut self) {
        let range = self.state.at..self.state.word_after();
        self.kills(range);
    }

    /// Cuts the part of the line before the cursor.
    pub fn kill_to_line_start(&mut self) {
        let range = self.state.line_start()..self.state.at;
        self.kills(range);
    }

    /// Cuts the part of the line after the cursor; at the end of the line, the line end.
    pub fn kill_to_line_end(&mut self) {
        let end = self.state.line_end();
        let end = if end == self.state.at { self.state.after(end) } else { end };
        let range = self.state.at..end;
        self.kills(range);
    }

    /// Inserts the text that was cut last.
    pub fn yank(&mut self) -> bool {
        let killed = self.killed.clone();
        self.last = Step::Other;
        let fits = self.insert(&killed);
        self.last = Step::Other;
        fits
    }

    /// Undoes the last change.
    pub fn undo(&mut self) {
        if let Some(before) = self.undo.pop_back() {
            self.redo.push(std::mem::replace(&mut self.state, before));
        }
        self.settles();
    }

    /// Redoes the change that was undone last.
    pub fn redo(&mut self) {
        if let Some(after) = self.redo.pop() {
            self.undo.push_back(std::mem::replace(&mut self.state, after));
        }
        self.settles();
    }

    /// The rows of the draft in `columns`.
    #[must_use]
    pub fn draft(&self, columns: usize) -> Draft {
        let layout = self.state.layout(columns);
        let row = layout.row_of(self.state.at);
        let column = layout.rows.get(row).map_or(0, |range| self.state.columns(range.start..self.state.at));
        Draft { rows: layout.rows.iter().map(|range| self.state.row(range.clone())).collect(), cursor: (column, row) }
    }

    fn settles(&mut self) {
        self.last = Step::Other;
        self.aim = None;
    }

    fn moves(&mut self, to: impl Fn(&State) -> usize) {
        self.settles();
        self.state.at = to(&self.state);
    }

    fn vertically(&mut self, columns: usize, to: impl Fn(usize) -> Option<usize>) -> bool {
        let layout = self.state.layout(columns);
        let row = layout.row_of(self.state.at);
        let Some(here) = layout.rows.get(row) else { return false };
        let Some(target) = to(row) else { return false };
        let Some(there) = layout.rows.get(target) else { return false };
        // If the row is broken, its end is the beginning of the next row.
        let is_broken = layout.rows.get(target + 1).is_some_and(|next| next.start == there.end);
        let last = if is_broken { self.state.before(there.end).max(there.start) } else { there.end };
        let aim = self.aim.unwrap_or_else(|| self.state.columns(here.start..self.state.at));
        self.settles();
        let at = self.state.at_column(there.clone(), aim).min(last);
        // A label that is broken over several rows is left at the side to which the cursor moves.
        self.state.at = self.state.folded_around(at).map_or(at, |label| {
            if target < row || label.at.start >= there.start { label.at.start } else { label.at.end }
        });
        self.aim = Some(aim);
        true
    }

    fn deletes(&mut self, range: Range<usize>, step: Step) {
        if range.is_empty() {
            return;
        }
        self.changes(step);
        self.state.replace(range, "");
    }

    fn kills(&mut self, range: Range<usize>) {
        if range.is_empty() {
            return;
        }
        self.killed = self.state.text.get(range.clone()).unwrap_or_default().to_owned();
        self.deletes(range, Step::Other);
    }

    /// Records the state for undo, unless the change continues the last one.
    fn changes(&mut self, step: Step) {
        let goes_on = step != Step::Other && step == self.last;
        (self.last, self.aim) = (step, None);
        self.redo.clear();
        if goes_on {
            return;
        }
        self.undo.push_back(self.state.clone());
        let mut bytes: usize = self.undo.iter().map(|state| state.text.len()).sum();
        while self.undo.len() > UNDO_LIMIT || (bytes > UNDO_LIMIT_BYTES && self.undo.len() > 1) {
            bytes -= self.undo.pop_front().map_or(0, |state| state.text.len());
        }
    }
}

impl State {
    /// Replaces a range that splits no folded part; the cursor is behind the new text.
    fn replace(&mut self, range: Range<usize>, text: &str) {
        self.folded.retain(|folded| folded.at.end <= range.start || folded.at.start >= range.end);
        for folded in &mut self.folded {
            if folded.at.start >= range.end {
                let moved = |at: usize| at - range.len() + text.len();
                folded.at = moved(folded.at.start)..moved(folded.at.end);
            }
        }
        self.text.replace_range(range.clone(), text);
        self.at = range.start + text.len();
        // The new text may combine with its neighbours into one grapheme.
        self.at = self.border(self.at);
    }

    /// Marks the range as the label of `content`.
    fn fold(&mut self, at: Range<usize>, content: Content) {
        let place = self.folded.iter().position(|other| other.at.start >= at.end).unwrap_or(self.folded.len());
        self.folded.insert(place, Folded { at, content });
    }

    /// The range, extended to the folded parts that it touches.
    fn whole(&self, range: Range<usize>) -> Range<usize> {
        let mut range = range;
        for folded in &self.folded {
            if folded.at.start < range.end && folded.at.end > range.start {
                range = range.start.min(folded.at.start)..range.end.max(folded.at.end);
            }
        }
        range
    }

    fn folded_around(&self, at: usize) -> Option<&Folded> {
        self.folded.iter().find(|folded| folded.at.start < at && at < folded.at.end)
    }

    /// The first boundary of a grapheme or folded part at or after `at`.
    fn border(&self, at: usize) -> usize {
        if self.folded.iter().any(|folded| folded.at.start == at || folded.at.end == at) {
            return at;
        }
        if let Some(folded) = self.folded_around(at) {
            return folded.at.end;
        }
        let mut cursor = GraphemeCursor::new(at, self.text.len(), true);
        match cursor.is_boundary(&self.text, 0) {
            Ok(true) => at,
            Ok(false) | Err(_) => cursor.next_boundary(&self.text, 0).ok().flatten().unwrap_or(self.text.len()),
        }
    }

    fn before(&self, at: usize) -> usize {
        if let Some(folded) = self.folded.iter().find(|folded| folded.at.end == at) {
            return folded.at.start;
        }
        let before =
            GraphemeCursor::new(at, self.text.len(), true).prev_boundary(&self.text, 0).ok().flatten().unwrap_or(0);
        self.folded_around(before).map_or(before, |folded| folded.at.start)
    }

    fn after(&self, at: usize) -> usize {
        if let Some(folded) = self.folded.iter().find(|folded| folded.at.start == at) {
            return folded.at.end;
        }
        let after = GraphemeCursor::new(at, self.text.len(), true).next_boundary(&self.text, 0).ok().flatten();
        self.border(after.unwrap_or(self.text.len()))
    }

    fn is_word(&self, from: usize, to: usize) -> bool {
        self.folded.iter().any(|folded| folded.at.start == from && folded.at.end == to)
            || self.text.get(from..to).is_some_and(|part| part.chars().any(|c| c.is_alphanumeric() || c == '_'))
    }

    fn word_before(&self) -> usize {
        let mut at = self.at;
        let mut in_word = false;
        while at > 0 {
            let before = self.before(at);
            let is_word = self.is_word(before, at);
            if in_word && !is_word {
                break;
            }
            in_word |= is_word;
            at = before;
        }
        at
    }

    fn word_after(&self) -> usize {
        let mut at = self.at;
        let mut in_word = false;
        while at < self.text.len() {
            let after = self.after(at);
            let is_word = self.is_word(at, after);
            if in_word && !is_word {
                break;
            }
            in_word |= is_word;
            at = after;
        }
        at
    }

    fn line_start(&self) -> usize {
        self.text.get(..self.at).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
    }

    fn line_end(&self) -> usize {
        self.text.get(self.at..).and_then(|after| after.find('\n')).map_or(self.text.len(), |at| self.at + at)
    }

    /// The rows that the text occupies.
    fn layout(&self, columns: usize) -> Layout {
        let columns = columns.max(2);
        let mut rows = Vec::new();
        let (mut from, mut used) = (0, 0);
        // Where the row may be broken, and the width before that point: after a space, as in the message when it is sent.
        let mut gap: Option<(usize, usize)> = None;
        for (at, grapheme) in self.text.grapheme_indices(true) {
            if grapheme.starts_with('\n') || grapheme == "\r\n" {
                rows.push(from..at);
                (from, used, gap) = (at + grapheme.len(), 0, None);
                continue;
            }
            let width = columns::of(&shown(grapheme));
            if used + width > columns && at > from {
                let is_space = grapheme == " ";
                let (to, before) = gap.filter(|_| !is_space).unwrap_or((at, used));
                rows.push(from..to);
                (from, used, gap) = (to, used - before, None);
            }
            used += width;
            if grapheme == " " && self.folded_around(at + 1).is_none() {
                gap = Some((at + 1, used));
            }
        }
        rows.push(from..self.text.len());
        Layout { rows }
    }

    fn columns(&self, range: Range<usize>) -> usize {
        let text = self.text.get(range).unwrap_or_default();
        text.graphemes(true).map(|grapheme| columns::of(&shown(grapheme))).sum()
    }

    /// The last position in this row before the column, which may be inside a label.
    fn at_column(&self, row: Range<usize>, column: usize) -> usize {
        let mut used = 0;
        let text = self.text.get(row.clone()).unwrap_or_default();
        for (at, grapheme) in text.grapheme_indices(true) {
            used += columns::of(&shown(grapheme));
            if used > column {
                return row.start + at;
            }
        }
        self.border(row.end)
    }

    fn row(&self, range: Range<usize>) -> Row {
        let mut row = Row::new();
        let mut from = range.start;
        let plain = |row: &mut Row, range: Range<usize>| {
            let text = self.text.get(range).unwrap_or_default();
            let text: String = text.graphemes(true).map(shown).collect();
            row.push(Look::PLAIN, &text);
        };
        for folded in &self.folded {
            let label = folded.at.start.max(range.start)..folded.at.end.min(range.end);
            if label.start < label.end {
                plain(&mut row, from..label.start);
                row.push(Look::of(Colour::Cyan), self.text.get(label.clone()).unwrap_or_default());
                from = label.end;
            }
        }
        plain(&mut row, from..range.end);
        row
    }
}

struct Layout {
    rows: Vec<Range<usize>>,
}

impl Layout {
    /// The row in which the cursor is drawn.
    fn row_of(&self, at: usize) -> usize {
        self.rows.iter().rposition(|row| row.start <= at).unwrap_or(0)
    }
}

/// A grapheme as it is shown.
fn shown(grapheme: &str) -> String {
    match grapheme {
        "\t" => clean::TAB.to_owned(),
        _ => clean::lines(grapheme).replace('\n', " "),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::super::paint::text_of;
    use super::*;

    fn written(text: &str) -> Buffer {
        let mut buffer = Buffer::new();
        assert!(buffer.insert(text));
        buffer
    }

    #[test]
    fn an_emoji_of_many_characters_is_one_step_and_one_deletion() {
        let mut buffer = written("a👩‍👩‍👧‍👦e\u{301}");
        buffer.backspace();
        assert_eq!(buffer.text(), "a👩‍👩‍👧‍👦");
        buffer.left();
        assert_eq!(buffer.cursor(), 1);
        buffer.delete();
        assert_eq!(buffer.text(), "a");
    }

    #[test]
    fn words_and_lines_are_cut_out_and_put_back() {
        let mut buffer = written("fix the parser\nand its tests");
        buffer.kill_word_left();
        assert_eq!(buffer.text(), "fix the parser\nand its ");
        buffer.line_start();
        buffer.yank();
        assert_eq!(buffer.text(), "fix the parser\ntestsand its ");
        buffer.undo();
        buffer.start();
        buffer.word_right();
        assert_eq!(buffer.cursor(), 3);
        buffer.kill_to_line_end();
        assert_eq!(buffer.text(), "fix\nand its ");
        buffer.kill_to_line_end();
        assert_eq!(buffer.text(), "fixand its ");
        buffer.kill_to_line_start();
        assert_eq!(buffer.text(), "and its ");
    }

    #[test]
    fn typing_is_undone_by_the_word_and_done_again() {
        let mut buffer = Buffer::new();
        for c in "one two".chars() {
            buffer.insert(&c.to_string());
        }
        buffer.undo();
        assert_eq!(buffer.text(), "one");
        buffer.undo();
        assert_eq!(buffer.text(), "");
        buffer.redo();
        buffer.redo();
        assert_eq!(buffer.text(), "one two");
    }

    #[test]
    fn a_big_paste_is_folded_and_moved_over_as_one() {
        let big = "line\n".repeat(242) + "end";
        let mut buffer = written("see ");
        assert!(buffer.paste(&big));
        assert!(buffer.paste(" and fix"));
        assert_eq!(buffer.text(), "see [pasted 243 lines] and fix");
        assert_eq!(buffer.content(), format!("see {big} and fix"));
        for _ in 0.." and fix".len() {
            buffer.left();
        }
        buffer.left();
        assert_eq!(buffer.cursor(), 4);
        buffer.right();
        buffer.backspace();
        assert_eq!(buffer.text(), "see  and fix");
        buffer.undo();
        assert_eq!(buffer.content(), format!("see {big} and fix"));
    }

    #[test]
    fn a_line_end_at_the_end_of_a_paste_is_no_line() {
        let mut buffer = Buffer::new();
        assert!(buffer.paste(&"line\n".repeat(30)));
        assert_eq!(buffer.text(), "[pasted 30 lines]");
    }

    #[test]
    fn a_draft_is_broken_at_words() {
        let rows = |text: &str, columns| text_of(&written(text).draft(columns).rows);
        assert_eq!(rows("fix the parser now", 10), "fix the\nparser now\n");
        assert_eq!(rows("fix averylongword now", 8), "fix\naverylon\ngword\nnow\n");
        assert_eq!(written("fix the parser").draft(10).cursor, (6, 1));
        assert_eq!(written("1234567890 ").draft(10).cursor.1, 1);
    }

    #[test]
    fn a_draft_has_a_bound() {
        let mut buffer = written("x");
        // As much as fits is kept, in whole characters.
        assert!(!buffer.paste(&"é".repeat(TEXT_LIMIT_BYTES)));
        let content = buffer.content();
        assert!(content.starts_with("xéé") && content.ends_with("éé"), "{}", content.len());
        assert!((TEXT_LIMIT_BYTES - 100..=TEXT_LIMIT_BYTES).contains(&content.len()), "{}", content.len());
        assert!(!buffer.paste("more") && !buffer.paste(&"z\n".repeat(99)));
        assert_eq!(buffer.content(), content);
    }

    #[test]
    fn rows_are_broken_by_columns_and_the_cursor_follows() {
        let mut buffer = written("abcdef日本\tx\nlast");
        let draft = buffer.draft(7);
        assert_eq!(text_of(&draft.rows), "abcdef\n日本\nx\nlast\n".replace("日本\nx", "日本\n    x"));
        assert_eq!(draft.cursor, (4, 3));
        assert!(buffer.up(7));
        assert_eq!(buffer.draft(7).cursor, (4, 2));
        assert!(buffer.up(7) && buffer.up(7));
        assert!(!buffer.up(7));
        assert_eq!(buffer.draft(7).cursor, (4, 0));
        assert!(buffer.down(7) && buffer.down(7) && buffer.down(7) && !buffer.down(7));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn the_cursor_stays_on_borders_and_undo_brings_everything_back(
            steps in proptest::collection::vec((0u8..20, any::<String>()), 0..40), columns in 2usize..40,
        ) {
            let mut buffer = Buffer::new();
            for (step, text) in steps {
                match step {
                    0 => buffer.left(), 1 => buffer.right(), 2 => buffer.word_left(), 3 => buffer.word_right(),
                    4 => buffer.backspace(), 5 => buffer.delete(), 6 => buffer.kill_word_left(), 7 => buffer.kill_to_line_end(),
                    8 => { buffer.up(columns); }, 9 => { buffer.down(columns); }, 10 => { buffer.yank(); }, 11 => buffer.undo(),
                    12 => buffer.redo(), 13 => { buffer.insert_folded("[x]", &text); }, 14 => buffer.line_start(), 15 => buffer.line_end(),
                    16 => { buffer.paste(&text.repeat(30)); }
                    _ => { buffer.insert(&text); }
                }
                prop_assert_eq!(buffer.state.border(buffer.state.at), buffer.state.at);
                let draft = buffer.draft(columns);
                prop_assert!(draft.cursor.1 < draft.rows.len());
                for folded in &buffer.state.folded {
                    prop_assert!(buffer.state.text.get(folded.at.clone()).is_some_and(|label| label.starts_with('[')));
                }
            }
            let last = buffer.content();
            let mut steps = 0;
            while !buffer.undo.is_empty() { buffer.undo(); steps += 1; }
            prop_assert_eq!(buffer.content(), "");
            for _ in 0..steps { buffer.redo(); }
            prop_assert_eq!(buffer.content(), last);
        }
    }
}
