//! A report in Markdown, for a terminal and for a pull request: at most 80 columns, except for commands.
//!
//! Texts of the run stand in fenced blocks or code spans, in which nothing is escaped, or have each character escaped that
//! Markdown or HTML would act on where it stands. A reader of the bare text sees few escapes.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;

use super::html::tokens;
use super::model::{FileTold, Report, RunState, Step, TestsTouched};
use super::text::{Excerpt, Text};
use super::words;
use crate::journal::RunKind;
use crate::patch::FileFate;
use crate::ui::{columns, format, rows};

/// The width.
pub(super) const COLUMNS: usize = 80;
/// How many bytes of a feedback are shown.
const FEEDBACK_BYTES: usize = 1_500;
/// How many bytes of a message of the user.
const ASKED_BYTES: usize = 3_000;
/// How many rows a list has at the most.
const ROWS: usize = 40;
/// The widest code span: a row of a list has room for it.
const SPAN_COLUMNS: usize = 70;
/// Stands for a space in a code span until its row is there, so that no row ends in one.
const KEPT_SPACE: char = '\u{a0}';

/// The report.
#[must_use]
pub fn markdown(report: &Report, zone: &TimeZone) -> String {
    let mut page = Page::default();
    let time = |at_ms: u64| format::time_of_day(report.run.started_unix_ms.saturating_add_unsigned(at_ms), zone);
    let state = words::state(report);
    page.heading(1, &format!("Run {}: {state}", escaped(report.run.id.as_str())));
    page.paragraph(&inline(&words::why(report)));
    if !report.incomplete.is_empty() {
        page.paragraph(&format!("**Not complete:** {}", inline(report.incomplete.as_str())));
    }
    let totals = &report.totals;
    let mut facts = vec![
        format!(
            "{} to {}, {}",
            format::date_and_time(report.run.started_unix_ms, zone),
            format::date_and_time(report.run.until_unix_ms, zone),
            format::seconds(report.run.elapsed_ms)
        ),
        format!(
            "{}, {}, {}",
            format::count(totals.iterations as usize, "iteration"),
            format::count(totals.restarts as usize, "restart"),
            format::count(totals.rotations as usize, "change") + " of the token"
        ),
        format!("cost {}; the critic {}", format::money(totals.cost_usd), words::critic_cost(report)),
        format!("{} tokens", tokens(words::both(report).total())),
    ];
    if totals.waited_ms > 0 {
        facts.push(format!("waited {} for limits", format::seconds(totals.waited_ms)));
    }
    if report.state == RunState::Ended {
        let right: Vec<String> = words::was_it_right(report).into_iter().map(|fact| fact.text).collect();
        facts.insert(0, right.join("; "));
    }
    page.list(facts);
    page.heading(2, "What was asked");
    for asked in report.asked.iter().take(ROWS) {
        page.block(&asked.text, ASKED_BYTES);
    }
    if let Some(verdict) = &report.verdict {
        page.heading(2, words::verdict_heading(report));
        let mark = words::verdict_mark(report);
        page.list(verdict.points.iter().map(|point| {
            let shown = if point.shown_by.is_empty() {
                String::new()
            } else {
                format!(": {}", inline(point.shown_by.as_str()))
            };
            format!("{mark} {}{shown}", inline(point.what.as_str()))
        }));
    }
    if report.run.kind == RunKind::Agent {
        page.heading(2, "What happened to tests");
        page.tests(&report.tests);
        if !report.protected.is_empty() {
            page.paragraph(&format!("Protected files: {}", inline(report.protected.as_str())));
        }
    }
    page.changed_files(report);
    if !report.iterations.is_empty() {
        page.heading(2, "The iterations");
    }
    for iteration in &report.iterations {
        let verdict = words::end_of(iteration);
        page.heading(
            3,
            &format!(
                "Iteration {} ({}): {verdict}",
                iteration.number,
                format::seconds(iteration.to_ms - iteration.from_ms)
            ),
        );
        page.list(iteration.checks.iter().map(|check| {
            let mark = if check.passed { "✓" } else { "✗" };
            format!("{mark} {}: {}", code(&check.command), inline(check.summary.as_str()))
        }));
        page.list(
            iteration
                .edits
                .iter()
                .take(ROWS)
                .map(|file| format!("{} +{} −{}", path(&file.path), file.added, file.removed)),
        );
        page.block(&iteration.feedback, FEEDBACK_BYTES);
    }
    if !report.interruptions.is_empty() {
        page.heading(2, "Restarts, other tokens, waits");
        page.list(report.interruptions.iter().take(ROWS).map(|it| {
            let took = it.took_ms.map(|ms| format!(" ({})", format::seconds(ms))).unwrap_or_default();
            let to = it.took_ms.map(|ms| format!("–{}", time(it.at_ms.saturating_add(ms)))).unwrap_or_default();
            format!("{}{to} {}{took}: {}", time(it.at_ms), it.kind.in_words(), inline(it.reason.as_str()))
        }));
        page.more(report.interruptions.len().saturating_sub(ROWS));
    }
    if !report.denied.is_empty() {
        page.heading(2, "What was denied");
        page.list(report.denied.iter().take(ROWS).map(|it| {
            let target = if it.target.is_empty() { String::new() } else { format!(" {}", code(&it.target)) };
            format!("{}{target}, {}", inline(it.tool.as_str()), format::count(it.times as usize, "time"))
        }));
        page.more(report.denied.len().saturating_sub(ROWS));
    }
    page.heading(2, "How to go on");
    page.steps(&report.go_on);
    if !report.undo.is_empty() {
        page.heading(2, "How to take it back");
        page.steps(&report.undo);
    }
    page.text
}

/// A file with what happened to it.
fn changed(file: &FileTold) -> String {
    let fate = match file.fate {
        FileFate::Changed => String::new(),
        FileFate::Added | FileFate::Removed | FileFate::Renamed => format!(" {}", file.fate.in_words()),
    };
    let from = if file.renamed_from.is_empty() { String::new() } else { format!(" from {}", path(&file.renamed_from)) };
    format!("{}{fate}{from} +{} −{}", path(&file.path), file.added, file.removed)
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn gap(&mut self) {
        if !self.text.is_empty() {
            self.text.push('\n');
        }
    }

    fn heading(&mut self, level: usize, words: &str) {
        self.gap();
        self.line(&format!("{} {words}", "#".repeat(level)));
    }

    fn paragraph(&mut self, text: &str) {
        self.gap();
        for row in rows::wrapped(text, COLUMNS) {
            self.line(&finished(&row));
        }
    }

    fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let mut is_first = true;
        for item in items {
            if std::mem::take(&mut is_first) {
                self.gap();
            }
            for (n, row) in rows::wrapped(&item, COLUMNS - 2).iter().enumerate() {
                self.line(&format!("{}{}", if n == 0 { "- " } else { "  " }, finished(row)));
            }
        }
    }

    fn more(&mut self, more: usize) {
        if more > 0 {
            self.paragraph(&format!("… {more} more"));
        }
    }

    fn tests(&mut self, tests: &TestsTouched) {
        if tests.findings.is_empty() {
            self.paragraph(words::no_tests(&tests.source));
            return;
        }
        self.paragraph(words::tests_source(&tests.source));
        self.list(tests.findings.iter().take(ROWS).map(|finding| {
            let lines: Vec<String> = finding.lines.iter().map(code).collect();
            let lines = if lines.is_empty() { String::new() } else { format!(" ({})", lines.join(", ")) };
            let touch = finding.touch.in_words();
            let touch = if finding.touch.is_suspicious() { format!("**{touch}**") } else { touch.to_owned() };
            format!("{touch}: {}{lines}", path(&finding.path))
        }));
        self.more((tests.findings.len() + tests.left_out).saturating_sub(ROWS));
    }

    /// The files that the run has changed: from checkpoints, else from the edits of the agent's tools.
    fn changed_files(&mut self, report: &Report) {
        if let Some(diff) = &report.diff {
            self.heading(2, "What changed");
            if diff.files.is_empty() {
                self.paragraph("No file differs from what it was before the run.");
            }
            self.list(diff.files.iter().take(ROWS).map(changed));
            self.more((diff.files.len() + diff.files_left_out).saturating_sub(ROWS));
            return;
        }
        let mut edits: BTreeMap<&Text, (usize, usize)> = BTreeMap::new();
        for file in report.iterations.iter().flat_map(|iteration| &iteration.edits) {
            let (added, removed) = edits.entry(&file.path).or_default();
            (*added, *removed) = (*added + file.added, *removed + file.removed);
        }
        if edits.is_empty() {
            return;
        }
        self.heading(2, "What the agent's tools changed");
        let files = edits.iter().take(ROWS);
        self.list(files.map(|(file, (added, removed))| format!("{} +{added} −{removed}", path(file))));
        self.more(edits.len().saturating_sub(ROWS));
    }

    /// A text as it is, in a fence that is longer than any in it.
    fn block(&mut self, text: &Excerpt, max_bytes: usize) {
        if text.is_empty() {
            return;
        }
        let mut text = text.clone();
        text.shrink(max_bytes);
        let fence = "`".repeat(3.max(ticks(text.text.as_str()).max(ticks(text.tail.as_str())) + 1));
        self.gap();
        self.line(&format!("{fence}text"));
        self.verbatim(&text.text);
        if text.left_out_chars > 0 {
            self.line(&format!("… {} …", words::left_out(&text)));
            self.verbatim(&text.tail);
        }
        self.line(&fence);
    }

    fn verbatim(&mut self, text: &Text) {
        for line in text.as_str().lines() {
            let rows = columns::wrap(line, COLUMNS);
            if rows.is_empty() {
                self.line("");
            }
            rows.iter().for_each(|row| self.line(row));
        }
    }

    fn steps(&mut self, steps: &[Step]) {
        for step in steps {
            self.paragraph(&inline(step.does.as_str()));
            if !step.command.is_empty() {
                self.gap();
                let fence = "`".repeat(3.max(ticks(step.command.as_str()) + 1));
                self.line(&format!("{fence}sh\n{}\n{fence}", step.command));
            }
        }
    }
}

/// The longest sequence of backticks.
fn ticks(text: &str) -> usize {
    text.split(|c| c != '`').map(str::len).max().unwrap_or_default()
}

/// A command or a line of code.
fn code(text: &Text) -> String {
    span(&columns::cut(text.as_str(), SPAN_COLUMNS))
}

/// A path, of which the end says most.
fn path(text: &Text) -> String {
    span(&columns::cut_front(text.as_str(), SPAN_COLUMNS))
}

/// A code span, with a fence that is not in it. A part of one that a row begins with could begin a block, so it has no place
/// where a row may end; beside wide characters every row may end.
fn span(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() || columns::of(text) != text.chars().count() {
        return escaped(text);
    }
    let fence = "`".repeat(ticks(text) + 1);
    // A backtick at a border would belong to the fence.
    let gap = if text.starts_with('`') || text.ends_with('`') { " " } else { "" };
    format!("{fence}{gap}{text}{gap}{fence}").replace([' ', '\n'], &KEPT_SPACE.to_string())
}

/// A text in one line: its code spans as such, and the rest escaped.
pub(super) fn inline(text: &str) -> String {
    let part = |(is_code, part): (bool, &str)| match is_code {
        true if columns::of(part) <= SPAN_COLUMNS => span(part),
        true | false => escaped(part),
    };
    words::spans(text).into_iter().map(part).collect()
}

/// Text in which Markdown sees no markup within a line.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut before = None;
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        let is_within_word = before.is_some_and(char::is_alphanumeric) && after.is_some_and(char::is_alphanumeric);
        let acts = match c {
            '`' | '[' | '<' | '$' => true,
            '_' => !is_within_word,
            // A home directory; before it stands nothing that it could end.
            '~' => after != Some('/') || before.is_some_and(|c| c != ' '),
            '*' => before != Some(' ') || after != Some(' '),
            '!' => after == Some('['),
            '&' => begins_entity(chars.clone()),
            // A row may end beside what is no letter, and a backslash there is a line end.
            '\\' => after.is_none_or(|c| !c.is_ascii_alphanumeric()),
            _ => false,
        };
        if acts {
            out.push('\\');
        }
        out.push(if c == '\n' { ' ' } else { c });
        before = Some(c);
    }
    out
}

/// Whether what follows an ampersand makes it a character reference.
fn begins_entity(mut after: impl Iterator<Item = char>) -> bool {
    after.find(|c| *c != '#' && !c.is_ascii_alphanumeric()) == Some(';')
}

/// A row: without markup that counts only at the beginning of a line, and with the spaces of its code spans.
pub(super) fn finished(row: &str) -> String {
    let row = row.trim_start();
    let digits = row.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = row.split_at(digits);
    let row = if !number.is_empty() && rest.starts_with(['.', ')']) {
        format!("{number}\\{rest}")
    } else if row.starts_with(['#', '+', '-', '=', ':', '>', '|']) || row.starts_with("* ") || row == "*" {
        format!("\\{row}")
    } else {
        row.to_owned()
    };
    row.replace(KEPT_SPACE, " ")
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::report::text::Washer;

    proptest::proptest! {
        #[test]
        fn no_text_of_a_run_becomes_markup(text in "(<img src=x>|!\\[a\\]\\(b\\)|\\[x\\]\\(y\\)|\\[x\\]: y|`{1,3}|\\*|\\*\\*|_|~|~~~|- |# |1\\. |==|> |&amp;|&#60;|\\||\\|--|\\\\|https|日|[a-z /]){0,30}") {
            let washer = Washer::default();
            let mut page = Page::default();
            page.paragraph(&inline(&text));
            page.list([inline(&text), format!("x {}, {}", code(&washer.text(&text)), path(&washer.text(&text)))]);
            page.block(&washer.excerpt(&text, 1_000), 1_000);
            let mut quoted = 0;
            for event in Parser::new_ext(&page.text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
                quoted += usize::from(matches!(event, Event::Start(Tag::CodeBlock(_))));
                let is_ours = matches!(
                    event,
                    Event::Text(_)
                        | Event::Code(_)
                        | Event::SoftBreak
                        | Event::Start(Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::CodeBlock(_))
                        | Event::End(TagEnd::Paragraph | TagEnd::List(false) | TagEnd::Item | TagEnd::CodeBlock)
                );
                assert!(is_ours, "{event:?} of {text:?} in\n{}", page.text);
            }
            assert!(quoted <= 1, "{}", page.text);
        }
    }

    #[test]
    fn a_reader_of_the_bare_text_sees_no_needless_escapes() {
        for plain in ["snake_case", "a > b, 5 * 3", "Done!", "~/src", "R&D", "C:\\dir", "x | y"] {
            assert_eq!(inline(plain), plain);
        }
        assert_eq!(
            finished(&inline("`cargo test --all_features` passes, 3 < 4")),
            "`cargo test --all_features` passes, 3 \\< 4"
        );
        assert_eq!(finished(&inline("a `` b ` c `` d")), "a ``b ` c`` d");
        assert_eq!(inline("an open ` and **bold**"), "an open \\` and \\*\\*bold\\*\\*");
        let washer = Washer::default();
        assert_eq!(finished(&path(&washer.text("src/my_file.rs"))), "`src/my_file.rs`");
        assert!(columns::of(&code(&washer.text(&"x ".repeat(100)))) <= SPAN_COLUMNS + 2);
    }
}
