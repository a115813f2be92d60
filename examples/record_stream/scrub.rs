//! Removes machine-specific and time-specific data from a recorded line, without parsing it: the rest stays verbatim.

use std::collections::HashMap;

/// Maps what is specific to one recording to fixed texts.
#[derive(Debug)]
pub(crate) struct Scrub {
    replacements: Vec<(String, String)>,
    uuids: HashMap<String, usize>,
}

impl Scrub {
    /// `replacements` are texts with their substitutes, the longer ones first where one contains another.
    pub(crate) fn new(replacements: Vec<(String, String)>) -> Self {
        Self { replacements, uuids: HashMap::new() }
    }

    /// The scrubbed line. Equal uuids stay equal within one scrubber.
    pub(crate) fn line(&mut self, raw: &str) -> String {
        let mut line = without_field(raw, "messaging_socket_path");
        for (from, to) in &self.replacements {
            line = line.replace(from, to);
        }
        self.uuids(&line)
    }

    fn uuids(&mut self, line: &str) -> String {
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(c) = rest.chars().next() {
            match rest.get(..36).filter(|candidate| is_uuid(candidate)) {
                Some(uuid) => {
                    let next = self.uuids.len() + 1;
                    let number = *self.uuids.entry(uuid.to_owned()).or_insert(next);
                    out.push_str(&format!("00000000-0000-4000-8000-{number:012}"));
                    rest = &rest[36..];
                }
                None => {
                    out.push(c);
                    rest = &rest[c.len_utf8()..];
                }
            }
        }
        out
    }
}

fn is_uuid(text: &str) -> bool {
    text.bytes().enumerate().all(|(i, b)| match i {
        8 | 13 | 18 | 23 => b == b'-',
        _ => b.is_ascii_hexdigit(),
    })
}

/// The object without this string field and one adjacent comma.
fn without_field(line: &str, name: &str) -> String {
    let key = format!("\"{name}\":\"");
    let Some(start) = line.find(&key) else {
        return line.to_owned();
    };
    let value = start + key.len();
    let Some(length) = line[value..].find('"') else {
        return line.to_owned();
    };
    let (head, tail) = (&line[..start], &line[value + length + 1..]);
    match (head.strip_suffix(','), tail.strip_prefix(',')) {
        (_, Some(tail)) => format!("{head}{tail}"),
        (Some(head), None) => format!("{head}{tail}"),
        (None, None) => format!("{head}{tail}"),
    }
}
