//! Splits a shell command at its operators outside of quotes, as far as the CLI's permission rules need it.

use std::ops::Range;

/// How deep brackets and quotes may be nested.
const MAX_DEPTH: u32 = 16;

/// A command between two operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    /// Its text, trimmed.
    pub(super) text: &'a str,
    /// Its offset in the command.
    pub(super) at: usize,
    /// The operator before it; empty for the first.
    pub(super) after: &'a str,
    /// The syntax that it contains.
    pub(super) holds: Holds,
}

/// The shell syntax that a command contains outside of single quotes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// A substitution, an expansion in braces or a group.
    pub(super) nesting: bool,
    /// A redirection from or to a file.
    pub(super) redirection: bool,
    /// A subshell or a process substitution.
    pub(super) subshell: bool,
}

/// Splits a command. `None` for what this parser does not support: a heredoc, an unclosed quote or bracket, deep
/// nesting.
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
                // A line break after an operator only continues the command.
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

/// The segment of this range; `None` if it is white space. After a final `&` an empty segment follows.
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

    /// Moves past the next `end`.
    fn past(&mut self, end: char) -> Option<()> {
        self.at += self.rest().find(end)? + end.len_utf8();
        Some(())
    }

    /// Moves past a double-quoted text; true if it contains a substitution or an expansion in braces.
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

    /// Moves past the bracket that closes `open`.
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
