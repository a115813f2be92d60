//! `ccc events`.

use clap::Args;

use crate::cli::agent::roster;
use crate::cli::{CliError, Context, ErrorKind, ExitCode};
use crate::driver;
use crate::fleet::Agent;
use crate::ui::{clean, format};
use crate::watch::follow_states;

/// Print how each agent stands, and with --follow each change of a state as it happens.
///
/// The changes are those that `ccc list` shows: started, working, checking, reviewing, asking, and the outcome. What happens
/// within an agent is shown by `ccc follow NAME`.
#[derive(Debug, Clone, PartialEq, Eq, Args)]
pub struct EventsArgs {
    /// Go on with each change, until Ctrl-C.
    #[arg(long, short)]
    pub follow: bool,

    /// Print one JSON object for each event.
    #[arg(long)]
    pub json: bool,
}

/// Prints the events.
///
/// # Errors
/// When the state directory cannot be read.
pub fn run(args: EventsArgs, context: &Context) -> Result<ExitCode, CliError> {
    if !args.follow {
        for agent in &roster(context)?.agents {
            tell(agent, args.json, context);
        }
        return Ok(ExitCode::COMPLETED);
    }
    follow_states(&context.dirs()?.state, &mut |agent| {
        tell(agent, args.json, context);
        !context.printer.reader_has_gone()
    })
    .map_err(|error| CliError::new(ErrorKind::Io, format!("the agents cannot be followed: {error}")))?;
    Ok(ExitCode::COMPLETED)
}

fn tell(agent: &Agent, json: bool, context: &Context) {
    let (record, now_unix_ms) = (&agent.record, driver::unix_ms());
    let summary = agent.summary.as_ref();
    let iteration = summary.map_or(0, |run| run.iteration);
    if json {
        context.printer.json(serde_json::json!({
            "version": 1,
            "at_unix_ms": now_unix_ms,
            "id": record.id,
            "name": record.name,
            "manager": record.manager,
            "state": agent.state.in_words(),
            "active": agent.state.is_active(),
            "iteration": iteration,
            "cost_usd": summary.and_then(|run| run.cost_usd),
            "reason": summary.and_then(|run| run.reason.as_deref()),
        }));
        return;
    }
    let time = format::time_of_day(now_unix_ms, &crate::cli::zone::of_process());
    let reason = summary.and_then(|run| run.reason.as_deref());
    let reason = reason.map(|reason| format!(": {}", clean::one_line(reason, 200))).unwrap_or_default();
    let state = clean::one_line(agent.state.in_words(), 20);
    context.printer.line(format_args!("{time} {} {state}{reason}", clean::one_line(&record.name, 40)));
}
