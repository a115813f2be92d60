//! Makes text that nobody vouches for harmless to show.
//!
//! Escape sequences of the form `ESC [ … letter` (colours, cursor movements) carry no text and are taken out. Every
//! other control character is *shown* instead of obeyed (`ESC` as `␛`), so that nothing can be hidden: a window title
//! set by an agent appears as the text it is. Bidirectional controls, which reorder what a reader sees, become `�`.

/// Parameters of a control sequence beyond which it is not taken for one.
const SEQUENCE_MAX: usize = 64;

/// What stands for a line end where a text is folded into one line.
const FOLD: &str = " ⏎ ";

/// Columns that a tab takes; fixed, because a stop's place depends on what stands before it.
pub(super) const TAB: &str = "    ";

/// `text` with its line ends kept and everything else that a terminal obeys taken out or shown. Tabs become spaces.
/// After it, the only control character left is `\n`.
#[must_use]
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in Pieces::new(text) {
        match piece {
            Shown::Char(c) => out.push(c),
            Shown::LineEnd => out.push('\n'),
            Shown::Tab => out.push_str(TAB),
        }
    }
    out
}

/// Like [`lines`], but tabs are kept: for the result on stdout, which is data and may be indented by them.
#[must_use]
pub fn data(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for piece in Pieces::new(text) {
        match piece {
            Shown::Char(c) => out.push(c),
            Shown::LineEnd => out.push('\n'),
            Shown::Tab => out.push('\t'),
        }
    }
    out
}

/// `text` as one line of at most about `max_chars` characters: line ends become ` ⏎ `, a cut is marked by `…`.
/// After it no control character is left. Only as much of `text` is read as is shown.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    folded(text.trim(), max_chars, " ")
}

/// Like [`one_line`], with the spaces around `text` kept and this for a tab.
#[must_use]
pub(super) fn folded(text: &str, max_chars: usize, tab: &str) -> String {
    let mut out = String::new();
    for (shown, piece) in Pieces::new(text).enumerate() {
        if shown >= max_chars {
            out.push('…');
            break;
        }
        match piece {
            Shown::Char(c) => out.push(c),
            Shown::LineEnd => out.push_str(FOLD),
            Shown::Tab => out.push_str(tab),
        }
    }
    out
}

/// Whether a terminal, or a reader's eye, could be led astray by `c`.
#[must_use]
pub(super) fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}'
            | '\u{2028}' | '\u{2029}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}')
}

enum Shown {
    Char(char),
    LineEnd,
    Tab,
}

/// The text as a sequence of harmless parts.
struct Pieces<'a> {
    rest: &'a str,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str) -> Pieces<'a> {
        Pieces { rest: text }
    }
}

impl Iterator for Pieces<'_> {
    type Item = Shown;

    fn next(&mut self) -> Option<Shown> {
        loop {
            let mut chars = self.rest.chars();
            let c = chars.next()?;
            let after = chars.as_str();
            if let Some(rest) = after_sequence(c, after) {
                self.rest = rest;
                continue;
            }
            self.rest = after;
            return Some(match c {
                '\n' | '\u{2028}' | '\u{2029}' => Shown::LineEnd,
                '\r' if after.starts_with('\n') => continue,
                '\t' => Shown::Tab,
                c if acts(c) => Shown::Char(picture(c)),
                c => Shown::Char(c),
            });
        }
    }
}

/// What follows the control sequence that `first` opens, when it opens one and that one is whole.
fn after_sequence(first: char, after: &str) -> Option<&str> {
    let body = match first {
        '\u{1b}' => after.strip_prefix('[')?,
        '\u{9b}' => after,
        _ => return None,
    };
    let parameters = body.bytes().take(SEQUENCE_MAX).take_while(|b| (0x20..=0x3f).contains(b)).count();
    let last = *body.as_bytes().get(parameters)?;
    if (0x40..=0x7e).contains(&last) { body.get(parameters + 1..) } else { None }
}

/// The visible sign for a character that acts.
fn picture(c: char) -> char {
    match u32::from(c) {
        code @ 0..=0x1f => char::from_u32(0x2400 + code).unwrap_or('\u{fffd}'),
        0x7f => '␡',
        _ => '\u{fffd}',
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_go_and_a_window_title_is_shown_instead_of_set() {
        assert_eq!(lines("\x1b[31;1mred\x1b[0m\x1b[2J"), "red");
        assert_eq!(lines("a\x1b]0;owned\x07b"), "a␛]0;owned␇b");
        assert_eq!(lines("\u{9b}2Jx\u{9d}y\u{202e}z"), "x\u{fffd}y\u{fffd}z");
        assert_eq!(lines("50%\r100%\r\nok\tx"), "50%␍100%\nok    x");
    }

    #[test]
    fn a_sequence_that_never_ends_is_shown() {
        assert_eq!(lines("\x1b[12"), "␛[12");
        assert_eq!(lines("\x1b[12é"), "␛[12é");
        let long = format!("\x1b[{}m", "1;".repeat(SEQUENCE_MAX));
        assert!(lines(&long).starts_with("␛[1;1;"));
    }

    #[test]
    fn a_folded_text_is_cut_where_asked() {
        assert_eq!(one_line(" a\r\nb\tc \n", 80), "a ⏎ b c");
        assert_eq!(one_line("abcdef", 3), "abc…");
        assert_eq!(one_line("abc", 3), "abc");
    }

    fn hostile() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            any::<char>().prop_map(String::from),
            prop::sample::select(vec![
                "\x1b", "[", "]", "\x07", "\u{9b}", "\r", "\n", "\t", "\u{202e}", "\x1b[2J", "\x1b]0;", "\x1bP",
                "\x7f", "é", "日", "m", "1;",
            ])
            .prop_map(String::from),
        ];
        prop::collection::vec(part, 0..60).prop_map(|parts| parts.concat())
    }

    proptest! {
        #[test]
        fn nothing_that_acts_is_left(text in hostile()) {
            prop_assert!(!lines(&text).contains(|c| c != '\n' && acts(c)));
            prop_assert!(!data(&text).contains(|c| c != '\n' && c != '\t' && acts(c)));
            prop_assert!(!one_line(&text, 1_000).contains(acts));
        }

        #[test]
        fn clean_text_stays_as_it_is(text in hostile()) {
            let once = lines(&text);
            prop_assert_eq!(lines(&once), once);
        }

        #[test]
        fn ordinary_text_is_not_touched(text in "[ -~äß日本語🦀\n]*") {
            prop_assert_eq!(lines(&text), text);
        }
    }
}
