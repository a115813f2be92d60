//! A shell command taken apart as far as the CLI's permission rules need it: at its operators outside of quotes.

use std::ops::Range;

/// How deep brackets and quotes may stand in one another.
const MAX_DEPTH: u32 = 16;

/// A command between two operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// What stands there, without white space around it.
    pub(super) text: &'a str,
    /// Where it begins.
    pub(super) at: usize,
    /// The operator before it; empty for the first.
    pub(super) after: &'a str,
    /// What else it holds.
    pub(super) holds: Holds,
}

/// What of a shell's syntax stands outside of single quotes in a command.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// A substitution, an expansion in braces or a group.
    pub(super) nesting: bool,
    /// A redirection from or to a file.
    pub(super) redirection: bool,
    /// A subshell or a substitution of a process.
    pub(super) subshell: bool,
}

/// Takes a command apart. `None` where that takes more than is read here: a heredoc, a quote or bracket that stays open, many
/// in one another.
pub(super) fn segments(command: &str) -> Option<Vec<Segment<'_>>> {
    let mut scan = Scan { text: command, at: 0, depth: 0 };
    let mut found = Vec::new();
    let (mut begin, mut after, mut holds) = (0, "", Holds::default());
    while let Some(char) = scan.next() {
        let start = scan.at - char.len_utf8();
        match char {
            '\\' => drop(scan.next()),
            '\'' => scan.past('\'')?,
            '"' => holds.nesting |= scan.past_double_quote()?,
            '`' => {
                scan.past('`')?;
                holds.nesting = true;
            }
            '(' | '{' => {
                scan.past_closing(char)?;
                holds.subshell |= char == '(' && !command[..start].ends_with('$');
                holds.nesting = true;
            }
            '#' if command[..start].ends_with(char::is_whitespace) => {
                scan.at = command[start..].find('\n').map_or(command.len(), |end| start + end);
            }
            '<' | '>' => {
                if char == '<' && scan.rest().starts_with('<') {
                    if !scan.rest().starts_with("<<") {
                        return None;
                    }
                    scan.at += 2;
                }
                let to = scan.rest().strip_prefix('>').unwrap_or(scan.rest());
                match to.strip_prefix('&') {
                    // `2>&1` names no file.
                    Some(_) => scan.at = command.len() - to.len() + 1,
                    None => holds.redirection = true,
                }
            }
            '|' | '&' | ';' | '\n' => {
                if char == '&' && scan.rest().starts_with('>') {
                    continue;
                }
                if matches!(scan.rest().chars().next(), Some(next) if (next == char && char != '\n') || (char == '|' && next == '&'))
                {
                    scan.next();
                }
                let segment = segment(command, begin..start, after, holds);
                // A line end behind an operator only goes on with it.
                if char != '\n' || segment.is_some() {
                    after = &command[start..scan.at];
                }
                if segment.is_some() {
                    holds = Holds::default();
                }
                found.extend(segment);
                begin = scan.at;
            }
            _ => {}
        }
    }
    found.extend(segment(command, begin..command.len(), after, holds));
    Some(found)
}

/// What stands in this range; nothing where that is white space. Behind a last `&` stands an empty one.
fn segment<'a>(command: &'a str, range: Range<usize>, after: &'a str, holds: Holds) -> Option<Segment<'a>> {
    let raw = command.get(range.clone())?;
    let text = raw.trim();
    let at = range.start + raw.len() - raw.trim_start().len();
    (!text.is_empty() || after == "&").then_some(Segment { text, at, after, holds })
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Scan<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.rest().chars().next()?;
        self.at += char.len_utf8();
        Some(char)
    }

    /// Goes behind the next `end`.
    fn past(&mut self, end: char) -> Option<()> {
        self.at += self.rest().find(end)? + end.len_utf8();
        Some(())
    }

    /// Goes behind a text in double quotes; true when a substitution or an expansion in braces stands in it.
    fn past_double_quote(&mut self) -> Option<bool> {
        let mut is_nested = false;
        loop {
            match self.next()? {
                '"' => return Some(is_nested),
                '\\' => drop(self.next()),
                '`' => {
                    self.past('`')?;
                    is_nested = true;
                }
                '$' if self.rest().starts_with(['(', '{']) => {
                    let open = self.next()?;
                    self.past_closing(open)?;
                    is_nested = true;
                }
                _ => {}
            }
        }
    }

    /// Goes behind the bracket that closes `open`.
    fn past_closing(&mut self, open: char) -> Option<()> {
        let close = if open == '(' { ')' } else { '}' };
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return None;
        }
        loop {
            match self.next()? {
                char if char == open => self.past_closing(open)?,
                char if char == close => break,
                '\\' => drop(self.next()),
                '\'' => self.past('\'')?,
                '"' => drop(self.past_double_quote()?),
                _ => {}
            }
        }
        self.depth -= 1;
        Some(())
    }
}
