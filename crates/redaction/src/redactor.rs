//! The search for secrets, and their replacement.

use std::borrow::Cow;
use std::fmt;

use aho_corasick::{AhoCorasick, Input as Haystack, MatchKind};

use crate::marks::{MIN_VALUE_BYTES, apart_from_marks, is_piece_of_a_mark};
use crate::shapes::{DashedRun, Found, STARTS, shape_at};
use crate::spelling::spelt_out;
use crate::strings::StringScan;

/// Removes secrets from text and JSON: known token shapes, and exact values registered at run time.
///
/// A secret becomes `[redacted:KIND]`. The work is one pass with a multi-pattern search for the prefixes of secrets,
/// so text without any costs little more than reading it. The output depends only on the input, and redaction is
/// idempotent: replay compares redacted actions.
///
/// JSON escapes (`\u0041`, `\/`, surrogate pairs) hide nothing, even in JSON inside JSON: a secret in the decoded
/// text is replaced, and the text around it then has its escapes decoded.
///
/// Not found: a secret that is split (by a line end or by truncation before redaction), or in another encoding
/// (base64). Shapes need a minimum length, so that prose about tokens stays readable.
#[derive(Clone)]
pub struct Redactor {
    /// `None` means that every position is tried: slow, but complete.
    starts: Option<AhoCorasick>,
    values: Vec<Value>,
}

/// A registered secret, and its forms inside a JSON string.
#[derive(Clone)]
struct Value {
    raw: Vec<u8>,
    escaped: Vec<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Text,
    Json,
}

impl Default for Redactor {
    fn default() -> Self {
        Redactor::new()
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("values", &self.values.len()).finish_non_exhaustive()
    }
}

impl Redactor {
    /// A redactor of the known shapes.
    #[must_use]
    pub fn new() -> Redactor {
        Redactor { starts: automaton(&[]), values: Vec::new() }
    }

    /// A redactor of the known shapes and of these exact values (see [`Redactor::register`]).
    #[must_use]
    pub fn with_values<'a>(values: impl IntoIterator<Item = &'a str>) -> Redactor {
        let mut redactor = Redactor { starts: None, values: Vec::new() };
        for value in values {
            redactor.add(value);
        }
        redactor.starts = automaton(&redactor.values);
        redactor
    }

    /// Registers another exact value, and returns whether it will be redacted. Values shorter than [`MIN_VALUE_BYTES`],
    /// and those that are a part of a mark, are not accepted.
    pub fn register(&mut self, value: &str) -> bool {
        let known = self.add(value);
        self.starts = automaton(&self.values);
        known
    }

    /// Why [`Redactor::register`] does not accept this value, as text for the user that does not quote it; `None`
    /// when it does.
    #[must_use]
    pub fn cannot_hide(value: &str) -> Option<String> {
        let value = apart_from_marks(value.trim());
        if value.len() < MIN_VALUE_BYTES {
            Some(format!("it is shorter than {MIN_VALUE_BYTES} bytes"))
        } else if is_piece_of_a_mark(value) {
            Some("it is a piece of the mark that takes a secret's place".to_owned())
        } else {
            None
        }
    }

    fn add(&mut self, value: &str) -> bool {
        if Self::cannot_hide(value).is_some() {
            return false;
        }
        let value = apart_from_marks(value.trim());
        if self.values.iter().all(|known| known.raw != value.as_bytes()) {
            self.values.push(Value { raw: value.as_bytes().to_vec(), escaped: escaped_forms(value) });
        }
        true
    }

    /// Removes secrets from plain text (a log line, a message).
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.replace(text.as_bytes(), Mode::Text) {
            None => Cow::Borrowed(text),
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The last bytes of a stream as text, without secrets. The cut may have removed the beginning of a secret, whose
    /// rest cannot be recognized. A cut tail therefore begins with its first whole line, or with its first whole word
    /// if it is a single line.
    #[must_use]
    pub fn tail(&self, tail: &[u8], is_cut: bool) -> String {
        let whole = match (is_cut, memchr::memchr(b'\n', tail)) {
            (false, _) => tail,
            (true, Some(line_end)) => &tail[line_end + 1..],
            (true, None) => {
                let word_end = tail.iter().position(u8::is_ascii_whitespace).unwrap_or(tail.len());
                &tail[word_end..]
            }
        };
        self.text(&String::from_utf8_lossy(whole)).into_owned()
    }

    /// Removes secrets from a JSON document, or from lines of documents. Valid JSON stays valid, because only the
    /// inside of strings changes. Returns whether anything was replaced.
    pub fn json(&self, json: &mut Vec<u8>) -> bool {
        match self.replace(json, Mode::Json) {
            None => false,
            Some(bytes) => {
                *json = bytes;
                true
            }
        }
    }

    /// [`Redactor::json`] for a document in a string, for example an agent's line.
    #[must_use]
    pub fn json_str<'a>(&self, json: &'a str) -> Cow<'a, str> {
        match self.replace(json.as_bytes(), Mode::Json) {
            None => Cow::Borrowed(json),
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The bytes with their secrets replaced; `None` when there are none.
    fn replace(&self, bytes: &[u8], mode: Mode) -> Option<Vec<u8>> {
        let plain = self.replace_as_written(bytes, mode);
        let spelt = spelt_out(plain.as_deref().unwrap_or(bytes));
        spelt.and_then(|spelt| self.replace_as_written(&spelt, mode)).or(plain)
    }

    fn replace_as_written(&self, bytes: &[u8], mode: Mode) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        let mut strings = StringScan::default();
        let mut dashed = DashedRun::default();
        // Everything before `copied` is in `out`; no later secret may begin before it.
        let mut copied = 0;
        let mut look_from = 0;
        while let Some(at) = self.next_start(bytes, look_from) {
            look_from = at + 1;
            if mode == Mode::Json && !strings.is_inside(bytes, at) {
                continue;
            }
            let Some(mut found) = self.secret_at(bytes, at, copied, &mut dashed, mode) else {
                continue;
            };
            self.widen(bytes, at, &mut found, &mut strings, mode);
            let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
            out.extend_from_slice(&bytes[copied..found.from]);
            out.extend_from_slice(b"[redacted:");
            out.extend_from_slice(found.kind.as_bytes());
            out.push(b']');
            copied = found.to;
            look_from = found.to;
            strings.skip_to(found.to);
        }
        out.map(|mut out| {
            out.extend_from_slice(&bytes[copied..]);
            out
        })
    }

    /// Extends the match to a registered value that begins inside it and ends after it, because otherwise the value's
    /// end would remain. Only positions at which such a value can begin are checked, each once, so the time stays
    /// linear.
    fn widen(&self, bytes: &[u8], at: usize, found: &mut Found, strings: &mut StringScan, mode: Mode) {
        let longest = self.values.iter().map(Value::longest).max().unwrap_or_default();
        let mut here = at + 1;
        while longest > 0 && here < found.to {
            if here >= found.from {
                here = here.max((found.to + 1).saturating_sub(longest));
            }
            if (mode == Mode::Text || strings.is_inside(bytes, here))
                && let Some(len) = self.value_at(bytes, here, mode)
            {
                found.from = found.from.min(here);
                found.to = found.to.max(here + len);
            }
            here += 1;
        }
    }

    fn next_start(&self, bytes: &[u8], from: usize) -> Option<usize> {
        match &self.starts {
            Some(starts) => starts.find(Haystack::new(bytes).range(from..)).map(|hit| hit.start()),
            None => (from < bytes.len()).then_some(from),
        }
    }

    /// The secret that begins at `at`, if any: the longer of a shape and a registered value.
    fn secret_at(&self, bytes: &[u8], at: usize, floor: usize, dashed: &mut DashedRun, mode: Mode) -> Option<Found> {
        let shape = STARTS
            .iter()
            .filter(|(start, _)| bytes[at..].starts_with(start.as_bytes()))
            .find_map(|(_, shape)| shape_at(*shape, bytes, at, floor, dashed));
        let value = self.value_at(bytes, at, mode).map(|len| Found { from: at, to: at + len, kind: "value" });
        match (shape, value) {
            (Some(shape), Some(value)) if value.to > shape.to => Some(value),
            (Some(shape), _) => Some(shape),
            (None, value) => value,
        }
    }

    /// The length of the longest registered value at `at`.
    fn value_at(&self, bytes: &[u8], at: usize, mode: Mode) -> Option<usize> {
        self.values.iter().filter_map(|value| value.match_len(&bytes[at..], mode)).max()
    }
}

impl Value {
    fn longest(&self) -> usize {
        self.escaped.iter().map(Vec::len).fold(self.raw.len(), usize::max)
    }

    fn match_len(&self, bytes: &[u8], mode: Mode) -> Option<usize> {
        // A document that was cut off is text, but contains the value in its JSON form.
        let raw = (mode == Mode::Text && bytes.starts_with(&self.raw)).then_some(self.raw.len());
        raw.or_else(|| self.escaped.iter().find(|form| bytes.starts_with(form)).map(Vec::len))
    }
}

/// The automaton that finds the prefixes of secrets; `None` when megabytes of registered values exceed its limits.
fn automaton(values: &[Value]) -> Option<AhoCorasick> {
    let fixed = STARTS.iter().map(|(start, _)| start.as_bytes());
    let own = values.iter().flat_map(|value| std::iter::once(&value.raw).chain(&value.escaped)).map(Vec::as_slice);
    AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(fixed.chain(own)).ok()
}

/// The spellings of a value inside a JSON string: with and without escaped slashes.
fn escaped_forms(value: &str) -> Vec<Vec<u8>> {
    let quoted = serde_json::Value::String(value.to_owned()).to_string();
    let plain = quoted[1..quoted.len() - 1].to_owned();
    let mut forms = vec![plain.clone().into_bytes()];
    if plain.contains('/') {
        forms.push(plain.replace('/', "\\/").into_bytes());
    }
    forms
}

#[cfg(test)]
mod tests {
    use super::Redactor;

    /// Megabytes of registered values can exceed the limits of the automaton.
    #[test]
    fn without_an_automaton_every_place_is_tried() {
        let mut redactor = Redactor::with_values(["hunter2hunter2"]);
        redactor.starts = None;
        let text = "an hunter2hunter2, ghp_0123456789abcdefABCDEF0123 and hunter2hunter2";
        assert_eq!(redactor.text(text), "an [redacted:value], [redacted:github] and [redacted:value]");
        assert_eq!(redactor.text("no secret"), "no secret");
        assert_eq!(redactor.json_str("\"hunter2hunter2\""), "\"[redacted:value]\"");
    }
}
