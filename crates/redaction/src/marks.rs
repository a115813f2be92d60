//! The marks that replace secrets, and how registered values are kept distinct from them.

use crate::shapes::{STARTS, Shape};

/// The shortest exact value that [`crate::Redactor::register`] accepts; shorter ones would also match ordinary text.
pub const MIN_VALUE_BYTES: usize = 8;

/// The first mark in this text, for example `[redacted:github]`.
#[must_use]
pub fn mark_in(text: &str) -> Option<String> {
    marks().find(|mark| text.contains(mark.as_str()))
}

/// Every mark that this crate writes.
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

/// Whether the value is a part of a mark; such a value would be replaced again and again.
pub(crate) fn is_piece_of_a_mark(value: &str) -> bool {
    marks().any(|mark| mark.contains(value))
}

/// The value without a beginning that ends a mark, or an end that begins one. Next to a mark the whole value would be
/// found again, composed of the mark and of text that is not secret. The removed part is public. A value is kept
/// whole if too little would be left.
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
