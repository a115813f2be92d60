use super::clean;
use super::columns;
use crate::agent::Role;

/// The longest text that is shown while it is said, in bytes; what is longer is shown when it is complete.
const STREAMED_BYTES: usize = 16 * 1024;

/// A text that is being said on a terminal: how much of it stands there already.
///
/// Rows are shown when they are complete, since a row may still be broken elsewhere while its last word grows. The rest
/// of the text follows with the whole of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Streamed {
    role: Option<Role>,
    text: String,
    /// Bytes of `text` that stand on the screen, with the white space after them.
    shown: usize,
}

impl Streamed {
    /// Whether a part of what this role says stands on the screen.
    pub(super) fn is_begun(&self, role: Role) -> bool {
        self.role == Some(role) && self.shown > 0
    }

    /// Whether the beginning of this text stands on the screen.
    pub(super) fn has_begun(&self, role: Role, text: &str) -> bool {
        let shown = self.text.get(..self.shown).unwrap_or_default();
        self.is_begun(role) && text.starts_with(shown)
    }

    /// Adds a part; gives the rows that are complete now.
    pub(super) fn add(&mut self, role: Role, part: &str, room: usize) -> Vec<String> {
        if self.role != Some(role) {
            *self = Streamed { role: Some(role), ..Streamed::default() };
        }
        if self.text.len() + part.len() > STREAMED_BYTES {
            return Vec::new();
        }
        self.text.push_str(part);
        let rest = self.text.get(self.shown..).unwrap_or_default();
        // Blank lines before a text are not shown.
        let open = if self.shown == 0 { rest.trim_start_matches(['\n', '\r']) } else { rest };
        let from = self.text.len() - open.len();
        let mut rows = Vec::new();
        let mut shown = 0;
        for line in open.split_inclusive('\n') {
            let is_whole = line.ends_with('\n');
            let cleaned = clean::lines(line.trim_end_matches(['\n', '\r']));
            let mut wrapped = columns::wrap(&cleaned, room);
            if is_whole {
                rows.append(&mut wrapped);
                shown += line.len();
            } else if cleaned == line {
                // Of a line that goes on, all rows but the last are complete. Only where cleaning has changed nothing is it known
                // how much of the text they are.
                wrapped.pop();
                shown += length_of(&wrapped, line);
                rows.append(&mut wrapped);
            }
        }
        if shown > 0 {
            self.shown = from + shown;
        }
        rows
    }

    /// What of the text does not stand on the screen, on one line; empty when there is nothing.
    pub(super) fn tail(&self) -> String {
        clean::one_line(self.text.get(self.shown..).unwrap_or_default(), 200)
    }

    /// The text is complete: the rest of it, when its beginning stands on the screen. `None` when nothing of it does.
    pub(super) fn rest_of<'t>(&mut self, role: Role, text: &'t str) -> Option<&'t str> {
        let streamed = std::mem::take(self);
        let shown = streamed.text.get(..streamed.shown).unwrap_or_default();
        if streamed.role != Some(role) || shown.is_empty() {
            return None;
        }
        text.strip_prefix(shown)
    }
}

/// How many bytes of the line these first rows of it are, with the spaces after them.
fn length_of(rows: &[String], line: &str) -> usize {
    let mut at = 0;
    for row in rows {
        let rest = line.get(at..).unwrap_or_default();
        let skipped = rest.len() - rest.trim_start_matches(' ').len();
        at += skipped + row.trim_start_matches(' ').len();
    }
    let rest = line.get(at..).unwrap_or_default();
    at + rest.len() - rest.trim_start_matches(' ').len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Says the text in these parts; gives the rows shown on the way and those shown at the end.
    fn said(text: &str, parts: usize, room: usize) -> Vec<String> {
        let mut streamed = Streamed::default();
        let mut rows = Vec::new();
        let chars: Vec<char> = text.chars().collect();
        for part in chars.chunks(parts) {
            rows.append(&mut streamed.add(Role::Agent, &part.iter().collect::<String>(), room));
        }
        let rest = streamed.rest_of(Role::Agent, text).unwrap_or(text.trim_start_matches(['\n', '\r']));
        rows.extend(clean::lines(rest.trim_end()).split('\n').flat_map(|line| columns::wrap(line, room)));
        rows
    }

    #[test]
    fn rows_are_shown_as_soon_as_they_are_complete() {
        let mut streamed = Streamed::default();
        assert!(streamed.add(Role::Agent, "I look at ", 12).is_empty());
        assert_eq!(streamed.add(Role::Agent, "the tests fi", 12), ["I look at"]);
        assert_eq!(streamed.tail(), "the tests fi");
        assert_eq!(streamed.add(Role::Agent, "rst.\nThen", 12), ["the tests", "first."]);
        assert_eq!(streamed.rest_of(Role::Agent, "I look at the tests first.\nThen I go."), Some("Then I go."));
        assert_eq!(streamed.tail(), "");
    }

    #[test]
    fn another_text_than_the_one_that_was_begun_is_shown_whole() {
        let mut streamed = Streamed::default();
        streamed.add(Role::Agent, "one two three\n", 12);
        assert_eq!(streamed.rest_of(Role::Agent, "four"), None);
        streamed.add(Role::Agent, "one two three\n", 12);
        assert_eq!(streamed.rest_of(Role::Critic, "one two three\nfour"), None);
    }

    proptest! {
        #[test]
        fn a_streamed_text_looks_like_one_that_came_whole(
            text in "[a-z日` \n]{0,120}", parts in 1usize..9, room in 10usize..40,
        ) {
            // Where a row breaks may differ: what is shown early does not know what follows.
            let all = |rows: Vec<String>| rows.concat().split_whitespace().collect::<String>();
            let whole = clean::lines(text.trim_end()).split('\n').flat_map(|line| columns::wrap(line, room)).collect();
            prop_assert_eq!(all(said(&text, parts, room)), all(whole));
        }
    }
}
