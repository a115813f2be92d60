//! Keys that edit a text, and the rows that show it.

use super::super::composer::{Buffer, Draft};
use super::super::keys::{Code, Press};
use super::super::paint::{Colour, Look, Row, View};

/// The prompt before a text that is being edited.
const PROMPT: &str = "❯ ";

/// Applies a key to the text; `false` when the key edits nothing.
pub(in crate::ui) fn edit(buffer: &mut Buffer, press: Press) -> bool {
    let Press { code, ctrl, alt, .. } = press;
    match (code, ctrl, alt) {
        (Code::Char(c), false, false) => {
            buffer.insert(c.encode_utf8(&mut [0; 4]));
        }
        (Code::Enter, ..) | (Code::Char('j'), true, false) => {
            buffer.insert("\n");
        }
        (Code::Backspace, false, false) | (Code::Char('h'), true, false) => buffer.backspace(),
        (Code::Delete, false, false) | (Code::Char('d'), true, false) => buffer.delete(),
        (Code::Backspace, ..) | (Code::Char('w'), true, false) => buffer.kill_word_left(),
        (Code::Delete, ..) | (Code::Char('d'), false, true) => buffer.kill_word_right(),
        (Code::Left, false, false) | (Code::Char('b'), true, false) => buffer.left(),
        (Code::Right, false, false) | (Code::Char('f'), true, false) => buffer.right(),
        (Code::Left, ..) | (Code::Char('b'), false, true) => buffer.word_left(),
        (Code::Right, ..) | (Code::Char('f'), false, true) => buffer.word_right(),
        (Code::Home, true, _) | (Code::Char('<'), false, true) => buffer.start(),
        (Code::End, true, _) | (Code::Char('>'), false, true) => buffer.end(),
        (Code::Home, ..) | (Code::Char('a'), true, false) => buffer.line_start(),
        (Code::End, ..) | (Code::Char('e'), true, false) => buffer.line_end(),
        (Code::Char('u'), true, false) => buffer.kill_to_line_start(),
        (Code::Char('k'), true, false) => buffer.kill_to_line_end(),
        (Code::Char('y'), true, false) => {
            buffer.yank();
        }
        (Code::Char('_' | '7' | '/'), true, false) => buffer.undo(),
        (Code::Char('_' | '/'), true, true) => buffer.redo(),
        (
            Code::Char(_)
            | Code::Tab
            | Code::Insert
            | Code::Escape
            | Code::Up
            | Code::Down
            | Code::PageUp
            | Code::PageDown,
            ..,
        ) => {
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
