//! What a terminal shows: the status line at the bottom, whatever the width.

use ccc::agent::{Role, TurnKind};
use ccc::core::{Finish, Show, Tick};
use ccc::ui::{Form, Printer, ScreenOutput, Stream, Style};

use super::whole_run::{banner, ending, finish, night, phase, plan, said};

const ROWS: u16 = 12;

struct Terminal {
    parser: vt100::Parser,
    printer: Printer,
}

impl Terminal {
    fn new(columns: u16) -> Terminal {
        let mut terminal = Terminal::blank(columns);
        let output = terminal.printer.start(Tick::ZERO, &banner()).remove(0);
        terminal.write(&output);
        terminal
    }

    fn blank(columns: u16) -> Terminal {
        let style = Style::decide(true, None, Some("xterm"), Some(columns));
        Terminal { parser: vt100::Parser::new(ROWS, columns, 1_000), printer: Printer::new(Form::Text, style) }
    }

    /// Both streams end at the same terminal, which turns line ends into its own.
    fn write(&mut self, output: &ScreenOutput) {
        self.parser.process(output.text.replace('\n', "\r\n").as_bytes());
    }

    fn show(&mut self, ms: u64, show: &Show) {
        let output = self.printer.render(Tick::ZERO.plus_ms(ms), show);
        self.write(&output);
    }

    fn tick(&mut self, ms: u64) {
        if let Some(output) = self.printer.status(Tick::ZERO.plus_ms(ms)) {
            self.write(&output);
        }
    }

    fn rows(&self) -> Vec<String> {
        let screen = self.parser.screen();
        let (_, columns) = screen.size();
        screen.rows(0, columns).map(|row| row.trim_end().to_owned()).collect()
    }

    /// The row of the cursor, which is that of the status line.
    fn bottom(&self) -> String {
        let (row, column) = self.parser.screen().cursor_position();
        assert_eq!(column, 0, "the cursor is parked in the first column");
        let rows = self.rows();
        for below in &rows[usize::from(row) + 1..] {
            assert_eq!(below, "", "nothing stands below the status line");
        }
        rows[usize::from(row)].clone()
    }

    /// Rows on the screen that look like a status line.
    fn status_lines(&self, word: &str) -> usize {
        self.rows().iter().filter(|row| row.starts_with(word)).count()
    }
}

fn working(columns: u16) -> Terminal {
    let mut terminal = Terminal::new(columns);
    terminal.show(1_000, &phase("waiting", "until 03:00 for 鍵🔑 77b0de, which is the earliest of all resets", 2));
    terminal.show(2_000, &Show::Cost { usd: Some(0.417) });
    terminal
}

#[test]
fn the_status_line_fits_any_width() {
    for (columns, expected) in [
        (7, ""),
        (8, "waiting"),
        (16, "waiting"),
        (17, "waiting · 1h 02m"),
        (40, "waiting · 2/20 · 1h 02m · 6h 57m left"),
        (80, "waiting · iteration 2 of 20 · 1h 02m · 6h 57m left · $0.42 · until 03:00 for …"),
        (
            200,
            "waiting · iteration 2 of 20 · 1h 02m · 6h 57m left · $0.42 · until 03:00 for 鍵🔑 77b0de, which is the earliest of all resets",
        ),
    ] {
        let mut terminal = working(columns);
        terminal.tick(3_725_000);
        assert_eq!(terminal.bottom(), expected, "{columns} columns");
    }
}

#[test]
fn elapsed_time_is_redrawn_in_place() {
    for columns in [20, 80, 200] {
        let mut terminal = working(columns);
        let before = terminal.parser.screen().cursor_position();
        for s in 3..=70 {
            terminal.tick(s * 1_000);
        }
        assert_eq!(terminal.parser.screen().cursor_position(), before);
        assert!(terminal.bottom().contains("1m 10s"), "{}", terminal.bottom());
        assert_eq!(terminal.status_lines("waiting · "), 1);
    }
}

#[test]
fn output_goes_above_the_status_line_and_leaves_no_trace_of_it() {
    for columns in [20, 80, 200] {
        let mut terminal = working(columns);
        terminal.tick(3_000);
        terminal.show(4_000, &said(Role::Agent, "日本語のテキスト and 🦀🦀🦀 crabs"));
        terminal.tick(5_000);
        terminal.show(5_500, &said(Role::Agent, "second"));
        assert_eq!(terminal.status_lines("waiting · "), 1);
        assert!(terminal.bottom().starts_with("waiting · "));
        let (row, _) = terminal.parser.screen().cursor_position();
        let above = &terminal.rows()[usize::from(row) - 1];
        assert_eq!(above, "second");
    }
}

#[test]
fn a_terminal_that_grows_narrower_keeps_one_status_line() {
    let mut terminal = working(200);
    terminal.tick(3_000);
    for columns in [80, 20, 200] {
        terminal.parser.screen_mut().set_size(ROWS, columns);
        terminal.printer.resize(columns);
        terminal.tick(4_000);
        assert_eq!(terminal.status_lines("waiting · "), 1);
        assert!(terminal.bottom().contains("4s"), "{}", terminal.bottom());
    }
}

/// A terminal that breaks a line anew when it grows narrower leaves the cursor in the first of the rows.
#[test]
fn a_status_line_that_the_terminal_has_broken_into_rows_is_erased_whole() {
    let mut terminal = working(80);
    terminal.tick(3_000);
    let long = terminal.bottom();
    let mut narrow = vt100::Parser::new(ROWS, 20, 0);
    narrow.process(format!("before\r\n{long}\x1b[2;1H").as_bytes());
    terminal.parser = narrow;
    terminal.printer.resize(20);
    terminal.tick(4_000);
    assert_eq!(terminal.rows()[..3], ["before", "waiting · 2/20 · 4s", ""]);
    assert_eq!(terminal.bottom(), "waiting · 2/20 · 4s");
}

#[test]
fn no_row_of_the_night_is_broken_by_the_terminal_itself() {
    for columns in [20, 80, 200] {
        // Without the banner: its rows are not wrapped, because they are paths to be copied.
        let mut terminal = Terminal::blank(columns);
        for (ms, show) in night() {
            terminal.show(ms, &show);
            for row in 0..ROWS {
                // A word that is wider than the terminal stays whole, to be copied.
                let one_word = !terminal.rows()[usize::from(row)].trim().contains(' ');
                assert!(
                    one_word || !terminal.parser.screen().row_wrapped(row),
                    "{columns}: {:?}",
                    terminal.rows()[usize::from(row)]
                );
            }
        }
    }
}

#[test]
fn the_end_leaves_no_status_line() {
    let mut terminal = working(80);
    terminal.tick(3_000);
    // Its first line is still on the screen of 12 rows.
    let finish = Finish { tests: Box::default(), ..finish() };
    let outputs = terminal.printer.finish(Tick::ZERO.plus_ms(9_000), &ending(&finish, &plan()));
    for output in &outputs {
        terminal.write(output);
    }
    terminal.tick(10_000);
    assert_eq!(terminal.status_lines("waiting · "), 0);
    assert_eq!(outputs[1].stream, Stream::Out);
    let rows = terminal.rows().join("\n");
    assert!(rows.contains("Completed: the critic agrees"), "{rows}");
}

#[test]
fn a_text_appears_as_it_comes_and_is_not_repeated() {
    let mut terminal = working(80);
    let text = "I look at the failing test first, because it says what is missing, and then at the sum itself.\n\nThen I go on.";
    let (mut shown_early, mut at) = (false, 0);
    while at < text.len() {
        let end = text[at..].find(' ').map_or(text.len(), |space| at + space + 1);
        let tick = Tick::ZERO.plus_ms(3_000 + at as u64);
        let output = terminal.printer.partial(tick, Role::Agent, &text[at..end]);
        terminal.write(&output);
        at = end;
        shown_early |= terminal.rows().iter().any(|row| row.starts_with("I look at the failing"));
        assert_eq!(terminal.status_lines("waiting · "), 1, "{:#?}", terminal.rows());
    }
    assert!(shown_early, "{:#?}", terminal.rows());
    terminal.show(4_000, &said(Role::Agent, text));
    let rows = terminal.rows().join("\n");
    for part in ["I look at the failing test first", "itself.", "Then I go on."] {
        assert_eq!(rows.matches(part).count(), 1, "{part:?} in\n{rows}");
    }
}

#[test]
fn what_ccc_itself_tells_the_agent_takes_one_row_and_phases_in_a_row_have_no_gap() {
    let mut terminal = Terminal::blank(60);
    terminal.show(1_000, &said(Role::Agent, "I begin."));
    terminal.show(2_000, &phase("restarting", "was killed by signal 9", 1));
    terminal.show(2_000, &phase("starting", "resuming the session", 1));
    let text = "Your process ended before you had finished your last turn, and the session was resumed.\n\nGo on.";
    terminal.show(2_000, &Show::Turn { kind: TurnKind::Continue, text: text.to_owned() });
    terminal.show(3_000, &phase("working", "", 1));
    assert_eq!(
        terminal.rows()[..7],
        [
            "I begin.",
            "",
            "▸ restarting · iteration 1 · was killed by signal 9",
            "▸ starting · iteration 1 · resuming the session",
            "→ continue: Your process ended before you had finished your…",
            "",
            "▸ working · iteration 1",
        ]
    );
}
