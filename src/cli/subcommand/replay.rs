//! `ccc replay RUN…`.

use std::io;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use similar::TextDiff;

use crate::cli::recording::journal_of;
use crate::cli::{CliError, Context, ExitCode};
use crate::core::supervised::CommandAction;
use crate::core::{Show, Tick};
use crate::driver::{self, Difference, ReplayError};
use crate::journal::{RunKind, run_kind};
use crate::ui::{ERASE, Ending, Form, Printer, ScreenOutput, Stream, Style, columns};
use redaction::Redactor;

/// Show recorded runs again, or check that they would be decided the same way.
///
/// No agent is started and nothing is sent anywhere: the journal contains everything that the decisions depend on.
#[derive(Debug, Clone, PartialEq, Args)]
pub struct ReplayArgs {
    /// Its name, its id, the beginning of either, `last`, or a path (with a slash in it, or ending in `.jsonl`).
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,

    /// Feed the recorded inputs to the core again and compare every action. The first difference is shown and the exit
    /// code is 1.
    #[arg(long, conflicts_with_all = ["bless", "speed"])]
    pub check: bool,

    /// Accept the actions of this build: rewrite the recordings that differ.
    #[arg(long, conflicts_with = "speed")]
    pub bless: bool,

    /// How many times faster than it happened, instead of at once.
    #[arg(long, value_name = "X", value_parser = speed)]
    pub speed: Option<f64>,
}

fn speed(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('x').parse::<f64>() {
        Ok(speed) if speed.is_finite() && speed > 0.0 => Ok(speed),
        Ok(_) | Err(_) => Err("a speed is a number above zero, such as 1, 8 or 0.5".to_owned()),
    }
}

/// Replays recordings.
///
/// # Errors
/// When a recording cannot be read.
pub fn run(args: ReplayArgs, context: &Context) -> Result<ExitCode, CliError> {
    let mut code = ExitCode::COMPLETED;
    for path in &args.runs {
        let journal = journal_of(Some(path), "replay", context)?;
        if args.check || args.bless {
            let comparison = driver::compare(&journal).map_err(|error| unreadable(&error))?;
            match &comparison.difference {
                None => context.printer.line(format_args!(
                    "{path}: {} inputs, {} actions, the same{}",
                    comparison.inputs,
                    comparison.actions,
                    if comparison.unfinished { " (the run had not ended)" } else { "" }
                )),
                Some(_) if args.bless => {
                    driver::bless(&journal).map_err(|error| unreadable(&error))?;
                    context.printer.line(format_args!("{path}: accepted"));
                }
                Some(difference) => {
                    context.printer.line(describe(path, difference));
                    code = ExitCode::FAILED;
                }
            }
        } else {
            show(&journal, args.speed, context)?;
        }
    }
    Ok(code)
}

fn unreadable(error: &ReplayError) -> CliError {
    CliError::failed(error).hint("to list the recorded runs: ccc runs")
}

/// The rows around a change in a difference, the rows in all, and the columns of a row.
const CONTEXT_ROWS: usize = 2;
/// See [`CONTEXT_ROWS`].
const DIFF_ROWS: usize = 40;
/// See [`CONTEXT_ROWS`].
const DIFF_COLUMNS: usize = 76;

/// Breaks the long texts of an action into rows that can be compared: at their own line ends, and between words.
fn broken(json: &str) -> String {
    let rows = json.lines().flat_map(|line| {
        let lines: Vec<String> =
            line.split_inclusive("\\n").flat_map(|part| columns::wrap(part, DIFF_COLUMNS)).collect();
        lines
    });
    rows.map(|row| format!("{row}\n")).collect()
}

fn describe(path: &str, difference: &Difference) -> String {
    let pretty = |text: Option<&String>| match text {
        None => "(nothing more)\n".to_owned(),
        Some(text) => serde_json::from_str::<serde_json::Value>(text)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .map_or_else(|_| format!("{text}\n"), |text| format!("{text}\n")),
    };
    let raw = |text: Option<&String>| format!("{}\n", text.map_or("(nothing more)", String::as_str));
    let (recorded, replayed) = (difference.recorded.as_ref(), difference.replayed.as_ref());
    let (recorded, replayed) = match (pretty(recorded), pretty(replayed)) {
        // They differ only in spelling, for example in the last digit of a number.
        (one, other) if one == other => (raw(recorded), raw(replayed)),
        different => different,
    };
    let (recorded, replayed) = (broken(&recorded), broken(&replayed));
    let diff = TextDiff::from_lines(&recorded, &replayed);
    let diff = diff.unified_diff().context_radius(CONTEXT_ROWS).header("recorded", "replayed").to_string();
    let rows = diff.lines().count();
    let mut shown: String = diff.lines().take(DIFF_ROWS).map(|row| format!("{row}\n")).collect();
    if rows > DIFF_ROWS {
        shown.push_str(&format!("… {} more lines\n", rows - DIFF_ROWS));
    }
    let diff = shown;
    format!(
        "{path}: entry {} at {:.3} s differs, after the input\n  {}\n{diff}",
        difference.n,
        difference.tick.as_ms() as f64 / 1_000.0,
        difference.input
    )
}

/// Prints what the user saw during the run.
fn show(journal: &Path, speed: Option<f64>, context: &Context) -> Result<(), CliError> {
    let style = context.style(&io::stdout());
    let mut shown = Tick::ZERO;
    let is_live = style.live;
    outputs(journal, style, |tick, output| {
        if let Some(speed) = speed {
            let pause_us = (tick.0.saturating_sub(shown.0)) as f64 / speed;
            pause(Duration::from_micros(pause_us as u64));
            shown = tick;
        }
        context.printer.data(&output.text);
    })
    .map_err(|error| unreadable(&error))?;
    // A run that has not ended leaves its status line on the screen.
    if is_live {
        context.printer.data(ERASE);
    }
    Ok(())
}

/// Sleeps, because `--speed` shows a run at a multiple of its speed.
fn pause(duration: Duration) {
    let (_never, silent) = std::sync::mpsc::channel::<()>();
    let _ = silent.recv_timeout(duration);
}

/// The output of the run's printer, reproduced from the journal.
pub(in crate::cli) fn outputs(
    journal: &Path,
    style: Style,
    mut each: impl FnMut(Tick, &ScreenOutput),
) -> Result<(), ReplayError> {
    let mut printer = Printer::new(Form::Text, style);
    printer.in_zone(crate::cli::zone::of_process());
    if run_kind(journal)? == RunKind::Command {
        // The output of the command itself is not recorded, only what ccc printed.
        return driver::retell_command(journal, |core, _, tick, action| {
            if let CommandAction::Show(show) = action {
                tell(&mut printer, core.wall_ms(), tick, show, &mut each);
            }
        });
    }
    let run_dir = journal.parent().map(|dir| dir.display().to_string()).unwrap_or_default();
    let plan = crate::journal::JournalReader::open(journal)?.plan()?;
    printer.in_directory(&plan.cwd);
    driver::retell(journal, |core, _, tick, action| {
        if let Some(show) = action.as_show() {
            tell(&mut printer, core.wall_ms(), tick, show, &mut each);
        }
        if let Some(finish) = action.as_finish() {
            let (told, left_out) = driver::shown_plan(core.plan(), &Redactor::new());
            let ending = Ending { run_dir: &run_dir, ..Ending::of(finish, &told, &left_out, plan.agent.program()) };
            for output in printer.finish(tick, &ending) {
                if output.stream == Stream::Err {
                    each(tick, &output);
                }
            }
        }
    })?;
    Ok(())
}

fn tell(printer: &mut Printer, wall_ms: i64, tick: Tick, show: &Show, each: &mut impl FnMut(Tick, &ScreenOutput)) {
    printer.clock(tick, wall_ms);
    let output = printer.render(tick, show);
    if !output.is_empty() {
        each(tick, &output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_in_a_long_text_is_a_few_rows_around_it() {
        let text = |word: &str| {
            let before = "words that are the same on both sides ".repeat(60);
            format!(r#"{{"send":{{"kind":"feedback","text":"{before}\nthe {word} one\n{before}"}}}}"#)
        };
        let difference = Difference {
            n: 7,
            tick: Tick(1_000_000),
            input_n: 6,
            input: "{}".to_owned(),
            recorded: Some(text("old")),
            replayed: Some(text("new")),
        };
        let shown = describe("run", &difference);
        assert!(shown.contains("-the old one") && shown.contains("+the new one"), "{shown}");
        assert!(shown.lines().count() < 15, "{shown}");
        assert!(shown.lines().all(|line| columns::of(line) <= 80), "{shown}");
        assert!(!shown.contains("feedback"), "what is the same stays away: {shown}");
    }
}
