//! Finds the end of a JSON value and thereby validates it, without building anything.
//!
//! serde_json alone would not do: most lines of a stream are partial messages of which ccc needs four short strings,
//! and most of the time goes into skipping the rest: 1.29 GB/s, against 0.29 GB/s of `serde_json::Value` on the same
//! bytes (`cargo bench --bench codec`). serde_json's raw values would also refuse lines that the CLI writes; see
//! `raw`. The accepted grammar is exactly RFC 8259; a property test compares it with serde_json. There is no
//! recursion, so no input can exhaust the stack.

/// The containers that are open around a value, one bit each, so that a line of brackets needs an eighth of its
/// length.
#[derive(Default)]
struct Nesting {
    /// The innermost 64; the lowest bit is the innermost, 1 for an object.
    near: u64,
    /// The outer containers, 64 per word.
    far: Vec<u64>,
    depth: usize,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.far.push(self.near);
        }
        self.near = (self.near << 1) | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.near >>= 1;
        self.depth = self.depth.saturating_sub(1);
        if self.depth > 0
            && self.depth.is_multiple_of(64)
            && let Some(word) = self.far.pop()
        {
            self.near = word;
        }
    }

    fn in_object(&self) -> bool {
        self.near & 1 == 1
    }
}

/// The first position at or after `at` that is not JSON whitespace.
#[inline]
pub(super) fn skip_whitespace(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
        at += 1;
    }
    at
}

const ONES: u64 = u64::from_le_bytes([1; 8]);
const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);

/// Marks, by their highest bits, the bytes of a word that end a string or are not allowed in one: `"`, `\` and
/// control characters. The lowest mark is exact; higher marks may be false, so only the lowest is used.
#[inline]
fn string_marks(word: u64) -> u64 {
    let quote = word ^ u64::from_le_bytes([b'"'; 8]);
    let backslash = word ^ u64::from_le_bytes([b'\\'; 8]);
    let control = word.wrapping_sub(u64::from_le_bytes([0x20; 8]));
    (quote.wrapping_sub(ONES) | backslash.wrapping_sub(ONES) | control) & !word & HIGHS
}

/// Where a string ends, and whether it has escapes.
pub(super) struct StringEnd {
    /// The position after the closing quote.
    pub(super) after: usize,
    pub(super) escaped: bool,
}

/// Skips a string whose opening quote is before `at`.
#[inline]
pub(super) fn skip_string(bytes: &[u8], mut at: usize) -> Option<StringEnd> {
    let mut escaped = false;
    loop {
        while let Some(chunk) = bytes.get(at..).and_then(<[u8]>::first_chunk::<8>) {
            let marks = string_marks(u64::from_le_bytes(*chunk));
            if marks != 0 {
                at += (marks.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        match bytes.get(at)? {
            b'"' => {
                return Some(StringEnd { after: at + 1, escaped });
            }
            b'\\' => {
                escaped = true;
                at = skip_escape(bytes, at + 1)?;
            }
            0..0x20 => return None,
            _ => at += 1,
        }
    }
}

/// Skips an escape whose backslash is before `at`.
fn skip_escape(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at)? {
        b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => Some(at + 1),
        b'u' => {
            let digits = bytes.get(at + 1..at + 5)?;
            digits.iter().all(u8::is_ascii_hexdigit).then_some(at + 5)
        }
        _ => None,
    }
}

fn skip_digits(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Like [`skip_digits`], but at least one digit is required.
fn skip_some_digits(bytes: &[u8], at: usize) -> Option<usize> {
    let end = skip_digits(bytes, at);
    (end > at).then_some(end)
}

fn skip_number(bytes: &[u8], mut at: usize) -> Option<usize> {
    if bytes.get(at) == Some(&b'-') {
        at += 1;
    }
    at = match bytes.get(at)? {
        b'0' => at + 1,
        b'1'..=b'9' => skip_digits(bytes, at + 1),
        _ => return None,
    };
    if bytes.get(at) == Some(&b'.') {
        at = skip_some_digits(bytes, at + 1)?;
    }
    if let Some(b'e' | b'E') = bytes.get(at) {
        at += 1;
        if let Some(b'+' | b'-') = bytes.get(at) {
            at += 1;
        }
        at = skip_some_digits(bytes, at)?;
    }
    Some(at)
}

fn skip_word(bytes: &[u8], at: usize, word: &[u8]) -> Option<usize> {
    bytes.get(at..)?.starts_with(word).then_some(at + word.len())
}

/// A key of an object.
pub(super) struct Key {
    /// After the opening quote.
    pub(super) start: usize,
    /// At the closing quote.
    pub(super) end: usize,
    pub(super) escaped: bool,
    /// Where its value begins, after the colon and whitespace.
    pub(super) value: usize,
}

/// Reads a key and its colon from `at` on, after optional whitespace.
#[inline]
pub(super) fn read_key(bytes: &[u8], at: usize) -> Option<Key> {
    let quote = skip_whitespace(bytes, at);
    if bytes.get(quote) != Some(&b'"') {
        return None;
    }
    let StringEnd { after, escaped } = skip_string(bytes, quote + 1)?;
    let colon = skip_whitespace(bytes, after);
    if bytes.get(colon) != Some(&b':') {
        return None;
    }
    Some(Key { start: quote + 1, end: after - 1, escaped, value: skip_whitespace(bytes, colon + 1) })
}

/// Skips the value that begins at `at` (without leading whitespace): the position after it, or `None` when there is
/// no valid value.
pub(super) fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut nesting = Nesting::default();
    loop {
        match bytes.get(at)? {
            b'"' => at = skip_string(bytes, at + 1)?.after,
            b'{' => {
                at = skip_whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b'}') {
                    nesting.push(true);
                    at = read_key(bytes, at)?.value;
                    continue;
                }
                at += 1;
            }
            b'[' => {
                at = skip_whitespace(bytes, at + 1);
                if bytes.get(at) != Some(&b']') {
                    nesting.push(false);
                    continue;
                }
                at += 1;
            }
            b't' => at = skip_word(bytes, at, b"true")?,
            b'f' => at = skip_word(bytes, at, b"false")?,
            b'n' => at = skip_word(bytes, at, b"null")?,
            _ => at = skip_number(bytes, at)?,
        }
        // A value has ended, and perhaps the containers around it.
        loop {
            if nesting.depth == 0 {
                return Some(at);
            }
            at = skip_whitespace(bytes, at);
            match (bytes.get(at)?, nesting.in_object()) {
                (b',', true) => {
                    at = read_key(bytes, at + 1)?.value;
                    break;
                }
                (b',', false) => {
                    at = skip_whitespace(bytes, at + 1);
                    break;
                }
                (b'}', true) | (b']', false) => {
                    nesting.pop();
                    at += 1;
                }
                _ => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use crate::stream::raw::Raw;

    fn accepts(text: &str) -> bool {
        Raw::parse(text).is_some()
    }

    fn serde_accepts(text: &str) -> bool {
        serde_json::from_str::<IgnoredAny>(text).is_ok()
    }

    #[test]
    fn it_accepts_the_grammar_and_nothing_else() {
        let valid = [
            "0",
            "-0",
            "10.50",
            "1e9",
            "1E-9",
            "1e+999",
            "true",
            "false",
            "null",
            "\"\"",
            "[]",
            "{}",
            " [ ] ",
            "{ \"a\" : [ 1 , { } ] , \"a\" : null }",
            r#""\"\\\/\b\f\n\r\t\u00e9""#,
            r#""\ud83d""#,
            "\"\u{7f}語\"",
        ];
        let invalid = [
            "",
            " ",
            "01",
            "+1",
            ".5",
            "1.",
            "1e",
            "-",
            "nul",
            "truex",
            "\"",
            "\"\\",
            "\"\\u12\"",
            "\"\\x\"",
            "\"a\nb\"",
            "\"\u{1f}\"",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\":1]",
            "[1}",
            "1 2",
            "{}{}",
            "NaN",
            "'a'",
            "\u{a0}1",
            "\u{feff}1",
        ];
        for text in valid {
            assert!(accepts(text) && serde_accepts(text), "{text}");
        }
        for text in invalid {
            assert!(!accepts(text) && !serde_accepts(text), "{text}");
        }
    }

    #[test]
    fn nesting_has_no_limit() {
        for depth in [63, 64, 65, 127, 128, 129, 1_000_000] {
            let mixed = format!("{}1{}", "[{\"a\":".repeat(depth), "}]".repeat(depth));
            assert!(accepts(&mixed), "{depth}");
            let crossed = format!("{}1{}", "[{\"a\":".repeat(depth), "]}".repeat(depth));
            assert!(!accepts(&crossed), "{depth}");
            assert!(!accepts(&"[".repeat(depth)), "{depth}");
        }
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            "[ -~]{0,40}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 40, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                proptest::collection::btree_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Reads a value by [`Raw`] alone.
    fn rebuild(raw: Raw<'_>) -> Value {
        if let Some(text) = raw.text() {
            return Value::from(&*text);
        }
        if let Some(bool) = raw.bool() {
            return Value::from(bool);
        }
        if let Ok(number) = raw.json().parse::<i64>() {
            return Value::from(number);
        }
        if let Some(number) = raw.f64() {
            return Value::from(number);
        }
        match raw.json().as_bytes() {
            [b'[', ..] => raw.items().map(rebuild).collect(),
            [b'{', ..] => raw.members().map(|(name, value)| (name.into_owned(), rebuild(value))).collect(),
            _ => Value::Null,
        }
    }

    proptest! {
        #[test]
        fn a_value_is_read_as_serde_json_wrote_it(value in any_value(), is_pretty in any::<bool>()) {
            let text = if is_pretty {
                serde_json::to_string_pretty(&value).unwrap()
            } else {
                value.to_string()
            };
            prop_assert_eq!(Raw::parse(&text).map(rebuild), Some(value));
        }

        #[test]
        fn broken_json_is_judged_as_by_serde_json(
            value in any_value(),
            at in any::<prop::sample::Index>(),
            length in 0usize..3,
            with in prop_oneof![
                "[\\\\\"{}\\[\\],:0-9eE.+tfn u\\-]{0,3}".prop_map(String::from),
                any::<char>().prop_map(String::from)
            ],
        ) {
            let mut chars: Vec<char> = value.to_string().chars().collect();
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            chars.splice(start..end, with.chars());
            let text: String = chars.into_iter().collect();
            prop_assert_eq!(accepts(&text), serde_accepts(&text), "{}", text);
        }

        #[test]
        fn token_soup_is_judged_as_by_serde_json(
            tokens in proptest::collection::vec(
                prop::sample::select(vec![
                    "{", "}", "[", "]", ",", ":", "\"a\"", "\"a\":", "1", "-1.5e3", "0", "true", "null", " ", "\"\\u00",
                ]),
                0..12,
            )
        ) {
            let text = tokens.concat();
            prop_assert_eq!(accepts(&text), serde_accepts(&text), "{}", text);
        }
    }
}
