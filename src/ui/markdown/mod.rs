//! Shows a model's markdown on a terminal, line by line as it arrives.
//!
//! [`Stream`] cuts a growing text into [`Block`]s that never change again; [`Block::rows`] lays one out. A complete text takes
//! the same path, so it looks the same whether or not it was streamed.
//!
//! Pure and bounded: the cost of a line does not depend on the text before it.

mod inline;
mod stream;
mod table;

pub use stream::{Block, Stream};

use super::paint::Row;

/// An unfinished line in one row; open marks are treated as closed.
#[must_use]
pub fn unfinished(line: &str, columns: usize) -> Option<Row> {
    let mut line = line.trim_end().to_owned();
    for mark in ["`", "**"] {
        if line.matches(mark).count() % 2 == 1 {
            match line.strip_suffix(mark).map(str::len) {
                Some(bare) => line.truncate(bare),
                None => line.push_str(mark),
            }
        }
    }
    stream::line_rows(&line, columns).pop()
}

/// A complete text in rows of at most `columns`.
#[must_use]
pub fn rows(text: &str, columns: usize) -> Vec<Row> {
    let mut stream = Stream::new();
    let mut blocks = stream.push(text);
    blocks.extend(stream.finish());
    blocks.iter().flat_map(|block| block.rows(columns)).collect()
}
