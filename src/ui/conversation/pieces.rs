//! Pieces of the conversation, each printed once, and their rows.

use super::super::clean;
use super::super::columns;
use super::super::diff::{Change, Line};
use super::super::format::{count, span};
use super::super::markdown;
use super::super::paint::{Colour, Look, Row};
use super::super::requests::{Content, Words};
use crate::agent::{Asked, Edit, Hunk, TodoItem, ToolOutput};

/// Rows of a tool's output in folded form.
const OUTPUT_ROWS: usize = 3;
/// How many bytes of a tool's output are kept.
const OUTPUT_BYTES: usize = 4 * 1024;
/// How many bytes of either side of an edit are kept.
const EDIT_BYTES: usize = 16 * 1024;
/// Rows of a thought, of feedback and of a failed check's output in folded form.
const THOUGHT_ROWS: usize = 4;
const FEEDBACK_ROWS: usize = 3;
const CHECK_ROWS: usize = 12;
/// How many rows the last line of its output takes.
const RESULT_ROWS: usize = 4;
/// Rows of a command, of a field of a tool's input, and of a list in folded form. A command shows its first and last rows.
const ASKED_ROWS: usize = 24;
const TODO_ROWS: usize = 10;
/// Rows of a piece that is shown whole: no limit, because its content is bounded.
const WHOLE_ROWS: usize = usize::MAX;
/// How many consecutive empty lines are shown; more are counted.
const BLANK_LINES: usize = 2;
/// How many characters of a target or an error are shown.
const TARGET_CHARS: usize = 2_000;

/// Something that has happened and no longer changes.
#[derive(Debug, Clone, PartialEq)]
pub enum Piece {
    /// A message of the user.
    You(Box<str>),
    /// A text of the agent, in markdown.
    Said(Box<str>),
    /// A thought of the agent.
    Thought(Box<str>),
    /// A tool call that has ended.
    Call(Box<Call>),
    /// The result of one of the user's checks.
    Check(Box<Check>),
    /// The critic's feedback.
    Feedback(Box<str>),
    /// A request of the agent, as it is asked.
    Asked(Box<Asked>),
    /// The to-do list.
    Todo(Box<[TodoItem]>),
    /// A note: its kind, which decides its sign and colour, and its text.
    Note(Note, Box<str>),
}

/// The kind of a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Note {
    /// The user should know it.
    Warning,
    /// Nothing is wrong.
    Information,
    /// A success.
    Good,
    /// A failure.
    Bad,
    /// Something was decided or changed.
    Turn,
    /// An open question.
    Open,
    /// The answer to a step of a dialog.
    Picked,
}

/// A tool call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Call {
    /// The tool.
    pub name: String,
    /// Its target.
    pub target: String,
    /// The edit that it made.
    pub edit: Option<Edit>,
    /// What it changed, with the places in the file; empty while they are unknown.
    pub hunks: Vec<Hunk>,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
    /// Its output.
    pub output: Option<ToolOutput>,
    /// Its duration.
    pub took_ms: u64,
    /// How many calls its sub-agent made.
    pub inner: usize,
    /// Whether its change was shown when permission was asked: then it is folded.
    pub was_asked: bool,
}

/// The result of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The command.
    pub command: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why it failed.
    pub summary: String,
    /// Its duration.
    pub took_ms: u64,
    /// The end of its output.
    pub tail: String,
    /// It is a command of the setup.
    pub setup: bool,
}

impl Call {
    /// The call with its texts cut to what is kept.
    #[must_use]
    pub(super) fn bounded(mut self) -> Call {
        if let Some(output) = &mut self.output {
            output.head.truncate(output.head.floor_char_boundary(OUTPUT_BYTES));
            output.tail.truncate(output.tail.floor_char_boundary(OUTPUT_BYTES));
        }
        if let Some(edit) = self.edit.as_mut().filter(|edit| edit.old.len().max(edit.new.len()) > EDIT_BYTES) {
            edit.old.clear();
            edit.new.truncate(edit.new.floor_char_boundary(EDIT_BYTES));
        }
        self
    }
}

impl Note {
    fn lead(self) -> (&'static str, Look) {
        match self {
            Note::Warning => ("! ", Look::of(Colour::Yellow)),
            Note::Information => ("  ", Look::DIM),
            Note::Good => ("✓ ", Look::of(Colour::Green)),
            Note::Bad => ("✗ ", Look::of(Colour::Red)),
            Note::Turn => ("↻ ", Look::of(Colour::Yellow)),
            Note::Open => ("? ", Look::of(Colour::Yellow)),
            Note::Picked => ("→ ", Look::of(Colour::Cyan)),
        }
    }
}

impl Piece {
    /// Whether an empty row precedes it.
    #[must_use]
    pub fn stands_apart(&self) -> bool {
        match self {
            Piece::You(_) | Piece::Said(_) | Piece::Asked(_) | Piece::Feedback(_) | Piece::Todo(_) => true,
            Piece::Thought(_) | Piece::Call(_) | Piece::Check(_) | Piece::Note(..) => false,
        }
    }

    /// Its rows, at most `columns` wide except for what cannot be broken. `whole` includes folded rows.
    #[must_use]
    pub fn rows(&self, columns: usize, whole: bool) -> Vec<Row> {
        let most = |folded: usize| if whole { WHOLE_ROWS } else { folded };
        match self {
            Piece::You(text) => lines("❯ ", Look::of(Colour::Cyan), Look::BOLD, text, columns, most(200)),
            Piece::Said(text) => markdown::rows(text, columns),
            Piece::Thought(text) => lines("∴ ", Look::DIM, Look::DIM, text, columns, most(THOUGHT_ROWS)),
            Piece::Call(call) => call.rows(columns, whole),
            Piece::Check(check) => check.rows(columns, most(CHECK_ROWS)),
            Piece::Feedback(text) => {
                let lead = "the critic: ";
                let magenta = Look::of(Colour::Magenta);
                let mut rows = markdown::rows(text, columns.saturating_sub(2));
                let left = rows.len().saturating_sub(most(FEEDBACK_ROWS));
                rows.truncate(most(FEEDBACK_ROWS));
                // Where the first row has no room for the lead, the lead has a row of its own: broken once more, a word would stand alone.
                let beside = rows.first().is_some_and(|row| row.columns() + lead.len() <= columns);
                let mut shown: Vec<Row> = Vec::new();
                if !beside {
                    shown.push(Row::of(magenta, lead.trim_end()));
                }
                for (at, row) in rows.iter().enumerate() {
                    let mut line = Row::of(magenta, if at == 0 && beside { lead } else { "  " });
                    line.append(row);
                    shown.extend(line.wrapped(columns, &Row::of(Look::PLAIN, "  ")));
                }
                shown.extend(more(left, "  "));
                shown
            }
            Piece::Asked(asked) => asked_rows(asked, columns, whole),
            Piece::Todo(items) => {
                let shown = items.iter().take(most(TODO_ROWS));
                let mut rows: Vec<Row> = shown.flat_map(|item| todo_rows(item, columns)).collect();
                rows.extend(more(items.len().saturating_sub(most(TODO_ROWS)), "  "));
                rows
            }
            Piece::Note(note, text) => {
                let (lead, look) = note.lead();
                let text_look = if *note == Note::Information { Look::DIM } else { Look::PLAIN };
                lines(lead, look, text_look, text, columns, most(40))
            }
        }
    }
}

impl Call {
    /// Its tool and target in one row, while it runs and after it has ended.
    pub(super) fn head(&self) -> Row {
        let look = if self.error.is_some() { Look::of(Colour::Red) } else { Look::of(Colour::Green) };
        let mut row = Row::of(look, "● ").and(Look::BOLD, &clean::one_line(&self.name, 60));
        if !self.target.is_empty() {
            row.push(Look::PLAIN, &format!(" {}", clean::one_line(&self.target, TARGET_CHARS)));
        }
        row
    }

    fn rows(&self, columns: usize, whole: bool) -> Vec<Row> {
        let mut head = self.head();
        let mut about = Vec::new();
        let change = self.edit.as_ref().map(|edit| Change::made(edit, &self.hunks));
        if let Some(change) = &change {
            about.push(change.size().to_string());
        }
        if self.inner > 0 {
            about.push(count(self.inner, "call"));
        }
        if let Some(output) = self.output.as_ref().filter(|output| output.lines > 0 && change.is_none()) {
            about.push(count(usize::try_from(output.lines).unwrap_or(usize::MAX), "line"));
        }
        if self.took_ms >= 1_000 {
            about.push(span(self.took_ms));
        }
        let about = about.join(" · ");
        if !about.is_empty() {
            // Cut the target, so that the notes after it fit.
            head = head.cut(columns.saturating_sub(about.chars().count() + 3).max(8));
            head.push(Look::DIM, &format!(" · {about}"));
        }
        let mut rows = vec![head.cut(columns)];
        if let Some(error) = &self.error {
            rows.extend(lines("  ✗ ", Look::of(Colour::Red), Look::PLAIN, error, columns, 4));
            return rows;
        }
        if let Some(change) = &change {
            if whole || !self.was_asked {
                rows.extend(diff_rows(change, columns, whole));
            }
            return rows;
        }
        if let Some(output) = &self.output {
            rows.extend(if whole { whole_output(output, columns) } else { self.output_rows(output, columns) });
        }
        rows
    }

    /// A few rows of the output: the end of a command's, the beginning of a search's. A read file is identified by its name.
    fn output_rows(&self, output: &ToolOutput, columns: usize) -> Vec<Row> {
        let is_command = matches!(self.name.as_str(), "Bash" | "BashOutput" | "PowerShell");
        let text = if is_command && !output.tail.is_empty() { &output.tail } else { &output.head };
        let text = clean::lines(text.trim_end());
        let all: Vec<&str> = text.split('\n').filter(|line| !line.trim().is_empty()).collect();
        let (skipped, most) = match self.name.as_str() {
            "Read" | "NotebookRead" => (0, 0),
            _ if is_command => (all.len().saturating_sub(OUTPUT_ROWS), OUTPUT_ROWS),
            _ => (0, OUTPUT_ROWS),
        };
        let shown = all.iter().skip(skipped).take(most);
        shown.enumerate().map(|(at, line)| output_row(at, line).cut(columns)).collect()
    }
}

fn output_row(at: usize, line: &str) -> Row {
    Row::of(Look::DIM, if at == 0 { "  ⎿ " } else { "    " }).and(Look::DIM, line)
}

/// Everything that was kept of an output.
fn whole_output(output: &ToolOutput, columns: usize) -> Vec<Row> {
    let head = clean::lines(output.head.trim_end());
    let tail = clean::lines(output.tail.trim_end());
    let mut lines: Vec<&str> = head.lines().collect();
    if !tail.is_empty() {
        lines.push("… the part that is left out here is in the run's journal …");
        lines.extend(tail.lines());
    }
    let indent = Row::of(Look::PLAIN, "    ");
    lines.iter().enumerate().flat_map(|(at, line)| output_row(at, line).wrapped(columns, &indent)).collect()
}

/// The lines of an edit, each with its number where its place in the file is known. A gap between two hunks is marked.
fn diff_rows(change: &Change<'_>, columns: usize, whole: bool) -> Vec<Row> {
    let (lines, left) = if whole { change.all_lines() } else { change.lines(columns) };
    let digits = lines.iter().filter_map(|line| line.number).max().map_or(0, |last| last.to_string().len());
    let gap = if digits > 0 { 1 } else { 0 };
    let indent = Row::of(Look::PLAIN, &format!("   {:1$}", "", digits + gap));
    let mut rows = Vec::new();
    for (at, Line { sign, number, text }) in lines.into_iter().enumerate() {
        let look = match sign {
            '+' => Look::of(Colour::Green),
            '-' => Look::of(Colour::Red),
            '@' => Look::DIM,
            _ => Look::PLAIN,
        };
        if sign == '@' {
            if at > 0 {
                rows.push(Row::of(look, "  ⋮"));
            }
            continue;
        }
        let number = number.map(|number| format!("{number:digits$} ")).unwrap_or_default();
        let row = Row::of(Look::DIM, &format!("  {number}")).and(look, &format!("{sign}{text}"));
        if whole {
            rows.extend(row.wrapped(columns, &indent));
        } else {
            rows.push(row.cut(columns));
        }
    }
    rows.extend(more(left, "  "));
    rows
}

impl Check {
    fn rows(&self, columns: usize, most: usize) -> Vec<Row> {
        let (took, what) = (span(self.took_ms), if self.setup { "setup" } else { "check" });
        if self.passed {
            return lines(
                "✓ ",
                Look::of(Colour::Green),
                Look::PLAIN,
                &format!("{what} passed: {} ({took})", self.command),
                columns,
                4,
            );
        }
        let text = format!("{what} failed: {} ({took}): {}", self.command, self.summary);
        let mut rows = lines("✗ ", Look::of(Colour::Red), Look::PLAIN, text.trim_end_matches([':', ' ']), columns, 4);
        let tail = clean::lines(self.tail.trim_end());
        let skipped = tail.split('\n').count().saturating_sub(most);
        let shown: Vec<&str> = tail.split('\n').skip(skipped).filter(|line| !line.is_empty()).collect();
        let Some((result, before)) = shown.split_last() else { return rows };
        rows.extend(before.iter().map(|line| Row::of(Look::DIM, &format!("    {line}")).cut(columns)));
        // Mostly the last line has the result, and at its end.
        let result = columns::cut_front(result, columns.saturating_sub(4).saturating_mul(RESULT_ROWS));
        rows.extend(lines("    ", Look::DIM, Look::DIM, &result, columns, RESULT_ROWS));
        rows
    }
}

/// The rows of a to-do item.
pub(super) fn todo_rows(item: &TodoItem, columns: usize) -> Vec<Row> {
    let (lead, look) = match item.state.as_str() {
        "completed" => ("  ☑ ", Look { struck: true, ..Look::DIM }),
        "in_progress" => ("  ▸ ", Look::BOLD),
        _ => ("  ☐ ", Look::PLAIN),
    };
    lines(lead, Look::DIM, look, &item.text, columns, 2)
}

/// A request with everything that the user decides on. `whole` includes folded rows and all choices.
fn asked_rows(asked: &Asked, columns: usize, whole: bool) -> Vec<Row> {
    let open = Look::of(Colour::Yellow);
    let most = |folded: usize| if whole { WHOLE_ROWS } else { folded };
    let head = |text: &str| lines("? ", open, Look::BOLD, text, columns, most(4));
    let dim = |text: &str| lines("  ", Look::DIM, Look::DIM, text, columns, most(8));
    let Words { mut heading, content, .. } = Words::of(asked);
    let change = if let Content::Change(edit) = content { Some(Change::of(edit)) } else { None };
    if let (Content::Change(edit), Some(change)) = (content, &change) {
        heading.push_str(&format!(": {} · {}", edit.path, change.size()));
    }
    let mut rows = head(&heading);
    if asked.under.is_some() {
        rows.extend(dim("A sub-agent asks."));
    }
    if !asked.said.is_empty() && !names_path(asked) {
        rows.extend(lines("  ", Look::DIM, Look::PLAIN, &asked.said, columns, most(10)));
    }
    match content {
        Content::Change(_) => rows.extend(change.iter().flat_map(|change| diff_rows(change, columns, whole))),
        Content::Input => rows.extend(input_rows(asked, columns, whole)),
        Content::Text(text) => {
            for row in markdown::rows(text, columns.saturating_sub(2)) {
                let mut shown = Row::of(Look::DIM, "▏ ");
                shown.append(&row);
                rows.push(shown);
            }
        }
        Content::Nothing => {}
    }
    if !asked.reason.is_empty() {
        rows.extend(dim(&format!("asked because: {}", asked.reason)));
    }
    if let Some(ms) = asked.deny_in_ms {
        rows.extend(dim(&format!("denied in {} unless you answer", span(ms))));
    }
    if whole {
        rows.extend(choice_rows(asked, columns));
    }
    rows
}

/// Whether the agent's description of a change only names its file.
fn names_path(asked: &Asked) -> bool {
    asked.edit.as_ref().is_some_and(|edit| edit.path == asked.said || edit.path.ends_with(&format!("/{}", asked.said)))
}

/// The choices, with their full descriptions.
fn choice_rows(asked: &Asked, columns: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    if !asked.rules.is_empty() {
        let text = format!("yes, for this session: {}", asked.rules.join(", "));
        rows.extend(lines("  ", Look::DIM, Look::PLAIN, &text, columns, WHOLE_ROWS));
    }
    for question in &asked.questions {
        rows.extend(lines("? ", Look::DIM, Look::BOLD, &question.question, columns, WHOLE_ROWS));
        for option in &question.options {
            let text = format!("{}: {}", option.label, option.description);
            rows.extend(lines("  ", Look::DIM, Look::PLAIN, text.trim_end_matches([':', ' ']), columns, WHOLE_ROWS));
        }
    }
    rows
}

/// The fields of a tool's input: a command first, the others by their names.
fn input_rows(asked: &Asked, columns: usize, whole: bool) -> Vec<Row> {
    let cyan = Look::of(Colour::Cyan);
    let most = if whole { WHOLE_ROWS } else { ASKED_ROWS };
    let fields = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&asked.input);
    let mut rows = Vec::new();
    if let Ok(fields) = fields {
        for (name, value) in &fields {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if name == "description" && text == asked.said {
                // It is shown above.
            } else if name == "command" {
                rows.splice(0..0, middle_folded("    ", cyan, &text, columns, most));
            } else {
                let lead = format!("    {}: ", clean::one_line(name, 40));
                rows.extend(middle_folded(&lead, Look::PLAIN, &text, columns, most));
            }
        }
    } else {
        let text = if asked.input.is_empty() { &asked.target } else { &asked.input };
        rows = middle_folded("    ", cyan, text, columns, most);
    }
    if asked.input_is_cut {
        let text =
            format!("! the input is longer than {} KiB: its end cannot be shown", Asked::MAX_INPUT_BYTES / 1_024);
        rows.extend(lines("    ", Look::DIM, Look::of(Colour::Yellow), &text, columns, 2));
    }
    rows
}

/// Folds the middle of a text, because both the beginning and the end of a command matter. Empty lines are counted, so that they
/// cannot push anything out of sight.
fn middle_folded(lead: &str, look: Look, text: &str, columns: usize, most: usize) -> Vec<Row> {
    let text = clean::lines(text.trim_matches(['\n', '\r']).trim_end());
    let mut squeezed: Vec<String> = Vec::new();
    let mut blank = 0;
    for line in text.split('\n').chain(["."]) {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        if blank > BLANK_LINES {
            squeezed.push(format!("… {}", count(blank, "empty line")));
        } else {
            squeezed.extend(std::iter::repeat_n(String::new(), blank));
        }
        blank = 0;
        squeezed.push(line.to_owned());
    }
    squeezed.pop();
    let mut rows = lines(lead, Look::DIM, look, &squeezed.join("\n"), columns, usize::MAX);
    if rows.len() > most {
        let (head, tail) = (most / 2, most - most / 2);
        let left = rows.len() - head - tail;
        rows.splice(head..head + left, more(left, "    "));
    }
    rows
}

/// A text in its own lines after a lead, wrapped at words; later rows are aligned under the first. Rows beyond `most` are
/// counted.
pub(super) fn lines(lead: &str, lead_look: Look, look: Look, text: &str, columns: usize, most: usize) -> Vec<Row> {
    let text = clean::lines(text.trim_matches(['\n', '\r']).trim_end());
    let first = Row::of(lead_look, lead);
    let indent = Row::of(Look::PLAIN, &" ".repeat(first.columns().min(4)));
    let mut rows = Vec::new();
    let mut left = 0;
    for line in text.split('\n') {
        if rows.len() >= most {
            left += 1;
            continue;
        }
        let mut row = if rows.is_empty() { first.clone() } else { indent.clone() };
        row.push(look, line);
        rows.extend(row.wrapped(columns, &indent));
    }
    if rows.len() > most {
        left += rows.len() - most;
        rows.truncate(most);
    }
    rows.extend(more(left, &indent.text()));
    rows
}

/// The row that says how many lines are hidden.
fn more(left: usize, indent: &str) -> Option<Row> {
    (left > 0).then(|| Row::of(Look::DIM, &format!("{indent}… {} (Ctrl-O shows all)", count(left, "more line"))))
}
