//! Shows an edit as the lines that it removes and adds.

use similar::TextDiff;

use super::clean;
use super::columns;
use super::format::count;
use super::style::{Ink, Style};
use crate::agent::Edit;

/// How many unchanged lines are shown around each change.
const CONTEXT: usize = 3;

/// How many rows of a diff are shown.
const ROWS_MAX: usize = 40;

/// The most lines of either side for which a diff is computed, because the time grows with the product of the two.
const LINES_MAX: usize = 2_000;

/// The most bytes of either side for which a diff is computed.
const SIDE_BYTES_MAX: usize = 256 * 1024;

/// How many lines are removed and added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    added: usize,
    removed: usize,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "+{} -{}", self.added, self.removed)
    }
}

/// A change, compared if it is within the bounds.
pub(super) enum Change<'a> {
    /// There was no text before.
    New(&'a str),
    /// Too big to compare.
    Big(&'a Edit),
    /// Compared line by line.
    Compared(TextDiff<'a, 'a, 'a, str>),
}

impl<'a> Change<'a> {
    pub(super) fn of(edit: &'a Edit) -> Change<'a> {
        let big = |text: &str| text.len() > SIDE_BYTES_MAX || text.lines().take(LINES_MAX + 1).count() > LINES_MAX;
        if edit.old.is_empty() {
            Change::New(&edit.new)
        } else if big(&edit.old) || big(&edit.new) {
            Change::Big(edit)
        } else {
            Change::Compared(TextDiff::from_lines(&edit.old, &edit.new))
        }
    }

    /// How many lines change. If the change is too big to compare, how many lines there were and will be.
    pub(super) fn size(&self) -> Size {
        match self {
            Change::New(text) => Size { added: text.lines().count(), removed: 0 },
            Change::Big(edit) => Size { added: edit.new.lines().count(), removed: edit.old.lines().count() },
            Change::Compared(diff) => {
                let mut size = Size { added: 0, removed: 0 };
                for op in diff.ops() {
                    if op.tag() != similar::DiffTag::Equal {
                        size.added += op.new_range().len();
                        size.removed += op.old_range().len();
                    }
                }
                size
            }
        }
    }

    /// All lines of a unified diff, clean and uncut, for the user to read before allowing the edit.
    pub(super) fn all_lines(&self) -> (Vec<(char, String)>, usize) {
        let side = |sign: char, text: &str| text.lines().map(|line| (sign, clean::lines(line))).collect::<Vec<_>>();
        match self {
            Change::New(text) => (side('+', text), 0),
            Change::Big(edit) => ([side('-', &edit.old), side('+', &edit.new)].concat(), 0),
            Change::Compared(_) => self.first_lines(usize::MAX, usize::MAX),
        }
    }

    /// The first lines of a unified diff, each with its sign (`@` for a hunk's head, a space for an unchanged line), and how many
    /// lines follow. A line is clean, and no longer than `columns` can show.
    pub(super) fn lines(&self, columns: usize) -> (Vec<(char, String)>, usize) {
        self.first_lines(ROWS_MAX, columns)
    }

    fn first_lines(&self, most: usize, columns: usize) -> (Vec<(char, String)>, usize) {
        let mut lines = Vec::new();
        let mut left = 0;
        let mut push = |sign: char, line: &str| {
            if lines.len() == most {
                left += 1;
                return;
            }
            // No more of the line is read than could be seen if each character took one column.
            let line = clean::folded(line.trim_end(), columns, clean::TAB);
            lines.push((sign, line.trim_end().to_owned()));
        };
        match self {
            Change::New(text) => text.lines().for_each(|line| push('+', line)),
            Change::Big(_) => push(' ', "too big to compare here; the journal has it whole"),
            Change::Compared(diff) => {
                for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
                    push('@', &hunk.header().to_string());
                    for change in hunk.iter_changes() {
                        let sign = match change.tag() {
                            similar::ChangeTag::Equal => ' ',
                            similar::ChangeTag::Delete => '-',
                            similar::ChangeTag::Insert => '+',
                        };
                        push(sign, change.value());
                    }
                }
            }
        }
        (lines, left)
    }

    /// The change as rows of a unified diff, each cut to the terminal's width; further rows are counted.
    pub(super) fn text(&self, style: Style) -> String {
        let columns = usize::from(style.columns);
        let (lines, left) = self.lines(columns);
        let mut out = String::new();
        for (sign, line) in lines {
            let (text, ink) = match sign {
                '+' => (format!("    +{line}"), Some(Ink::Good)),
                '-' => (format!("    -{line}"), Some(Ink::Bad)),
                '@' => (format!("    {line}"), Some(Ink::Dim)),
                _ => (format!("     {line}"), None),
            };
            let text = columns::cut(text.trim_end(), columns);
            out.push_str(&ink.map_or_else(|| text.clone(), |ink| style.paint(ink, &text)));
            out.push('\n');
        }
        if left > 0 {
            let more = format!("    … {}", count(left, "more line"));
            out.push_str(&style.paint(Ink::Dim, &more));
            out.push('\n');
        }
        out
    }
}
