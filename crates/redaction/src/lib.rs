//! Removes secrets from text and JSON before anything is written or shown: known token shapes, and exact values that
//! are registered at run time. It is a separate crate, so that the code behind this promise is small, has few
//! dependencies and can be mutation-tested in minutes (benches/README.md).

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

pub use marks::{MIN_VALUE_BYTES, mark_in};
pub use redactor::Redactor;
pub use shapes::begins_a_word;
pub use shared::SharedRedactor;
