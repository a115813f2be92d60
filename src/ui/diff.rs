//! An edit as the lines that it removes and adds.

use similar::TextDiff;

use super::clean;
use super::columns;
use super::format::count;
use super::style::{Ink, Style};
use crate::agent::Edit;

/// Unchanged lines around each change.
const CONTEXT: usize = 3;

/// Rows of a diff that are shown.
const ROWS_MAX: usize = 40;

/// Lines of either side up to which a diff is worked out: the time grows with their product.
const LINES_MAX: usize = 2_000;

/// Bytes of either side up to which a diff is worked out.
const SIDE_BYTES_MAX: usize = 256 * 1024;

/// Lines taken away and put in.
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

/// A change worked out, within the bounds.
pub(super) enum Change<'a> {
    /// Nothing stood there before.
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

    /// How many lines change; for what is too big, how many there were and will be.
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

    /// The change as rows of a unified diff, each cut to the terminal, the rest counted.
    pub(super) fn text(&self, style: Style) -> String {
        let mut rows = Rows { style, shown: 0, out: String::new() };
        let mut left = 0;
        match self {
            Change::New(text) => {
                for line in text.lines() {
                    left += usize::from(!rows.push('+', line));
                }
            }
            Change::Big(_) => {
                rows.push(' ', "too big to compare here; the journal has it whole");
            }
            Change::Compared(diff) => {
                for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
                    left += usize::from(!rows.push('@', &hunk.header().to_string()));
                    for change in hunk.iter_changes() {
                        let sign = match change.tag() {
                            similar::ChangeTag::Equal => ' ',
                            similar::ChangeTag::Delete => '-',
                            similar::ChangeTag::Insert => '+',
                        };
                        left += usize::from(!rows.push(sign, change.value()));
                    }
                }
            }
        }
        if left > 0 {
            let more = format!("    … {}", count(left, "more line"));
            rows.out.push_str(&style.paint(Ink::Dim, &more));
            rows.out.push('\n');
        }
        rows.out
    }
}

struct Rows {
    style: Style,
    shown: usize,
    out: String,
}

impl Rows {
    /// Adds a row; `false` when there is no room left.
    fn push(&mut self, sign: char, line: &str) -> bool {
        if self.shown == ROWS_MAX {
            return false;
        }
        self.shown += 1;
        // No more of the line is read than could be seen if each character took one column.
        let line = clean::folded(line.trim_end(), usize::from(self.style.columns), clean::TAB);
        let (text, ink) = match sign {
            '+' => (format!("    +{line}"), Some(Ink::Good)),
            '-' => (format!("    -{line}"), Some(Ink::Bad)),
            '@' => (format!("    {line}"), Some(Ink::Dim)),
            _ => (format!("     {line}"), None),
        };
        let text = columns::cut(text.trim_end(), usize::from(self.style.columns));
        match ink {
            Some(ink) => self.out.push_str(&self.style.paint(ink, &text)),
            None => self.out.push_str(&text),
        }
        self.out.push('\n');
        true
    }
}
