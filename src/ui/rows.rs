//! Labelled rows of the banner and of the end, and commands that can be copied whole.

use super::clean;
use super::columns;
use super::style::{Ink, Style};

/// Columns of a label with its indentation.
const LABEL: usize = 13;
/// By how much a command on a line of its own is indented.
const COMMAND_INDENT: usize = 4;

/// A text in its own lines, on a terminal wrapped to what is left beside `hang` columns; at most so many characters.
pub(super) fn rows(style: Style, hang: usize, text: &str, max_chars: usize) -> Vec<String> {
    let text = text.trim_matches(['\n', '\r']).trim_end();
    let cut = text.char_indices().nth(max_chars).map_or(text.len(), |(at, _)| at);
    let mut shown = clean::lines(text.get(..cut).unwrap_or_default());
    if cut < text.len() {
        shown.push('…');
    }
    let room = usize::from(style.columns).saturating_sub(hang);
    shown
        .split('\n')
        .flat_map(|line| if style.live { columns::wrap(line, room) } else { vec![line.trim_end().to_owned()] })
        .collect()
}

/// A label and its value; later rows of the value stand under the first.
pub(super) fn labelled(style: Style, label: &str, value: &str, max_chars: usize) -> String {
    let mut out = style.paint(Ink::Dim, &format!("  {label:<11}"));
    for (at, row) in rows(style, LABEL, value, max_chars).iter().enumerate() {
        if at > 0 && !row.is_empty() {
            out.push_str(&" ".repeat(LABEL));
        }
        out.push_str(row);
        out.push('\n');
    }
    out
}

/// A label and a command. A command that does not fit beside its label stands whole on a line of its own.
pub(super) fn command(style: Style, label: &str, command: &str) -> String {
    let command = clean::one_line(command, usize::MAX);
    if !style.live || LABEL + columns::of(&command) <= usize::from(style.columns) {
        return format!("{}{command}\n", style.paint(Ink::Dim, &format!("  {label:<11}")));
    }
    let fits = COMMAND_INDENT + columns::of(&command) <= usize::from(style.columns);
    let indent = if fits { COMMAND_INDENT } else { 0 };
    format!("{}\n{:indent$}{command}\n", style.paint(Ink::Dim, &format!("  {label}")), "")
}
