//! One JSON value as received, and lenient reading of it.
//!
//! Reading never fails: a value of another type is absent. serde's derived readers would refuse a whole message for
//! one unexpected field, for a duplicate key, or for half a surrogate pair, which JavaScript writes (`"\ud83d"`) when
//! a delta ends inside an emoji (`cargo nextest run half_a_character_does_not_lose_the_text` proves that serde_json
//! refuses such a line).

use std::borrow::Cow;
use std::fmt;

use super::scan::{read_key, skip_value, skip_whitespace};

/// The text of one JSON value, without surrounding whitespace. Only this module creates it, so it is always valid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a>(&'a str);

impl fmt::Debug for Raw<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl<'a> Raw<'a> {
    /// The value in `text`, which may have surrounding whitespace; `None` when it is not exactly one JSON value.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let start = skip_whitespace(bytes, 0);
        let end = skip_value(bytes, start)?;
        if skip_whitespace(bytes, end) != bytes.len() {
            return None;
        }
        text.get(start..end).map(Self)
    }

    /// A part of a line that the scanner has validated.
    pub(super) fn scanned(text: &'a str) -> Self {
        Self(text)
    }

    /// The JSON as received.
    #[must_use]
    pub fn json(self) -> &'a str {
        self.0
    }

    /// Whether it is `null`.
    #[must_use]
    pub fn is_null(self) -> bool {
        self.0 == "null"
    }

    /// The string with its escapes resolved; borrowed when it has none. Half a surrogate pair becomes U+FFFD.
    #[must_use]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let inner = self.0.strip_prefix('"')?.strip_suffix('"')?;
        Some(unescape(inner))
    }

    /// The boolean.
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        match self.0 {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        }
    }

    /// The number.
    #[must_use]
    pub fn f64(self) -> Option<f64> {
        let first = self.0.as_bytes().first()?;
        let is_number = *first == b'-' || first.is_ascii_digit();
        is_number.then(|| self.0.parse().ok()).flatten()
    }

    /// The number, if it is an integer that fits; `3.0` and `3e2` are integers.
    #[must_use]
    pub fn i64(self) -> Option<i64> {
        /// Integers up to this one are exact in a double.
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if let Ok(number) = self.0.parse() {
            return Some(number);
        }
        let number = self.f64()?;
        #[allow(clippy::cast_possible_truncation, reason = "checked to be whole and small enough right here")]
        (number.fract() == 0.0 && number.abs() <= EXACT).then_some(number as i64)
    }

    /// The members of an object, in order; empty when it is not an object.
    #[must_use]
    pub fn members(self) -> Members<'a> {
        Members { text: self.0, at: opening(self.0, b'{') }
    }

    /// The member with this name; of duplicates the last, as in JavaScript.
    #[must_use]
    pub fn member(self, name: &str) -> Option<Raw<'a>> {
        self.members().filter(|(key, _)| key == name).last().map(|(_, value)| value)
    }

    /// The members with these names, found in one pass; of duplicates the last.
    #[must_use]
    pub fn members_named<const N: usize>(self, names: [&str; N]) -> [Option<Raw<'a>>; N] {
        let mut found = [None; N];
        for (key, value) in self.members() {
            if let Some(place) = names.iter().position(|name| key == *name).and_then(|at| found.get_mut(at)) {
                *place = Some(value);
            }
        }
        found
    }

    /// The items of an array, in order; empty when it is not an array.
    #[must_use]
    pub fn items(self) -> Items<'a> {
        Items { text: self.0, at: opening(self.0, b'[') }
    }

    /// Reads it as `T`; `None` when it is `null` or of another type.
    #[must_use]
    pub fn read<T: FromRaw<'a>>(self) -> Option<T> {
        T::from_raw(self)
    }
}

/// Where the contents of a container begin; the end of the text when it is another value.
fn opening(text: &str, bracket: u8) -> usize {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&bracket) { skip_whitespace(bytes, 1) } else { bytes.len() }
}

/// See [`Raw::members`].
#[derive(Debug, Clone)]
pub struct Members<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Members<'a> {
    type Item = (Cow<'a, str>, Raw<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let key = read_key(bytes, self.at)?;
        let end = skip_value(bytes, key.value)?;
        let name = self.text.get(key.start..key.end)?;
        let name = if key.escaped { unescape(name) } else { Cow::Borrowed(name) };
        let value = Raw(self.text.get(key.value..end)?);
        // Skips the comma. After the last member it skips the bracket, and the iteration ends because no key follows.
        self.at = skip_whitespace(bytes, end) + 1;
        Some((name, value))
    }
}

/// See [`Raw::items`].
#[derive(Debug, Clone)]
pub struct Items<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Items<'a> {
    type Item = Raw<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let bytes = self.text.as_bytes();
        let start = skip_whitespace(bytes, self.at);
        let end = skip_value(bytes, start)?;
        let value = Raw(self.text.get(start..end)?);
        self.at = skip_whitespace(bytes, end) + 1;
        Some(value)
    }
}

/// Resolves the escapes in the inside of a validated string.
pub(super) fn unescape(inner: &str) -> Cow<'_, str> {
    let Some(first) = memchr::memchr(b'\\', inner.as_bytes()) else {
        return Cow::Borrowed(inner);
    };
    let mut out = String::with_capacity(inner.len());
    let (head, mut rest) = inner.split_at(first);
    out.push_str(head);
    while let Some(escape) = rest.strip_prefix('\\') {
        let (character, after) = resolve_escape(escape);
        out.push(character);
        let next = memchr::memchr(b'\\', after.as_bytes()).unwrap_or(after.len());
        let (plain, tail) = after.split_at(next);
        out.push_str(plain);
        rest = tail;
    }
    Cow::Owned(out)
}

/// The character of an escape (given without its backslash), and the rest of the text.
fn resolve_escape(escape: &str) -> (char, &str) {
    let mut chars = escape.chars();
    let character = match chars.next() {
        Some('b') => '\u{8}',
        Some('f') => '\u{c}',
        Some('n') => '\n',
        Some('r') => '\r',
        Some('t') => '\t',
        Some('u') => return resolve_unicode(chars.as_str()),
        Some(other) => other,
        None => char::REPLACEMENT_CHARACTER,
    };
    (character, chars.as_str())
}

/// The same for `\uXXXX`, given from its digits on; a surrogate pair is one character.
fn resolve_unicode(digits: &str) -> (char, &str) {
    let unit = |text: &str| text.get(..4).and_then(|hex| u32::from_str_radix(hex, 16).ok());
    let Some(first) = unit(digits) else {
        return (char::REPLACEMENT_CHARACTER, digits);
    };
    let after = digits.get(4..).unwrap_or_default();
    if let Some(character) = char::from_u32(first) {
        return (character, after);
    }
    let pair = (first < 0xdc00)
        .then(|| after.strip_prefix("\\u"))
        .flatten()
        .and_then(|low| Some((unit(low)?, low.get(4..)?)))
        .filter(|(second, _)| (0xdc00..0xe000).contains(second));
    match pair {
        Some((second, rest)) => {
            let code = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), rest)
        }
        None => (char::REPLACEMENT_CHARACTER, after),
    }
}

/// A type that can be read from a JSON value.
pub trait FromRaw<'a>: Sized {
    /// `None` when the value is of another type.
    fn from_raw(raw: Raw<'a>) -> Option<Self>;
}

impl<'a> FromRaw<'a> for Raw<'a> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        (!raw.is_null()).then_some(raw)
    }
}

impl<'a> FromRaw<'a> for Cow<'a, str> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.text()
    }
}

impl<'a> FromRaw<'a> for bool {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.bool()
    }
}

impl<'a> FromRaw<'a> for f64 {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.f64()
    }
}

impl<'a> FromRaw<'a> for i64 {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.i64()
    }
}

macro_rules! whole_numbers {
    ($($ty:ty),+) => {$(
        impl<'a> FromRaw<'a> for $ty {
            fn from_raw(raw: Raw<'a>) -> Option<Self> {
                raw.i64()?.try_into().ok()
            }
        }
    )+};
}

whole_numbers!(u64, u32, u16);

impl<'a, T: FromRaw<'a>> FromRaw<'a> for Vec<T> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.0.starts_with('[').then(|| raw.items().filter_map(Raw::read).collect())
    }
}

/// An object used as a map: its members in order. Members of another type are skipped.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Entries<'a, T>(pub Vec<(Cow<'a, str>, T)>);

impl<'a, T: FromRaw<'a>> FromRaw<'a> for Entries<'a, T> {
    fn from_raw(raw: Raw<'a>) -> Option<Self> {
        raw.0
            .starts_with('{')
            .then(|| Self(raw.members().filter_map(|(name, value)| Some((name, value.read()?))).collect()))
    }
}
