//! The text that a user writes: whatever the keys, it is drawn with its cursor, which stands
//! between characters; what is undone can be done again, and undoing gives the beginning back.

use ccc::ui::composer::{Buffer, TEXT_LIMIT_BYTES};

use super::bytes::Bytes;

pub(crate) fn check(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let columns = 2 + bytes.below(80);
    let mut buffer = Buffer::new();
    let mut steps = 0;
    while !bytes.is_empty() && steps < 400 {
        steps += 1;
        let step = bytes.below(22);
        match step {
            0 => buffer.left(),
            1 => buffer.right(),
            2 => buffer.word_left(),
            3 => buffer.word_right(),
            4 => drop(buffer.up(columns)),
            5 => drop(buffer.down(columns)),
            6 => buffer.line_start(),
            7 => buffer.line_end(),
            8 => buffer.start(),
            9 => buffer.end(),
            10 => buffer.backspace(),
            11 => buffer.delete(),
            12 => buffer.kill_word_left(),
            13 => buffer.kill_word_right(),
            14 => buffer.kill_to_line_start(),
            15 => buffer.kill_to_line_end(),
            16 => drop(buffer.yank()),
            17 => buffer.undo(),
            18 => buffer.redo(),
            19 => drop(buffer.paste(&bytes.text(60).repeat(20))),
            20 => drop(buffer.insert_folded("[image]", &bytes.text(20))),
            _ => drop(buffer.insert(&bytes.text(12))),
        }
        assert!(buffer.text().is_char_boundary(buffer.cursor()));
        // The cursor stands where one can come to: between what is seen as one character.
        let mut moved = buffer.clone();
        moved.left();
        if moved.cursor() < buffer.cursor() {
            moved.right();
            assert_eq!(moved.cursor(), buffer.cursor(), "the cursor stands inside a character");
        }
        // What was just done is undone and done again.
        if matches!(step, 10..=16 | 19..) {
            let mut again = buffer.clone();
            again.undo();
            if again.content() != buffer.content() {
                again.redo();
                assert_eq!(again.content(), buffer.content(), "what is done again is what was undone");
            }
        }
        let draft = buffer.draft(columns);
        assert!(draft.cursor.1 < draft.rows.len());
        assert!(buffer.content().len() <= TEXT_LIMIT_BYTES);
    }
    for _ in 0..400 {
        buffer.undo();
    }
    let first = buffer.content();
    buffer.undo();
    assert_eq!(buffer.content(), first, "there is a first step");
}
