//! Follows what a program switches on in a terminal (the alternate screen, a hidden cursor, mouse reports and the
//! like), so that ccc can switch it off when the program has ended without doing so.
//!
//! Only these modes are followed, not the content of the screen.

use std::collections::BTreeSet;

/// A longer control sequence switches no mode.
const SEQUENCE_LIMIT_BYTES: usize = 64;
/// Modes that are off when a terminal starts; `CSI ? n h` switches them on and `l` off. The alternate screen is left
/// last, so that the other modes are undone on the screen on which they were switched on.
const OFF_AT_FIRST: [u16; 16] = [1, 5, 9, 1000, 1001, 1002, 1003, 1004, 1005, 1006, 1015, 1016, 2004, 2026, 2031, 2048];
/// The modes of the alternate screen.
const ALTERNATE: [u16; 3] = [47, 1047, 1049];
/// Modes that are on when a terminal starts: automatic wrapping and the cursor.
const ON_AT_FIRST: [u16; 2] = [7, 25];
/// How many nested keyboard modes are undone.
const KEYBOARD_DEPTH_LIMIT: u16 = 32;

/// The modes that a program's output has changed.
#[derive(Debug, Clone, Default)]
pub struct ScreenModes {
    state: State,
    sequence: Vec<u8>,
    /// Modes that differ from how a terminal starts.
    changed: BTreeSet<u16>,
    keyboard_depth: u16,
    keypad: bool,
    coloured: bool,
    modify_other_keys: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    Escape,
    Control,
}

impl ScreenModes {
    /// Reads output of the program.
    pub fn follow(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.state {
                State::Text => match memchr::memchr(0x1b, rest) {
                    Some(at) => {
                        self.state = State::Escape;
                        rest = rest.get(at + 1..).unwrap_or_default();
                        continue;
                    }
                    None => return,
                },
                State::Escape => {
                    self.state = State::Text;
                    match byte {
                        b'[' => {
                            self.sequence.clear();
                            self.state = State::Control;
                        }
                        b'=' => self.keypad = true,
                        b'>' => self.keypad = false,
                        b'c' => *self = Self::default(),
                        0x1b => self.state = State::Escape,
                        _ => {}
                    }
                }
                State::Control => match byte {
                    0x40..=0x7e => {
                        self.state = State::Text;
                        let sequence = std::mem::take(&mut self.sequence);
                        self.control(&sequence, byte);
                        self.sequence = sequence;
                    }
                    0x1b => self.state = State::Escape,
                    _ if self.sequence.len() < SEQUENCE_LIMIT_BYTES => self.sequence.push(byte),
                    _ => self.state = State::Text,
                },
            }
            rest = after;
        }
    }

    fn control(&mut self, sequence: &[u8], end: u8) {
        let numbers = |digits: &[u8]| -> Vec<u16> {
            digits
                .split(|byte| *byte == b';')
                .filter_map(|digits| std::str::from_utf8(digits).ok()?.parse().ok())
                .collect()
        };
        match (sequence, end) {
            ([b'?', digits @ ..], b'h' | b'l') => {
                for mode in numbers(digits) {
                    let known = OFF_AT_FIRST.contains(&mode) || ALTERNATE.contains(&mode);
                    if ON_AT_FIRST.contains(&mode) && end == b'l' || known && end == b'h' {
                        self.changed.insert(mode);
                    } else {
                        self.changed.remove(&mode);
                    }
                }
            }
            ([b'>', b'4', ..], b'm') => {
                self.modify_other_keys = numbers(&sequence[1..]).get(1).is_some_and(|&it| it > 0)
            }
            ([b'>', ..], b'u') => self.keyboard_depth = (self.keyboard_depth + 1).min(KEYBOARD_DEPTH_LIMIT),
            ([b'<', digits @ ..], b'u') => {
                let levels = numbers(digits).first().copied().unwrap_or(1);
                self.keyboard_depth = self.keyboard_depth.saturating_sub(levels);
            }
            ([], b'm') => self.coloured = false,
            ([b'0'..=b'9' | b';', ..], b'm') => self.coloured = numbers(sequence).last().is_some_and(|&last| last != 0),
            _ => {}
        }
    }

    /// Switches off everything that an interface may have left on, for output that was not followed. It changes nothing on a
    /// terminal in its normal state. It uses 1047, which leaves the alternate screen without moving the cursor as 1049 does.
    pub const ALL_OFF: &'static str = "\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1006l\x1b[?2004l\x1b[?2026l\x1b[>4m\x1b[<u\x1b[?1047l\x1b[?7h\x1b[?25h\x1b[0m";

    /// Whether the program paints on the alternate screen.
    #[must_use]
    pub fn is_alternate(&self) -> bool {
        ALTERNATE.iter().any(|mode| self.changed.contains(mode))
    }

    /// Whether the program has hidden the cursor.
    #[must_use]
    pub fn hides_cursor(&self) -> bool {
        self.changed.contains(&25)
    }

    /// The sequences that restore the terminal; empty if the program has done so itself. Resets the recorded state.
    pub fn undo(&mut self) -> String {
        let mut undo = String::new();
        if self.modify_other_keys {
            undo.push_str("\x1b[>4m");
        }
        if self.keyboard_depth > 0 {
            undo.push_str(&format!("\x1b[<{}u", self.keyboard_depth));
        }
        if self.keypad {
            undo.push_str("\x1b>");
        }
        let alternate = |mode: &&u16| ALTERNATE.contains(*mode);
        for mode in self.changed.iter().filter(|mode| !alternate(mode)).chain(self.changed.iter().filter(alternate)) {
            let back = if ON_AT_FIRST.contains(mode) { 'h' } else { 'l' };
            undo.push_str(&format!("\x1b[?{mode}{back}"));
        }
        if self.coloured {
            undo.push_str("\x1b[0m");
        }
        *self = Self::default();
        undo
    }
}

#[cfg(test)]
mod tests {
    use super::ScreenModes;

    fn undo(written: &str) -> String {
        let mut whole = ScreenModes::default();
        whole.follow(written.as_bytes());
        let mut pieces = ScreenModes::default();
        for byte in written.as_bytes() {
            pieces.follow(&[*byte]);
        }
        assert_eq!(whole.clone().undo(), pieces.undo(), "cut anywhere it is the same: {written:?}");
        let undone = whole.undo();
        assert_eq!(whole.undo(), "", "it is undone once");
        undone
    }

    #[test]
    fn what_was_switched_on_is_switched_off_and_nothing_else() {
        for (written, expected) in [
            ("plain text\r\n", ""),
            ("\x1b[?1049h\x1b[2J\x1b[?25lhello", "\x1b[?25h\x1b[?1049l"),
            ("\x1b[?1049h\x1b[?1h\x1b=text\x1b[?1l\x1b>\x1b[?1049l", ""),
            ("\x1b[?1000;1006h\x1b[?2004h", "\x1b[?1000l\x1b[?1006l\x1b[?2004l"),
            ("\x1b[?25l\x1b[?25h\x1b[?7l", "\x1b[?7h"),
            ("\x1b[>1u\x1b[>5u\x1b[<u", "\x1b[<1u"),
            ("\x1b[>4;2m", "\x1b[>4m"),
            ("\x1b[>4;2m\x1b[>4m", ""),
            ("\x1b[1;31mred", "\x1b[0m"),
            ("\x1b[31mred\x1b[0m \x1b[32mgreen\x1b[m", ""),
            ("\x1b[?1049h\x1bc", ""),
            ("\x1b[?9999h\x1b[5n\x1b]0;title\x07", ""),
            ("\x1b[?1049", ""),
        ] {
            assert_eq!(undo(written), expected, "{written:?}");
        }
    }

    #[test]
    fn a_sequence_without_an_end_does_not_grow() {
        let mut modes = ScreenModes::default();
        modes.follow(b"\x1b[");
        modes.follow(&[b'1'; 10_000]);
        assert!(modes.sequence.len() <= super::SEQUENCE_LIMIT_BYTES);
        modes.follow(b"\x1b[?1049h");
        assert!(modes.is_alternate());
    }
}
