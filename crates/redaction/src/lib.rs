//! Takes secrets out of text and JSON before anything is written or shown: known token shapes, and exact values that are
//! registered at run time. A crate of its own, so that what the promise rests on is small, depends on little and can be
//! mutation-tested in minutes (benches/README.md).

mod marks;
mod redactor;
#[cfg(test)]
mod samples;
mod shapes;
mod shared;
mod spelling;
mod strings;
#[cfg(test)]
mod tests;

pub use marks::mark_in;
pub use redactor::{MIN_VALUE_BYTES, Redactor};
pub use shapes::begins_a_word;
pub use shared::SharedRedactor;
