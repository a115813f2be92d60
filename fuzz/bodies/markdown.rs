//! Markdown as it comes: the same blocks however the text is cut, and rows that hold nothing that acts on a terminal.

use ccc::ui::markdown::Stream;

/// Rows that are cut say so in words, which only long ones are.
const MOST_HELD_TO: usize = 2_000;

/// The first byte says how large the pieces are, the second how wide the terminal is.
pub(crate) fn check(data: &[u8]) {
    let [size, columns, text @ ..] = data else { return };
    let text = String::from_utf8_lossy(text);
    let mut whole = Stream::new();
    let mut blocks = whole.push(&text);
    blocks.extend(whole.finish());
    let mut pieces = Stream::new();
    let mut cut = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    for piece in chars.chunks(usize::from(*size).max(1)) {
        cut.extend(pieces.push(&piece.iter().collect::<String>()));
    }
    cut.extend(pieces.finish());
    assert_eq!(cut, blocks);
    let count = |text: &str, letter: char| text.chars().filter(|char| *char == letter).count();
    let mut shown = String::new();
    for block in blocks {
        for row in block.rows(usize::from(*columns).max(2)) {
            assert!(!row.text().chars().any(char::is_control));
            shown.push_str(&row.text());
        }
    }
    // An entity stands for another character; a link that is hidden is none that is shown twice.
    for letter in ('a'..='z').filter(|_| !text.contains('&') && text.len() < MOST_HELD_TO) {
        assert!(
            count(&shown, letter) <= count(&text, letter),
            "{letter} is shown more often than it was said: {shown}"
        );
    }
}
