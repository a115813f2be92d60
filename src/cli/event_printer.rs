//! Prints the events of a run, each once: first those of its journal, then those of its socket.

use std::collections::VecDeque;

use super::reporting::{self, REPORT_FILE};
use super::{CliError, Context, ExitCode};
use crate::control::protocol::{Event, Shown, WordsOf};
use crate::core::supervised::CommandAction;
use crate::core::{Finish, Plan, Show, Tick};
use crate::driver::{self, ReplayError};
use crate::journal::{EntryKind, JournalReader, ReadError, RunDir, RunKind, RunSummary, run_kind};
use crate::ui::parts::{GAP, Joint, Parts};
use crate::ui::{Ending, Form, Printer, Stream, StreamJson, Style, clean, columns};
use redaction::Redactor;
use rustix::termios::Winsize;
use serde::Deserialize;

/// The output form.
enum OutputForm {
    /// Lines for people.
    Lines(Box<Printer>),
    /// One object per event.
    Json(StreamJson),
}

/// The printed part of a run.
pub(super) struct EventPrinter<'a> {
    context: &'a Context,
    run_dir: RunDir,
    form: OutputForm,
    /// The latest printed event: the journal number of its fact, and its index within the fact.
    last: Option<(u64, u32)>,
    tick: Tick,
    /// The finish and the plan according to the journal.
    finish: Option<Finish>,
    plan: Option<Plan>,
    unknown: u64,
    word_by_word: bool,
    /// The parts of the text in progress that were printed.
    parts: Parts,
    below: Option<Below>,
    /// The last lines of the history, if only these are printed.
    last_lines: Option<LastLines>,
    /// Whether the end of the run, as it was printed, has the command that continues it.
    says_how_to_continue: bool,
}

/// The end of a run, shown below its history while the history is printed: the journal of a night takes seconds.
struct Below {
    rows: String,
    /// How many rows.
    count: usize,
    /// The history to print next. The rows are erased and redrawn once per `GATHERED_BYTES` of it.
    gathered: String,
}

/// How much of the history is printed at a time, in bytes.
const GATHERED_BYTES: usize = 32 * 1024;
/// The end of a run is within this many last bytes of its journal.
const END_BYTES: u64 = 64 * 1024;

impl Below {
    /// These rows, or the last of them, for a terminal of this size.
    fn of(rows: &[String], size: Winsize) -> Below {
        let (columns, most) = (usize::from(size.ws_col.max(2)) - 1, usize::from(size.ws_row.max(2)) - 1);
        let shown = rows.iter().skip(rows.len().saturating_sub(most));
        let rows: String = shown.map(|row| columns::cut(row, columns) + "\n").collect();
        Below { count: rows.matches('\n').count(), rows, gathered: String::new() }
    }

    /// Replaces the rows by the gathered history, with `rows` below it.
    fn lifted(&mut self, rows: &str) -> String {
        let gathered = std::mem::take(&mut self.gathered);
        format!("\x1b[?2026h\x1b[{}A\r\x1b[J{gathered}{rows}\x1b[?2026l", self.count)
    }
}

/// The last lines of what is printed.
struct LastLines {
    /// With their ends.
    lines: VecDeque<String>,
    count: usize,
}

impl LastLines {
    fn push(&mut self, text: &str) {
        for line in text.split_inclusive('\n') {
            match self.lines.back_mut() {
                Some(open) if !open.ends_with('\n') => open.push_str(line),
                Some(_) | None => self.lines.push_back(line.to_owned()),
            }
            if self.lines.len() > self.count {
                self.lines.pop_front();
            }
        }
    }
}

impl<'a> EventPrinter<'a> {
    /// A printer of lines, or of `stream-json`.
    pub(super) fn new(run_dir: &RunDir, json: bool, context: &'a Context) -> EventPrinter<'a> {
        let form = if json {
            OutputForm::Json(StreamJson::default())
        } else {
            // No cursor movement and no status line: those are for attached terminals.
            let style = Style::in_rows(context.printer.color_out(), context.printer.columns());
            let mut printer = Printer::new(Form::Text, style);
            printer.in_zone(super::zone::of_process());
            OutputForm::Lines(Box::new(printer))
        };
        EventPrinter {
            context,
            run_dir: run_dir.clone(),
            form,
            last: None,
            tick: Tick::ZERO,
            finish: None,
            plan: None,
            unknown: 0,
            word_by_word: false,
            parts: Parts::default(),
            below: None,
            last_lines: None,
            says_how_to_continue: false,
        }
    }

    /// Shows the end of a finished run below its history. Only for a terminal of this size.
    pub(super) fn end_first(&mut self, size: Winsize) {
        let Ok(journal) = JournalReader::open_end(&self.run_dir.journal(), END_BYTES) else { return };
        let Ok(plan) = journal.plan() else { return };
        let acts = journal.map_while(Result::ok).filter_map(|entry| match entry.kind {
            EntryKind::Act(act) => serde_json::from_str::<Finished>(act.get()).ok(),
            EntryKind::In(_) | EntryKind::Gap(_) => None,
        });
        let Some(Finished { finish }) = acts.last() else { return };
        let result = clean::lines(finish.result.trim());
        let mut printer = Printer::new(Form::Text, Style::in_rows(false, Some(size.ws_col)));
        let agent = self.context.typed_agent(&plan);
        let ending = ended(&mut printer, &self.run_dir, self.tick, (&plan, &agent), &finish, self.context);
        let rows: Vec<String> = result.lines().chain(ending.lines()).map(str::to_owned).collect();
        let below = Below::of(&rows, size);
        self.context.printer.data(&below.rows);
        self.below = Some(below);
    }

    /// Prints only the last `count` lines of the history.
    pub(super) fn only_last(&mut self, count: usize) {
        self.last_lines = Some(LastLines { lines: VecDeque::new(), count });
    }

    fn put(&mut self, text: &str) {
        if let Some(last) = &mut self.last_lines {
            return last.push(text);
        }
        match &mut self.below {
            None => self.context.printer.data(text),
            Some(below) => {
                below.gathered.push_str(text);
                if below.gathered.len() >= GATHERED_BYTES {
                    let rows = below.rows.clone();
                    self.context.printer.data(&below.lifted(&rows));
                }
            }
        }
    }

    /// Prints texts while they arrive.
    pub(super) fn word_by_word(&mut self) {
        if let OutputForm::Lines(printer) = &mut self.form {
            printer.line_by_line();
        }
        self.word_by_word = true;
    }

    /// Prints paths below this directory relative to it.
    pub(super) fn in_directory(&mut self, cwd: &str) {
        if let OutputForm::Lines(printer) = &mut self.form {
            printer.in_directory(cwd);
        }
    }

    /// Prints the journal's events for facts after `since` and before `from`; without bounds, all. The journal may lag behind the
    /// socket, so this waits for it briefly.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub(super) fn history(&mut self, since: Option<u64>, from: Option<u64>) -> Result<(), CliError> {
        let told = driver::catch_up(from, || match self.retell(since, from.unwrap_or(u64::MAX)) {
            // The run is just beginning: its journal's first line is not on the disk yet.
            Err(ReplayError::Read(ReadError::NoHeader { .. })) if from.is_some() => Ok(0),
            told => told,
        });
        if let Some(last) = self.last_lines.take() {
            self.context.printer.data(&last.lines.into_iter().collect::<String>());
        }
        if let Some(mut below) = self.below.take() {
            self.context.printer.data(&below.lifted(""));
        }
        told.map_err(CliError::failed)
    }

    /// Prints the journal's events for these facts that were not printed yet; returns the number of the last entry.
    fn retell(&mut self, since: Option<u64>, from: u64) -> Result<u64, ReplayError> {
        let journal = self.run_dir.journal();
        let is_wanted = |n: u64| n < from && since.is_none_or(|since| n > since);
        let mut at = (0, 0);
        let mut next = |n: u64| {
            at = if at.0 == n { (n, at.1 + 1) } else { (n, 0) };
            at.1
        };
        if run_kind(&journal)? == RunKind::Command {
            let mut last = 0;
            driver::retell_command(&journal, |core, n, tick, action| {
                last = n;
                if let CommandAction::Show(show) = action {
                    let i = next(n);
                    if is_wanted(n) {
                        self.show(n, Some(i), tick, core.wall_ms(), show);
                    }
                }
            })?;
            return Ok(last);
        }
        let mut finish = None;
        let rebuilt = driver::retell(&journal, |core, n, tick, action| {
            if let Some(show) = action.as_show() {
                let i = next(n);
                if is_wanted(n) {
                    self.show(n, Some(i), tick, core.wall_ms(), show);
                }
            }
            finish = action.as_finish().cloned().or(finish.take());
        })?;
        (self.finish, self.plan) = (finish, Some(rebuilt.core.plan().clone()));
        Ok(rebuilt.tail.next_n.saturating_sub(1))
    }

    /// Prints an event of the socket.
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::Show(shown) => {
                let Shown { n, i, t, at, show } = shown.as_ref();
                self.show(*n, *i, Tick(*t), *at, show);
            }
            Event::Unknown(_) => {
                if self.unknown == 0 {
                    self.context
                        .printer
                        .warn("the run was started by a newer ccc: events that this ccc does not know are not shown");
                }
                self.unknown += 1;
            }
            Event::Words { role, kind, part, text } if self.word_by_word => {
                let is_line = *kind == WordsOf::Text && matches!(self.form, OutputForm::Lines(_));
                let is_gap = is_line && self.parts.take(*part) == Joint::Gap && *part != Some(0);
                let marked = is_gap.then(|| format!("{GAP}{text}"));
                let text = marked.as_ref().unwrap_or(text);
                let output = match (&mut self.form, kind) {
                    (OutputForm::Lines(printer), WordsOf::Text) => printer.partial(self.tick, *role, text),
                    // Thinking has no line of its own in this form.
                    (OutputForm::Lines(_), WordsOf::Thinking) => return,
                    (OutputForm::Json(json), WordsOf::Text) => json.words(self.tick, *role, "text", text),
                    (OutputForm::Json(json), WordsOf::Thinking) => json.words(self.tick, *role, "thinking", text),
                };
                self.context.printer.data(&output.text);
            }
            // The complete text follows.
            Event::Words { .. } | Event::End { .. } | Event::Gone { .. } => {}
        }
    }

    fn show(&mut self, n: u64, i: Option<u32>, tick: Tick, unix_ms: i64, show: &Show) {
        if let Some(i) = i {
            if self.last.is_some_and(|last| (n, i) <= last) {
                return;
            }
            self.last = Some((n, i));
        }
        self.tick = tick;
        let output = match &mut self.form {
            OutputForm::Lines(printer) => {
                printer.resize(self.context.printer.columns().unwrap_or(0));
                printer.clock(tick, unix_ms);
                printer.render(tick, show)
            }
            OutputForm::Json(json) => {
                json.clock(tick, unix_ms);
                json.render(tick, show)
            }
        };
        self.put(&output.text);
    }

    /// The latest fact of which an event was printed.
    pub(super) fn told_until(&self) -> u64 {
        self.last.map_or(0, |(n, _)| n)
    }

    /// Whether the journal contains the end of the run.
    pub(super) fn has_finish(&self) -> bool {
        self.finish.is_some()
    }

    /// Whether what was printed of the end has the command that continues the run.
    pub(super) fn says_how_to_continue(&self) -> bool {
        self.says_how_to_continue
    }

    /// Prints the end of the run and returns its exit code; the code of an interrupted run if the end is unknown.
    pub(super) fn end(&mut self, finish: Option<Finish>) -> ExitCode {
        let Some(finish) = finish.or(self.finish.take()) else { return ExitCode::INTERRUPTED };
        let read = || JournalReader::open(&self.run_dir.journal()).ok()?.plan().ok();
        if let (Some(plan), OutputForm::Lines(printer)) = (self.plan.take().or_else(read), &mut self.form) {
            let agent = self.context.typed_agent(&plan);
            let text = ended(printer, &self.run_dir, self.tick, (&plan, &agent), &finish, self.context);
            self.says_how_to_continue = text.contains(&format!("ccc resume {}", self.run_dir.id()));
            self.context.printer.data(&text);
        }
        ExitCode::from(finish.outcome)
    }
}

/// The action that finishes a run.
#[derive(Deserialize)]
struct Finished {
    finish: Finish,
}

/// The text about the end of a run. The result is the agent's last answer, which has been printed.
fn ended(
    printer: &mut Printer,
    run_dir: &RunDir,
    tick: Tick,
    (plan, agent): (&Plan, &str),
    finish: &Finish,
    context: &Context,
) -> String {
    let (told, left_out) = driver::shown_plan(plan, &Redactor::new());
    // The run writes it after its end, so it may not be there yet.
    let report = run_dir.path().join(REPORT_FILE);
    let report = report.is_file().then(|| report.display().to_string());
    let (diff, restore) = reporting::place(run_dir, &plan.cwd, context).in_short(run_dir.id());
    let missing = RunSummary::read(&run_dir.summary()).ok().and_then(|summary| summary.journal_missing);
    let ending = Ending {
        finish,
        plan: &told,
        left_out: &left_out,
        run_dir: &run_dir.path().display().to_string(),
        agent,
        report: report.as_deref(),
        diff: diff.as_deref(),
        restore: restore.as_deref(),
        journal_missing: missing.as_deref(),
        labels_result: false,
    };
    let outputs = printer.finish(tick, &ending);
    outputs.iter().filter(|output| output.stream == Stream::Err).map(|output| output.text.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_history_fits_the_terminal_and_names_its_commands_whole() {
        use crate::cli::captured::Captured;

        for run in ["demo", "night-2.1.329", "stuck-2.1.329"] {
            let state = tempfile::tempdir().expect("a directory");
            let dir = RunDir::create(state.path(), "20261127-084409-q3px").expect("a run");
            let recorded = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/runs").join(run);
            std::fs::copy(recorded.join("journal.jsonl"), dir.journal()).expect("copied");
            let told = |columns: Option<u16>| {
                let seen = Captured::default();
                let context = seen.context(state.path(), columns);
                let mut printer = EventPrinter::new(&dir, false, &context);
                printer.history(None, None).expect("told");
                printer.end(None);
                seen.text()
            };
            let piped = told(None);
            for width in [60, 80, 120] {
                let text = told(Some(width));
                for row in text.lines() {
                    let word = row.trim_start();
                    let is_whole = !word.contains(' ') || word.starts_with("ccc ") || word.starts_with("cd ");
                    assert!(columns::of(row) <= usize::from(width) || is_whole, "{run} {width}: {row:?} in\n{text}");
                }
                let commands = |text: &str| text.matches("ccc explain ").count();
                assert_eq!(commands(&text), commands(&piped), "{run} {width}:\n{text}");
                assert!(!text.contains("[TASK_COMPLETED]"), "{text}");
            }
        }
    }

    #[test]
    fn a_run_that_is_just_beginning_has_no_history_and_one_that_is_over_must_have_one() {
        let state = tempfile::tempdir().expect("a directory");
        let dir = RunDir::create(state.path(), "20261127-084409-q3px").expect("a run");
        let seen = crate::cli::captured::Captured::default();
        let context = seen.context(state.path(), None);
        for begun in ["", r#"{"format":"#] {
            std::fs::write(dir.journal(), begun).expect("written");
            EventPrinter::new(&dir, false, &context).history(None, Some(1)).expect("nothing to tell");
            let fault = EventPrinter::new(&dir, false, &context).history(None, None).expect_err("no journal");
            assert!(fault.message.contains("there is no journal yet"), "{}", fault.message);
        }
    }

    #[test]
    fn what_is_told_comes_above_the_end_which_is_drawn_below_it_until_all_is() {
        let rows: Vec<String> =
            (1..=40).map(|number| format!("row {number}, which is longer than the terminal")).collect();
        let size = Winsize { ws_row: 10, ws_col: 20, ws_xpixel: 0, ws_ypixel: 0 };
        let mut below = Below::of(&rows, size);
        let mut parser = vt100::Parser::new(10, 20, 200);
        let mut show = |text: String| {
            parser.process(text.replace('\n', "\r\n").as_bytes());
            parser.screen().contents()
        };
        let drawn = below.rows.clone();
        let screen = show(drawn.clone());
        let count = |screen: &str| screen.lines().filter(|line| line.starts_with("row")).count();
        assert!(screen.starts_with("row 32,") && count(&screen) == 9, "{screen}");
        below.gathered = (1..=30).map(|number| format!("told {number}\n")).collect();
        let screen = show(below.lifted(&drawn));
        assert!(screen.starts_with("row 32,") && count(&screen) == 9 && !screen.contains("told"), "{screen}");
        below.gathered = "told at last\n".to_owned();
        assert_eq!(show(below.lifted("")).trim_end(), "told at last");
        parser.screen_mut().set_scrollback(2);
        let screen = parser.screen().contents();
        assert!(screen.starts_with("told 29\ntold 30\ntold at last"), "{screen}");
    }
}
