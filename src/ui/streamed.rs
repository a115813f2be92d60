use super::clean;
use super::columns;
use crate::agent::Role;

/// The longest text that is shown while it arrives, in bytes. What exceeds this is shown when the text is complete.
const STREAMED_BYTES: usize = 16 * 1024;

/// A text that arrives in parts on a terminal, and how much of it is on the screen.
///
/// A row is shown when it is complete, because it may still break elsewhere while its last word grows. The rest is
/// shown when the whole text has arrived.
#[derive(Debug, Clone, Default)]
pub(super) struct Streamed {
    role: Option<Role>,
    text: String,
    /// How many bytes of `text` are on the screen, including the white space after them.
    shown: usize,
}

impl Streamed {
    /// Whether a part of this role's text is on the screen.
    pub(super) fn is_begun(&self, role: Role) -> bool {
        self.role == Some(role) && self.shown > 0
    }

    /// Whether the beginning of this text is on the screen.
    pub(super) fn has_begun(&self, role: Role, text: &str) -> bool {
        let shown = self.text.get(..self.shown).unwrap_or_default();
        self.is_begun(role) && text.starts_with(shown)
    }

    /// Adds a part, and returns the rows that are complete now.
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
                // All rows of an unfinished line but the last are complete. How much of the text they are is known only
                // if cleaning has changed nothing.
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

    /// The part of the text that is not on the screen yet, in one line; may be empty.
    pub(super) fn tail(&self) -> String {
        clean::one_line(self.text.get(self.shown..).unwrap_or_default(), 200)
    }

    /// The text is complete: returns the part that is not on the screen; `None` when nothing of the text is.
    pub(super) fn rest_of<'t>(&mut self, role: Role, text: &'t str) -> Option<&'t str> {
        let streamed = std::mem::take(self);
        let shown = streamed.text.get(..streamed.shown).unwrap_or_default();
        if streamed.role != Some(role) || shown.is_empty() {
            return None;
        }
        text.strip_prefix(shown)
    }
}

/// How many bytes of the line its first rows cover, including the spaces after them.
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

    /// Adds the text in parts; returns the rows shown while it arrives and those shown at the end.
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
            // Rows may break at other places, because an early row is broken before the next part arrives.
            let all = |rows: Vec<String>| rows.concat().split_whitespace().collect::<String>();
            let whole = clean::lines(text.trim_end()).split('\n').flat_map(|line| columns::wrap(line, room)).collect();
            prop_assert_eq!(all(said(&text, parts, room)), all(whole));
        }
    }
}
