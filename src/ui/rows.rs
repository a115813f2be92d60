//! Labelled rows of the banner and of the end, and commands that can be copied whole.

use super::clean;
use super::columns;
use super::style::{Ink, Style};
use crate::agent::AgentKind;

/// The width of a label with its indentation.
const LABEL: usize = 13;
/// The indentation of a command on a line of its own.
const COMMAND_INDENT: usize = 4;

/// How a command to be copied begins, besides an agent's program. Such a command ends a line, after a colon.
const PROGRAMS: [&str; 7] = ["ccc ", "cd ", "kill ", "npm ", "chmod ", "sudo ", "mv "];

fn is_command(text: &str) -> bool {
    let first = text.split_once(' ').map(|(first, _)| first);
    PROGRAMS.iter().any(|program| text.starts_with(program))
        || AgentKind::all().any(|kind| first == Some(kind.program()))
}

/// Breaks one clean line into rows of at most `columns`. If a command at its end does not fit into the row, it gets a
/// row of its own, whole.
pub(crate) fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let text = line.trim_end();
    let command =
        text.rfind(": ").map(|at| text.split_at(at + 1)).map(|(words, command)| (words, command.trim_start()));
    match command {
        Some((words, command)) if columns::of(text) > columns && is_command(command) => {
            let mut rows = columns::wrap(words, columns);
            let indent = if COMMAND_INDENT + columns::of(command) <= columns { COMMAND_INDENT } else { 0 };
            rows.push(format!("{:indent$}{command}", ""));
            rows
        }
        Some(_) | None => columns::wrap(text, columns),
    }
}

/// A message of ccc after a lead of this width, as rows without the lead. They are wrapped to a terminal of `columns`,
/// and not wrapped without one. Later rows are aligned under the first.
pub(crate) fn message(text: &str, lead: usize, columns: Option<u16>) -> Vec<String> {
    let Some(columns) = columns else { return text.split('\n').map(str::to_owned).collect() };
    let room = usize::from(columns).saturating_sub(lead);
    let rows = text.split('\n').flat_map(|line| wrapped(line, room));
    rows.enumerate()
        .map(|(at, row)| {
            // A word that is too long for the indented row is not indented, so that more of it stays on one row.
            let indent = if at == 0 || row.is_empty() || columns::of(&row) > room { 0 } else { lead };
            format!("{:indent$}{row}", "")
        })
        .collect()
}

/// A text of at most `max_chars` characters in its own lines, wrapped on a terminal so that `hang` columns stay free.
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
        .flat_map(|line| if style.live { wrapped(line, room) } else { vec![line.trim_end().to_owned()] })
        .collect()
}

/// A label and its value. Later rows of the value are aligned under the first.
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

/// A label and a command. If the command does not fit beside the label, it gets a line of its own, whole.
pub(super) fn command(style: Style, label: &str, command: &str) -> String {
    let command = clean::one_line(command, usize::MAX);
    if !style.live || LABEL + columns::of(&command) <= usize::from(style.columns) {
        return format!("{}{command}\n", style.paint(Ink::Dim, &format!("  {label:<11}")));
    }
    let fits = COMMAND_INDENT + columns::of(&command) <= usize::from(style.columns);
    let indent = if fits { COMMAND_INDENT } else { 0 };
    format!("{}\n{:indent$}{command}\n", style.paint(Ink::Dim, &format!("  {label}")), "")
}

#[cfg(test)]
mod tests {
    use super::{message, wrapped};

    #[test]
    fn a_command_at_the_end_stays_whole_on_a_row_of_its_own() {
        let text = "to continue the older one: ccc resume 20261127-084409-q3px -p \"use tabs\"";
        assert_eq!(wrapped(text, 90), [text]);
        assert_eq!(
            wrapped(text, 50),
            ["to continue the older one:", "    ccc resume 20261127-084409-q3px -p \"use tabs\""]
        );
        assert_eq!(
            wrapped(text, 30),
            ["to continue the older one:", "ccc resume 20261127-084409-q3px -p \"use tabs\""]
        );
        assert_eq!(wrapped("see: it breaks like any text", 12), ["see: it", "breaks like", "any text"]);
    }

    #[test]
    fn later_rows_of_a_message_stand_under_its_first() {
        assert_eq!(message("one two three", 6, Some(14)), ["one two", "      three"]);
        assert_eq!(message("one two three\nfour", 6, None), ["one two three", "four"]);
        assert_eq!(message("at /a/path/that/is/long", 6, Some(14)), ["at", "/a/path/that/is/long"]);
    }
}
