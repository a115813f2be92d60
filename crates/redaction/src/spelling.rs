//! Decodes JSON escapes, so that the search for secrets sees the decoded text.

use memchr::memmem;

/// The most backslashes of an escape that is decoded: three levels of JSON in JSON.
const BACKSLASHES_MAX: usize = 4;
/// How many passes are made: a decoded escape may be the backslash of another one.
const ROUNDS_MAX: usize = 8;

/// The text with `\u0041` as `A`, `\/` as `/` and surrogate pairs as their character, at each level of JSON in JSON;
/// its meaning at that level is unchanged. Control characters stay escaped, quotes and backslashes become their short
/// escapes. `None` when there is no such escape.
pub(crate) fn spelt_out(text: &[u8]) -> Option<Vec<u8>> {
    if memmem::find(text, b"\\u").is_none() && memmem::find(text, b"\\/").is_none() {
        return None;
    }
    let mut spelt = once(text)?;
    for _ in 1..ROUNDS_MAX {
        match once(&spelt) {
            Some(further) => spelt = further,
            None => break,
        }
    }
    Some(spelt)
}

fn once(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut changed = false;
    let mut rest = text;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let (before, escape) = rest.split_at(at);
        out.extend_from_slice(before);
        let backslashes = escape.iter().position(|&byte| byte != b'\\').unwrap_or(escape.len());
        let (lead, after) = escape.split_at(backslashes);
        match meaning(lead, after) {
            Some((char, length)) => {
                push(&mut out, char, backslashes);
                changed = true;
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(lead);
                rest = after;
            }
        }
    }
    out.extend_from_slice(rest);
    changed.then_some(out)
}

/// The meaning of the escape that begins with these backslashes, and how many bytes of `after` belong to it.
fn meaning(lead: &[u8], after: &[u8]) -> Option<(char, usize)> {
    // At nesting level n an escape has 2^(n-1) backslashes; other counts are an escaped backslash and a word.
    if !lead.len().is_power_of_two() || lead.len() > BACKSLASHES_MAX {
        return None;
    }
    if after.first() == Some(&b'/') {
        return Some(('/', 1));
    }
    let first = unit(after)?;
    if let Some(char) = char::from_u32(first) {
        return (!char.is_control()).then_some((char, 5));
    }
    let second = unit(after.get(5..)?.strip_prefix(lead)?)?;
    let char = char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]).next()?.ok()?;
    Some((char, 5 + lead.len() + 5))
}

/// The value of `uXXXX`.
fn unit(text: &[u8]) -> Option<u32> {
    let digits = text.strip_prefix(b"u")?.get(..4)?;
    digits.iter().try_fold(0, |value, &digit| Some(value * 16 + char::from(digit).to_digit(16)?))
}

fn push(out: &mut Vec<u8>, char: char, backslashes: usize) {
    match char {
        '"' => {
            out.resize(out.len() + 2 * backslashes - 1, b'\\');
            out.push(b'"');
        }
        '\\' => out.resize(out.len() + 2 * backslashes, b'\\'),
        char => out.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::spelt_out;

    fn spelt(text: &str) -> String {
        spelt_out(text.as_bytes())
            .map_or_else(|| text.to_owned(), |bytes| String::from_utf8(bytes).expect("it stays UTF-8"))
    }

    #[test]
    fn escapes_are_spelt_out_at_each_depth() {
        let rows = [
            (r#""\u0041\u00e9\/\ud83d\ude00""#, r#""Aé/😀""#),
            (r#""{\"k\":\"\\u0041\\/\\ud83d\\ude00\"}""#, r#""{\"k\":\"A/😀\"}""#),
            (r#""\\\\u0041""#, r#""A""#),
            (r#""\u0022 \u005c \\u0022 \\u005c""#, r#""\" \\ \\\" \\\\""#),
            // Controls, lone surrogates, escaped backslashes before a word, and text that is no escape.
            (
                r#""\u001b \u000a \ud83d x \ude00 \\\u0041 \u00 \n""#,
                r#""\u001b \u000a \ud83d x \ude00 \\\u0041 \u00 \n""#,
            ),
        ];
        for (text, expected) in rows {
            assert_eq!(spelt(text), expected, "{text}");
        }
        assert_eq!(spelt_out(b"no escape of that kind \\n"), None);
        assert_eq!(spelt(r#""\u005cu0041""#), r#""A""#, "an escape may make another one");
    }

    proptest! {
        #[test]
        fn json_stays_json_and_means_the_same(text in "[a-z/\"é😀 \u{1b}]{0,20}") {
            let escaped: String = text
                .encode_utf16()
                .map(|unit| format!("\\u{unit:04x}"))
                .collect();
            let json = format!("{{\"k\":\"{escaped}\"}}");
            let back: Value = serde_json::from_str(&spelt(&json)).expect("JSON");
            prop_assert_eq!(&back["k"], &Value::from(text.as_str()));
            // The same in a document that is a string of another one.
            let outer = serde_json::to_string(&json).expect("JSON");
            let inner: String = serde_json::from_str(&spelt(&outer)).expect("JSON");
            let back: Value = serde_json::from_str(&inner).expect("JSON");
            prop_assert_eq!(&back["k"], &Value::from(text));
        }
    }
}
