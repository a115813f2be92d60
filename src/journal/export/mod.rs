//! Ways out of a journal: a terminal recording, and a copy that may be shown to others.

pub mod asciicast;
pub mod fixture;
