use std::fmt;

/// The code of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of keys")]
pub enum Code {
    Char(char),
    Enter,
    Tab,
    Backspace,
    Delete,
    Insert,
    Escape,
    Up,
    Down,
    Left,
    Right,
    Home,
    End,
    PageUp,
    PageDown,
}

/// A key with its modifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Press {
    /// The key. A letter typed with Shift is the capital letter.
    pub code: Code,
    /// Control was held.
    pub ctrl: bool,
    /// Alt was held.
    pub alt: bool,
    /// Shift was held, unless the character shows it.
    pub shift: bool,
}

impl Press {
    /// The key without modifiers.
    #[must_use]
    pub const fn plain(code: Code) -> Press {
        Press { code, ctrl: false, alt: false, shift: false }
    }

    /// A character without modifiers.
    #[must_use]
    pub const fn of(c: char) -> Press {
        Press::plain(Code::Char(c))
    }

    /// Control and a character.
    #[must_use]
    pub const fn ctrl(c: char) -> Press {
        Press { ctrl: true, ..Press::of(c) }
    }

    pub(super) fn with_alt(self) -> Press {
        Press { alt: true, ..self }
    }

    /// The character that it types, if it is text.
    #[must_use]
    pub fn text(self) -> Option<char> {
        let Code::Char(c) = self.code else { return None };
        (!self.ctrl && !self.alt).then_some(c)
    }
}

impl fmt::Display for Press {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (is_held, name) in [(self.ctrl, "ctrl-"), (self.alt, "alt-"), (self.shift, "shift-")] {
            if is_held {
                f.write_str(name)?;
            }
        }
        f.write_str(match self.code {
            Code::Char(c) => return write!(f, "{c}"),
            Code::Enter => "enter",
            Code::Tab => "tab",
            Code::Backspace => "backspace",
            Code::Delete => "delete",
            Code::Insert => "insert",
            Code::Escape => "escape",
            Code::Up => "up",
            Code::Down => "down",
            Code::Left => "left",
            Code::Right => "right",
            Code::Home => "home",
            Code::End => "end",
            Code::PageUp => "page-up",
            Code::PageDown => "page-down",
        })
    }
}

/// The key of one ASCII byte.
pub(super) fn of_byte(byte: u8) -> Option<Press> {
    Some(match byte {
        b'\r' => Press::plain(Code::Enter),
        b'\t' => Press::plain(Code::Tab),
        0x7f => Press::plain(Code::Backspace),
        0x08 => Press { ctrl: true, ..Press::plain(Code::Backspace) },
        0x00 => Press::ctrl(' '),
        0x01..=0x1a => Press::ctrl(char::from(byte - 1 + b'a')),
        0x1b => Press::plain(Code::Escape),
        0x1c..=0x1f => Press::ctrl(char::from(byte - 0x1c + b'4')),
        _ => Press::of(char::from(byte)),
    })
}

/// The key of the letter in `CSI letter` and `SS3 letter`.
pub(super) fn of_function_key(letter: u8) -> Option<Press> {
    Some(match letter {
        b'Z' => Press { shift: true, ..Press::plain(Code::Tab) },
        b'M' => Press::plain(Code::Enter),
        _ => Press::plain(of_letter(letter)?),
    })
}

fn of_letter(letter: u8) -> Option<Code> {
    Some(match letter {
        b'A' => Code::Up,
        b'B' => Code::Down,
        b'C' => Code::Right,
        b'D' => Code::Left,
        b'H' => Code::Home,
        b'F' => Code::End,
        _ => return None,
    })
}

/// The key of `CSI parameters last`. Reports of a terminal (focus, mouse, cursor position) and key releases are none.
pub(super) fn of_control_sequence(parameters: &[u8], last: u8) -> Option<Press> {
    if parameters.first().is_some_and(|first| (0x3c..=0x3f).contains(first)) {
        return None;
    }
    let text = std::str::from_utf8(parameters).ok()?;
    let mut fields = text.split(';');
    let mut number = || fields.next().unwrap_or_default();
    let (first, second, third) = (number(), number(), number());
    match last {
        b'u' => held(second, of_number(leading(first)?)?),
        b'~' if leading(first) == Some(27) => held(second, of_number(leading(third)?)?),
        b'~' => held(second, of_tilde(leading(first)?)?),
        b'Z' => Some(Press { shift: true, ..Press::plain(Code::Tab) }),
        _ => held(second, of_letter(last)?),
    }
}

/// The number before the first `:`.
fn leading(field: &str) -> Option<u32> {
    field.split(':').next()?.parse().ok()
}

fn of_tilde(number: u32) -> Option<Code> {
    Some(match number {
        1 | 7 => Code::Home,
        2 => Code::Insert,
        3 => Code::Delete,
        4 | 8 => Code::End,
        5 => Code::PageUp,
        6 => Code::PageDown,
        _ => return None,
    })
}

/// The key of a number in kitty's keyboard protocol.
fn of_number(number: u32) -> Option<Code> {
    Some(match number {
        9 => Code::Tab,
        13 | 57414 => Code::Enter,
        27 => Code::Escape,
        8 | 127 => Code::Backspace,
        57399..=57408 => Code::Char(char::from_digit(number - 57399, 10)?),
        57417 => Code::Left,
        57418 => Code::Right,
        57419 => Code::Up,
        57420 => Code::Down,
        57421 => Code::PageUp,
        57422 => Code::PageDown,
        57423 => Code::Home,
        57424 => Code::End,
        57425 => Code::Insert,
        57426 => Code::Delete,
        57344..=63743 => return None,
        _ => Code::Char(char::from_u32(number).filter(|c| !c.is_control())?),
    })
}

/// The key with its modifiers. The field is `1 + bits`, then `:` and the event type, of which 3 is a release.
fn held(field: &str, code: Code) -> Option<Press> {
    let mut parts = field.split(':');
    let bits = parts.next().and_then(|bits| bits.parse::<u32>().ok()).unwrap_or(1).saturating_sub(1);
    if parts.next() == Some("3") {
        return None;
    }
    let shift = bits & 1 != 0;
    // The protocol sends the unshifted letter.
    let (code, shift) = if let (Code::Char(c), true) = (code, shift) {
        (Code::Char(c.to_uppercase().next().unwrap_or(c)), false)
    } else {
        (code, shift)
    };
    Some(Press { code, shift, alt: bits & 2 != 0, ctrl: bits & 4 != 0 })
}
