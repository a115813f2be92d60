//! Keys that edit a text, and the rows that show it.

use super::super::composer::{Buffer, Draft};
use super::super::keys::Code::{
    Backspace, Char, Delete, Down, End, Enter, Escape, Home, Insert, Left, PageDown, PageUp, Right, Tab, Up,
};
use super::super::keys::Press;
use super::super::paint::{Colour, Look, Row, View};

/// The prompt before a text that is being edited.
const PROMPT: &str = "❯ ";

/// Applies a key to the text; `false` when the key edits nothing.
pub(in crate::ui) fn edit(buffer: &mut Buffer, press: Press) -> bool {
    let Press { code, ctrl, alt, .. } = press;
    match (code, ctrl, alt) {
        (Char(c), false, false) => {
            buffer.insert(c.encode_utf8(&mut [0; 4]));
        }
        (Enter, ..) | (Char('j'), true, false) => {
            buffer.insert("\n");
        }
        (Backspace, false, false) | (Char('h'), true, false) => buffer.backspace(),
        (Delete, false, false) | (Char('d'), true, false) => buffer.delete(),
        (Backspace, ..) | (Char('w'), true, false) => buffer.kill_word_left(),
        (Delete, ..) | (Char('d'), false, true) => buffer.kill_word_right(),
        (Left, false, false) | (Char('b'), true, false) => buffer.left(),
        (Right, false, false) | (Char('f'), true, false) => buffer.right(),
        (Left, ..) | (Char('b'), false, true) => buffer.word_left(),
        (Right, ..) | (Char('f'), false, true) => buffer.word_right(),
        (Home, true, _) | (Char('<'), false, true) => buffer.start(),
        (End, true, _) | (Char('>'), false, true) => buffer.end(),
        (Home, ..) | (Char('a'), true, false) => buffer.line_start(),
        (End, ..) | (Char('e'), true, false) => buffer.line_end(),
        (Char('u'), true, false) => buffer.kill_to_line_start(),
        (Char('k'), true, false) => buffer.kill_to_line_end(),
        (Char('y'), true, false) => {
            buffer.yank();
        }
        (Char('_' | '7' | '/'), true, false) => buffer.undo(),
        (Char('_' | '/'), true, true) => buffer.redo(),
        (Char(_) | Tab | Insert | Escape | Up | Down | PageUp | PageDown, ..) => {
            return false;
        }
    }
    true
}

/// A draft after its prompt and the words that say what is asked for, in at most `most` rows that include the cursor's.
pub(in crate::ui) fn framed(draft: Draft, words: &str, most: usize) -> View {
    let most = most.max(1);
    let (column, row) = draft.cursor;
    let first = (row + 1).saturating_sub(most).min(draft.rows.len().saturating_sub(most));
    let lead = format!("{PROMPT}{words}");
    let width = super::super::columns::of(&lead);
    let mut rows = Vec::new();
    for (at, text) in draft.rows.iter().enumerate().skip(first).take(most) {
        let lead = if at == 0 { lead.clone() } else { " ".repeat(width) };
        let mut shown = Row::of(Look::of(Colour::Cyan), &lead);
        shown.append(text);
        rows.push(shown);
    }
    let place = |at: usize| u16::try_from(at).unwrap_or(u16::MAX);
    View { rows, cursor: (place(column + width), place(row - first)), ..View::default() }
}
