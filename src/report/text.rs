//! Texts of a report. Everything that comes from a run is hostile: a [`Text`] is made only by a [`Washer`], which takes out
//! secrets and what acts on a reader. The renderers escape it for their format.

use std::fmt;

use serde::Serialize;

use crate::ui::clean;
use redaction::Redactor;

/// A text without secrets and without characters that act on a terminal or mislead a reader. It is not escaped.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text whose middle may be left out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Excerpt {
    /// The text, or its beginning.
    pub text: Text,
    /// How many characters are left out after `text`; at least, when the source itself was cut.
    #[serde(skip_serializing_if = "is_zero")]
    pub left_out_chars: usize,
    /// The end, when some is left out.
    #[serde(skip_serializing_if = "Text::is_empty")]
    pub tail: Text,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Excerpt {
    /// Whether there is nothing to read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.is_empty() && self.tail.is_empty()
    }

    /// Leaves out the middle, so that at most `max_bytes` remain: three quarters from the beginning.
    pub fn shrink(&mut self, max_bytes: usize) {
        let len = self.text.0.len() + self.tail.0.len();
        if len <= max_bytes {
            return;
        }
        let (head_bytes, tail_bytes) = (max_bytes - max_bytes / 4, max_bytes / 4);
        // Without a tail of its own, the end of the text is the tail.
        if self.left_out_chars == 0 {
            let at = self.text.0.ceil_char_boundary(self.text.0.len().saturating_sub(tail_bytes));
            self.tail.0 = self.text.0.split_off(at);
        }
        let cut = self.text.0.floor_char_boundary(head_bytes);
        self.left_out_chars += self.text.0.get(cut..).unwrap_or_default().chars().count();
        self.text.0.truncate(cut);
        let keep = self.tail.0.ceil_char_boundary(self.tail.0.len().saturating_sub(tail_bytes));
        self.left_out_chars += self.tail.0.get(..keep).unwrap_or_default().chars().count();
        self.tail.0.drain(..keep);
        self.text.0.shrink_to_fit();
        self.tail.0.shrink_to_fit();
    }
}

/// Makes the texts of a report.
#[derive(Debug, Default)]
pub struct Washer {
    redactor: Redactor,
}

impl Washer {
    /// With these secrets, besides those that are known by their shape.
    #[must_use]
    pub fn new(redactor: Redactor) -> Washer {
        Washer { redactor }
    }

    /// Several lines.
    #[must_use]
    pub fn text(&self, text: &str) -> Text {
        Text(clean::lines(&self.redactor.text(text)))
    }

    /// One line of at most about `max_chars` characters.
    #[must_use]
    pub fn line(&self, text: &str, max_chars: usize) -> Text {
        Text(clean::one_line(&self.redactor.text(text), max_chars))
    }

    /// One line of a file, with the spaces at its beginning.
    #[must_use]
    pub fn code_line(&self, text: &str, max_chars: usize) -> Text {
        let text = self.redactor.text(text);
        let kept: String = text.chars().take(max_chars).collect();
        let mark = if kept.len() < text.len() { "…" } else { "" };
        Text(clean::lines(&kept).replace('\n', " ") + mark)
    }

    /// Several lines, of which at most `max_bytes` are kept.
    #[must_use]
    pub fn excerpt(&self, text: &str, max_bytes: usize) -> Excerpt {
        let redacted = self.redactor.text(text.trim_end());
        let len = redacted.len();
        let mut excerpt = if len / 2 <= max_bytes {
            Excerpt { text: Text(clean::lines(&redacted)), ..Excerpt::default() }
        } else {
            // What will be left out need not be cleaned.
            let (head, rest) = redacted.split_at(redacted.floor_char_boundary(max_bytes));
            let (middle, tail) = rest.split_at(rest.ceil_char_boundary(rest.len() - max_bytes.min(rest.len())));
            let left_out_chars = middle.chars().count();
            Excerpt { text: Text(clean::lines(head)), left_out_chars, tail: Text(clean::lines(tail)) }
        };
        excerpt.shrink(max_bytes);
        excerpt
    }

    /// Beginning and end of a text whose middle is not known.
    #[must_use]
    pub fn cut_excerpt(&self, head: &str, tail: &str, max_bytes: usize) -> Excerpt {
        if tail.is_empty() {
            return self.excerpt(head, max_bytes);
        }
        let mut excerpt = Excerpt { text: self.text(head), left_out_chars: 1, tail: self.text(tail.trim_end()) };
        excerpt.shrink(max_bytes);
        excerpt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_reader_and_secrets_are_gone() {
        let secret = format!("ghp_{}", "a1".repeat(18));
        let text = Washer::default().text(&format!("a\0b\u{1b}[31mred\u{1b}]0;title\u{7}\u{202e}x {secret}"));
        assert!(!text.as_str().contains(['\0', '\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
        assert!(!text.as_str().contains(&secret) && text.as_str().contains("red"), "{text:?}");
    }

    #[test]
    fn the_middle_of_a_long_text_is_left_out_and_counted() {
        let long: String = (0..1_000).map(|n| format!("line {n} ä\n")).collect();
        let mut excerpt = Washer::default().excerpt(&long, 400);
        let all =
            |it: &Excerpt| it.text.as_str().chars().count() + it.left_out_chars + it.tail.as_str().chars().count();
        assert_eq!(all(&excerpt), long.trim_end().chars().count());
        assert!(excerpt.text.as_str().starts_with("line 0 ä\n") && excerpt.tail.as_str().ends_with("line 999 ä"));
        excerpt.shrink(100);
        assert_eq!(all(&excerpt), long.trim_end().chars().count());
        assert!(excerpt.text.as_str().len() + excerpt.tail.as_str().len() <= 100);
        assert!(excerpt.tail.as_str().ends_with("line 999 ä"));
        let short = Washer::default().excerpt("short", 400);
        assert_eq!((short.left_out_chars, short.tail.is_empty()), (0, true));
    }
}
