//! The known kinds of secrets: their prefixes and lengths.

/// The prefixes of the known kinds of secrets. [`shape_at`] checks the rest.
pub(crate) const STARTS: [(&str, Shape); 23] = [
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
pub(crate) enum Shape {
    /// A prefix, then at least `min` characters of one alphabet.
    Run { kind: &'static str, prefix: usize, min: usize, alphabet: Alphabet },
    /// `sk-ant-…`, `sk-proj-…`, `sk-…`.
    Sk,
    /// `Bearer TOKEN`; only the token is replaced.
    Bearer,
    /// Two base64 JSON objects and a signature.
    Jwt,
    /// A PEM block, complete or cut off.
    PrivateKey,
}

impl Shape {
    const fn run(kind: &'static str, prefix: usize, min: usize, alphabet: Alphabet) -> Shape {
        Shape::Run { kind, prefix, min, alphabet }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Alphabet {
    /// Capitals and digits.
    Upper,
    /// Letters, digits, `_`.
    Word,
    /// Letters, digits, `_`, `-`.
    Dashed,
    /// The characters that RFC 6750 allows in a bearer token.
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

/// The length of a bearer token, including escaped slashes inside JSON.
fn bearer_run(bytes: &[u8]) -> usize {
    let mut len = Alphabet::Bearer.run(bytes);
    while bytes[len..].starts_with(b"\\/") {
        len += 2;
        len += Alphabet::Bearer.run(&bytes[len..]);
    }
    len
}

/// A token must have a digit within this many bytes; without one it counts as a name. The bound prevents quadratic
/// time in a long run with many prefixes.
const DIGIT_WITHIN_BYTES: usize = 128;

impl Alphabet {
    /// Whether at least `min` characters of this alphabet begin here.
    fn has_at_least(self, min: usize, bytes: &[u8]) -> bool {
        bytes.len() >= min && bytes[..min].iter().all(|&byte| self.has(byte))
    }
}

/// The end of the last measured run of [`Alphabet::Dashed`]: every later position in it has the same end.
#[derive(Default)]
pub(crate) struct DashedRun {
    to: usize,
    /// The run has no digit up to here.
    digitless_to: usize,
}

impl DashedRun {
    fn end_from(&mut self, bytes: &[u8], at: usize) -> usize {
        if at >= self.to {
            self.to = at + Alphabet::Dashed.run(&bytes[at..]);
        }
        self.to
    }

    /// Whether the run at `at` has a digit near its beginning; each byte is checked once.
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
pub(crate) struct Found {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) kind: &'static str,
}

pub(crate) fn shape_at(shape: Shape, bytes: &[u8], at: usize, floor: usize, dashed: &mut DashedRun) -> Option<Found> {
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
            // This prefix is unmistakable, so it also counts in the middle of a word.
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

/// The length of a PEM private key that begins here. Its lines may be separated by real line ends or by (repeatedly)
/// escaped ones; a key that is cut off counts as far as it goes.
fn private_key_len(rest: &[u8]) -> Option<usize> {
    const TITLE: &[u8] = b"PRIVATE KEY-----";
    const END: &[u8] = b"-----END ";
    let start = b"-----BEGIN ".len();
    let title = rest[start..].iter().take(32).position(|&byte| !(byte.is_ascii_uppercase() || byte == b' '))?;
    let header = start + title;
    // The run above excludes dashes, so the title ends where the run ends.
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

/// Whether a word begins at `at`. An escape such as `\n` before it ends the previous word although its last byte is a
/// letter; so does a mark that was just written (`floor`).
pub fn begins_a_word(bytes: &[u8], at: usize, floor: usize) -> bool {
    let before = &bytes[floor..at];
    match before {
        [] => true,
        [.., b'\\', b'n' | b'r' | b't' | b'b' | b'f'] => true,
        [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|x| x.is_ascii_hexdigit()) => true,
        [.., last] => !(last.is_ascii_alphanumeric() || *last == b'_'),
    }
}

#[cfg(test)]
mod tests {
    use super::bearer_run;

    #[test]
    fn a_bearer_token_goes_on_behind_each_escaped_slash() {
        for (bytes, len) in
            [(&br"abc def"[..], 3), (br"abc\/d ef", 6), (br"abcdef\/g\/hij\/ k", 16), (br"\/abc", 5), (br"abc\n", 3)]
        {
            assert_eq!(bearer_run(bytes), len, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
