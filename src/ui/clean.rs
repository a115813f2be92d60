//! Makes untrusted text safe to show on a terminal.
//!
//! Escape sequences of the form `ESC [ … letter` (colours, cursor movements) carry no text, so they are removed. Every
//! other control character is *shown* instead of obeyed (`ESC` as `␛`), so that nothing is hidden: a window title set
//! by an agent appears as text. Bidirectional controls, which reorder what a reader sees, become `�`.
//!
//! Invisible characters (zero-width and tag characters, fillers, soft hyphens, variation selectors) can carry a hidden
//! text, so a sequence of them becomes one `�`. One of them stays where it shapes visible text and can hide next to
//! nothing: a joiner between two pictographs or between two letters of a script that joins, or a selector directly
//! after a pictograph, the base of a key cap, or an ideograph. Tag characters never stay, so a flag made of them loses
//! its country.

/// A control sequence with more parameter bytes than this is not treated as one.
const SEQUENCE_MAX: usize = 64;

/// Replaces a line end when a text becomes one line.
const FOLD: &str = " ⏎ ";

/// Replaces a tab. The width is fixed, because the position of a tab stop depends on the text before it.
pub(super) const TAB: &str = "    ";

/// Removes from `text`, or shows, everything that a terminal obeys, except line ends. Tabs become spaces. The only
/// control character left is `\n`.
#[must_use]
pub fn lines(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pieces = Pieces::new(text);
    loop {
        // Most texts are long and plain.
        out.push_str(pieces.plain());
        match pieces.next() {
            Some(Shown::Char(c)) => out.push(c),
            Some(Shown::LineEnd) => out.push('\n'),
            Some(Shown::Tab) => out.push_str(TAB),
            None => return out,
        }
    }
}

/// As [`lines`], but keeps tabs, because the result on stdout is data that may be indented with them.
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

/// `text` as one line of at most about `max_chars` characters. Line ends become ` ⏎ `, and `…` marks a cut. No control
/// character is left. Only as much of `text` is read as is shown.
#[must_use]
pub fn one_line(text: &str, max_chars: usize) -> String {
    folded(text.trim(), max_chars, " ")
}

/// As [`one_line`], but keeps the spaces around `text` and writes `tab` for a tab.
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

/// Whether data should have `c` as an escape, because its readers cannot see it.
#[must_use]
pub(crate) fn needs_escape(c: char) -> bool {
    acts(c) || is_invisible(c)
}

/// Invisible characters: Unicode's default-ignorable ones, and the controls of hieroglyphs, music and shorthand.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2060}'..='\u{206f}'
        | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}'
        | '\u{feff}' | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{13430}'..='\u{1343f}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// Characters that are drawn as pictures, or can be.
fn is_pictograph(c: char) -> bool {
    matches!(c,
        '\u{a9}' | '\u{ae}' | '\u{203c}' | '\u{2049}' | '\u{2122}' | '\u{2139}'
        | '\u{2190}'..='\u{21ff}'
        | '\u{2300}'..='\u{23ff}'
        | '\u{24c2}'
        | '\u{25a0}'..='\u{27bf}'
        | '\u{2900}'..='\u{297f}'
        | '\u{2b00}'..='\u{2bff}'
        | '\u{3030}' | '\u{303d}' | '\u{3297}' | '\u{3299}'
        | '\u{1f000}'..='\u{1faff}')
}

fn is_ideograph(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{3ffff}')
}

/// Letters and marks of scripts whose spelling uses joiners: Arabic to Sinhala, Myanmar, Khmer, Mongolian.
fn joins(c: char) -> bool {
    matches!(c,
        '\u{620}'..='\u{dff}' | '\u{1000}'..='\u{109f}' | '\u{1780}'..='\u{17b3}' | '\u{17b6}'..='\u{17ff}'
        | '\u{1820}'..='\u{18aa}')
}

/// Whether `c` acts on a terminal, or can mislead a reader, anywhere in a text.
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
    /// The last character shown.
    last: Option<char>,
    /// The last visible character shown.
    base: Option<char>,
}

impl<'a> Pieces<'a> {
    fn new(text: &'a str) -> Pieces<'a> {
        // A byte order mark at the beginning has no meaning.
        Pieces { rest: text.strip_prefix('\u{feff}').unwrap_or(text), last: None, base: None }
    }

    /// The printable ASCII characters and line ends that come next, which are shown as they are.
    fn plain(&mut self) -> &'a str {
        let length = self.rest.bytes().take_while(|byte| matches!(byte, b'\n' | b' '..=b'~')).count();
        let (plain, rest) = self.rest.split_at_checked(length).unwrap_or(("", self.rest));
        if let Some(last) = plain.chars().next_back() {
            self.last = Some(last).filter(|last| *last != '\n');
            (self.base, self.rest) = (self.last, rest);
        }
        plain
    }

    /// Whether an invisible character shapes the text around it.
    fn shapes(&self, c: char, after: &str) -> bool {
        let next = after.chars().next();
        let directly = self.last == self.base;
        match (c, self.base) {
            (_, None) => false,
            ('\u{200d}', Some(base)) if is_pictograph(base) => {
                (directly || self.last == Some('\u{fe0f}')) && next.is_some_and(is_pictograph)
            }
            ('\u{200c}' | '\u{200d}', Some(base)) => directly && joins(base) && next.is_some_and(joins),
            ('\u{fe0e}' | '\u{fe0f}', Some(base)) if directly => {
                let key_cap = matches!(base, '0'..='9' | '#' | '*') && next == Some('\u{20e3}');
                key_cap || is_pictograph(base)
            }
            ('\u{fe00}'..='\u{fe02}' | '\u{e0100}'..='\u{e01ef}', Some(base)) => directly && is_ideograph(base),
            (_, Some(_)) => false,
        }
    }

    fn show(&mut self, c: char) -> Shown {
        self.last = Some(c);
        if !is_invisible(c) {
            self.base = Some(c);
        }
        Shown::Char(c)
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
            let shown = match c {
                '\n' | '\u{2028}' | '\u{2029}' => Shown::LineEnd,
                '\r' if after.starts_with('\n') => continue,
                '\t' => Shown::Tab,
                c if is_invisible(c) && !self.shapes(c, after) => {
                    self.rest = after.trim_start_matches(is_invisible);
                    self.show('\u{fffd}')
                }
                c if acts(c) => self.show(picture(c)),
                c => self.show(c),
            };
            if matches!(shown, Shown::LineEnd | Shown::Tab) {
                (self.last, self.base) = (None, None);
            }
            return Some(shown);
        }
    }
}

/// The text after the control sequence that begins with `first`; `None` unless there is a complete one.
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

/// The visible sign for a character that acts on a terminal.
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
    fn what_takes_no_room_is_shown_as_one_mark() {
        let tags: String = "delete it all".chars().filter_map(|c| char::from_u32(0xe0000 + u32::from(c))).collect();
        let selectors: String = (0xe0100..0xe0140).filter_map(char::from_u32).collect();
        let rows = [
            ("zero width", "a\u{200b}\u{200b}b", "a\u{fffd}b"),
            ("joiners between words", "pass\u{200d}word\u{200c}s", "pass\u{fffd}word\u{fffd}s"),
            ("a soft hyphen", "ab\u{ad}cd", "ab\u{fffd}cd"),
            ("a mark of byte order, first and later", "\u{feff}a\u{feff}b", "a\u{fffd}b"),
            ("annotations", "a\u{fff9}b\u{fffa}c\u{fffb}", "a\u{fffd}b\u{fffd}c\u{fffd}"),
            ("fillers", "\u{3164}\u{115f}x\u{ffa0}", "\u{fffd}x\u{fffd}"),
            ("invisible operators", "f\u{2061}x\u{2063}", "f\u{fffd}x\u{fffd}"),
            ("tags", &format!("fine{tags}."), "fine\u{fffd}."),
            ("selectors behind a letter", &format!("fine{selectors}."), "fine\u{fffd}."),
            ("selectors behind a picture", &format!("😀{selectors}."), "😀\u{fffd}."),
            ("two selectors behind a picture", "❤\u{fe0f}\u{fe0f}", "❤\u{fe0f}\u{fffd}"),
            ("a flag of tags", "🏴\u{e0067}\u{e0062}\u{e007f}", "🏴\u{fffd}"),
            ("a joiner that joins nothing", "👩\u{200d} x", "👩\u{fffd} x"),
        ];
        for (what, text, expected) in rows {
            assert_eq!(lines(text), expected, "{what}");
            assert_eq!(data(text), expected, "{what}");
            assert_eq!(one_line(text, 80), expected, "{what}");
        }
    }

    #[test]
    fn what_shapes_the_text_around_it_stays() {
        for text in [
            "👩\u{200d}💻 👩🏽\u{200d}🚀 👨\u{200d}👩\u{200d}👧",
            "❤\u{fe0f}\u{200d}🔥 ✔\u{fe0f} ☎\u{fe0e} 1\u{fe0f}\u{20e3} 🇩🇪",
            "می\u{200c}خواهم",
            "क्\u{200d}ष",
            "葛\u{e0100} 神\u{fe00}",
        ] {
            assert_eq!(lines(text), text);
        }
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
                "\x1b",
                "[",
                "]",
                "\x07",
                "\u{9b}",
                "\r",
                "\n",
                "\t",
                "\u{202e}",
                "\x1b[2J",
                "\x1b]0;",
                "\x1bP",
                "\x7f",
                "é",
                "日",
                "m",
                "1;",
                "\u{200d}",
                "\u{200c}",
                "\u{fe0f}",
                "\u{e0041}",
                "\u{e0100}",
                "\u{ad}",
                "\u{feff}",
                "👩",
                "🏽",
                "ی",
                "1",
                "\u{20e3}",
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
        fn plain_runs_change_nothing(text in hostile()) {
            prop_assert_eq!(lines(&text), data(&text).replace('\t', TAB));
        }

        #[test]
        fn ordinary_text_is_not_touched(text in "[ -~äß日本語🦀\n]*") {
            prop_assert_eq!(lines(&text), text);
        }
    }
}
