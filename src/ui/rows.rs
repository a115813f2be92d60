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
const PROGRAMS: [&str; 8] = ["cd ", "kill ", "npm ", "chmod ", "sudo ", "mv ", "rm ", "echo "];

/// The commands of ccc. A sentence may begin with the program's name, too: `ccc has found no credential`.
pub(crate) const COMMANDS: &[&str] = &[
    "resume",
    "night",
    "attach",
    "follow",
    "send",
    "interrupt",
    "pause",
    "continue",
    "answer",
    "stop",
    "setup",
    "supervise",
    "runs",
    "new",
    "list",
    "tree",
    "look",
    "diff",
    "checkpoints",
    "restore",
    "report",
    "merge",
    "status",
    "gc",
    "questions",
    "events",
    "wait",
    "watch",
    "status-line",
    "keeper",
    "notify",
    "kill",
    "nuke",
    "tokens",
    "providers",
    "replay",
    "trust",
    "export",
    "explain",
    "logs",
    "init",
    "prompt",
    "config",
    "doctor",
    "usage",
    "demo",
    "completions",
    "man",
    "help",
    "scripted-agent",
];

fn is_command(text: &str) -> bool {
    let first = text.split_once(' ').map(|(first, _)| first);
    is_of_ccc(text)
        || PROGRAMS.iter().any(|program| text.starts_with(program))
        || AgentKind::all().any(|kind| first == Some(kind.program()))
}

/// Whether the text begins with a command of ccc: one of its own, an option, or a provider's name.
fn is_of_ccc(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("ccc ") else { return false };
    let mut words = rest.split(' ');
    let first = words.next().unwrap_or_default();
    let word = first.trim_end_matches([';', ',']);
    let is_provider = word != first || words.next().is_none_or(|next| next == "--");
    word.starts_with('-') || COMMANDS.contains(&word) || is_provider
}

/// Where a command begins in a text, and where it ends: after a colon, and to the end; one of ccc up to a `;` or `,`
/// outside of quotes.
fn command_in(text: &str) -> Option<(usize, usize)> {
    let begins = text.match_indices(": ").map(|(at, colon)| at + colon.len());
    let mut begins = begins.map(|at| text.len() - text.get(at..).unwrap_or_default().trim_start().len());
    let from = begins.find(|at| text.get(*at..).is_some_and(is_command))?;
    if !text.get(from..).is_some_and(is_of_ccc) {
        return Some((from, text.len()));
    }
    let mut quote = None;
    let mut before = ' ';
    for (at, c) in text.char_indices().skip_while(|(at, _)| *at < from) {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if matches!(c, '\'' | '"') => quote = Some(c),
            None if c == ' ' && matches!(before, ';' | ',') => return Some((from, at - 1)),
            None => {}
        }
        before = c;
    }
    Some((from, text.len()))
}

/// Breaks one clean line into rows of at most `columns`. A command ends its row, without the `;` or `,` after it, so
/// that it can be copied. If it does not fit beside the words before it, it gets a row of its own, whole.
pub(crate) fn wrapped(line: &str, columns: usize) -> Vec<String> {
    let mut rows = Vec::new();
    let mut rest = line.trim_end();
    while let Some((from, to)) = command_in(rest) {
        let (sentence, after) = rest.split_at_checked(to).unwrap_or((rest, ""));
        let (words, command) = sentence.split_at_checked(from).unwrap_or((sentence, ""));
        if columns::of_shown(sentence) <= columns {
            rows.push(sentence.to_owned());
        } else {
            rows.append(&mut columns::wrap(words, columns));
            let indent = if COMMAND_INDENT + columns::of(command) <= columns { COMMAND_INDENT } else { 0 };
            rows.push(format!("{:indent$}{command}", ""));
        }
        rest = after.trim_start_matches([';', ',', ' ']);
        if rest.is_empty() {
            return rows;
        }
    }
    rows.append(&mut columns::wrap(rest, columns));
    rows
}

/// A text of ccc after a lead of this width, as rows without the lead: a message, or a line of data. They are wrapped to
/// a terminal of `columns`, and not wrapped without one. Later rows are aligned under the first.
pub(crate) fn message(text: &str, lead: usize, columns: Option<u16>) -> Vec<String> {
    let Some(columns) = columns else { return text.split('\n').map(str::to_owned).collect() };
    let room = usize::from(columns).saturating_sub(lead);
    let rows = text.split('\n').flat_map(|line| wrapped(line, room));
    rows.enumerate()
        .map(|(at, row)| {
            // A word that is too long for the indented row is not indented, so that more of it stays on one row.
            let indent = if at == 0 || row.is_empty() || columns::of_shown(&row) > room { 0 } else { lead };
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
        .flat_map(|line| if style.wraps { wrapped(line, room) } else { vec![line.trim_end().to_owned()] })
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
    if !style.wraps || LABEL + columns::of(&command) <= usize::from(style.columns) {
        return format!("{}{command}\n", style.paint(Ink::Dim, &format!("  {label:<11}")));
    }
    let fits = COMMAND_INDENT + columns::of(&command) <= usize::from(style.columns);
    let indent = if fits { COMMAND_INDENT } else { 0 };
    format!("{}\n{:indent$}{command}\n", style.paint(Ink::Dim, &format!("  {label}")), "")
}

#[cfg(test)]
mod tests {
    use super::{columns, message, wrapped};

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
    fn nothing_is_copied_with_a_command_and_none_is_broken() {
        let id = "20261127-084409-q3px";
        let table = [
            format!("to continue it: ccc resume {id}; to see why it ended: ccc explain {id}"),
            format!("the run continues; to attach again: ccc attach {id}"),
            format!("to say more: ccc resume {id} -p 'one; two, three'; to end it: ccc stop {id}, and then wait"),
            "type: ccc runs; all of them: two words, and a long sentence about them that has no end".to_owned(),
        ];
        let commands = |text: &str| -> Vec<String> {
            let parts = text.split(": ").filter(|part| part.starts_with("ccc "));
            parts.map(|part| part.split("; to ").next().unwrap_or_default().to_owned()).collect()
        };
        assert_eq!(
            wrapped(&table[0], 80),
            [format!("to continue it: ccc resume {id}"), format!("to see why it ended: ccc explain {id}")]
        );
        assert_eq!(
            wrapped(&table[2], 56),
            [
                "to say more:".to_owned(),
                format!("    ccc resume {id} -p 'one; two, three'"),
                format!("to end it: ccc stop {id}"),
                "and then wait".to_owned()
            ]
        );
        for text in &table {
            for columns in [20, 34, 40, 60, 80, 120] {
                let rows = wrapped(text, columns);
                for row in &rows {
                    let is_whole = row.trim_start().starts_with("ccc ") || !row.trim_start().contains(' ');
                    assert!(columns::of(row) <= columns || is_whole, "{columns}: {rows:#?}");
                    let ends_in_command = row.contains(": ccc ") || row.trim_start().starts_with("ccc ");
                    assert!(!ends_in_command || !row.ends_with([';', ',']), "{columns}: {rows:#?}");
                }
                for command in commands(text).iter().take(1) {
                    let command = command.split("; all").next().unwrap_or_default();
                    assert!(rows.iter().any(|row| row.ends_with(command)), "{command:?} in {columns}: {rows:#?}");
                }
            }
        }
        assert_eq!(message(&table[0], 8, None), [table[0].clone()], "a pipe gets the text as it is");
    }

    #[test]
    fn a_sentence_about_ccc_is_no_command() {
        for text in [
            "Failed: ccc has found no credential, and the agent has none; log in",
            "it ended: ccc starts it again, and again",
            "not started: claude is missing, or not executable; install it",
        ] {
            assert_eq!(wrapped(text, 200), [text]);
            assert_eq!(wrapped(text, 30).join(" "), text);
        }
        assert_eq!(wrapped("type: ccc local; or wait", 80), ["type: ccc local", "or wait"]);
        assert_eq!(wrapped("type: ccc local -- -p hi; or wait", 80), ["type: ccc local -- -p hi", "or wait"]);
    }

    #[test]
    fn colours_take_no_room() {
        let text = "\u{1b}[32mone\u{1b}[0m \u{1b}[31mtwo\u{1b}[0m three";
        assert_eq!(wrapped(text, 7), ["\u{1b}[32mone\u{1b}[0m \u{1b}[31mtwo\u{1b}[0m", "three"]);
    }

    #[test]
    fn later_rows_of_a_message_stand_under_its_first() {
        assert_eq!(message("one two three", 6, Some(14)), ["one two", "      three"]);
        assert_eq!(message("one two three\nfour", 6, None), ["one two three", "four"]);
        assert_eq!(message("at /a/path/that/is/long", 6, Some(14)), ["at", "/a/path/that/is/long"]);
    }
}
