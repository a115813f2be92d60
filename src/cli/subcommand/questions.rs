//! `ccc questions`.

use clap::Args;
use serde::Serialize;

use crate::cli::standing::{self, Standing};
use crate::cli::start::state_error;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::driver;
use crate::fleet::{AgentRecord, State};
use crate::journal::{RunDir, RunSummary};
use crate::ui::format;

/// List everything that waits for you, over all agents and other active runs, the oldest first.
///
/// `ccc answer RUN NUMBER ANSWER` answers. A request that nobody answers is denied after `approvals.unattended`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct QuestionsArgs {
    /// Print one JSON array instead.
    #[arg(long)]
    pub json: bool,
}

/// Something that waits for the user.
#[derive(Debug, Serialize)]
struct Waiting {
    /// The run.
    run: String,
    /// The agent's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// The number of the request in the run.
    number: u32,
    /// What it is about.
    about: String,
    /// Since when the run waits for its user, unix milliseconds.
    since_unix_ms: i64,
    /// An answer that fits.
    #[serde(skip)]
    example: String,
}

/// Lists the questions.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: QuestionsArgs, context: &Context) -> Result<ExitCode, CliError> {
    let state = &context.dirs()?.state;
    let active: Vec<(RunDir, RunSummary)> = RunDir::list(state)
        .map_err(|error| state_error(&error))?
        .runs
        .into_iter()
        .filter(|(dir, run)| run.outcome.is_none() && State::of(dir, Some(run)).is_active())
        .collect();
    let asked = standing::ask_all(active.iter().map(|(dir, _)| dir));
    let mut waiting: Vec<Waiting> = active
        .iter()
        .filter_map(|(dir, run)| Some((dir, run, asked.get(dir.id())?)))
        .flat_map(|(dir, run, standing)| of_run(dir, run, standing))
        .collect();
    waiting.sort_by_key(|one| (one.since_unix_ms, one.run.clone(), one.number));
    if args.json {
        let text = serde_json::to_string_pretty(&waiting)
            .map_err(|error| CliError::new(ErrorKind::Failed, error.to_string()))?;
        context.printer.json(text);
        return Ok(ExitCode::COMPLETED);
    }
    if waiting.is_empty() {
        context.printer.talk("nothing waits for you");
    }
    let now_unix_ms = driver::unix_ms();
    for one in &waiting {
        let age_ms = u64::try_from(now_unix_ms.saturating_sub(one.since_unix_ms)).unwrap_or(0);
        let who = one.name.as_deref().unwrap_or(&one.run);
        context.printer.line(format_args!("{who}: {}: {} ({} ago)", one.number, one.about, format::seconds(age_ms)));
        context.printer.line(format_args!("    ccc answer {who} {} {}", one.number, one.example));
    }
    Ok(ExitCode::COMPLETED)
}

fn of_run(dir: &RunDir, run: &RunSummary, standing: &Standing) -> Vec<Waiting> {
    let name = AgentRecord::read(dir).ok().flatten().map(|record| record.name);
    let one = |open: &standing::OpenRequest| Waiting {
        run: dir.id().to_owned(),
        name: name.clone(),
        number: open.number,
        about: open.about.clone(),
        since_unix_ms: run.updated_unix_ms,
        example: open.example.clone(),
    };
    standing.open.iter().map(one).collect()
}
