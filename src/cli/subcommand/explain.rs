//! `ccc explain RUN`.

use std::io::BufRead;

use clap::Args;

use crate::cli::recording::journal_of;
use crate::cli::{CliError, Context, ExitCode};
use crate::journal::{JournalInput, JournalReader, RunKind, decisions, run_kind};
use crate::ui::{clean, format};

/// How many characters of a reason one line shows.
const WHY_CHARS: usize = 400;

/// Show, decision by decision, what happened in a run and why.
///
/// Each line begins with the local time and the time since the run began (h:mm:ss), and ends with the number and kind of
/// the journal entry that led to the decision.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// Its name, its id, the beginning of either, `last`, or a path (with a slash in it, or ending in `.jsonl`). Without it,
    /// the run that was active last.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Explains a run.
///
/// # Errors
/// When there is no such run, or its journal cannot be read.
pub fn run(args: ExplainArgs, context: &Context) -> Result<ExitCode, CliError> {
    let journal = journal_of(args.run.as_deref(), "explain", context)?;
    match run_kind(&journal).map_err(CliError::failed)? {
        RunKind::Agent => {
            let reader = JournalReader::open(&journal).map_err(CliError::failed)?;
            let plan = reader.plan().map_err(CliError::failed)?;
            tell(reader, (&plan.run_id, &plan.cwd), ("task", &plan.task), context)
        }
        RunKind::Command => {
            let reader = JournalReader::open_command(&journal).map_err(CliError::failed)?;
            let plan = reader.command_plan().map_err(CliError::failed)?;
            tell(reader, (&plan.run_id, &plan.cwd), ("command", &plan.command.join(" ")), context)
        }
    }
}

fn tell<R: BufRead, I: JournalInput>(
    reader: JournalReader<R, I>,
    (run_id, cwd): (&str, &str),
    (about, subject): (&str, &str),
    context: &Context,
) -> Result<ExitCode, CliError> {
    let printer = &context.printer;
    let zone = crate::cli::zone::of_process();
    printer.line(format_args!("run {run_id} in {}", clean::one_line(cwd, WHY_CHARS)));
    printer.line(format_args!("{about}: {}", clean::one_line(subject, WHY_CHARS)));
    let mut day = None;
    for told in decisions(reader) {
        let told = told.map_err(CliError::failed)?;
        let today = told.unix_ms.map(|unix_ms| format::date(unix_ms, &zone));
        if today != day
            && let Some(today) = &today
        {
            printer.line(today);
        }
        day = today.or(day);
        let time = told.unix_ms.map_or_else(|| " ".repeat(8), |unix_ms| format::time_of_day(unix_ms, &zone));
        let moment = format!("{time} {:>8}  ", format::position(told.tick.as_ms()));
        let after = told.after.map(|(n, kind)| format!("#{n} {kind}")).unwrap_or_default();
        let what = clean::one_line(&told.decision.what, WHY_CHARS);
        let why = format!("because {}  [{after}]", clean::one_line(&told.decision.why, WHY_CHARS));
        if printer.columns().is_some() {
            printer.behind(&moment, &what);
            printer.behind(&" ".repeat(moment.len()), &why);
        } else {
            printer.line(format_args!("{moment}{what:<36}  {why}"));
        }
    }
    Ok(ExitCode::COMPLETED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::captured::Captured;
    use crate::ui::columns;

    #[test]
    fn an_explanation_fits_the_width_of_the_terminal() {
        let demo = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/runs/demo");
        let told = |columns: Option<u16>| {
            let seen = Captured::default();
            let args = ExplainArgs { run: Some(demo.to_owned()) };
            run(args, &seen.context(std::path::Path::new("/"), columns)).expect("explained");
            seen.text()
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let piped = told(None);
        for width in [60, 80, 120] {
            let text = told(Some(width));
            assert!(text.lines().all(|line| columns::of(line) <= usize::from(width)), "{width}: {text}");
            assert_eq!(words(&text), words(&piped), "no word is broken or lost at {width} columns");
        }
    }
}
