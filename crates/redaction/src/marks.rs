//! The marks that stand where a secret was, and how a registered value is kept apart from them.

use crate::MIN_VALUE_BYTES;
use crate::shapes::{STARTS, Shape};

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
pub(crate) fn is_piece_of_a_mark(value: &str) -> bool {
    marks().any(|mark| mark.contains(value))
}

/// The value without a beginning that ends a mark, or an end that begins one: beside a mark it would be found again, made
/// of the mark and of what is no secret. What is left out is known to everybody. A value of which too little would be
/// left is kept whole.
pub(crate) fn apart_from_marks(value: &str) -> &str {
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
