//! Shows an edit as the lines that it removes and adds.

use similar::TextDiff;

use super::clean;
use super::columns;
use super::format::count;
use super::style::{Ink, Style};
use crate::agent::{Edit, Hunk};

/// How many unchanged lines are shown around each change.
const CONTEXT: usize = 3;

/// How many rows of a diff are shown.
const ROWS_MAX: usize = 40;

/// The most lines of either side for which a diff is computed, because the time grows with the product of the two.
const LINES_MAX: usize = 2_000;

/// The most bytes of either side for which a diff is computed.
const SIDE_BYTES_MAX: usize = 256 * 1024;

/// How many lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Size {
    added: usize,
    /// How many were there before, without those that stay; `None` while that is unknown: a whole file was given.
    removed: Option<usize>,
}

impl std::fmt::Display for Size {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.removed {
            Some(removed) => write!(f, "+{} -{removed}", self.added),
            None => f.write_str(&count(self.added, "line")),
        }
    }
}

/// A change, compared if it is within the bounds.
pub(super) enum Change<'a> {
    /// The whole text is given, and what was there before is unknown.
    New(&'a str),
    /// Too big to compare.
    Big(&'a Edit),
    /// Compared line by line.
    Compared(TextDiff<'a, 'a, 'a, str>),
    /// The change that was made, with its places in the file.
    Placed(&'a [Hunk]),
}

/// A line of a unified diff, clean.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// `+`, `-`, a space for an unchanged line, `@` for the beginning of a hunk.
    pub(super) sign: char,
    /// Its number: of a removed line before the change, of another line after it. `None` while its place in the file is unknown.
    pub(super) number: Option<u64>,
    /// The line; at the beginning of a hunk its head, empty while its place in the file is unknown.
    pub(super) text: String,
}

impl<'a> Change<'a> {
    /// The change that a tool has made; `edit` is what it was about to do, which has no place.
    pub(super) fn made(edit: &'a Edit, hunks: &'a [Hunk]) -> Change<'a> {
        if hunks.is_empty() { Change::of(edit) } else { Change::Placed(hunks) }
    }

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
            Change::New(text) => Size { added: text.lines().count(), removed: None },
            Change::Big(edit) => Size { added: edit.new.lines().count(), removed: Some(edit.old.lines().count()) },
            Change::Compared(diff) => {
                let changed = || diff.ops().iter().filter(|op| op.tag() != similar::DiffTag::Equal);
                Size {
                    added: changed().map(|op| op.new_range().len()).sum(),
                    removed: Some(changed().map(|op| op.old_range().len()).sum()),
                }
            }
            Change::Placed(hunks) => {
                let count =
                    |sign| hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.starts_with(sign)).count();
                Size { added: count('+'), removed: Some(count('-')) }
            }
        }
    }

    /// All lines of a unified diff, uncut, for the user to read before allowing the edit.
    pub(super) fn all_lines(&self) -> (Vec<Line>, usize) {
        let side = |sign: char, text: &str| -> Vec<Line> {
            text.lines().map(|line| Line { sign, number: None, text: clean::lines(line) }).collect()
        };
        match self {
            Change::New(text) => (side('+', text), 0),
            Change::Big(edit) => ([side('-', &edit.old), side('+', &edit.new)].concat(), 0),
            Change::Compared(_) | Change::Placed(_) => self.first_lines(usize::MAX, usize::MAX),
        }
    }

    /// The first lines of a unified diff, and how many lines follow. A line is no longer than `columns` can show.
    pub(super) fn lines(&self, columns: usize) -> (Vec<Line>, usize) {
        self.first_lines(ROWS_MAX, columns)
    }

    fn first_lines(&self, most: usize, columns: usize) -> (Vec<Line>, usize) {
        let mut lines = Vec::new();
        let mut left = 0;
        let mut push = |sign: char, number: Option<u64>, line: &str| {
            if lines.len() == most {
                left += 1;
                return;
            }
            // No more of the line is read than could be seen if each character took one column.
            let line = clean::folded(line.trim_end(), columns, clean::TAB);
            lines.push(Line { sign, number, text: line.trim_end().to_owned() });
        };
        match self {
            Change::New(text) => text.lines().for_each(|line| push('+', None, line)),
            Change::Big(_) => push(' ', None, "too big to compare here; the journal has it whole"),
            Change::Compared(diff) => {
                for hunk in diff.unified_diff().context_radius(CONTEXT).iter_hunks() {
                    // The compared texts are parts of a file, so their own line numbers mean nothing.
                    push('@', None, "");
                    for change in hunk.iter_changes() {
                        let sign = match change.tag() {
                            similar::ChangeTag::Equal => ' ',
                            similar::ChangeTag::Delete => '-',
                            similar::ChangeTag::Insert => '+',
                        };
                        push(sign, None, change.value());
                    }
                }
            }
            Change::Placed(hunks) => hunks.iter().for_each(|hunk| place(hunk, &mut push)),
        }
        (lines, left)
    }

    /// The change as rows of a unified diff, each cut to the terminal's width; further rows are counted.
    pub(super) fn text(&self, style: Style) -> String {
        let columns = usize::from(style.columns);
        let (lines, left) = self.lines(columns);
        let mut out = String::new();
        for (at, Line { sign, number: _, text: line }) in lines.into_iter().enumerate() {
            let (text, ink) = match sign {
                '+' => (format!("    +{line}"), Some(Ink::Good)),
                '-' => (format!("    -{line}"), Some(Ink::Bad)),
                '@' if line.is_empty() && at == 0 => continue,
                '@' if line.is_empty() => ("    ⋮".to_owned(), Some(Ink::Dim)),
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

/// The lines of a hunk, with their numbers.
fn place(hunk: &Hunk, push: &mut impl FnMut(char, Option<u64>, &str)) {
    let counts = |sign: char| hunk.lines.iter().filter(|line| line.starts_with([' ', sign])).count();
    let head = format!("@@ -{},{} +{},{} @@", hunk.old_start, counts('-'), hunk.new_start, counts('+'));
    push('@', Some(hunk.new_start), &head);
    let (mut before, mut after) = (hunk.old_start, hunk.new_start);
    for line in &hunk.lines {
        let mut rest = line.chars();
        let sign = rest.next().unwrap_or(' ');
        let number = match sign {
            '-' => &mut before,
            '+' => &mut after,
            ' ' => {
                before = before.saturating_add(1);
                &mut after
            }
            // A remark, such as that there is no line end.
            _ => continue,
        };
        push(sign, Some(*number), rest.as_str());
        *number = number.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_numbers_of_the_file_and_none_while_they_are_unknown() {
        let edit = Edit { path: "/f".to_owned(), old: "b\nc\n".to_owned(), new: "b\nC\nD\n".to_owned() };
        let numbers = |change: Change<'_>| -> Vec<(char, Option<u64>)> {
            change.lines(80).0.into_iter().map(|line| (line.sign, line.number)).collect()
        };
        let unknown = numbers(Change::made(&edit, &[]));
        assert_eq!(unknown, [('@', None), (' ', None), ('-', None), ('+', None), ('+', None)]);
        assert!(!Change::of(&edit).text(Style::PIPED).contains("@@"), "no wrong place is named");
        let lines = [" a", " b", "-c", "+C", "+D", " e", "\\ No newline at end of file"].map(str::to_owned).to_vec();
        let hunks = [
            Hunk { old_start: 9, new_start: 9, lines },
            Hunk { old_start: 40, new_start: 41, lines: vec!["-x".to_owned()] },
        ];
        let change = Change::made(&edit, &hunks);
        assert_eq!(change.size().to_string(), "+2 -2");
        assert!(
            change.text(Style::PIPED).starts_with("    @@ -9,4 +9,5 @@\n     a\n"),
            "{}",
            change.text(Style::PIPED)
        );
        assert!(
            change.text(Style::PIPED).ends_with("    @@ -40,1 +41,0 @@\n    -x\n"),
            "{}",
            change.text(Style::PIPED)
        );
        let known = [(' ', 9), (' ', 10), ('-', 11), ('+', 11), ('+', 12), (' ', 13), ('@', 41), ('-', 40)];
        assert_eq!(numbers(change).into_iter().skip(1).collect::<Vec<_>>(), known.map(|(sign, at)| (sign, Some(at))));
    }

    #[test]
    fn of_a_whole_file_only_what_is_known_is_counted() {
        let edit = |old: &str| Edit { path: "/f".to_owned(), old: old.to_owned(), new: "a\nb\n".to_owned() };
        let size = |edit: &Edit, hunks: &[Hunk]| Change::made(edit, hunks).size().to_string();
        assert_eq!(size(&edit(""), &[]), "2 lines");
        assert_eq!(size(&edit("a\nc\n"), &[]), "+1 -1");
        let lines = [" a", "-c", "-d", "+b"].map(str::to_owned).to_vec();
        assert_eq!(size(&edit(""), &[Hunk { old_start: 1, new_start: 1, lines }]), "+1 -2");
    }
}
