//! Decodes the bytes of a terminal into keys and pastes.
//!
//! Pure: any chunking of the same bytes gives the same events. All held data is bounded: an endless sequence is dropped after
//! `SEQUENCE_LIMIT_BYTES`, a paste is cut at [`PASTE_LIMIT_BYTES`]. Sequences that are no known key are skipped; they never
//! become text.

mod sequence;

pub use sequence::{Code, Press};

/// A longer control sequence is not treated as one.
const SEQUENCE_LIMIT_BYTES: usize = 64;
/// How many bytes of one paste are kept.
pub const PASTE_LIMIT_BYTES: usize = 1024 * 1024;
/// How many bytes of a control string (such as a terminal's reply) are skipped before it counts as broken off.
const STRING_LIMIT_BYTES: usize = 4 * 1024;

const PASTE_BEGIN: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// What the user did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    /// A key.
    Press(Press),
    /// A bracketed paste, with line ends as `\n`.
    Paste {
        /// What was pasted.
        text: String,
        /// Whether the text was cut at the limit.
        cut: bool,
    },
}

/// Decodes what a terminal sends.
#[derive(Debug, Clone, Default)]
pub struct Decoder {
    held: Vec<u8>,
    state: State,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
enum State {
    #[default]
    Keys,
    /// In a bracketed paste.
    Paste { bytes: Vec<u8>, cut: bool },
    /// In a control string, with the number of bytes skipped.
    ControlString(usize),
}

/// What the held bytes begin with.
enum Found {
    /// An event, or a sequence to skip, of this many bytes.
    Whole(usize, Option<Press>),
    /// The beginning of a paste, of this many bytes.
    Paste(usize),
    /// The beginning of a control string, of this many bytes.
    ControlString(usize),
    /// Incomplete.
    Open,
}

impl Decoder {
    /// A decoder that has received nothing.
    #[must_use]
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Decodes bytes that the terminal sent.
    pub fn take(&mut self, bytes: &[u8]) -> Vec<Typed> {
        let mut typed = Vec::new();
        for chunk in bytes.chunks(SEQUENCE_LIMIT_BYTES) {
            self.held.extend_from_slice(chunk);
            while self.step(false, &mut typed) {}
        }
        typed
    }

    /// Decodes the held bytes after a pause: a lone escape is the Escape key.
    pub fn settle(&mut self) -> Vec<Typed> {
        let mut typed = Vec::new();
        while self.step(true, &mut typed) {}
        typed
    }

    /// How many bytes are held outside pastes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// Whether bytes are held that [`Decoder::settle`] would decode.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state == State::Keys && !self.held.is_empty()
    }

    /// Decodes one item from the beginning of the held bytes; `false` when more bytes are needed.
    fn step(&mut self, is_settled: bool, typed: &mut Vec<Typed>) -> bool {
        match &mut self.state {
            State::Paste { bytes, cut } => {
                let Some(end) = memchr::memmem::find(&self.held, PASTE_END) else {
                    // The end marker may be incomplete.
                    let safe = self.held.len().saturating_sub(PASTE_END.len() - 1);
                    let room = PASTE_LIMIT_BYTES.saturating_sub(bytes.len());
                    *cut |= safe > room;
                    bytes.extend(self.held.drain(..safe).take(room));
                    return false;
                };
                let room = PASTE_LIMIT_BYTES.saturating_sub(bytes.len());
                *cut |= end > room;
                bytes.extend(self.held.iter().take(end.min(room)));
                typed.push(Typed::Paste { text: pasted(bytes), cut: *cut });
                self.held.drain(..end + PASTE_END.len());
                self.state = State::Keys;
                true
            }
            State::ControlString(passed) => {
                let (length, over) = match self.held.as_slice() {
                    [] | [0x1b] => return false,
                    [0x07, ..] => (1, true),
                    [0x1b, b'\\', ..] => (2, true),
                    [_, ..] => (1, false),
                };
                *passed += 1;
                if over || *passed == STRING_LIMIT_BYTES {
                    self.state = State::Keys;
                }
                self.held.drain(..length);
                true
            }
            State::Keys => {
                if self.held.is_empty() {
                    return false;
                }
                let (length, next) = match find(&self.held, is_settled) {
                    Found::Open => return false,
                    Found::Paste(length) => (length, State::Paste { bytes: Vec::new(), cut: false }),
                    Found::ControlString(length) => (length, State::ControlString(0)),
                    Found::Whole(length, press) => {
                        typed.extend(press.map(Typed::Press));
                        (length, State::Keys)
                    }
                };
                self.held.drain(..length.min(self.held.len()));
                self.state = next;
                true
            }
        }
    }
}

/// What `held`, which is not empty, begins with. `is_settled`: no bytes follow for now.
fn find(held: &[u8], is_settled: bool) -> Found {
    match held {
        [0x1b] if is_settled => Found::Whole(1, Some(Press::plain(Code::Escape))),
        [0x1b] => Found::Open,
        [0x1b, b'[', ..] => control_sequence(held, is_settled),
        [0x1b, b'O', last, ..] => Found::Whole(3, sequence::of_function_key(*last)),
        [0x1b, b'O'] if !is_settled => Found::Open,
        [0x1b, b']' | b'P' | b'_' | b'^' | b'X', _, ..] => Found::ControlString(2),
        [0x1b, b']' | b'P' | b'_' | b'^' | b'X'] if !is_settled => Found::Open,
        [0x1b, 0x1b, ..] => Found::Whole(1, Some(Press::plain(Code::Escape))),
        [0x1b, rest @ ..] => match one_character(rest, is_settled) {
            Found::Whole(length, press) => Found::Whole(length + 1, press.map(Press::with_alt)),
            other @ (Found::Open | Found::Paste(_) | Found::ControlString(_)) => other,
        },
        _ => one_character(held, is_settled),
    }
}

/// `CSI … letter`.
fn control_sequence(held: &[u8], is_settled: bool) -> Found {
    // The Linux console has its own sequences for F1 to F5.
    if let [0x1b, b'[', b'[', rest @ ..] = held {
        return match rest.first() {
            Some(_) => Found::Whole(4, None),
            None if is_settled => Found::Whole(3, None),
            None => Found::Open,
        };
    }
    let body = held.get(2..).unwrap_or_default();
    let parameters = body.iter().take(SEQUENCE_LIMIT_BYTES).take_while(|byte| (0x20..=0x3f).contains(*byte)).count();
    match body.get(parameters) {
        _ if parameters >= SEQUENCE_LIMIT_BYTES => Found::Whole(2 + parameters, None),
        Some(_) if held.starts_with(PASTE_BEGIN) => Found::Paste(PASTE_BEGIN.len()),
        Some(last @ 0x40..=0x7e) => {
            let parameters = body.get(..parameters).unwrap_or_default();
            Found::Whole(2 + parameters.len() + 1, sequence::of_control_sequence(parameters, *last))
        }
        // Another sequence began within this one.
        Some(_) => Found::Whole(2 + parameters, None),
        // Alt and a bracket, if nothing follows.
        None if is_settled && parameters == 0 => Found::Whole(2, Some(Press::of('[').with_alt())),
        None if is_settled => Found::Whole(2 + parameters, None),
        None => Found::Open,
    }
}

/// A control character or a text character.
fn one_character(held: &[u8], is_settled: bool) -> Found {
    let Some(&first) = held.first() else { return Found::Open };
    if first < 0x80 {
        return Found::Whole(1, sequence::of_byte(first));
    }
    let length = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Found::Whole(1, None),
    };
    let continued = held.iter().skip(1).take(length - 1).take_while(|byte| (0x80..=0xbf).contains(*byte)).count();
    let text = held.get(..=continued).unwrap_or_default();
    if continued + 1 < length {
        let is_cut = held.len() == continued + 1 && !is_settled;
        return if is_cut { Found::Open } else { Found::Whole(continued + 1, None) };
    }
    match std::str::from_utf8(text).ok().and_then(|text| text.chars().next()) {
        // C1 controls are not text.
        Some(c) if !c.is_control() => Found::Whole(length, Some(Press::of(c))),
        Some(_) | None => Found::Whole(length, None),
    }
}

/// A paste as text, with line ends as `\n` and invalid UTF-8 replaced.
fn pasted(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace("\r\n", "\n").replace('\r', "\n").replace('\0', "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn typed(bytes: &[u8]) -> Vec<Typed> {
        let mut decoder = Decoder::new();
        let mut typed = decoder.take(bytes);
        typed.extend(decoder.settle());
        typed
    }

    fn presses(bytes: &[u8]) -> Vec<String> {
        let name = |typed: &Typed| match typed {
            Typed::Press(press) => press.to_string(),
            Typed::Paste { text, cut } => format!("paste {text:?}{}", if *cut { " cut" } else { "" }),
        };
        typed(bytes).iter().map(name).collect()
    }

    #[test]
    fn keys_of_all_the_ways_in_which_terminals_send_them() {
        let rows: &[(&[u8], &[&str])] = &[
            (b"aB\xc3\xa9\xf0\x9f\xa6\x80", &["a", "B", "é", "🦀"]),
            (b"\r", &["enter"]),
            (b"\n", &["ctrl-j"]),
            (b"\t\x1b[Z", &["tab", "shift-tab"]),
            (b"\x7f\x08", &["backspace", "ctrl-backspace"]),
            (b"\x01\x03\x1a\x00", &["ctrl-a", "ctrl-c", "ctrl-z", "ctrl- "]),
            (b"\x1b", &["escape"]),
            (b"\x1b\x1b", &["escape", "escape"]),
            (b"\x1b[A\x1bOB\x1b[1;5C\x1b[1;3D", &["up", "down", "ctrl-right", "alt-left"]),
            (
                b"\x1b[H\x1b[F\x1bOH\x1b[1~\x1b[4~\x1b[3~\x1b[5~\x1b[6~",
                &["home", "end", "home", "home", "end", "delete", "page-up", "page-down"],
            ),
            (b"\x1bb\x1bf\x1b\r\x1b\x7f", &["alt-b", "alt-f", "alt-enter", "alt-backspace"]),
            (b"\x1b[13;2u\x1b[27u\x1b[99;5u\x1b[13u", &["shift-enter", "escape", "ctrl-c", "enter"]),
            (b"\x1b[97;5:3u\x1b[97;5:1u", &["ctrl-a"]),
            (b"\x1b[27;2;13~", &["shift-enter"]),
            (b"\x1b[57414u\x1b[57400u", &["enter", "1"]),
            (b"\x1b[I\x1b[O\x1b[12;40R", &[]),
            (b"\x1b[<0;3;4Mx", &["x"]),
            (b"\x1b]11;rgb:0000/0000/0000\x1b\\y\x1bP1$r0m\x1b\\z\x1b]0;t\x07w", &["y", "z", "w"]),
            (b"\xff\xfea\xe2\x82", &["a"]),
            (b"\x1b[200~one\r\ntwo\rthree\x1b[201~!", &["paste \"one\\ntwo\\nthree\"", "!"]),
            (b"\x1b[200~\x1b[31mred\x1b[20\x1b[201~", &["paste \"\\u{1b}[31mred\\u{1b}[20\""]),
        ];
        for (bytes, expected) in rows {
            assert_eq!(presses(bytes), *expected, "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn an_escape_waits_for_what_may_follow() {
        let mut decoder = Decoder::new();
        assert!(decoder.take(b"\x1b").is_empty());
        assert!(decoder.is_open());
        assert_eq!(decoder.take(b"[A").len(), 1);
        assert!(!decoder.is_open());
    }

    #[test]
    fn nothing_is_held_without_a_bound() {
        let mut decoder = Decoder::new();
        for endless in [&b"\x1b["[..], b"\x1b]", b"\x1b[200~"] {
            decoder.take(endless);
            for _ in 0..12 {
                decoder.take(&[b'1'; 100_000]);
                assert!(decoder.held.len() <= 2 * SEQUENCE_LIMIT_BYTES, "{}", decoder.held.len());
            }
        }
        let State::Paste { bytes, cut } = &decoder.state else { panic!("a paste is open") };
        assert!(bytes.len() <= PASTE_LIMIT_BYTES && *cut);
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(
            parts in proptest::collection::vec(prop_oneof![
                Just(b"\x1b[200~".to_vec()), Just(b"\x1b[201~".to_vec()), Just(b"\x1b[1;5A".to_vec()), Just(b"\x1b]0;".to_vec()),
                Just(b"\x1b\\".to_vec()), Just(b"\x1b".to_vec()), Just("é🦀".as_bytes().to_vec()), proptest::collection::vec(any::<u8>(), 0..9),
            ], 0..12),
            size in 1usize..9,
        ) {
            let bytes = parts.concat();
            let mut decoder = Decoder::new();
            let mut chunked = Vec::new();
            for chunk in bytes.chunks(size) {
                chunked.extend(decoder.take(chunk));
            }
            chunked.extend(decoder.settle());
            prop_assert_eq!(chunked, typed(&bytes));
        }
    }
}
