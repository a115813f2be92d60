//! `ccc explain RUN`.

use std::io::BufRead;

use clap::Args;

use crate::cli::recording::journal_of;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::journal::{JournalInput, JournalReader, RunKind, decisions, run_kind};
use crate::ui::clean;

/// How much of a reason one line shows, in characters.
const WHY_CHARS: usize = 400;

/// Tell, decision by decision, what happened in a run and why.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct ExplainArgs {
    /// The run's id, the beginning of it, or its directory. Without it, the newest run.
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Explains a run.
///
/// # Errors
/// When there is no such run, or its journal cannot be read.
pub fn run(args: ExplainArgs, context: &Context) -> Result<ExitCode, CliError> {
    let journal = journal_of(args.run.as_deref(), context)?;
    let failed = |error: &dyn std::fmt::Display| CliError::new(ErrorKind::Failed, error.to_string());
    match run_kind(&journal).map_err(|error| failed(&error))? {
        RunKind::Agent => {
            let reader = JournalReader::open(&journal).map_err(|error| failed(&error))?;
            let plan = reader.plan().map_err(|error| failed(&error))?;
            tell(reader, (&plan.run_id, &plan.cwd), ("task", &plan.task), context)
        }
        RunKind::Command => {
            let reader = JournalReader::open_command(&journal).map_err(|error| failed(&error))?;
            let plan = reader.command_plan().map_err(|error| failed(&error))?;
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
    printer.line(format_args!("run {run_id} in {}", clean::one_line(cwd, WHY_CHARS)));
    printer.line(format_args!("{about}: {}", clean::one_line(subject, WHY_CHARS)));
    for told in decisions(reader) {
        let told = told.map_err(|error| CliError::new(ErrorKind::Failed, error.to_string()))?;
        let seconds = told.tick.as_ms() as f64 / 1_000.0;
        let after = told.after.map(|(n, kind)| format!("#{n} {kind}")).unwrap_or_default();
        printer.line(format_args!(
            "{seconds:>10.3} s  {:<36}  because {}  [{after}]",
            clean::one_line(&told.decision.what, WHY_CHARS),
            clean::one_line(&told.decision.why, WHY_CHARS),
        ));
    }
    Ok(ExitCode::COMPLETED)
}
