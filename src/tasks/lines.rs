//! Lists that people write: one task a line, or a Markdown list.
//!
//! What is indented below a task belongs to it, with blank lines in between. A text that has an item at its outermost level is a
//! Markdown list, in which a line directly below an item belongs to it, and other lines at that level are no tasks.

use super::entry::Bare;

/// Items and lines that are indented by this much more than the first item are nested.
const NESTED_BY: usize = 2;

/// A line, as far as its form says what it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form<'a> {
    Blank,
    Heading,
    /// A line between parts of a document, such as `---`.
    Break,
    /// The beginning or the end of a block of code.
    Fence,
    /// An item of a list: its text.
    Item(&'a str),
    Plain,
}

fn form(line: &str) -> Form<'_> {
    let line = line.trim();
    if line.is_empty() {
        return Form::Blank;
    }
    let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
    if hashes > 0 && line.get(hashes..).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
        return Form::Heading;
    }
    if line.starts_with("```") || line.starts_with("~~~") {
        return Form::Fence;
    }
    let is_break =
        |mark: char| line.len() >= 3 && line.chars().all(|c| c == mark || c == ' ') && line.matches(mark).count() >= 3;
    if ['-', '*', '_'].into_iter().any(is_break) {
        return Form::Break;
    }
    let digits = line.bytes().take_while(u8::is_ascii_digit).count();
    let after = match line.get(digits..).and_then(|rest| rest.strip_prefix(['.', ')'])) {
        Some(after) if (1..=9).contains(&digits) => Some(after),
        Some(_) | None => line.strip_prefix(['-', '*', '+']),
    };
    match after {
        Some("") => Form::Item(""),
        Some(after) if after.starts_with([' ', '\t']) => Form::Item(after.trim()),
        Some(_) | None => Form::Plain,
    }
}

fn indent(line: &str) -> usize {
    line.bytes().take_while(|byte| matches!(byte, b' ' | b'\t')).map(|byte| if byte == b'\t' { 4 } else { 1 }).sum()
}

/// A task that is being read.
#[derive(Debug, Default)]
struct Open {
    first: String,
    done: bool,
    below: Vec<String>,
}

impl Open {
    fn task(self) -> Option<Bare> {
        let used = self.below.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |at| at + 1);
        let below = self.below.get(..used).unwrap_or_default();
        let dent = below.iter().filter(|line| !line.trim().is_empty()).map(|line| indent(line)).min().unwrap_or(0);
        let lines = below.iter().map(|line| without_indent(line, dent));
        let text: Vec<&str> = std::iter::once(self.first.as_str()).chain(lines).collect();
        let text = text.join("\n").trim().to_owned();
        (!text.is_empty()).then(|| Bare { text, done: self.done, ..Bare::default() })
    }
}

/// The line without so much of its indentation.
fn without_indent(line: &str, columns: usize) -> &str {
    let mut at = 0;
    let mut gone = 0;
    for byte in line.bytes() {
        let width = match byte {
            b' ' => 1,
            b'\t' => 4,
            _ => break,
        };
        if gone + width > columns {
            break;
        }
        gone += width;
        at += 1;
    }
    line.get(at..).unwrap_or_default().trim_end()
}

/// An item's text, and whether its box is ticked.
fn unboxed(item: &str) -> (&str, bool) {
    for (mark, done) in [("[ ]", false), ("[x]", true), ("[X]", true)] {
        if let Some(rest) = item.strip_prefix(mark).filter(|rest| rest.is_empty() || rest.starts_with([' ', '\t'])) {
            return (rest.trim(), done);
        }
    }
    (item, false)
}

/// The tasks of the text, and the lines that belong to none.
pub(super) fn read(text: &str) -> (Vec<Bare>, Vec<usize>) {
    let mut in_code = false;
    let first_item = text.lines().find(|line| {
        if form(line) == Form::Fence {
            in_code = !in_code;
        }
        !in_code && matches!(form(line), Form::Item(_)) && indent(line) < 4
    });
    let base = first_item.map(indent);
    let mut tasks: Vec<Option<Bare>> = Vec::new();
    let mut outside = Vec::new();
    let mut open: Option<Open> = None;
    let mut after_blank = false;
    let mut in_code = false;
    for (at, line) in text.lines().enumerate() {
        let nested = indent(line) >= base.unwrap_or(0) + if base.is_some() { NESTED_BY } else { 1 };
        let form = form(line);
        let is_blank = form == Form::Blank;
        let mut close = |open: &mut Option<Open>| tasks.push(open.take().and_then(Open::task));
        if in_code {
            in_code = form != Form::Fence;
        } else if is_blank {
            if let Some(open) = &mut open {
                open.below.push(String::new());
            }
        } else if nested && let Some(open) = &mut open {
            open.below.push(line.to_owned());
        } else {
            match (form, base) {
                (Form::Blank, _) => {}
                (Form::Heading | Form::Break, _) => close(&mut open),
                (Form::Fence, Some(_)) => {
                    close(&mut open);
                    in_code = true;
                }
                (Form::Item(item), Some(_)) => {
                    close(&mut open);
                    let (first, done) = unboxed(item);
                    open = Some(Open { first: first.to_owned(), done, below: Vec::new() });
                }
                (Form::Plain, Some(_)) => match &mut open {
                    // Markdown joins such a line to the item above it.
                    Some(open) if !after_blank => open.below.push(line.trim_start().to_owned()),
                    Some(_) | None => {
                        close(&mut open);
                        outside.push(at + 1);
                    }
                },
                (Form::Plain | Form::Item(_) | Form::Fence, None) => {
                    close(&mut open);
                    let (first, done) = unboxed(line.trim());
                    open = Some(Open { first: first.to_owned(), done, below: Vec::new() });
                }
            }
        }
        after_blank = is_blank;
    }
    tasks.push(open.and_then(Open::task));
    (tasks.into_iter().flatten().collect(), outside)
}
