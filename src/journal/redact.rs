use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use aho_corasick::{AhoCorasick, Input as Haystack, MatchKind};

use super::spelling::spelt_out;

/// The shortest exact value that [`Redactor::register`] takes: a shorter one would tear ordinary text apart.
pub const MIN_VALUE_BYTES: usize = 8;

/// Takes secrets out of text and JSON: known token shapes, and exact values registered at run time.
///
/// A secret becomes `[redacted:KIND]`. The work is one pass with a multi-pattern search for the beginnings of
/// secrets, so text without any costs little more than being read. The same input always gives the same output,
/// and doing it twice gives the same as once: replay compares redacted actions.
///
/// Escapes of JSON (`\u0041`, `\/`, surrogate pairs) hide nothing, also where JSON stands in JSON: what is
/// a secret once it is decoded is replaced, and the text around it then stands with its escapes spelt out.
///
/// Not found: a secret cut in two (by a line end or by truncation before redaction), or written in an encoding of
/// its own (base64). Shapes ask for a minimal length, so that prose about tokens stays readable.
#[derive(Clone)]
pub struct Redactor {
    /// Without it every position is tried: slow, but nothing gets through.
    starts: Option<AhoCorasick>,
    values: Vec<Value>,
}

/// One redactor for many threads, which can learn more values while they run.
#[derive(Debug, Clone, Default)]
pub struct SharedRedactor(Arc<RwLock<Arc<Redactor>>>);

impl SharedRedactor {
    /// With what this one knows.
    #[must_use]
    pub fn new(redactor: Redactor) -> SharedRedactor {
        SharedRedactor(Arc::new(RwLock::new(Arc::new(redactor))))
    }

    /// As it is now.
    #[must_use]
    pub fn now(&self) -> Arc<Redactor> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this one is used.
    pub fn replace(&self, redactor: Redactor) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(redactor);
    }
}

/// A registered secret, and how it looks inside a JSON string.
#[derive(Clone)]
struct Value {
    raw: Vec<u8>,
    escaped: Vec<Vec<u8>>,
}

/// How a known kind of secret begins. Everything after is decided by [`shape_at`].
const STARTS: [(&str, Shape); 23] = [
    ("sk-", Shape::Sk),
    ("sk_live_", Shape::run("stripe", 8, 16, Alphabet::Word)),
    ("rk_live_", Shape::run("stripe", 8, 16, Alphabet::Word)),
    ("ghp_", Shape::run("github", 4, 20, Alphabet::Word)),
    ("gho_", Shape::run("github", 4, 20, Alphabet::Word)),
    ("ghu_", Shape::run("github", 4, 20, Alphabet::Word)),
    ("ghs_", Shape::run("github", 4, 20, Alphabet::Word)),
    ("ghr_", Shape::run("github", 4, 20, Alphabet::Word)),
    ("github_pat_", Shape::run("github", 11, 20, Alphabet::Word)),
    ("glpat-", Shape::run("gitlab", 6, 20, Alphabet::Dashed)),
    ("npm_", Shape::run("npm", 4, 30, Alphabet::Word)),
    ("hf_", Shape::run("huggingface", 3, 30, Alphabet::Word)),
    ("AKIA", Shape::run("aws", 4, 16, Alphabet::Upper)),
    ("ASIA", Shape::run("aws", 4, 16, Alphabet::Upper)),
    ("AIza", Shape::run("google", 4, 35, Alphabet::Dashed)),
    ("ya29.", Shape::run("google", 5, 20, Alphabet::Dashed)),
    ("xoxa-", Shape::run("slack", 5, 10, Alphabet::Dashed)),
    ("xoxb-", Shape::run("slack", 5, 10, Alphabet::Dashed)),
    ("xoxp-", Shape::run("slack", 5, 10, Alphabet::Dashed)),
    ("Bearer ", Shape::Bearer),
    ("bearer ", Shape::Bearer),
    ("eyJ", Shape::Jwt),
    ("-----BEGIN ", Shape::PrivateKey),
];

#[derive(Clone, Copy)]
enum Shape {
    /// A prefix, then at least `min` characters of one alphabet.
    Run { kind: &'static str, prefix: usize, min: usize, alphabet: Alphabet },
    /// `sk-ant-…`, `sk-proj-…`, `sk-…`.
    Sk,
    /// `Bearer TOKEN`; only the token goes.
    Bearer,
    /// Two base64 JSON objects and a signature.
    Jwt,
    /// A PEM block, as far as it goes.
    PrivateKey,
}

impl Shape {
    const fn run(kind: &'static str, prefix: usize, min: usize, alphabet: Alphabet) -> Shape {
        Shape::Run { kind, prefix, min, alphabet }
    }
}

#[derive(Clone, Copy)]
enum Alphabet {
    /// Capitals and digits.
    Upper,
    /// Letters, digits, `_`.
    Word,
    /// Letters, digits, `_`, `-`.
    Dashed,
    /// What RFC 6750 allows in a bearer token.
    Bearer,
}

impl Alphabet {
    fn has(self, byte: u8) -> bool {
        match self {
            Alphabet::Upper => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
            Alphabet::Word => byte.is_ascii_alphanumeric() || byte == b'_',
            Alphabet::Dashed => byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-',
            Alphabet::Bearer => byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte),
        }
    }

    fn run(self, bytes: &[u8]) -> usize {
        bytes.iter().position(|&byte| !self.has(byte)).unwrap_or(bytes.len())
    }
}

/// The length of a bearer token, also of one inside JSON whose slashes are escaped.
fn bearer_run(bytes: &[u8]) -> usize {
    let mut len = Alphabet::Bearer.run(bytes);
    while bytes[len..].starts_with(b"\\/") {
        len += 2;
        len += Alphabet::Bearer.run(&bytes[len..]);
    }
    len
}

/// How far into a token is looked for a digit before it is taken for a name. Bounded, so that a long run full of
/// beginnings of tokens does not take quadratic time.
const DIGIT_WITHIN_BYTES: usize = 128;

impl Alphabet {
    /// Whether at least `min` characters of this alphabet begin here.
    fn has_at_least(self, min: usize, bytes: &[u8]) -> bool {
        bytes.len() >= min && bytes[..min].iter().all(|&byte| self.has(byte))
    }
}

/// The end of the last run of [`Alphabet::Dashed`] that was measured: every later beginning in it has the same end.
#[derive(Default)]
struct DashedRun {
    to: usize,
    /// Up to here the run was looked through, and had no digit.
    digitless_to: usize,
}

impl DashedRun {
    fn end_from(&mut self, bytes: &[u8], at: usize) -> usize {
        if at >= self.to {
            self.to = at + Alphabet::Dashed.run(&bytes[at..]);
        }
        self.to
    }

    /// [`Alphabet::has_digit`] of the run that `at` stands in, each place looked at once.
    fn has_digit_from(&mut self, bytes: &[u8], at: usize) -> bool {
        let within = bytes.len().min(at + DIGIT_WITHIN_BYTES);
        let from = at.max(self.digitless_to);
        let stops = |&byte: &u8| byte.is_ascii_digit() || !Alphabet::Dashed.has(byte);
        let stop = bytes.get(from..within).and_then(|rest| rest.iter().position(stops));
        self.digitless_to = stop.map_or(within.max(from), |step| from + step);
        stop.is_some_and(|step| bytes[from + step].is_ascii_digit())
    }
}

/// A secret's place, relative to the whole input.
struct Found {
    from: usize,
    to: usize,
    kind: &'static str,
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
        let mut redactor = Redactor::new();
        for value in values {
            redactor.add(value);
        }
        redactor.starts = automaton(&redactor.values);
        redactor
    }

    /// Registers one more exact value; gives whether it will be redacted. Values shorter than [`MIN_VALUE_BYTES`],
    /// and those that are a piece of our own mark, are not taken.
    pub fn register(&mut self, value: &str) -> bool {
        let known = self.add(value);
        self.starts = automaton(&self.values);
        known
    }

    /// Why [`Redactor::register`] does not take this value, for the user and without quoting it; `None` when it does.
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

    /// Takes secrets out of plain text (a log line, a message).
    #[must_use]
    pub fn text<'a>(&self, text: &'a str) -> Cow<'a, str> {
        match self.replace(text.as_bytes(), Mode::Text) {
            None => Cow::Borrowed(text),
            Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
        }
    }

    /// The text of the last bytes of a stream, without secrets. What was cut off in front of a tail may have been the
    /// beginning of one, of which nobody can tell the rest: a cut tail begins with its first whole line, or with its
    /// first whole word when it is all of one line.
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

    /// Takes secrets out of a JSON document, or of lines of them, and leaves valid JSON valid: only the inside of
    /// strings is touched. Gives whether anything was replaced.
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

    /// `None` when there is nothing to replace.
    fn replace(&self, bytes: &[u8], mode: Mode) -> Option<Vec<u8>> {
        let plain = self.replace_as_written(bytes, mode);
        let spelt = spelt_out(plain.as_deref().unwrap_or(bytes));
        spelt.and_then(|spelt| self.replace_as_written(&spelt, mode)).or(plain)
    }

    fn replace_as_written(&self, bytes: &[u8], mode: Mode) -> Option<Vec<u8>> {
        let mut out: Option<Vec<u8>> = None;
        let mut strings = StringScan::default();
        let mut dashed = DashedRun::default();
        // Everything before `copied` is in `out`; a secret may not begin before it.
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

    /// A registered value that begins in what was found and goes on behind it would leave its end: all of it goes.
    /// Looked for only where such a value can begin, and each place once, so that the time stays linear.
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

    /// The secret that begins at `at`, when one does: the longest of a shape and the values.
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

    /// The length of the longest registered value that stands at `at`.
    fn value_at(&self, bytes: &[u8], at: usize, mode: Mode) -> Option<usize> {
        self.values.iter().filter_map(|value| value.match_len(&bytes[at..], mode)).max()
    }
}

impl Value {
    fn longest(&self) -> usize {
        self.escaped.iter().map(Vec::len).fold(self.raw.len(), usize::max)
    }

    fn match_len(&self, bytes: &[u8], mode: Mode) -> Option<usize> {
        // A document that was cut off is text, too, with the value as it stands in JSON.
        let raw = (mode == Mode::Text && bytes.starts_with(&self.raw)).then_some(self.raw.len());
        raw.or_else(|| self.escaped.iter().find(|form| bytes.starts_with(form)).map(Vec::len))
    }
}

/// Finds the beginnings of secrets; `None` when megabytes of registered values exceed the automaton's limits.
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

/// A mark that stands in this text in the place of a secret, for example `[redacted:github]`.
#[must_use]
pub fn mark_in(text: &str) -> Option<String> {
    marks().find(|mark| text.contains(mark.as_str()))
}

/// Every mark that this module writes.
fn marks() -> impl Iterator<Item = String> {
    let kinds = STARTS.iter().map(|(_, shape)| match shape {
        Shape::Run { kind, .. } => kind,
        Shape::Sk => "anthropic",
        Shape::Bearer => "bearer",
        Shape::Jwt => "jwt",
        Shape::PrivateKey => "private-key",
    });
    kinds.chain(["openai", "value"]).map(|kind| format!("[redacted:{kind}]"))
}

/// A value inside our own mark would be replaced again and again.
fn is_piece_of_a_mark(value: &str) -> bool {
    marks().any(|mark| mark.contains(value))
}

/// The value without a beginning that ends a mark, or an end that begins one: beside a mark it would be found again, made
/// of the mark and of what is no secret. What is left out is known to everybody. A value of which too little would be
/// left is kept whole.
fn apart_from_marks(value: &str) -> &str {
    let marks: Vec<String> = marks().collect();
    let mut apart = value;
    loop {
        let cuts = || apart.char_indices().map(|(at, char)| at + char.len_utf8());
        let front = cuts().filter(|&to| marks.iter().any(|mark| mark.ends_with(&apart[..to]))).max();
        let back = cuts().map(|to| apart.len() - to).filter(|&at| apart.is_char_boundary(at));
        let back = back.filter(|&at| marks.iter().any(|mark| mark.starts_with(&apart[at..]))).min();
        match (front, back) {
            (Some(to), _) => apart = &apart[to..],
            (None, Some(at)) => apart = &apart[..at],
            (None, None) => break,
        }
    }
    if apart.len() < MIN_VALUE_BYTES { value } else { apart }
}

fn shape_at(shape: Shape, bytes: &[u8], at: usize, floor: usize, dashed: &mut DashedRun) -> Option<Found> {
    let rest = &bytes[at..];
    let word = begins_a_word(bytes, at, floor);
    let found = |from: usize, len: usize, kind| Some(Found { from: at + from, to: at + from + len, kind });
    match shape {
        Shape::Run { kind, prefix, min, alphabet } => {
            let body = &rest[prefix..];
            if !word || !alphabet.has_at_least(min, body) {
                return None;
            }
            found(0, prefix + alphabet.run(body), kind)
        }
        Shape::Sk => {
            let body = &rest[3..];
            // Unmistakable, so also in the middle of a word.
            if body.starts_with(b"ant-") && Alphabet::Dashed.has_at_least(14, body) {
                return found(0, 3 + Alphabet::Dashed.run(body), "anthropic");
            }
            // Kebab-case names have no digits; keys of this length always do.
            if word && Alphabet::Dashed.has_at_least(20, body) && dashed.has_digit_from(bytes, at + 3) {
                return found(0, 3 + Alphabet::Dashed.run(body), "openai");
            }
            None
        }
        Shape::Bearer => {
            let token = &rest[7..];
            let len = bearer_run(token);
            if word && len >= 16 && token[..len.min(DIGIT_WITHIN_BYTES)].iter().any(u8::is_ascii_digit) {
                return found(7, len, "bearer");
            }
            None
        }
        Shape::Jwt => {
            if !word {
                return None;
            }
            let head = dashed.end_from(bytes, at) - at;
            let body = rest.get(head + 1..)?;
            if head < 10 || rest[head] != b'.' || !body.starts_with(b"eyJ") {
                return None;
            }
            let end = head + 1 + Alphabet::Dashed.run(body);
            let signature = match rest.get(end) {
                Some(b'.') => 1 + Alphabet::Dashed.run(&rest[end + 1..]),
                Some(_) | None => 0,
            };
            found(0, end + signature, "jwt")
        }
        Shape::PrivateKey => found(0, private_key_len(rest)?, "private-key"),
    }
}

/// The length of a PEM private key that begins here. Its lines may be joined by real line ends or by escaped ones,
/// once or more often; a key cut off in the middle counts as far as it goes.
fn private_key_len(rest: &[u8]) -> Option<usize> {
    const TITLE: &[u8] = b"PRIVATE KEY-----";
    const END: &[u8] = b"-----END ";
    let start = b"-----BEGIN ".len();
    let title = rest[start..].iter().take(32).position(|&byte| !(byte.is_ascii_uppercase() || byte == b' '))?;
    let header = start + title;
    // The dashes are not in the run above, so the title's words end where it ends.
    if !rest[..header].ends_with(b"PRIVATE KEY") || !rest[header..].starts_with(b"-----") {
        return None;
    }
    let mut at = header + 5;
    let mut key_characters = 0;
    while let Some(&byte) = rest.get(at) {
        match byte {
            b'-' if rest[at..].starts_with(END) => {
                let title = rest[at + END.len()..]
                    .iter()
                    .position(|&byte| !(byte.is_ascii_uppercase() || byte == b' '))
                    .unwrap_or(0);
                let after = at + END.len() + title;
                if rest[after..].starts_with(b"-----") && rest[..after].ends_with(&TITLE[..11]) {
                    at = after + 5;
                }
                break;
            }
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' | b'=' => {
                key_characters += 1;
                at += 1;
            }
            b' ' | b'\n' | b'\r' | b'\t' | b'-' | b',' | b':' => at += 1,
            b'\\' => match rest.get(at + 1) {
                Some(b'n' | b'r' | b't' | b'\\' | b'/') => at += 2,
                _ => break,
            },
            _ => break,
        }
    }
    (key_characters >= 32).then_some(at)
}

/// Whether the character before `at` cannot belong to the same word. An escape such as `\n` before it ends a word,
/// although its last byte is a letter; so does a mark that we just put there (`floor`).
pub(super) fn begins_a_word(bytes: &[u8], at: usize, floor: usize) -> bool {
    let before = &bytes[floor..at];
    match before {
        [] => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => true,
        [.., last] => !(last.is_ascii_alphanumeric() || *last == b'_'),
    }
}

/// Follows the strings of a JSON text, only as far as it is asked.
#[derive(Default)]
struct StringScan {
    at: usize,
    inside: bool,
}

impl StringScan {
    /// Whether a character of a string begins at `at` (and not the middle of an escape). Calls go forward only.
    fn is_inside(&mut self, bytes: &[u8], at: usize) -> bool {
        while self.at < at {
            let Some(step) = memchr::memchr2(b'"', b'\\', &bytes[self.at..at]) else {
                self.at = at;
                break;
            };
            let here = self.at + step;
            if bytes[here] == b'"' {
                self.inside = !self.inside;
                self.at = here + 1;
            } else {
                let escape = if bytes.get(here + 1) == Some(&b'u') { 6 } else { 2 };
                self.at = here + escape;
            }
        }
        self.inside && self.at == at
    }

    /// Goes on after a secret, which never holds the end of a string.
    fn skip_to(&mut self, at: usize) {
        self.at = self.at.max(at);
    }
}
