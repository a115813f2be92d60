//! A report in Markdown, for a terminal and for a pull request: at most 80 columns, except for commands.
//!
//! Texts of the run stand in fenced blocks, or have every character escaped that Markdown or HTML would act on.

use jiff::tz::TimeZone;

use super::html::tokens;
use super::model::{Report, Step};
use super::text::{Excerpt, Text};
use super::words;
use crate::ui::{columns, format, rows};

/// The width.
pub(super) const COLUMNS: usize = 80;
/// How many bytes of a feedback are shown.
const FEEDBACK_BYTES: usize = 1_500;
/// How many bytes of a message of the user.
const ASKED_BYTES: usize = 3_000;
/// How many rows a list has at the most.
const ROWS: usize = 40;

/// The report.
#[must_use]
pub fn markdown(report: &Report, zone: &TimeZone) -> String {
    let mut page = Page::default();
    let time = |at_ms: u64| format::time_of_day(report.run.started_unix_ms.saturating_add_unsigned(at_ms), zone);
    let state = words::state(report);
    page.heading(1, &format!("Run {}: {state}", escaped(report.run.id.as_str())));
    page.paragraph(&escaped(&words::why(report)));
    if !report.incomplete.is_empty() {
        page.paragraph(&format!("**Not complete:** {}", escaped(report.incomplete.as_str())));
    }
    let totals = &report.totals;
    let mut facts = vec![
        format!(
            "{} to {}, {}",
            format::date_and_time(report.run.started_unix_ms, zone),
            format::date_and_time(report.run.until_unix_ms, zone),
            format::seconds(report.timeline.end_ms)
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
                format!(": {}", escaped(point.shown_by.as_str()))
            };
            format!("{mark} {}{shown}", escaped(point.what.as_str()))
        }));
    }
    if !report.tests.findings.is_empty() {
        page.heading(2, "What happened to tests");
        page.paragraph(words::tests_source(report.tests.source));
        page.list(report.tests.findings.iter().take(ROWS).map(|finding| {
            let lines: Vec<String> = finding.lines.iter().map(code).collect();
            let touch = finding.touch.in_words();
            let touch = if finding.touch.is_suspicious() { format!("**{touch}**") } else { touch.to_owned() };
            format!("{touch}: {} {}", code(&finding.path), lines.join(", "))
        }));
        page.more((report.tests.findings.len() + report.tests.left_out).saturating_sub(ROWS));
    }
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
            format!("{mark} {}: {}", code(&check.command), escaped(check.summary.as_str()))
        }));
        page.list(
            iteration
                .edits
                .iter()
                .take(ROWS)
                .map(|file| format!("{} +{} −{}", code(&file.path), file.added, file.removed)),
        );
        page.block(&iteration.feedback, FEEDBACK_BYTES);
    }
    if !report.interruptions.is_empty() {
        page.heading(2, "Restarts, other tokens, waits");
        page.list(report.interruptions.iter().take(ROWS).map(|it| {
            let took = it.took_ms.map(|ms| format!(", {}", format::seconds(ms))).unwrap_or_default();
            format!("{} {}{took}: {}", time(it.at_ms), it.kind.in_words(), escaped(it.reason.as_str()))
        }));
        page.more(report.interruptions.len().saturating_sub(ROWS));
    }
    if !report.denied.is_empty() {
        page.heading(2, "What was denied");
        page.list(report.denied.iter().take(ROWS).map(|it| {
            format!("{} {}, {}", escaped(it.tool.as_str()), code(&it.target), format::count(it.times as usize, "time"))
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
            self.line(&at_line_start(&row));
        }
    }

    fn list(&mut self, items: impl IntoIterator<Item = String>) {
        let mut is_first = true;
        for item in items {
            if std::mem::take(&mut is_first) {
                self.gap();
            }
            for (n, row) in rows::wrapped(&item, COLUMNS - 2).iter().enumerate() {
                self.line(&format!("{}{}", if n == 0 { "- " } else { "  " }, at_line_start(row)));
            }
        }
    }

    fn more(&mut self, more: usize) {
        if more > 0 {
            self.paragraph(&format!("… {more} more"));
        }
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
            self.paragraph(&escaped(step.does.as_str()));
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

/// A path, a command or a line of code. It is no code span: a row of one that is broken could begin a block.
fn code(text: &Text) -> String {
    escaped(text.as_str())
}

/// Text in which Markdown sees no markup within a line.
pub(super) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '~' | '|' | '!' | '$' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// The row, without markup that counts only at the beginning of a line.
pub(super) fn at_line_start(row: &str) -> String {
    let row = row.trim_start();
    let digits = row.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = row.split_at(digits);
    if !number.is_empty() && rest.starts_with(['.', ')']) {
        return format!("{number}\\{rest}");
    }
    if row.starts_with(['#', '+', '-', '=', ':']) { format!("\\{row}") } else { row.to_owned() }
}

#[cfg(test)]
mod tests {
    use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};

    use super::*;
    use crate::report::text::Washer;

    proptest::proptest! {
        #[test]
        fn no_text_of_a_run_becomes_markup(text in "(<img src=x>|!\\[a\\]\\(b\\)|\\[x\\]\\(y\\)|`|\\*\\*|~~~|- |# |1\\. |==|> |&amp;|\\||\\\\|https|[a-z ]){0,30}") {
            let washer = Washer::default();
            let mut page = Page::default();
            page.paragraph(&escaped(&text));
            page.list([format!("x {}", escaped(&text)), format!("x {}", code(&washer.text(&text)))]);
            page.block(&washer.excerpt(&text, 1_000), 1_000);
            let mut quoted = 0;
            for event in Parser::new_ext(&page.text, Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH) {
                quoted += usize::from(matches!(event, Event::Start(Tag::CodeBlock(_))));
                let is_ours = matches!(
                    event,
                    Event::Text(_)
                        | Event::SoftBreak
                        | Event::Start(Tag::Paragraph | Tag::List(None) | Tag::Item | Tag::CodeBlock(_))
                        | Event::End(TagEnd::Paragraph | TagEnd::List(false) | TagEnd::Item | TagEnd::CodeBlock)
                );
                assert!(is_ours, "{event:?} of {text:?} in\n{}", page.text);
            }
            assert!(quoted <= 1, "{}", page.text);
        }
    }
}
