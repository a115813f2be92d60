//! Prints lines above a small viewport on its terminal, as the conversation does, for the test of resizes in tmux
//! (`tests/it/conversation/storm.rs`).
//!
//! `inline_storm DONE LINES DRAFT_ROWS`: the file that is created at the end, the number of lines, the height of the draft.
#![allow(clippy::disallowed_methods, clippy::print_stderr, clippy::unwrap_used, reason = "an example is an edge")]

use std::time::{Duration, Instant};

use ccc::process::UserTerminal;
use ccc::ui::paint::{Look, Painter, Row, Size, View};
use tokio::signal::unix::{SignalKind, signal};

/// The minimum time between a resize and the next paint.
const SETTLE: Duration = Duration::from_millis(60);
/// How long after a resize a draft of many rows takes only one row.
const CALM: Duration = Duration::from_millis(500);
const LINE_EVERY: Duration = Duration::from_millis(25);

fn size(terminal: &UserTerminal) -> Size {
    let size = terminal.size().unwrap();
    Size { columns: size.ws_col, rows: size.ws_row }
}

fn view(size: Size, printed: usize, draft_rows: u16) -> View {
    let mut rows: Vec<Row> =
        (0..draft_rows).map(|row| Row::of(Look::PLAIN, &format!("> draft {row} {}", "d".repeat(200)))).collect();
    rows.push(Row::of(Look::DIM, &format!("status {printed} {}", "-".repeat(200))));
    rows.push(Row::of(Look::DIM, &"hint ".repeat(40)));
    View {
        rows: rows.into_iter().map(|row| row.cut(size.room())).collect(),
        cursor: (8, draft_rows - 1),
        ..View::default()
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [done, lines, draft_rows] = arguments.as_slice() else {
        eprintln!("usage: inline_storm DONE LINES DRAFT_ROWS");
        std::process::exit(2);
    };
    let (lines, draft_rows): (usize, u16) = (lines.parse().unwrap(), draft_rows.parse().unwrap());
    let terminal = UserTerminal::find().unwrap();
    let mut changes = signal(SignalKind::window_change()).unwrap();
    let mut painter = Painter::new(true);
    let mut changed: Option<Instant> = None;
    let mut waiting: Vec<Row> = Vec::new();
    let mut made = 0;
    let mut ticks = tokio::time::interval(LINE_EVERY);
    loop {
        tokio::select! {
            biased;
            _ = changes.recv() => {
                painter.resized();
                changed = Some(Instant::now());
                continue;
            }
            _ = ticks.tick() => {}
        }
        if made < lines {
            made += 1;
            waiting.push(Row::of(Look::PLAIN, &format!("unique line {made:03}")));
        }
        if changed.is_some_and(|at| at.elapsed() < SETTLE) {
            continue;
        }
        let is_calm = changed.is_none_or(|at| at.elapsed() >= CALM);
        let before = size(&terminal);
        let view = view(before, made, if is_calm { draft_rows } else { 1 });
        if let Some(bytes) = painter.paint(before, &waiting, &view) {
            terminal.write(&bytes).unwrap();
        }
        waiting.clear();
        if size(&terminal) != before {
            painter.resized();
        }
        if made == lines && is_calm {
            std::fs::write(done, "done").unwrap();
            made += 1;
        }
    }
}
