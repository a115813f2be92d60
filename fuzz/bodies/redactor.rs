//! The redactor: a registered secret never survives, in text or in JSON, and valid JSON stays valid.

use redaction::{MIN_VALUE_BYTES, Redactor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bytes::Bytes;

/// So much of a secret in one piece is a leak.
const LEAK_BYTES: usize = MIN_VALUE_BYTES;

/// A byte that no text holds.
const NO_TEXT: u8 = 0xff;

/// What stands around secrets, and what begins secrets of other kinds.
const PIECES: [&str; 24] = [
    " ",
    "\n",
    "\"",
    "\\",
    "/",
    "a",
    "key=",
    "sk-ant-api03-",
    "sk-",
    "0123456789abcdef0123",
    "ghp_",
    "Bearer ",
    "bearer ",
    "eyJhbGciOiJI",
    ".eyJzdWIiOiIx",
    ".",
    "-----BEGIN PRIVATE KEY-----\n",
    "-----END PRIVATE KEY-----",
    "[redacted:",
    "value]",
    "é",
    "\u{1}",
    "AKIA",
    "xoxb-",
];

/// The first bytes make up to three secrets, the rest a text out of them, of their beginnings and ends, and of [`PIECES`].
pub(crate) fn check(data: &[u8]) {
    raw_json(data);
    let mut bytes = Bytes::new(data);
    let mut redactor = Redactor::new();
    let mut secrets: Vec<String> = Vec::new();
    for _ in 0..=bytes.below(3) {
        let secret = bytes.text(40).trim().to_owned();
        if redactor.register(&secret) {
            secrets.push(secret);
        }
    }
    let text = compose(&mut bytes, &secrets);
    let clean = redactor.text(&text).into_owned();
    no_piece_left(&text, &clean, &secrets);
    assert_eq!(redactor.text(&clean), clean, "twice is as once");

    // As one string of a document, and as one in a document in a string: a tool's result that holds JSON.
    let one = Value::from(text.as_str()).to_string();
    let back = in_json(&redactor, &one);
    no_piece_left(&text, back.as_str().expect("a string stays a string"), &secrets);
    let slashed = one.replace('/', "\\/");
    let back = in_json(&redactor, &slashed);
    no_piece_left(&text, back.as_str().expect("a string stays a string"), &secrets);
    let document = serde_json::json!({ "a": [text, 1, true], text.as_str(): null }).to_string();
    in_json(&redactor, &document);
    // A document that was cut off is text.
    let torn = redactor.text(&one[..one.len() - 1]).into_owned();
    let escaped: Vec<String> = secrets.iter().map(|secret| Value::from(secret.as_str()).to_string()).collect();
    let inner: Vec<String> = escaped.iter().map(|quoted| quoted[1..quoted.len() - 1].to_owned()).collect();
    no_piece_left(&one[..one.len() - 1], &torn, &inner);
}

fn compose(bytes: &mut Bytes<'_>, secrets: &[String]) -> String {
    let mut text = String::new();
    while !bytes.is_empty() && text.len() < 2_000 {
        match (bytes.byte(), secrets.is_empty()) {
            (0..=63, false) => text.push_str(&secrets[bytes.below(secrets.len())]),
            (64..=95, false) => {
                let secret = &secrets[bytes.below(secrets.len())];
                text.push_str(&secret[..secret.floor_char_boundary(bytes.below(secret.len()))]);
            }
            (96..=127, false) => {
                let secret = &secrets[bytes.below(secrets.len())];
                text.push_str(&secret[secret.ceil_char_boundary(bytes.below(secret.len()))..]);
            }
            (128..=159, _) => text.push_str(&bytes.text(12)),
            (_, _) => text.push_str(bytes.one_of(&PIECES)),
        }
    }
    text
}

/// Whatever is JSON stays JSON of the same shape.
fn raw_json(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if serde_json::from_str::<&RawValue>(text).is_ok() {
        let value = "hunter2hunter2";
        in_json(&Redactor::with_values([value]), text);
    }
}

fn in_json(redactor: &Redactor, json: &str) -> Value {
    let clean = redactor.json_str(json).into_owned();
    assert!(serde_json::from_str::<&RawValue>(&clean).is_ok(), "{json} became {clean}");
    assert_eq!(redactor.json_str(&clean), clean, "twice is as once");
    let mut bytes = json.as_bytes().to_vec();
    redactor.json(&mut bytes);
    assert_eq!(bytes, clean.as_bytes(), "one way is as the other");
    serde_json::from_str(&clean).unwrap_or_default()
}

/// No piece of a secret that a reader could use is in `clean`, unless it stands in `text` outside the secrets.
fn no_piece_left(text: &str, clean: &str, secrets: &[String]) {
    let mut covered = vec![false; text.len()];
    for secret in secrets {
        let mut from = 0;
        while let Some(at) = text[from..].find(secret.as_str()) {
            covered[from + at..from + at + secret.len()].fill(true);
            from = text.ceil_char_boundary(from + at + 1);
        }
    }
    let outside: Vec<u8> =
        text.bytes().zip(&covered).map(|(byte, covered)| if *covered { NO_TEXT } else { byte }).collect();
    let clean_bytes = without_marks(clean);
    let has = |haystack: &[u8], piece: &[u8]| haystack.windows(piece.len()).any(|window| window == piece);
    for piece in secrets.iter().flat_map(|secret| secret.as_bytes().windows(LEAK_BYTES)) {
        if has(&clean_bytes, piece) && !has(&outside, piece) {
            panic!("a piece of a secret is left: {:?} of {text:?} in {clean:?}", String::from_utf8_lossy(piece));
        }
    }
}

/// The text with a byte that is none of it for each of our own marks.
fn without_marks(clean: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = clean;
    while let Some((before, mark)) = rest.split_once("[redacted:") {
        let word = mark.find(|char: char| !char.is_ascii_lowercase() && char != '-').unwrap_or(mark.len());
        out.extend_from_slice(before.as_bytes());
        match mark[word..].strip_prefix(']') {
            Some(after) => {
                out.push(NO_TEXT);
                rest = after;
            }
            None => {
                out.extend_from_slice(b"[redacted:");
                rest = mark;
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    out
}
